// Package civicrmtest is a stand-in for CiviCRM in tests: its API over HTTP, the
// tables behind it, mailings that it sends, and the Email Processor that reads
// a Maildir. It does what CiviCRM does, the quirks included, and knows of the
// product under test what CiviCRM knows: nothing.
package civicrmtest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"homing/internal/toynet"
)

// A Site is one installation of CiviCRM with a database of its own. Fields are
// set before Open. Its methods may be called from many goroutines.
type Site struct {
	APIKey, SiteKey string     // SiteKey empty: none is asked for
	Prefix, Domain  string     // of the default mail account: "civi+", "bounce.example.org"
	Separator       string     // "VERP Separator"; "": "."
	From            string     // of mailings: `"Example News" <news@example.org>`
	Submission      string     // where it hands its mail over, "127.0.0.1:587"
	Client          netip.Addr // whom its mail comes from; zero: the system's choice
	ForwardReplies  bool       // its mailings have replies sent on to From
	// Old is a release whose API has no entities for what mailings met with.
	Old bool

	Calls toynet.Journal[Call]

	mailer   *toynet.CiviCRM
	listener net.Listener
	server   *http.Server
	address  string

	mu      sync.Mutex
	db      tables
	fault   Fault
	healed  chan struct{} // closed when fault changes
	granted []string      // permissions of the API contact; nil: all
}

// A Call is one request that passed the gate.
type Call struct {
	Entity, Action string
	Params         map[string]any
	Applied        bool // it was carried out
}

// A Fault is something wrong with a site, in place of the answer.
type Fault int

// The faults. Of those that carry a call out only calls that change something
// are the victims.
const (
	Healthy       Fault = iota
	Maintenance         // 503 and a page
	Page                // 200 and a page, as some put it
	Broken              // 500 and nothing
	Moved               // 302
	Forbidden           // 403 and a page
	Garbage             // 200 and no JSON
	Endless             // an answer without end, applied
	Cut                 // an answer that breaks off, applied
	Mute                // no answer, applied
	Deaf                // no answer, not applied
	DatabaseError       // is_error, not applied
	BrokenAPIv4         // 500 from APIv4 alone
	NoAPIv4             // 404 from APIv4 alone
)

// tables is the database.
type tables struct {
	last     map[string]uint64 // ids, by table
	emails   []Email
	queue    []Queued
	bounces  []Bounce
	replies  []Reply
	unsubs   []Unsubscribe
	resubs   []uint64 // queue ids
	members  map[string]string
	optedOut map[uint64]bool // contacts
	setup    Setup

	contacts   map[uint64]Contact // of whom more is known than an address
	activities []Activity
}

// An Email is an address of a contact.
type Email struct {
	ID, Contact         uint64
	Address             string
	OnHold              int // 0 no, 1 bounced, 2 opted out
	HoldDate, ResetDate string
}

// A Queued is a recipient of a mailing.
type Queued struct {
	ID, Job, Email, Contact uint64
	Hash                    string
}

// A Bounce is a row of civicrm_mailing_event_bounce.
type Bounce struct {
	ID, Queue uint64
	Type      int
	Reason    string
}

// A Reply is a row of civicrm_mailing_event_reply, with what came with it.
type Reply struct {
	ID, Queue     uint64
	ReplyTo, Text string
	Whole         string
}

// An Unsubscribe is a row of civicrm_mailing_event_unsubscribe.
type Unsubscribe struct {
	ID, Queue uint64
	Org       bool // from everything
}

// Open opens the site on a loopback address and port of its own. It serves
// until ctx ends.
func (s *Site) Open(ctx context.Context) error {
	s.mailer = &toynet.CiviCRM{Address: s.Submission, From: s.From, Prefix: s.Prefix, Domain: s.Domain, Separator: s.Separator, Dial: s.dial}
	s.healed = make(chan struct{})
	s.db = tables{last: map[string]uint64{}, members: map[string]string{}, optedOut: map[uint64]bool{}, contacts: map[uint64]Contact{}, setup: s.fresh()}
	s.address = "127.0.0.1:0"
	if err := s.Up(); err != nil {
		return err
	}
	context.AfterFunc(ctx, s.Down)
	return nil
}

func (s *Site) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: 30 * time.Second}
	if s.Client.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(s.Client, 0))
	}
	return d.DialContext(ctx, network, address)
}

// URL is the address of the site.
func (s *Site) URL() string { return "http://" + s.address }

// Up has the site listen (again).
func (s *Site) Up() error {
	l, err := net.Listen("tcp", s.address)
	if err != nil {
		return fmt.Errorf("civicrmtest: %w", err)
	}
	server := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	s.mu.Lock()
	s.address, s.listener, s.server = l.Addr().String(), l, server
	s.mu.Unlock()
	go server.Serve(l) // ends with the listener
	return nil
}

// Down closes the site's port and cuts open calls off.
func (s *Site) Down() {
	s.mu.Lock()
	server := s.server
	s.mu.Unlock()
	server.Close()
}

// Break sets what is wrong with the site from now on. Calls that hang end.
func (s *Site) Break(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
	close(s.healed)
	s.healed = make(chan struct{})
}

// Grant says which permissions the API contact has. Before, it has all.
func (s *Site) Grant(permissions ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.granted = append([]string{}, permissions...)
}

// may reports whether the API contact has one of these permissions.
func (s *Site) may(one ...string) bool {
	return s.granted == nil || slices.ContainsFunc(one, func(p string) bool { return slices.Contains(s.granted, p) })
}

func (d *tables) next(table string) uint64 {
	d.last[table]++
	return d.last[table]
}

// now is the time as the database writes it: local, without a zone.
func now() string { return time.Now().Format(time.DateTime) }

// Contact adds a contact with an address, and gives the id of the address.
func (s *Site) Contact(address string) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.db.contact(address).ID
}

func (d *tables) contact(address string) *Email {
	d.emails = append(d.emails, Email{ID: d.next("email"), Contact: d.next("contact"), Address: address})
	return &d.emails[len(d.emails)-1]
}

// find gives the first record of an address; nil: there is none.
func (d *tables) find(address string) *Email {
	for i := range d.emails {
		if strings.EqualFold(d.emails[i].Address, address) {
			return &d.emails[i]
		}
	}
	return nil
}

func (d *tables) byID(id uint64) *Email {
	i := slices.IndexFunc(d.emails, func(e Email) bool { return e.ID == id })
	if i < 0 {
		return nil
	}
	return &d.emails[i]
}

// Hold sets "on hold" of an address by hand, as somebody does on the screen of
// a contact. 0 takes it off hold.
func (s *Site) Hold(address string, level int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.db.emails {
		if e := &s.db.emails[i]; strings.EqualFold(e.Address, address) {
			s.db.set(e, level)
		}
	}
}

// set changes on_hold as CRM_Core_BAO_Email does: the dates go with it, and
// bounces count anew from a reset on.
func (d *tables) set(e *Email, level int) {
	switch {
	case level != 0 && e.OnHold == 0:
		e.HoldDate, e.ResetDate = now(), ""
	case level == 0 && e.OnHold != 0:
		e.HoldDate, e.ResetDate = "", now()
		d.last[fmt.Sprintf("reset %d", e.ID)] = d.last["bounce"]
	}
	e.OnHold = level
}

// Emails gives the table of addresses.
func (s *Site) Emails() []Email {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.db.emails)
}

// OnHold gives "on hold" of an address.
func (s *Site) OnHold(address string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.db.find(address); e != nil {
		return e.OnHold
	}
	return 0
}

// Bounces gives the table of bounces.
func (s *Site) Bounces() []Bounce {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.db.bounces)
}

// Replies gives the table of replies.
func (s *Site) Replies() []Reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.db.replies)
}

// Unsubscribes gives the table of unsubscribes.
func (s *Site) Unsubscribes() []Unsubscribe {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.db.unsubs)
}

// Resubscribes gives the entries of queues of which somebody subscribed again.
func (s *Site) Resubscribes() []uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.db.resubs)
}

// Member gives the status of an address in a group: "Added", "Removed",
// "Pending", or "".
func (s *Site) Member(address string, group uint64) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.db.members[member(address, group)]
}

func member(address string, group uint64) string {
	return fmt.Sprintf("%s %d", strings.ToLower(address), group)
}

// AddressOf gives to whom an entry of a queue went.
func (s *Site) AddressOf(queue uint64) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, q := range s.db.queue {
		if q.ID == queue {
			return s.db.byID(q.Email).Address
		}
	}
	return ""
}

// Enqueue makes the entries of a mailing without sending it, and gives the
// VERP address of each, in order.
func (s *Site) Enqueue(job uint64, to ...string) (verp []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, address := range to {
		q := s.db.enqueue(job, address)
		verp = append(verp, s.mailer.VERP("b", int(job), int(q.ID)))
	}
	return verp
}

func (d *tables) enqueue(job uint64, address string) Queued {
	e := d.find(address)
	if e == nil {
		e = d.contact(address)
	}
	q := Queued{ID: d.next("queue"), Job: job, Email: e.ID, Contact: e.Contact}
	q.Hash = toynet.Hash(int(job), int(q.ID))
	d.queue = append(d.queue, q)
	return q
}

// Send sends a mailing to those who may get one, as a child job. A 5xx is
// recorded as a bounce, as CiviCRM does.
func (s *Site) Send(ctx context.Context, job uint64, subject string, to ...string) ([]toynet.Sent, error) {
	m := toynet.Mailing{Job: int(job), Subject: subject, Text: "Hello\n"}
	s.mu.Lock()
	for _, address := range to {
		if e := s.db.find(address); e != nil && (e.OnHold != 0 || s.db.optedOut[e.Contact]) {
			continue
		}
		q := s.db.enqueue(job, address)
		if m.FirstQueue == 0 {
			m.FirstQueue = int(q.ID)
		}
		m.To = append(m.To, address)
	}
	s.mu.Unlock()
	sent, err := s.mailer.Send(ctx, m)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range sent {
		if one.Reply.Permanent() {
			s.db.bounce(uint64(one.Queue), patternType(one.Reply.String()), one.Reply.String())
		}
	}
	return sent, err
}

// Rename corrects an address, as somebody does on the screen of a contact.
func (s *Site) Rename(from, to string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.db.find(from); e != nil {
		e.Address = to
	}
}
