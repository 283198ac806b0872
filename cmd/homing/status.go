package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"homing/internal/terminal"
	"homing/server/web"
)

func newStatus() *cobra.Command {
	c := &cobra.Command{
		Use:   "status",
		Short: "One screen: is it working, what needs attention, what to do",
		Args:  cobra.NoArgs,
	}
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return show(c, "/api/v1/status", nil, *asJSON, printStatus)
	}
	return c
}

func printStatus(w io.Writer, s web.Status) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Homing %s at %s, mode %s, running since %s: %s.\n", s.Version, s.Hostname, s.Mode, clock(s.Started), s.Ready)
	fmt.Fprintf(&b, "%s.\n", recipients(s.Waiting, "wait"))
	for _, c := range s.Campaigns {
		fmt.Fprintf(&b, "  campaign: %s\n", underWay(c))
	}
	for _, p := range s.Pauses {
		if !p.Standing { // the others need attention
			fmt.Fprintf(&b, "  set aside: %s with %s, %s\n", people(p.Recipients), meant(*p), decided(*p))
		}
	}
	for _, l := range s.Listen {
		fmt.Fprintf(&b, "  listening: %-12s %s\n", l.What, l.Address)
	}
	for _, a := range s.Apps {
		today := people(a.SentToday)
		if a.Limit > 0 {
			today = fmt.Sprintf("%d of %s", a.SentToday, people(a.Limit))
		}
		fmt.Fprintf(&b, "  application: %s (%s), mode %s, %s today\n", a.Name, a.Kind, a.Mode, today)
	}
	for _, k := range s.Sinks {
		fmt.Fprintf(&b, "  sink: %s (%s), %s", k.Name, k.Type, k.State)
		if k.Parked > 0 {
			fmt.Fprintf(&b, ", %d events parked", k.Parked)
		}
		if k.Error != "" {
			fmt.Fprintf(&b, ": %s", terminal.Clip(k.Error, 120))
		}
		b.WriteString("\n")
	}
	if len(s.Attention) == 0 {
		b.WriteString("Nothing needs attention.\n")
	}
	for _, a := range s.Attention {
		fmt.Fprintf(&b, "ATTENTION: %s\n", terminal.Clip(a, 300))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
