package shape

import (
	"container/list"
	"sync/atomic"
	"time"

	"homing/store"
)

// A slot is one dialogue with a site.
type slot struct {
	at      *site
	way     *path
	key     store.Key
	lane    int
	began   time.Time
	news    time.Time     // when it was taken, or the site last answered there
	elem    *list.Element // in Shaper.lively, or nil
	bulk    *list.Element // in Shaper.bulk, or nil
	stalled bool
	end     atomic.Bool // it was asked to end
	granted int         // messages that it may send
	over    bool
}

// Slots that stall, because a site keeps us waiting, are no longer counted
// among Limits.Total: those who make us wait for minutes, and there may be
// hundreds of them, must not keep mail from others.

// open takes a slot at a site.
func (s *Shaper) open(at *site, way *path, e *entry, now time.Time) *slot {
	t := &slot{key: e.work.Key, lane: e.lane(), began: now, news: now}
	t.elem = s.lively.PushBack(t)
	if t.lane > 0 {
		t.bulk = s.bulk.PushBack(t)
	}
	s.active++
	s.seat(t, at, way)
	return t
}

func (s *Shaper) seat(t *slot, at *site, way *path) {
	t.at, t.way = at, way
	at.active++
	at.turn++
	way.active++
	way.slots[t] = true
}

func (s *Shaper) unseat(t *slot) {
	t.at.active--
	t.way.active--
	delete(t.way.slots, t)
	if t.stalled {
		t.at.stalled--
	}
}

// reseat moves the slot of a Pick to another site, if that takes it.
func (s *Shaper) reseat(p Pick, name string, now time.Time) Pick {
	t, at := p.slot, s.site(name)
	p.Max = t.granted
	s.grant(t, -t.granted)
	way := s.choose(at, t.lane, now)
	if way == nil {
		s.settle(at, now)
		p.Max = 0
		return p
	}
	from := t.at
	s.unseat(t)
	s.seat(t, at, way)
	if t.stalled {
		at.stalled++
	}
	p.Site, p.Source, p.Rule = at.name, way.source, at.rule
	p.Max = min(p.Max, s.most(way, t.lane, now))
	s.grant(t, p.Max)
	s.settle(from, now)
	s.settle(at, now)
	return p
}

// grant promises n messages to a slot, or with n below 0 takes them back.
func (s *Shaper) grant(t *slot, n int) {
	t.granted += n
	t.way.promise(n)
}

// counted is the number of slots that count among Limits.Total.
func (s *Shaper) counted() int { return s.active - s.stalled }

// stall finds the slots in which nothing has happened for too long.
func (s *Shaper) stall(now time.Time) {
	for !s.nextStall().IsZero() && !s.nextStall().After(now) {
		t := s.lively.Remove(s.lively.Front()).(*slot)
		t.elem, t.stalled = nil, true
		s.stalled++
		t.at.stalled++
		if t.began.After(t.at.stuck) {
			t.at.stuck = t.began
		}
		s.settle(t.at, now)
	}
}

// nextStall says when the next slot stalls unless something happens there;
// zero: none does.
func (s *Shaper) nextStall() time.Time {
	front := s.lively.Front()
	if front == nil || s.limits.Patience == 0 || s.stalled >= s.limits.Stalled {
		return time.Time{}
	}
	return front.Value.(*slot).news.Add(s.limits.Patience)
}

// Answered says that the site has answered in the slot of a Pick, and reports
// whether others may go sooner for that.
func (s *Shaper) Answered(p Pick, now time.Time) bool {
	t := p.slot
	if t.over {
		return false // it came after Finish
	}
	silent := t.at.silent() || t.at.mute(now)
	t.news, t.at.news, t.at.failed = now, now, time.Time{}
	if t.stalled {
		s.revive(t)
		t.elem = s.lively.PushBack(t)
	} else {
		s.lively.MoveToBack(t.elem)
	}
	if silent {
		s.settle(t.at, now)
	}
	return silent
}

func (s *Shaper) revive(t *slot) {
	t.stalled = false
	s.stalled--
	t.at.stalled--
}

// Sent says that a message of a Pick is done with: the site took it, or
// refused it. Well is false where the reply was no service: the site told us
// to slow down, refused us, or could not be reached. It reports whether the
// site has recovered from a Pause with that.
func (s *Shaper) Sent(p Pick, well bool, now time.Time) (recovered bool) {
	t := p.slot
	if t.over || t.granted == 0 {
		return false
	}
	t.granted--
	before := t.way.connections()
	t.way.use(now)
	s.dawn(t.way, now)
	t.way.sent++
	if well {
		recovered = t.way.serve(t.began, now)
	}
	if t.way.Count != 0 || t.way.connections() != before {
		s.settle(t.at, now)
	}
	return recovered
}

// Failed says that the site of a Pick could not be asked: it has no host, does
// not answer, or breaks off. Until it answers, one dialogue at a time tries, so
// that what is the same for all is learnt once for many.
func (s *Shaper) Failed(p Pick, now time.Time) {
	p.slot.at.failed = now
	s.settle(p.slot.at, now)
}

// Cool leaves the site of a Pick alone from its source for a while. Dialogues
// there are asked to end. It says what came of it: the second reply that comes
// from one crowd of dialogues says nothing more.
func (s *Shaper) Cool(p Pick, pause Pause, now time.Time) Cooled {
	t := p.slot
	news := t.way.cool(t.began, pause, now)
	if news {
		for other := range t.way.slots {
			s.ask(other)
		}
		s.settle(t.at, now)
	}
	c := Cooled{News: news, First: news && t.way.level == 1, Until: t.way.until, Opens: t.way.until}
	for _, other := range t.at.paths {
		if other.until.Before(c.Opens) {
			c.Opens = later(other.until, now)
		}
	}
	return c
}

// Cooled is what came of a Cool.
type Cooled struct {
	News  bool
	First bool      // the site was not left alone before
	Until time.Time // when the site may be tried again from the source
	Opens time.Time // when it may be tried from any source: now, where another is not left alone
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// ask asks a slot to end.
func (s *Shaper) ask(t *slot) {
	t.end.Store(true)
	if t.bulk != nil {
		s.bulk.Remove(t.bulk)
		t.bulk = nil
	}
}

// press has a dialogue of a later lane end where mail of the first lane finds
// no slot: at its site if that has no connection to spare, anywhere if all
// slots are taken.
func (s *Shaper) press(at *site, now time.Time) {
	if s.counted() >= s.limits.Total {
		if front := s.bulk.Front(); front != nil {
			s.ask(front.Value.(*slot))
		}
		return
	}
	for e := s.bulk.Front(); e != nil; e = e.Next() {
		t := e.Value.(*slot)
		if t.at != at {
			continue
		}
		if why, _ := s.gate(t.way, 0, now); why == ByConnections {
			s.ask(t)
			return
		}
	}
}

// Yield reports whether the slot of a Pick is wanted by somebody who goes
// before, or its site is to be left alone: what has not begun is to be given
// back. It may be called from any goroutine.
func (p Pick) Yield() bool { return p.slot != nil && p.slot.end.Load() }

// Finish gives the slot of a Pick back.
func (s *Shaper) Finish(p Pick, now time.Time) {
	t := p.slot
	s.grant(t, -t.granted)
	if t.elem != nil {
		s.lively.Remove(t.elem)
		t.elem = nil
	}
	s.ask(t)
	s.unseat(t)
	if t.stalled {
		t.stalled = false
		s.stalled--
	}
	t.over = true
	s.active--
	s.settle(t.at, now)
}
