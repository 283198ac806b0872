package bolt

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"homing/event"
	"homing/store"
)

const (
	groupOctets  = 4 << 20  // a frame that reached this takes no further request
	groupRows    = 16384    // nor one that reached this
	requestMost  = 32 << 20 // octets that one request may write
	changesMost  = 1000     // recipients, changes or rows in one request
	overlayMost  = 64 << 20 // an index that lags further holds Enqueue back
	overlayLimit = 256 << 20
)

var errClosed = errors.New("bolt: the store is closed")

// A request is what a caller wants written. stage runs in the committer.
type request struct {
	stage   func(*txn) error
	settles bool // may use the room that Enqueue leaves
	patient bool // nobody waits for it on the wire: see gathering
	err     error
	done    chan struct{}
}

// submit has a request committed and waits. Once it is queued the answer must
// be awaited, whatever becomes of ctx: only it tells what is durable.
func (s *Store) submit(ctx context.Context, settles bool, stage func(*txn) error) error {
	return s.commission(ctx, &request{stage: stage, settles: settles})
}

func (s *Store) commission(ctx context.Context, r *request) error {
	if err := s.broken(ctx); err != nil {
		return err
	}
	r.done = make(chan struct{})
	if err := s.queue.put(r); err != nil {
		return err
	}
	<-r.done
	return r.err
}

// commitLoop is the committer. It ends when the queue is closed and empty.
func (s *Store) commitLoop() {
	t := newTxn(s)
	for range s.queue.news {
		for list := s.queue.take(); len(list) > 0; list = s.queue.take() {
			for len(list) > 0 {
				n := s.commit(t, list)
				for _, r := range list[:n] {
					close(r.done)
				}
				list = list[n:]
			}
		}
	}
	for _, r := range s.queue.take() {
		r.err = errClosed
		close(r.done)
	}
}

// commit writes one frame for as many requests as fit, and says how many: it
// sets the err of each.
func (s *Store) commit(t *txn, list []*request) (n int) {
	err := s.ready()
	if err == nil {
		n, err = s.stage(t, list)
	}
	if err == nil && !t.frame.empty() {
		err = s.write(t)
	}
	if err != nil {
		// What a request was told by rows that were never written may be
		// wrong, so all of the group get this error.
		n = max(n, 1)
		for _, r := range list[:n] {
			r.err = err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t.release()
	if err == nil {
		s.merge(t)
	}
	return n
}

// ready makes the log ready for a frame.
func (s *Store) ready() error {
	if s.failed.is() {
		return store.ErrFailed
	}
	if err := s.log.roll(); err != nil {
		return s.check(err)
	}
	return nil
}

// stage runs requests into one frame. An error is about the whole group.
func (s *Store) stage(t *txn, list []*request) (n int, err error) {
	lag, stuck := s.awaitIndex()
	if err := t.begin(); err != nil {
		return 1, err
	}
	defer t.view.close()
	for n < len(list) && (n == 0 || t.frame.size() < groupOctets && len(t.rows) < groupRows) {
		r := list[n]
		n++
		switch {
		case stuck && (lag > overlayLimit || lag > overlayMost && !r.settles):
			r.err = fmt.Errorf("%w: the index cannot be written", store.ErrFull)
		default:
			r.err = t.run(r)
		}
	}
	return n, nil
}

// run stages one request, or nothing of it.
func (t *txn) run(r *request) error {
	m := t.mark()
	err := r.stage(t)
	if err == nil {
		err = t.finish()
	}
	if grown := t.frame.size() - m.size; err == nil && grown > requestMost {
		err = fmt.Errorf("bolt: a transaction of %d octets is too large", grown)
	}
	if err == nil && t.frame.size() > m.size {
		err = t.s.check(t.s.log.fits(t.frame.size()+metaRoom, r.settles))
	}
	if err != nil {
		t.rollback(m)
	}
	return err
}

// metaRoom is what a frame needs beyond its requests.
const metaRoom = 128

// awaitIndex waits while the index is being written and lags too far behind.
// It says how far it lags after that, and whether it is stuck: a full disk.
func (s *Store) awaitIndex() (lag int, stuck bool) {
	for {
		s.mu.Lock()
		lag, stuck = s.active.octets, s.indexFull
		running, ended := s.indexing, s.flushEnd.wait()
		s.mu.Unlock()
		if lag <= overlayMost {
			return lag, false
		}
		if !running {
			s.flushNow()
			return lag, stuck
		}
		select {
		case <-ended:
		case <-s.failed.happened:
			return lag, stuck
		}
	}
}

// write appends the frame and syncs.
func (s *Store) write(t *txn) error {
	t.put(bucketMeta, metaHigh, s.high())
	return s.check(s.log.append(t.frame.seal(s.log.cur.last+1, s.log.cur.salt)))
}

// check makes the store fail for good after a sync that failed.
func (s *Store) check(err error) error {
	var sync syncError
	if errors.As(err, &sync) {
		return s.fail(err)
	}
	return err
}

// merge makes a frame that was synced visible. s.mu is held.
func (s *Store) merge(t *txn) {
	if t.frame.empty() {
		return
	}
	for key, row := range t.rows {
		if key.bucket != bucketEvent {
			s.active.apply(op{key.bucket, key.key, row})
		}
	}
	for _, key := range t.events {
		s.active.apply(op{bucketEvent, key, t.rows[rowKey{bucketEvent, key}]})
	}
	s.active.upTo = s.log.position()
	for _, c := range t.due {
		s.due.change(c, t.now)
	}
	for _, c := range t.bodies {
		s.account(c)
	}
	for _, d := range t.named {
		d.named = true
	}
	s.doomed = append(s.doomed, t.doomed...)
	if len(t.events) > 0 {
		s.eventBell.ring()
	}
	s.flushSoon()
	if s.active.octets >= overlayFlush {
		s.flushNow()
	}
}

// high encodes the highest identifiers given, so that none is given twice
// even if the clock is set back.
func (s *Store) high() []byte {
	f := newRow(48)
	for i, seq := range s.sequences() {
		f.num(protowire.Number(i+1), seq.Take(s.now(), 0)-1)
	}
	return f
}

// sequences are those of high, in the order of its tags.
func (s *Store) sequences() []*event.Sequence {
	return []*event.Sequence{&s.messages, &s.deliveries, &s.eventIDs, &s.bodies}
}

func (s *Store) raise(row []byte) error {
	seqs := s.sequences()
	return eachField(row, func(f field) error {
		if int(f.n) <= len(seqs) {
			seqs[f.n-1].Raise(f.u)
		}
		return nil
	})
}

// broken says why nothing can be asked of the store.
func (s *Store) broken(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-s.failed.happened:
		return store.ErrFailed
	case <-s.closing:
		return errClosed
	default:
		return nil
	}
}
