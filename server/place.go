package server

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"homing/bounce"
	"homing/event"
	"homing/hold"
	"homing/internal/reply"
	"homing/server/review"
	"homing/store"
	"homing/verp"
)

// A place is where a letter goes for one of its recipients: it is about a
// delivery, or told as a fact, or passed on to the postmaster, or nothing.
type place struct {
	delivery event.DeliveryID
	wish     bool        // it came to the address of a List-Unsubscribe of the delivery
	trial    uint64      // it is about a trial of ours
	fact     event.Event // with a Type, if it is to be told
	role     bool
	claims   bool          // it may be a DMARC or TLS report
	waits    *review.Place // where it is to be filed, once somebody says so
	why      string        // it waits
}

// deliver gives a letter to its recipients and answers for each. What is passed
// on goes first, while the letter is ours alone. Then come the reports, which
// may be repeated without a second effect, those about a delivery and those
// about our domains, and then, in one transaction, what is to be told. Over SMTP the rest is not begun when something cannot be taken
// now, because all of it will come again: so no fact is told twice for want of
// another.
func (in *Inbound) deliver(ctx context.Context, l *letter, to []destination) []error {
	if err := in.attestFirst(ctx, l, to); again(err) {
		return []error{ofStore(err)}
	}
	answers := make([]error, len(to))
	places := make([]place, len(to))
	first := map[string]int{} // by address: who is named twice gets it once
	for i, d := range to {
		key := hold.Canonical(d.address)
		if _, named := first[key]; named {
			continue
		}
		first[key] = i
		places[i], answers[i] = in.passOn(ctx, l, d)
		if !in.each && again(answers[i]) {
			return []error{ofStore(answers[i])}
		}
	}
	for i, p := range places {
		if p.trial != 0 {
			in.mirror.take(p.trial, Heard{Kind: string(l.report.Kind), From: l.from, To: to[i].address, At: in.now()})
		}
		if p.delivery == 0 {
			continue
		}
		take := in.observe
		if p.wish {
			take = in.wished
		}
		if answers[i] = take(ctx, l, p.delivery); !in.each && again(answers[i]) {
			return []error{ofStore(answers[i])}
		}
	}
	if err := in.take(ctx, l, places, answers); !in.each && again(err) {
		return []error{ofStore(err)}
	}
	in.tell(ctx, l, places, answers)
	for i, d := range to {
		answers[i] = ofStore(answers[first[hold.Canonical(d.address)]])
	}
	return answers
}

// passOn sends a letter on, where it goes to a person, and says where else it
// goes. With an error that is nowhere: it comes again, or not at all.
func (in *Inbound) passOn(ctx context.Context, l *letter, d destination) (place, error) {
	p, err := in.place(ctx, l, d)
	switch {
	case err != nil:
	case p.role:
		err = in.forward(ctx, l, d.address, in.policy.Load())
	default:
		err = in.passReply(ctx, l, d, p)
	}
	if err != nil {
		return place{}, err
	}
	return p, nil
}

// take has a letter to addresses for reports understood, once for all of them.
// What cannot be remembered now is not told either, because it comes again.
func (in *Inbound) take(ctx context.Context, l *letter, places []place, answers []error) error {
	if in.claims == nil || !slices.ContainsFunc(places, func(p place) bool { return p.claims }) {
		return nil
	}
	err := in.claims.Take(ctx, io.NewSectionReader(l.raw, 0, l.raw.Size()))
	for i := range places {
		if err != nil && places[i].claims {
			places[i].fact, answers[i] = event.Event{}, err
		}
	}
	return err
}

// again reports whether the peer will send a letter again for this answer.
func again(err error) bool { return err != nil && !reply.Of(err).Permanent() }

// tell tells the facts among places, and keeps what has to wait before it is
// one, in one transaction.
func (in *Inbound) tell(ctx context.Context, l *letter, places []place, answers []error) {
	var facts []event.Event
	for _, p := range places {
		if p.fact.Type != "" {
			facts = append(facts, p.fact)
		}
	}
	waits := l.await(places)
	var err error
	switch {
	case waits != nil:
		waits.Arrived = in.now().UTC()
		err = in.reviews.Tell(ctx, l.raw, *waits, facts...)
	case len(facts) > 0:
		err = in.queue.Tell(ctx, l.raw, facts...)
	}
	for i, p := range places {
		if p.fact.Type != "" || p.waits != nil {
			answers[i] = err
		}
	}
}

// place says where a letter goes for one recipient. An application's own
// address carries no signature of ours, and a route none either, so that what
// comes there counts against nobody, unless the address is the very one that
// a delivery was sent with (verp = "keep"), or a report returns a message with a
// return address of ours. Only reports are looked up at a route: other mail is
// for it, or for the postmaster where a route for reports names nobody: a
// provider that asks whether it may pass reports on there must be answered.
func (in *Inbound) place(ctx context.Context, l *letter, d destination) (place, error) {
	if d.role == "" && in.cameBack(l.report) {
		in.log.Warn("what was passed on came back", "rcpt", d.address, "kind", l.report.Kind, "from", l.from)
		return place{}, nil
	}
	if d.path != nil {
		return place{delivery: event.DeliveryID(d.tag.Delivery), wish: d.wish}, nil
	}
	if d.own != nil || d.route != nil && isReport(l.report.Kind) {
		id, err := in.recorded(ctx, d.address)
		if err != nil || id != 0 {
			return place{delivery: id}, err
		}
		if isReport(l.report.Kind) {
			if m, ok := in.returned(l); ok {
				return place{delivery: m.delivery, trial: m.trial}, nil
			}
		}
	}
	alone := d.route != nil && d.route.As == RouteBounce && !isReport(l.report.Kind)
	if alone && in.mirror.tries() {
		if m, ok := in.returned(l); ok && m.trial != 0 {
			return place{trial: m.trial}, nil // a report of ours that somebody made a letter of
		}
	}
	if d.filed() {
		if err := in.attest(ctx, l); err != nil {
			return place{}, err
		}
	}
	switch {
	case d.own != nil:
		return place{fact: in.ownFact(l, d)}, nil
	case alone && len(d.route.To) == 0 && d.route.Local != "*" && in.policy.Load().Postmaster != "":
		return place{role: true}, nil
	case d.route != nil && d.route.As == RouteActivity:
		return in.activity(ctx, l, d)
	case d.route != nil:
		return place{fact: routeFact(l, d), claims: d.route.As == RouteReport}, nil
	case in.policy.Load().Postmaster == "":
		return place{fact: event.Event{Type: event.Replied, Recipient: d.address, From: l.from}}, nil
	}
	return place{role: true}, nil
}

// cameBack reports whether a report is about a reply that was passed on: it has
// been here, and says so. What it returns may have return addresses of ours, and
// it is about none of their deliveries.
func (in *Inbound) cameBack(r bounce.Report) bool {
	was := func(name string, body func(string) bool) bool {
		return slices.ContainsFunc(r.Returned, func(f bounce.Field) bool { return strings.EqualFold(f.Name, name) && body(f.Body) })
	}
	return isReport(r.Kind) && was(originalFrom, func(string) bool { return true }) && was("Delivered-To", in.ours)
}

// recorded finds the delivery that was sent with an application's own address
// as its return path. Zero: there is none, or more than one.
func (in *Inbound) recorded(ctx context.Context, address string) (event.DeliveryID, error) {
	page, err := in.store.Find(ctx, store.Query{ReturnPath: address, Max: 1})
	if err != nil {
		return 0, fmt.Errorf("looking for a return address: %w", err)
	}
	if len(page.Rows) == 0 {
		return 0, nil
	}
	return page.Rows[0].Recipient.ID, nil
}

// isReport tells what machines write from what people write.
func isReport(k bounce.Kind) bool { return k != bounce.Message && k != bounce.Unsubscribe }

// ownEvents says which fact mail of a person to an application's own address
// is. Ordinary mail to an address for bounces is a reply.
var ownEvents = map[verp.Action]event.Type{
	verp.ActionBounce:      event.Replied,
	verp.ActionReply:       event.Replied,
	verp.ActionUnsubscribe: event.Unsubscribed,
	verp.ActionOptOut:      event.OptedOut,
	verp.ActionResubscribe: event.Resubscribed,
	verp.ActionConfirm:     event.Confirmed,
	verp.ActionSubscribe:   event.Subscribed,
	verp.ActionWrite:       event.Replied,
}

// ownFact is the fact that mail to an address of an application's own grammar
// is. A machine that writes there asks for nothing, whatever the address says:
// that is told where it is an answer, and else only counted, unless the
// application reads such mail itself. Then it is passed on, and told to nobody
// else: what it means is for the application to say.
func (in *Inbound) ownFact(l *letter, d destination) event.Event {
	e := event.Event{
		Type: ownEvents[d.own.Action], Recipient: l.from, Sender: d.address, Domain: d.own.domain.Name,
		Application: d.own.application.Name, Campaign: d.own.Campaign(),
	}
	k := l.report.Kind
	read := len(d.own.relays) > 0 && (d.own.Command() || isReport(k))
	if read {
		e.To = d.own.relays
	}
	switch {
	case k == bounce.AutoReply, k == bounce.Challenge, isReport(k) && read:
		e.Type = event.AutoReplied
	case isReport(k):
		in.metrics.forgotten.Inc()
		in.log.Info("report for an address that was not sent with", "rcpt", d.address, "kind", k)
		return event.Event{}
	}
	return e
}

// routeEvents says which fact mail for a route is.
var routeEvents = map[RouteUse]event.Type{
	RouteActivity:  event.Filed,
	RouteReply:     event.Replied,
	RouteBounce:    event.Replied,
	RouteComplaint: event.Complained,
	RouteReport:    event.Filed,
	RouteForward:   event.Replied,
}

// routeFact is the fact that mail for a route is. A report among it is told as
// what it is, but as of nobody.
func routeFact(l *letter, d destination) event.Event {
	e := event.Event{Type: routeEvents[d.route.As], Recipient: d.address, From: l.from, Domain: d.route.Domain, To: d.route.To}
	switch k := l.report.Kind; {
	case k == bounce.AutoReply || k == bounce.Challenge:
		e.Type = event.AutoReplied
	case k == bounce.Complaint:
		e.Type = event.Complained
	case k == bounce.Bounce && d.route.As == RouteBounce:
		e.Type = event.Bounced
	}
	if len(l.report.Recipients) > 0 {
		e.Outcome = saidOf(l.report.Recipients[0])
	}
	e.Metadata = senderSays(l.report)
	return e
}

// marks are the fields by which applications know their mail again, and what
// they are called in Metadata. phpList's first means nothing without its second.
var marks = []struct{ field, name, beside string }{
	{"X-Listmonk-Campaign", "listmonk_campaign", ""},
	{"X-Listmonk-Subscriber", "listmonk_subscriber", ""},
	{"X-MessageID", "phplist_message", "X-ListMember"},
	{"X-ListMember", "phplist_member", ""},
}

// maxMark is the most octets of such a field that are told.
const maxMark = 250

// senderSays reads which mailing and whom a message was for that a report
// returns, where the application wrote that into its header. Anybody could have
// written it, so it is for information alone.
func senderSays(r bounce.Report) event.Metadata {
	returned := map[string]string{}
	for _, f := range r.Returned {
		name := strings.ToLower(f.Name)
		returned[name] = cmp.Or(returned[name], clip(f.Body, maxMark))
	}
	texts := map[string]string{}
	for _, m := range marks {
		value := returned[strings.ToLower(m.field)]
		if value != "" && (m.beside == "" || returned[strings.ToLower(m.beside)] != "") {
			texts[m.name] = value
		}
	}
	made, err := event.MetadataOf(texts)
	if err != nil {
		return "" // too much of it in JSON: control characters, which are no mark
	}
	return made
}

func saidOf(r bounce.Recipient) event.Outcome {
	v := r.Verdict
	o := event.Outcome{Stage: string(reply.DSN), Class: string(v.Class), Reason: string(v.Reason), CiviCRM: v.CiviCRM, Code: r.Code,
		Status: r.Status, Diagnostic: r.Diagnostic, RemoteMTA: r.RemoteMTA, Rule: v.Rule, Matched: v.Matched}
	return o.Tidy()
}
