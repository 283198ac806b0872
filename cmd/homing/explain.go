package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"homing/internal/terminal"
	"homing/queue"
	"homing/queue/shape"
	"homing/server/web"
)

func newQueueExplain() *cobra.Command {
	c := &cobra.Command{
		Use:   "explain DOMAIN",
		Short: "Say where the mail of a domain goes, what limits it, and what it waits for",
		Long: "Say to which site the mail of a domain goes and why, which limits hold there and where they stand, what it waits for now\n" +
			"and when it is tried next. It answers also for a domain to which nothing was ever sent.",
		Example: "  homing queue explain example.net\n  homing queue explain example.net --from shop.example",
		Args:    cobra.ExactArgs(1),
	}
	asJSON := jsonFlag(c)
	from := c.Flags().String("from", "", "explain mail from this `DOMAIN` of yours, where it has a smarthost of its own")
	c.RunE = func(c *cobra.Command, args []string) error {
		if _, domain, ok := strings.Cut(args[0], "@"); ok {
			args[0] = domain
		}
		if args[0] == "" {
			return usage(c, errors.New("want the domain of recipients, like example.net"))
		}
		server, err := dialControl(c)
		if err != nil {
			return err
		}
		var e web.Explanation
		if err := server.call(c.Context(), http.MethodGet, "/api/v1/queue/explain", url.Values{"domain": args[:1], "from": {*from}}, nil, &e); err != nil {
			return err
		}
		if *asJSON {
			return printJSON(c.OutOrStdout(), e)
		}
		return printExplanation(c.OutOrStdout(), e)
	}
	return c
}

func printExplanation(w io.Writer, e web.Explanation) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", goesTo(e))
	if len(e.Others) > 0 {
		fmt.Fprintf(&b, "Mail from %s goes another way; --from explains it.\n", terminal.Clip(strings.Join(e.Others, ", "), 200))
	}
	if e.LookUp != "" {
		fmt.Fprintf(&b, "Its mail hosts are not known now: %s.\n", terminal.Clip(e.LookUp, 200))
	}
	fmt.Fprintf(&b, "Limits for each source address: %s. They come from %s.\n", siteLimits(e.Limits), e.Limits.Origin)
	if u := e.Unusable; u != nil {
		fmt.Fprintf(&b, "Nothing can be handed to it since %s: %s\n", clock(u.Since), terminal.Clip(u.Said, 300))
	}
	for _, way := range e.Ways {
		tellWay(&b, way)
	}
	for _, p := range e.Pauses {
		fmt.Fprintf(&b, "Mail of %s is paused, %s; of this domain %s for that. To send it: %s\n", meant(*p), decided(*p), recipients(p.Recipients, "wait"), resumeCommand(*p))
	}
	fmt.Fprintf(&b, "Waiting for %s: %s. At %s altogether: %s.\n", terminal.Line(e.Domain), waitWords(e.Here), terminal.Line(e.Site), waitWords(e.There))
	fmt.Fprintf(&b, "Now: %s\n", stateWords(e))
	_, err := io.WriteString(w, b.String())
	return err
}

// goesTo says which site takes the mail, and why.
func goesTo(e web.Explanation) string {
	host := terminal.Line(e.Host)
	if e.Address != "" && e.Address != e.Host {
		host += "[" + e.Address + "]"
	}
	why := map[string]string{
		"domain":       "the provider of that name lists the domain",
		"host":         "its mail host " + host + " has a name that belongs to the provider",
		"network":      "its mail host " + host + " has an address that belongs to the provider",
		"address":      "its mail host " + host + " has the same address as mail hosts of that site",
		"organisation": "that is the organisation of its mail host " + host,
		"smarthost":    "that smarthost of the configuration gets all such mail",
		"past":         "that was found when mail was sent there",
		"nothing":      "its mail hosts are not known, and until they are the domain stands for itself",
	}[e.Cause]
	mail := "Mail for " + terminal.Line(e.Domain)
	if e.From != "" {
		mail += " from " + terminal.Line(e.From)
	}
	return fmt.Sprintf("%s goes to the site %s: %s.", mail, terminal.Line(e.Site), cmp.Or(why, e.Cause))
}

// siteLimits are the limits of a site.
func siteLimits(l queue.SiteLimits) string {
	words := fmt.Sprintf("%d connections at once", l.Connections)
	if l.PerConnection > 0 {
		words += fmt.Sprintf(", %d messages over each", l.PerConnection)
	}
	if l.Rate > 0 {
		return words + fmt.Sprintf(", %d messages %s", l.Rate, queue.PerWords(time.Duration(l.RateSeconds)*time.Second))
	}
	return words + ", any number of messages in a minute"
}

// tellWay tells how things are from one source address.
func tellWay(b *strings.Builder, w queue.Way) {
	fmt.Fprintf(b, "  from %s: %d of %d connections in use", cmp.Or(w.Source, "the usual address"), w.Active, w.Connections)
	if w.Tried != nil && w.Allowance != nil {
		fmt.Fprintf(b, ", %d of %d messages tried today (the address is being warmed up)", *w.Tried, *w.Allowance)
	}
	if w.Learned > 0 {
		fmt.Fprintf(b, "; it puts up with %d connections, as it said itself", w.Learned)
	}
	if words := boundWords(w); words != "" {
		fmt.Fprintf(b, "; %s", words)
	}
	b.WriteString("\n")
	if w.Since == nil {
		return
	}
	until := "it is being tried again little by little"
	if w.Until != nil {
		until = "it is left alone until " + clock(*w.Until)
	}
	fmt.Fprintf(b, "    it wants less mail, or none, since %s (said %s), and %s. It said: %s\n", clock(*w.Since), inARow(w.Refused), until, terminal.Clip(w.Said, 300))
}

// boundWords say what keeps a way shut.
func boundWords(w queue.Way) string {
	words := map[string]string{
		string(shape.ByBackoff):     "left alone",
		string(shape.ByWarmup):      "it has sent what it may today",
		string(shape.ByRate):        "the limit of messages is reached",
		string(shape.ByConnections): "all its connections are in use",
	}[w.Bound]
	if words != "" && w.Opens != nil {
		words += ", until " + clock(*w.Opens)
	}
	return words
}

// inARow is how often something happened.
func inARow(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times in a row", n)
}

// waitWords say who waits.
func waitWords(w queue.Waits) string {
	var words []string
	if w.Bulk > 0 {
		words = append(words, people(w.Bulk)+" of mailings")
	}
	if w.First > 0 {
		words = append(words, people(w.First)+" of single messages, which go first")
	}
	switch paused := strings.Join(words, ", "); {
	case len(words) == 0:
		return "nobody"
	case w.Paused == w.First+w.Bulk:
		return paused + " (all of them paused)"
	case w.Paused > 0:
		return fmt.Sprintf("%s (%d of them paused)", paused, w.Paused)
	default:
		return paused
	}
}

// stateWords say what the mail of the domain waits for, and until when.
func stateWords(e web.Explanation) string {
	words := map[string]string{
		queue.StateNothing:     "nothing waits for this domain.",
		queue.StateSending:     "all of it is being sent, to " + people(e.Busy) + ".",
		queue.StatePaused:      "it is paused until somebody resumes it.",
		queue.StateLater:       "it was put off and waits for its next attempt.",
		queue.StateBackoff:     "the site wanted less mail, or none, and is left alone.",
		queue.StateWarmup:      "the source addresses have sent there what they may today.",
		queue.StateRate:        "the limit of messages in a length of time is reached.",
		queue.StateConnections: "all connections that the site may get are in use; the next one goes when one of them ends.",
		queue.StateSilent:      "the site does not answer: one dialogue tries, or all that there are wait for it, and there are no more until it does.",
		queue.StateSlots:       "everything that the server sends at once is taken; it goes when its turn comes.",
		queue.StateTurn:        "nothing stops it; it goes when its turn comes.",
	}[e.State]
	words = cmp.Or(words, e.State)
	if e.Next != nil && e.State != queue.StateTurn {
		words += " The next attempt comes at " + clock(*e.Next) + "."
	}
	return words
}
