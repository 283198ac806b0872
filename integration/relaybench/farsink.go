package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// startFarSink starts a sink that also offers CHUNKING, which smtp-sink does
// not, and the road to it.
func startFarSink(ctx context.Context, oneWay time.Duration) (*sink, error) {
	f := &farSink{sink: &sink{tally: newTally()}}
	ctx, cancel := context.WithCancel(ctx)
	for _, l := range []struct {
		address string
		serve   func(net.Conn)
	}{
		{farSinkAddress, f.serve},
		{roadAddress, func(c net.Conn) { road(c, farSinkAddress, oneWay) }},
	} {
		listener, err := net.Listen("tcp", l.address)
		if err != nil {
			cancel()
			f.conns.Wait()
			return nil, err
		}
		f.conns.Go(func() { f.listen(ctx, listener, l.serve) })
	}
	f.stop = func() {
		cancel()
		f.conns.Wait()
	}
	return f.sink, nil
}

// A farSink accepts everything as fast as it can.
type farSink struct {
	*sink
	taken atomic.Int64
	conns sync.WaitGroup
}

// listen serves connections until ctx ends, and cuts them then.
func (f *farSink) listen(ctx context.Context, l net.Listener, serve func(net.Conn)) {
	defer context.AfterFunc(ctx, func() { l.Close() })()
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		f.conns.Go(func() {
			defer c.Close()
			defer context.AfterFunc(ctx, func() { c.Close() })()
			serve(c)
		})
	}
}

func (f *farSink) serve(c net.Conn) {
	in, out := bufio.NewReaderSize(c, 64<<10), bufio.NewWriter(c)
	out.WriteString("220 sink\r\n")
	for {
		if in.Buffered() == 0 && out.Flush() != nil {
			return
		}
		line, err := in.ReadSlice('\n')
		if err != nil {
			return
		}
		words := bytes.Fields(bytes.ToUpper(line))
		if len(words) == 0 {
			words = [][]byte{nil}
		}
		switch string(words[0]) {
		case "EHLO":
			out.WriteString("250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 CHUNKING\r\n")
		case "DATA":
			out.WriteString("354 go\r\n")
			if out.Flush() != nil || untilDot(in) != nil {
				return
			}
			f.took(out)
		case "BDAT":
			n, err := strconv.Atoi(string(words[min(1, len(words)-1)]))
			if err != nil {
				return
			}
			if _, err := io.CopyN(io.Discard, in, int64(n)); err != nil {
				return
			}
			f.took(out)
		case "QUIT":
			out.WriteString("221 bye\r\n")
			out.Flush()
			return
		default:
			out.WriteString("250 ok\r\n")
		}
	}
}

func (f *farSink) took(out *bufio.Writer) {
	f.grow(int(f.taken.Add(1)))
	out.WriteString("250 2.0.0 ok\r\n")
}

func untilDot(in *bufio.Reader) error {
	for {
		line, err := in.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
		if string(line) == ".\r\n" {
			return nil
		}
	}
}

// road leads a connection to an address. Octets take their time in each
// direction, as many as there may be on the way; opening the connection takes
// one round trip, and the first acknowledgement half of another.
func road(near net.Conn, to string, oneWay time.Duration) {
	<-time.After(3 * oneWay)
	far, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer far.Close()
	var both sync.WaitGroup
	both.Go(func() { carry(far, near, oneWay) })
	both.Go(func() { carry(near, far, oneWay) })
	both.Wait()
}

// carry brings octets from one connection to another, and then its end.
func carry(to, from net.Conn, oneWay time.Duration) {
	type load struct {
		due    time.Time
		octets []byte
	}
	way := make(chan load, 10_000)
	var driver sync.WaitGroup
	driver.Go(func() {
		for l := range way {
			<-time.After(time.Until(l.due))
			if _, err := to.Write(l.octets); err != nil {
				from.Close()
			}
		}
		to.Close()
	})
	for {
		p := make([]byte, 16<<10)
		n, err := from.Read(p)
		if n > 0 {
			way <- load{time.Now().Add(oneWay), p[:n]}
		}
		if err != nil {
			break
		}
	}
	close(way)
	driver.Wait()
}
