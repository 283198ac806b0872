package pop3d

import (
	"bufio"
	"errors"
	"io"
)

// sendText sends a message and the line that ends it, with so many lines of
// its body; -1: all. Lines end in CR LF, and one that begins with a dot gets
// another one before it (RFC 1939 section 3). It gives the octets of the
// message, without such dots and the line that ends it.
func sendText(w *bufio.Writer, r io.Reader, lines int) (octets int64, err error) {
	in := bufio.NewReader(r)
	put := func(c byte) {
		_ = w.WriteByte(c) // an error stays until the last write
		octets++
	}
	last, length, body := byte('\n'), 0, false // the octet before; of the line so far
	for !body || lines != 0 {
		c, err := in.ReadByte()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return octets, err
		}
		switch {
		case c == '\n':
			if last != '\r' {
				put('\r')
			}
			if body && lines > 0 {
				lines--
			}
			body = body || length == 0
			length = 0
		case c == '.' && last == '\n':
			_ = w.WriteByte('.')
			length++
		case c != '\r':
			length++
		}
		put(c)
		last = c
	}
	if last != '\n' {
		put('\r')
		put('\n')
	}
	_, err = w.WriteString(".\r\n")
	return octets, err
}
