package bolt

import "sync"

// buffers are octets for bodies on their way in or out, to be used again:
// they are most of what a message needs of memory, and for a moment only.
type buffers struct{ pool sync.Pool } // of *[]byte

// get gives a buffer of no length and at least this capacity.
func (b *buffers) get(capacity int) []byte {
	if p, ok := b.pool.Get().(*[]byte); ok && cap(*p) >= capacity {
		return (*p)[:0]
	}
	return make([]byte, 0, capacity)
}

// put takes a buffer back. Nobody may look at its octets any more.
func (b *buffers) put(p []byte) {
	if cap(p) > 0 && cap(p) <= 2*draftInMemory {
		b.pool.Put(&p)
	}
}
