package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

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
			"Whoever asks within ten seconds gets the last result. The exit code is 0 where nothing fails, 1 where something does, and\n" +
			"2 where it could not be found out.",
		Args: cobra.NoArgs,
	}
	asJSON := jsonFlag(c)
	all := c.Flags().Bool("all", false, "show also what is as it should be")
	c.RunE = func(c *cobra.Command, _ []string) error {
		server, err := dialControl(c)
		if err != nil {
			return &exitError{exitUnable, err}
		}
		var s web.SelfCheck
		if err := server.call(c.Context(), http.MethodPost, "/selfcheck", nil, nil, &s); err != nil {
			return &exitError{exitUnable, err}
		}
		if *asJSON {
			err = printJSON(c.OutOrStdout(), s)
		} else {
			err = printCheck(c.OutOrStdout(), s, *all)
		}
		if err == nil && s.Verdict == string(dnscheck.Fail) {
			return &exitError{code: exitFailed}
		}
		return err
	}
	return c
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
