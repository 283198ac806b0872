package smtpd

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"testing"

	"homing/internal/memconn"
)

// discarding is a Backend that costs nothing.
type discarding struct{}

func (discarding) NewSession(context.Context, Conn) (Session, error) { return discarding{}, nil }
func (discarding) Hello(context.Context, string) error               { return nil }
func (discarding) Auth(context.Context, string, string) error        { return nil }
func (discarding) Mail(context.Context, string, MailOptions) error   { return nil }
func (discarding) Rcpt(context.Context, string, RcptOptions) error   { return nil }
func (discarding) Reset()                                            {}
func (discarding) Close()                                            {}

func (discarding) Data(_ context.Context, c *Content) []error {
	if _, err := io.Copy(io.Discard, c); err != nil {
		return []error{err}
	}
	return nil
}

// BenchmarkSession is one connection that sends message after message, with
// its client: one command at a time as PHP does, and with PIPELINING.
func BenchmarkSession(b *testing.B) {
	for _, size := range []int{4 << 10, 50 << 10} {
		for _, pipelining := range []bool{false, true} {
			for _, network := range []string{"memory", "loopback"} {
				b.Run(fmt.Sprintf("%dKB/pipelining=%v/%s", size>>10, pipelining, network), func(b *testing.B) {
					benchmarkSession(b, network, size, pipelining)
				})
			}
		}
	}
}

func benchmarkSession(b *testing.B, network string, size int, pipelining bool) {
	c, stop := benchmarkServer(b, network)
	defer stop()
	r := bufio.NewReader(c)
	say := func(octets []byte, replies int) {
		if _, err := c.Write(octets); err != nil {
			b.Fatal(err)
		}
		for range replies {
			if line, err := r.ReadSlice('\n'); err != nil || line[0] > '3' {
				b.Fatalf("%q, %v", line, err)
			}
		}
	}
	say([]byte("HELO a\r\n"), 2)
	steps := [][]byte{[]byte("MAIL FROM:<civi+b.1.2.0a1b2c3d4e5f6a7b@bounce.example.org>\r\n"), []byte("RCPT TO:<ann@example.net>\r\n"), []byte("DATA\r\n")}
	body := []byte(message(size) + ".\r\n")
	all := append(append(append([]byte{}, steps[0]...), steps[1]...), steps[2]...)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if pipelining {
			say(all, 3)
		} else {
			for _, s := range steps {
				say(s, 1)
			}
		}
		say(body, 1)
	}
}

// BenchmarkSessionInPieces is a client that writes header, text and dot each
// by itself and lets the kernel hold small packets back, as PHP does.
func BenchmarkSessionInPieces(b *testing.B) {
	c, stop := benchmarkServer(b, "loopback")
	defer stop()
	if err := c.(*net.TCPConn).SetNoDelay(false); err != nil {
		b.Fatal(err)
	}
	r := bufio.NewReader(c)
	said := func() {
		if line, err := r.ReadSlice('\n'); err != nil || line[0] > '3' {
			b.Fatalf("%q, %v", line, err)
		}
	}
	said() // the greeting
	pieces := []string{"HELO a\r\n", "", "MAIL FROM:<>\r\n", "", "RCPT TO:<ann@example.net>\r\n", "", "DATA\r\n", "",
		"Subject: News\r\n\r\n", "Hello\r\n", ".\r\n", ""}
	b.ReportAllocs()
	for b.Loop() {
		for _, octets := range pieces {
			if octets == "" {
				said()
			} else if _, err := io.WriteString(c, octets); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// benchmarkServer gives a connection to a server, and what ends both.
func benchmarkServer(b *testing.B, network string) (net.Conn, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var l net.Listener
	dial := func() (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) }
	if network == "memory" {
		m := memconn.Listen(nil)
		l, dial = m, func() (net.Conn, error) { return m.Dial(ctx, nil) }
	} else {
		var err error
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			b.Fatal(err)
		}
	}
	done := make(chan error)
	go func() { done <- New(Options{Hostname: "mx.test"}, discarding{}).Serve(ctx, l) }()
	c, err := dial()
	if err != nil {
		b.Fatal(err)
	}
	return c, func() {
		_ = c.Close()
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	}
}

// BenchmarkIdleConnection says what memory one connection takes that has said
// EHLO and waits, without what the kernel and the other end take.
func BenchmarkIdleConnection(b *testing.B) {
	ctx, cancel := context.WithCancel(context.Background())
	l := memconn.Listen(nil)
	done := make(chan error)
	go func() { done <- New(Options{Hostname: "mx.test"}, discarding{}).Serve(ctx, l) }()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var conns []net.Conn
	for b.Loop() {
		c, err := l.Dial(ctx, nil)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := c.Write([]byte("HELO a\r\n")); err != nil {
			b.Fatal(err)
		}
		for said := ""; len(said) < len("220 mx.test ESMTP\r\n250 mx.test\r\n"); {
			buf := make([]byte, 100)
			n, err := c.Read(buf)
			if err != nil {
				b.Fatal(err)
			}
			said += string(buf[:n])
		}
		conns = append(conns, c)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapInuse+after.StackInuse-before.HeapInuse-before.StackInuse)/float64(len(conns)), "resident-B/conn")
	for _, c := range conns {
		_ = c.Close()
	}
	cancel()
	if err := <-done; err != nil {
		b.Error(err)
	}
}
