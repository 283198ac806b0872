package bolt

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"homing/event"
	"homing/store"
)

func TestALargeBodyOutlivesTheSyncThatFailedOnItsFrame(t *testing.T) {
	p, d := faulty(t)
	d.only = "log/"
	d.set("sync", broken)
	id, err := tryEnqueue(t, p.s, 200_000) // discards its draft, as sessions do
	if !errors.Is(err, store.ErrFailed) {
		t.Fatalf("got %v, want %v", err, store.ErrFailed)
	}
	d.heal()
	p.Kill(t)
	p.Open(t)
	// The frame was written, whatever the sync said: it may well count now.
	if _, _, err := p.s.Recipient(t.Context(), id); err == nil {
		bodyText(t, p.s, id)
	}
	if err := p.s.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}

// A syncedDisk writes down in which order files are made durable.
type syncedDisk struct {
	disk
	mu  sync.Mutex
	did []string
}

func (d *syncedDisk) note(what, name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.did = append(d.did, what+" "+name)
}

func (d *syncedDisk) SyncDir(dir string) error {
	d.note("syncdir", dir)
	return d.disk.SyncDir(dir)
}

func TestTheDirectoriesOfANewStoreAreDurableBeforeItsFirstFrame(t *testing.T) {
	p, d := newPlace(t), &syncedDisk{}
	p.options.FS = d
	p.Open(t)
	defer p.Close(t)
	dir := p.options.Dir
	for _, want := range []string{filepath.Dir(dir), dir, filepath.Join(dir, "log")} {
		if !slices.Contains(d.did, "syncdir "+want) {
			t.Errorf("%s was not synced: %q", want, d.did)
		}
	}
}

func TestASegmentThatCannotBeMadeStopsNobody(t *testing.T) {
	for _, why := range []error{syscall.EMFILE, syscall.EACCES, broken} {
		p, d, c := newPlace(t), &faultyDisk{}, &clock{start: time.Now()}
		p.options.FS, p.options.Now, p.options.segmentFull = d, c.now, 256<<10
		p.Open(t)
		ids := fill(t, p.s, 4)
		d.set("open", why)
		ids = append(ids, fill(t, p.s, 8)...)
		if err := p.s.Apply(t.Context(), cancelled(ids[0])); err != nil {
			t.Errorf("%v: Apply: %v", why, err)
		}
		d.heal()
		before := p.segmentsOf(t)
		c.later.Add(int64(rollAgain))
		fill(t, p.s, 1)
		if n := p.segmentsOf(t); n != before+1 {
			t.Errorf("%v: %d segments once they can be made again, want %d", why, n, before+1)
		}
		p.Kill(t)
		p.Open(t)
		if err := p.s.Verify(t.Context()); err != nil {
			t.Error(err)
		}
		p.Close(t)
	}
}

func TestWhatCannotBePreallocatedIsTemporary(t *testing.T) {
	p, d := faulty(t)
	d.set("allocate", broken)
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
	for _, id := range ids {
		if err := p.s.Apply(t.Context(), cancelled(id)); err != nil {
			t.Fatalf("Apply: %v", err)
		}
	}
}

// bulky enqueues a message whose row is so large that a few fill an overlay.
func bulky(t *testing.T, s *Store, octets int) event.DeliveryID {
	t.Helper()
	d, err := s.NewBody(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Discard()
	id := s.Deliveries(1)
	_, err = s.Enqueue(t.Context(), store.Submission{Message: store.Message{Subject: strings.Repeat("x", octets)}, Body: d,
		Heads: [][]byte{[]byte("\r\n")}, Recipients: []store.Recipient{{ID: id, Address: "ann@example.net", State: store.Waiting}}})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// The last frame of a log may not be durable: the process before may have
// ended between writing and syncing it.
func TestAReplayGivesTheIndexOnlyWhatIsDurable(t *testing.T) {
	p := newPlace(t)
	p.Open(t)
	if err := p.s.flush(); err != nil {
		t.Fatal(err)
	}
	index, err := os.ReadFile(indexPath(p.options.Dir))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		bulky(t, p.s, overlayFlush/3)
	}
	last := p.s.log.position().number
	p.Kill(t)
	if err := os.WriteFile(indexPath(p.options.Dir), index, 0o600); err != nil {
		t.Fatal(err)
	}
	d := &faultyDisk{only: "log/"}
	d.set("sync", broken)
	p.options.FS = d
	if s, err := Open(t.Context(), p.options); err == nil {
		s.Close()
		t.Fatal("opened on a disk that does not sync")
	}
	db, err := openIndex(indexPath(p.options.Dir), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	applied, err := prepareIndex(db)
	if err != nil || applied.number >= last {
		t.Errorf("the index knows frame %d (%v); frame %d, the last one, was never synced", applied.number, err, last)
	}
}

func TestTheIndexKeepsUpWhileBodiesAreMoved(t *testing.T) {
	p, c := rolling(t)
	ids := fill(t, p.s, 40)
	p.tend(t)
	for i, id := range ids {
		if i%8 != 0 {
			if err := p.s.Apply(t.Context(), cancelled(id)); err != nil {
				t.Fatal(err)
			}
		}
	}
	p.tend(t)
	c.later.Add(int64(compactAfter))
	p.s.tending.Lock() // the flusher stays where it is
	defer p.s.tending.Unlock()
	for p.s.sparse() != nil {
		p.s.mu.Lock()
		p.s.active.octets += overlayMost // of mail that comes in meanwhile
		p.s.mu.Unlock()
		if err := p.s.compact(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.s.mu.RLock()
		lag := p.s.active.octets
		p.s.mu.RUnlock()
		if lag > overlayFlush {
			t.Errorf("after moving bodies the index lags %d octets behind", lag)
		}
	}
}
