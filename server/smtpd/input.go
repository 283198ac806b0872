package smtpd

import "sync"

const (
	smallBuffer = 512      // what an idle connection holds; grows to what a command line needs
	largeBuffer = 32 << 10 // while a message comes
)

// input is what was read from the socket and not yet consumed. It is small
// while commands come, because most connections are idle, and large while a
// message does.
type input struct {
	pool  *sync.Pool // of *[largeBuffer]byte
	large *[largeBuffer]byte
	small []byte
	buf   []byte // one of the two
	r, w  int
}

// unread gives the octets that are at hand. They live until the next room.
func (in *input) unread() []byte { return in.buf[in.r:in.w] }

// advance consumes n octets of unread.
func (in *input) advance(n int) { in.r += n }

// room gives at least one octet of space to read into; filled says how many
// were used.
func (in *input) room(message bool) []byte {
	rest := in.unread()
	switch {
	case message && in.large == nil:
		in.large = in.pool.Get().(*[largeBuffer]byte)
		in.buf = in.large[:]
	case !message && in.large != nil && len(rest) < len(in.small):
		in.buf = in.small
	case len(rest) == len(in.buf):
		in.small = make([]byte, max(smallBuffer, 2*len(rest)))
		in.buf = in.small
	}
	in.r, in.w = 0, copy(in.buf, rest)
	if in.large != nil && &in.buf[0] != &in.large[0] {
		in.release()
	}
	return in.buf[in.w:]
}

func (in *input) filled(n int) { in.w += n }

// release gives the large buffer back to the pool.
func (in *input) release() {
	if in.large != nil {
		in.pool.Put(in.large)
		in.large = nil
	}
}
