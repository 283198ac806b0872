//go:build linux

package main

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

// A hole is a socket that answers nobody: its queue of connections that wait
// to be accepted is full, and the kernel drops whatever else comes. Whoever
// connects waits until he gives up, as with most domains that are dead.
type hole struct {
	socket *net.TCPListener
	stuck  []net.Conn // what fills the queue
}

const (
	holeDeep    = 8                     // connections that fill a queue of no length
	holeAnswers = 50 * time.Millisecond // within which loopback answers if it does at all
)

// dig makes a hole at an address.
func dig(at string) (*hole, error) {
	l, err := net.Listen("tcp4", at)
	if err != nil {
		return nil, err
	}
	h := &hole{socket: l.(*net.TCPListener)}
	if err := h.shorten(); err != nil {
		h.close()
		return nil, err
	}
	for len(h.stuck) < holeDeep {
		c, err := net.DialTimeout("tcp4", at, holeAnswers)
		if err != nil {
			return h, nil
		}
		h.stuck = append(h.stuck, c)
	}
	h.close()
	return nil, fmt.Errorf("%s answers whatever is done to it", at)
}

// shorten leaves the queue no length: listening again only changes that.
func (h *hole) shorten() error {
	raw, err := h.socket.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = syscall.Listen(int(fd), 0) })
	return errors.Join(err, failed)
}

func (h *hole) close() {
	h.socket.Close()
	for _, c := range h.stuck {
		c.Close()
	}
}
