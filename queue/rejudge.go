package queue

import (
	"context"
	"fmt"
	"io"
	"strings"

	"homing/bounce"
	"homing/event"
	"homing/internal/reply"
	"homing/store"
)

// A judge gives verdicts on what is in the log by one set of rules. What kind
// of mail a report is does not depend on the rules.
type judge struct {
	rules  bounce.Rules
	reader *bounce.Reader
}

func newJudge(rules bounce.Rules) judge { return judge{rules, bounce.NewReader(rules)} }

// failure reports whether a fact tells that something failed, for now or for
// good, because of what somebody said.
func failure(e event.Event) bool {
	return e.Type == event.Bounced || e.Type == event.Expired || e.Type == event.Deferred
}

// synchronous reports whether a fact tells what was said during delivery.
func synchronous(e event.Event) bool { return e.Sync != nil && *e.Sync }

// recorded is the verdict that a fact was told with.
func recorded(e event.Event) bounce.Verdict {
	return bounce.Verdict{Class: bounce.Class(e.Class), Reason: bounce.Reason(e.Reason), CiviCRM: e.CiviCRM, Rule: e.Rule, Matched: e.Matched}
}

// rejudge gives the verdicts of judges on a failure with a Basis, as Done and
// Observe would. Of one that expired it is the verdict on the last reply. An
// error is that of ctx.
func (q *Queue) rejudge(ctx context.Context, e event.Event, judges ...judge) ([]bounce.Verdict, error) {
	out := make([]bounce.Verdict, len(judges))
	if synchronous(e) {
		r := resultOf(e)
		for i, j := range judges {
			out[i] = r.verdict(j.rules)
		}
		return out, ctx.Err()
	}
	read, err := q.reread(ctx, e, judges, out)
	if err != nil || read {
		return out, err
	}
	action := "failed"
	if e.Type == event.Deferred {
		action = "delayed"
	}
	for i, j := range judges {
		v := j.rules.Classify(bounce.Evidence{Stage: reply.DSN, Code: e.Code, Status: e.Status, Text: e.Diagnostic, RemoteMTA: e.RemoteMTA})
		out[i] = v.After(action)
	}
	return out, nil
}

// reread reads the mail of a report again. It reports false where that is no
// longer kept, or cannot be read.
func (q *Queue) reread(ctx context.Context, e event.Event, judges []judge, out []bounce.Verdict) (bool, error) {
	if e.Raw.IsZero() {
		return false, ctx.Err()
	}
	body, err := q.store.OpenBody(ctx, e.Raw)
	if err != nil {
		return false, ctx.Err()
	}
	defer body.Close()
	for i, j := range judges {
		report, err := j.reader.Read(io.NewSectionReader(body, 0, body.Size()))
		if err != nil {
			return false, ctx.Err()
		}
		said, ok := entryFor(report, e.Recipient)
		if !ok {
			return false, ctx.Err()
		}
		out[i] = said.Verdict
	}
	return true, ctx.Err()
}

// resultOf is the attempt that a fact tells of. A text of several lines is one
// line, and one over 1,000 octets is cut.
func resultOf(e event.Event) Result {
	r := Result{Stage: reply.Stage(e.Stage), Ours: e.Basis.Ours, Smarthost: e.Basis.Smarthost, RemoteMTA: e.RemoteMTA}
	r.Reply.Code = e.Code
	fmt.Sscanf(e.Status, "%d.%d.%d", &r.Reply.Enhanced[0], &r.Reply.Enhanced[1], &r.Reply.Enhanced[2]) // "": none
	r.Reply.Text = strings.TrimPrefix(strings.TrimPrefix(e.Diagnostic, r.Reply.String()), " ")
	return r
}

// findingOf is a failure, complaint or unsubscribe of the log, with a verdict
// on it, ready for the hold rules.
func findingOf(e event.Event, v bounce.Verdict) finding {
	f := finding{now: e.Time, sync: synchronous(e), verdict: v, outcome: judged(e.Outcome, v)}
	if b := e.Basis; b != nil {
		f.related, f.offline, f.ours, f.relayed, f.surge = b.Related, b.Offline, b.Ours, b.Smarthost, b.Surge
	}
	f.early = f.sync && Result{Stage: reply.Stage(e.Stage), Ours: f.ours}.early()
	return f
}

// caseOf is what is left in the log of the delivery that a fact is about.
func caseOf(e event.Event) store.Case {
	m := store.Message{ID: e.Message, Application: e.Application, Domain: e.Domain}
	if e.Basis != nil {
		m.Accepted = e.Basis.Accepted
	}
	return store.Case{Message: m, Recipient: store.Recipient{ID: e.Delivery, Message: e.Message, Address: e.Recipient}}
}
