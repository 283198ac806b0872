// Package server is everything that listens. outbound.go and inbound.go are
// the two flows, top to bottom: mail of an application on its way out, and
// what comes back.
package server

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"homing/hold"
	"homing/internal/dkim"
	"homing/internal/message"
	"homing/internal/password"
	"homing/verp"
)

// A Mode says what becomes of mail that applications hand over.
type Mode string

// The modes.
const (
	Deliver Mode = "deliver"
	Capture Mode = "capture" // accept, keep, never send
	Refuse  Mode = "refuse"  // answer 451
)

// A Policy is who may send as what, and what is done with mail that comes in.
// It is read only: a reload replaces it as a whole.
type Policy struct {
	Hostname     string
	PublicURL    string   // where the world reaches us over HTTPS, without a slash at the end; "": nowhere
	Machine      []string // further names of this machine, which local users have behind theirs
	Mode         Mode
	Applications []*Application
	Domains      []*Domain
	Routes       []Route
	Relays       []string // names of the sinks that pass mail on
	Postmaster   string   // "": what comes for postmaster@ and abuse@ is kept and told to nobody
	MaxOut       int64    // octets of a message of an application
	MaxIn        int64    // octets of a message that comes in
	Recipients   int      // of one transaction
	Verp         *verp.Codec
}

// An Application may send.
type Application struct {
	Name       string
	Kind       string    // as configured, for people
	Lists      bool      // it passes on what others wrote: mail of a list may have any author
	Domains    []*Domain // which it may send as; the first is where mail without a known From belongs
	Password   password.Hash
	Networks   []netip.Prefix
	UIDs       []int         // local users
	Grammar    *verp.Grammar // its own return addresses; nil: none that we know
	Sinks      []string
	Mode       Mode
	RejectHeld bool    // answer 550 at RCPT for an address on hold, instead of suppressing
	DailyLimit int     // recipients a day; 0: none
	Rate       float64 // recipients a second; 0: no limit
	Forward    bool    // replies go on to the person who sent the mailing
	RepliesTo  string  // who gets them where that person cannot; "": nobody
}

// A Domain is what mail is sent as.
type Domain struct {
	Name        string
	Path        verp.Path // of its return addresses
	Keep        bool      // send with the application's own envelope sender
	Rewritten   bool      // mail goes through a smarthost that replaces its reverse-path
	Unsubscribe bool      // bulk mail gets a List-Unsubscribe, where it has none that works
	Signer      *dkim.Signer
	Sinks       []string // for applications that name none
}

// A Route says what is done with mail that comes in without a tag of ours.
type Route struct {
	Local  string // in lower case; "*" is the catch-all
	Domain string // canonical
	As     RouteUse
	From   []string // domains and addresses whose mail is filed without review, though nothing proves who wrote it
	To     []string // sinks
	ByHand bool     // of activities: somebody has looked at the mail and put it there, so that it needs no review
}

// A RouteUse says what mail for a route is.
type RouteUse string

// The uses of a route.
const (
	RouteActivity  RouteUse = "activity"
	RouteReply     RouteUse = "reply"
	RouteBounce    RouteUse = "bounce"
	RouteComplaint RouteUse = "complaint"
	RouteReport    RouteUse = "report"
	RouteForward   RouteUse = "forward"
)

// byName finds an application.
func (p *Policy) byName(name string) *Application {
	i := slices.IndexFunc(p.Applications, func(a *Application) bool { return a.Name == name })
	if i < 0 {
		return nil
	}
	return p.Applications[i]
}

// authentic reports whether an application has this name and password.
func (p *Policy) authentic(name, secret string) bool {
	a := p.byName(name)
	return a != nil && a.Password.Verify(secret)
}

// byAddress finds the application that may relay from an address without
// AUTH: the one with the smallest network around it.
func (p *Policy) byAddress(ip netip.Addr) *Application {
	var best *Application
	bits := -1
	for _, a := range p.Applications {
		for _, n := range a.Networks {
			if n.Contains(ip.Unmap()) && n.Bits() > bits {
				best, bits = a, n.Bits()
			}
		}
	}
	return best
}

// byUID finds the application of a local user.
func (p *Policy) byUID(uid int) *Application {
	i := slices.IndexFunc(p.Applications, func(a *Application) bool { return slices.Contains(a.UIDs, uid) })
	if i < 0 {
		return nil
	}
	return p.Applications[i]
}

// sendsAs gives the domain of an application that an address belongs to: a
// domain it may send as or, where returns counts, that one's return domain.
func (a *Application) sendsAs(address string, returns bool) *Domain {
	_, name := split(address)
	if name == "" {
		return nil // a domain without a return path has none either
	}
	for _, d := range a.Domains {
		if d.Name == name || returns && d.Path.Domain == name {
			return d
		}
	}
	return nil
}

// sinksOf names who hears of an application's facts in a domain.
func (p *Policy) sinksOf(application, domain string) []string {
	if a := p.byName(application); a != nil && len(a.Sinks) > 0 {
		return a.Sinks
	}
	for _, d := range p.Domains {
		if d.Name == domain {
			return d.Sinks
		}
	}
	return nil
}

// effective is the stricter of the server's mode and the application's.
func (p *Policy) effective(a *Application) Mode {
	for _, m := range []Mode{Refuse, Capture} {
		if p.Mode == m || a.Mode == m {
			return m
		}
	}
	return Deliver
}

// split takes an address apart: the local part as it is, the domain canonical.
func split(address string) (local, domain string) {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return address, ""
	}
	return address[:at], hold.CanonicalDomain(address[at+1:])
}

// A destination is what an inbound address turned out to be. Exactly one of
// tag, own, route and role is set, or none: nobody has that address.
type destination struct {
	address string
	tag     verp.Tag
	path    *Domain // set with tag
	trial   bool    // tag is of a trial of ours, and of no delivery
	wish    bool    // the address is that of a List-Unsubscribe
	own     *ownAddress
	route   *Route
	role    string // "postmaster" or "abuse"
}

// An ownAddress is an address of an application's own grammar.
type ownAddress struct {
	application *Application
	domain      *Domain
	relays      []string // of the application, where it reads mail to its own addresses itself
	verp.Address
}

func (d destination) known() bool {
	return d.path != nil || d.own != nil || d.route != nil || d.role != ""
}

// locate says what an inbound address is, in the order that the contract
// fixes. An address in the form of our tags is genuine or an error of
// verp.Decode, never anything else.
func (p *Policy) locate(address string) (destination, error) {
	to := destination{address: address}
	local, domain := split(address)
	for _, d := range p.Domains {
		text, ok := d.Path.Match(local + "@" + domain)
		if !ok {
			continue
		}
		tag, err := p.Verp.Decode(d.Path.Domain, verp.Return, text)
		if errors.Is(err, verp.ErrForged) {
			if t, err := p.Verp.Decode(d.Path.Domain, verp.Trial, text); err == nil {
				to.tag, to.path, to.trial = t, d, true
				return to, nil
			}
			if t, err := p.Verp.Decode(d.Path.Domain, verp.Unsubscribe, text); err == nil {
				to.tag, to.path, to.wish = t, d, true
				return to, nil
			}
		}
		to.tag, to.path = tag, d
		return to, err
	}
	if to.own = p.ownAddress(local, domain); to.own != nil {
		return to, nil
	}
	if to.route = p.route(local, domain); to.route != nil {
		return to, nil
	}
	switch role := strings.ToLower(local); {
	case (role == "postmaster" || role == "abuse") && (domain == "" || p.receives(domain)):
		to.role = role
	}
	return to, nil
}

// ownAddress finds whose own address this is. A clone of a site that never
// sends comes after the site: what comes back is for whoever has sent.
func (p *Policy) ownAddress(local, domain string) (found *ownAddress) {
	for _, a := range p.Applications {
		own := a.ownAddress(local, domain)
		if own == nil {
			continue
		}
		if own.Kind == verp.Mailman {
			own.relays = p.relaysOf(a.Name, own.domain.Name)
		}
		if own.Command() && len(own.relays) == 0 {
			continue // it could not be brought to whoever reads it
		}
		if a.Mode == Deliver {
			return own
		}
		found = cmp.Or(found, own)
	}
	return found
}

// relaysOf names the sinks of an application that pass mail on.
func (p *Policy) relaysOf(application, domain string) (names []string) {
	for _, name := range p.sinksOf(application, domain) {
		if slices.Contains(p.Relays, name) {
			names = append(names, name)
		}
	}
	return names
}

// ownAddress reads an address of the application's own grammar; nil: it is none.
func (a *Application) ownAddress(local, domain string) *ownAddress {
	if a.Grammar == nil {
		return nil
	}
	for _, d := range a.Domains {
		if d.Path.Domain != domain && d.Name != domain {
			continue
		}
		if own, ok := a.Grammar.Parse(local); ok {
			return &ownAddress{application: a, domain: d, Address: own}
		}
	}
	return nil
}

// route finds the route for an address: an exact one, else the one with the
// longest matching sub-address, else the catch-all of the domain.
func (p *Policy) route(local, domain string) *Route {
	local = strings.ToLower(local)
	var best *Route
	for i := range p.Routes {
		r := &p.Routes[i]
		if r.Domain != domain {
			continue
		}
		if r.Local == local {
			return r
		}
		if r.matches(local) && (best == nil || best.Local == "*" || r.Local != "*" && len(r.Local) > len(best.Local)) {
			best = r
		}
	}
	return best
}

// Files reports whether an address is there for mail to become an activity, by
// the routes. Of a catch-all none is: it has those of people as well.
func (p *Policy) Files(address string) bool {
	r := p.route(split(address))
	return r != nil && r.As == RouteActivity && r.Local != "*"
}

// Filers names the sinks that are told of mail to an address that becomes an
// activity; none: it does not become one.
func (p *Policy) Filers(address string) []string {
	if r := p.route(split(address)); r != nil && r.As == RouteActivity {
		return r.To
	}
	return nil
}

// ReadsReports reports whether mail to an address is read as a report about
// DMARC or TLS, by the routes.
func (p *Policy) ReadsReports(address string) bool {
	local, domain, _ := strings.Cut(address, "@")
	r := p.route(local, hold.CanonicalDomain(domain))
	return r != nil && r.As == RouteReport
}

// matches reports whether a local part is a sub-address of the route's.
func (r *Route) matches(local string) bool {
	rest, ok := strings.CutPrefix(local, r.Local)
	return r.Local == "*" || ok && rest != "" && (rest[0] == '+' || rest[0] == '-')
}

// receives reports whether mail for a domain comes to us at all.
func (p *Policy) receives(domain string) bool {
	return domain == hold.CanonicalDomain(p.Hostname) ||
		slices.ContainsFunc(p.Domains, func(d *Domain) bool { return d.Path.Domain == domain }) ||
		slices.ContainsFunc(p.Routes, func(r Route) bool { return r.Domain == domain })
}

// senderDomain is the domain that mail from this author is sent as; nil where
// the application may not send as it.
func (a *Application) senderDomain(from string) *Domain {
	return cmp.Or(a.sendsAs(from, false), a.sendsAs(from, true))
}

// listDomain is the domain of a list that passes on what somebody else wrote:
// that of its envelope sender. It signs in the name of the list, and its bounces
// are the list's. Nil where the application has no lists, or mail is of none
// (RFC 2919).
func (a *Application) listDomain(sender string, h *message.Header) *Domain {
	if !a.Lists || !h.Has("List-Id") {
		return nil
	}
	return a.sendsAs(sender, true)
}
