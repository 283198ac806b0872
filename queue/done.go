package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"homing/bounce"
	"homing/event"
	"homing/hold"
	"homing/internal/reply"
	"homing/store"
)

// A Result is how an attempt ended. Remote failure is data.
type Result struct {
	Stage     reply.Stage
	Reply     reply.Reply // what the peer said; with Ours, what we say in its place
	Ours      bool
	Smarthost bool   // it was said by, or of, our smarthost, not the recipient's mail host
	DSN       bool   // the next hop was asked for reports (RFC 3461), and will send them
	RemoteMTA string // "mx.example.net[198.51.100.7]"
	TLS       event.TLS
	Cause     error // for the log
	Took      time.Duration
}

// A finding is what a reply or a report says about one delivery, ready to be
// acted on.
type finding struct {
	now      time.Time
	verdict  bounce.Verdict
	outcome  event.Outcome
	sync     bool // a reply, not a later report
	positive bool
	failed   bool // for good
	handed   bool // the next hop sends the reports that were asked for
	ours     bool // nobody said it: we did in the place of a peer
	relayed  bool // it was said by, or of, our smarthost
	related  bool // the reporting peer is related to the recipient's MX
	offline  bool // nobody else can be reached just now
	early    bool // a reply to what came before RCPT

	surge  bool            // the site fails everybody just now
	slow   bounce.Slowdown // what the reply asks of us
	reopen time.Time       // when the site may be tried again that asked to be left alone
	waited time.Duration   // how long the recipient waited for us before the attempt
}

// Done tells how the attempt for an item ended. It is durable when it returns
// nil. A store without room is tried again until it has some, and also after
// ctx ended the first try is made: what a peer answered is never dropped
// lightly. An item that is no longer ours is nobody's business any more: nil.
func (q *Queue) Done(ctx context.Context, it Item, r Result) error {
	f := q.weigh(it, r)
	h := q.heed(it, f)
	f.reopen = h.reopen
	if !h.until.IsZero() {
		// What it said names people, who may have to be left out of the log.
		q.log.Warn("a site is left alone for a while", "site", h.site, "source", h.source, "until", h.until.UTC(),
			"reason", f.verdict.Reason, "code", f.outcome.Code, "status", f.outcome.Status)
	}
	q.tally(h.site, r)
	var surge []event.Event
	f.surge, surge = q.surging(ctx, it, h.site, f)
	err := q.settle(ctx, store.Change{Delivery: it.Delivery, Lease: it.Token, Decide: func(c *store.Case) error {
		return q.consequence(c, f)
	}})
	if errors.Is(err, store.ErrLeaseLost) {
		q.log.Warn("an attempt ended that was no longer ours", "item", it.Delivery, "code", r.Reply.Code)
		err = nil
	}
	if err == nil {
		q.settled(it)
	}
	q.tell(ctx, append(h.told, surge...))
	if len(h.told) > 0 {
		q.noteSites(ctx) // so that what a site said of us is known after a restart
	}
	return err
}

// weigh turns the result of an attempt into a finding.
func (q *Queue) weigh(it Item, r Result) finding {
	f := finding{now: q.now(), sync: true, positive: r.Reply.Positive(), failed: r.Reply.Permanent(), handed: r.DSN, ours: r.Ours, relayed: r.Smarthost}
	if !r.Ours && !r.Smarthost {
		q.reach.answered(it.Recipient.Key.Domain, f.now)
	}
	f.early = r.early()
	f.offline = r.Ours && !q.reach.others(it.Recipient.Key.Domain, f.now)
	f.outcome = event.Outcome{Stage: string(r.Stage), Code: r.Reply.Code, Status: r.Reply.Enhanced.String(),
		Diagnostic: r.Reply.String(), RemoteMTA: r.RemoteMTA, TLS: r.TLS}
	if f.positive {
		f.outcome = f.outcome.Tidy()
		return f
	}
	f.verdict = r.verdict(q.table)
	f.outcome = judged(f.outcome, f.verdict)
	f.slow = q.slowdown(r, f.verdict)
	f.waited = q.waited(it, f.now.Add(-r.Took))
	return f
}

// waited is how long an item waited for us before its attempt began: while this
// process was running or one before it, or while it was paused.
func (q *Queue) waited(it Item, attempt time.Time) time.Duration {
	due, began, k := it.Recipient.Due, q.began, it.Recipient.Key
	if due.After(began) {
		return max(0, attempt.Sub(due))
	}
	if attempt.Before(began) {
		began = attempt
	}
	before := slices.Concat(q.awake, q.pauses.Load().spans(k, q.Provider(k), began))
	return attempt.Sub(began) + overlap(before, due, began)
}

// verdict says what a reply means by a table, or what we say in its place. That
// has no stage, because it is no reply to what we did, and no text, because
// ours names hosts, and what a host is called means nothing.
func (r Result) verdict(table Classifier) bounce.Verdict {
	said := bounce.Evidence{Code: r.Reply.Code, Status: r.Reply.Enhanced.String()}
	if !r.Ours {
		said.Stage, said.Text, said.RemoteMTA = r.Stage, r.Reply.Text, r.RemoteMTA
	} else if r.Reply.Enhanced == reply.RequireTLS { // others say it of signatures
		said.Text = "REQUIRETLS"
	}
	v := table.Classify(said)
	if v.Class == bounce.Soft && r.aboutUs(v.Reason) {
		v.Class = bounce.Sender
	}
	return v
}

// Subjects of enhanced status codes (RFC 3463 section 3).
const (
	mailSystem = 3
	protocol   = 5
)

// aboutUs reports whether a soft failure is one of ours: of our own system or
// dialogue, mail that our own configuration sends round in a circle, or the
// smarthost and the way to it.
func (r Result) aboutUs(why bounce.Reason) bool {
	if r.Ours {
		subject := r.Reply.Enhanced[1]
		return r.Smarthost || subject == mailSystem || subject == protocol || why == bounce.Loop
	}
	return r.Smarthost && slices.Contains(ofSmarthost, why)
}

// ofSmarthost are the reasons that speak of the smarthost where it gives them.
var ofSmarthost = []bounce.Reason{bounce.RelayDenied, bounce.SystemError, bounce.SystemFull, bounce.NetworkError, bounce.Loop, bounce.Expired}

// early reports whether a peer said it before it knew the person.
func (r Result) early() bool { return !r.Ours && slices.Contains(beforeRcpt, r.Stage) }

// beforeRcpt are the stages at which a peer does not know the person yet.
var beforeRcpt = []reply.Stage{reply.Connect, reply.EHLO, reply.STARTTLS, reply.AUTH, reply.MAIL}

// judged gives an outcome with what the classifier made of it, fit to be kept:
// the other side may have said anything, and at any length.
func judged(o event.Outcome, v bounce.Verdict) event.Outcome {
	o.Class, o.Reason, o.CiviCRM = string(v.Class), string(v.Reason), v.CiviCRM
	o.Rule, o.Matched = v.Rule, v.Matched
	return o.Tidy()
}

// settleTries is how often an outcome is offered to a store that fails for an
// unknown reason, once a second: what lasts longer is no hiccup.
const settleTries = 30

// settle is apply for what nobody could tell us again: it tries until the disk
// has room, so that an outcome is never dropped for want of space, and for a
// while when something else went wrong. An outcome that is forgotten means
// that the message is sent again.
func (q *Queue) settle(ctx context.Context, change store.Change) error {
	for tries := 1; ; tries++ {
		err := q.apply(ctx, change)
		full := errors.Is(err, store.ErrFull)
		if err == nil || final(err) || ctx.Err() != nil || !full && tries == settleTries {
			return err
		}
		q.log.Warn("an outcome could not be noted; trying again", "item", change.Delivery, "err", err)
		pause(ctx, time.Second)
	}
}

// final reports whether an error of store.Apply comes back however often one
// tries.
func final(err error) bool {
	for _, known := range []error{store.ErrLeaseLost, store.ErrNotFound, store.ErrMove, store.ErrFailed} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// apply makes changes durable, all or none, and counts what they did. On a full
// disk it returns store.ErrFull at once: whoever waits for the answer can come
// back.
func (q *Queue) apply(ctx context.Context, changes ...store.Change) error {
	told := make([][]event.Event, len(changes))
	for i := range changes {
		decide := changes[i].Decide
		changes[i].Decide = func(c *store.Case) error {
			err := decide(c)
			told[i] = c.Events
			return err
		}
	}
	err := q.store.Apply(context.WithoutCancel(ctx), changes...)
	for _, events := range told {
		if err == nil {
			q.metrics.count(events)
			q.watch(ctx, events)
			q.complain(events)
		}
	}
	return err
}

// complain says in the log what mail of our own did not get to whom: nobody
// else is told.
func (q *Queue) complain(told []event.Event) {
	for _, e := range told {
		if e.Application == "" && e.Message != 0 && (e.Type == event.Bounced || e.Type == event.Expired) {
			q.log.Warn("mail of the server itself could not be delivered", "item", e.Delivery, "message", e.Message, "rcpt", e.Recipient,
				"code", e.Code, "status", e.Status, "class", e.Class, "reason", e.Reason)
		}
	}
}

// consequence is the one place in which what a mail system said changes a
// recipient, its hold and its events.
func (q *Queue) consequence(c *store.Case, f finding) error {
	c.Recipient.Last = f.outcome
	if f.sync {
		c.Recipient.Attempt++
	}
	switch {
	case f.positive:
		return q.delivered(c, f)
	case c.Recipient.State == store.Waiting && f.sync && (!f.failed || f.elsewhere()):
		return q.putOff(c, f)
	case f.failed:
		return q.ended(c, f, store.Bounced, event.Bounced)
	}
	return nil
}

func (q *Queue) delivered(c *store.Case, f finding) error {
	if err := c.Recipient.Move(store.Delivered, f.now); err != nil {
		return err
	}
	c.Recipient.MTA = f.outcome.RemoteMTA
	if after, changed := q.options.Load().Rules.Delivered(c.Hold, c.Message.Application, f.now); changed {
		c.Hold = after
	}
	e := fact(event.Delivered, c.Message, c.Recipient, f.now)
	e.Outcome = f.outcome
	if f.handed && c.Recipient.ReturnPath == c.Message.Sender {
		// The next hop reports to the application itself (RFC 3461 section
		// 5.2.2). To a return address of ours its report comes to us.
		e.Notify = ""
	}
	c.Events = append(c.Events, unlessAsked("SUCCESS", e))
	return nil
}

// elsewhere reports whether another of our addresses may try what this one was
// refused for good, for what it is: that is no refusal of the recipient or of
// the message. Where there is no other, a refusal is one (RFC 5321 section
// 4.2.1), and only the mail behind it waits.
func (f finding) elsewhere() bool { return f.slow.Asked && !f.reopen.After(f.now) }

// putOff lets a recipient wait for its next attempt, or ends it where there is
// none within its lifetime. What it waited for us (for limits of ours or of the
// site, for an address to become warm, while it was paused) does not count.
func (q *Queue) putOff(c *store.Case, f finding) error {
	f.count(&c.Recipient.Deferrals)
	next := f.now.Add(q.wait(c.Recipient, f))
	c.Recipient.Expires = c.Recipient.Expires.Add(f.waited)
	if f.slow.Asked {
		c.Recipient.Expires = q.spared(c, next.Sub(f.now))
	}
	if next.After(c.Recipient.Expires) {
		return q.ended(c, f.expired(c.Recipient.Deferrals), store.Expired, event.Expired)
	}
	c.Recipient.Due = next
	e := fact(event.Deferred, c.Message, c.Recipient, f.now)
	e.Outcome, e.Sync, e.Basis = f.outcome, &f.sync, f.basis(c.Message)
	c.Events = append(c.Events, unlessAsked("DELAY", e))
	return nil
}

// greylistFirst is when mail is tried again that was greylisted the first time.
// Most want five minutes to pass, and many are content with one.
const greylistFirst = time.Minute

// wait is how long a recipient waits for its next attempt. Each class of
// deferral goes through the schedule by itself, so that whoever waited because
// a site wanted less mail is tried as often as anybody else.
func (q *Queue) wait(r store.Recipient, f finding) time.Duration {
	retry := q.options.Load().Retry
	after := func(n int) time.Duration { return retry[min(max(n, 1), len(retry))-1] }
	switch {
	case f.slow.Asked:
		return max(0, f.reopen.Sub(f.now))
	case f.verdict.Class == bounce.None && r.Deferrals.None == 1:
		return max(min(greylistFirst, retry[0]), f.slow.After)
	case f.verdict.Class == bounce.None:
		return max(after(r.Deferrals.None-1), f.slow.After)
	}
	if f.ofUs() {
		return max(after(r.Deferrals.Sender), f.slow.After)
	}
	return max(after(r.Deferrals.Soft), f.slow.After)
}

// spared is the end of a lifetime from which a wait is not to be taken that a
// site asked of us. It never gets longer by that than twice what it was: mail
// that a provider refuses for weeks is for nobody any more.
func (q *Queue) spared(c *store.Case, wait time.Duration) time.Time {
	expires := c.Recipient.Expires
	latest := c.Message.Begins().Add(2 * q.options.Load().Lifetime)
	if latest.Before(expires) {
		return expires
	}
	if later := expires.Add(wait); later.Before(latest) {
		return later
	}
	return latest
}

// count counts a deferral by its class.
func (f finding) count(d *store.Deferrals) {
	switch {
	case f.verdict.Class == bounce.None:
		d.None++
	case f.ofUs():
		d.Sender++
	default:
		d.Soft++
	}
}

// ofUs reports whether a deferral says nothing of the recipient.
func (f finding) ofUs() bool { return f.verdict.Class == bounce.Sender || f.offline }

// expired is what mail that was put off to its end comes to: the class of the
// deferral that prevailed, and of two the one that harms less.
func (f finding) expired(d store.Deferrals) finding {
	class, civicrm := bounce.Soft, "Host"
	if d.Sender >= d.Soft {
		class = bounce.Sender
	}
	if d.None >= max(d.Soft, d.Sender) {
		class, civicrm = bounce.None, ""
	}
	f.verdict.Class, f.verdict.Reason, f.verdict.CiviCRM = class, bounce.Expired, civicrm
	f.outcome.Class, f.outcome.Reason, f.outcome.CiviCRM = string(class), string(bounce.Expired), civicrm
	return f
}

// ended gives a recipient its failed outcome and lets the hold rules see it.
func (q *Queue) ended(c *store.Case, f finding, to store.State, as event.Type) error {
	if err := c.Recipient.Move(to, f.now); err != nil {
		return err
	}
	e := fact(as, c.Message, c.Recipient, f.now)
	e.Outcome, e.Raw, e.Sync, e.Basis = f.outcome, c.Raw, &f.sync, f.basis(c.Message)
	held := q.holdFor(c, f, false)
	e.Hold = held.Hold
	c.Events = append(c.Events, e)
	if held.Type != "" {
		c.Events = append(c.Events, held)
	}
	return nil
}

// holdFor puts a finding before the hold rules. The event that it returns has
// the new state in Hold, and a Type where the address was put on hold now.
// What becomes of our own mail counts for no application, so against nobody.
func (q *Queue) holdFor(c *store.Case, f finding, complaint bool) event.Event {
	m, r := c.Message, c.Recipient
	if ownMail(m) {
		return fact("", m, r, f.now)
	}
	after, effect := q.options.Load().Rules.Apply(c.Hold, hold.Evidence{
		Application: m.Application, Domain: m.Domain, Accepted: m.Begins(), Mark: f.mark(r),
		Complaint: complaint, Unreachable: f.offline, Early: f.early, Surge: f.surge,
	})
	c.Hold = after
	c.Hold.Address = hold.Canonical(r.Address)
	e := fact("", m, r, f.now)
	e.Outcome = f.outcome
	if h, held := after.State(m.Application, m.Domain, m.Bulk, f.now); held {
		e.Hold = holdState(h)
	} else if effect != hold.Nothing {
		e.Hold = &event.HoldState{State: string(effect)}
	} else {
		e.Hold = &event.HoldState{State: "free"}
	}
	if effect == hold.Held {
		e.Type = event.Held
	}
	return e
}

// mark is the finding as the evidence that the hold record keeps.
func (f finding) mark(r store.Recipient) hold.Mark {
	o := f.outcome
	return hold.Mark{Time: f.now, Message: uint64(r.Message), Delivery: uint64(r.ID), Class: o.Class, Reason: o.Reason,
		CiviCRM: o.CiviCRM, Sync: f.sync, Related: f.related, Code: o.Code, Status: o.Status,
		Diagnostic: o.Diagnostic, RemoteMTA: o.RemoteMTA, Rule: o.Rule, Matched: o.Matched}
}

// basis is what else is kept of the finding, for whoever judges it again.
func (f finding) basis(m store.Message) *event.Basis {
	return &event.Basis{Accepted: m.Begins().UTC(), Ours: f.ours, Smarthost: f.relayed, Related: f.related, Offline: f.offline, Surge: f.surge}
}

// suppress ends a recipient whose address was put on hold.
func (q *Queue) suppress(c *store.Case, h hold.Hold) error {
	now := q.now()
	if err := c.Recipient.Move(store.Suppressed, now); err != nil {
		return fmt.Errorf("suppressing %v: %w", c.Recipient.ID, err)
	}
	c.Events = append(c.Events, suppressed(c.Message, c.Recipient, h, now))
	return nil
}
