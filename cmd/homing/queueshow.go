package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"homing/event"
	"homing/internal/terminal"
	"homing/server/web"
)

func newQueueShow() *cobra.Command {
	c := &cobra.Command{
		Use:   "show ID",
		Short: "Show what is known of a message, recipient by recipient",
		Long:  "Show what is known of a message by the identifier that it was queued as, or of one delivery by its own (\"item\" in the log).",
		Args:  cobra.ExactArgs(1),
	}
	limit := c.Flags().Int("limit", 100, "at most so many recipients, the last ones")
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		var id event.MessageID
		if id.UnmarshalText([]byte(args[0])) != nil {
			return usage(c, fmt.Errorf("%q is not an identifier such as 01KAQ3V5Z8001", args[0]))
		}
		if *limit < 1 {
			return usage(c, errLimit)
		}
		server, err := dialControl(c)
		if err != nil {
			return err
		}
		j, err := server.journeyOf(c.Context(), args[0], *limit)
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(c.OutOrStdout(), j)
		}
		return showRecipients(c.OutOrStdout(), j)
	}
	return c
}

// showRecipients prints everything that is known, a line each.
func showRecipients(w io.Writer, j journey) error {
	var b strings.Builder
	if j.Earlier > 0 {
		fmt.Fprintf(&b, "%d recipients before these are not shown: give a larger --limit.\n", j.Earlier)
	}
	for _, r := range j.Recipients {
		fmt.Fprintf(&b, "%s\n", terminal.Line(r.Recipient))
		for _, line := range details(r) {
			if line[1] != "" {
				fmt.Fprintf(&b, "  %-12s %s\n", line[0], line[1])
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// details are the lines about one recipient; those without a value are left
// out.
func details(r web.Recipient) [][2]string {
	lines := [][2]string{
		{"message", r.Message.String()}, {"delivery", r.Delivery.String()}, {"state", r.State},
		{"application", submitter(r)}, {"campaign", terminal.Clip(r.Campaign, 200)}, {"subject", terminal.Clip(r.Subject, 200)},
		{"from", terminal.Line(r.From)}, {"sender", terminal.Line(r.Sender)}, {"return path", terminal.Line(r.ReturnPath)},
		{"provider", terminal.Line(r.Provider)}, {"size", fmt.Sprintf("%d octets", r.Size)}, {"accepted", clock(r.Accepted)},
		{"attempts", fmt.Sprint(r.Attempts)},
	}
	if r.SendAt != nil {
		lines = append(lines, [2]string{"send at", clock(*r.SendAt)})
	}
	if r.Next != nil {
		lines = append(lines, [2]string{"next", attemptAt(*r.Next)})
	}
	if r.Expires != nil {
		lines = append(lines, [2]string{"expires", clock(*r.Expires)})
	}
	if r.Ended != nil {
		lines = append(lines, [2]string{"ended", clock(*r.Ended)})
	}
	if r.Pause != nil {
		lines = append(lines, [2]string{"paused", fmt.Sprintf("with %s, %s", meant(*r.Pause), decided(*r.Pause))})
	}
	if r.Last != nil {
		lines = append(lines, [2]string{"last answer", strings.TrimPrefix(lastAnswer(r), " The last answer, ")})
	}
	return append(lines, [2]string{"taken by", terminal.Line(r.MTA)})
}
