package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"

	"homing/event"
	"homing/queue"
	"homing/server/smtpd"
)

// Handed is mail of a local user that comes out of the spool.
type Handed struct {
	Key string // two with one Key are one; "": none
	UID int    // whose it is
	smtpd.Envelope
}

// Take accepts a message as a dialogue would: by the same policy, with the same
// answers. It is durable when Take returns nil; then all recipients are
// accepted, else those of the messages that there is a number of. Nobody is
// there to hear of a recipient on hold, so such ones are always suppressed. A
// message that was taken under its Key before changes nothing and gives the
// same numbers.
func (o *Outbound) Take(ctx context.Context, h Handed, r io.Reader) (ids []event.MessageID, err error) {
	if h.Envelope, err = h.Check(); err != nil {
		return nil, err
	}
	p := o.policy.Load()
	a := p.byUID(h.UID)
	if a == nil {
		return nil, o.nobody(h.UID)
	}
	h.From = p.author(a, h.From)
	if len(h.To) <= maxRecipients {
		id, err := o.takeOne(ctx, p, a, h, r)
		if err != nil {
			return nil, err
		}
		return append(ids, id), nil
	}
	// More than one message holds: they need the text again and again.
	text, err := io.ReadAll(smtpd.NewContent(r, p.MaxOut))
	if err != nil {
		return nil, err
	}
	for part := range slices.Chunk(h.To, maxRecipients) {
		one := h
		one.To = part
		if h.Key != "" {
			one.Key = h.Key + "." + strconv.Itoa(len(ids))
		}
		id, err := o.takeOne(ctx, p, a, one, bytes.NewReader(text))
		if err != nil {
			return ids, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// takeOne is one transaction.
func (o *Outbound) takeOne(ctx context.Context, p *Policy, a *Application, h Handed, r io.Reader) (event.MessageID, error) {
	if err := o.admit(ctx, p, a, h.From); err != nil {
		return 0, err
	}
	tx := outTransaction{policy: p, application: a, from: h.From, options: h.Options, places: 1, key: h.Key, local: true, uid: h.UID, late: true,
		origin: origin{protocol: "ESMTP", hello: "localhost", peer: &net.UnixAddr{Net: "unix"}}}
	defer o.giveBack(&tx)
	for _, to := range h.To {
		if err := o.name(ctx, &tx, queue.Recipient{Address: to, Notify: h.Notify}); err != nil {
			return 0, err
		}
	}
	return o.take(ctx, &tx, smtpd.NewContent(r, p.MaxOut))
}

// Spooled notes that mail of a local user lies in the spool, refused. It is
// said again for as long as it lies there.
func (s *Server) Spooled(ctx context.Context, uid, files int, why string) error {
	mails := fmt.Sprintf("%d mails of the local user %s lie", files, UserName(uid))
	if files == 1 {
		mails = fmt.Sprintf("A mail of the local user %s lies", UserName(uid))
	}
	text := fmt.Sprintf("%s in the spool, refused: %s. `homing sendmail -bp` lists what is there; once the cause is mended, `homing sendmail -q` sends it.", mails, why)
	e := event.Event{Text: text}
	if a := s.policy.Load().byUID(uid); a != nil {
		e.Application, e.Domain = a.Name, a.Domains[0].Name
	}
	return s.incidents.see(ctx, s.incidents.name("spool", strconv.Itoa(uid)), e)
}
