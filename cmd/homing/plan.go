package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"homing/internal/terminal"
	"homing/queue"
	"homing/server/web"
)

func newPlan() *cobra.Command {
	c := &cobra.Command{
		Use:   "plan RECIPIENTS",
		Short: "Say when a mailing to so many recipients would be through, by provider, and what limits it",
		Long: "Say when a mailing to so many recipients would be through that began now, by provider, and what limits it. It goes by what was\n" +
			"delivered in the last 30 days, by how fast that was, and by what waits already.",
		Example: "  homing plan 500000",
		Args:    cobra.ExactArgs(1),
	}
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		n, err := strconv.Atoi(args[0])
		if err != nil || n < 1 || n > web.MostRecipients {
			return usage(c, fmt.Errorf("%q is no number of recipients from 1 to %d", args[0], web.MostRecipients))
		}
		server, err := dialControl(c)
		if err != nil {
			return err
		}
		var p queue.Plan
		if err := server.call(c.Context(), http.MethodGet, "/api/v1/queue/plan", url.Values{"recipients": {strconv.Itoa(n)}}, nil, &p); err != nil {
			return err
		}
		if *asJSON {
			return printJSON(c.OutOrStdout(), p)
		}
		return printPlan(c.OutOrStdout(), p)
	}
	return c
}

func printPlan(w io.Writer, p queue.Plan) error {
	switch p.Basis {
	case queue.BasisDelivered:
		fmt.Fprintf(w, "By what was delivered since %s.\n", p.Since.Local().Format("2006-01-02"))
	case queue.BasisWaiting:
		fmt.Fprintln(w, "Nothing was delivered lately: this goes by what waits now, and its speed is a guess.")
	default:
		fmt.Fprintln(w, "Nothing is known yet of who has your recipients: this is a guess, as if one provider had all of them.")
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PROVIDER\tRECIPIENTS\tWAITING BEFORE\tTHROUGH AT\tLIMITED BY")
	for _, s := range p.Sites {
		name := terminal.Line(s.Provider)
		if s.Sites > 1 {
			name += fmt.Sprintf(" (%d)", s.Sites)
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%s\n", name, s.Recipients, s.Waiting, throughAt(s.Through), limitedBy(s.LimitedBy, s.Limit))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	where := ""
	if p.Provider != "" {
		where = " at " + terminal.Line(p.Provider)
	}
	_, err := fmt.Fprintf(w, "A mailing to %d recipients that began now would be through at %s%s, limited%s by %s.\n",
		p.Recipients, throughAt(p.Through), within(p.Through), where, limitedBy(p.LimitedBy, p.Limit))
	return err
}

// throughAt is when something will be over, if anybody can say.
func throughAt(t *time.Time) string {
	if t == nil {
		return "nobody can say when"
	}
	return clock(*t)
}

// within is how long that takes, in brackets.
func within(t *time.Time) string {
	if t == nil {
		return ""
	}
	d := time.Until(*t)
	if d > time.Hour {
		return fmt.Sprintf(" (in %s)", strings.TrimSuffix(d.Round(time.Minute).String(), "0s"))
	}
	return fmt.Sprintf(" (in %s)", d.Round(time.Second))
}

// limitedBy names a limit, with its words.
func limitedBy(name, words string) string {
	if words == "" {
		return name
	}
	return name + ": " + terminal.Clip(words, 120)
}
