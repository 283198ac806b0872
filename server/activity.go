package server

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"homing/bounce"
	"homing/event"
	"homing/hold"
	"homing/internal/mailauth"
	"homing/internal/parsedmail"
	"homing/server/review"
	"homing/store"
)

// A Reviewer keeps mail that waits for somebody to say whether it is filed.
// *review.Keeper is one.
type Reviewer interface {
	Tell(ctx context.Context, raw store.Draft, m review.Mail, facts ...event.Event) error
}

// taken takes a letter apart, once.
func (l *letter) taken() (*parsedmail.Mail, error) {
	if l.mail != nil {
		return l.mail, nil
	}
	m, err := parsedmail.Read(io.NewSectionReader(l.raw, 0, l.raw.Size()))
	if err != nil {
		return nil, err
	}
	l.mail = &m
	return l.mail, nil
}

// activity says what becomes of a letter at a route for activities: it is filed
// if it is proven who wrote it, or he is listed, and else waits for somebody's
// word, so that nobody becomes a contact by a lie. What a machine answers is told
// as that.
func (in *Inbound) activity(ctx context.Context, l *letter, d destination) (place, error) {
	if e := routeFact(l, d); e.Type != event.Filed {
		return place{fact: e}, nil
	}
	mail, err := l.taken()
	if err != nil {
		return place{}, err
	}
	origin := in.authenticate(ctx, l)
	at := review.Place{Recipient: d.address, Domain: d.route.Domain, To: d.route.To}
	if why := d.route.doubt(l.report.Kind, mail.From, origin); why != "" {
		return place{waits: &at, why: why}, nil
	}
	proof := authenticationOf(origin)
	proof.By = d.route.ground(origin)
	in.log.Info("mail is filed", "from", origin.From, "rcpt", d.address, "dmarc", origin.DMARC, "by", proof.By)
	return place{fact: review.Fact(at, written(*mail, origin.From), proof)}, nil
}

// written is a mail by the author that is proven or listed, and by nobody else,
// however somebody might read its From field.
func written(m parsedmail.Mail, author string) parsedmail.Mail {
	by := parsedmail.Mailbox{Address: author}
	if len(m.From) > 0 {
		by.Name = m.From[0].Name
	}
	m.From = []parsedmail.Mailbox{by}
	return m
}

// ground says why a mail is filed that nobody has doubted.
func (r *Route) ground(a mailauth.Result) event.Ground {
	switch {
	case a.DMARC == mailauth.Pass:
		return event.ByDMARC
	case a.Passed():
		return event.ByAligned
	case r.ByHand:
		return event.ByHand
	}
	return event.ByListed
}

// doubt says why a letter is not filed without somebody's word; "": it is. A
// sender who is listed needs no proof, since small domains publish none, but one
// whose domain says how its mail is known, by DMARC or by SPF, and this is not, is
// somebody else. from is whom those take for the author who are told.
func (r *Route) doubt(kind bounce.Kind, from []parsedmail.Mailbox, a mailauth.Result) string {
	switch {
	case isReport(kind):
		return "A mail system wrote it, and no person."
	case a.FromDomain == "", len(from) != 1, hold.Canonical(from[0].Address) != hold.Canonical(a.From):
		return "Its From field does not name one address, so that nobody can say who wrote it."
	case r.ByHand, a.Passed():
		return ""
	case a.Temporary():
		return fmt.Sprintf("The DNS did not say for an hour whether it is from %s.", a.FromDomain)
	case a.DMARC == mailauth.Fail:
		return fmt.Sprintf("It claims to be from %s and is probably not: it fails the DMARC policy that this domain publishes.", a.FromDomain)
	case a.Denied():
		return fmt.Sprintf("It claims to be from %s and is probably not: the SPF record of this domain says that whoever brought it sends no mail for it.", a.FromDomain)
	case a.DMARC == mailauth.None && r.lists(a.From, a.FromDomain):
		if a.FromSPF == mailauth.TempError {
			return fmt.Sprintf("The DNS did not say whether the SPF record of %s denies it.", a.FromDomain)
		}
		return ""
	}
	return fmt.Sprintf("Nothing proves that it is from %s, which publishes no DMARC policy, and the sender is not listed in from of the route.", a.FromDomain)
}

// lists reports whether a sender is in from of a route: his address or his
// domain, and not one below it.
func (r *Route) lists(from, domain string) bool {
	return slices.ContainsFunc(r.From, func(listed string) bool {
		if strings.Contains(listed, "@") {
			return hold.Canonical(listed) == hold.Canonical(from)
		}
		return hold.CanonicalDomain(listed) == domain
	})
}

// authenticationOf words a result for those who are told. What passes for other
// domains says nothing of the author.
func authenticationOf(r mailauth.Result) event.Authentication {
	spf, dkim := r.Own()
	return event.Authentication{Domain: r.FromDomain, SPF: string(spf), DKIM: string(dkim), DMARC: string(r.DMARC)}
}

// maxNamed is how many authors of mail that waits are named.
const maxNamed = 5

// authorsOf names everybody whom a From field names: whoever decides about the
// mail makes all of them its authors.
func authorsOf(from []parsedmail.Mailbox) string {
	var all []string
	for _, m := range from[:min(len(from), maxNamed)] {
		all = append(all, m.Address)
	}
	if more := len(from) - len(all); more > 0 {
		all = append(all, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(all, ", ")
}

// maxPeople is how many people are noted of mail that waits.
const maxPeople = 200

// await gives the mail that has to wait; nil: it need not, for any recipient.
func (l *letter) await(places []place) *review.Mail {
	var m *review.Mail
	for _, p := range places {
		if p.waits == nil {
			continue
		}
		if m == nil {
			m = &review.Mail{Why: p.why, Sender: l.from, Subject: l.mail.Subject, MessageID: l.mail.MessageID,
				Authentication: authenticationOf(*l.origin)}
			m.From = authorsOf(l.mail.From)
			for _, address := range append(l.mail.People(), l.from) {
				if address = hold.Canonical(address); address != "" && !slices.Contains(m.People, address) && len(m.People) < maxPeople {
					m.People = append(m.People, address)
				}
			}
		}
		m.Places = append(m.Places, *p.waits)
	}
	return m
}
