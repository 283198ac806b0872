package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"homing/bounce"
	"homing/internal/terminal"
	"homing/server/web"
)

func newHold() *cobra.Command {
	return group("hold", "Addresses that are not mailed", newHoldList(), newHoldShow(), newHoldAdd(), newHoldRelease())
}

// holdFlags adds the flags that choose holds.
func holdFlags(c *cobra.Command) {
	f := c.Flags()
	f.String("application", "", "only what counts for this `APPLICATION` (default: all)")
	f.String("domain", "", "only addresses in this `DOMAIN`")
	f.String("provider", "", "only addresses whose mail this `PROVIDER` takes, as `homing queue show` names it")
	f.String("rule", "", "only holds by this `RULE`: hard, hard-report, two-reports, threshold, complaint, operator")
	periodFlag(c, "since", "only holds that are not older than this, such as 90m or 2d")
}

func newHoldList() *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List the addresses on hold", Args: cobra.NoArgs}
	holdFlags(c)
	asJSON := jsonFlag(c)
	all := c.Flags().Bool("all", false, "also addresses against which something is known that holds nothing yet")
	c.RunE = func(c *cobra.Command, _ []string) error {
		query := asked(c, "application", "domain", "provider", "rule", "since")
		filtered := len(query) > 0
		if *all {
			query.Set("all", "1")
		}
		server, err := dialControl(c)
		if err != nil {
			return err
		}
		holds, err := server.holds(c.Context(), query)
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(c.OutOrStdout(), holds)
		}
		return printHolds(c.OutOrStdout(), holds, filtered)
	}
	return c
}

// holds reads the whole list, page by page.
func (s *control) holds(ctx context.Context, query url.Values) (web.Holds, error) {
	out := web.Holds{Holds: []*web.Hold{}}
	query.Set("limit", strconv.Itoa(pageRows))
	for {
		var page web.Holds
		if err := s.call(ctx, http.MethodGet, "/api/v1/holds", query, nil, &page); err != nil {
			return out, err
		}
		out.Holds = append(out.Holds, page.Holds...)
		if page.Next == "" {
			return out, nil
		}
		query.Set("after", page.Next)
	}
}

func printHolds(w io.Writer, holds web.Holds, filtered bool) error {
	if len(holds.Holds) == 0 {
		words := "No address is on hold."
		if filtered {
			words = "No address is on hold like that."
		}
		_, err := fmt.Fprintln(w, words)
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ADDRESS\tAPPLICATION\tSINCE\tUNTIL\tRULE\tREASON\tWHAT WAS SAID")
	for _, h := range holds.Holds {
		for _, s := range h.Scopes {
			for _, r := range s.Holds {
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", terminal.Line(h.Address), scopeName(s.Application), clock(r.Since), until(r),
					r.Rule, terminal.Clip(r.Reason, 40), lastSaid(r.Evidence))
			}
			if len(s.Holds) == 0 && len(s.Evidence) > 0 {
				fmt.Fprintf(t, "%s\t%s\t\t\tnot held\t\t%s\n", terminal.Line(h.Address), scopeName(s.Application), lastSaid(s.Evidence))
			}
		}
	}
	return t.Flush()
}

func scopeName(application string) string {
	if application == "" {
		return "(all)"
	}
	return application
}

func until(r web.Reason) string {
	if r.Until == nil {
		return "no end"
	}
	return clock(*r.Until)
}

func lastSaid(e []web.Evidence) string {
	if len(e) == 0 {
		return ""
	}
	return terminal.Clip(e[len(e)-1].Diagnostic, 60)
}

func newHoldShow() *cobra.Command {
	c := &cobra.Command{Use: "show ADDRESS", Short: "Explain what is known against an address", Args: cobra.ExactArgs(1)}
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		server, err := dialControl(c)
		if err != nil {
			return err
		}
		h, err := server.hold(c.Context(), args[0])
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(c.OutOrStdout(), h)
		}
		if len(h.Scopes) == 0 {
			_, err := fmt.Fprintf(c.OutOrStdout(), "Nothing is known against %s: it is not on hold.\n", terminal.Line(args[0]))
			return err
		}
		return explainHold(c.OutOrStdout(), h)
	}
	return c
}

// hold asks what is known against an address, which may be nothing.
func (s *control) hold(ctx context.Context, address string) (web.Hold, error) {
	h := web.Hold{Address: address, Scopes: []web.Scope{}}
	if err := checkAddress(address); err != nil {
		return h, err
	}
	err := s.call(ctx, http.MethodGet, "/api/v1/holds/"+url.PathEscape(address), nil, nil, &h)
	if notFound(err) {
		err = nil
	}
	return h, err
}

// checkAddress tells an address from a word that is none.
func checkAddress(s string) error {
	if strings.Contains(s, "@") {
		return nil
	}
	return fmt.Errorf("%q is not an address: want something like ann@example.net", s)
}

// explainHold says in plain words which replies, which rule, until when.
func explainHold(w io.Writer, h web.Hold) error {
	var b strings.Builder
	if h.Held {
		fmt.Fprintf(&b, "%s is on hold.\n", terminal.Line(h.Address))
	} else {
		fmt.Fprintf(&b, "%s is not on hold.\n", terminal.Line(h.Address))
	}
	for _, s := range h.Scopes {
		for _, r := range s.Holds {
			explainReason(&b, s, r)
		}
		if len(s.Evidence) > 0 {
			fmt.Fprintf(&b, "  For %s this counts, but does not hold yet:\n", scopeName(s.Application))
			explainEvidence(&b, s.Evidence)
		}
		if s.Released != nil {
			fmt.Fprintf(&b, "  For %s it was last released on %s.\n", scopeName(s.Application), clock(*s.Released))
		}
	}
	if h.Held {
		fmt.Fprintf(&b, "To mail it again: homing hold release %s\n", shellWord(terminal.Line(h.Address)))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// ruleWords says what each hold rule means.
var ruleWords = map[string]string{
	"hard":        "the recipient's mail server refused the address for good",
	"hard-report": "a report from the recipient's mail system said that the address is dead",
	"two-reports": "two reports about different messages, at least a day apart, said that the address is dead",
	"threshold":   "it failed for too many messages on more than one day",
	"complaint":   "the recipient called the mail unwanted",
	"unsubscribe": "the recipient asked to get no more",
	"operator":    "an operator said so",
}

func explainReason(b *strings.Builder, s web.Scope, r web.Reason) {
	what := "mail"
	if r.BulkOf != "" {
		what = "bulk mail of " + r.BulkOf
	}
	end := "until it is released"
	if r.Until != nil {
		end = "until " + clock(*r.Until)
	}
	why := ruleWords[r.Rule]
	if why == "" {
		why = "rule " + r.Rule
	}
	fmt.Fprintf(b, "  For %s, %s is held since %s, %s, because %s (%s, by %s).\n", scopeName(s.Application), what, clock(r.Since), end, why, terminal.Clip(r.Reason, 80), terminal.Clip(r.By, 40))
	explainEvidence(b, r.Evidence)
}

func explainEvidence(b *strings.Builder, evidence []web.Evidence) {
	for _, e := range evidence {
		how := " in a report"
		switch {
		case e.Class == string(bounce.None): // nobody's mail failed
			how = ""
		case e.Sync:
			how = " during delivery"
		}
		fmt.Fprintf(b, "    %s%s, message %s, %s %s", clock(e.Time), how, e.Message, e.Class, e.Reason)
		if e.Diagnostic != "" {
			fmt.Fprintf(b, ": %s", terminal.Clip(e.Diagnostic, 200))
		}
		if e.RemoteMTA != "" {
			fmt.Fprintf(b, " (said by %s)", terminal.Clip(e.RemoteMTA, 80))
		}
		switch {
		case e.Rule == bounce.NoRule:
			b.WriteString(" [no rule matched]")
		case e.Rule != "":
			fmt.Fprintf(b, " [rule %s matched %q]", e.Rule, terminal.Clip(e.Matched, 60))
		}
		b.WriteString("\n")
	}
}

func newHoldAdd() *cobra.Command {
	c := &cobra.Command{Use: "add ADDRESS", Short: "Put an address on hold", Args: cobra.ExactArgs(1)}
	application := c.Flags().String("application", "", "for this `APPLICATION` only (default: all)")
	reason := c.Flags().String("reason", "added by hand", "why, in your own words")
	length := periodFlag(c, "for", "for so long, such as 30d (default: until released)")
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		server, err := dialControl(c)
		if err != nil {
			return err
		}
		in := web.AddHold{Address: args[0], Application: *application, Reason: *reason, By: whoami()}
		if *length > 0 {
			end := time.Now().Add(time.Duration(*length))
			in.Until = &end
		}
		var h web.Hold
		if err := server.call(c.Context(), http.MethodPost, "/api/v1/holds", nil, in, &h); err != nil {
			return err
		}
		if *asJSON {
			return printJSON(c.OutOrStdout(), h)
		}
		return explainHold(c.OutOrStdout(), h)
	}
	return c
}

// whoami names the person at the keyboard, for the record: with sudo the one
// who called it.
func whoami() string {
	if name := os.Getenv("SUDO_USER"); name != "" {
		return name
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "operator"
}

// shellWord gives a word as a shell takes it.
func shellWord(s string) string {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@.+-_=:/") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
