package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"homing/event"
	"homing/hold"
	"homing/internal/terminal"
	"homing/server"
	"homing/server/web"
)

func newSend() *cobra.Command {
	c := &cobra.Command{
		Use:   "send ADDRESS…",
		Short: "Send a test mail and say what becomes of it",
		Long: "Send a test mail by the way that mail of an application takes, with its signatures and return addresses, and follow it\n" +
			"until there is an outcome. Its application hears of it as of every other mail. The exit code is 0 when it was delivered\n" +
			"to everybody, 1 when it was not, and 2 when that could not be found out in time.",
		Args: cobra.MinimumNArgs(1),
	}
	var t testMail
	f := c.Flags()
	f.StringVar(&t.application, "application", "", "the `APPLICATION` to send as (default: the only one, or the one of --from)")
	f.StringVar(&t.From, "from", "", "the author, an `ADDRESS` of a domain of the application (default: its postmaster)")
	f.StringVar(&t.Subject, "subject", "Test of Homing", "the `SUBJECT`")
	f.StringVar(&t.Text, "text", testText, "the `TEXT`")
	wait := period(time.Minute)
	f.Var(&wait, "wait", "how long to wait for an outcome, such as 90s or 10m")
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, to []string) error {
		t.To = to
		server, err := dialControl(c)
		if err != nil {
			return &exitError{exitUnable, err}
		}
		ctx, cancel := context.WithTimeout(c.Context(), time.Duration(wait))
		defer cancel()
		w := &trial{control: server, out: c.OutOrStdout(), quiet: *asJSON}
		if err := w.send(ctx, t); err != nil {
			return &exitError{exitUnable, err}
		}
		return w.sum(c.Context(), time.Duration(wait), *asJSON)
	}
	return c
}

// testText is what a test mail says.
const testText = "This mail was sent with `homing send`, to see whether mail arrives.\n\n" +
	"If it is in the spam folder: `sudo homing check` says what receivers may not like, and the field\n" +
	"Authentication-Results of this mail what yours has made of SPF, DKIM and DMARC.\n"

// A testMail is the body of the request to send it.
type testMail struct {
	From    string            `json:"from"`
	To      []string          `json:"to"`
	Subject string            `json:"subject"`
	Text    string            `json:"text"`
	Headers map[string]string `json:"headers"`

	application string // "": not said
}

// complete chooses the application and the author where they are not said.
func (t *testMail) complete(s web.Status) error {
	t.Headers = map[string]string{"Auto-Submitted": "auto-generated"}
	_, domain, _ := strings.Cut(t.From, "@")
	var names []string
	var fits []web.Application
	for _, a := range s.Apps {
		names = append(names, a.Name)
		if t.application == a.Name || t.application == "" && (t.From == "" || slices.Contains(a.Domains, hold.CanonicalDomain(domain))) {
			fits = append(fits, a)
		}
	}
	switch all := strings.Join(names, ", "); {
	case len(fits) == 0 && t.application != "":
		return fmt.Errorf("there is no application %q; there are: %s", t.application, all)
	case len(fits) == 0:
		return fmt.Errorf("no application may send as %s; choose a sender of one of: %s", t.From, all)
	case len(fits) > 1:
		return fmt.Errorf("several applications could send it: name one of %s with --application", all)
	case len(fits[0].Domains) == 0:
		return fmt.Errorf("the application %s has no domain to send as", fits[0].Name)
	}
	t.application = fits[0].Name
	t.From = cmp.Or(t.From, "postmaster@"+fits[0].Domains[0])
	return nil
}

// A trial follows one message until there is an outcome for everybody.
type trial struct {
	*control
	out   io.Writer
	quiet bool
	id    event.MessageID
	left  int // recipients without an outcome
	bad   int // of those that have one
}

// send sends a test mail and follows it until ctx ends.
func (w *trial) send(ctx context.Context, t testMail) error {
	var s web.Status
	if err := w.call(ctx, http.MethodGet, "/api/v1/status", nil, nil, &s); err != nil {
		return err
	}
	if err := t.complete(s); err != nil {
		return err
	}
	// First the stream, so that nothing is missed.
	resp, err := w.open(ctx, http.MethodGet, "/api/v1/events", url.Values{"from": {"now"}}, nil, "text/event-stream")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var taken web.Injected
	if err := w.call(ctx, http.MethodPost, "/api/v1/messages", url.Values{"application": {t.application}}, t, &taken); err != nil {
		return err
	}
	w.id = taken.Message
	w.say("Queued as %s, as %s of the application %s.", w.id, terminal.Line(t.From), terminal.Line(t.application))
	for _, r := range taken.Recipients {
		if r.Result != string(server.ResultRefused) {
			w.left++
			continue
		}
		w.bad++
		w.say("%s: not sent (%s).", terminal.Line(r.Recipient), r.Reason)
	}
	lines := bufio.NewReader(resp.Body)
	for w.left > 0 {
		line, err := lines.ReadString('\n')
		if ctx.Err() != nil {
			return nil // time is over
		}
		if err != nil {
			return fmt.Errorf("following what becomes of the mail: %w: `homing trace %s` says it", err, w.id)
		}
		data, ok := strings.CutPrefix(line, "data: ")
		var e event.Event
		if ok && json.Unmarshal([]byte(data), &e) == nil && e.Message == w.id {
			w.hear(e)
		}
	}
	return nil
}

func (w *trial) say(format string, args ...any) {
	if !w.quiet {
		fmt.Fprintf(w.out, format+"\n", args...)
	}
}

// hear says what a fact means for whoever waits.
func (w *trial) hear(e event.Event) {
	to, said := terminal.Line(e.Recipient), terminal.Clip(e.Diagnostic, 300)
	good := false
	switch e.Type {
	case event.Delivered:
		good = true
		w.say("%s: delivered: %s took it. If it is not in the mailbox, look into the spam folder.", to, orSomebody(e.RemoteMTA))
	case event.Deferred:
		w.say("%s: not yet: %s. It is tried again.", to, strings.TrimRight(said, "."))
		return
	case event.Bounced:
		w.say("%s: refused (%s, %s): %s. docs/BOUNCES.md says what that means.", to, e.Class, e.Reason, strings.TrimRight(said, "."))
	case event.Suppressed:
		w.say("%s: not sent, because the address is on hold: `homing hold show %s` says why.", to, shellWord(to))
	case event.Captured:
		good = true
		w.say("%s: kept and not sent, because of mode = \"capture\".", to)
	case event.Cancelled, event.Expired:
		w.say("%s: given up (%s).", to, e.Type)
	default:
		return
	}
	w.left--
	if !good {
		w.bad++
	}
}

// sum ends with what is known.
func (w *trial) sum(ctx context.Context, waited time.Duration, asJSON bool) error {
	if asJSON {
		j, err := w.journey(ctx, "/api/v1/messages/"+w.id.String(), pageRows)
		if err == nil {
			err = printJSON(w.out, j)
		}
		if err != nil {
			return &exitError{exitUnable, err}
		}
	}
	switch {
	case w.bad > 0:
		return &exitError{code: exitFailed}
	case ctx.Err() != nil:
		return &exitError{exitUnable, errors.New("stopped waiting")}
	case w.left > 0:
		return &exitError{exitUnable, fmt.Errorf("after %s there is no outcome for %s yet: `homing trace %s` says how it stands, `homing status` whether something is in the way",
			waited, people(w.left), w.id)}
	}
	return nil
}
