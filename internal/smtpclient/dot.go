package smtpclient

import (
	"bufio"
	"bytes"
)

// A dotWriter writes the content of a message as DATA wants it (RFC 5321
// section 4.5.2): a dot before each line that begins with one, and at the end
// a line with nothing but a dot. Whatever it is given, it never writes a CR
// without LF, an LF without CR, or a NUL: a bare LF becomes CR LF, the others
// become spaces. Some receivers take such octets for the end of the message,
// and what follows them for commands.
type dotWriter struct {
	w     *bufio.Writer
	taken int64 // octets given to Write
	inner bool  // in the middle of a line
	cr    bool  // a CR was taken that LF has not followed yet
	err   error // of w
}

// Write gives the error of the writer below.
func (d *dotWriter) Write(p []byte) (int, error) {
	n := len(p)
	d.taken += int64(n)
	if d.cr && n > 0 {
		p = d.endCR(p)
	}
	if n := len(p); n > 0 && p[n-1] == '\r' {
		d.cr, p = true, p[:n-1]
	}
	if canonical(p) {
		d.stuff(p)
	} else {
		d.repair(p)
	}
	return n, d.err
}

// Close writes the end of the data. It does not flush.
func (d *dotWriter) Close() error {
	if d.cr {
		d.endCR(nil)
	}
	if d.inner {
		d.put("\r\n")
	}
	d.put(".\r\n")
	return d.err
}

// endCR writes the CR that was held back, and the LF that begins p, or a space
// in its place.
func (d *dotWriter) endCR(p []byte) []byte {
	d.cr = false
	if len(p) > 0 && p[0] == '\n' {
		d.put("\r\n")
		d.inner = false
		return p[1:]
	}
	d.inner = true
	d.put(" ")
	return p
}

// canonical reports whether every line of p ends with CR LF and nothing else
// looks like the end of one.
func canonical(p []byte) bool {
	ends := bytes.Count(p, []byte{'\n'})
	if ends != bytes.Count(p, []byte{'\r'}) || bytes.IndexByte(p, 0) >= 0 {
		return false
	}
	for at := 0; ends > 0; ends-- {
		at += bytes.IndexByte(p[at:], '\n') + 1
		if at < 2 || p[at-2] != '\r' {
			return false
		}
	}
	return true
}

var stuffed = []byte("\n.")

// stuff writes canonical octets.
func (d *dotWriter) stuff(p []byte) {
	if len(p) == 0 {
		return
	}
	if !d.inner && p[0] == '.' {
		d.put(".")
	}
	d.inner = p[len(p)-1] != '\n'
	for d.err == nil {
		i := bytes.Index(p, stuffed)
		if i < 0 {
			_, d.err = d.w.Write(p)
			return
		}
		if _, d.err = d.w.Write(p[:i+1]); d.err == nil {
			d.put(".")
		}
		p = p[i+1:]
	}
}

// repair writes octets that are not canonical.
func (d *dotWriter) repair(p []byte) {
	for i, c := range p {
		switch {
		case c == '\n':
			d.put("\r\n")
			d.inner = false
			continue
		case c == '\r' && i+1 < len(p) && p[i+1] == '\n':
			continue // written with its LF
		case c == '\r' || c == 0:
			c = ' '
		case c == '.' && !d.inner:
			d.put(".")
		}
		d.inner = true
		if d.err == nil {
			d.err = d.w.WriteByte(c)
		}
	}
}

func (d *dotWriter) put(s string) {
	if d.err == nil {
		_, d.err = d.w.WriteString(s)
	}
}
