package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/user"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"homing/server/web"
)

func newHold() *cobra.Command {
	return group("hold", "Addresses that are not mailed", newHoldList(), newHoldShow(), newHoldAdd(), newHoldRelease())
}

func newHoldList() *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List the addresses on hold", Args: cobra.NoArgs}
	asJSON := asJSON(c)
	all := c.Flags().Bool("all", false, "also addresses against which something is known that holds nothing yet")
	c.RunE = func(c *cobra.Command, _ []string) error {
		server, err := dialControl(c)
		if err != nil {
			return err
		}
		holds, err := server.holds(c, *all)
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(c.OutOrStdout(), holds)
		}
		return printHolds(c.OutOrStdout(), holds)
	}
	return c
}

// holds reads the whole list, page by page.
func (s *control) holds(c *cobra.Command, all bool) (web.Holds, error) {
	out := web.Holds{Holds: []*web.Hold{}}
	query := url.Values{"limit": {"1000"}}
	if all {
		query.Set("all", "1")
	}
	for {
		var page web.Holds
		if err := s.call(c.Context(), http.MethodGet, "/api/v1/holds", query, nil, &page); err != nil {
			return out, err
		}
		out.Holds = append(out.Holds, page.Holds...)
		if page.Next == "" {
			return out, nil
		}
		query.Set("after", page.Next)
	}
}

func printHolds(w io.Writer, holds web.Holds) error {
	if len(holds.Holds) == 0 {
		_, err := fmt.Fprintln(w, "No address is on hold.")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ADDRESS\tAPPLICATION\tSINCE\tUNTIL\tRULE\tREASON\tWHAT WAS SAID")
	for _, h := range holds.Holds {
		for _, s := range h.Scopes {
			for _, r := range s.Holds {
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", printable(h.Address), scopeName(s.Application), clock(r.Since), until(r), r.Rule, r.Reason, lastSaid(r.Evidence))
			}
			if len(s.Holds) == 0 && len(s.Evidence) > 0 {
				fmt.Fprintf(t, "%s\t%s\t\t\tnot held\t\t%s\n", printable(h.Address), scopeName(s.Application), lastSaid(s.Evidence))
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
		return "released"
	}
	return clock(*r.Until)
}

func lastSaid(e []web.Evidence) string {
	if len(e) == 0 {
		return ""
	}
	return clip(e[len(e)-1].Diagnostic, 60)
}

func newHoldShow() *cobra.Command {
	c := &cobra.Command{Use: "show ADDRESS", Short: "Explain what is known against an address", Args: cobra.ExactArgs(1)}
	asJSON := asJSON(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		server, err := dialControl(c)
		if err != nil {
			return err
		}
		var h web.Hold
		err = server.call(c.Context(), http.MethodGet, "/api/v1/holds/"+url.PathEscape(args[0]), nil, nil, &h)
		if notFound(err) {
			return fmt.Errorf("nothing is known against %s: it is not on hold", args[0])
		}
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(c.OutOrStdout(), h)
		}
		return explainHold(c.OutOrStdout(), h)
	}
	return c
}

// explainHold says in plain words which replies, which rule, until when.
func explainHold(w io.Writer, h web.Hold) error {
	var b strings.Builder
	if h.Held {
		fmt.Fprintf(&b, "%s is on hold.\n", printable(h.Address))
	} else {
		fmt.Fprintf(&b, "%s is not on hold.\n", printable(h.Address))
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
		fmt.Fprintf(&b, "To mail it again: homing hold release %s\n", printable(h.Address))
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
	fmt.Fprintf(b, "  For %s, %s is held since %s, %s, because %s (%s, by %s).\n", scopeName(s.Application), what, clock(r.Since), end, why, clip(r.Reason, 80), clip(r.By, 40))
	explainEvidence(b, r.Evidence)
}

func explainEvidence(b *strings.Builder, evidence []web.Evidence) {
	for _, e := range evidence {
		how := "in a report"
		if e.Sync {
			how = "during delivery"
		}
		fmt.Fprintf(b, "    %s %s, message %s, %s %s: %s", clock(e.Time), how, e.Message, e.Class, e.Reason, clip(e.Diagnostic, 200))
		if e.RemoteMTA != "" {
			fmt.Fprintf(b, " (said by %s)", clip(e.RemoteMTA, 80))
		}
		if e.Rule != "" {
			fmt.Fprintf(b, " [rule %s matched %q]", e.Rule, clip(e.Matched, 60))
		}
		b.WriteString("\n")
	}
}

func newHoldAdd() *cobra.Command {
	c := &cobra.Command{Use: "add ADDRESS", Short: "Put an address on hold", Args: cobra.ExactArgs(1)}
	application := c.Flags().String("application", "", "for this `APPLICATION` only (default: all)")
	reason := c.Flags().String("reason", "added by hand", "why, in your own words")
	days := c.Flags().Int("days", 0, "for so many days (default: until released)")
	asJSON := asJSON(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		server, err := dialControl(c)
		if err != nil {
			return err
		}
		in := web.AddHold{Address: args[0], Application: *application, Reason: *reason, By: whoami()}
		if *days > 0 {
			end := time.Now().AddDate(0, 0, *days)
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

// whoami names the person at the keyboard, for the record.
func whoami() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "operator"
}

func newHoldRelease() *cobra.Command {
	c := &cobra.Command{Use: "release ADDRESS…", Short: "Let addresses be mailed again", Args: cobra.MinimumNArgs(1)}
	application := c.Flags().String("application", "", "for this `APPLICATION` only (default: all)")
	dryRun := c.Flags().Bool("dry-run", false, "say what would be released and release nothing")
	asJSON := asJSON(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		server, err := dialControl(c)
		if err != nil {
			return err
		}
		var out []released
		for _, address := range args {
			r, err := server.release(c, address, *application, *dryRun)
			if err != nil {
				return err
			}
			out = append(out, r)
		}
		if *asJSON {
			return printJSON(c.OutOrStdout(), out)
		}
		for _, r := range out {
			fmt.Fprintln(c.OutOrStdout(), r)
		}
		return nil
	}
	return c
}

// released says what a release did to one address.
type released struct {
	Address  string `json:"address"`
	Released bool   `json:"released"`
	DryRun   bool   `json:"dry_run,omitempty"`
}

func (r released) String() string {
	switch {
	case !r.Released:
		return printable(r.Address) + " was not on hold."
	case r.DryRun:
		return printable(r.Address) + " would be released."
	}
	return printable(r.Address) + " is released: it will be mailed again."
}

func (s *control) release(c *cobra.Command, address, application string, dryRun bool) (released, error) {
	path := "/api/v1/holds/" + url.PathEscape(address)
	out := released{Address: address, DryRun: dryRun}
	var err error
	if dryRun {
		var h web.Hold
		err = s.call(c.Context(), http.MethodGet, path, nil, nil, &h)
		out.Released = h.Held
	} else {
		err = s.call(c.Context(), http.MethodDelete, path, url.Values{"application": {application}}, nil, nil)
		out.Released = err == nil
	}
	if notFound(err) {
		err = nil
	}
	return out, err
}
