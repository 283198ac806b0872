package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"homing/internal/terminal"
	"homing/queue"
	"homing/server/web"
)

func newQueueCampaigns() *cobra.Command {
	c := &cobra.Command{
		Use:   "campaigns",
		Short: "List the campaigns under way, when each will be through, and what limits it",
		Long: "List the campaigns of which something waits, when each will be through as things are now, and the limit that determines it:\n" +
			"`homing plan --help` says what that goes by.",
		Args: cobra.NoArgs,
	}
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return show(c, "/api/v1/queue/campaigns", nil, *asJSON, func(w io.Writer, all web.Campaigns) error { return printCampaigns(w, all.Campaigns) })
	}
	return c
}

func printCampaigns(w io.Writer, all []queue.Campaign) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(w, "No campaign waits.")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "CAMPAIGN\tAPPLICATION\tWAITING\tPAUSED\tTHROUGH AT\tLIMITED BY")
	for _, c := range all {
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\t%s\t%s\n", terminal.Clip(c.Campaign, 60), terminal.Line(c.Application), c.Waiting, c.Paused, throughAt(c.Through), limitAt(c))
	}
	return t.Flush()
}

// limitAt names what limits a campaign, and where.
func limitAt(c queue.Campaign) string {
	if c.Provider == "" {
		return limitWords(c.LimitedBy, c.Limit)
	}
	return terminal.Line(c.Provider) + ": " + limitWords(c.LimitedBy, c.Limit)
}

// underWay says in a line how a campaign is getting on.
func underWay(c queue.Campaign) string {
	words := fmt.Sprintf("%s of %s, %s", terminal.Clip(c.Campaign, 60), terminal.Line(c.Application), recipients(c.Waiting, "wait"))
	if c.Paused > 0 {
		words += fmt.Sprintf(", %d of them paused", c.Paused)
	}
	if c.Through == nil {
		return words
	}
	return words + fmt.Sprintf("; through at %s (%s)", clock(*c.Through), limitAt(c))
}
