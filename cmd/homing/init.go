package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"homing/config"
	"homing/hold"
	"homing/internal/terminal"
)

// A founding is what `homing init` is told or finds out.
type founding struct {
	Domain     string
	Hostname   string
	Return     string // the domain of return addresses
	Postmaster string
	Addresses  []netip.Addr // public ones of this machine
	Hidden     bool         // there are none here: the public one was given, and NAT hides it
	DataDir    string
	App        newcomer
	Far        bool // the application is on another machine
	Smarthost  string
	Username   string
	Password   string // of the smarthost
	Dated      time.Time
	Offline    bool // nobody is asked over the network

	path string // of homing.toml
}

func newInit() *cobra.Command {
	var f founding
	var addresses []string
	c := &cobra.Command{
		Use:   "init DOMAIN",
		Short: "Write a configuration and keys for a domain, and say what else there is to do",
		Long: "Write homing.toml, keys and a first application for mail that is sent as DOMAIN, and say what to publish in the DNS and what\n" +
			"to enter in the application. What is there already stays as it is: a second run changes nothing. The mail of the domain\n" +
			"itself stays where it is: only bounce.DOMAIN points here.\n\n" +
			"It asks for what it cannot find out; with flags, or without a terminal, it asks nothing.",
		Example: "  sudo homing init example.org\n  sudo homing init example.org --postmaster it@example.org --app listmonk --kind listmonk",
		Args:    cobra.ExactArgs(1),
	}
	flags := c.Flags()
	flags.StringVar(&f.Hostname, "hostname", "", "what the server calls itself (default: this machine's full name, else mail.DOMAIN)")
	flags.StringVar(&f.Return, "return-domain", "", "the domain of return addresses (default: bounce.DOMAIN)")
	flags.StringVar(&f.Postmaster, "postmaster", "", "an `ADDRESS` that is told when something breaks")
	flags.StringArrayVar(&addresses, "address", nil, "a public `ADDRESS` of this machine, where NAT hides it; may be repeated")
	flags.StringVar(&f.DataDir, "data-dir", "", "where the server keeps its state (default: /var/lib/homing)")
	flags.StringVar(&f.App.Name, "app", "civicrm", "the `NAME` of the application that sends")
	flags.StringVar(&f.App.Kind, "kind", "", "civicrm, mautic, listmonk, phplist, mailman or generic (default: the name, where it is one of these)")
	flags.BoolVar(&f.Far, "far", false, "the application is on another machine: it gets a password, shown once")
	flags.StringVar(&f.Smarthost, "smarthost", "", "a `SERVER:PORT` that all mail goes through, where port 25 of others cannot be reached")
	flags.StringVar(&f.Username, "smarthost-user", "", "the `NAME` to log in with there; the password is read from $SMARTHOST_PASSWORD")
	flags.BoolVar(&f.Offline, "offline", false, "do not try whether the mail hosts of others can be reached")
	c.RunE = func(c *cobra.Command, args []string) error {
		f.Domain, f.Password, f.Dated = hold.CanonicalDomain(args[0]), os.Getenv("SMARTHOST_PASSWORD"), time.Now()
		for _, text := range addresses {
			a, err := netip.ParseAddr(text)
			if err != nil {
				return usage(c, fmt.Errorf("--address: %q is not an address like 203.0.113.10", text))
			}
			f.Addresses = append(f.Addresses, a)
		}
		return f.found(c)
	}
	return c
}

// found does all of it.
func (f *founding) found(c *cobra.Command) error {
	if f.Domain == "" || !strings.Contains(f.Domain, ".") || strings.ContainsAny(f.Domain, "@/ ") {
		return usage(c, fmt.Errorf("%q is not a domain: write the one that mail is sent as, like example.org", f.Domain))
	}
	var err error
	if f.path, err = foundingPath(c); err != nil {
		return err
	}
	out := c.OutOrStdout()
	if _, err := os.Stat(f.path); err == nil {
		return f.standing(c, out)
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f.complete(c.Context())
	around := lookAround(c.Context(), f.Offline)
	f.ask(c, around)
	if err := f.write(); err != nil {
		return err
	}
	cfg, err := config.Load(f.path)
	if err != nil {
		return fmt.Errorf("what was written has a mistake, which should not be: %w", explainConfig(err))
	}
	return f.explain(c.Context(), out, cfg, around)
}

// foundingPath is where homing.toml is to be: where a command would look for
// it, if it were there.
func foundingPath(c *cobra.Command) (string, error) {
	named, err := c.Flags().GetString("config")
	if err != nil {
		return "", err
	}
	path := cmp.Or(named, os.Getenv("HOMING_CONFIG"), "/etc/homing/homing.toml")
	if path, err = filepath.Abs(path); err != nil {
		return "", fmt.Errorf("finding the directory of the configuration: %w", err)
	}
	return path, nil
}

// standing says what is there already.
func (f *founding) standing(c *cobra.Command, out io.Writer) error {
	cfg, err := config.Load(f.path)
	if err != nil {
		return fmt.Errorf("%s is there already, and stays as it is; it has mistakes: %w", f.path, explainConfig(err))
	}
	var names []string
	for _, d := range cfg.Domains {
		names = append(names, d.Name)
	}
	fmt.Fprintf(out, "%s is there already, and stays as it is: it sends as %s.\n", f.path, strings.Join(names, ", "))
	if !slices.Contains(names, f.Domain) {
		fmt.Fprintf(out, "It does not send as %s yet: `homing domain add %s`.\n", f.Domain, f.Domain)
	}
	if err := listApps(out, cfg); err != nil {
		return err
	}
	_, err = fmt.Fprint(out, "Next: `homing config check`, `homing dns --diff`, `homing check`. More: `homing app add`, `homing domain add`.\n")
	return err
}

// complete finds out what was not said.
func (f *founding) complete(ctx context.Context) {
	f.Return = cmp.Or(f.Return, "bounce."+f.Domain)
	f.DataDir = cmp.Or(f.DataDir, "/var/lib/homing")
	f.Hostname = cmp.Or(f.Hostname, ownName(ctx), "mail."+f.Domain)
	if own := publicAddresses(new(config.Config)); len(f.Addresses) == 0 {
		f.Addresses = own
	} else {
		f.Hidden = !slices.ContainsFunc(f.Addresses, func(a netip.Addr) bool { return slices.Contains(own, a) })
	}
	if f.App.Kind == "" {
		f.App.Kind = string(config.Generic)
		if slices.Contains([]string{"civicrm", "mautic", "listmonk", "phplist", "mailman"}, f.App.Name) {
			f.App.Kind = f.App.Name
		}
	}
	f.App.Domains = []string{f.Domain}
	if f.App.Kind == string(config.CiviCRM) {
		f.App.VERPPrefix = "civi+"
	}
}

// ask asks whoever sits there for what nobody else can know.
func (f *founding) ask(c *cobra.Command, around surroundings) {
	in, isFile := c.InOrStdin().(*os.File)
	if !isFile || !isTerminal(in) {
		return
	}
	lines := bufio.NewScanner(in)
	question := func(words, otherwise string) string {
		fmt.Fprintf(c.OutOrStdout(), "%s [%s] ", words, cmp.Or(otherwise, "none"))
		if !lines.Scan() {
			return otherwise
		}
		return cmp.Or(strings.TrimSpace(lines.Text()), otherwise)
	}
	if !c.Flags().Changed("hostname") {
		f.Hostname = question("What is this machine called in the DNS?", f.Hostname)
	}
	if len(f.Addresses) == 0 {
		if a, err := netip.ParseAddr(question("No public address was found here. Which one has the world for this machine?", "")); err == nil {
			f.Addresses, f.Hidden = []netip.Addr{a}, true
		}
	}
	if f.Postmaster == "" {
		f.Postmaster = question("Who is told by mail when something breaks?", "")
	}
	if !around.outgoing && f.Smarthost == "" {
		f.Smarthost = question("Port 25 of other servers cannot be reached from here. Through which smarthost does mail go (server:port)?", "")
		if f.Smarthost != "" && f.Username == "" {
			f.Username = question("Which name to log in with there?", "")
		}
		if f.Username != "" && f.Password == "" {
			f.Password = question("And the password?", "")
		}
	}
}

// explain says what was done and what there is to do.
func (f *founding) explain(ctx context.Context, out io.Writer, cfg *config.Config, around surroundings) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Written: %s, with keys beside it. Read it once: it says what each line is for.\n", f.path)
	for _, p := range around.ports {
		fmt.Fprintf(&b, "\n%s\n", p.words(f))
	}
	if !around.outgoing && f.Smarthost == "" {
		fmt.Fprintf(&b, "\nPort 25 of other servers cannot be reached from here. Many providers open it when asked; else send through a smarthost:\n"+
			"add [delivery.smarthost] to the file (docs/OPERATING.md, \"Where port 25 is closed\").\n")
	}
	if len(f.Addresses) == 0 {
		b.WriteString("\nThis machine has no public address of its own. Write the one that the world sees into the file:\n" +
			"[delivery]\npublic_addresses = [\"203.0.113.10\"]\n")
	}
	if _, err := io.WriteString(out, terminal.Lines(b.String())); err != nil {
		return err
	}
	if err := f.printDNS(ctx, out, cfg); err != nil {
		return err
	}
	b.Reset()
	f.App.door = doorFor(cfg, &f.App)
	b.WriteString("\nNext:\n")
	for i, step := range f.steps() {
		fmt.Fprintf(&b, "%d. %s\n", i+1, step)
	}
	b.WriteString("\n")
	if _, err := io.WriteString(out, terminal.Lines(b.String())); err != nil {
		return err
	}
	return f.App.explain(out, f.path, cfg)
}

// printDNS prints the records to publish, as `homing dns` does. Without the
// network it cannot be known what is there already.
func (f *founding) printDNS(ctx context.Context, out io.Writer, cfg *config.Config) error {
	if f.Offline {
		return nil
	}
	j := dnsJob{cfg: cfg, out: out}
	var err error
	if j.setup, err = setupOf(cfg); err != nil {
		return err
	}
	if _, err := io.WriteString(out, "\nPublish in the DNS:\n\n"); err != nil {
		return err
	}
	if err := j.run(ctx); err != nil {
		_, err = fmt.Fprintf(out, "The records cannot be made out now: %v. Run `homing dns` later.\n", err)
		return err
	}
	return nil
}

// steps is what to do next.
func (f *founding) steps() []string {
	return []string{
		"Publish the records that `homing dns` prints; `homing dns --diff` says which are still missing, and `homing dns --watch` waits for them.",
		"Start the server: `sudo systemctl enable --now homing` (docs/OPERATING.md, \"Install\"), or `sudo homing serve` to look at it.",
		"`sudo homing check` says what is not as it should be, and how to mend it.",
	}
}
