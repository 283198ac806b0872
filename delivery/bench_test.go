package delivery_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"testing"

	"homing/delivery"
	"homing/internal/message"
	"homing/queue"
	"homing/store"
)

// sink accepts everything on loopback, as fast as it can.
type sink struct {
	net.Listener
	conns sync.WaitGroup
}

func (s *sink) run() {
	for {
		c, err := s.Accept()
		if err != nil {
			break
		}
		s.conns.Go(func() {
			defer c.Close()
			s.serve(bufio.NewReaderSize(c, 64<<10), bufio.NewWriter(c))
		})
	}
	s.conns.Wait()
}

func (s *sink) serve(in *bufio.Reader, out *bufio.Writer) {
	out.WriteString("220 sink\r\n")
	for data := false; ; {
		if in.Buffered() == 0 && out.Flush() != nil {
			return
		}
		line, err := in.ReadSlice('\n')
		switch {
		case err != nil:
			return
		case data && string(line) == ".\r\n":
			data = false
			out.WriteString("250 2.0.0 ok\r\n")
		case data:
		case bytes.HasPrefix(line, []byte("EHLO")):
			out.WriteString("250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE\r\n")
		case bytes.HasPrefix(line, []byte("DATA")):
			data = true
			out.WriteString("354 go\r\n")
		default:
			out.WriteString("250 2.1.0 ok\r\n")
		}
	}
}

// pump is a Queue with n items for one domain, in batches.
type pump struct {
	mu      sync.Mutex
	left    int
	begun   bool
	done    int
	want    int
	stop    func()
	content []byte
}

func (p *pump) batch() []queue.Item {
	p.mu.Lock()
	defer p.mu.Unlock()
	items := make([]queue.Item, min(50, p.left))
	for i := range items {
		items[i].Lease = store.Lease{Recipient: store.Recipient{Address: "ann@[127.0.0.1]", ReturnPath: "return+abcdefghijklmnopqrstuvwxyz01234@bounce.example.org"}}
	}
	p.left -= len(items)
	return items
}

func (p *pump) Next(ctx context.Context) (*queue.Job, error) {
	if !p.begun {
		p.begun = true
		return &queue.Job{Domain: "[127.0.0.1]", Items: p.batch()}, nil
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

func (p *pump) Locate(j *queue.Job, _ []queue.Host) int { return len(j.Items) }

func (p *pump) More(context.Context, *queue.Job) ([]queue.Item, error) { return p.batch(), nil }

func (p *pump) Wanted(queue.Item) bool { return true }

func (p *pump) Done(_ context.Context, _ queue.Item, r queue.Result) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !r.Reply.Positive() {
		return fmt.Errorf("not delivered: %v", r.Reply)
	}
	if p.done++; p.done == p.want {
		p.stop()
	}
	return nil
}

func (p *pump) Finish(*queue.Job) { p.stop() }

func (p *pump) OpenBody(context.Context, queue.Item) (message.Body, error) {
	return stored{bytes.NewReader(p.content)}, nil
}

type stored struct{ *bytes.Reader }

func (stored) Close() error { return nil }

// BenchmarkDeliver sends messages over one connection to a sink on loopback;
// the sink's work is in the figures.
func BenchmarkDeliver(b *testing.B) {
	for _, size := range []int{4 << 10, 50 << 10} {
		b.Run(fmt.Sprintf("%dKB", size>>10), func(b *testing.B) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			s := &sink{Listener: l}
			var running sync.WaitGroup
			running.Go(s.run)
			ctx, stop := context.WithCancel(b.Context())
			defer stop()
			line := append(bytes.Repeat([]byte("x"), 70), "\r\n"...)
			p := &pump{left: b.N, want: b.N, stop: stop, content: bytes.Repeat(line, size/len(line))}
			d := delivery.New(delivery.Config{Queue: p, Log: slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelWarn})),
				Options: delivery.Options{Hostname: "mail.example.org", Port: netip.MustParseAddrPort(l.Addr().String()).Port(),
					AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}})
			b.ReportAllocs()
			b.SetBytes(int64(len(p.content)))
			b.ResetTimer()
			if err := d.Run(ctx); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			l.Close()
			running.Wait()
			if p.done != b.N {
				b.Errorf("%d of %d were delivered", p.done, b.N)
			}
		})
	}
}
