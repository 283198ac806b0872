package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"homing/event"
	"homing/internal/terminal"
	"homing/server"
	"homing/server/web"
)

func newTrace() *cobra.Command {
	c := &cobra.Command{
		Use:   "trace ADDRESS|ID",
		Short: "Tell the journey of a recipient or a message in plain words",
		Long: "Tell the journey of a recipient in plain words: all mail to an address, a message by the identifier that it was\n" +
			"queued as, or one delivery by its own (\"item\" in the log).",
		Args: cobra.ExactArgs(1),
	}
	limit := c.Flags().Int("limit", 100, "at most so many deliveries, the youngest")
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		var id event.MessageID
		isAddress := strings.Contains(args[0], "@")
		if !isAddress && id.UnmarshalText([]byte(args[0])) != nil {
			return usage(c, fmt.Errorf("%q is neither an address nor an identifier such as 01KAQ3V5Z8001", args[0]))
		}
		if *limit < 1 {
			return usage(c, errLimit)
		}
		server, err := dialControl(c)
		if err != nil {
			return err
		}
		var j journey
		if isAddress {
			j, err = server.journey(c.Context(), "/api/v1/recipients/"+url.PathEscape(args[0]), *limit)
		} else {
			j, err = server.journeyOf(c.Context(), args[0], *limit)
		}
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(c.OutOrStdout(), j)
		}
		return j.tell(c.OutOrStdout(), args[0])
	}
	return c
}

// A journey is what `homing trace --json` prints.
type journey struct {
	Recipients []web.Recipient `json:"recipients"` // oldest first
	Hold       *web.Hold       `json:"hold,omitempty"`
	Earlier    int             `json:"earlier,omitempty"` // deliveries before these that --limit left out
}

// journey reads a list of deliveries to its end and keeps the youngest.
func (s *control) journey(ctx context.Context, path string, limit int) (journey, error) {
	j := journey{Recipients: []web.Recipient{}}
	query := url.Values{"limit": {fmt.Sprint(pageRows)}}
	for {
		var page web.Recipients
		if err := s.call(ctx, http.MethodGet, path, query, nil, &page); err != nil {
			return j, err
		}
		j.Hold = page.Hold
		j.Recipients = append(j.Recipients, page.Recipients...)
		if extra := len(j.Recipients) - limit; extra > 0 {
			j.Recipients = slices.Delete(j.Recipients, 0, extra)
			j.Earlier += extra
		}
		if page.Next == "" {
			return j, nil
		}
		query.Set("after", page.Next)
	}
}

// journeyOf looks for a message and for a delivery: they are numbered apart, so
// that one identifier can be both.
func (s *control) journeyOf(ctx context.Context, id string, limit int) (journey, error) {
	message, err := s.journey(ctx, "/api/v1/messages/"+id, limit)
	if err != nil && !notFound(err) {
		return message, err
	}
	var delivery web.Recipients
	err = s.call(ctx, http.MethodGet, "/api/v1/deliveries/"+id, nil, nil, &delivery)
	if err != nil && !notFound(err) {
		return message, err
	}
	for _, r := range delivery.Recipients {
		if !slices.ContainsFunc(message.Recipients, func(m web.Recipient) bool { return m.Delivery == r.Delivery }) {
			message.Recipients = append(message.Recipients, r)
		}
	}
	if len(message.Recipients) == 0 {
		return message, fmt.Errorf("no message and no delivery has the identifier %s, or it is so long ago that it is forgotten: look for the address instead", id)
	}
	return message, nil
}

// tell is the journey in plain words, also when there was none.
func (j journey) tell(w io.Writer, whom string) error {
	var b strings.Builder
	if j.Earlier > 0 {
		fmt.Fprintf(&b, "%d earlier deliveries are not shown: give a larger --limit.\n", j.Earlier)
	}
	for _, r := range j.Recipients {
		fmt.Fprintf(&b, "%s  message %s to %s\n", clock(r.Accepted), r.Message, terminal.Line(r.Recipient))
		fmt.Fprintf(&b, "  %s", origin(r))
		if r.Subject != "" {
			fmt.Fprintf(&b, ": %q", terminal.Clip(r.Subject, 60))
		}
		if r.From != "" {
			fmt.Fprintf(&b, ", from %s", terminal.Line(r.From))
		}
		if r.Campaign != "" {
			fmt.Fprintf(&b, ", campaign %s", terminal.Clip(r.Campaign, 60))
		}
		fmt.Fprintf(&b, ".\n  %s\n", fate(r))
		for _, reply := range r.Replies {
			fmt.Fprintf(&b, "  A reply of %s went on to %s on %s, as message %s. %s\n",
				terminal.Line(replyOf(reply)), terminal.Line(reply.Recipient), clock(reply.Accepted), reply.Message, fate(reply))
		}
	}
	if len(j.Recipients) == 0 {
		fmt.Fprintf(&b, "We were never asked to mail %s, or it is so long ago that it is forgotten: look at opt-outs and groups in the application.\n", terminal.Line(whom))
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return err
	}
	if j.Hold != nil {
		return explainHold(w, *j.Hold)
	}
	return nil
}

// origin says who handed mail over: an application, or we ourselves, or somebody
// who wrote back.
func origin(r web.Recipient) string {
	switch writer := replyOf(r); {
	case r.Application != "":
		return terminal.Clip(r.Application, 60) + " handed it over"
	case writer != "":
		return "Homing passed on a reply of " + terminal.Line(writer)
	}
	return "Homing itself handed it over"
}

// submitter is who handed a message over, in a column.
func submitter(r web.Recipient) string {
	return terminal.Clip(cmp.Or(r.Application, "Homing"), 60)
}

// replyOf says who wrote a reply that was passed on; "": it is none.
func replyOf(r web.Recipient) string {
	texts := map[string]string{}
	if r.Application != "" || json.Unmarshal([]byte(r.Metadata), &texts) != nil {
		return ""
	}
	return texts[server.ReplyOf]
}

// fate says what became of one recipient.
func fate(r web.Recipient) string {
	said, ended := lastAnswer(r), ""
	if r.Ended != nil {
		ended = " on " + clock(*r.Ended)
	}
	switch r.State {
	case "waiting":
		if r.SendAt != nil && r.SendAt.After(time.Now()) {
			return fmt.Sprintf("It is to be sent on %s, as whoever handed it over wanted. `homing queue cancel --message %s` gives it up.", clock(*r.SendAt), r.Message)
		}
		next := "one is due"
		if r.Next != nil && r.Next.After(time.Now()) {
			next = "the next one on " + clock(*r.Next)
		}
		return fmt.Sprintf("It waits; attempts so far: %d, %s.%s", r.Attempts, next, said)
	case "paused":
		if r.Pause == nil {
			return "It is paused." + said
		}
		return fmt.Sprintf("It is paused with %s, %s; attempts so far: %d.%s", meant(*r.Pause), decided(*r.Pause), r.Attempts, said)
	case "delivered":
		return fmt.Sprintf("It was delivered%s: %s took it.", ended, orSomebody(r.MTA))
	case "bounced":
		if r.MTA != "" {
			return fmt.Sprintf("It was delivered: %s took it. Later it was reported as bounced%s.%s", orSomebody(r.MTA), ended, said)
		}
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
	return "It is " + terminal.Line(r.State) + "." + said
}

// lastAnswer is what was said last, as a sentence that follows another.
func lastAnswer(r web.Recipient) string {
	if r.Last == nil || r.Last.Diagnostic == "" {
		return ""
	}
	meaning := "."
	if r.Last.Reason != "" {
		meaning = fmt.Sprintf(" (%s, %s).", r.Last.Class, r.Last.Reason)
	}
	return fmt.Sprintf(" The last answer, from %s: %s%s", orSomebody(r.Last.RemoteMTA), strings.TrimRight(terminal.Clip(r.Last.Diagnostic, 300), "."), meaning)
}

func orSomebody(mta string) string {
	if mta == "" {
		return "the other side"
	}
	return terminal.Clip(mta, 120)
}
