package event

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// A stage is where a fact is on its way to one sink.
type stage uint8

const (
	behind  stage = iota // an earlier fact of its chain comes first
	ready                // may be told now
	flying               // is being told
	resting              // failed; waits until due
)

// A fact is an event on its way to one sink.
type fact struct {
	event  Event
	loaded bool // event holds more than its ID and Delivery
	stage  stage
	key    chainKey
	next   *fact // behind it in its chain
	upTo   ID    // the last event read before the next fact of the window

	settled bool // Cursor.Seen may go past it
	listed  bool // in ledger.parked
	alone   bool // the sink took other facts after it had failed

	tries int
	since time.Time // first failure
	due   time.Time
	tried time.Time // last telling that ended
}

// A chainKey says which facts are told in order: those of one delivery; those
// about one address that concern no delivery (held and released by an operator,
// and what somebody wished in a mail). What else there is stands alone: an unfit
// letter to a route must not stop the letters after it.
type chainKey struct {
	delivery DeliveryID
	address  string
	only     ID
}

// wishes are what people write to an application's own addresses: the last one
// counts.
var wishes = []Type{Unsubscribed, OptedOut, Resubscribed, Subscribed, Confirmed}

func keyOf(e Event) chainKey {
	switch {
	case e.Delivery != 0:
		return chainKey{delivery: e.Delivery}
	case e.Recipient != "" && (e.Raw.IsZero() || slices.Contains(wishes, e.Type)):
		return chainKey{address: strings.ToLower(e.Recipient)}
	}
	return chainKey{only: e.ID}
}

// A chain is the facts of one key that are not told yet. Either all of them
// are listed or none is.
type chain struct{ head, tail *fact }

// A ledger knows for one sink which facts were read from the log and not told
// yet, and which of them may be told now. It does no I/O and reads no clock.
type ledger struct {
	most   int     // facts that may be parked before reading stops
	seen   ID      // everything up to here is told, given up or parked
	window []*fact // in order of the log; the first one is not settled
	parked []*fact // in order of the log
	chains map[chainKey]*chain
	fresh  []*fact // ready, never failed
	again  []*fact // ready, failed before
	flying int
	wakeAt time.Time // when the first of those that rest is due; zero: none rests
	moved  bool      // the cursor changed; whoever writes it down clears this
}

// newLedger begins where a cursor ends. Parked facts are due when it says;
// those that loaded does not hold are still to be read from the log.
func newLedger(c Cursor, loaded map[ID]Event, most int) *ledger {
	l := &ledger{most: most, seen: c.Seen, chains: map[chainKey]*chain{}}
	for _, p := range c.Parked {
		f := &fact{event: Event{ID: p.Event, Delivery: p.Delivery}, settled: true, tries: p.Tries, since: p.Since, due: p.Next}
		if e, ok := loaded[p.Event]; ok {
			f.event, f.loaded = e, true
		}
		// It failed alone unless the sink has failed ever since.
		f.alone = p.Tries > 0 && (c.Failing.IsZero() || p.Since.Before(c.Failing))
		f.key = keyOf(f.event)
		l.list(f)
		l.enchain(f)
	}
	return l
}

// read takes the next event of the log. One that is not wanted counts as told,
// and so does one that is parked: a fact may be parked while an earlier one is
// still being told, and is read again after a restart.
func (l *ledger) read(e Event, wanted bool) {
	var f *fact
	if _, parked := l.find(e.ID); wanted && !parked {
		f = &fact{event: e, loaded: true, key: keyOf(e), upTo: e.ID}
		l.enchain(f)
		if c := l.chains[f.key]; c.head != f && c.head.listed {
			f.settled = true
			l.list(f)
		}
	}
	switch {
	case f != nil && !f.settled:
		l.window = append(l.window, f)
	case len(l.window) == 0:
		l.seen, l.moved = e.ID, true
	default:
		l.window[len(l.window)-1].upTo = e.ID
	}
}

// enchain puts a fact behind those of its key, or makes it ready.
func (l *ledger) enchain(f *fact) {
	c := l.chains[f.key]
	if c == nil {
		l.chains[f.key] = &chain{f, f}
		l.lead(f)
		return
	}
	c.tail.next, c.tail = f, f
}

// lead lets the first fact of a chain be told: now, or when it is due.
func (l *ledger) lead(f *fact) {
	if f.tries > 0 {
		l.rest(f)
		return
	}
	f.stage = ready
	l.fresh = append(l.fresh, f)
}

func (l *ledger) rest(f *fact) {
	f.stage = resting
	if l.wakeAt.IsZero() || f.due.Before(l.wakeAt) {
		l.wakeAt = f.due
	}
}

// wake makes ready what has rested long enough.
func (l *ledger) wake(now time.Time) {
	if l.wakeAt.IsZero() || now.Before(l.wakeAt) {
		return
	}
	l.wakeAt = time.Time{}
	for _, f := range l.parked {
		switch {
		case f.stage != resting:
		case f.due.After(now):
			l.rest(f)
		default:
			f.stage = ready
			l.again = append(l.again, f)
		}
	}
}

// recheck makes the next wake look at all facts that rest.
func (l *ledger) recheck(now time.Time) { l.wakeAt = now }

// lull lets everything that failed before rest again: nothing is due while
// the sink is failing.
func (l *ledger) lull() {
	for _, f := range l.again {
		l.rest(f)
	}
	l.again = l.again[:0]
}

// take gives a fact to tell, nil where there is none: one that never failed,
// or one that did.
func (l *ledger) take(failedBefore bool) *fact {
	from := &l.fresh
	if failedBefore {
		from = &l.again
	}
	if len(*from) == 0 {
		return nil
	}
	f := (*from)[0]
	(*from)[0] = nil
	*from = (*from)[1:]
	return l.fly(f)
}

// takeResting gives the resting fact whose last try is the longest ago, nil
// where none rests.
func (l *ledger) takeResting() *fact {
	var oldest *fact
	for _, f := range l.parked {
		if f.stage == resting && (oldest == nil || f.tried.Before(oldest.tried)) {
			oldest = f
		}
	}
	if oldest == nil {
		return nil
	}
	return l.fly(oldest)
}

func (l *ledger) fly(f *fact) *fact {
	f.stage = flying
	l.flying++
	return f
}

// done ends the way of a fact: it was told or given up. The next of its chain
// is ready.
func (l *ledger) done(f *fact) {
	l.flying--
	if f.listed {
		i, _ := l.find(f.event.ID)
		l.parked = slices.Delete(l.parked, i, i+1)
		l.moved = true
	}
	l.settle(f)
	if f.next == nil {
		delete(l.chains, f.key)
		return
	}
	l.chains[f.key].head = f.next
	l.lead(f.next)
}

// park lets a fact that failed rest until due, and what is behind it wait.
func (l *ledger) park(f *fact, now, due time.Time) {
	l.flying--
	if f.tries == 0 {
		f.since = now
	}
	f.tries++
	f.tried, f.due = now, due
	l.rest(f)
	if f.listed {
		return // that it was tried again is written down with the next move
	}
	l.moved = true
	for x := f; x != nil; x = x.next {
		l.list(x)
		l.settle(x)
	}
}

func (l *ledger) list(f *fact) {
	i, _ := l.find(f.event.ID)
	l.parked = slices.Insert(l.parked, i, f)
	f.listed = true
}

func (l *ledger) find(id ID) (int, bool) {
	return slices.BinarySearchFunc(l.parked, id, func(f *fact, id ID) int { return cmp.Compare(f.event.ID, id) })
}

// settle lets seen go past a fact, and past what was settled after it.
func (l *ledger) settle(f *fact) {
	f.settled = true
	for len(l.window) > 0 && l.window[0].settled {
		l.seen, l.moved = l.window[0].upTo, true
		l.window[0] = nil
		l.window = l.window[1:]
	}
}

// full reports whether so many facts are parked that reading must stop.
func (l *ledger) full() bool { return len(l.parked) >= l.most }

// end is the ID after which the log is to be read on.
func (l *ledger) end() ID {
	if n := len(l.window); n > 0 {
		return l.window[n-1].upTo
	}
	return l.seen
}

// oldest gives the first fact that is neither told nor, with parked false,
// parked; zero where there is none.
func (l *ledger) oldest(parked bool) ID {
	var id ID
	if len(l.window) > 0 {
		id = l.window[0].event.ID
	}
	if parked && len(l.parked) > 0 && (id == 0 || l.parked[0].event.ID < id) {
		id = l.parked[0].event.ID
	}
	return id
}

// cursor is what is to be remembered.
func (l *ledger) cursor() Cursor {
	c := Cursor{Seen: l.seen}
	for _, f := range l.parked {
		c.Parked = append(c.Parked, Parked{Event: f.event.ID, Delivery: f.event.Delivery, Tries: f.tries, Since: f.since, Next: f.due})
	}
	return c
}
