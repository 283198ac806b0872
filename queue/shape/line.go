package shape

import (
	"container/list"

	"homing/store"
)

// A line is who waits for a slot at a site in one lane. Applications have it
// in turn, and of an application its campaigns, and of a campaign its keys: a
// campaign with a thousand domains at a provider gets no more there than one
// with a single domain.
type line struct {
	n     int
	turns list.List // of *sender
	by    map[string]*sender
}

type sender struct {
	name  string
	elem  *list.Element // in line.turns
	turns list.List     // of *campaign
	by    map[string]*campaign
}

type campaign struct {
	name    string
	of      *sender
	elem    *list.Element // in sender.turns
	entries list.List     // of *entry, who waits longest first
}

// push puts an entry at the end of its campaign.
func (l *line) push(e *entry) {
	application, name := store.SplitFlow(e.work.Flow)
	s := l.by[application]
	if s == nil {
		s = &sender{name: application, by: map[string]*campaign{}}
		if l.by == nil {
			l.by = map[string]*sender{}
		}
		l.by[application], s.elem = s, l.turns.PushBack(s)
	}
	c := s.by[name]
	if c == nil {
		c = &campaign{name: name, of: s}
		s.by[name], c.elem = c, s.turns.PushBack(c)
	}
	e.in, e.elem = c, c.entries.PushBack(e)
	l.n++
}

// of counts the entries of one flow.
func (l *line) of(flow string) int {
	application, name := store.SplitFlow(flow)
	if s := l.by[application]; s != nil {
		if c := s.by[name]; c != nil {
			return c.entries.Len()
		}
	}
	return 0
}

// pop takes the entry whose turn it is, and puts its campaign and its sender
// at the end.
func (l *line) pop() *entry {
	s := l.turns.Front().Value.(*sender)
	c := s.turns.Front().Value.(*campaign)
	e := c.entries.Front().Value.(*entry)
	s.turns.MoveToBack(c.elem)
	l.turns.MoveToBack(s.elem)
	l.remove(e)
	return e
}

// remove takes an entry out wherever it stands.
func (l *line) remove(e *entry) {
	c := e.in
	c.entries.Remove(e.elem)
	e.in, e.elem = nil, nil
	l.n--
	if c.entries.Len() > 0 {
		return
	}
	s := c.of
	s.turns.Remove(c.elem)
	delete(s.by, c.name)
	if s.turns.Len() == 0 {
		l.turns.Remove(s.elem)
		delete(l.by, s.name)
	}
}
