package server

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/mail"
	"slices"
	"strings"
	"time"

	"homing/bounce"
	"homing/event"
	"homing/hold"
	"homing/internal/dkim"
	"homing/internal/mailauth"
	"homing/internal/message"
	"homing/queue"
	"homing/store"
)

// Replies of people are told as facts. Where the application wants it they also
// go on to the person who sent the mailing, as mail of our own: under the null
// reverse-path, so that no bounce of it can loop, and without an application,
// so that what becomes of it counts against nobody.

// originalFrom keeps the From field of a reply that was passed on.
const originalFrom = "X-Original-From"

// A mailing is what a reply answers.
type mailing struct {
	application *Application
	as          *Domain
	author      message.Mailbox // who sent it; zero: nobody knows
}

// A forwarding is a reply on its way to whoever sent the mailing.
type forwarding struct {
	mailing
	writer message.Mailbox
	target string
	key    string // two of one key are one
}

// passReply sends a reply on, if it is one and its application wants that. It is
// durable when it returns nil; the same reply again is not sent again. What must
// not go on is no error: it is told as a fact all the same.
func (in *Inbound) passReply(ctx context.Context, l *letter, d destination, p place) error {
	if !isReply(l, d, p) {
		return nil
	}
	m, err := in.answered(ctx, l, d, p)
	if err != nil || m.application == nil || !m.application.Forward {
		return err
	}
	f, why := in.judge(l, m)
	if why == "" && in.forged(ctx, l) {
		why = whyForged
	}
	if why != "" {
		in.metrics.replies.WithLabelValues(why).Inc()
		in.log.Info("reply not passed on", "item", p.delivery, "why", why, "application", m.application.Name, "from", l.from)
		return nil
	}
	if slices.Contains(l.passed, f.target) { // it came to two addresses
		return nil
	}
	f.key = replyKey(d, p, l.report.Digest)
	id, err := in.send(ctx, l, d, f)
	if err != nil {
		return err
	}
	l.passed = append(l.passed, f.target)
	in.metrics.replies.WithLabelValues("passed").Inc()
	in.log.Info("reply passed on", "item", p.delivery, "message", id, "application", m.application.Name, "from", l.from, "rcpt", f.target)
	return nil
}

// isReply reports whether a letter is the reply of a person. Mail to a delivery
// that asks for nothing but to get no more is a wish; at an address for replies
// it is a reply like others.
func isReply(l *letter, d destination, p place) bool {
	switch {
	case isReport(l.report.Kind):
		return false
	case p.delivery != 0:
		return !p.wish && l.report.Kind == bounce.Message
	case d.own != nil:
		return p.fact.Type == event.Replied && !d.own.Command()
	}
	return d.route != nil && d.route.As == RouteReply
}

// replyKey names a reply: by the delivery that it answers, else by the address
// that it came to.
func replyKey(d destination, p place, digest uint64) string {
	if p.delivery != 0 {
		return deliveryReplyKey(p.delivery, digest)
	}
	return fmt.Sprintf("reply %s %016x", hold.Canonical(d.address), digest)
}

func deliveryReplyKey(id event.DeliveryID, digest uint64) string {
	return fmt.Sprintf("reply %s %016x", id, digest)
}

// answered finds what a reply answers; the zero mailing: nobody knows.
func (in *Inbound) answered(ctx context.Context, l *letter, d destination, p place) (mailing, error) {
	switch {
	case p.delivery != 0:
		m, _, err := in.store.Recipient(ctx, p.delivery)
		if errors.Is(err, store.ErrNotFound) {
			return mailing{}, nil
		}
		if err != nil {
			return mailing{}, fmt.Errorf("looking up a delivery: %w", err)
		}
		return in.policy.Load().mailingOf(m), nil
	case d.own != nil:
		a := d.own.application
		return mailing{a, d.own.domain, in.authors.of(a.Name, d.own.Campaign())}, nil
	}
	return in.answeredAt(ctx, l, d.route)
}

// mailingOf gives what is known of a message.
func (p *Policy) mailingOf(m store.Message) mailing {
	found := mailing{application: p.byName(m.Application), author: message.Mailbox{Name: m.FromName, Address: m.From}}
	i := slices.IndexFunc(p.Domains, func(d *Domain) bool { return d.Name == m.Domain })
	if i < 0 {
		return mailing{}
	}
	found.as = p.Domains[i]
	return found
}

// maxHistory is how many deliveries to whoever wrote are looked through, in
// pages.
const (
	maxHistory  = 10
	historyPage = 1000
)

// answeredAt finds what a reply at a route answers. A route is nobody's: the
// reply says which message it answers (RFC 5322 section 3.6.4), and that was
// sent to whoever wrote it. Without that it is for the one application that
// sends as the domain of the route and wants replies: what it sent to him last.
// Where there are several nobody can say for whom it is.
func (in *Inbound) answeredAt(ctx context.Context, l *letter, r *Route) (found mailing, err error) {
	p := in.policy.Load()
	wanting := p.wanting(r.Domain)
	writer, ok := writerOf(l)
	if len(wanting) == 0 || !ok {
		return mailing{}, nil
	}
	if len(wanting) == 1 {
		found = mailing{application: wanting[0], as: wanting[0].at(r.Domain)}
	}
	names := l.header.Get("In-Reply-To") + " " + strings.Join(l.header.Values("References"), " ")
	q := store.Query{Address: hold.Canonical(writer.Address), Max: historyPage}
	for range maxHistory {
		page, err := in.store.Find(ctx, q)
		if err != nil {
			return mailing{}, fmt.Errorf("looking for what was sent to somebody: %w", err)
		}
		for _, row := range page.Rows {
			m := p.mailingOf(row.Message)
			switch {
			case !slices.Contains(wanting, m.application):
			case row.Message.HeaderID != "" && strings.Contains(names, row.Message.HeaderID):
				return m, nil
			case len(wanting) == 1:
				found = m
			}
		}
		if q.After = page.Next; q.After == "" {
			break
		}
	}
	return found, nil
}

// wanting are the applications that send as a domain, or have their return
// addresses in it, and want replies passed on.
func (p *Policy) wanting(domain string) (all []*Application) {
	for _, a := range p.Applications {
		if a.Forward && a.at(domain) != nil {
			all = append(all, a)
		}
	}
	return all
}

// at gives the domain of an application that has this name, or its return
// addresses there.
func (a *Application) at(domain string) *Domain {
	i := slices.IndexFunc(a.Domains, func(d *Domain) bool { return d.Name == domain || d.Path.Domain == domain })
	if i < 0 {
		return nil
	}
	return a.Domains[i]
}

// writerOf says who wrote a letter: the author, else the envelope sender.
func writerOf(l *letter) (message.Mailbox, bool) {
	author, _ := message.FirstMailbox(l.header.Get("From"))
	for _, m := range []message.Mailbox{author, {Address: l.from}} {
		if _, _, ok := message.SplitAddress(m.Address); ok && len(m.Address) <= maxFrom {
			return m, true
		}
	}
	return message.Mailbox{}, false
}

// Why a reply is not passed on.
const (
	whyMachine = "machine" // no person has written it
	whyLoop    = "loop"    // it was here before
	whyOwn     = "own"     // whoever would get it has written it
	whyNobody  = "nobody"  // nobody is known who would get it
	whyForged  = "forged"  // the domain that it claims to be from wants it refused
)

// forged reports whether mail fails a policy by which its From domain wants such
// mail kept from people (RFC 7489 section 6.3): under our own signature nobody
// else would see that. Where the DNS does not say, or nobody knows who brought the
// mail, it is taken at its word, as a mail server of the target would.
func (in *Inbound) forged(ctx context.Context, l *letter) bool {
	if l.peer == nil {
		return false
	}
	r := in.authenticate(ctx, l)
	return r.DMARC == mailauth.Fail && (r.Policy == "quarantine" || r.Policy == "reject")
}

// judge says who gets a reply, or why nobody does.
func (in *Inbound) judge(l *letter, m mailing) (f forwarding, why string) {
	writer, ok := writerOf(l)
	target := in.whom(m)
	switch {
	case !ok, l.from == "", !l.header.Has("Received"), byMachine(l.header): // even ours: the header cannot be read
		return f, whyMachine
	case in.ours(writer.Address), in.wasHere(l.header):
		return f, whyLoop
	case target == "":
		return f, whyNobody
	case sameMailbox(target, writer.Address), sameMailbox(target, l.from):
		return f, whyOwn
	}
	return forwarding{mailing: m, writer: writer, target: target}, ""
}

func sameMailbox(a, b string) bool { return hold.Canonical(a) == hold.Canonical(b) }

// whom says who gets replies to a mailing: its author, unless mail to him comes
// back here; else whom the application names; "": nobody.
func (in *Inbound) whom(m mailing) string {
	for _, address := range []string{m.author.Address, m.application.RepliesTo} {
		if _, _, ok := message.SplitAddress(address); ok && !in.ours(address) {
			return address
		}
	}
	return ""
}

// ours reports whether mail to an address comes here.
func (in *Inbound) ours(address string) bool {
	address = strings.Trim(address, " \t<>")
	return in.Has(address) || in.Reads(address)
}

// wasHere reports whether mail says that it has been delivered to an address of
// ours before, or to more than any mail is.
func (in *Inbound) wasHere(h *message.Header) bool {
	before := h.Values("Delivered-To")
	return len(before) > maxReceived || slices.ContainsFunc(before, in.ours)
}

// byMachine reports whether the header says that no person has written to us
// alone: by RFC 3834, or because a list has sent it.
func byMachine(h *message.Header) bool {
	for _, value := range h.Values("Auto-Submitted") {
		word, _, _ := strings.Cut(value, ";")
		word, _, _ = strings.Cut(word, "(")
		if !strings.EqualFold(strings.TrimSpace(word), "no") {
			return true
		}
	}
	return h.Has("List-Id") || h.Has("List-Post") || toMany(h)
}

// send puts a reply into the queue. Its header keeps its fields in their order,
// and its body is as it came; but it is from an address of ours, which we sign
// for (the writer's own domain would have it refused, RFC 7489), and answers to
// it go to the writer.
func (in *Inbound) send(ctx context.Context, l *letter, d destination, f forwarding) (event.MessageID, error) {
	skip := int64(len(returnPathField(l.from))) // it is of the last hop, which we are not here
	from := bufio.NewReaderSize(io.NewSectionReader(l.raw, skip, l.raw.Size()-skip), readSize)
	h, err := message.ReadHeader(from, message.MaxHeader)
	if err != nil {
		return 0, fmt.Errorf("reading a reply: %w", err)
	}
	body, err := in.store.NewBody(ctx)
	if err != nil {
		return 0, fmt.Errorf("keeping a reply: %w", err)
	}
	defer body.Discard()
	scan, hash := &message.Scan{}, dkim.NewBodyHash()
	if _, err := io.Copy(io.MultiWriter(body, scan, hash), from); err != nil {
		return 0, fmt.Errorf("keeping a reply: %w", err)
	}
	f.address(h, in.now(), in.comesBack)
	head, err := f.as.sign(h, hash.Sum(), "Delivered-To: "+d.address+"\r\n")
	if err != nil {
		return 0, err
	}
	p := in.policy.Load()
	// Texts of one name and one address always are metadata.
	about, _ := event.MetadataOf(map[string]string{ReplyOf: clip(f.writer.Address, maxFrom)})
	return in.queue.Submit(ctx, queue.Submission{
		Key: f.key, Body: body, Heads: [][]byte{head}, Sending: f.as.Name,
		Message: store.Message{From: f.sender(), FromName: f.name(), HeaderID: clip(h.Get("Message-ID"), 250), Subject: clip(decoded(h.Get("Subject")), 200),
			EightBit: h.EightBit() || scan.EightBit() || !ascii(d.address), UTF8: l.utf8 && h.EightBit() || !ascii(d.address) || !ascii(f.target),
			RequireTLS: l.requireTLS, Metadata: about},
		Recipients: []queue.Recipient{{Address: f.target, Notify: "NEVER"}},
		Capture:    p.effective(f.application) != Deliver,
		ReturnPath: func(event.DeliveryID, string) string { return "" },
	})
}

// ReplyOf is the name in the Metadata of a reply that is passed on under which
// its writer stands.
const ReplyOf = "reply_of"

// maxAnswers is how many addresses a Reply-To may name: whoever names more wants
// something else than an answer.
const maxAnswers = 20

// address writes into the header of a reply who it is from and whom answers to
// it go to: where the writer wants them, but never where they would come back to
// us. All other fields stay as they are.
func (f forwarding) address(h *message.Header, now time.Time, comesBack func(message.Mailbox) bool) {
	_, domain := split(f.sender())
	h.Complete(now, message.NewID(domain))
	answers := message.Mailboxes(strings.Join(h.Values("Reply-To"), ", "))
	if len(answers) > maxAnswers {
		answers = nil
	}
	if h.Count("Reply-To") != 1 || len(answers) == 0 || slices.ContainsFunc(answers, comesBack) {
		answers = slices.DeleteFunc(answers, comesBack)
		if len(answers) == 0 {
			answers = []message.Mailbox{f.writer}
		}
		h.Set("Reply-To", addressList(answers))
	}
	for field := range h.All() {
		if strings.EqualFold(field.Name(), "From") {
			raw := field.Raw()
			h.PrependBlock(slices.Concat([]byte(originalFrom), raw[bytes.IndexByte(raw, ':'):]))
			break
		}
	}
	h.Set("From", (&mail.Address{Name: f.name(), Address: f.sender()}).String())
}

func (in *Inbound) comesBack(m message.Mailbox) bool { return in.ours(m.Address) }

func addressList(all []message.Mailbox) string {
	var words []string
	for _, m := range all {
		words = append(words, (&mail.Address{Name: m.Name, Address: m.Address}).String())
	}
	return strings.Join(words, ", ")
}

// maxPerson is the most octets of a person's name that are shown beside another.
const maxPerson = 100

// name is what a reply is from, as people read it: "Ann via News".
func (f forwarding) name() string {
	who := func(m message.Mailbox) string {
		local, _ := split(m.Address)
		return strings.TrimSpace(clip(cmp.Or(m.Name, local), maxPerson))
	}
	return who(f.writer) + " via " + cmp.Or(who(f.author), f.as.Name)
}

// sender is the address that a reply is from: the one that our return addresses
// are made of, where our signature is good for it (RFC 7489 section 3.1.1), else
// one of the domain that the mailing was sent as: its author's, if that is in it.
func (f forwarding) sender() string {
	if p := f.as.Path; p.Domain != "" && (f.as.Signer == nil || sameOrganisation(p.Domain, f.as.Name)) {
		return p.Local + "@" + p.Domain
	}
	if _, domain := split(f.author.Address); domain == f.as.Name {
		return f.author.Address
	}
	return "postmaster@" + f.as.Name
}

// Passed gives what became of the replies to a delivery that were passed on.
func (s *Server) Passed(ctx context.Context, r store.Recipient) (all []store.Row, err error) {
	for _, digest := range r.Seen {
		id, _, err := s.Inbound.store.Receipt(ctx, deliveryReplyKey(r.ID, digest))
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("looking for a reply: %w", err)
		}
		page, err := s.Inbound.store.Find(ctx, store.Query{Message: id})
		if err != nil {
			return nil, fmt.Errorf("looking for a reply: %w", err)
		}
		all = append(all, page.Rows...)
	}
	return all, nil
}

// ForgetAuthor makes nobody know which campaigns somebody has sent, by the
// canonical address: replies to them go where those of others do whose author is
// not known. It is durable when it returns nil.
func (s *Server) ForgetAuthor(ctx context.Context, canonical string) error {
	return s.Inbound.authors.forget(ctx, canonical)
}
