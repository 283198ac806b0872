package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"sync"
)

const sinkAddress = "127.0.0.1:2600"

// A sink is where the mail arrives.
type sink struct {
	tally
	stop func()
}

// A tally counts messages.
type tally struct {
	mu    sync.Mutex
	taken int
	more  chan struct{} // closed and replaced when taken grows
	ended chan struct{}
}

func newTally() tally { return tally{more: make(chan struct{}), ended: make(chan struct{})} }

var sinkCount = regexp.MustCompile(`mesg=(\d+)`)

// startSink starts smtp-sink, which says what it took.
func startSink(ctx context.Context) (*sink, error) {
	s := &sink{tally: newTally()}
	c := exec.CommandContext(ctx, "smtp-sink", "-u", "nobody", "-c", "-m", "2000", sinkAddress, "1024")
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		return nil, fmt.Errorf("starting smtp-sink: %w", err)
	}
	s.stop = func() {
		c.Process.Kill()
		<-s.ended
		c.Wait()
	}
	go func() {
		defer close(s.ended)
		lines := bufio.NewScanner(out)
		lines.Split(onReturn)
		for lines.Scan() {
			if m := sinkCount.FindSubmatch(lines.Bytes()); m != nil {
				n, _ := strconv.Atoi(string(m[1]))
				s.grow(n)
			}
		}
	}()
	return s, nil
}

// onReturn splits what smtp-sink writes: each count ends with a CR, so that a
// terminal shows it in one place.
func onReturn(data []byte, atEOF bool) (int, []byte, error) {
	if i := bytes.IndexByte(data, '\r'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

// grow says that n messages have been taken so far.
func (s *tally) grow(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n > s.taken {
		s.taken = n
		close(s.more)
		s.more = make(chan struct{})
	}
}

func (s *tally) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taken
}

// wait returns when n messages have been taken.
func (s *tally) wait(ctx context.Context, n int) error {
	for {
		s.mu.Lock()
		enough, more := s.taken >= n, s.more
		s.mu.Unlock()
		if enough {
			return nil
		}
		select {
		case <-more:
		case <-s.ended:
			return errEnded
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
