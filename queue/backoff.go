package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"homing/bounce"
	"homing/event"
	"homing/queue/shape"
	"homing/store"
)

// Times for which a site is left alone that wants less mail. One that refuses
// us for what we are takes longer to change its mind: it is left alone as the
// schedule of attempts says.
const (
	slowFirst = time.Minute
	slowMost  = time.Hour
)

// slowdown is what a reply asks of us. What we say ourselves asks nothing.
func (q *Queue) slowdown(r Result, v bounce.Verdict) bounce.Slowdown {
	if r.Ours || r.Reply.Positive() {
		return bounce.Slowdown{}
	}
	return v.Slowdown(r.Reply.Text)
}

// pause is how long a site that gave such a reply is left alone.
func (q *Queue) pause(f finding) shape.Pause {
	retry := q.options.Load().Retry
	first, most := retry[0], retry[len(retry)-1]
	if f.verdict.Reason == bounce.RateLimited {
		first, most = min(first, slowFirst), min(most, slowMost)
	}
	return shape.Pause{First: first, Most: most, Named: f.slow.After, Crowd: f.slow.Crowd, Why: f.outcome.Diagnostic}
}

// heard is what came of telling the shaper how an attempt went.
type heard struct {
	site   string
	reopen time.Time     // when the site may be tried again that wants to be left alone, from any of our addresses
	told   []event.Event // what is to be told of the site
	until  time.Time     // it is left alone since this attempt; zero: it is not
	source string        // from this source address
}

// heed tells the shaper how an attempt went, before anything is stored.
func (q *Queue) heed(it Item, f finding) heard {
	q.mu.Lock()
	defer q.mu.Unlock()
	p := it.job.pick
	h := heard{site: p.Site}
	if p.Via != "" {
		q.judgeSmarthost(p.Via, f)
	}
	switch {
	case !f.ours && q.shaper.Answered(p, f.now): // it is not one that keeps us waiting
		q.wake()
	case f.ours && !f.positive:
		q.shaper.Failed(p, f.now)
	}
	if q.shaper.Sent(p, !f.ours && !f.slow.Asked, f.now) {
		h.told = append(h.told, recovered(shape.Way{Site: p.Site, Source: p.Source}, f.now))
	}
	if !f.slow.Asked {
		return h
	}
	c := q.shaper.Cool(p, q.pause(f), f.now)
	h.reopen = c.Opens
	if c.News {
		h.source, h.until = p.Source, c.Until
		q.metrics.backoffs.WithLabelValues(string(f.verdict.Reason)).Inc()
		q.wake()
	}
	if c.First {
		text := fmt.Sprintf("%s wants less mail, or none%s: %s. It is left alone until %s and then tried with one message; nobody is put on hold for it. See: homing queue explain %s",
			p.Site, from(p.Source), f.outcome.Diagnostic, c.Until.UTC().Format("15:04:05 MST"), it.Recipient.Key.Domain)
		h.told = append(h.told, event.Event{Type: event.IncidentOpened, Time: f.now.UTC(), Text: text, Outcome: f.outcome})
	}
	return h
}

// recovered is the end of an incident.
func recovered(w shape.Way, now time.Time) event.Event {
	return event.Event{Type: event.IncidentClosed, Time: now.UTC(), Text: fmt.Sprintf("%s takes mail%s again as before.", w.Site, from(w.Source))}
}

func from(source string) string {
	if source == "" {
		return ""
	}
	return " from " + source
}

// tell makes facts durable that concern no delivery.
func (q *Queue) tell(ctx context.Context, events []event.Event) {
	if len(events) == 0 {
		return
	}
	if err := q.Tell(ctx, nil, events...); err != nil {
		q.log.Error("noting an incident failed", "text", events[0].Text, "err", err)
	}
}

// lookAfter looks after the sites now and then until ctx ends: which have
// recovered, what waits for one that is left alone for too long, which source
// addresses are new. It notes their state.
func (q *Queue) lookAfter(ctx context.Context) {
	var awake time.Time // as it was noted
	for {
		t := time.NewTimer(min(noteEvery, q.options.Load().Lifetime/8))
		select {
		case <-ctx.Done():
			q.noteSites(context.WithoutCancel(ctx))
			q.notePlaces(context.WithoutCancel(ctx))
			q.noteAwake(context.WithoutCancel(ctx))
			return
		case <-t.C:
		case <-q.switched:
		}
		t.Stop()
		if err := q.recallSources(ctx); err != nil {
			q.log.Error("looking up source addresses failed", "err", err)
		}
		now := q.now()
		q.lookAt(ctx, now)
		if now.Sub(awake) >= awakeEvery {
			q.noteAwake(ctx)
			awake = now
		}
	}
}

func (q *Queue) lookAt(ctx context.Context, now time.Time) {
	q.mu.Lock()
	ways := q.shaper.Tidy(now)
	shut := q.shaper.Abandoned(now)
	q.wake()
	q.mu.Unlock()
	var told []event.Event
	for _, w := range ways {
		told = append(told, recovered(w, now))
	}
	for _, site := range q.surges.ended(now) {
		told = append(told, surgeOver(site, now))
	}
	q.tell(ctx, told)
	for _, w := range shut {
		q.giveUp(ctx, w, now)
	}
	q.noteSites(ctx)
	q.notePlaces(ctx)
}

// giveUpMost is how many recipients are ended at once.
const giveUpMost = 200

// giveUp ends the recipients of a key whose site has refused us for twice a
// lifetime and who are past theirs by as much again: what a site asks of us is
// not taken from it, but mail that a provider refuses for that long is for
// nobody any more. What waited for us before the site did so, or was paused
// meanwhile, did not wait for it.
func (q *Queue) giveUp(ctx context.Context, w shape.Left, now time.Time) {
	lifetime := q.options.Load().Lifetime
	paused := q.paused(w.Key, w.Since, now)
	if now.Sub(w.Since)-paused < 2*lifetime {
		return
	}
	late := now.Add(-lifetime - paused)
	for w.Expires.Before(late) {
		leases, err := q.store.Lease(ctx, store.LeaseRequest{Key: w.Key, Now: late, Until: now.Add(time.Hour), Max: giveUpMost, Expired: true})
		if err != nil {
			q.log.Error("claiming mail that is too old failed", "err", err)
			return
		}
		for _, l := range leases {
			if err := q.settle(ctx, q.tooLate(l, now)); err != nil && !errors.Is(err, store.ErrLeaseLost) {
				q.log.Error("ending mail that is too old failed", "item", l.Delivery, "err", err)
			}
		}
		if len(leases) < giveUpMost {
			return
		}
	}
}

// tooLate is the end of a recipient whose site was left alone for too long.
func (q *Queue) tooLate(l store.Lease, now time.Time) store.Change {
	q.mu.Lock()
	why := q.shaper.Why(q.shaper.At(l.Recipient.Key))
	q.mu.Unlock()
	f := finding{now: now, sync: true, outcome: event.Outcome{Diagnostic: why}.Tidy(), verdict: bounce.Verdict{Class: bounce.Sender, Reason: bounce.Expired}}
	return store.Change{Delivery: l.Delivery, Lease: l.Token, Decide: func(c *store.Case) error {
		if c.Recipient.Last.Diagnostic != "" {
			f.outcome = c.Recipient.Last
		}
		d := c.Recipient.Deferrals
		d.Sender = max(d.Sender, d.Soft+d.None+1) // it is for us that it was not tried
		c.Recipient.Last = f.outcome
		return q.ended(c, f.expired(d), store.Expired, event.Expired)
	}}
}
