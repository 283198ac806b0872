package smtpd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"syscall"
	"time"
)

// How long accepting pauses when the system has no file descriptor for another
// connection: at first, and at most.
const (
	firstPause = 5 * time.Millisecond
	lastPause  = time.Second
)

// AcceptEach hands each connection of l to admit, until ctx ends (nil) or l
// fails. Before each it calls room, which may wait. It does not close l: who
// wants it to return when ctx ends does so.
func AcceptEach(ctx context.Context, l net.Listener, log *slog.Logger, room func(context.Context), admit func(net.Conn)) error {
	pause := firstPause
	for {
		room(ctx)
		c, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = c.Close() // it came too late
			}
			return nil
		case err == nil:
			pause = firstPause
			admit(c)
		case !passes(err):
			return fmt.Errorf("accepting on %s: %w", l.Addr(), err)
		default:
			if pause == firstPause {
				log.Warn("accepting pauses", "err", err)
			}
			if !wait(ctx, pause) {
				return nil
			}
			pause = min(2*pause, lastPause)
		}
	}
}

// passes reports whether an error of Accept goes away by itself.
func passes(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
		syscall.ECONNABORTED, syscall.ECONNRESET, syscall.EINTR, syscall.EPROTO} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// wait reports whether d has passed before ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
