package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"homing/event"
	"homing/store"
)

// An Order is what an operator wants done to the recipients of a Filter.
type Order struct {
	Filter
	By     string // who wants it
	Why    string // why, in their words
	DryRun bool   // only count
	After  string // Tally.Next of the part before; "": from the beginning
	Max    int    // change at most so many recipients; 0: all there are
}

// A Tally says what an Order has done, or with DryRun would do.
type Tally struct {
	// Recipients that were changed, by the state in which they were. Those
	// that wait behind a standing pause that was made or lifted count, too.
	Recipients map[store.State]int
	Busy       int         // those being sent at that moment, which were left alone
	Examples   []store.Row // with DryRun: some of them
	Pauses     []Pause     // that were made or lifted
	Still      []Pause     // that stop some of what was to be resumed: they mean more than that
	Next       string      // where to go on; "": that was all
}

// Total is how many recipients it is about.
func (t Tally) Total() (n int) {
	for _, count := range t.Recipients {
		n += count
	}
	return n
}

// maxExamples is how many recipients a Tally shows.
const maxExamples = 10

// Retry makes recipients due that wait for a later attempt, but for mail that
// is to be sent at a time of its own. Limits, back-off and pauses go on to
// count. It is durable when it returns nil. On an error,
// also when ctx ends, the Tally says how far it came, and what is done stays
// done. ErrNoFilter.
func (q *Queue) Retry(ctx context.Context, o Order) (Tally, error) {
	t, err := q.task("retry", o)
	if err != nil {
		return Tally{}, err
	}
	t.states = []store.State{store.Waiting}
	// What is to be sent at a time of its own waits for nobody but that.
	t.wants = func(m store.Message, r store.Recipient) bool {
		return r.Due.After(t.began) && !m.SendAt.After(t.began)
	}
	t.decide = func(c *store.Case) error {
		c.Recipient.Due = t.began
		return nil
	}
	return t.do(ctx)
}

// Cancel ends recipients that wait, are paused or were captured. One that is
// being sent at this moment may still arrive: what comes of its dialogue
// counts no more. Durability and errors are those of Retry.
func (q *Queue) Cancel(ctx context.Context, o Order) (Tally, error) {
	t, err := q.task("cancel", o)
	if err != nil {
		return Tally{}, err
	}
	return t.cancel(ctx)
}

func (t *task) cancel(ctx context.Context) (Tally, error) {
	q, o := t.Queue, t.Order
	if !o.DryRun {
		q.cancelled.Store(true)
	}
	t.states = []store.State{store.Waiting, store.Paused, store.Captured}
	t.decide = func(c *store.Case) error {
		now := q.now()
		if err := c.Recipient.Move(store.Cancelled, now); err != nil {
			return err
		}
		c.Events = append(c.Events, fact(event.Cancelled, c.Message, c.Recipient, now))
		return nil
	}
	out, err := t.do(ctx)
	if err == nil && out.Recipients[store.Paused] > 0 && !o.DryRun {
		err = q.tidyPauses(ctx)
	}
	return out, err
}

// A task is an Order on its way through the queue.
type task struct {
	*Queue
	Order
	name   string
	began  time.Time
	states []store.State                             // what it is done to
	wants  func(store.Message, store.Recipient) bool // nil: to all of them
	idle   bool                                      // but not to those that are being sent
	quiet  bool                                      // nothing is noted in the log
	decide func(*store.Case) error                   // what is done
	tally  Tally
	done   int // recipients changed
}

// task begins an Order. ErrNoFilter.
func (q *Queue) task(name string, o Order) (*task, error) {
	f, err := o.check()
	if err != nil {
		return nil, err
	}
	o.Filter = f
	return &task{Queue: q, Order: o, name: name, began: q.now(), tally: Tally{Recipients: map[store.State]int{}}}, nil
}

// taskRows is how many recipients change in one transaction.
const taskRows = 500

// do goes through the queue, some recipients at a time. What was accepted
// after it began is not meant, so that it comes to an end.
func (t *task) do(ctx context.Context) (Tally, error) {
	query := t.query(t.Filter, t.states...)
	query.After = t.After
	for {
		query.Max = taskRows
		if t.Max > 0 {
			query.Max = min(query.Max, t.Max-t.done)
		}
		page, err := t.store.Find(ctx, query)
		if err == nil {
			err = t.step(ctx, page.Rows)
		}
		query.After, t.tally.Next = page.Next, page.Next
		if n := len(page.Rows); n > 0 && page.Rows[n-1].Message.Accepted.After(t.began) {
			t.tally.Next = ""
		}
		if err != nil || t.tally.Next == "" || t.Max > 0 && t.done >= t.Max {
			t.report(err)
			return t.tally, err
		}
	}
}

// report notes in the log what was done.
func (t *task) report(err error) {
	log := t.log.With("operation", t.name, "what", t.String(), "by", t.By, "why", t.Why, "recipients", t.done, "took", t.now().Sub(t.began))
	switch {
	case t.DryRun, t.quiet:
	case err != nil:
		log.Warn("the queue was changed in part", "err", err)
	case t.done > 0:
		log.Info("the queue was changed")
	}
}

// A touched is what a transaction did to one recipient.
type touched struct {
	seen bool        // nobody was sending it
	was  store.State // before it was changed; 0: it was not
	told []event.Event
}

// step does what is to be done to some recipients, and counts them.
func (t *task) step(ctx context.Context, rows []store.Row) error {
	rows = slices.DeleteFunc(rows, func(r store.Row) bool {
		return t.wants != nil && !t.wants(r.Message, r.Recipient) || r.Message.Accepted.After(t.began)
	})
	done := make([]touched, len(rows))
	if t.DryRun {
		for i, r := range rows {
			done[i] = touched{seen: true, was: r.Recipient.State}
		}
	} else if err := t.apply(ctx, rows, done); err != nil {
		return err
	}
	for i, d := range done {
		t.metrics.count(d.told)
		switch {
		case !d.seen:
			t.tally.Busy++
		case d.was != 0:
			t.done++
			t.tally.Recipients[d.was]++
			if t.DryRun && len(t.tally.Examples) < maxExamples {
				t.tally.Examples = append(t.tally.Examples, rows[i])
			}
		}
	}
	return nil
}

// apply changes recipients in one transaction, or one by one where some of them
// have been forgotten meanwhile.
func (t *task) apply(ctx context.Context, rows []store.Row, done []touched) error {
	changes := make([]store.Change, 0, len(rows))
	for i, r := range rows {
		changes = append(changes, store.Change{Delivery: r.Recipient.ID, Idle: t.idle, Decide: func(c *store.Case) error {
			return t.touch(c, &done[i])
		}})
	}
	if len(changes) == 0 {
		return nil
	}
	err := t.store.Apply(context.WithoutCancel(ctx), changes...)
	if errors.Is(err, store.ErrNotFound) && len(rows) > 1 {
		for i := range rows {
			if err := t.apply(ctx, rows[i:i+1], done[i:i+1]); err != nil {
				return err
			}
		}
		return nil
	}
	if errors.Is(err, store.ErrNotFound) {
		done[0] = touched{seen: true}
		return nil
	}
	if err != nil {
		return fmt.Errorf("changing %d recipients: %w", len(rows), err)
	}
	return nil
}

// touch changes one recipient, unless it went on since it was found.
func (t *task) touch(c *store.Case, d *touched) error {
	*d = touched{seen: true}
	if !slices.Contains(t.states, c.Recipient.State) || t.wants != nil && !t.wants(c.Message, c.Recipient) {
		return nil
	}
	d.was = c.Recipient.State
	err := t.decide(c)
	d.told = c.Events
	return err
}
