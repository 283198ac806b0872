package event

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

const (
	pageSize    = 256                    // events read at once
	maxWindow   = 4 * pageSize           // facts read and not settled
	flushEvery  = 250 * time.Millisecond // between two writes of a cursor
	brokenRetry = 5 * time.Second        // after the store failed
	rereadTime  = 2 * time.Second        // for a parked fact that may be forgotten
	youngLog    = time.Hour              // a new sink is told all of a log no older than this
	emptyTime   = 2 * time.Second        // a log that gives nothing for so long is empty
)

var (
	errForgotten = errors.New("the log no longer has this fact")
	errNothing   = errors.New("the log gave neither events nor an error")
)

// A feed tells one sink. All but the status belongs to the goroutine of run.
type feed struct {
	Config
	sink   Sink
	log    *slog.Logger
	ledger *ledger
	health *health
	metric sinkMetrics

	work    context.Context // of the tellings: ends a grace later than ctx
	flying  sync.WaitGroup
	results chan result
	pages   chan page
	reading bool      // a page is on its way
	readAt  time.Time // not before, after reading failed

	readFails int

	announced bool      // an incident is open
	reportAt  time.Time // not before, after reporting failed
	flushAt   time.Time // not before
	again     int       // tellings in flight of what failed before

	mu    sync.Mutex
	now   Status
	waits ID // the oldest fact that counts as lag
}

type result struct {
	fact   *fact
	again  bool
	event  Event // as told
	loaded bool  // event is all of it
	start  time.Time
	err    error
}

type page struct {
	events []Event
	err    error
}

func newFeed(c Config, s Sink) *feed {
	if g, ok := s.(Gatherer); ok {
		c.InFlight = g.AtOnce()
	}
	return &feed{
		Config: c, sink: s, log: c.Logger.With("sink", s.Name()), metric: c.Metrics.of(s),
		results: make(chan result, c.InFlight), pages: make(chan page, 1),
		now: Status{Name: s.Name(), Kind: s.Kind(), State: Working},
	}
}

func (f *feed) wants(e Event) bool { return f.Wants(f.sink.Name(), e) && f.sink.Wants(e) }

// run tells the sink until ctx ends, then waits for the tellings in flight
// and writes the cursor.
func (f *feed) run(ctx context.Context) {
	var reader sync.WaitGroup
	defer reader.Wait()
	cursor, err := f.begin(ctx)
	if err != nil {
		return // ctx ended
	}
	f.ledger, f.health = newLedger(cursor, f.unchained(ctx, cursor), f.MaxParked), newHealth(cursor, f.Now())
	f.announced = cursor.Paused
	work, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	f.work = work
	f.loop(ctx, &reader)
	defer time.AfterFunc(f.Grace, cut).Stop()
	f.land()
}

// begin gives the cursor to begin with.
func (f *feed) begin(ctx context.Context) (Cursor, error) {
	for {
		c, err := f.Log.Cursor(ctx, f.sink.Name())
		if err == nil && c.Seen == 0 && len(c.Parked) == 0 {
			c, err = f.first(ctx)
		}
		if err == nil || ctx.Err() != nil {
			return c, err
		}
		f.log.Error("reading the cursor failed", "err", err)
		if !pause(ctx, brokenRetry) {
			return c, ctx.Err()
		}
	}
}

// first says where a new sink begins, and writes it down.
func (f *feed) first(ctx context.Context) (Cursor, error) {
	now := f.Now()
	wait, cancel := context.WithTimeout(ctx, emptyTime)
	defer cancel()
	events, err := f.events(wait, 0, 1)
	c := Cursor{Seen: 1} // an empty log: all that will come
	switch {
	case err == nil && events[0].ID.Time().Before(now.Add(-youngLog)):
		c.Seen = FirstID(now) - 1
	case err != nil && (ctx.Err() != nil || wait.Err() == nil):
		return Cursor{}, err
	}
	f.log.Info("telling a new sink", "after", c.Seen)
	return c, f.Log.Advance(ctx, f.sink.Name(), c)
}

// unchained reads the parked facts whose chain the cursor does not tell.
func (f *feed) unchained(ctx context.Context, c Cursor) map[ID]Event {
	loaded := map[ID]Event{}
	for _, p := range c.Parked {
		if p.Delivery != 0 {
			continue
		}
		e, err := f.reread(ctx, Event{ID: p.Event})
		if errors.Is(err, context.DeadlineExceeded) {
			break // the log has nothing that old or younger
		}
		if err == nil {
			loaded[e.ID] = e
		}
	}
	return loaded
}

// events reads the log. It gives at least one event, or an error.
func (f *feed) events(ctx context.Context, after ID, limit int) ([]Event, error) {
	events, err := f.Log.Events(ctx, after, limit)
	if err == nil && len(events) == 0 {
		err = cmp.Or(ctx.Err(), errNothing)
	}
	return events, err
}

// loop is the life of a feed: start what may be started, then wait for news.
func (f *feed) loop(ctx context.Context, reader *sync.WaitGroup) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		now := f.Now()
		f.start(now)
		f.read(ctx, reader, now)
		f.announce(ctx, now)
		f.flush(ctx, now)
		f.publish()
		if next := f.next(now); !next.IsZero() {
			timer.Reset(next.Sub(now))
		}
		select {
		case <-ctx.Done():
		case r := <-f.results:
			f.ended(r)
		case p := <-f.pages:
			f.take(p)
		case <-timer.C:
		}
	}
}

// start begins the tellings that may begin.
func (f *feed) start(now time.Time) {
	if !f.health.open(now) {
		return
	}
	if f.health.state != Working {
		f.probe(now)
		return
	}
	f.ledger.wake(now)
	for f.ledger.flying < f.InFlight {
		again := f.again < max(1, f.InFlight/4)
		x := (*fact)(nil)
		if again {
			x = f.ledger.take(true)
		}
		if x == nil {
			again, x = false, f.ledger.take(false)
		}
		if x == nil {
			return
		}
		f.tell(x, again, now)
	}
}

// probe tells a sink that fails two facts at most: the one whose last try is
// the longest ago, and one that was never tried, so that no fact that fails
// alone can keep the sink from being found well.
func (f *feed) probe(now time.Time) {
	if f.ledger.flying > 0 {
		return
	}
	first, second := f.ledger.takeResting(), f.ledger.take(false)
	if second == nil {
		second = f.ledger.takeResting()
	}
	for _, x := range []*fact{first, second} {
		if x != nil {
			f.tell(x, false, now)
		}
	}
}

// tell tells one fact in a goroutine of its own.
func (f *feed) tell(x *fact, again bool, now time.Time) {
	if again {
		f.again++
	}
	e, loaded := x.event, x.loaded
	f.flying.Go(func() {
		ctx, cancel := context.WithTimeout(f.work, f.Timeout)
		defer cancel()
		r := result{fact: x, again: again, event: e, loaded: loaded, start: now}
		if !loaded {
			r.event, r.err = f.reread(ctx, e)
			r.loaded = r.err == nil
		}
		if r.err == nil {
			r.err = f.sink.Tell(ctx, r.event)
		}
		f.results <- r
	})
}

// reread gets a fact from the log that was parked before the start.
func (f *feed) reread(ctx context.Context, e Event) (Event, error) {
	ctx, cancel := context.WithTimeout(ctx, rereadTime)
	defer cancel()
	events, err := f.events(ctx, e.ID-1, 1)
	switch {
	case err != nil:
		return e, err
	case events[0].ID != e.ID:
		return e, &Failure{Fault: Refused, Err: errForgotten}
	}
	return events[0], nil
}

// read asks for the next page of the log where there is room for it. A sink
// that fails needs no more facts than one to probe it with.
func (f *feed) read(ctx context.Context, reader *sync.WaitGroup, now time.Time) {
	l := f.ledger
	switch {
	case f.reading || now.Before(f.readAt) || l.full() || len(l.window)+pageSize > maxWindow:
		return
	case f.health.state != Working && l.oldest(true) != 0:
		return
	}
	f.reading = true
	after := l.end()
	reader.Go(func() {
		events, err := f.events(ctx, after, pageSize)
		f.pages <- page{events, err}
	})
}

// take enters a page in the ledger.
func (f *feed) take(p page) {
	f.reading = false
	if p.err != nil {
		f.readAt = f.Now().Add(backoff(f.readFails, f.health.jitter()))
		f.readFails++
		f.log.Error("reading the log failed", "err", p.err)
		return
	}
	f.readFails = 0
	for _, e := range p.events {
		f.ledger.read(e, f.wants(e))
	}
}

// ended notes how a telling ended.
func (f *feed) ended(r result) {
	now := f.Now()
	if r.again {
		f.again--
	}
	r.fact.event, r.fact.loaded = r.event, r.loaded
	if r.err == nil {
		f.metric.told.Inc()
		f.well(r.fact, now)
		return
	}
	fail := failureOf(r.err)
	switch {
	case fail.Fault == Refused:
		f.giveUp(r.fact, fail, slog.LevelWarn)
		f.well(r.fact, now)
		return
	case f.health.hopeless(r.fact, now) && !f.ledger.full():
		f.giveUp(r.fact, fail, slog.LevelError)
		f.ledger.done(r.fact)
		return
	}
	f.failed(r, fail, now)
}

// well notes that the sink took a fact.
func (f *feed) well(x *fact, now time.Time) {
	f.ledger.done(x)
	delete(f.health.suspects, x.event.ID)
	if back := f.health.succeeded(now, f.ledger.full()); back {
		f.log.Info("the sink works again")
		f.ledger.recheck(now)
	}
}

func (f *feed) giveUp(x *fact, fail Failure, level slog.Level) {
	f.metric.givenUp.Inc()
	f.log.Log(context.Background(), level, "gave a fact up", "event", x.event.ID, "item", x.event.Delivery,
		"tries", x.tries+1, "err", fail.Err)
}

// failed parks a fact and judges the sink by it.
func (f *feed) failed(r result, fail Failure, now time.Time) {
	f.metric.failed.Inc()
	f.log.Debug("telling failed", "event", r.event.ID, "tries", r.fact.tries+1, "err", fail.Err)
	wait := max(backoff(r.fact.tries, f.health.jitter()), min(fail.After, maxAfter))
	f.ledger.park(r.fact, now, now.Add(wait))
	before, failing := f.health.state, f.health.failing
	f.health.failed(r.fact, fail, r.start, now)
	if !f.health.failing.Equal(failing) {
		f.ledger.moved = true
	}
	if f.health.state != before {
		f.ledger.lull()
		f.log.Warn("the sink takes nothing", "state", f.health.state, "since", f.health.failing, "err", fail.Err)
	}
}

// announce reports that the sink was paused or works again, until the report
// is durable.
func (f *feed) announce(ctx context.Context, now time.Time) {
	paused := f.health.state == Paused
	if paused == f.announced || now.Before(f.reportAt) {
		return
	}
	e := Event{Type: IncidentClosed, Time: now.UTC(), Text: fmt.Sprintf("The sink %q (%s) works again.", f.sink.Name(), f.sink.Kind())}
	if paused {
		e.Type = IncidentOpened
		e.Text = fmt.Sprintf("The sink %q (%s) takes nothing since %s and is paused; nothing is lost. %s Last failure: %.300s",
			f.sink.Name(), f.sink.Kind(), f.health.failing.UTC().Format("2006-01-02 15:04 UTC"), f.health.advice(), f.health.cause)
	}
	f.log.Warn("incident", "type", e.Type, "text", e.Text)
	if f.Report != nil {
		if err := f.Report(ctx, e); err != nil {
			f.log.Error("reporting an incident failed", "err", err)
			f.reportAt = now.Add(brokenRetry)
			return
		}
	}
	f.announced, f.ledger.moved = paused, true
}

// flush writes the cursor where it changed, but not too often.
func (f *feed) flush(ctx context.Context, now time.Time) {
	if !f.ledger.moved || now.Before(f.flushAt) {
		return
	}
	f.flushAt = now.Add(flushEvery)
	if err := f.Log.Advance(ctx, f.sink.Name(), f.cursor()); err != nil {
		f.log.Error("writing the cursor failed", "err", err)
		f.flushAt = now.Add(brokenRetry)
		return
	}
	f.ledger.moved = false
}

func (f *feed) cursor() Cursor {
	c := f.ledger.cursor()
	c.Failing, c.Paused = f.health.failing, f.announced
	return c
}

// next is when the loop must look again without news; zero: never.
func (f *feed) next(now time.Time) time.Time {
	var next time.Time
	at := func(wanted bool, t time.Time) {
		if wanted && t.After(now) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	working := f.health.state == Working
	at(working, f.ledger.wakeAt)
	at(!working, f.health.until)
	at(!f.reading, f.readAt)
	at(f.ledger.moved, f.flushAt)
	at((f.health.state == Paused) != f.announced, f.reportAt)
	return next
}

// land takes in how the tellings in flight end, and writes the cursor. What
// was not told is told again after the next start.
func (f *feed) land() {
	for f.ledger.flying > 0 {
		r := <-f.results
		if r.err == nil {
			f.metric.told.Inc()
			f.ledger.done(r.fact)
			continue
		}
		f.ledger.flying--
	}
	f.flying.Wait()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(f.work), f.Grace)
	defer cancel()
	if err := f.Log.Advance(ctx, f.sink.Name(), f.cursor()); err != nil {
		f.log.Error("writing the cursor failed", "err", err)
	}
}

// publish shows how the sink does.
func (f *feed) publish() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now.State, f.now.Since, f.now.Failure = f.health.state, f.health.failing, f.health.cause
	f.now.Parked, f.now.Told = len(f.ledger.parked), f.ledger.seen
	f.waits = f.ledger.oldest(!f.health.failing.IsZero())
}

func (f *feed) status() Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.now
	if f.waits != 0 {
		s.Lag = max(0, f.Now().Sub(f.waits.Time()))
	}
	return s
}

// pause waits and reports whether ctx still runs.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
