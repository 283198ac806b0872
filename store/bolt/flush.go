package bolt

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"time"
)

const (
	overlayFlush = 32 << 20               // what the index lags behind at most, unless it cannot keep up
	flushAfter   = 200 * time.Millisecond // and for how long
	flushAgain   = time.Second            // after a failure
)

// flushSoon has the index brought up to the log before long. s.mu is held.
func (s *Store) flushSoon() {
	if !s.armed {
		s.armed = true
		s.wake <- struct{}{} // the flusher took the one before when it disarmed
	}
}

// flushNow has the index brought up to the log at once.
func (s *Store) flushNow() {
	select {
	case s.urgent <- struct{}{}:
	default:
	}
}

// flushLoop brings the index up to the log, and does what follows from it. It
// does nothing while there is nothing to do.
func (s *Store) flushLoop() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	timer := time.NewTimer(flushAfter)
	timer.Stop()
	defer timer.Stop()
	delay := flushAfter
	for {
		urgent := s.urgent
		if delay == flushAgain { // however far the index lags behind: it has just failed
			urgent = nil
		}
		select {
		case <-s.closing:
			return
		case <-s.wake:
			timer.Reset(delay)
			continue
		case <-urgent:
		case <-timer.C:
			s.disarm()
		}
		delay = flushAfter
		if err := s.tend(ctx); err != nil && !s.failed.is() {
			delay = flushAgain
			timer.Reset(delay)
			s.slog.Warn("index not up to date, trying again", "err", err)
			s.mu.Lock()
			s.flushSoon()
			s.mu.Unlock()
		}
	}
}

func (s *Store) disarm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.armed = false
}

// tend is one round of the flusher.
func (s *Store) tend(ctx context.Context) error {
	s.tending.Lock()
	defer s.tending.Unlock()
	s.mu.Lock()
	sweep := len(s.moved) > 0 || s.sweep
	s.sweep = false
	s.mu.Unlock()
	errs := []error{s.flush()}
	if sweep {
		errs = append(errs, s.writeCursors(ctx), s.releaseShown(ctx))
	}
	s.removeDoomed()
	s.reclaim()
	errs = append(errs, s.compact(ctx))
	err := errors.Join(errs...)
	if errors.Is(err, errClosed) {
		return nil
	}
	return err
}

// removeDoomed removes the files of bodies that are owed to nobody.
func (s *Store) removeDoomed() {
	s.mu.Lock()
	list := slices.Clone(s.doomed)
	if s.frozen > 0 {
		list = nil
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.doomed = s.doomed[len(list):]
	}()
	for _, id := range list {
		if err := s.fs.Remove(bodyName(s.bodyDir, id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.slog.Warn("body without an owner not removed; the next start will", "err", err)
		}
	}
}

// bodyID reads the name of a body's file.
func bodyID(name string) (uint64, bool) {
	id, err := strconv.ParseUint(name, 16, 64)
	return id, err == nil && len(name) == 16
}
