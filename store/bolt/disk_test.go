package bolt

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"homing/event"
	"homing/store"
)

// faulty opens a store on a disk that can be made to fail.
func faulty(t *testing.T) (*place, *faultyDisk) {
	t.Helper()
	p, d := newPlace(t), &faultyDisk{}
	p.options.FS = d
	p.Open(t)
	t.Cleanup(func() { p.Kill(t) })
	return p, d
}

// tryEnqueue enqueues a message with a body of a size.
func tryEnqueue(t *testing.T, s *Store, size int) (event.DeliveryID, error) {
	t.Helper()
	d, err := s.NewBody(t.Context())
	if err != nil {
		return 0, err
	}
	defer d.Discard()
	if _, err := d.Write(make([]byte, size)); err != nil {
		return 0, err
	}
	id := s.Deliveries(1)
	_, err = s.Enqueue(t.Context(), store.Submission{Body: d, Heads: [][]byte{[]byte("\r\n")}, Recipients: []store.Recipient{
		{ID: id, Address: "ann@example.net", State: store.Waiting}}})
	return id, err
}

func cancelled(id event.DeliveryID) store.Change {
	return store.Change{Delivery: id, Decide: func(c *store.Case) error { return c.Recipient.Move(store.Cancelled, time.Time{}) }}
}

func TestAfterAFailedSyncNothingIsAcknowledgedUntilARestart(t *testing.T) {
	p, d := faulty(t)
	first, err := tryEnqueue(t, p.s, 10)
	if err != nil {
		t.Fatal(err)
	}
	waiting := make(chan error)
	go func() {
		_, err := p.s.Events(t.Context(), event.ID(1<<55), 1)
		waiting <- err
	}()
	d.set("sync", broken)
	lost, err := tryEnqueue(t, p.s, 10)
	if !errors.Is(err, store.ErrFailed) {
		t.Errorf("Enqueue: got %v, want %v", err, store.ErrFailed)
	}
	if err := <-waiting; !errors.Is(err, store.ErrFailed) {
		t.Errorf("Events that waited: got %v, want %v", err, store.ErrFailed)
	}
	d.heal() // too late: what the disk dropped, nobody knows
	_, enqueueErr := tryEnqueue(t, p.s, 10)
	_, eventsErr := p.s.Events(t.Context(), 0, 1)
	_, _, dueErr := p.s.Due(t.Context(), 0)
	_, leaseErr := p.s.Lease(t.Context(), store.LeaseRequest{Now: time.Now(), Max: 1})
	for name, err := range map[string]error{
		"Enqueue": enqueueErr, "Apply": p.s.Apply(t.Context(), cancelled(first)), "Events": eventsErr, "Due": dueErr, "Lease": leaseErr,
		"Room": p.s.Room(), "Advance": p.s.Advance(t.Context(), "crm", event.Cursor{Seen: 1}),
	} {
		if !errors.Is(err, store.ErrFailed) {
			t.Errorf("%s: got %v, want %v", name, err, store.ErrFailed)
		}
	}
	if _, _, err := p.s.Recipient(t.Context(), first); err != nil {
		t.Errorf("reading: %v", err)
	}
	p.Kill(t)
	p.Open(t)
	if _, _, err := p.s.Recipient(t.Context(), first); err != nil {
		t.Errorf("after the restart: %v", err)
	}
	if _, _, err := p.s.Recipient(t.Context(), lost); err != nil && !errors.Is(err, store.ErrNotFound) {
		t.Errorf("what was not acknowledged: %v", err)
	}
	if _, err := tryEnqueue(t, p.s, 10); err != nil {
		t.Errorf("after the restart: %v", err)
	}
	if _, err := os.Stat(filepath.Join(p.options.Dir, suspectName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the marker of the failure is still there: %v", err)
	}
	if err := p.s.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAFailedSyncOfALargeBodyIsForGood(t *testing.T) {
	for _, call := range []string{"sync", "syncdir"} {
		p, d := faulty(t)
		d.set(call, broken)
		if _, err := tryEnqueue(t, p.s, 200_000); !errors.Is(err, store.ErrFailed) {
			t.Errorf("%s: got %v, want %v", call, err, store.ErrFailed)
		}
	}
}

func TestAFullDiskIsTemporary(t *testing.T) {
	for _, half := range []bool{false, true} {
		p, d := faulty(t)
		d.half = half
		id, err := tryEnqueue(t, p.s, 10)
		if err != nil {
			t.Fatal(err)
		}
		d.set("write", noRoom)
		for range 2 {
			if _, err := tryEnqueue(t, p.s, 10); !errors.Is(err, store.ErrFull) {
				t.Errorf("Enqueue: got %v, want %v", err, store.ErrFull)
			}
			if _, err := tryEnqueue(t, p.s, 200_000); !errors.Is(err, store.ErrFull) {
				t.Errorf("a large body: got %v, want %v", err, store.ErrFull)
			}
			if err := p.s.Apply(t.Context(), cancelled(id)); !errors.Is(err, store.ErrFull) {
				t.Errorf("Apply: got %v, want %v", err, store.ErrFull)
			}
		}
		d.heal()
		if err := p.s.Apply(t.Context(), cancelled(id)); err != nil {
			t.Errorf("Apply with room again: %v", err)
		}
		young, err := tryEnqueue(t, p.s, 200_000)
		if err != nil {
			t.Errorf("Enqueue with room again: %v", err)
		}
		want := rowsOf(t, p.s)
		p.Kill(t)
		p.Open(t)
		if _, r, err := p.s.Recipient(t.Context(), young); err != nil || r.State != store.Waiting {
			t.Errorf("after a restart: %v, %v", r.State, err)
		}
		if got := rowsOf(t, p.s); len(got) != len(want) {
			t.Errorf("after a restart there are %d rows, want %d", len(got), len(want))
		}
		if names, err := os.ReadDir(filepath.Join(p.options.Dir, "body")); err != nil || len(names) != 1 {
			t.Errorf("files of bodies: %v, %v, want 1", names, err)
		}
		if err := p.s.Verify(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestAShortWriteIsCutOff(t *testing.T) {
	p, d := faulty(t)
	d.half = true
	d.set("write", broken)
	if _, err := tryEnqueue(t, p.s, 1000); err == nil || errors.Is(err, store.ErrFull) {
		t.Errorf("got %v, want another error than %v", err, store.ErrFull)
	}
	d.heal()
	if _, err := tryEnqueue(t, p.s, 10); err != nil {
		t.Error(err)
	}
	p.Kill(t)
	p.Open(t)
	if err := p.s.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestOutcomesHaveRoomWhenNewMailHasNone(t *testing.T) {
	p, d := faulty(t)
	d.set("allocate", noRoom)
	var ids []event.DeliveryID
	for {
		id, err := tryEnqueue(t, p.s, 100<<10)
		if errors.Is(err, store.ErrFull) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if used := p.s.log.cur.end; used > p.s.log.alloc-applyReserve || used < p.s.log.alloc-applyReserve-200<<10 {
		t.Errorf("Enqueue stopped at octet %d of %d", used, p.s.log.alloc)
	}
	for _, id := range ids {
		if err := p.s.Apply(t.Context(), cancelled(id)); err != nil {
			t.Fatalf("Apply: %v", err)
		}
	}
	d.heal()
	if _, err := tryEnqueue(t, p.s, 10); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

func TestAStoreStartsOnAFullDisk(t *testing.T) {
	p, d := faulty(t)
	id, err := tryEnqueue(t, p.s, 10)
	if err != nil {
		t.Fatal(err)
	}
	p.Kill(t)
	d.set("allocate", noRoom)
	if s, err := Open(t.Context(), p.options); !errors.Is(err, store.ErrFull) {
		t.Errorf("no room at all: got %v, want %v", err, store.ErrFull)
		if s != nil {
			s.Close()
		}
	}
	d.most = 64 << 10
	p.Open(t)
	if _, err := tryEnqueue(t, p.s, 10); !errors.Is(err, store.ErrFull) {
		t.Errorf("hardly any room: Enqueue gave %v, want %v", err, store.ErrFull)
	}
	if err := p.s.Apply(t.Context(), cancelled(id)); err != nil {
		t.Errorf("hardly any room: Apply gave %v", err)
	}
	d.heal()
	if _, err := tryEnqueue(t, p.s, 10); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

func TestRoomKeepsTheReserve(t *testing.T) {
	now := time.Now()
	p, d := newPlace(t), &faultyDisk{}
	p.options.FS, p.options.Now, p.options.Reserve = d, func() time.Time { return now }, Reserve{Octets: 1 << 30, Percent: 1}
	p.Open(t)
	defer p.Close(t)
	for _, tt := range []struct {
		name string
		free uint64
		want error
	}{
		{"plenty", 100 << 30, nil},
		{"more than the octets, less than the percentage", 2 << 30, store.ErrFull}, // 1 % of 1 TiB
		{"less than both", 1, store.ErrFull},
		{"again", 11 << 30, nil},
	} {
		d.free = tt.free
		now = now.Add(roomAge)
		if err := p.s.Room(); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
	d.free = 1
	if err := p.s.Room(); err != nil {
		t.Errorf("asked again within a second: %v", err)
	}
}

func TestASecondProcessIsToldWhatToDo(t *testing.T) {
	p := newPlace(t)
	p.Open(t)
	s, err := Open(t.Context(), p.options)
	if err == nil {
		s.Close()
		t.Fatal("the store was opened twice")
	}
	if !strings.Contains(err.Error(), "data_dir") || !strings.Contains(err.Error(), "stop it") {
		t.Errorf("the error says %q", err)
	}
	p.Close(t)
	p.Open(t)
	p.Close(t)
}

func TestAfterCloseEverythingIsRefused(t *testing.T) {
	p := newPlace(t)
	p.Open(t)
	waiting := make(chan error)
	go func() {
		_, _, err := p.s.Due(context.Background(), 0)
		waiting <- err
	}()
	p.Close(t)
	if err := <-waiting; err == nil {
		t.Error("Due that waited ended without an error")
	}
	if _, err := tryEnqueue(t, p.s, 10); err == nil {
		t.Error("Enqueue succeeded")
	}
	if _, err := p.s.Find(t.Context(), store.Query{}); err == nil {
		t.Error("Find succeeded")
	}
	p.Close(t) // again
}

func TestFilesOfBodiesThatNothingNamesAreRemovedAtAStart(t *testing.T) {
	p := newPlace(t)
	p.Open(t)
	d, err := p.s.NewBody(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Write(make([]byte, 200_000)); err != nil {
		t.Fatal(err)
	}
	if _, err := tryEnqueue(t, p.s, 200_000); err != nil {
		t.Fatal(err)
	}
	count := func() int {
		names, err := os.ReadDir(filepath.Join(p.options.Dir, "body"))
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	if n := count(); n != 2 {
		t.Errorf("there are %d files, want 2", n)
	}
	p.Kill(t)
	p.Open(t)
	defer p.Close(t)
	if n := count(); n != 1 {
		t.Errorf("after a restart there are %d files, want 1", n)
	}
}

func TestAStoreOfANewerVersionIsRefusedWithAdvice(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, p *place){
		"index": func(t *testing.T, p *place) {
			db, err := openIndex(indexPath(p.options.Dir), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			o := newOverlay()
			o.apply(op{bucketMeta, metaFormat, []byte{indexVersion + 1}})
			if err := writeOverlay(db, o); err != nil {
				t.Fatal(err)
			}
		},
		"segment": func(t *testing.T, p *place) {
			g := &segment{number: 9, first: 1}
			h := g.header()
			h[8]++
			if err := os.WriteFile(segmentName(filepath.Join(p.options.Dir, "log"), 9), resum(h), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			p.Open(t)
			p.Close(t)
			spoil(t, p)
			s, err := Open(t.Context(), p.options)
			if s != nil {
				s.Close()
			}
			if !errors.Is(err, ErrNewer) {
				t.Errorf("got %v, want %v", err, ErrNewer)
			}
		})
	}
}

func TestAnIndexThatCannotBeWrittenIsForGood(t *testing.T) {
	p := newPlace(t)
	var index *os.File
	p.options.OpenIndex = func(name string, flag int, mode os.FileMode) (f *os.File, err error) {
		index, err = os.OpenFile(name, flag, mode)
		return index, err
	}
	p.Open(t)
	id, err := tryEnqueue(t, p.s, 10)
	if err != nil {
		t.Fatal(err)
	}
	index.Close()
	if err := p.s.tend(t.Context()); !errors.Is(err, store.ErrFailed) {
		t.Errorf("got %v, want %v", err, store.ErrFailed)
	}
	if _, err := tryEnqueue(t, p.s, 10); !errors.Is(err, store.ErrFailed) {
		t.Errorf("Enqueue: got %v, want %v", err, store.ErrFailed)
	}
	p.Kill(t)
	p.options.OpenIndex = nil
	p.Open(t)
	defer p.Close(t)
	if _, _, err := p.s.Recipient(t.Context(), id); err != nil {
		t.Errorf("after a restart: %v", err)
	}
}

func TestTheLastFrameIsWrittenAgainAtAStart(t *testing.T) {
	p, d := faulty(t)
	if _, err := tryEnqueue(t, p.s, 10); err != nil {
		t.Fatal(err)
	}
	p.Kill(t)
	// The system may show a frame whose sync failed. To trust it, it must be
	// written again; a disk that refuses is no disk to start on.
	d.only = filepath.Base(segmentName("", 1))
	d.set("write", broken)
	if s, err := Open(t.Context(), p.options); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
		if s != nil {
			s.Close()
		}
	}
	d.heal()
	p.Open(t)
}

func TestAnIndexThatHasNoRoomHoldsNewMailBackFirst(t *testing.T) {
	p, _ := faulty(t)
	id, err := tryEnqueue(t, p.s, 10)
	if err != nil {
		t.Fatal(err)
	}
	p.s.tending.Lock() // the flusher stays where it is
	lag := func(octets int) {
		p.s.mu.Lock()
		defer p.s.mu.Unlock()
		p.s.active.octets, p.s.indexFull = octets, true
	}
	lag(overlayMost + 1)
	if _, err := tryEnqueue(t, p.s, 10); !errors.Is(err, store.ErrFull) {
		t.Errorf("Enqueue: got %v, want %v", err, store.ErrFull)
	}
	if err := p.s.Apply(t.Context(), cancelled(id)); err != nil {
		t.Errorf("Apply: %v", err)
	}
	lag(overlayLimit + 1)
	if err := p.s.Apply(t.Context(), cancelled(id)); !errors.Is(err, store.ErrFull) {
		t.Errorf("Apply far behind: got %v, want %v", err, store.ErrFull)
	}
	lag(overlayMost)
	if _, err := tryEnqueue(t, p.s, 10); err != nil {
		t.Errorf("Enqueue with room again: %v", err)
	}
	p.s.tending.Unlock()
}
