package smtpd

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// onLoopback serves on a real socket, and gives its address and what ends it.
func onLoopback(t *testing.T, o Options, b Backend) (addr string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- New(o, b).Serve(ctx, l) }()
	return l.Addr().String(), func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// A peer in full flow reads our last words, though we closed with its octets
// unread.
func TestLastWordsReachAPeerThatIsSending(t *testing.T) {
	addr, stop := onLoopback(t, Options{Hostname: "mx.test", Grace: 10 * time.Millisecond}, discarding{})
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	fmt.Fprint(c, "EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<y@y.test>\r\nDATA\r\n")
	for line := ""; !strings.HasPrefix(line, "354 "); {
		if line, err = r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	var writer sync.WaitGroup
	defer writer.Wait()
	writer.Go(func() {
		for line := []byte(message(1000)); ; {
			if _, err := c.Write(line); err != nil {
				return
			}
		}
	})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		stop()
	}()
	if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "421 4.3.2 ") {
		t.Errorf("the last words are %q, %v", line, err)
	}
	_ = c.Close()
	<-stopped
}

// Ten peers at once send ten messages each, and every octet arrives.
func TestManyPeersAtOnce(t *testing.T) {
	const peers, each = 10, 10
	var mu sync.Mutex
	got := map[string]int{}
	b := &accepting{data: func(_ context.Context, c *Content) []error {
		var m bytes.Buffer
		if _, err := io.Copy(&m, c); err != nil {
			return []error{err}
		}
		mu.Lock()
		defer mu.Unlock()
		got[m.String()]++
		return nil
	}}
	addr, stop := onLoopback(t, Options{Hostname: "mx.test"}, b)
	var wg sync.WaitGroup
	for p := range peers {
		wg.Go(func() {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			var said strings.Builder
			said.WriteString("EHLO a\r\n")
			for m := range each {
				fmt.Fprintf(&said, "MAIL FROM:<>\r\nRCPT TO:<y@y.test>\r\nDATA\r\nX-Peer: %d.%d\r\n%s.\r\n", p, m, message(7000*m))
			}
			said.WriteString("QUIT\r\n")
			go func() { _, _ = io.WriteString(c, said.String()) }() // ends with the connection
			answers, err := io.ReadAll(c)
			if n := strings.Count(string(answers), "250 2.0.0 "); err != nil || n != each {
				t.Errorf("%d messages were accepted, %v", n, err)
			}
		})
	}
	wg.Wait()
	stop()
	for p := range peers {
		for m := range each {
			if n := got[fmt.Sprintf("X-Peer: %d.%d\r\n%s", p, m, message(7000*m))]; n != 1 {
				t.Errorf("message %d of peer %d arrived %d times", m, p, n)
			}
		}
	}
}

func TestInputKeepsWhatIsUnread(t *testing.T) {
	in := input{pool: &sync.Pool{New: func() any { return new([largeBuffer]byte) }}}
	var want []byte
	next := byte(0)
	read := func(n int, message bool) {
		room := in.room(message)
		n = min(n, len(room))
		for i := range n {
			room[i] = next
			want = append(want, next)
			next++
		}
		in.filled(n)
	}
	consume := func(n int) {
		n = min(n, len(want))
		in.advance(n)
		want = want[n:]
	}
	steps := []struct {
		name    string
		read    int
		message bool
		consume int
	}{
		{"a command", 100, false, 100}, {"half a line", 300, false, 0}, {"the rest of it", 300, false, 0},
		{"a long line", 3000, false, 0}, {"it grows", 3000, false, 2000}, {"a message", 40000, true, 20000},
		{"more of it", 40000, true, 50}, {"a command behind it, much at hand", 1000, false, 31000},
		{"little at hand", 100, false, 100000}, {"nothing at hand", 100, false, 10},
		{"a message again", 100, true, 10},
	}
	for _, s := range steps {
		read(s.read, s.message)
		consume(s.consume)
		if !bytes.Equal(in.unread(), want) {
			t.Fatalf("%s: %d octets are unread, want %d", s.name, len(in.unread()), len(want))
		}
	}
	consume(len(want))
	if in.room(false); in.large != nil {
		t.Error("an idle connection keeps its large buffer")
	}
}
