package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"homing/config"
	"homing/delivery/mtasts"
	"homing/dnscheck"
	"homing/internal/terminal"
	"homing/server/selfcheck"
	"homing/server/web"
)

func newCheck() *cobra.Command {
	c := &cobra.Command{
		Use:   "check",
		Short: "Check that mail can leave, arrives well and comes back, and say what to change",
		Long: "Have the server check itself now: what the DNS says of it, the block lists, its certificates, ports and disk, and the way back.\n" +
			"Whoever asks within ten seconds gets the last result. Where no server runs, what needs none is checked from the configuration,\n" +
			"and the rest is skipped. The exit code is 0 where nothing fails, 1 where something does, and 2 where it could not be found out,\n" +
			"as without a server.",
		Args: cobra.NoArgs,
	}
	asJSON := jsonFlag(c)
	all := c.Flags().Bool("all", false, "show also what is as it should be")
	c.RunE = func(c *cobra.Command, _ []string) error {
		s, absent, err := checkNow(c)
		if err != nil {
			return &exitError{exitUnable, err}
		}
		if *asJSON {
			err = printJSON(c.OutOrStdout(), s)
		} else {
			err = printCheck(c.OutOrStdout(), s, *all)
		}
		switch {
		case err != nil:
			return err
		case s.Verdict == string(dnscheck.Fail):
			return &exitError{exitFailed, absent}
		case absent != nil:
			return &exitError{exitUnable, absent}
		}
		return nil
	}
	return c
}

// checkNow has the server check, or makes the checks that need none where none
// runs, which absent says.
func checkNow(c *cobra.Command) (s web.SelfCheck, absent, err error) {
	server, err := dialControl(c)
	if err != nil {
		return s, nil, err
	}
	err = server.call(c.Context(), http.MethodPost, "/selfcheck", nil, nil, &s)
	if errors.Is(err, errNoServer) {
		absent = fmt.Errorf("what needs a running server was not checked: %w", err)
		s, err = checkWithout(c)
	}
	return s, absent, err
}

// checkWithout makes the checks that need no server, by the configuration.
func checkWithout(c *cobra.Command) (s web.SelfCheck, err error) {
	cfg, _, err := loadConfig(c)
	if err != nil {
		return s, err
	}
	n, err := newInspection(cfg, func(name string) (*tls.Certificate, error) { return keptCertificate(cfg, name) }, nil)
	if err != nil {
		return s, err
	}
	policies, err := mtasts.New(c.Context(), mtasts.Config{Resolver: n.dns, Notes: noNotes{}, Log: slog.New(slog.DiscardHandler), Allowed: deliveryOptions(cfg).Allows})
	if err != nil {
		return s, err
	}
	n.fetch = policies.Fetch
	r := selfcheck.Once(c.Context(), append(n.checks(), n.unmade()...))
	return web.SelfCheckOf(r, nil, time.Now()), c.Context().Err()
}

// noNotes remember nothing.
type noNotes struct{}

func (noNotes) Notes(context.Context, string) (map[string][]byte, error) { return nil, nil }
func (noNotes) Note(context.Context, string, map[string][]byte) error    { return nil }

// unmade names the checks that need a running server.
func (n *inspection) unmade() (all []selfcheck.Check) {
	skip := func(check, subject string) {
		all = append(all, one(check+" "+subject, func(context.Context) dnscheck.Finding {
			return dnscheck.Finding{Check: check, Subject: subject, Verdict: dnscheck.Skipped, Found: "the server does not run"}
		}))
	}
	for _, a := range n.listens() {
		skip("incoming_port", a.String())
		skip("open_relay", a.String())
	}
	through := queueOptions(n.cfg).Limits.Through
	for _, w := range waysOf(n.cfg, through) {
		skip("return_path", w.Returns)
	}
	for _, d := range n.cfg.Domains {
		if returnsOf(d) != "" && through(d.Name) != "" {
			skip("smarthost_return", d.Name)
		}
	}
	for _, k := range n.cfg.Sinks {
		if k.Type == config.SinkCiviCRM {
			skip(crmAPI, k.Name)
		}
	}
	return all
}

func printCheck(w io.Writer, s web.SelfCheck, all bool) error {
	var b strings.Builder
	count := map[dnscheck.Verdict]int{}
	for _, f := range s.Findings {
		if count[f.Verdict]++; f.Verdict != dnscheck.OK || all {
			tellFinding(&b, f)
		}
	}
	fmt.Fprintf(&b, "%d fail, %d warn, %d could not be checked, %d are as they should be.\n",
		count[dnscheck.Fail], count[dnscheck.Warn], count[dnscheck.Skipped], count[dnscheck.OK])
	_, err := io.WriteString(w, b.String())
	return err
}

// tellFinding words a finding. Fixes are whole, to be pasted.
func tellFinding(b *strings.Builder, f selfcheck.Finding) {
	name := map[dnscheck.Verdict]string{dnscheck.Fail: "FAIL", dnscheck.Warn: "warn", dnscheck.Skipped: "skip", dnscheck.OK: "ok  "}[f.Verdict]
	fmt.Fprintf(b, "%s %s %s: %s\n", name, f.Check, terminal.Line(f.Subject), terminal.Clip(f.Found, 500))
	if f.Verdict == dnscheck.OK || f.Verdict == dnscheck.Skipped {
		return
	}
	if f.Wanted != "" {
		fmt.Fprintf(b, "     wanted: %s\n", terminal.Clip(f.Wanted, 500))
	}
	for line := range strings.Lines(terminal.Lines(f.Fix)) {
		fmt.Fprintf(b, "     %s\n", strings.TrimRight(line, "\n"))
	}
	if f.Verdict == dnscheck.Fail {
		fmt.Fprintf(b, "     (since %s)\n", clock(f.Since))
	}
}
