package bolt

import (
	"errors"
	"log/slog"
	"path/filepath"
	"testing"

	"homing/store"
	"homing/store/storetest"
)

// A place is a directory that tests open as often as they like.
type place struct {
	options Options
	s       *Store
}

func newPlace(t *testing.T) *place {
	t.Helper()
	return &place{options: Options{Dir: filepath.Join(t.TempDir(), "store"), Log: quiet()}}
}

// quiet is a log that nobody reads.
func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func (p *place) Open(t *testing.T) store.Store {
	t.Helper()
	s, err := Open(t.Context(), p.options)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	p.s = s
	return s
}

func (p *place) Close(t *testing.T) {
	t.Helper()
	if err := p.s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func (p *place) Kill(t *testing.T) {
	t.Helper()
	p.s.kill()
}

var errKilled = errors.New("killed")

// kill stops a Store as the end of its process would: nothing is written any
// more. What the committer has in hand is done or not, as with a real kill.
func (s *Store) kill() {
	s.closeOnce.Do(func() {
		s.failed.set(errKilled)
		close(s.closing)
		s.queue.close()
		s.workers.Wait()
		s.closeErr = s.shut()
	})
}

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Opener { return newPlace(t) })
}
