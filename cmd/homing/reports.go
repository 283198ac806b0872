package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"homing/internal/terminal"
	"homing/server/reports"
)

func newReports() *cobra.Command {
	c := &cobra.Command{
		Use:   "reports [DOMAIN]",
		Short: "Say who sends in our name, as the DMARC and TLS reports of others claim, and what to do",
		Long: "Say who sends in the name of our domains, or of one, what share of it passes DMARC, and what to do: as receivers of mail claim in\n" +
			"the reports that came to the address for them. It also says how TLS with our mail hosts went. Who wrote a report nothing proves.",
		Example: "  homing reports\n  homing reports example.org --since 7d",
		Args:    cobra.MaximumNArgs(1),
	}
	periodFlag(c, "since", "only the reports about this time, such as 7d (default: as long as is kept)")
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		query := asked(c, "since")
		if len(args) > 0 {
			query.Set("domain", args[0])
		}
		return show(c, "/api/v1/reports", query, *asJSON, printReports)
	}
	return c
}

func printReports(w io.Writer, a reports.Answer) error {
	for i, d := range a.Domains {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if err := printReported(w, d); err != nil {
			return err
		}
	}
	if len(a.Domains) == 0 {
		fmt.Fprintln(w, "No report says anything of this domain.")
	}
	var words []string
	for _, u := range a.Unread {
		words = append(words, fmt.Sprintf("%d (%s)", u.Count, u.Reason))
	}
	if len(words) == 0 {
		return nil
	}
	_, err := fmt.Fprintf(w, "\nNot understood since the server started: %s. The log says why.\n", strings.Join(words, ", "))
	return err
}

// printReported prints what was reported of one domain.
func printReported(w io.Writer, d reports.Domain) error {
	name := terminal.Line(d.Domain)
	if d.Messages > 0 {
		fmt.Fprintf(w, "%s: %s of %s in its name pass DMARC%s.\n", name, percent(d.Pass, d.Messages), number(d.Messages, "message", "messages"), reportedBy(d))
	} else {
		fmt.Fprintf(w, "%s: no message in its name was reported%s.\n", name, reportedBy(d))
	}
	if err := printSources(w, d); err != nil {
		return err
	}
	if all := d.TLS.Good + d.TLS.Failed; all > 0 {
		fmt.Fprintf(w, "TLS: %s of %s with its mail hosts went well.\n", percent(d.TLS.Good, all), number(all, "session", "sessions"))
	}
	for _, text := range d.Advice {
		fmt.Fprintf(w, "- %s\n", terminal.Clip(text, 800))
	}
	if d.Messages > 0 && len(d.Advice) == 0 {
		fmt.Fprintln(w, "Nothing is to be done.")
	}
	return nil
}

// percent is a share with one digit, which is 100 or 0 only where it is that.
func percent(part, all int) string {
	p := float64(part) * 100 / float64(all)
	switch {
	case part < all && p > 99.9:
		p = 99.9
	case part > 0 && p < 0.1:
		p = 0.1
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", p), ".0") + " %"
}

// reportersNamed is how many reporters a line names.
const reportersNamed = 5

// reportedBy says by whom and when, and the policy.
func reportedBy(d reports.Domain) string {
	if d.Reports == 0 {
		return ""
	}
	words := fmt.Sprintf(", by %s about %s", number(d.Reports, "report", "reports"), d.Since)
	if d.Until != d.Since {
		words += " to " + d.Until
	}
	var names []string
	for _, r := range d.Reporters {
		if r.Name != "" && len(names) < reportersNamed {
			names = append(names, terminal.Clip(r.Name, 40))
		}
	}
	if more := len(d.Reporters) - len(names); more > 0 && len(names) > 0 {
		names = append(names, fmt.Sprintf("%d others", more))
	}
	if len(names) > 0 {
		words += " of " + strings.Join(names, ", ")
	}
	if d.Policy != "" {
		words += "; its policy is p=" + terminal.Line(d.Policy)
	}
	return words
}

// sourcesPrinted is how many sources a person is shown; --json has more.
const sourcesPrinted = 15

// printSources prints where mail came from.
func printSources(w io.Writer, d reports.Domain) error {
	if len(d.Sources) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SOURCE\tMESSAGES\tPASS\tBY DKIM\tBY SPF\tLAST")
	rest := d.Others
	for i, s := range d.Sources {
		if i >= sourcesPrinted {
			rest.Messages, rest.Pass, rest.DKIM, rest.SPF = rest.Messages+s.Messages, rest.Pass+s.Pass, rest.DKIM+s.DKIM, rest.SPF+s.SPF
			continue
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%s\n", sourceOf(s), s.Messages, s.Pass, s.DKIM, s.SPF, s.Last)
	}
	if rest.Messages > 0 {
		fmt.Fprintf(t, "all others\t%d\t%d\t%d\t%d\t\n", rest.Messages, rest.Pass, rest.DKIM, rest.SPF)
	}
	return t.Flush()
}

// sourceOf is an address with what is known of it.
func sourceOf(s reports.Source) string {
	words := s.Address.String()
	switch {
	case s.Own:
		words += " (yours)"
	case s.Name != "":
		words += " (" + terminal.Clip(s.Name, 60) + ")"
	}
	if s.Signed > 0 && !s.Own {
		words += ", your signature"
	}
	return words
}
