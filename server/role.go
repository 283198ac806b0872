package server

import (
	"context"
	"fmt"
	"io"
	"strings"

	"homing/event"
	"homing/hold"
	"homing/internal/message"
	"homing/internal/reply"
	"homing/queue"
	"homing/store"
)

// forward sends mail to postmaster@ and abuse@ (RFC 5321 section 4.5.1, RFC
// 2142) on to the person whom the configuration names, as it is, under the
// null reverse-path: what becomes of it is nobody's business but ours, and no
// bounce of it can loop.
func (in *Inbound) forward(ctx context.Context, l *letter, was string, p *Policy) error {
	mark := []byte("Delivered-To: " + was + "\r\n")
	for _, before := range l.header.Values("Delivered-To") {
		if strings.EqualFold(before, was) {
			return errLooping
		}
	}
	skip := int64(len(returnPathField(l.from))) // it is of the last hop, which we are not here
	scan := &message.Scan{}
	body, err := in.copyOf(ctx, l.raw, skip, scan)
	if err != nil {
		return err
	}
	defer body.Discard()
	_, err = in.queue.Submit(ctx, queue.Submission{
		Message:    store.Message{From: l.from, EightBit: scan.EightBit() || !ascii(was), RequireTLS: l.requireTLS},
		Body:       body,
		Heads:      [][]byte{mark},
		Recipients: []queue.Recipient{{Address: p.Postmaster, Notify: "NEVER"}},
		Capture:    p.Mode == Capture,
		ReturnPath: func(event.DeliveryID, string) string { return "" },
	})
	return err
}

// copyOf makes a second Draft of the content from an octet on, because one
// Draft has one owner, and shows it to scan.
func (in *Inbound) copyOf(ctx context.Context, raw store.Draft, from int64, scan *message.Scan) (store.Draft, error) {
	draft, err := in.store.NewBody(ctx)
	if err != nil {
		return nil, fmt.Errorf("keeping mail: %w", err)
	}
	if _, err := io.Copy(io.MultiWriter(draft, scan), io.NewSectionReader(raw, from, raw.Size()-from)); err != nil {
		draft.Discard()
		return nil, fmt.Errorf("keeping mail: %w", err)
	}
	return draft, nil
}

// Has reports whether mail for an address is ours: it never leaves, it goes to
// the inbound side directly. Of a domain that only has routes here, or only
// applications' own addresses, all other addresses are somebody else's.
func (in *Inbound) Has(address string) bool {
	p := in.policy.Load()
	local, domain := split(address)
	for _, d := range p.Domains {
		if d.Path.Domain == domain {
			return true
		}
	}
	return domain == hold.CanonicalDomain(p.Hostname) || p.ownAddress(local, domain) != nil || p.route(local, domain) != nil
}

// Reads reports whether mail to an address is read here as a report about a
// delivery, or as a wish: a report of our own must not go there.
func (in *Inbound) Reads(address string) bool {
	d, err := in.policy.Load().locate(address)
	return err != nil || d.path != nil || d.own != nil
}

// Deliver takes mail that we ourselves would send to one of our addresses.
func (in *Inbound) Deliver(ctx context.Context, from, to string, body message.Body) reply.Reply {
	d, err := in.policy.Load().locate(to)
	if err != nil || !d.known() {
		return errNobody.Reply
	}
	trace := returnPathField(from) + received(in.policy.Load().Hostname, "LOCAL", "", nil, in.now())
	l, err := in.keep(ctx, trace, io.NewSectionReader(body, 0, body.Size()))
	if err != nil {
		return reply.Of(ofStore(err))
	}
	defer func() { l.raw.Discard() }() // the one that is its last
	l.from, l.local = from, true
	return reply.Of(in.deliver(ctx, l, []destination{d})[0])
}
