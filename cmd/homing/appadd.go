package main

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"homing/config"
	"homing/internal/password"
)

// newcomer is the application that `homing app add` adds.
type newcomer struct {
	Name        string   `json:"name"`
	Kind        string   `json:"kind"`
	Domains     []string `json:"domains"`
	Networks    []string `json:"networks,omitempty"`
	Users       []string `json:"users,omitempty"`
	VERPPrefix  string   `json:"verp_prefix,omitempty"`
	Sinks       []string `json:"sinks,omitempty"`
	Mode        string   `json:"mode,omitempty"`
	Password    string   `json:"password,omitempty"` // shown once; the file gets its hash
	hasPassword bool     // it has one that nobody knows any more
	door
}

// door is where the application hands its mail over.
type door struct {
	Server     string `json:"server,omitempty"` // "": no listener that it could use
	Port       int    `json:"port,omitempty"`
	Encryption string `json:"encryption,omitempty"` // "none", "STARTTLS" or "TLS"
}

func newAppAdd() *cobra.Command {
	var n newcomer
	c := &cobra.Command{
		Use:   "add NAME",
		Short: "Let an application send",
		Long: "Let an application send: add it at the end of the configuration, which otherwise stays as it is.\n" +
			"It gets a password, of which the configuration keeps only a hash, and which is shown once.",
		Example: "  homing app add civicrm --kind civicrm --domain example.org --network 127.0.0.1 --no-password",
		Args:    cobra.ExactArgs(1),
	}
	f := c.Flags()
	f.StringVar(&n.Kind, "kind", string(config.Generic), "civicrm, mautic, listmonk, phplist, mailman or generic")
	f.StringArrayVar(&n.Domains, "domain", nil, "a `DOMAIN` that it may send as; may be repeated (default: the only one there is)")
	f.StringArrayVar(&n.Networks, "network", nil, "a `NETWORK` from which it may relay without a password; may be repeated")
	f.StringArrayVar(&n.Users, "user", nil, "a local `USER` who may use the socket of listen.local as this application; may be repeated")
	f.StringVar(&n.VERPPrefix, "verp-prefix", "", "what its own return addresses begin with (default for civicrm: civi+)")
	f.StringArrayVar(&n.Sinks, "sink", nil, "the name of a `SINK` that is told; may be repeated (default: those of the domain)")
	f.StringVar(&n.Mode, "mode", "", "deliver, capture (accept, keep, never send) or refuse")
	without := f.Bool("no-password", false, "recognise it by network, by user or by token alone")
	asJSON := f.Bool("json", false, "print JSON for programs")
	c.RunE = func(c *cobra.Command, args []string) error {
		n.Name = args[0]
		if !*without {
			n.Password = rand.Text()
		}
		return addApp(c, &n, *asJSON)
	}
	return c
}

func addApp(c *cobra.Command, n *newcomer, asJSON bool) error {
	path, err := configPath(c)
	if err != nil {
		return err
	}
	before := 0
	cfg, err := editConfig(path, func(text []byte, cfg *config.Config) ([]byte, error) {
		if slices.ContainsFunc(cfg.Applications, func(a config.Application) bool { return a.Name == n.Name }) {
			return nil, fmt.Errorf("there is an application %q already: choose another name, or remove that one from %s", n.Name, path)
		}
		n.complete(cfg)
		before = bytes.Count(text, []byte("\n")) + 1
		return n.appendTo(text), nil
	})
	if err != nil {
		return err
	}
	for _, w := range cfg.Warnings {
		if w.Line >= before {
			fmt.Fprintf(c.ErrOrStderr(), "homing: warning: %s: %s\n", w.Key, w.Message)
		}
	}
	n.door = doorFor(cfg, n)
	if asJSON {
		return printJSON(c.OutOrStdout(), n)
	}
	return n.explain(c.OutOrStdout(), path, cfg)
}

// complete fills in what follows from the rest of the configuration.
func (n *newcomer) complete(cfg *config.Config) {
	if len(n.Domains) == 0 && len(cfg.Domains) == 1 {
		n.Domains = []string{cfg.Domains[0].Name}
	}
	if n.Kind != string(config.CiviCRM) || n.VERPPrefix != "" {
		return
	}
	n.VERPPrefix = "civi+"
	if slices.ContainsFunc(cfg.Applications, func(a config.Application) bool { return strings.EqualFold(a.VERPPrefix, n.VERPPrefix) }) {
		n.VERPPrefix = strings.ToLower(n.Name) + "+"
	}
}

// appendTo adds the application at the end of a configuration. A [[table]]
// there belongs to the file whatever stands before it.
func (n *newcomer) appendTo(text []byte) []byte {
	b := bytes.NewBuffer(text)
	if len(text) > 0 && !bytes.HasSuffix(text, []byte("\n")) {
		b.WriteByte('\n')
	}
	b.WriteString("\n[[application]]\n")
	line := func(key, value string) {
		if value != "" {
			fmt.Fprintf(b, "%s = %s\n", key, strconv.Quote(value))
		}
	}
	list := func(key string, values []string) {
		if len(values) > 0 {
			quoted := make([]string, len(values))
			for i, v := range values {
				quoted[i] = strconv.Quote(v)
			}
			fmt.Fprintf(b, "%s = [%s]\n", key, strings.Join(quoted, ", "))
		}
	}
	line("name", n.Name)
	line("kind", n.Kind)
	list("domains", n.Domains)
	if n.Password != "" {
		line("password_hash", password.Make(n.Password))
	}
	list("networks", n.Networks)
	list("users", n.Users)
	line("verp_prefix", n.VERPPrefix)
	list("sinks", n.Sinks)
	line("mode", n.Mode)
	return b.Bytes()
}

// doorFor chooses the listener for an application. On the same machine that is
// loopback, where nothing has to be encrypted.
func doorFor(cfg *config.Config, n *newcomer) door {
	l := cfg.Listen
	far := slices.ContainsFunc(n.Networks, func(s string) bool { return !strings.HasPrefix(s, "127.") && !strings.HasPrefix(s, "::1") })
	for _, a := range l.Submission {
		if a.Loopback() && !far || len(n.Networks) > 0 && a.Private() && !a.Loopback() {
			return door{a.Host(), a.Port(), "none"}
		}
	}
	switch {
	case len(l.Submissions) > 0:
		return door{cfg.Hostname, l.Submissions[0].Port(), "TLS"}
	case len(l.Submission) > 0:
		return door{cfg.Hostname, l.Submission[0].Port(), "STARTTLS"}
	}
	return door{}
}

// explain says what to do next, in the words of the application's own screens.
func (n *newcomer) explain(w io.Writer, path string, cfg *config.Config) error {
	if _, err := fmt.Fprintf(w, "The application %q is in %s now. A server that runs hears of it by `systemctl reload homing` or `kill -HUP`.\n", n.Name, path); err != nil {
		return err
	}
	return n.enter(w, cfg)
}
