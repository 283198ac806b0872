package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"homing/config"
	"homing/hold"
)

func newDomain() *cobra.Command {
	return group("domain", "The domains that mail is sent as", newDomainList(), newDomainAdd())
}

func newDomainList() *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List the domains that mail is sent as",
		Args:  cobra.NoArgs,
	}
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, _, err := loadConfig(c)
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(c.OutOrStdout(), domainsOf(cfg))
		}
		return listDomains(c.OutOrStdout(), domainsOf(cfg))
	}
	return c
}

// A domainRow is a domain as it is listed.
type domainRow struct {
	Name         string   `json:"name"`
	ReturnPath   string   `json:"return_path"`
	DKIM         []string `json:"dkim"` // selectors
	Applications []string `json:"applications"`
	Smarthost    string   `json:"smarthost,omitempty"`
}

func domainsOf(cfg *config.Config) []domainRow {
	rows := []domainRow{}
	for _, d := range cfg.Domains {
		row := domainRow{Name: d.Name, ReturnPath: d.ReturnPath, DKIM: []string{}, Applications: []string{}}
		for _, k := range d.DKIM {
			row.DKIM = append(row.DKIM, k.Selector)
		}
		for _, a := range cfg.Applications {
			if slices.Contains(a.Domains, d.Name) {
				row.Applications = append(row.Applications, a.Name)
			}
		}
		if s := cmp.Or(d.Smarthost, cfg.Delivery.Smarthost); s != nil {
			row.Smarthost = s.Address.Address
		}
		rows = append(rows, row)
	}
	return rows
}

func listDomains(w io.Writer, rows []domainRow) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tRETURN PATH\tSIGNED BY\tAPPLICATIONS\tTHROUGH")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", r.Name, cmp.Or(r.ReturnPath, "the application's own"), cmp.Or(strings.Join(r.DKIM, " "), "nobody"),
			strings.Join(r.Applications, " "), cmp.Or(r.Smarthost, "the MXs"))
	}
	return t.Flush()
}

func newDomainAdd() *cobra.Command {
	var back string
	var applications []string
	c := &cobra.Command{
		Use:   "add DOMAIN",
		Short: "Send as another domain",
		Long: "Send as another domain: add it at the end of the configuration, with DKIM keys of its own, and let applications send as it.\n" +
			"Everything else in the file stays as it is.",
		Example: "  sudo homing domain add shop.example --app civicrm",
		Args:    cobra.ExactArgs(1),
	}
	c.Flags().StringVar(&back, "return-domain", "", "the domain of return addresses (default: bounce.DOMAIN)")
	c.Flags().StringArrayVar(&applications, "app", nil, "the `NAME` of an application that may send as it; may be repeated (default: the only one there is)")
	c.RunE = func(c *cobra.Command, args []string) error {
		name := hold.CanonicalDomain(args[0])
		if !strings.Contains(name, ".") || strings.ContainsAny(name, "@/ ") {
			return usage(c, fmt.Errorf("%q is not a domain like shop.example", args[0]))
		}
		return addDomain(c, name, cmp.Or(hold.CanonicalDomain(back), "bounce."+name), applications)
	}
	return c
}

func addDomain(c *cobra.Command, name, back string, applications []string) error {
	path, err := configPath(c)
	if err != nil {
		return err
	}
	_, err = editConfig(path, func(text []byte, cfg *config.Config) ([]byte, error) {
		if slices.ContainsFunc(cfg.Domains, func(d config.Domain) bool { return hold.CanonicalDomain(d.Name) == name }) {
			return nil, fmt.Errorf("%s sends as %s already", path, name)
		}
		if len(applications) == 0 && len(cfg.Applications) == 1 {
			applications = []string{cfg.Applications[0].Name}
		}
		for _, app := range applications {
			if text, err = allow(text, cfg, app, name); err != nil {
				return nil, err
			}
		}
		return appendDomain(text, filepath.Dir(path), name, back)
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "%s sends as %s now, for %s. A server that runs hears of it by `systemctl reload homing` or `kill -HUP`.\n"+
		"Next: publish what `homing dns` prints for it; `homing check` says what is missing.\n", path, name, cmp.Or(strings.Join(applications, ", "), "no application yet"))
	return err
}

// listOfDomains is a line of an application that says which domains it has.
var listOfDomains = regexp.MustCompile(`^(\s*domains\s*=\s*\[.*[^\s,\[])(\s*,?\s*\].*)$`)

// allow lets an application send as a domain: it adds it to the list, if that
// is on one line.
func allow(text []byte, cfg *config.Config, app, domain string) ([]byte, error) {
	i := slices.IndexFunc(cfg.Applications, func(a config.Application) bool { return a.Name == app })
	if i < 0 {
		return nil, fmt.Errorf("there is no application %q: `homing app list` shows them", app)
	}
	byHand := fmt.Errorf("the domains of the application %q do not stand on one line: add %q there yourself, and leave --app out", app, domain)
	lines := bytes.Split(text, []byte("\n"))
	at := -1
	for n, line := range lines {
		switch trimmed := string(bytes.TrimSpace(line)); {
		case trimmed == "[[application]]" || strings.HasPrefix(trimmed, "[[application]] "):
			at++
		case strings.HasPrefix(trimmed, "["):
			if at == i {
				return nil, byHand
			}
		case at == i:
			if m := listOfDomains.FindSubmatch(line); m != nil {
				lines[n] = slices.Concat(m[1], []byte(", "+strconv.Quote(domain)), m[2])
				return bytes.Join(lines, []byte("\n")), nil
			}
		}
	}
	return nil, byHand
}

// appendDomain adds a domain at the end of a configuration, with keys beside
// it.
func appendDomain(text []byte, dir, name, back string) ([]byte, error) {
	b := bytes.NewBuffer(text)
	if len(text) > 0 && !bytes.HasSuffix(text, []byte("\n")) {
		b.WriteByte('\n')
	}
	rsaName, edName := "dkim-"+name+"-rsa.pem", "dkim-"+name+"-ed25519.pem"
	err := errors.Join(keep(filepath.Join(dir, rsaName), rsaKey), keep(filepath.Join(dir, edName), ed25519Key))
	fmt.Fprintf(b, "\n[[domain]]\nname = %q\nreturn_path = %q\ndkim = [\n  { selector = \"homing1\", key_file = %q },\n  { selector = \"homing2\", key_file = %q },\n]\n",
		name, "return@"+back, rsaName, edName)
	return b.Bytes(), err
}
