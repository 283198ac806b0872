package bounce

import "sync/atomic"

// Rules give evidence its meaning. A *Table does, and a *Live.
type Rules interface {
	Classify(Evidence) Verdict
	Explain(Evidence) []Match
}

// A Live is a Table that can be exchanged for another while others classify by
// it. All who hold the same Live change at the same moment. The zero Live has
// no table: use NewLive. It may be used from many goroutines.
type Live struct{ table atomic.Pointer[Table] }

// NewLive gives a Live that begins with a table.
func NewLive(t *Table) *Live {
	l := &Live{}
	l.Use(t)
	return l
}

// Use makes t the table of whatever is classified from now on.
func (l *Live) Use(t *Table) { l.table.Store(t) }

// Table is the present Table, for whoever must go by one all along.
func (l *Live) Table() *Table { return l.table.Load() }

// Classify is that of the present Table.
func (l *Live) Classify(e Evidence) Verdict { return l.table.Load().Classify(e) }

// Explain is that of the present Table.
func (l *Live) Explain(e Evidence) []Match { return l.table.Load().Explain(e) }
