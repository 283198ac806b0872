package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"homing/config"
	"homing/hold"
	"homing/internal/dnsx"
)

// A founding is what `homing init` is told or finds out.
type founding struct {
	Domain     string
	Hostname   string
	Return     string // the domain of return addresses
	Postmaster string
	Addresses  []netip.Addr // public ones of this machine
	Hidden     bool         // some of them are not on this machine, because NAT hides it
	Chosen     bool         // they are not all that this machine has: mail leaves from them alone
	DataDir    string
	App        newcomer
	Far        bool // the application is on another machine
	Smarthost  string
	Username   string
	Password   string // of the smarthost
	Dated      time.Time
	Offline    bool // nobody is asked over the network

	SMTP, Submission, HTTP []string // where the server listens
	Webroot                string   // "": nobody else has port 80

	path   string // of homing.toml
	secret string // the file that Password is read from
	around surroundings
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
		Example: "  sudo homing init example.org\n  sudo homing init example.org --postmaster it@example.org --app listmonk",
		Args:    cobra.ExactArgs(1),
	}
	flags := c.Flags()
	flags.StringVar(&f.Hostname, "hostname", "", "the full `NAME` that the server calls itself (default: this machine's own, else mail.DOMAIN)")
	flags.StringVar(&f.Return, "return-domain", "", "the `DOMAIN` of return addresses (default: bounce.DOMAIN)")
	flags.StringVar(&f.Postmaster, "postmaster", "", "an `ADDRESS` that is told when something breaks")
	flags.StringArrayVar(&addresses, "address", nil, "a public `ADDRESS` of this machine, where NAT hides it; may be repeated")
	flags.StringVar(&f.DataDir, "data-dir", "", "the `DIRECTORY` where the server keeps its state (default: /var/lib/homing)")
	flags.StringVar(&f.App.Name, "app", "civicrm", "the `NAME` of the application that sends")
	flags.StringVar(&f.App.Kind, "kind", "", "civicrm, mautic, listmonk, phplist, mailman or generic (default: the name, where it is one of these)")
	flags.BoolVar(&f.Far, "far", false, "the application is on another machine: it gets a password, shown once, and the server a certificate of Let's Encrypt,\nwhose terms you accept thereby")
	flags.StringVar(&f.Smarthost, "smarthost", "", "a `SERVER:PORT` that all mail goes through, where port 25 of others cannot be reached")
	flags.StringVar(&f.Username, "smarthost-user", "", "the `NAME` to log in with there; the password is read from --smarthost-password-file, else from $SMARTHOST_PASSWORD")
	flags.StringVar(&f.secret, "smarthost-password-file", "", "a `FILE` with the password")
	flags.BoolVar(&f.Offline, "offline", false, "ask nobody over the network: neither whether mail gets out, nor the DNS what is there")
	c.RunE = func(c *cobra.Command, args []string) error {
		f.Domain, f.Dated = hold.CanonicalDomain(args[0]), time.Now()
		if err := f.given(addresses); err != nil {
			return usage(c, err)
		}
		return f.found(c)
	}
	return c
}

// given takes over what was said with flags.
func (f *founding) given(addresses []string) error {
	f.Hostname, f.Return = hold.CanonicalDomain(f.Hostname), hold.CanonicalDomain(f.Return)
	for _, text := range addresses {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return fmt.Errorf("--address: %q is not an address like 203.0.113.10", text)
		}
		if err := unreachable(a); err != nil {
			return fmt.Errorf("--address: %w", err)
		}
		if a = a.Unmap(); !slices.Contains(f.Addresses, a) {
			f.Addresses = append(f.Addresses, a)
		}
	}
	if f.Username != "" && f.Smarthost == "" {
		return errors.New("--smarthost-user is nothing without --smarthost SERVER:PORT")
	}
	if err := f.takeSmarthost(f.Smarthost); err != nil {
		return err
	}
	f.Password = os.Getenv("SMARTHOST_PASSWORD")
	if f.secret != "" {
		text, err := os.ReadFile(f.secret)
		if err != nil {
			return fmt.Errorf("--smarthost-password-file: %w", err)
		}
		f.Password = strings.TrimRight(string(text), "\r\n")
	}
	if f.DataDir != "" {
		var err error
		if f.DataDir, err = filepath.Abs(f.DataDir); err != nil {
			return fmt.Errorf("--data-dir: %w", err)
		}
	}
	return nil
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
		return f.standing(c.Context(), out)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return explainConfig(err)
	}
	if err := writable(filepath.Dir(f.path)); err != nil {
		return err
	}
	if err := f.settle(c); err != nil {
		return err
	}
	if err := f.write(); err != nil {
		return err
	}
	cfg, err := config.Load(f.path)
	if err != nil {
		return fmt.Errorf("what was written has a mistake, which should not be: %w", explainConfig(err))
	}
	return f.explain(c.Context(), out, cfg)
}

// settle finds out everything that is written, and asks for the rest.
func (f *founding) settle(c *cobra.Command) error {
	var dns resolver
	if !f.Offline {
		client, err := dnsx.New(dnsOptions(new(config.Config)))
		if err != nil {
			return fmt.Errorf("finding the resolver of this system: %w; --offline does without", err)
		}
		dns = client
	}
	f.complete(c.Context(), lookAround(c.Context(), dns))
	if err := f.mistakes(); err != nil {
		return usage(c, err)
	}
	if t, ok := terminalOf(c); ok {
		if err := f.ask(c.Context(), c.Flags().Changed, t); err != nil {
			return err
		}
	}
	f.arrange()
	if f.Smarthost != "" && f.Username != "" && f.Password == "" && !f.hasSecret() {
		return usage(c, fmt.Errorf("there is no password for %s at %s: write it into a file and name that with --smarthost-password-file", f.Username, f.Smarthost))
	}
	return nil
}

// foundingPath is where homing.toml is to be: where a command would look for
// it, if it were there.
func foundingPath(c *cobra.Command) (string, error) {
	named, err := c.Flags().GetString("config")
	if err != nil {
		return "", err
	}
	path := cmp.Or(named, os.Getenv("HOMING_CONFIG"), systemConfig)
	if path, err = filepath.Abs(path); err != nil {
		return "", fmt.Errorf("finding the directory of the configuration: %w", err)
	}
	return path, nil
}

// writable says what to do where this user cannot write files into a
// directory, or make it. It is asked before anybody is asked anything.
func writable(dir string) error {
	for ; ; dir = filepath.Dir(dir) {
		err := unix.Access(dir, unix.W_OK|unix.X_OK)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, fs.ErrNotExist) && dir != filepath.Dir(dir):
			continue
		}
		return fmt.Errorf("files cannot be written into %s: %w (run it with sudo, or choose another place with --config FILE)", dir, err)
	}
}

// standing says what is there already, and once more what to enter.
func (f *founding) standing(ctx context.Context, out io.Writer) error {
	cfg, err := config.Load(f.path)
	if err != nil {
		return fmt.Errorf("%s is there already, and stays as it is; it has mistakes: %w", f.path, explainConfig(err))
	}
	var names []string
	for _, d := range cfg.Domains {
		names = append(names, d.Name)
	}
	fmt.Fprintf(out, "%s is there already, and stays as it is: it sends as %s.\n", f.path, strings.Join(names, ", "))
	if !slices.ContainsFunc(names, func(n string) bool { return hold.CanonicalDomain(n) == f.Domain }) {
		fmt.Fprintf(out, "It does not send as %s yet: `homing domain add %s%s`.\n", f.Domain, f.Domain, f.named())
	}
	if err := listApps(out, cfg); err != nil {
		return err
	}
	for _, a := range cfg.Applications {
		if err := newcomerOf(cfg, a).enter(out, cfg); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(out, "\nNext: `homing config check%[1]s`, `homing dns --diff%[1]s`, `homing check%[1]s`. More: `homing app add`, `homing domain add`.\n", f.named())
	return err
}

// named is how commands are told of a configuration that they do not find by
// themselves.
func (f *founding) named() string {
	if f.path == systemConfig {
		return ""
	}
	return " --config " + shellWord(f.path)
}

// complete finds out what was not said.
func (f *founding) complete(ctx context.Context, around surroundings) {
	f.around = around
	f.Return = cmp.Or(f.Return, "bounce."+f.Domain)
	f.DataDir = cmp.Or(f.DataDir, config.DefaultDataDir)
	f.addressed()
	if f.Hostname == "" {
		f.Hostname = around.nameFor(ctx, f.Domain, f.Addresses)
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

// addressed sets whether the addresses that were given are on this machine.
// Where NAT hides it, those that are here leave by themselves and count as well.
func (f *founding) addressed() {
	own := f.around.public
	if len(f.Addresses) == 0 {
		f.Addresses = slices.Clone(own)
		return
	}
	f.Hidden = slices.ContainsFunc(f.Addresses, func(a netip.Addr) bool { return !slices.Contains(own, a) })
	if !f.Hidden {
		f.Chosen = len(f.Addresses) < len(own)
		return
	}
	for _, a := range own {
		if !slices.Contains(f.Addresses, a) {
			f.Addresses = append(f.Addresses, a)
		}
	}
}
