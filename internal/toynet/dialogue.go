package toynet

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"homing/internal/reply"
)

// A dialogue is the client's side of an SMTP connection, one command at a time.
// Its methods return what was answered, whatever it was; an error only when
// nothing was.
type dialogue struct {
	conn    net.Conn
	text    *textproto.Reader
	offers  map[string]string // EHLO keywords in upper case, with their parameters
	timeout time.Duration     // for each command
	secure  bool
}

// newDialogue speaks over conn. Close it when it is no longer needed; ctx's end
// closes it too.
func newDialogue(conn net.Conn, timeout time.Duration) *dialogue {
	return &dialogue{conn: conn, text: textproto.NewReader(bufio.NewReader(conn)), timeout: timeout}
}

// heard waits for a reply.
func (d *dialogue) heard() (reply.Reply, error) {
	if err := d.conn.SetDeadline(time.Now().Add(d.timeout)); err != nil {
		return reply.Reply{}, err
	}
	code, text, err := d.text.ReadResponse(0)
	if err != nil {
		return reply.Reply{}, err
	}
	return parseReply(code, text), nil
}

// ask sends one command line and waits for the reply.
func (d *dialogue) ask(line string) (reply.Reply, error) {
	if err := d.write([]byte(line + "\r\n")); err != nil {
		return reply.Reply{}, err
	}
	return d.heard()
}

func (d *dialogue) write(octets []byte) error {
	if err := d.conn.SetDeadline(time.Now().Add(d.timeout)); err != nil {
		return err
	}
	_, err := d.conn.Write(octets)
	return err
}

// hello says EHLO and remembers what is offered.
func (d *dialogue) hello(name string) (reply.Reply, error) {
	r, err := d.ask("EHLO " + name)
	if err != nil {
		return r, err
	}
	d.offers = make(map[string]string)
	_, rest, _ := strings.Cut(r.Text, "\n")
	for line := range strings.Lines(rest) {
		keyword, params, _ := strings.Cut(strings.TrimSpace(line), " ")
		d.offers[strings.ToUpper(keyword)] = params
	}
	return r, nil
}

// startTLS changes to TLS (RFC 3207). The caller says EHLO again.
func (d *dialogue) startTLS(ctx context.Context, config *tls.Config) (reply.Reply, error) {
	r, err := d.ask("STARTTLS")
	if err != nil || !r.Positive() {
		return r, err
	}
	secure := tls.Client(d.conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		return r, fmt.Errorf("starting TLS: %w", err)
	}
	d.conn, d.text, d.secure = secure, textproto.NewReader(bufio.NewReader(secure)), true
	return r, nil
}

// transact sends one message to one recipient. It returns the last stage that
// was reached and what was answered there; after a refusal nothing more is
// said, not even RSET. message is sent as wire makes it.
func (d *dialogue) transact(from, to string, message []byte) (reply.Stage, reply.Reply, error) {
	steps := []struct {
		stage reply.Stage
		line  string
	}{
		{reply.MAIL, "MAIL FROM:<" + from + ">"},
		{reply.RCPT, "RCPT TO:<" + to + ">"},
		{reply.DATA, "DATA"},
	}
	for _, s := range steps {
		r, err := d.ask(s.line)
		if err != nil || !r.Positive() && !(s.stage == reply.DATA && r.Code == 354) {
			return s.stage, r, err
		}
	}
	if err := d.write(wire(message)); err != nil {
		return reply.Dot, reply.Reply{}, err
	}
	r, err := d.heard()
	return reply.Dot, r, err
}

// quit ends the dialogue politely.
func (d *dialogue) quit() error {
	_, err := d.ask("QUIT")
	d.conn.Close()
	return err
}

// wire gives a message as DATA carries it: CR LF line ends, dots doubled at
// the beginning of a line, and the final dot (RFC 5321 section 4.5.2).
func wire(message []byte) []byte {
	out := make([]byte, 0, len(message)+len(message)/32+8)
	for line := range bytes.Lines(crlf(message)) {
		if line[0] == '.' {
			out = append(out, '.')
		}
		out = append(out, line...)
	}
	if !bytes.HasSuffix(out, []byte("\r\n")) {
		out = append(out, "\r\n"...)
	}
	return append(out, ".\r\n"...)
}

// crlf makes every line end CR LF, whether it was LF, CR or CR LF.
func crlf(text []byte) []byte {
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	text = bytes.ReplaceAll(text, []byte("\r"), []byte("\n"))
	return bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))
}

// parseReply takes the enhanced status code (RFC 2034) out of the text of a
// reply.
func parseReply(code int, text string) reply.Reply {
	e, ok := leadingStatus(text)
	if !ok {
		return reply.Reply{Code: code, Text: text}
	}
	prefix := e.String()
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		lines = append(lines, strings.TrimPrefix(strings.TrimPrefix(line, prefix), " "))
	}
	return reply.Reply{Code: code, Enhanced: e, Text: strings.Join(lines, "\n")}
}

// leadingStatus reads an enhanced status code at the beginning of text.
func leadingStatus(text string) (reply.Enhanced, bool) {
	word, _, _ := strings.Cut(text, " ")
	word, _, _ = strings.Cut(word, "\n")
	numbers := strings.Split(word, ".")
	if len(numbers) != 3 {
		return reply.Enhanced{}, false
	}
	var e reply.Enhanced
	for i, s := range numbers {
		n, err := strconv.ParseUint(s, 10, 10)
		if err != nil || n > 999 {
			return reply.Enhanced{}, false
		}
		e[i] = int(n)
	}
	return e, e[0] == 2 || e[0] == 4 || e[0] == 5
}
