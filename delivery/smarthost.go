package delivery

import (
	"fmt"
	"net/netip"

	"homing/internal/reply"
	"homing/queue"
)

// A Smarthost is a server that gets mail instead of the MXs: all of it, or all
// of a sending domain.
type Smarthost struct {
	Host     string // name or address
	Port     uint16 // 465: TLS before the greeting (RFC 8314)
	Username string // "": no AUTH
	Password string // sent without TLS only where Mode is None
	TLS      Mode
}

// route is the way of its mail. The operator has named the host, so that it may
// be anywhere.
func (s *Smarthost) route(dns Resolver, o *Options) *route {
	r := &route{domain: s.Host, dns: dns, o: o, port: s.Port, direct: true,
		policy: policy{mode: s.TLS, implicit: s.Port == 465, user: s.Username, password: s.Password}}
	if a, err := netip.ParseAddr(s.Host); err == nil {
		r.fixed = r.usable(s.Host, []netip.Addr{a})
	} else {
		r.groups, r.bare = [][]string{{s.Host}}, true
	}
	return r
}

// spare makes a failure to reach the smarthost, or to be accepted there,
// temporary: it is for the operator to repair, and nobody's mail bounces for
// it.
func (s *Smarthost) spare(r queue.Result) queue.Result {
	r.Smarthost = s != nil
	if s != nil && r.Reply.Permanent() && !(r.Ours && r.Reply.Enhanced == reply.RequireTLS) {
		r.Ours = true
		r.Reply = reply.Reply{Code: 451, Enhanced: reply.Enhanced{4, r.Reply.Enhanced[1], r.Reply.Enhanced[2]},
			Text: fmt.Sprintf("the smarthost cannot be used: %s", r.Reply)}
	}
	return r
}
