package server

import (
	"context"
	"errors"
	"strings"

	"homing/bounce"
	"homing/event"
	"homing/internal/message"
	"homing/queue"
	"homing/store"
	"homing/verp"
)

// Fields by which a recipient says that there is enough (RFC 2369 section 3.2,
// RFC 8058 section 3).
const (
	unsubscribeField = "List-Unsubscribe"
	oneClickField    = "List-Unsubscribe-Post"
	oneClick         = "List-Unsubscribe=One-Click"
)

// wantsLink reports whether a message gets our link: it is bulk mail, without a
// way of the application's own that mail programs can use. One over HTTPS is
// left alone, because it answers as the application likes.
func (m *outMessage) wantsLink(bulk bool) bool {
	return bulk && m.as.Unsubscribe && !hasHTTPS(m.header.Get(unsubscribeField))
}

// hasHTTPS reports whether one of the addresses of a List-Unsubscribe is over
// HTTPS.
func hasHTTPS(value string) bool {
	for _, part := range strings.Split(value, "<")[1:] {
		uri, _, closed := strings.Cut(part, ">")
		uri = strings.TrimSpace(uri)
		if closed && len(uri) > len("https:") && strings.EqualFold(uri[:len("https:")], "https:") {
			return true
		}
	}
	return false
}

// A letterbox makes the ways for a recipient to say that there is enough. The
// link has all but the recipient, and is of the day of both.
type letterbox struct {
	policy *Policy
	as     *Domain
	link   verp.Link
}

// ways gives the addresses for List-Unsubscribe: the one over HTTPS first, which
// is "" where nobody says how the world reaches us, and the one by mail, which
// is "" where the domain has no return addresses.
func (b letterbox) ways(id event.DeliveryID, address string) (link, mail string, err error) {
	if b.policy.PublicURL != "" {
		b.link.Delivery, b.link.Recipient = uint64(id), address
		sealed, err := b.policy.Verp.Seal(b.link)
		if err != nil {
			return "", "", err
		}
		link = "<" + b.policy.PublicURL + "/u/" + sealed + ">"
	}
	if b.as.Path.Domain != "" {
		tag, err := b.policy.Verp.Encode(b.as.Path.Domain, verp.Unsubscribe, uint64(id), b.link.Sent)
		if err != nil {
			return "", "", err
		}
		mail = "<mailto:" + b.as.Path.Format(tag) + "?subject=unsubscribe>"
	}
	return link, mail, nil
}

// put writes them into a header. What the application has written stays.
func (b letterbox) put(h *message.Header, id event.DeliveryID, address string) error {
	link, mail, err := b.ways(id, address)
	if err != nil {
		return err
	}
	own := strings.TrimSpace(h.Get(unsubscribeField))
	if own != "" {
		mail = own
	}
	var all []string
	for _, way := range []string{link, mail} {
		if way != "" {
			all = append(all, way)
		}
	}
	if len(all) == 0 || link == "" && own != "" {
		return nil
	}
	h.Set(unsubscribeField, strings.Join(all, ", "))
	if link != "" {
		h.Set(oneClickField, oneClick)
	}
	return nil
}

// ownHeads has each recipient get a header block of its own, with a link, with
// its return address, or both.
func (o *Outbound) ownHeads(tx outTransaction, m *outMessage, sub *queue.Submission) {
	about, sent := sub.Message, tx.begins(o.now())
	b := letterbox{tx.policy, m.as, verp.Link{Sent: sent, Application: about.Application, Domain: about.Domain, Sender: about.Sender, Campaign: about.Campaign}}
	linked := m.wantsLink(about.Bulk)
	sub.Own = func(id event.DeliveryID, address string) ([]byte, error) {
		h := m.header.Clone()
		// A clock that was never set, or an address longer than any that is
		// delivered to: better mail without a link than no mail.
		if linked {
			if err := b.put(h, id, address); err != nil && !errors.Is(err, verp.ErrRange) {
				return nil, err
			}
		}
		if m.as.Rewritten {
			if path := signedPath(tx.policy, m.as, id, sent); path != "" {
				h.Set(verp.ReturnField, path)
			}
		}
		return m.signed(h)
	}
}

// Link reads an unsubscribe link. Its errors are those of verp.Unseal; with
// verp.ErrExpired there is a Link, too.
func (s *Server) Link(sealed string) (verp.Link, error) { return s.policy.Load().Verp.Unseal(sealed) }

// Unsubscribe does what an unsubscribe link asks for. It is durable when it
// returns nil; the same link again changes nothing. Errors are those of
// queue.Unsubscribe.
func (s *Server) Unsubscribe(ctx context.Context, l verp.Link) error {
	if err := s.Outbound.queue.Unsubscribe(ctx, wishOf(l)); err != nil {
		return err
	}
	s.Outbound.metrics.unsubscribed.WithLabelValues("link").Inc()
	s.Outbound.log.Info("unsubscribed by link", "item", event.DeliveryID(l.Delivery), "application", l.Application, "domain", l.Domain, "rcpt", l.Recipient)
	return nil
}

func wishOf(l verp.Link) queue.Wish {
	return queue.Wish{Delivery: event.DeliveryID(l.Delivery), Recipient: l.Recipient, Application: l.Application,
		Domain: l.Domain, Sender: l.Sender, Campaign: l.Campaign, Sent: l.Sent}
}

// wished takes mail to the address of a List-Unsubscribe. Whatever a person or a
// mail program writes there means the same. A report counts for nothing: nothing
// is sent from that address, and everybody who has the mail knows it. Mail for a
// delivery that was forgotten is welcome and counts for nothing either.
func (in *Inbound) wished(ctx context.Context, l *letter, id event.DeliveryID) error {
	switch l.report.Kind {
	case bounce.Message, bounce.Unsubscribe, bounce.AutoReply:
	default:
		in.log.Info("report at an address for unsubscribing", "item", id, "kind", l.report.Kind)
		return nil
	}
	w := queue.Wish{Delivery: id}
	if l.header.Get("Message-ID") != "" { // else it looks like one that is sent after a return
		w.Digest = l.report.Digest
	}
	err := in.queue.Unsubscribe(ctx, w)
	if errors.Is(err, store.ErrNotFound) {
		return in.observe(ctx, l, id) // which counts it
	}
	if err != nil {
		return err
	}
	in.metrics.unsubscribed.WithLabelValues("mail").Inc()
	in.log.Info("unsubscribed by mail", "item", id, "from", l.from)
	return nil
}
