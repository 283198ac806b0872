package bolt

import "sync"

// A bell wakes everybody who waits. The mutex of its owner guards it.
type bell struct{ ch chan struct{} }

// wait gives a channel that the next ring closes.
func (b *bell) wait() <-chan struct{} {
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.ch
}

func (b *bell) ring() {
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
}

// A fault is the first error after which nothing is acknowledged any more.
type fault struct {
	happened chan struct{}

	once  sync.Once
	cause error // valid once happened is closed
}

func newFault() *fault { return &fault{happened: make(chan struct{})} }

func (f *fault) set(cause error) (first bool) {
	f.once.Do(func() {
		f.cause = cause
		close(f.happened)
		first = true
	})
	return first
}

func (f *fault) is() bool {
	select {
	case <-f.happened:
		return true
	default:
		return false
	}
}
