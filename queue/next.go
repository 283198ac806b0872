package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"homing/event"
	"homing/hold"
	"homing/internal/message"
	"homing/queue/shape"
	"homing/store"
)

// leaseTime is how long a claim lasts. It is longer than a batch at a site that
// uses up every deadline of every dialogue, so that a claim ends by Done or
// Finish and never under a worker that is still talking.
const leaseTime = 24 * time.Hour

// An Item is one recipient claimed for delivery.
type Item struct {
	store.Lease
	job *Job
}

// A Job is work for one domain, with a claimed slot. It ends with Finish.
type Job struct {
	Domain        string
	Items         []Item
	Source        string // the address to send from, of shape.Limits.Sources; "": any
	PerConnection int    // messages over one connection; 0: no limit
	Via           string // the site of shape.Limits.Via that it goes to; "": to the mail hosts of its domain

	pick   shape.Pick
	leased int                  // claimed by Next, also what was ended unsent
	open   map[store.Token]bool // claimed and not Done; guarded by Queue.mu
}

// Next waits until a domain is due and has a free slot, and claims both. It
// returns the error of ctx when that ends first.
func (q *Queue) Next(ctx context.Context) (*Job, error) {
	for {
		pick, err := q.pick(ctx)
		if err != nil {
			return nil, err
		}
		job := &Job{Domain: pick.Key.Domain, Source: pick.Source, PerConnection: pick.Rule.PerConnection, Via: pick.Via, pick: pick, open: map[store.Token]bool{}}
		job.Items, err = q.claim(ctx, job, pick.Max)
		q.mu.Lock()
		q.shaper.Leased(pick, job.leased, q.now())
		q.wake()
		q.mu.Unlock()
		if err == nil && len(job.Items) > 0 {
			return job, nil
		}
		q.Finish(job)
		if err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if errors.Is(err, store.ErrFailed) {
				return nil, err
			}
			q.log.Error("claiming due mail failed", "err", err)
			pause(ctx, time.Second)
		}
	}
}

// pick waits for a slot and a key that is due there.
func (q *Queue) pick(ctx context.Context) (shape.Pick, error) {
	for {
		q.mu.Lock()
		now := q.now()
		p, wake, ok := q.shaper.Next(now)
		news := q.news
		q.metrics.slots.Set(float64(q.shaper.Active()))
		q.mu.Unlock()
		if ok {
			return p, nil
		}
		if err := q.await(ctx, news, wake, now); err != nil {
			return shape.Pick{}, err
		}
	}
}

// await returns when there is news, or at the time of wake if that is set.
func (q *Queue) await(ctx context.Context, news <-chan struct{}, wake, now time.Time) error {
	var due <-chan time.Time
	if !wake.IsZero() {
		t := time.NewTimer(wake.Sub(now))
		defer t.Stop()
		due = t.C
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-news:
	case <-due:
	}
	return nil
}

// More gives further due items of the job's domain, none when there are none,
// a limit is reached, or somebody else should have the slot.
func (q *Queue) More(ctx context.Context, j *Job) ([]Item, error) {
	q.mu.Lock()
	n := q.shaper.More(j.pick, q.now())
	q.mu.Unlock()
	if n == 0 {
		return nil, nil
	}
	return q.claim(ctx, j, n)
}

// Yield reports whether a job should end before what it has not begun: somebody
// who goes before needs the slot, or the site is to be left alone. Finish gives
// back what is left.
func (j *Job) Yield() bool { return j.pick.Yield() }

// claim leases up to limit recipients, and ends those that must not be sent.
func (q *Queue) claim(ctx context.Context, j *Job, limit int) ([]Item, error) {
	now := q.now()
	leases, err := q.store.Lease(ctx, store.LeaseRequest{Key: j.pick.Key, Now: now, Until: now.Add(leaseTime), Max: limit})
	q.mu.Lock()
	j.leased += len(leases)
	for _, l := range leases {
		j.open[l.Token] = true
	}
	q.mu.Unlock()
	if err != nil {
		return nil, fmt.Errorf("claiming mail for %s: %w", j.Domain, err)
	}
	items := make([]Item, 0, len(leases))
	for _, l := range leases {
		it := Item{l, j}
		ended, err := q.endUnsent(ctx, it)
		if err != nil {
			return items, err
		}
		if ended {
			q.settled(it)
		} else {
			items = append(items, it)
		}
	}
	return items, nil
}

// endUnsent ends a recipient that must not be sent, because the address was put
// on hold since it was accepted. One whose lifetime is over while it waited for
// us, or while we were down, is not among them: it has its last attempt, and
// expires when that fails.
func (q *Queue) endUnsent(ctx context.Context, it Item) (bool, error) {
	m := it.Message
	if ownMail(m) {
		return false, nil
	}
	h, held, err := q.Held(ctx, it.Recipient.Address, m.Application, m.Domain, m.Bulk)
	if err != nil || !held {
		return false, err
	}
	return true, q.settle(ctx, store.Change{Delivery: it.Delivery, Lease: it.Token, Decide: func(c *store.Case) error {
		return q.suppress(c, h)
	}})
}

// ownMail reports whether a message is no application's but ours: a report, or
// mail to the postmaster that is passed on. No hold stops it.
func ownMail(m store.Message) bool { return m.Application == "" }

// Held gives the hold that stops mail to an address, if there is one.
func (q *Queue) Held(ctx context.Context, address, application, domain string, bulk bool) (hold.Hold, bool, error) {
	r, err := q.Record(ctx, address)
	if err != nil {
		return hold.Hold{}, false, fmt.Errorf("reading the hold on an address: %w", err)
	}
	h, held := r.State(application, domain, bulk, q.now())
	return h, held, nil
}

// OpenBody opens the message of an item. The caller closes it.
func (q *Queue) OpenBody(ctx context.Context, it Item) (message.Body, error) {
	return q.store.OpenBody(ctx, it.Recipient.Body)
}

// settled notes that an item needs no giving back.
func (q *Queue) settled(it Item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(it.job.open, it.Token)
}

// Finish gives back the slot of a job, and every item that was not Done.
func (q *Queue) Finish(j *Job) {
	q.mu.Lock()
	q.shaper.Finish(j.pick, q.now())
	var left []store.Token
	for t := range j.open {
		left = append(left, t)
	}
	clear(j.open)
	q.wake()
	q.mu.Unlock()
	if len(left) == 0 {
		return
	}
	if err := q.store.Extend(context.Background(), time.Time{}, left...); err != nil && !errors.Is(err, store.ErrLeaseLost) {
		q.log.Error("giving leases back failed", "err", err)
	}
}

// fact begins an event about a recipient.
func fact(t event.Type, m store.Message, r store.Recipient, now time.Time) event.Event {
	e := event.Event{
		Type: t, Time: now.UTC(), Message: m.ID, Delivery: r.ID, Recipient: r.Address,
		Sender: m.Sender, From: m.From, ReturnPath: r.ReturnPath, Domain: m.Domain,
		Application: m.Application, Campaign: m.Campaign, Metadata: m.Metadata, Attempt: r.Attempt,
		Original: r.Body, Notify: r.Notify, OriginalRecipient: r.Original,
		EnvelopeID: m.EnvelopeID, ReturnContent: m.ReturnContent, RequireTLS: m.RequireTLS,
	}
	if t == event.Bounced || t == event.Expired {
		e.OwnFields = m.OwnFields // for reports alone
	}
	return e
}
