//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"homing/internal/smtpclient"
)

// A letter is a message that is sent over and over.
type letter struct{ *bytes.Reader }

func (letter) Close() error { return nil }

// write gives a letter of so many octets.
func write(size int) []byte {
	b := []byte("From: News <news@src.test>\r\nTo: you <you@example.test>\r\nSubject: News of today\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: text/plain\r\n\r\n")
	for len(b) < size {
		b = append(b, "What is told here fills the message and means nothing to anybody.\r\n"...)
	}
	return b
}

// A client hands mail to the server over one connection.
type client struct {
	*smtpclient.Client
	letter []byte
}

func dial(address string, letter []byte) (*client, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	c := &client{smtpclient.New(conn, smtpclient.Options{Name: "app.src.test", Peer: address}), letter}
	if failed := c.Hello(); failed != nil {
		conn.Close()
		return nil, errors.New(failed.Reply.String())
	}
	return c, nil
}

// send sends one message after another, to whom next names, until that gives
// nobody. A message does not ride behind the one before it: applications that
// send over SMTP wait for each answer.
func (c *client) send(next func() []string) (err error) {
	give := func(ready bool) *smtpclient.Transaction {
		if ready || err != nil {
			return nil
		}
		to := next()
		if len(to) == 0 {
			return nil
		}
		t := &smtpclient.Transaction{From: "news@src.test", Body: letter{bytes.NewReader(c.letter)}}
		for _, address := range to {
			t.To = append(t.To, smtpclient.Recipient{Address: address})
		}
		t.Done = func(all []smtpclient.Outcome) {
			for _, o := range all {
				if !o.Reply.Positive() {
					err = fmt.Errorf("refused: %s", o.Reply)
				}
			}
		}
		return t
	}
	if _, failed := c.Deliver(give); failed != nil && err == nil {
		err = errors.New(failed.Reply.String())
	}
	return err
}

// accept sends n messages of one recipient each over several sessions and says
// how long it took until all were accepted.
func (st *stage) accept(name string, n, sessions, size int) (time.Duration, error) {
	var sent atomic.Int64
	next := func() []string {
		i := sent.Add(1)
		if i > int64(n) {
			return nil
		}
		return []string{fmt.Sprintf("%s%d@%s", name, i, liveDomain)}
	}
	began := time.Now()
	err := st.parallel(sessions, write(size), next)
	return time.Since(began), err
}

// fill queues recipients from first up to last, a thousand a message.
func (st *stage) fill(first, last int, address func(i int) string) error {
	const each, sessions = 1000, 4
	at := atomic.Int64{}
	at.Store(int64(first))
	next := func() (to []string) {
		i := int(at.Add(each)) - each
		for j := i; j < min(i+each, last); j++ {
			to = append(to, address(j))
		}
		return to
	}
	return st.parallel(sessions, write(1<<10), next)
}

func (st *stage) parallel(sessions int, letter []byte, next func() []string) error {
	errs := make([]error, sessions)
	var all sync.WaitGroup
	for i := range sessions {
		all.Go(func() {
			c, err := dial(st.at(submissionPort), letter)
			if err == nil {
				err = c.send(next)
				c.Quit()
			}
			errs[i] = err
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// person gives the local part of the i-th recipient: no order of addresses is
// the order in which they come.
func person(i int) string {
	rng := rand.NewPCG(uint64(i), 1)
	return fmt.Sprintf("p%08x", uint32(rng.Uint64()))
}

// dispatch sends one message to a domain that has no mail and says how long
// it took from connecting to its arrival at the MX.
func (st *stage) dispatch(ctx context.Context, name string, i int) (time.Duration, error) {
	to := fmt.Sprintf("%s@%s", name, freshDomain(i))
	before := st.Receipts.Len()
	began := time.Now()
	c, err := dial(st.at(submissionPort), write(1<<10))
	if err != nil {
		return 0, err
	}
	defer c.Quit()
	once := []string{to}
	if err := c.send(func() []string { to := once; once = nil; return to }); err != nil {
		return 0, err
	}
	if err := st.arrived(ctx, before, to); err != nil {
		return 0, fmt.Errorf("mail to %s has not arrived: %w", to, err)
	}
	return time.Since(began), nil
}
