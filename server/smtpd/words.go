package smtpd

import (
	"strconv"
	"strings"

	"homing/internal/reply"
)

const (
	maxReplyText  = 480 // octets of a line, so that it stays under 512 (RFC 5321 section 4.5.3.1.5)
	maxReplyLines = 50
)

// appendReply appends r as it goes on the wire. A 2xx, 4xx or 5xx without an
// enhanced status code gets the general one of its class (RFC 2034 section 4);
// what is no printable ASCII becomes "?", and long lines are cut. A Reply that
// is none is said as 451: somebody of ours made a mistake.
func appendReply(dst []byte, r reply.Reply) []byte {
	if r.Code < 200 || r.Code > 599 {
		r = reply.Reply{Code: 451, Enhanced: reply.Enhanced{4, 3, 0}, Text: "local error, please try again"}
	}
	if class := r.Code / 100; r.Enhanced == (reply.Enhanced{}) && class != 3 {
		r.Enhanced = reply.Enhanced{class, 0, 0}
	}
	if len(r.Text) <= maxReplyText && strings.IndexByte(r.Text, '\n') < 0 {
		return appendLine(dst, r, ' ', r.Text)
	}
	lines := textLines(r.Text)
	last := len(lines) - 1
	for _, line := range lines[:last] {
		dst = appendLine(dst, r, '-', line)
	}
	return appendLine(dst, r, ' ', lines[last])
}

// appendLine appends one line of r; more is what stands behind its code.
func appendLine(dst []byte, r reply.Reply, more byte, text string) []byte {
	dst = append(strconv.AppendInt(dst, int64(r.Code), 10), more)
	if r.Enhanced != (reply.Enhanced{}) {
		for i, n := range r.Enhanced {
			dst = append(strconv.AppendInt(dst, int64(n), 10), ". "[i/2])
		}
	}
	return append(appendPrintable(dst, text), "\r\n"...)
}

// textLines splits a text at its line ends, and lines that are too long.
func textLines(text string) []string {
	var lines []string
	for line := range strings.SplitSeq(strings.TrimRight(text, "\r\n"), "\n") {
		line = strings.TrimRight(line, "\r")
		for len(line) > maxReplyText {
			lines = append(lines, line[:maxReplyText])
			line = line[maxReplyText:]
		}
		lines = append(lines, line)
	}
	return lines[:min(len(lines), maxReplyLines)]
}

func appendPrintable(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c < ' ' || c > '~' {
			c = '?'
		}
		dst = append(dst, c)
	}
	return dst
}

// appendHello appends the answer to EHLO and LHLO, which has no enhanced
// status codes.
func appendHello(dst []byte, hostname string, keywords []string) []byte {
	lines := append([]string{hostname}, keywords...)
	for i, line := range lines {
		dst = append(dst, "250-"...)
		if i == len(lines)-1 {
			dst[len(dst)-1] = ' '
		}
		dst = append(append(dst, line...), "\r\n"...)
	}
	return dst
}
