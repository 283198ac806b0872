package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"homing/internal/terminal"
	"homing/server/web"
)

// An operation is one of the commands that change the queue.
type operation struct {
	name, short, long, example string
	done, would                string // what became of recipients
	none                       string // said where there are none
}

// Each command says what is particular about it; chooseHelp is said of all.
var (
	retryQueue = operation{name: "retry", short: "Try again now what waits for a later attempt",
		long:    "Try again now what waits for a later attempt. Limits, back-off and pauses go on to count.",
		example: "  homing queue retry --domain example.net\n  homing queue retry --provider google --dry-run",
		done:    "are tried again now", would: "would be tried again now",
		none: "Nothing of that waits for a later attempt: what is due goes when its turn comes, and what is paused when it is resumed."}
	pauseQueue = operation{name: "pause", short: "Send nothing of some mail until it is resumed",
		long: "Send nothing of some mail until it is resumed. By domain, provider, application and campaign it is in force at once, and also\n" +
			"for mail that comes later. By message, recipient, sender or age the recipients that wait now are set aside, but for those being sent just now.\n" +
			"Mail is accepted as before, and the time that it is paused does not count towards its lifetime.",
		example: "  homing queue pause --campaign civicrm:job:1 --why 'wrong date'\n  homing queue pause --provider google",
		done:    "are set aside", would: "would be set aside", none: "Nothing of that waits."}
	resumeQueue = operation{name: "resume", short: "Send again what was paused",
		long: "Send again what was paused: pauses of all or a part of the mail that is meant, and recipients of it that were set aside.\n" +
			"What is paused is shown by `homing status`.",
		example: "  homing queue resume --campaign civicrm:job:1\n  homing queue resume --all",
		done:    "go on", would: "would go on", none: "Nothing of that is paused."}
	cancelQueue = operation{name: "cancel", short: "Give up mail that is not delivered yet",
		long: "Give up mail that is not delivered yet: it waits, is paused or was captured. Applications are told (`cancelled`). What is being\n" +
			"sent at that very moment may still arrive. What comes later is not cancelled: pause it first.",
		example: "  homing queue cancel --campaign civicrm:job:1 --dry-run\n  homing queue cancel --domain example.net --older 2d",
		done:    "are cancelled", would: "would be cancelled",
		none: "Nothing of that waits, is paused or was captured."}
)

const chooseHelp = "\n\nFilters restrict, all of them together; at least one, or --all, must be there. --dry-run counts and changes nothing."

func newQueueOperation(op operation) *cobra.Command {
	c := &cobra.Command{Use: op.name, Short: op.short, Long: op.long + chooseHelp, Example: op.example, Args: cobra.NoArgs}
	in := web.Order{By: whoami()}
	older := orderFlags(c, &in)
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := checkOrder(c, in); err != nil {
			return usage(c, err)
		}
		if c.Flag("older").Changed {
			before := time.Now().Add(-time.Duration(*older))
			in.Before = &before
		}
		server, err := dialControl(c)
		if err != nil {
			return err
		}
		began := time.Now()
		t, err := server.operate(c.Context(), op, in, func(n int) { fmt.Fprintf(c.ErrOrStderr(), "%s so far\n", people(n)) })
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(c.OutOrStdout(), t)
		}
		return printTally(c.OutOrStdout(), op, t, began)
	}
	return c
}

// orderFlags adds the flags that say which mail is meant, and how.
func orderFlags(c *cobra.Command, in *web.Order) (older *period) {
	f := c.Flags()
	f.BoolVar(&in.All, "all", false, "all mail there is")
	f.BoolVar(&in.DryRun, "dry-run", false, "say how many recipients are meant and change nothing")
	f.StringVar(&in.Why, "why", "", "the `REASON` in your own words, for the log and for the status")
	return filterFlags(c, in)
}

// orderFilters are the flags of filterFlags that are texts.
var orderFilters = []string{"message", "recipient", "domain", "provider", "sender", "application", "campaign"}

// filterFlags adds the flags that say which mail is meant.
func filterFlags(c *cobra.Command, in *web.Order) (older *period) {
	f := c.Flags()
	f.StringVar(&in.Message, "message", "", "only the message with this `ID`")
	f.StringVar(&in.Recipient, "recipient", "", "only mail to this `ADDRESS`")
	f.StringVar(&in.Domain, "domain", "", "only recipients in this `DOMAIN`")
	f.StringVar(&in.Provider, "provider", "", "only recipients whose mail this `PROVIDER` takes, as `homing queue show` names it")
	f.StringVar(&in.Sender, "sender", "", "only mail with this envelope `SENDER`")
	f.StringVar(&in.Application, "application", "", "only mail of this `APPLICATION`")
	f.StringVar(&in.Campaign, "campaign", "", "only mail of this `CAMPAIGN`")
	return periodFlag(c, "older", "only mail accepted longer ago than this, such as 90m or 2d")
}

// checkOrder says what is wrong with the flags.
func checkOrder(c *cobra.Command, in web.Order) error {
	filters := asked(c, orderFilters...)
	for name := range filters {
		if filters.Get(name) == "" {
			return fmt.Errorf("--%s: is empty", name)
		}
	}
	switch chosen := len(filters) > 0 || c.Flag("older").Changed; {
	case !chosen && !in.All:
		return errors.New("choose mail with --message, --recipient, --domain, --provider, --sender, --application, --campaign or --older, or all of it with --all")
	case chosen && in.All:
		return errors.New("choose some mail or --all, not both")
	}
	return nil
}

// partRows is how many recipients one request changes, so that whoever waits
// sees how it goes on and can stop it.
const partRows = 10_000

// operate gives an order part by part and adds up what came of it. After each
// part but the last, far is told how many recipients it were until then.
func (s *control) operate(ctx context.Context, op operation, in web.Order, far func(recipients int)) (web.Tally, error) {
	all := web.Tally{DryRun: in.DryRun, States: map[string]int{}, Pauses: []*web.Pause{}, Still: []*web.Pause{}}
	in.Limit = partRows
	for {
		var part web.Tally
		if err := s.call(ctx, http.MethodPost, "/api/v1/queue/"+op.name, nil, in, &part); err != nil {
			if all.Recipients > 0 && !in.DryRun {
				err = fmt.Errorf("%w; before that, at least %d recipients were done: give the command again for the rest", err, all.Recipients)
			}
			return all, err
		}
		all.Recipients += part.Recipients
		all.Busy += part.Busy
		for state, n := range part.States {
			all.States[state] += n
		}
		if in.After == "" {
			all.Examples, all.Still = part.Examples, part.Still
		}
		all.Pauses = latest(all.Pauses, part.Pauses)
		if in.After = part.Next; in.After == "" {
			return all, nil
		}
		far(all.Recipients)
	}
}

// latest gives the pauses of all parts: later parts know better.
func latest(before, now []*web.Pause) []*web.Pause {
	if len(now) > 0 && len(now) >= len(before) {
		return now
	}
	return before
}

// printTally says in words what an order did that was given at a time.
func printTally(w io.Writer, op operation, t web.Tally, began time.Time) error {
	var b strings.Builder
	switch {
	case op.name == pauseQueue.name && len(t.Pauses) > 0 && t.Pauses[0].Standing:
		tellStop(&b, t, began)
	case t.Recipients == 0 && len(t.Pauses)+len(t.Still) == 0:
		b.WriteString(op.none + "\n")
	case t.Recipients == 0 && len(t.Pauses) == 0: // tellResumed says it
	default:
		words := op.done
		if t.DryRun {
			words = op.would
		}
		fmt.Fprintf(&b, "%s%s.\n", recipients(t.Recipients, words), inStates(t.States))
	}
	if op.name == resumeQueue.name {
		tellResumed(&b, t)
	}
	if t.Busy > 0 {
		fmt.Fprintf(&b, "%d are being sent just now and were left alone: give the command again for what comes back of them.\n", t.Busy)
	}
	if len(t.Examples) > 0 {
		b.WriteString("Among them:\n")
	}
	for _, r := range t.Examples {
		fmt.Fprintf(&b, "  %s  %s  %s  %s  %s\n", r.Message, r.State, clock(r.Accepted), submitter(r), terminal.Line(r.Recipient))
	}
	if t.DryRun && t.Recipients+len(t.Pauses) > 0 {
		b.WriteString("Nothing was changed: leave out --dry-run to do it.\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// tellStop tells of a pause that is in force also for what comes later.
func tellStop(b *strings.Builder, t web.Tally, began time.Time) {
	p, paused := t.Pauses[0], "is paused"
	switch {
	case t.DryRun:
		paused = "would be paused"
	case p.Since.Before(began):
		paused = "is paused already, " + decided(*p)
	}
	fmt.Fprintf(b, "Mail of %s %s, also what comes later; %s.\n", meant(*p), paused, recipients(t.Recipients, "wait behind it"))
	if p.Provider != "" && t.Recipients == 0 {
		b.WriteString("If that is not what you expected: `homing queue explain DOMAIN` names the provider of a domain.\n")
	}
	if !t.DryRun {
		fmt.Fprintf(b, "To send it again: %s\n", resumeCommand(*p))
	}
}

// tellResumed tells which pauses are gone and which are not.
func tellResumed(b *strings.Builder, t web.Tally) {
	for _, p := range t.Pauses {
		verb := "is"
		if t.DryRun {
			verb = "would be"
		}
		fmt.Fprintf(b, "The pause of %s, %s, %s lifted.\n", meant(*p), decided(*p), verb)
	}
	for _, p := range t.Still {
		fmt.Fprintf(b, "Some of it is still paused with %s, %s. To lift that, too: %s\n", meant(*p), decided(*p), resumeCommand(*p))
	}
}

// inStates gives counts by state, where there are several.
func inStates(states map[string]int) string {
	var words []string
	for _, s := range []string{"waiting", "paused", "captured"} {
		if n := states[s]; n > 0 {
			words = append(words, fmt.Sprintf("%d %s", n, s))
		}
	}
	if len(words) < 2 && states["waiting"] > 0 || len(words) == 0 {
		return ""
	}
	return " (" + strings.Join(words, ", ") + ")"
}

// parts gives what a pause means, by the names of the flags.
func parts(p web.Pause) (all [][2]string) {
	for _, f := range [][2]string{{"message", p.Message}, {"recipient", p.Recipient}, {"domain", p.Domain}, {"provider", p.Provider}, {"sender", p.Sender}, {"application", p.Application}, {"campaign", p.Campaign}} {
		if f[1] != "" {
			all = append(all, f)
		}
	}
	return all
}

// meant says in words which mail a pause means.
func meant(p web.Pause) string {
	var words []string
	for _, f := range parts(p) {
		words = append(words, f[0]+" "+terminal.Clip(f[1], 80))
	}
	if p.Before != nil {
		words = append(words, "what was accepted before "+clock(*p.Before))
	}
	if len(words) == 0 {
		return "everybody"
	}
	return strings.Join(words, ", ")
}

// decided says who paused, when and why.
func decided(p web.Pause) string {
	words := fmt.Sprintf("by %s since %s", terminal.Clip(p.By, 40), clock(p.Since))
	if p.Why != "" {
		words += fmt.Sprintf(" (%s)", terminal.Clip(p.Why, 200))
	}
	return words
}

// resumeCommand is what to type to lift a pause.
func resumeCommand(p web.Pause) string {
	words := "homing queue resume"
	for _, f := range parts(p) {
		words += fmt.Sprintf(" --%s %s", f[0], shellWord(terminal.Line(f[1])))
	}
	if len(parts(p)) == 0 {
		words += " --all"
	}
	return words
}
