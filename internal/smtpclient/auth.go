package smtpclient

import (
	"encoding/base64"
	"fmt"

	"homing/internal/reply"
)

// Auth proves who we are, by AUTH PLAIN (RFC 4616) or else LOGIN, which is all
// that some know. Whether the password may travel over this connection is the
// caller's to decide.
func (c *Client) Auth(user, password string) *Outcome {
	var r reply.Reply
	var failed *Outcome
	switch {
	case c.offers.auth("PLAIN"):
		r, failed = c.secret("AUTH PLAIN ", "\x00"+user+"\x00"+password)
	case c.offers.auth("LOGIN"):
		r, failed = c.login(user, password)
	default:
		return &Outcome{Stage: reply.AUTH, Ours: true, Reply: reply.Reply{Code: 454, Enhanced: reply.Enhanced{4, 7, 0},
			Text: fmt.Sprintf("%s offers neither AUTH PLAIN nor LOGIN", c.o.Peer)}}
	}
	switch {
	case failed != nil:
		return failed
	case !r.Positive():
		return c.refused(reply.AUTH, r)
	}
	return nil
}

func (c *Client) login(user, password string) (reply.Reply, *Outcome) {
	r, failed := c.ask(reply.AUTH, c.o.Timeouts.Hello, "AUTH LOGIN")
	for _, answer := range []string{user, password} {
		if failed != nil || r.Code != 334 {
			return r, failed
		}
		r, failed = c.secret("", answer)
	}
	return r, failed
}

func (c *Client) secret(command, s string) (reply.Reply, *Outcome) {
	return c.ask(reply.AUTH, c.o.Timeouts.Hello, command, base64.StdEncoding.EncodeToString([]byte(s)))
}
