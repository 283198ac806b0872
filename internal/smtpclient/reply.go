package smtpclient

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"homing/internal/reply"
)

// What a peer may say at most, in octets. RFC 5321 section 4.5.3.1.5 allows
// 512 a line; more is common, endless is an attack.
const (
	MaxReplyLine = 2000
	MaxReply     = 64 << 10
)

// ErrProtocol says that a peer does not speak the protocol: what it sent is no
// reply, is more than a reply may be, or came when nothing had been asked.
// Nothing more is read from such a peer.
var ErrProtocol = errors.New("smtpclient: the peer broke the protocol")

// readReply reads one reply (RFC 5321 section 4.2), which may have several
// lines. Control characters in its text become spaces. It returns ErrProtocol
// or the error of br, whose buffer holds at least MaxReplyLine octets.
func readReply(br *bufio.Reader) (reply.Reply, error) {
	var r reply.Reply
	var lines strings.Builder
	for octets, n := 0, 0; ; n++ {
		line, err := br.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) || len(line) > MaxReplyLine {
			return r, fmt.Errorf("%w: a reply line of more than %d octets", ErrProtocol, MaxReplyLine)
		}
		if err != nil {
			return r, err
		}
		if octets += len(line); octets > MaxReply {
			return r, fmt.Errorf("%w: a reply of more than %d octets", ErrProtocol, MaxReply)
		}
		code, more, text, err := cutReplyLine(line)
		if err != nil {
			return r, err
		}
		if n > 0 && code != r.Code {
			return r, fmt.Errorf("%w: %d and %d in one reply", ErrProtocol, r.Code, code)
		}
		r.Code = code
		text = cutEnhanced(&r, text)
		switch {
		case n == 0 && !more:
			r.Text = clean(text)
			return r, nil
		case n > 0:
			lines.WriteByte('\n')
		}
		lines.WriteString(clean(text))
		if !more {
			r.Text = lines.String()
			return r, nil
		}
	}
}

// cutReplyLine takes a line apart: "250-text" is code 250 with more to come.
func cutReplyLine(line []byte) (code int, more bool, text []byte, err error) {
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
	if len(line) < 3 || line[0] < '2' || line[0] > '5' || !digit(line[1]) || !digit(line[2]) {
		return 0, false, nil, fmt.Errorf("%w: not a reply: %q", ErrProtocol, line[:min(len(line), 60)])
	}
	code = int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0')
	if len(line) == 3 {
		return code, false, nil, nil
	}
	switch line[3] {
	case ' ':
		return code, false, line[4:], nil
	case '-':
		return code, true, line[4:], nil
	}
	return 0, false, nil, fmt.Errorf("%w: not a reply: %q", ErrProtocol, line[:min(len(line), 60)])
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// cutEnhanced takes the enhanced status code off the beginning of a line of r
// (RFC 2034 section 4). The first line that has one decides. A code of another
// class than the reply's stays in the text, because it is none.
func cutEnhanced(r *reply.Reply, text []byte) []byte {
	var e reply.Enhanced
	rest := text
	for i := range e {
		n := 0
		for n < len(rest) && n < 3 && digit(rest[n]) {
			e[i] = e[i]*10 + int(rest[n]-'0')
			n++
		}
		if n == 0 {
			return text
		}
		rest = rest[n:]
		if i < 2 {
			if len(rest) == 0 || rest[0] != '.' {
				return text
			}
			rest = rest[1:]
		}
	}
	switch {
	case e[0] != r.Code/100 || e[0] == 3 || len(rest) > 0 && rest[0] != ' ':
		return text
	case r.Enhanced == reply.Enhanced{}:
		r.Enhanced = e
	case r.Enhanced != e:
		return text
	}
	return bytes.TrimPrefix(rest, []byte(" "))
}

// clean gives a line as a string that is safe in logs and reports: valid
// UTF-8 without control characters.
func clean(line []byte) string {
	dirty := func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError }
	if bytes.IndexFunc(line, dirty) < 0 {
		return string(line)
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError:
			return '?'
		case dirty(r):
			return ' '
		}
		return r
	}, string(line))
}
