package main

import (
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"homing/server/web"
)

func newTrace() *cobra.Command {
	c := &cobra.Command{
		Use:   "trace ADDRESS|ID",
		Short: "Tell the journey of a recipient or a message in plain words",
		Args:  cobra.ExactArgs(1),
	}
	limit := c.Flags().Int("limit", 100, "at most so many deliveries")
	asJSON := asJSON(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		server, err := dialControl(c)
		if err != nil {
			return err
		}
		path := "/api/v1/recipients/"
		if !strings.Contains(args[0], "@") {
			path = "/api/v1/messages/"
		}
		rows, err := server.recipients(c, path+url.PathEscape(args[0]), url.Values{}, *limit)
		if notFound(err) {
			err = nil
		}
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(c.OutOrStdout(), rows)
		}
		return tell(c.OutOrStdout(), args[0], rows)
	}
	return c
}

// tell is the journey in plain words, also when there was none.
func tell(w io.Writer, whom string, rows web.Recipients) error {
	var b strings.Builder
	for _, r := range rows.Recipients {
		fmt.Fprintf(&b, "%s  message %s to %s\n", clock(r.Accepted), r.Message, printable(r.Recipient))
		fmt.Fprintf(&b, "  %s handed it over", clip(r.Application, 60))
		if r.Subject != "" {
			fmt.Fprintf(&b, ": %q", clip(r.Subject, 60))
		}
		fmt.Fprintf(&b, ", from %s", printable(r.From))
		if r.Campaign != "" {
			fmt.Fprintf(&b, ", campaign %s", clip(r.Campaign, 60))
		}
		fmt.Fprintf(&b, ".\n  %s\n", fate(r))
	}
	if len(rows.Recipients) == 0 {
		name := printable(whom)
		fmt.Fprintf(&b, "We were never asked to mail %s, or it is so long ago that it is forgotten: look at opt-outs and groups in the application.\n", name)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return err
	}
	if rows.Hold != nil {
		return explainHold(w, *rows.Hold)
	}
	return nil
}

// fate says what became of one recipient.
func fate(r web.Recipient) string {
	said := ""
	if r.Last != nil {
		said = fmt.Sprintf(" %s said: %s", orSomebody(r.Last.RemoteMTA), clip(r.Last.Diagnostic, 300))
		if r.Last.Reason != "" {
			said += fmt.Sprintf(" (%s, %s)", r.Last.Class, r.Last.Reason)
		}
		said += "."
	}
	ended := ""
	if r.Ended != nil {
		ended = " on " + clock(*r.Ended)
	}
	switch r.State {
	case "waiting":
		return fmt.Sprintf("It waits; attempts so far: %d, the next one on %s.%s", r.Attempts, clock(*r.Next), said)
	case "delivered":
		return fmt.Sprintf("It was delivered%s: %s took it.", ended, orSomebody(r.MTA))
	case "bounced":
		return fmt.Sprintf("It bounced%s.%s", ended, said)
	case "expired":
		return fmt.Sprintf("It was given up%s after %d attempts.%s", ended, r.Attempts, said)
	case "suppressed":
		return fmt.Sprintf("It was not sent%s, because the address was on hold.", ended)
	case "captured":
		return "It was captured: kept, and not sent."
	case "cancelled":
		return fmt.Sprintf("It was cancelled%s.", ended)
	}
	return "It is " + r.State + "." + said
}

func orSomebody(mta string) string {
	if mta == "" {
		return "the other side"
	}
	return clip(mta, 120)
}
