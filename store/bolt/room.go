package bolt

import (
	"sync"
	"time"

	"homing/event"
	"homing/store"
)

// A Reserve is how much of the disk must stay free for new mail to be
// accepted: the larger of both counts. The zero Reserve keeps nothing.
type Reserve struct {
	Percent float64 // of the whole disk
	Octets  uint64
}

const (
	roomAge = time.Second // how long an answer of the system counts
	roomLog = allocStep + applyReserve
)

// A room remembers what the system said of the disk.
type room struct {
	mu    sync.Mutex
	asked time.Time
	err   error
}

// Room implements store.Store. It asks the system at most once a second.
func (s *Store) Room() error {
	if s.failed.is() {
		return store.ErrFailed
	}
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	if now := s.now(); s.room.asked.IsZero() || now.Sub(s.room.asked) >= roomAge || now.Before(s.room.asked) {
		s.room.asked, s.room.err = now, s.askRoom()
	}
	return s.room.err
}

func (s *Store) askRoom() error {
	free, total, err := s.fs.Free(s.dir)
	if err != nil {
		return err
	}
	// Even without a reserve the log needs room for its next step.
	want := max(s.reserve.Octets, uint64(s.reserve.Percent/100*float64(total)), roomLog)
	if free < want {
		return store.ErrFull
	}
	return nil
}

// Deliveries implements store.Store.
func (s *Store) Deliveries(n int) event.DeliveryID {
	return event.DeliveryID(s.deliveries.Take(s.now(), n))
}
