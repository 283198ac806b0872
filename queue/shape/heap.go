package shape

import "time"

// A timed is something that has its turn at a time, and knows its place in the
// heap of those that wait for theirs: -1 when it is in none.
type timed interface {
	when() time.Time
	place() *int
}

func (e *entry) when() time.Time { return e.work.Next }
func (e *entry) place() *int     { return &e.index }
func (at *site) when() time.Time { return at.wake }
func (at *site) place() *int     { return &at.index }

// A byTime is a heap that has the one on top whose time comes first.
type byTime[T timed] []T

func (h byTime[T]) Len() int           { return len(h) }
func (h byTime[T]) Less(i, j int) bool { return h[i].when().Before(h[j].when()) }
func (h byTime[T]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	*h[i].place(), *h[j].place() = i, j
}
func (h *byTime[T]) Push(x any) {
	t := x.(T)
	*t.place() = len(*h)
	*h = append(*h, t)
}
func (h *byTime[T]) Pop() any {
	old := *h
	t := old[len(old)-1]
	clear(old[len(old)-1:])
	*h = old[:len(old)-1]
	*t.place() = -1
	return t
}
