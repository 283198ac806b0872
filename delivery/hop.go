package delivery

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"

	"homing/internal/message"
	"homing/internal/reply"
	"homing/internal/smtpclient"
)

// A Hop is a server to which mail is handed one message at a time, such as the
// LMTP of a mailbox server. Its methods may be called from many goroutines.
type Hop struct {
	Network  string // "tcp" or "unix"
	Address  string
	LMTP     bool
	Hostname string // what we call ourselves
	Timeouts smtpclient.Timeouts
}

// Deliver hands a message over and returns nil once the server has taken it. A
// *reply.Error is what the server answered, or what we say in its place. TLS
// is used where the server offers it over TCP, with any certificate: who it is
// was decided by the address in the configuration.
func (h *Hop) Deliver(ctx context.Context, body message.Body, from, to string) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, h.Network, h.Address)
	if err != nil {
		return fmt.Errorf("connecting to %s: %w", h.Address, err)
	}
	c := smtpclient.New(conn, smtpclient.Options{Name: h.Hostname, Peer: h.Address, LMTP: h.LMTP, Timeouts: h.Timeouts})
	defer context.AfterFunc(ctx, c.Cut)()
	defer c.Quit()
	if out := h.begin(c); out != nil {
		return refusal(*out)
	}
	var outcome smtpclient.Outcome
	// What came in goes on as it is: a mailbox server that does not offer
	// 8BITMIME takes 8-bit text all the same, and nobody could be told if not.
	tx := &smtpclient.Transaction{From: from, To: []smtpclient.Recipient{{Address: to}}, Body: body,
		EightBit: c.Offers("8BITMIME"), UTF8: strings.IndexFunc(from+to, func(r rune) bool { return r >= 0x80 }) >= 0,
		Done: func(all []smtpclient.Outcome) { outcome = all[0] }}
	next := func(bool) *smtpclient.Transaction {
		one := tx
		tx = nil
		return one
	}
	if left, why := c.Deliver(next); len(left) > 0 {
		outcome = *why
	}
	return refusal(outcome)
}

// begin says hello and begins TLS where it is offered.
func (h *Hop) begin(c *smtpclient.Client) *smtpclient.Outcome {
	if out := c.Hello(); out != nil {
		return out
	}
	if h.Network != "tcp" || !c.Offers("STARTTLS") {
		return nil
	}
	out := c.StartTLS(&tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12})
	if out != nil && !c.Over() {
		return nil // it refused, and the dialogue goes on without
	}
	return out
}

// refusal is an outcome as an error; nil for a positive one.
func refusal(o smtpclient.Outcome) error {
	if o.Reply.Positive() {
		return nil
	}
	return &reply.Error{Reply: o.Reply, Cause: o.Cause}
}
