package smtpclient

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"homing/internal/smtptest"
)

// sockets gives both ends of a TCP connection over loopback.
func sockets(t *testing.T) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

// TestALookAtASocketDoesNotWait uses the kernel's sockets: with TLS and
// without, nothing there is seen as nothing, what is there is seen, and
// reading goes on afterwards.
func TestALookAtASocketDoesNotWait(t *testing.T) {
	serverTLS, roots, err := smtptest.Certificate("mx.example.net")
	if err != nil {
		t.Fatal(err)
	}
	for _, secure := range []bool{false, true} {
		name := "without TLS"
		if secure {
			name = "with TLS"
		}
		t.Run(name, func(t *testing.T) {
			near, far := sockets(t)
			w := newWire(near, time.Minute)
			in := bufio.NewReader(w)
			if secure {
				server := tls.Server(far, serverTLS)
				shaken := make(chan error, 1)
				go func() { shaken <- server.Handshake() }()
				client := tls.Client(w, &tls.Config{ServerName: "mx.example.net", RootCAs: roots})
				if err := errors.Join(client.Handshake(), <-shaken); err != nil {
					t.Fatal(err)
				}
				far = server
				in.Reset(client)
			}
			look := func() error {
				w.looking = true
				defer func() { w.looking = false }()
				_, err := in.Peek(1)
				return err
			}
			read := func(want string) {
				t.Helper()
				got := make([]byte, len(want))
				if _, err := io.ReadFull(in, got); err != nil || string(got) != want {
					t.Errorf("read %q, %v; want %q", got, err, want)
				}
			}
			for range 3 {
				if err := look(); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("a look at nothing: %v", err)
				}
			}
			io.WriteString(far, "one")
			read("one")
			// Two records, of which reading one leaves the other behind.
			io.WriteString(far, "two")
			io.WriteString(far, "three")
			read("two")
			arrived(t, in, w)
			if err := look(); err != nil {
				t.Errorf("a look at something: %v", err)
			}
			read("three")
			far.Close()
			if _, err := in.Peek(1); err != io.EOF {
				t.Errorf("after the end: %v", err)
			}
			if err := look(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("a look after the end: %v", err)
			}
		})
	}
}

// arrived looks until something is there: loopback takes a moment.
func arrived(t *testing.T, in *bufio.Reader, w *wire) {
	t.Helper()
	for in.Buffered() == 0 {
		w.looking = true
		_, err := in.Peek(1)
		w.looking = false
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
	}
}
