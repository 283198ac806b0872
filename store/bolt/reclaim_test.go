package bolt

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"homing/event"
	"homing/internal/message"
	"homing/store"
)

// A clock is set by hand: it says how much later it is than at the start.
type clock struct {
	start time.Time
	later atomic.Int64
}

func (c *clock) now() time.Time { return c.start.Add(time.Duration(c.later.Load())) }

// rolling opens a store whose segments are small, under a clock.
func rolling(t *testing.T) (*place, *clock) {
	t.Helper()
	c := &clock{start: time.Now()}
	p := newPlace(t)
	p.options.segmentFull = 256 << 10
	p.options.Now = c.now
	p.Open(t)
	t.Cleanup(func() { p.Kill(t) })
	return p, c
}

// segmentsOf counts the segments on disk.
func (p *place) segmentsOf(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir(filepath.Join(p.options.Dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

// tend does what the flusher does in one round, after the one that it may be
// in.
func (p *place) tend(t *testing.T) {
	t.Helper()
	if err := p.s.tend(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// fill enqueues mails of 50 KB each.
func fill(t *testing.T, s *Store, n int) []event.DeliveryID {
	t.Helper()
	var ids []event.DeliveryID
	for range n {
		id, err := tryEnqueue(t, s, 50<<10)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

// bodyText reads the body of a delivery.
func bodyText(t *testing.T, s *Store, id event.DeliveryID) string {
	t.Helper()
	_, r, err := s.Recipient(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.OpenBody(t.Context(), r.Body)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	var text bytes.Buffer
	if _, err := b.WriteTo(&text); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

func cancel(t *testing.T, s *Store, ids ...event.DeliveryID) {
	t.Helper()
	for _, id := range ids {
		if err := s.Apply(t.Context(), cancelled(id)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestASegmentGoesWhenNoBodyInItIsOwed(t *testing.T) {
	p, _ := rolling(t)
	ids := fill(t, p.s, 20)
	p.tend(t)
	if n := p.segmentsOf(t); n < 3 {
		t.Fatalf("there are %d segments, want several", n)
	}
	cancel(t, p.s, ids[:19]...)
	p.tend(t)
	if n := p.segmentsOf(t); n > 2 {
		t.Errorf("there are %d segments, want the one with the last body and the current one", n)
	}
	bodyText(t, p.s, ids[19])
	p.Kill(t)
	p.Open(t)
	bodyText(t, p.s, ids[19])
	if err := p.s.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestASegmentStaysWhileSomebodyReads(t *testing.T) {
	p, _ := rolling(t)
	ids := fill(t, p.s, 12)
	_, r, err := p.s.Recipient(t.Context(), ids[0])
	if err != nil {
		t.Fatal(err)
	}
	b, err := p.s.OpenBody(t.Context(), r.Body)
	if err != nil {
		t.Fatal(err)
	}
	first := segmentName(filepath.Join(p.options.Dir, "log"), 1)
	cancel(t, p.s, ids...)
	p.tend(t)
	if _, err := os.Stat(first); err != nil {
		t.Errorf("while a body in it is open: %v", err)
	}
	var text bytes.Buffer
	if _, err := b.WriteTo(&text); err != nil || text.Len() != int(r.Body.Size) {
		t.Errorf("read %d octets, %v", text.Len(), err)
	}
	b.Close()
	p.tend(t)
	if _, err := os.Stat(first); !os.IsNotExist(err) {
		t.Errorf("after Close: %v", err)
	}
}

func TestASegmentStaysWhileTheIndexDoesNotKnowIt(t *testing.T) {
	p, _ := rolling(t)
	first := segmentName(filepath.Join(p.options.Dir, "log"), 1)
	p.s.tending.Lock() // the flusher stays where it is
	cancel(t, p.s, fill(t, p.s, 12)...)
	p.s.reclaim()
	_, err := os.Stat(first)
	p.s.tending.Unlock()
	if err != nil {
		t.Error(err)
	}
	p.tend(t)
	if _, err := os.Stat(first); !os.IsNotExist(err) {
		t.Errorf("once the index knows it: %v", err)
	}
}

func TestOldSegmentsThatHoldLittleAreCompacted(t *testing.T) {
	p, c := rolling(t)
	ids := fill(t, p.s, 24)
	keep := []event.DeliveryID{ids[0], ids[13]}
	want := bodyText(t, p.s, keep[0])
	for i, id := range ids {
		if i != 0 && i != 13 {
			cancel(t, p.s, id)
		}
	}
	p.tend(t)
	before := p.segmentsOf(t)
	if before < 3 {
		t.Fatalf("there are %d segments, want those of two bodies and the current one", before)
	}
	c.later.Store(int64(compactAfter))
	p.tend(t) // moves the bodies
	p.tend(t) // the index knows it, so the segments go
	if n := p.segmentsOf(t); n >= before {
		t.Errorf("there are %d segments, as many as before", n)
	}
	if _, err := os.Stat(segmentName(filepath.Join(p.options.Dir, "log"), 1)); !os.IsNotExist(err) {
		t.Errorf("the first segment: %v", err)
	}
	for range 2 {
		for _, id := range keep {
			if bodyText(t, p.s, id) != want {
				t.Errorf("the body of %v differs", id)
			}
		}
		if err := p.s.Verify(t.Context()); err != nil {
			t.Error(err)
		}
		p.Kill(t)
		p.Open(t)
	}
}

func TestWritersReadersAndCompactionGetAlong(t *testing.T) {
	p, _ := rolling(t)
	done := make(chan error)
	const writers, each = 4, 25
	for w := range writers {
		go func() {
			for i := range each {
				id, err := tryEnqueue(t, p.s, 20<<10)
				if err == nil {
					var r store.Recipient
					if _, r, err = p.s.Recipient(t.Context(), id); err == nil {
						err = readAll(t, p.s, r)
					}
				}
				if err == nil && (i+w)%8 != 0 {
					err = p.s.Apply(t.Context(), cancelled(id))
				}
				if err != nil {
					done <- fmt.Errorf("writer %d: %w", w, err)
					return
				}
			}
			done <- nil
		}()
	}
	for range writers {
		if err := <-done; err != nil {
			t.Error(err)
		}
		p.tend(t)
	}
	if err := p.s.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}

func readAll(t *testing.T, s *Store, r store.Recipient) error {
	b, err := s.OpenBody(t.Context(), r.Body)
	if err != nil {
		return err
	}
	defer b.Close()
	var text bytes.Buffer
	_, err = b.WriteTo(&text)
	return err
}

func TestABodyThatWasChangedOnDiskIsNotHandedOut(t *testing.T) {
	p := newPlace(t)
	p.Open(t)
	id, err := tryEnqueue(t, p.s, 1000)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill(t)
	_, r, err := p.s.Recipient(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	g := p.s.log.cur
	// The header block has two octets, and the content follows.
	if _, err := g.file.WriteAt([]byte{1}, segmentHeader+frameBodies+500); err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	b, err := p.s.OpenBody(t.Context(), r.Body)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := b.WriteTo(&text); err == nil || text.Len() > 2 {
		t.Errorf("got %d octets and %v, want the header block and an error", text.Len(), err)
	}
	if err := p.s.Verify(t.Context()); err == nil {
		t.Error("Verify finds nothing")
	}
}

func TestSegmentsAreSmallOnASmallDisk(t *testing.T) {
	for _, tt := range []struct {
		disk uint64
		want int64
	}{{16 << 20, 2 << 20}, {64 << 20, 2 << 20}, {1 << 30, 32 << 20}, {1 << 40, segmentFull}, {1 << 63, segmentFull}} {
		s := &Store{fs: &faultyDisk{free: 1, size: tt.disk}}
		if got, err := s.segmentSize(0); got != tt.want || err != nil {
			t.Errorf("disk of %d MiB: got %d, %v, want %d", tt.disk>>20, got, err, tt.want)
		}
	}
}

func TestWhatAParkedDeliveryShowsStaysOwed(t *testing.T) {
	p := newPlace(t)
	p.Open(t)
	defer p.Close(t)
	enqueue(t, p.s, time.Now(), p.s.Deliveries(2), 10)
	var refs []message.Ref
	for delivery := event.DeliveryID(0); delivery < 4; delivery++ {
		raw, err := p.s.NewBody(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(raw, "a reply")
		err = p.s.Apply(t.Context(), store.Change{Raw: raw, Decide: func(c *store.Case) error {
			refs = append(refs, c.Raw)
			c.Events = append(c.Events, event.Event{Type: event.Replied, Delivery: delivery, Raw: c.Raw})
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	// Retention is done with them: only what sinks show is left.
	if n, err := p.s.Forget(t.Context(), store.What{ReportsBefore: time.Now().Add(time.Hour)}, 10); n != 4 || err != nil {
		t.Fatalf("forgot %d reports, %v", n, err)
	}
	list, err := p.s.Events(t.Context(), 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	list = list[len(list)-4:]
	owed := func(parked []event.Parked, seen event.ID) (left []int) {
		t.Helper()
		if err := p.s.Advance(t.Context(), "dsn", event.Cursor{Seen: seen, Parked: parked}); err != nil {
			t.Fatal(err)
		}
		p.tend(t)
		for i, ref := range refs {
			if b, err := p.s.OpenBody(t.Context(), ref); err == nil {
				b.Close()
				left = append(left, i)
			}
		}
		return left
	}
	later := time.Now().Add(time.Hour)
	waits := []event.Parked{
		{Event: list[0].ID, Next: later},                                 // about no delivery
		{Event: list[1].ID - 1, Delivery: list[1].Delivery, Next: later}, // an earlier fact of the same delivery
		{Event: list[2].ID, Delivery: list[2].Delivery},                  // behind another one, without a time of its own
	}
	for _, tt := range []struct {
		name   string
		parked []event.Parked
		seen   event.ID
		want   []int
	}{
		{"nothing is passed", nil, list[0].ID - 1, []int{0, 1, 2, 3}},
		{"all but the last, all of which wait", waits, list[2].ID, []int{0, 1, 2, 3}},
		{"the last, which does not wait", waits, list[3].ID, []int{0, 1, 2}},
		{"one waits no more", waits[:2], list[3].ID, []int{0, 1}},
		{"none waits any more", nil, list[3].ID, nil},
	} {
		if got := owed(tt.parked, tt.seen); !slices.Equal(got, tt.want) {
			t.Errorf("%s: owed are %v, want %v", tt.name, got, tt.want)
		}
	}
	if err := p.s.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}
