package main

import (
	"cmp"
	"fmt"
	"io"
	"net/url"
	"strconv"
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
		return show(c, "/api/v1/queue/plan", url.Values{"recipients": {strconv.Itoa(n)}}, *asJSON, printPlan)
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
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%s\n", name, s.Recipients, s.Waiting, throughAt(s.Through), limitWords(s.LimitedBy, s.Limit))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, planWords(p, time.Now()))
	return err
}

// planWords is a plan in a sentence.
func planWords(p queue.Plan, now time.Time) string {
	why := limitWords(p.LimitedBy, p.Limit)
	if p.Provider != "" {
		why = terminal.Line(p.Provider) + ": " + why
	}
	if p.Through == nil {
		return "Nobody can say when a mailing to " + people(p.Recipients) + " would be through that began now. What holds it up is " + why + "."
	}
	return fmt.Sprintf("A mailing to %s that began now would be through at %s (%s). What takes longest is %s.", people(p.Recipients), clock(*p.Through), within(p.Through.Sub(now)), why)
}

// throughAt is when something will be over, if anybody can say.
func throughAt(t *time.Time) string {
	if t == nil {
		return "nobody can say when"
	}
	return clock(*t)
}

// within is how long something takes, from now on.
func within(d time.Duration) string {
	switch {
	case d < time.Second:
		return "at once"
	case d < time.Hour:
		return "in " + d.Round(time.Second).String()
	}
	minutes := int(d.Round(time.Minute).Minutes())
	days, hours, minutes := minutes/(24*60), minutes/60%24, minutes%60
	switch {
	case days == 0:
		return fmt.Sprintf("in %dh%dm", hours, minutes)
	case hours == 0:
		return fmt.Sprintf("in %dd", days)
	}
	return fmt.Sprintf("in %dd%dh", days, hours)
}

// limitWords says what determines how long mail takes: in words where there are
// some.
func limitWords(name, words string) string {
	return cmp.Or(terminal.Clip(words, 120), name)
}
