package main

import (
	"cmp"
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
	b.WriteString(verdictWords(s) + "\n")
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
	fmt.Fprintf(&b, "  configuration: %s, state: %s, log: journalctl -u homing\n", s.Config, s.DataDir)
	fmt.Fprintf(&b, "  told by mail: %s\n", cmp.Or(strings.Join(s.Notify, ", "), "nobody"))
	tellItems(&b, "To keep it running somebody must have:", s.Accounts)
	tellItems(&b, "Secrets that are old enough for new ones:", s.Due)
	for _, a := range s.Attention {
		first, rest, _ := strings.Cut(a, "\n")
		fmt.Fprintf(&b, "ATTENTION: %s\n", terminal.Clip(first, 500))
		for line := range strings.Lines(rest) {
			fmt.Fprintf(&b, "    %s\n", terminal.Clip(strings.TrimRight(line, "\n"), 500))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// verdictWords says whether it works, for somebody who knows nothing of it.
func verdictWords(s web.Status) string {
	things := "1 thing needs attention"
	if len(s.Attention) != 1 {
		things = fmt.Sprintf("%d things need attention", len(s.Attention))
	}
	switch s.Verdict {
	case web.Broken:
		return "Something is broken; " + things + ", below."
	case web.Troubled:
		return "It works; " + things + ", below."
	}
	if s.Checked == nil {
		return "It works, as far as is known: it has not checked itself yet."
	}
	return fmt.Sprintf("It works. Nothing needs attention; it checked itself at %s.", clock(*s.Checked))
}

func tellItems(b *strings.Builder, title string, all []string) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintf(b, "%s\n", title)
	for _, one := range all {
		fmt.Fprintf(b, "  - %s\n", strings.ReplaceAll(terminal.Lines(one), "\n", "\n    "))
	}
}
