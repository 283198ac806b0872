package shape

import (
	"container/list"
	"time"
)

// A slot is one dialogue with a site.
type slot struct {
	at      *site
	began   time.Time
	news    time.Time     // when it was taken, or the site last answered there
	elem    *list.Element // in Shaper.lively, or nil
	stalled bool
}

// Slots that stall, because a site keeps us waiting, are no longer counted
// among Limits.Total: those who make us wait for minutes, and there may be
// hundreds of them, must not keep mail from others.

// open takes a slot at a site.
func (s *Shaper) open(at *site, now time.Time) *slot {
	t := &slot{at: at, began: now, news: now}
	t.elem = s.lively.PushBack(t)
	s.active++
	at.active++
	return t
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
		s.settle(t.at)
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
	if t.elem == nil && !t.stalled {
		return false // it came after Finish
	}
	silent := t.at.silent()
	t.news, t.at.news = now, now
	if t.stalled {
		s.revive(t)
		t.elem = s.lively.PushBack(t)
	} else {
		s.lively.MoveToBack(t.elem)
	}
	if silent {
		s.settle(t.at)
	}
	return silent
}

func (s *Shaper) revive(t *slot) {
	t.stalled = false
	s.stalled--
	t.at.stalled--
}

// Finish gives the slot of a Pick back.
func (s *Shaper) Finish(p Pick) {
	t := p.slot
	if t.stalled {
		s.revive(t)
	} else {
		s.lively.Remove(t.elem)
	}
	t.elem = nil
	s.active--
	t.at.active--
	s.settle(t.at)
}

// silent reports whether a site keeps us waiting in a slot and has answered in
// none since that began. It gets no further slot before it has.
func (at *site) silent() bool { return at.stalled > 0 && !at.news.After(at.stuck) }
