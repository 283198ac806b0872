package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"homing/event"
	"homing/internal/message"
	"homing/internal/terminal"
	"homing/server/web"
)

func newCapture() *cobra.Command {
	return group("capture", "Mail that is kept and not sent (mode = \"capture\")", newCaptureList(), newCaptureShow(), newQueueOperation(releaseCapture), newCaptureExport())
}

var releaseCapture = operation{name: "release", short: "Send mail that was captured",
	long: "Send mail that was captured: one message or recipient of it, or all that the filters mean. It goes as if it had been handed\n" +
		"over now. The mode stays: what comes later is captured as before.",
	example: "  homing capture release --message 01KAQ3V5Z8001\n  homing capture release --application testsite --recipient me@example.org",
	done:    "are sent", would: "would be sent", none: "Nothing of that is captured."}

// captureQuery asks for captured mail by the flags of filterFlags.
func captureQuery(c *cobra.Command, older period) url.Values {
	query := filterQuery(c, older)
	query.Set("state", "captured")
	return query
}

func newCaptureList() *cobra.Command {
	c := &cobra.Command{
		Use: "list", Short: "List captured mail, oldest first",
		Long: "List captured mail, oldest first. It is kept for retention.captured.", Args: cobra.NoArgs,
	}
	var in web.Order
	older := filterFlags(c, &in)
	limit := c.Flags().Int("limit", 100, "at most so many rows")
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if *limit < 1 {
			return usage(c, errLimit)
		}
		server, err := dialControl(c)
		if err != nil {
			return err
		}
		rows, err := server.recipients(c.Context(), "/api/v1/queue", captureQuery(c, *older), *limit)
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(c.OutOrStdout(), rows)
		}
		return printCaptured(c.OutOrStdout(), rows)
	}
	return c
}

func printCaptured(w io.Writer, rows web.Recipients) error {
	if len(rows.Recipients) == 0 {
		_, err := fmt.Fprintln(w, "Nothing like that is captured.")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "MESSAGE\tACCEPTED\tAPPLICATION\tFROM\tRECIPIENT\tSUBJECT")
	for _, r := range rows.Recipients {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", r.Message, clock(r.Accepted), submitter(r), terminal.Line(r.From), terminal.Line(r.Recipient), terminal.Clip(r.Subject, 60))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if rows.Next == "" {
		return nil
	}
	_, err := fmt.Fprintf(w, "There are more: give a larger --limit (now %d).\n", len(rows.Recipients))
	return err
}

func newCaptureShow() *cobra.Command {
	c := &cobra.Command{
		Use: "show ID", Short: "Read a message that waits or was captured",
		Long: "Read a message that waits, is paused or was captured, by its identifier or that of one of its deliveries: its header, its\n" +
			"parts, and its text, that of HTML where there is no other. What it says cannot do anything to your terminal.",
		Args: cobra.ExactArgs(1),
	}
	raw := c.Flags().Bool("raw", false, "print it octet for octet, for a file or another program")
	c.RunE = func(c *cobra.Command, args []string) error {
		var id event.MessageID
		if id.UnmarshalText([]byte(args[0])) != nil {
			return usage(c, fmt.Errorf("%q is not an identifier such as 01KAQ3V5Z8001", args[0]))
		}
		server, err := dialControl(c)
		if err != nil {
			return err
		}
		j, err := server.journeyOf(c.Context(), args[0], pageRows)
		if err != nil {
			return err
		}
		content, err := server.contentOf(c.Context(), j)
		if err != nil {
			return err
		}
		defer content.Close()
		if *raw {
			out, err := octets(c)
			if err == nil {
				_, err = io.Copy(out, content)
			}
			return err
		}
		return tellMessage(c.OutOrStdout(), content)
	}
	return c
}

// contentOf opens a message as it goes to the first recipient who has no
// outcome yet.
func (s *control) contentOf(ctx context.Context, j journey) (io.ReadCloser, error) {
	at := slices.IndexFunc(j.Recipients, func(r web.Recipient) bool { return r.Ended == nil })
	resp, err := s.open(ctx, http.MethodGet, "/api/v1/deliveries/"+j.Recipients[max(at, 0)].Delivery.String()+"/content", nil, nil, "message/rfc822")
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// octets is where octets go that must arrive as they are: not onto a terminal.
func octets(c *cobra.Command) (io.Writer, error) {
	out := c.OutOrStdout()
	if w, ok := out.(*terminal.Writer); ok {
		out = w.W
	}
	if isTerminal(out) {
		return nil, usage(c, errors.New("a message may do anything to a terminal: write it into a file or a pipe"))
	}
	return out, nil
}

// tellMessage shows a message to people.
func tellMessage(w io.Writer, content io.Reader) error {
	mail, err := message.Walker{}.Walk(content)
	if err != nil {
		return fmt.Errorf("reading the message: %w", err)
	}
	var b strings.Builder
	for _, name := range web.ShownFields {
		if text := mail.Fields.Text(name); text != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, terminal.Line(text))
		}
	}
	var plain, markup []string
	for i := range mail.Parts {
		p := &mail.Parts[i]
		fmt.Fprintf(&b, "Part %d: %s, %d octets\n", i+1, terminal.Line(p.Type), p.Size)
		switch p.Type {
		case "text/plain":
			plain = append(plain, p.Text())
		case "text/html":
			markup = append(markup, message.TextOfHTML(p.Text()))
		}
	}
	if len(plain) == 0 {
		plain = markup
	}
	for _, text := range plain {
		fmt.Fprintf(&b, "\n%s\n", terminal.Lines(strings.TrimRight(text, "\n")))
	}
	if mail.Limited {
		b.WriteString("\nThere is more in it than is shown here: see --raw.\n")
	}
	_, err = io.WriteString(w, b.String())
	return err
}

func newCaptureExport() *cobra.Command {
	c := &cobra.Command{
		Use: "export FILE", Short: "Write captured mail into a mailbox file",
		Long: "Write captured mail into a new mailbox file (mbox), which mail programs can open: all of it, or what the filters mean. \"-\" is\n" +
			"the standard output. Envelope-To says for whom each copy is.",
		Example: "  homing capture export --application testsite test.mbox", Args: cobra.ExactArgs(1),
	}
	var in web.Order
	older := filterFlags(c, &in)
	c.RunE = func(c *cobra.Command, args []string) error {
		server, err := dialControl(c)
		if err != nil {
			return err
		}
		resp, err := server.open(c.Context(), http.MethodGet, "/api/v1/queue/export", captureQuery(c, *older), nil, "application/mbox")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if args[0] == "-" {
			out, err := octets(c)
			if err == nil {
				_, err = io.Copy(out, resp.Body)
			}
			return err
		}
		return writeNew(args[0], resp.Body)
	}
	return c
}

// writeNew writes a file that was not there, for its owner alone. What cannot
// be written whole is removed.
func writeNew(path string, from io.Reader) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("%w: name a file that is not there yet", err)
	}
	_, err = io.Copy(f, from)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", path, err), os.Remove(path))
	}
	return nil
}
