package message

import "io"

// A Ref names stored octets: a body, and one of the header blocks that were
// stored with it. The store gives Refs and resolves them; nobody else looks
// inside. The zero Ref names nothing.
type Ref struct {
	Body uint64 // the store's number for the body
	Head uint32 // which header block goes before it
	Size int64  // octets of header block and body together
}

// IsZero reports whether r names nothing.
func (r Ref) IsZero() bool { return r == Ref{} }

// A Body is a stored message opened for reading: its header block (with the
// empty line), then its content, CR LF line ends throughout. ReadAt may be
// called from many goroutines. Until Close, what it reads stays on disk.
type Body interface {
	io.ReaderAt
	io.WriterTo
	io.Closer
	Size() int64
}
