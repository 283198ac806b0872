package bolt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"time"

	"homing/event"
	"homing/hold"
	"homing/store"
)

// Verify checks the whole store: every frame and every body against its
// checksum, every row against the rows it speaks of, and what is in memory
// against what is on disk. It returns all that it finds, up to a bound, and
// nil for a sound store. It reads everything, and bbolt gives no pages free
// while it runs: it is for `homing doctor` and for tests.
func (s *Store) Verify(ctx context.Context) error {
	if err := s.closedOr(ctx); err != nil {
		return err
	}
	c, err := s.newCheck()
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.rows(ctx); err != nil {
		return err
	}
	if err := errors.Join(c.segments(), ctx.Err()); err != nil {
		return err
	}
	return errors.Join(c.found...)
}

// rows checks everything but the frames.
func (c *check) rows(ctx context.Context) error {
	for _, step := range []func() error{
		c.recipients, c.waiting, c.messages, c.history, c.events, c.reports, c.bodies, c.files,
	} {
		if err := errors.Join(step(), ctx.Err()); err != nil {
			return err
		}
	}
	return nil
}

// problemsMost bounds what one Verify tells.
const problemsMost = 50

// A check is one Verify: a frozen store, and what was counted in it.
type check struct {
	*frozen
	began time.Time
	due   map[store.Key]int // waiting and leased, by the memory; nil: nothing is in memory

	left  map[event.MessageID]int // deliveries, by the recipients
	owed  map[uint64]int          // reasons, by the rows that are reasons
	work  map[store.Key]int       // waiting, by the rows
	named map[uint64]bodyRow      // bodies with a file of their own
	gone  bool                    // a segment is missing that is needed
	stray int                     // files of bodies without an owner that the next start removes
	found []error
}

func (s *Store) newCheck() (*check, error) {
	f, due, err := s.freeze()
	if err != nil {
		return nil, err
	}
	return f.check(due), nil
}

func (f *frozen) check(due map[store.Key]int) *check {
	return &check{frozen: f, began: f.s.now(), due: due, left: map[event.MessageID]int{}, owed: map[uint64]int{},
		work: map[store.Key]int{}, named: map[uint64]bodyRow{}}
}

func (c *check) problem(format string, args ...any) {
	if len(c.found) < problemsMost {
		c.found = append(c.found, fmt.Errorf(format, args...))
	}
}

func (c *check) recipients() error {
	return c.all(bucketRecipient, func(key string, row []byte) error {
		r, err := decodeRecipient(id64[event.DeliveryID](key), row)
		if err != nil {
			return err
		}
		c.left[r.Message]++
		if c.v.get(bucketAddress, historyKey(hold.Canonical(r.Address), r.ID)) == nil {
			c.problem("delivery %v is not in the history of its address", r.ID)
		}
		if m, err := c.v.message(r.Message); err == nil {
			if key := returnKey(&m.Message, &r); key != "" && c.v.get(bucketReturn, key) == nil {
				c.problem("delivery %v cannot be found by its return path", r.ID)
			}
		}
		wait := c.v.get(bucketWaiting, key)
		if r.State.Terminal() {
			if wait != nil {
				c.problem("delivery %v is %v and waits", r.ID, r.State)
			}
			return nil
		}
		c.owed[r.Body.Body]++
		if wait == nil {
			c.problem("delivery %v is %v and does not wait", r.ID, r.State)
			return nil
		}
		if w, err := decodeWait(wait); err != nil || w != waitOf(&r) {
			c.problem("delivery %v waits for something else: %v", r.ID, err)
		}
		return nil
	})
}

func (c *check) waiting() error {
	err := c.all(bucketWaiting, func(key string, row []byte) error {
		w, err := decodeWait(row)
		if w.state == store.Waiting {
			c.work[w.key]++
		}
		if c.v.get(bucketRecipient, key) == nil {
			c.problem("delivery %v waits and is not there", id64[event.DeliveryID](key))
		}
		return err
	})
	if c.due != nil && !maps.Equal(c.work, c.due) {
		c.problem("the due work is %v in memory and %v on disk", c.due, c.work)
	}
	return err
}

func (c *check) messages() error {
	err := c.all(bucketMessage, func(key string, row []byte) error {
		m, err := decodeMessage(id64[event.MessageID](key), row)
		if n := c.left[m.ID]; n != m.left {
			c.problem("message %v counts %d deliveries and has %d", m.ID, m.left, n)
		}
		delete(c.left, m.ID)
		return err
	})
	for id, n := range c.left {
		c.problem("message %v is missing and has %d deliveries", id, n)
	}
	return errors.Join(err, c.all(bucketKey, func(key string, row []byte) error {
		id, err := decodeNumber(row)
		if c.v.get(bucketMessage, key64(id)) == nil {
			c.problem("idempotency key %q names message %v, which is missing", key, event.MessageID(id))
		}
		return err
	}))
}

func (c *check) history() error {
	return c.all(bucketAddress, func(key string, _ []byte) error {
		if len(key) < 9 {
			return errRow
		}
		row := c.v.get(bucketRecipient, key[len(key)-8:])
		if row == nil {
			c.problem("the history of an address names delivery %v, which is missing", id64[event.DeliveryID](key[len(key)-8:]))
		}
		return nil
	})
}

func (c *check) events() error {
	err := c.all(bucketEvent, func(key string, row []byte) error {
		_, err := decodeEvent(id64[event.ID](key), row)
		return err
	})
	return errors.Join(err, c.all(bucketShown, func(key string, row []byte) error {
		_, bodies, err := decodeShown(row)
		for _, id := range bodies {
			c.owed[id]++
		}
		if c.v.get(bucketEvent, key) == nil {
			c.problem("event %v is missing and shows bodies", id64[event.ID](key))
		}
		return err
	}))
}

func (c *check) reports() error {
	return c.all(bucketReport, func(key string, _ []byte) error {
		c.owed[id64[uint64](key)]++
		return nil
	})
}

func (c *check) bodies() error {
	err := c.all(bucketBody, func(key string, row []byte) error {
		b, err := decodeBody(row)
		if err != nil {
			return err
		}
		id := id64[uint64](key)
		n, err := decodeNumber(c.v.get(bucketOwed, key))
		if err != nil || int(n) != c.owed[id] || n == 0 {
			c.problem("body %016x is owed %d times and counts %d: %v", id, c.owed[id], n, err)
		}
		delete(c.owed, id)
		if b.segment == 0 {
			c.named[id] = b
			return nil
		}
		c.inSegment(id, &b)
		return nil
	})
	for id, n := range c.owed {
		c.problem("body %016x is owed %d times and missing", id, n)
	}
	return err
}

// inSegment checks a body that is in the log.
func (c *check) inSegment(id uint64, b *bodyRow) {
	g := c.segs[b.segment]
	if g == nil {
		c.gone = true
		c.problem("%w", damaged(segmentName(c.s.log.dir, b.segment), "it is missing, and body %016x is in it", id))
		return
	}
	g.rowsLive += b.octets()
	g.rowsOwned++
	m := moving{row: *b, heads: make([]byte, b.headSize()), body: make([]byte, b.size)}
	if err := m.load(g.segment); err != nil {
		c.problem("body %016x in %s: %w", id, g.name, err)
	}
}

func (c *check) segments() error {
	for _, g := range c.segs {
		if g.live != g.rowsLive || g.bodies != g.rowsOwned {
			c.problem("%s owes %d octets of %d bodies and counts %d of %d", g.name, g.rowsLive, g.rowsOwned, g.live, g.bodies)
		}
		if err := c.frames(g); err != nil {
			c.problem("%w", err)
		}
	}
	return nil
}

// frames reads all frames of a segment that were there when the check began.
func (c *check) frames(g *frozenSegment) error {
	h := make([]byte, frameHeader)
	for at, want := int64(segmentHeader), g.first; at < g.end; want++ {
		f, length, err := g.frameAt(h, at, g.end)
		if err != nil || f.number != want {
			return damaged(g.name, "frame %d at octet %d: %v", want, at, err)
		}
		if err := f.each(func(op) error { return nil }); err != nil {
			return damaged(g.name, "%v", err)
		}
		at += length
	}
	return nil
}

// ownerWithin is how long a body may be without an owner: its message is
// still coming in.
const ownerWithin = time.Minute

func (c *check) files() error {
	names, err := c.s.fs.List(c.s.bodyDir)
	if err != nil {
		return err
	}
	there := map[uint64]bool{}
	for _, name := range names {
		id, ok := bodyID(name)
		there[id] = ok
		_, named := c.named[id]
		switch {
		case named || c.doomed[id]:
		case c.due == nil:
			c.stray++
		case c.began.Sub(event.ID(id).Time()) > ownerWithin:
			c.problem("%s has no owner", filepath.Join(c.s.bodyDir, name))
		}
	}
	for id, b := range c.named {
		if !there[id] {
			c.found = append(c.found, damaged(bodyName(c.s.bodyDir, id), "it is missing; it had %d octets", b.octets()))
		} else if err := c.file(id, &b); err != nil {
			c.found = append(c.found, damaged(bodyName(c.s.bodyDir, id), "%v", err))
		}
	}
	return nil
}

// file compares the file of a body with its checksum.
func (c *check) file(id uint64, b *bodyRow) error {
	f, err := c.s.fs.Open(bodyName(c.s.bodyDir, id), os.O_RDONLY)
	if err != nil {
		return err
	}
	defer f.Close()
	buf := make([]byte, draftInMemory)
	_, sum, err := (section{f, b.at, b.size}).copy(io.Discard, buf, 0, false)
	if err != nil {
		return err
	}
	_, headSum, err := (section{f, b.headsAt, b.headSize()}).copy(io.Discard, buf, 0, false)
	if err == nil && (sum != b.sum || headSum != b.headSum) {
		err = errors.New("it does not match its checksum")
	}
	return err
}
