package integration

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// wireWithin bounds each wait of a wire.
const wireWithin = 20 * time.Second

// A wire is a client that says whatever it is told, octet by octet, and gives
// back what it hears. It fails its test when it hears nothing.
type wire struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
}

// dial connects and hears the greeting.
func dial(t testing.TB, address string) *wire {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, wireWithin)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	w := &wire{t: t, conn: conn, in: bufio.NewReader(conn)}
	w.expect("220")
	return w
}

// put sends octets as they are.
func (w *wire) put(octets string) {
	w.t.Helper()
	w.conn.SetDeadline(time.Now().Add(wireWithin))
	if _, err := io.WriteString(w.conn, octets); err != nil {
		w.t.Fatalf("sending: %v", err)
	}
}

// hear gives the next reply: its lines, joined by line feeds.
func (w *wire) hear() string {
	w.t.Helper()
	text, err := w.listen()
	if err != nil {
		w.t.Fatalf("waiting for a reply: %v, after %q", err, text)
	}
	return text
}

func (w *wire) listen() (string, error) {
	w.conn.SetDeadline(time.Now().Add(wireWithin))
	var lines []string
	for {
		line, err := w.in.ReadString('\n')
		if err != nil {
			return strings.Join(lines, "\n") + line, err
		}
		line = strings.TrimRight(line, "\r\n")
		lines = append(lines, line)
		if len(line) < 4 || line[3] != '-' {
			return strings.Join(lines, "\n"), nil
		}
	}
}

// ask sends a command and gives the reply.
func (w *wire) ask(command string) string {
	w.t.Helper()
	w.put(command + "\r\n")
	return w.hear()
}

// expect hears a reply and fails the test unless it begins with want.
func (w *wire) expect(want string) string {
	w.t.Helper()
	got := w.hear()
	if !strings.HasPrefix(got, want) {
		w.t.Fatalf("heard %q, want %s", got, want)
	}
	return got
}

// must sends a command whose reply has to begin with want.
func (w *wire) must(command, want string) string {
	w.t.Helper()
	w.put(command + "\r\n")
	got := w.hear()
	if !strings.HasPrefix(got, want) {
		w.t.Fatalf("%.100q was answered %q, want %s", command, got, want)
	}
	return got
}

// begin goes as far as 354.
func (w *wire) begin(from, to string) {
	w.t.Helper()
	w.must("MAIL FROM:<"+from+">", "250")
	w.must("RCPT TO:<"+to+">", "250")
	w.must("DATA", "354")
}

// secure begins TLS without a look at the certificate.
func (w *wire) secure() {
	w.t.Helper()
	w.must("STARTTLS", "220")
	w.handshake()
}

func (w *wire) handshake() {
	w.t.Helper()
	secure := tls.Client(w.conn, &tls.Config{InsecureSkipVerify: true})
	secure.SetDeadline(time.Now().Add(wireWithin))
	if err := secure.Handshake(); err != nil {
		w.t.Fatalf("beginning TLS: %v", err)
	}
	w.conn, w.in = secure, bufio.NewReader(secure)
}

// silent fails the test if anything is heard before the other side closes or
// the time is up.
func (w *wire) silent(d time.Duration) {
	w.t.Helper()
	w.conn.SetDeadline(time.Now().Add(d))
	b, err := w.in.ReadByte()
	if err == nil {
		rest, _ := w.in.ReadString('\n')
		w.t.Errorf("heard %q, want nothing", string(b)+rest)
	} else if !errors.Is(err, os.ErrDeadlineExceeded) && err != io.EOF {
		w.t.Errorf("waiting: %v", err)
	}
}

// dialLMTP connects to an LMTP listener and says LHLO; dialSMTP says EHLO.
func dialLMTP(t testing.TB, address string) *wire {
	t.Helper()
	w := dial(t, address)
	w.must("LHLO client.test", "250")
	return w
}

func dialSMTP(t testing.TB, address string) *wire {
	t.Helper()
	w := dial(t, address)
	w.must("EHLO client.test", "250")
	return w
}
