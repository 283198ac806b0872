package memconn

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

func ExamplePipe() {
	client, server := Pipe(nil, nil)
	_, _ = client.Write([]byte("MAIL\r\nRCPT\r\n")) // does not wait for a reader
	_ = client.Close()
	got, err := io.ReadAll(server)
	fmt.Printf("%q %v\n", got, err)
	// Output: "MAIL\r\nRCPT\r\n" <nil>
}

func TestWriteWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe(nil, nil)
		want := bytes.Repeat([]byte("0123456789"), Buffer/5)
		done := make(chan error, 1)
		go func() {
			_, err := a.Write(want)
			done <- errors.Join(err, a.CloseWrite())
		}()
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("Write of twice the buffer returned %v with no reader", err)
		default:
		}
		got, err := io.ReadAll(b)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("read %d octets, %v, want %d", len(got), err, len(want))
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe(nil, nil)
		start := time.Now()
		_ = a.SetDeadline(start.Add(time.Minute))
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Minute {
			t.Errorf("Read gave up after %v with %v", time.Since(start), err)
		}
		if _, err := a.Write(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Write says %v", err)
		}
		_ = a.SetDeadline(time.Time{})
		go func() {
			<-time.After(time.Hour)
			_ = a.SetReadDeadline(time.Unix(1, 0)) // wakes the Read below
		}()
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Minute+time.Hour {
			t.Errorf("Read gave up after %v with %v", time.Since(start), err)
		}
		_ = b.Close()
		if _, err := a.Write(make([]byte, 1)); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("Write to a closed end says %v", err)
		}
		_ = a.Close()
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Read after Close says %v", err)
		}
	})
}

func TestListener(t *testing.T) {
	from := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}
	l := Listen(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 25})
	accepted := make(chan net.Conn, 1)
	go func() {
		c, _ := l.Accept()
		accepted <- c
	}()
	client, err := l.Dial(t.Context(), from)
	if err != nil {
		t.Fatal(err)
	}
	if c := <-accepted; c.RemoteAddr() != from || c.LocalAddr() != l.Addr() || client.RemoteAddr() != l.Addr() {
		t.Errorf("accepted %v on %v, dialled %v", c.RemoteAddr(), c.LocalAddr(), client.RemoteAddr())
	}
	_ = l.Close()
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close says %v", err)
	}
	if _, err := l.Dial(t.Context(), nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Dial after Close says %v", err)
	}
}

func TestTryReadDoesNotWait(t *testing.T) {
	a, b := Pipe(nil, nil)
	p := make([]byte, 8)
	if n, err := a.TryRead(p); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("TryRead of nothing = %d, %v", n, err)
	}
	_, _ = b.Write([]byte("250"))
	if n, err := a.TryRead(p); n != 3 || err != nil {
		t.Errorf("TryRead of three octets = %d, %v", n, err)
	}
	_ = b.Close()
	if _, err := a.TryRead(p); err != io.EOF {
		t.Errorf("TryRead after the end says %v", err)
	}
}
