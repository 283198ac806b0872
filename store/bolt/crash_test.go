package bolt

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/event"
	"homing/hold"
	"homing/store"
)

// A past is what a store had acknowledged when its log had a length.
type past struct {
	segment uint64
	end     int64
	rows    map[rowKey]string
}

// A history is a small realistic log: its files, the index as it was before
// any of it, and all its pasts.
type history struct {
	files map[string][]byte // segments by name
	index []byte
	pasts []past
}

// rowsOf gives all rows that a store knows.
func rowsOf(t *testing.T, s *Store) map[rowKey]string {
	t.Helper()
	rows := map[rowKey]string{}
	for b := bucketMessage; b < bucketEnd; b++ {
		err := s.scan(b, span{}, func(_ *view, key string, row []byte) (bool, error) {
			if b != bucketMeta {
				rows[rowKey{b, key}] = string(row)
			}
			return true, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return rows
}

// live makes a history: mail of several sizes, outcomes, holds, reports, and
// two restarts, so that there are three segments.
func live(t *testing.T) *history {
	t.Helper()
	p := newPlace(t)
	p.Open(t)
	h := &history{files: map[string][]byte{}}
	var err error
	if h.index, err = os.ReadFile(indexPath(p.options.Dir)); err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	note := func() {
		pos := p.s.log.position()
		h.pasts = append(h.pasts, past{pos.segment, pos.offset, rowsOf(t, p.s)})
	}
	note()
	for i := range 3 {
		id := p.s.Deliveries(2)
		enqueue(t, p.s, now, id, i*400)
		note()
		settle(t, p.s, now, id)
		note()
		annotate(t, p.s, now, id+1)
		note()
		if i < 2 {
			p.Kill(t)
			p.Open(t)
		}
	}
	p.Kill(t)
	names, err := filepath.Glob(filepath.Join(p.options.Dir, "log", "*"))
	if err != nil || len(names) != 3 {
		t.Fatalf("got segments %v, %v, want 3", names, err)
	}
	for i, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if i == 2 { // a little of what is preallocated will do
			b = b[:p.s.log.cur.end+100]
		}
		h.files[filepath.Base(name)] = b
	}
	return h
}

func enqueue(t *testing.T, s *Store, now time.Time, id event.DeliveryID, size int) {
	t.Helper()
	d, err := s.NewBody(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Discard()
	if _, err := d.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	sub := store.Submission{Key: fmt.Sprint("key", id), Message: store.Message{Accepted: now, Sender: "s@example.org"}, Body: d,
		Heads: [][]byte{[]byte("To: a\r\n\r\n")}, Events: []event.Event{{Type: event.Accepted, Delivery: id}}}
	for i := range event.DeliveryID(2) {
		sub.Recipients = append(sub.Recipients, store.Recipient{ID: id + i, Address: "ann@example.net", State: store.Waiting, Due: now})
	}
	if _, err := s.Enqueue(t.Context(), sub); err != nil {
		t.Fatal(err)
	}
}

func settle(t *testing.T, s *Store, now time.Time, id event.DeliveryID) {
	t.Helper()
	err := s.Apply(t.Context(), store.Change{Delivery: id, Decide: func(c *store.Case) error {
		c.Events = append(c.Events, event.Event{Type: event.Bounced, Original: c.Recipient.Body})
		c.Hold.Scopes = []hold.Scope{{Epoch: now}}
		return c.Recipient.Move(store.Bounced, now)
	}})
	if err != nil {
		t.Fatal(err)
	}
}

func annotate(t *testing.T, s *Store, now time.Time, id event.DeliveryID) {
	t.Helper()
	raw, err := s.NewBody(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Discard()
	fmt.Fprint(raw, "a report\r\n")
	err = s.Apply(t.Context(), store.Change{Delivery: id, Raw: raw, Decide: func(c *store.Case) error {
		c.Recipient.Seen = append(c.Recipient.Seen, 5)
		c.Events = append(c.Events, event.Event{Type: event.AutoReplied, Raw: c.Raw})
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
}

// read gives the rows that a log leads to, as a start would read it.
func read(t *testing.T, files map[string][]byte) (map[rowKey]string, error) {
	t.Helper()
	fs := memoryDisk(files)
	list, err := openSegments(fs, "")
	if err != nil {
		return nil, err
	}
	o := newOverlay()
	r := logReader{list: list, ended: func(*segment, int64) error { return nil }}
	r.frame = func(f frame, _ position) error { return f.each(func(p op) error { o.apply(p); return nil }) }
	if _, err := r.read(); err != nil {
		return nil, err
	}
	rows := map[rowKey]string{}
	for b := bucketMessage; b < bucketMeta; b++ {
		for key, row := range o.rows[b] {
			if row != nil {
				rows[rowKey{b, key}] = string(row)
			}
		}
	}
	return rows, nil
}

// with gives the files with one of them replaced and the later ones gone or
// kept.
func (h *history) with(name string, b []byte, later bool) map[string][]byte {
	files := map[string][]byte{}
	for n, old := range h.files {
		switch {
		case n == name:
			files[n] = b
		case n < name || later:
			files[n] = old
		}
	}
	return files
}

func TestTheLogCutAtEveryOctetIsALegalPast(t *testing.T) {
	h := live(t)
	for _, name := range slices.Sorted(maps.Keys(h.files)) {
		number := uint64(slices.Index(slices.Sorted(maps.Keys(h.files)), name)) + 1
		for n := range len(h.files[name]) + 1 {
			got, err := read(t, h.with(name, h.files[name][:n], false))
			if err != nil {
				t.Fatalf("%s cut to %d octets: %v", name, n, err)
			}
			if i := h.pastOf(got); i < 0 || !h.covers(i, number, int64(n)) {
				t.Fatalf("%s cut to %d octets: got past %d of %d", name, n, i, len(h.pasts))
			}
		}
	}
}

// pastOf finds the past that has these rows, -1 for none.
func (h *history) pastOf(rows map[rowKey]string) int {
	return slices.IndexFunc(h.pasts, func(p past) bool { return maps.Equal(p.rows, rows) })
}

// covers reports whether past i holds everything that was acknowledged when
// the log ended there.
func (h *history) covers(i int, segment uint64, end int64) bool {
	next := i + 1
	if next == len(h.pasts) {
		return true
	}
	p := h.pasts[next]
	return p.segment > segment || p.segment == segment && p.end > end
}

func TestAnyOctetChangedIsRefusedOrALegalPast(t *testing.T) {
	h := live(t)
	refused, taken := 0, 0
	for _, name := range slices.Sorted(maps.Keys(h.files)) {
		whole := h.files[name]
		for at := range whole {
			for _, flip := range []byte{1, 0x80, 0xff} {
				b := slices.Clone(whole)
				b[at] ^= flip
				got, err := read(t, h.with(name, b, true))
				switch {
				case err == nil && h.pastOf(got) < 0:
					t.Fatalf("%s: octet %d changed by %#x gives a past that never was", name, at, flip)
				case err == nil:
					taken++
				case errors.Is(err, ErrDamaged) || errors.Is(err, ErrNewer):
					refused++
				default:
					t.Fatalf("%s: octet %d changed by %#x: %v", name, at, flip, err)
				}
			}
		}
	}
	if refused == 0 || taken == 0 {
		t.Errorf("refused %d, taken %d: want some of both", refused, taken)
	}
}

func TestDamageThatAValidFrameFollowsIsRefused(t *testing.T) {
	h := live(t)
	name := slices.Max(slices.Collect(maps.Keys(h.files)))
	whole := h.files[name]
	last := h.pasts[len(h.pasts)-2].end // where the last frame begins
	for at := int64(segmentHeader); at < last; at++ {
		b := slices.Clone(whole)
		b[at] ^= 0xff
		_, err := read(t, h.with(name, b, true))
		// The zeros that fill a frame up say nothing.
		if padding := whole[at] == 0 && err == nil && h.endsWithin(at); !errors.Is(err, ErrDamaged) && !padding {
			t.Fatalf("octet %d of %d changed: got %v, want %v", at, len(whole), err, ErrDamaged)
		}
	}
	// A frame that is gone as a block: the disk gave zeros for it.
	b := slices.Clone(whole)
	clear(b[segmentHeader:last])
	if _, err := read(t, h.with(name, b, true)); !errors.Is(err, ErrDamaged) {
		t.Errorf("frames that became zeros: got %v, want %v", err, ErrDamaged)
	}
}

// endsWithin reports whether a frame ends in the octets right after at.
func (h *history) endsWithin(at int64) bool {
	return slices.ContainsFunc(h.pasts, func(p past) bool { return p.segment == 3 && p.end > at && p.end-at < frameAlign })
}

func TestALostSegmentIsDamage(t *testing.T) {
	h := live(t)
	names := slices.Sorted(maps.Keys(h.files))
	for _, lost := range names[:2] {
		files := maps.Clone(h.files)
		delete(files, lost)
		if _, err := read(t, files); !errors.Is(err, ErrDamaged) {
			t.Errorf("without %s: got %v, want %v", lost, err, ErrDamaged)
		}
	}
}

// put writes a history, cut, to a directory of its own.
func (h *history) put(t *testing.T, files map[string][]byte) *place {
	t.Helper()
	p := newPlace(t)
	for _, dir := range []string{"log", "body"} {
		if err := os.MkdirAll(filepath.Join(p.options.Dir, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(p.options.Dir, "log", name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(indexPath(p.options.Dir), h.index, 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAStoreOpensOnACutLogAndGoesOn(t *testing.T) {
	h := live(t)
	for _, name := range slices.Sorted(maps.Keys(h.files)) {
		for n := 0; n <= len(h.files[name]); n += 131 {
			p := h.put(t, h.with(name, h.files[name][:n], false))
			s := p.Open(t)
			if i := h.pastOf(rowsOf(t, p.s)); i < 0 {
				t.Errorf("%s cut to %d octets: a past that never was", name, n)
			}
			if err := p.s.Verify(t.Context()); err != nil {
				t.Errorf("%s cut to %d octets: %v", name, n, err)
			}
			enqueue(t, p.s, time.Now(), s.Deliveries(2), 10)
			want := rowsOf(t, p.s)
			p.Kill(t)
			p.Open(t)
			if diff := cmp.Diff(want, rowsOf(t, p.s), cmp.AllowUnexported(rowKey{})); diff != "" {
				t.Errorf("%s cut to %d octets, then a restart (-want +got):\n%s", name, n, diff)
			}
			p.Close(t)
		}
	}
}

func TestReplayingTwiceChangesNothing(t *testing.T) {
	h := live(t)
	p := h.put(t, h.files)
	p.Open(t)
	want := rowsOf(t, p.s)
	p.Close(t)
	// The index knows everything; an index that knows nothing is put back.
	if err := os.WriteFile(indexPath(p.options.Dir), h.index, 0o600); err != nil {
		t.Fatal(err)
	}
	p.Open(t)
	defer p.Close(t)
	if diff := cmp.Diff(want, rowsOf(t, p.s), cmp.AllowUnexported(rowKey{})); diff != "" {
		t.Errorf("rows differ (-want +got):\n%s", diff)
	}
}

func TestALogThatEndsBeforeTheIndexIsDamage(t *testing.T) {
	p := newPlace(t)
	p.Open(t)
	enqueue(t, p.s, time.Now(), p.s.Deliveries(2), 10)
	p.Close(t)
	name := segmentName(filepath.Join(p.options.Dir, "log"), 1)
	for _, spoil := range []func() error{
		func() error { return os.Truncate(name, 100) },
		func() error { return os.Remove(name) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if s, err := Open(t.Context(), p.options); !errors.Is(err, ErrDamaged) {
			t.Errorf("got %v, want %v", err, ErrDamaged)
			if s != nil {
				s.Close()
			}
		}
	}
}

func TestNumbersIncreaseAlthoughTheClockWasSetBack(t *testing.T) {
	p := newPlace(t)
	now := time.Now()
	p.options.Now = func() time.Time { return now }
	var last struct {
		delivery event.DeliveryID
		event    event.ID
		body     uint64
		message  event.MessageID
	}
	for _, stop := range []func(*testing.T){p.Kill, p.Close, p.Kill} {
		s := p.Open(t)
		id := s.Deliveries(2)
		enqueue(t, p.s, now, id, 10)
		_, r, err := s.Recipient(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		list, err := s.Events(t.Context(), last.event, 10)
		if err != nil || len(list) != 1 || id <= last.delivery || r.Body.Body <= last.body || r.Message <= last.message {
			t.Fatalf("delivery %v, message %v, body %x, events %v, %v after %+v", id, r.Message, r.Body.Body, list, err, last)
		}
		last.delivery, last.event, last.body, last.message = id+1, list[0].ID, r.Body.Body, r.Message
		// Nothing that was numbered is left to tell.
		for _, w := range []store.What{{Address: "ann@example.net"}, {EventsBefore: now.Add(time.Hour)}} {
			if _, err := s.Forget(t.Context(), w, 10); err != nil {
				t.Fatal(err)
			}
		}
		stop(t)
		now = now.Add(-48 * time.Hour)
	}
}
