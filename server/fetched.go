package server

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"

	"homing/internal/message"
	"homing/server/smtpd"
	"homing/store"
)

// Fetched says what mail is that another server has kept for us.
type Fetched struct {
	// Route is what the mail is taken for. Its address is what facts name as
	// the one that the mail came to.
	Route Route
	// Space and Name are those of a note that is taken with what the mail
	// means, so that it means that once (see store.Draft). A crash leaves
	// neither or both.
	Space, Name string
}

// Fetch takes mail that another server has kept for us, as LMTP takes mail that
// it has accepted: who handed it in is nobody whom the DNS knows, so a bounce
// with a genuine tag is provisional. What says in its header that it was sent to
// a genuine tag or to an application's own address is that; everything else is
// mail to the route. It is durable when Fetch returns nil, also where it had
// been before. An error whose reply is permanent will not go away.
func (in *Inbound) Fetch(ctx context.Context, f Fetched, r io.Reader) error {
	if err := in.store.Room(); err != nil {
		return ofStore(err)
	}
	once := *in
	once.store = onceStore{in.store, f.Space, f.Name}
	p := in.policy.Load()
	mail := bufio.NewReaderSize(r, peekedOctets)
	from := peekFrom(mail)
	content := smtpd.NewContent(mail, p.MaxIn)
	content.Forgive() // it was accepted long ago
	trace := returnPathField(from) + received(p.Hostname, "IMAP", "", nil, in.now())
	l, err := once.keep(ctx, trace, content)
	if err != nil {
		return ofStore(err)
	}
	defer l.raw.Discard()
	l.from = from
	err = once.deliver(ctx, l, []destination{p.addressed(l, &f.Route)})[0]
	if errors.Is(err, store.ErrOnce) {
		return nil
	}
	return err
}

// onceStore marks what is kept as done once.
type onceStore struct {
	Store
	space, name string
}

func (s onceStore) NewBody(ctx context.Context) (store.Draft, error) {
	d, err := s.Store.NewBody(ctx)
	if err == nil {
		d.Once(s.space, s.name)
	}
	return d, err
}

// peekedOctets is how much of a mail is looked at for who sent it.
const peekedOctets = 64 << 10

// peekFrom gives the reverse-path that the last hop has noted, else the author.
func peekFrom(r *bufio.Reader) string {
	head, _ := r.Peek(peekedOctets) // a short mail has no more
	h, err := message.ReadHeader(bufio.NewReader(bytes.NewReader(head)), peekedOctets)
	if err != nil {
		return ""
	}
	for _, name := range []string{"Return-Path", "From"} {
		if all := message.Mailboxes(h.Get(name)); len(all) > 0 {
			return all[0].Address
		}
		if h.Has(name) {
			return "" // the null reverse-path
		}
	}
	return ""
}

// addressedBy are the fields in which mail that lies in a mailbox says whom it
// was sent to: first those that mail servers write.
var addressedBy = []string{"Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To", "X-Delivered-To", "To", "Cc"}

// addressed says which of our addresses a fetched mail was sent to: one with a
// genuine tag, or an application's own, as its header says; else the route. What
// somebody has filed by hand is filed, unless a machine wrote it.
func (p *Policy) addressed(l *letter, route *Route) destination {
	left := searchMost
	for _, name := range addressedBy {
		for _, value := range l.header.Values(name) {
			for _, m := range message.Mailboxes(value) {
				if left--; left < 0 {
					break
				}
				d, err := p.locate(m.Address)
				ours := err == nil && !d.trial && (d.path != nil || d.own != nil)
				if ours && (route.As != RouteActivity || isReport(l.report.Kind)) {
					return d
				}
			}
		}
	}
	return destination{address: route.Local + "@" + route.Domain, route: route}
}
