package dnsx

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// udpOctets is the size of answers over UDP that crosses every path unbroken
// (DNS Flag Day 2020).
const udpOctets = 1232

// errLetterCase says that an answer over UDP did not repeat the letter case
// of the question: somebody may have guessed it.
var errLetterCase = errors.New("the answer changes the letter case of the question")

// ask puts a question to the servers in turn, beginning with the one that
// answered last, until one gives a usable answer.
func (c *Client) ask(ctx context.Context, k key) (*dns.Msg, error) {
	servers := c.servers.list()
	first := int(c.best.Load())
	said := make([]error, len(servers)) // what a server that cannot help said
	var last error
	for try := range c.o.Tries {
		i := (first + try) % len(servers)
		if said[i] != nil {
			continue // it would say the same again
		}
		m, err := c.askServer(ctx, servers[i], k)
		if err == nil {
			if err = usable(m); err == nil {
				c.best.Store(uint32(i))
				m.AuthenticatedData = m.AuthenticatedData && (c.o.TrustAD || near(servers[i]))
				return m, nil
			}
			said[i] = err
		}
		last = fmt.Errorf("server %s: %w", servers[i], err)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%w: %w", ctx.Err(), last)
		}
	}
	return nil, last
}

// near reports whether a server is on this machine.
func near(server string) bool {
	at, err := netip.ParseAddrPort(server)
	return err == nil && at.Addr().Unmap().IsLoopback()
}

// usable says why a response is no answer. A server that neither recurses nor
// knows the zone must not make us believe that a domain has no records.
func usable(m *dns.Msg) error {
	switch {
	case m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError:
		return errors.New("answers " + dns.RcodeToString[m.Rcode])
	case len(m.Answer) == 0 && !m.RecursionAvailable && !m.Authoritative:
		return errors.New("does not resolve names for us")
	}
	return nil
}

// askServer puts a question to one server: over UDP, over TCP when the answer
// is truncated or suspect, and without EDNS when the server is too old for it
// (RFC 6891 section 7).
func (c *Client) askServer(ctx context.Context, server string, k key) (*dns.Msg, error) {
	q := question(k)
	m, err := c.exchange(ctx, "udp", server, q)
	if err == nil && m.Rcode == dns.RcodeFormatError {
		q.Extra = nil
		m, err = c.exchange(ctx, "udp", server, q)
	}
	if errors.Is(err, errLetterCase) || err == nil && m.Truncated {
		return c.exchange(ctx, "tcp", server, q)
	}
	return m, err
}

// question asks for recursion and for the AD bit (RFC 6840 section 5.7). The
// letter case of the name is random: one more thing to guess.
func question(k key) *dns.Msg {
	m := new(dns.Msg)
	m.Id = dns.Id()
	m.RecursionDesired = true
	m.AuthenticatedData = true
	m.Question = []dns.Question{{Name: shuffleCase(k.name), Qtype: k.qtype, Qclass: dns.ClassINET}}
	m.SetEdns0(udpOctets, false)
	return m
}

func shuffleCase(name string) string {
	b := []byte(name)
	for i, c := range b {
		if c >= 'a' && c <= 'z' && rand.Uint32()&1 == 1 {
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}

// exchange sends q and waits for the response that belongs to it. Over UDP it
// passes over everything else that comes.
func (c *Client) exchange(ctx context.Context, network, server string, q *dns.Msg) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	socket, err := c.o.Dial(ctx, network, server)
	if err != nil {
		return nil, err
	}
	defer socket.Close()
	defer context.AfterFunc(ctx, func() { socket.SetDeadline(time.Unix(1, 0)) })()
	conn := &dns.Conn{Conn: socket, UDPSize: udpOctets}
	if err := conn.WriteMsg(q); err != nil {
		return nil, err
	}
	for {
		m, err := conn.ReadMsg()
		switch {
		case ctx.Err() != nil:
			return nil, fmt.Errorf("no answer in time: %w", ctx.Err())
		case network == "udp" && m == nil && !errors.Is(err, dns.ErrShortRead):
			return nil, err // the socket failed, for instance because nobody listens there
		case err == nil:
			err = belongs(m, q)
			if err == nil || network == "udp" && errors.Is(err, errLetterCase) {
				return m, err
			}
		case m != nil && m.Truncated && m.Id == q.Id && m.Response:
			return m, nil // cut within a record
		}
		if network != "udp" {
			return nil, err
		}
	}
}

// belongs says why a response is none to q (RFC 5452 section 9.1).
func belongs(m, q *dns.Msg) error {
	if m.Id != q.Id || !m.Response {
		return errors.New("a response to another question")
	}
	if len(m.Question) == 0 && m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError {
		return nil // some servers only say that they failed
	}
	if len(m.Question) != 1 {
		return fmt.Errorf("a response to %d questions", len(m.Question))
	}
	got, want := m.Question[0], q.Question[0]
	switch {
	case got.Qtype != want.Qtype || got.Qclass != want.Qclass || !strings.EqualFold(got.Name, want.Name):
		return errors.New("a response to another question")
	case got.Name != want.Name:
		return errLetterCase
	}
	return nil
}
