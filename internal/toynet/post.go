package toynet

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"homing/internal/dnsx"
	"homing/internal/reply"
)

// An Original is a message that was accepted, as those see it who compose what
// comes back.
type Original struct {
	Host     string     // the MX that accepted it
	Addr     netip.Addr // of that MX
	Peer     netip.Addr // the client it came from
	From, To string     // its envelope
	ID       string     // the MX's number for it
	Arrived  time.Time
	Now      time.Time   // when the letter is written
	Header   []byte      // its header block, CR LF line ends, without the empty line
	Why      reply.Reply // what the last mail system is said to have answered
}

// A Letter is what comes back: an envelope and a message. A Letter to nobody
// is not sent.
type Letter struct {
	From, To string // From "" is the null reverse-path
	Message  []byte // line ends of any kind
}

// A Composer writes what comes back for an Original. It keeps nothing.
type Composer func(Original) Letter

// A Note is the end of one letter: it was taken, refused for good, or never
// sent because it was to nobody.
type Note struct {
	Time     time.Time
	Host     string // that sent it
	From, To string
	Original string      // the MX's number for the message it is about
	About    string      // the recipient of that message
	Tries    int         // connections that were wanted for it
	Stage    reply.Stage // of the last answer
	Reply    reply.Reply // the last answer
}

const (
	firstRetry = 100 * time.Millisecond // doubled up to
	lastRetry  = 2 * time.Second        // as long as the Net runs
	postWaits  = 30 * time.Second       // for one answer
	postLines  = 10                     // letters on their way at once
)

// A post keeps letters until their time has come and sends them. Its methods
// may be called from many goroutines.
type post struct {
	net   *Net
	news  chan struct{} // holds a token when inbox is not empty
	lines chan struct{} // holds a token for each letter on its way

	mu       sync.Mutex
	inbox    []errand
	arranged int // letters ever
}

// An errand is a letter to be written and sent.
type errand struct {
	later    Later
	sender   *host
	original Original
}

func newPost(n *Net) *post {
	return &post{net: n, news: make(chan struct{}, 1), lines: make(chan struct{}, postLines)}
}

// arrange takes note of what comes back for a message that at accepted.
func (p *post) arrange(at *host, laters []Later, r Receipt, head []byte) {
	if len(laters) == 0 {
		return
	}
	peer, _ := netip.ParseAddrPort(r.Peer) // zero for what is no internet address
	o := Original{Host: at.name, Addr: at.addr, Peer: peer.Addr().Unmap(), From: r.From, To: r.To,
		ID: r.ID, Arrived: r.Time, Header: head}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range laters {
		o.Why = l.Why
		if o.Why.Code == 0 {
			o.Why = userUnknown
		}
		sender := at
		if h := p.net.hosts[l.Via]; h != nil {
			sender = h
		}
		for range max(1, l.Copies) {
			p.inbox = append(p.inbox, errand{l, sender, o})
			p.arranged++
		}
	}
	select {
	case p.news <- struct{}{}:
	default:
	}
}

// run sends letters until ctx ends; those that wait then are dropped.
func (p *post) run(ctx context.Context) error {
	var work sync.WaitGroup
	defer work.Wait()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.news:
		}
		p.mu.Lock()
		batch := p.inbox
		p.inbox = nil
		p.mu.Unlock()
		for _, e := range batch {
			work.Go(func() { p.carry(ctx, e) })
		}
	}
}

// settled reports whether notes tells the end of every letter so far.
func (p *post) settled(notes []Note) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(notes) >= p.arranged
}

// carry waits, writes one letter, and tries to deliver it until it is taken or
// refused for good.
func (p *post) carry(ctx context.Context, e errand) {
	if !pause(ctx.Done(), e.later.After) {
		return
	}
	e.original.Now = p.net.now()
	letter := e.later.Compose(e.original)
	note := Note{Host: e.sender.name, From: letter.From, To: letter.To, Original: e.original.ID, About: e.original.To}
	for wait := firstRetry; letter.To != ""; wait = min(2*wait, lastRetry) {
		var err error
		note.Tries++
		note.Stage, note.Reply, err = p.send(ctx, e.sender, letter)
		if err == nil && (note.Reply.Positive() || note.Reply.Permanent()) {
			break
		}
		p.net.log.Debug("letter waits", "mx", e.sender.name, "code", note.Reply.Code, "err", err)
		if !pause(ctx.Done(), wait) {
			return
		}
	}
	note.Time = p.net.now()
	p.net.Notes.Add(note)
}

// errNoMail says that a domain takes no mail.
var errNoMail = errors.New("the domain takes no mail")

// send delivers a letter to an MX of its recipient's domain. Where there can
// be none, that is a refusal for good.
func (p *post) send(ctx context.Context, from *host, letter Letter) (reply.Stage, reply.Reply, error) {
	select {
	case p.lines <- struct{}{}:
	case <-ctx.Done():
		return "", reply.Reply{}, ctx.Err()
	}
	defer func() { <-p.lines }()
	_, domain := cutAddress(letter.To)
	targets, err := p.targets(ctx, domain)
	if errors.Is(err, errNoMail) {
		return reply.Resolve, reply.Reply{Code: 550, Enhanced: reply.Enhanced{5, 1, 2}, Text: err.Error()}, nil
	}
	dialer := net.Dialer{Timeout: postWaits, LocalAddr: &net.TCPAddr{IP: from.addr.AsSlice()}}
	for _, to := range targets {
		var c net.Conn
		if c, err = dialer.DialContext(ctx, "tcp", to.String()); err == nil {
			return p.hand(ctx, c, from, letter)
		}
	}
	return reply.Connect, reply.Reply{}, err
}

// targets looks up where mail for domain goes, the preferred MX first; a
// domain without MX is its own (RFC 5321 section 5.1).
func (p *post) targets(ctx context.Context, domain string) ([]netip.AddrPort, error) {
	dns := p.net.resolver()
	records, err := dns.MX(ctx, domain)
	switch {
	case errors.Is(err, dnsx.ErrNoName), dnsx.NullMX(records):
		return nil, errNoMail
	case errors.Is(err, dnsx.ErrNoData):
		records = []dnsx.MX{{Host: domain}}
	case err != nil:
		return nil, err
	}
	slices.SortFunc(records, func(a, b dnsx.MX) int { return int(a.Preference) - int(b.Preference) })
	var targets []netip.AddrPort
	for _, mx := range records {
		addrs, err := dns.Addrs(ctx, mx.Host)
		if errors.Is(err, dnsx.ErrTemporary) {
			return nil, err
		}
		for _, a := range addrs {
			targets = append(targets, netip.AddrPortFrom(a, p.net.port))
		}
	}
	if len(targets) == 0 {
		return nil, errNoMail
	}
	return targets, nil
}

// hand delivers a letter over a new connection, with TLS where it is offered,
// whatever the certificate, as mail servers do.
func (p *post) hand(ctx context.Context, c net.Conn, from *host, letter Letter) (reply.Stage, reply.Reply, error) {
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	d := newDialogue(c, postWaits)
	if r, err := d.heard(); err != nil || !r.Positive() {
		return reply.Connect, r, err
	}
	if r, err := d.hello(from.name); err != nil || !r.Positive() {
		return reply.EHLO, r, err
	}
	if _, ok := d.offers["STARTTLS"]; ok {
		r, err := d.startTLS(ctx, &tls.Config{InsecureSkipVerify: true})
		if err != nil || !r.Positive() {
			return reply.STARTTLS, r, err
		}
		if r, err := d.hello(from.name); err != nil || !r.Positive() {
			return reply.EHLO, r, err
		}
	}
	stage, r, err := d.transact(letter.From, letter.To, letter.Message)
	if err == nil {
		d.quit()
	}
	return stage, r, err
}
