package integration

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"time"

	"homing/internal/toynet"
)

// A ledger holds what the parties of a run have written down, and finds what
// does not agree. A (message, recipient) is known by the application's own
// return address, which no two of them share, and by the digest of its
// message, which names it.
type ledger struct {
	Sent     []toynet.Sent    // what the application was told at submission
	Receipts []toynet.Receipt // what the MXs were given
	Calls    []toynet.Call    // what the application was told later
	Waiting  []waiting        // what the server says it still has
	Notes    []toynet.Note    // what was sent back

	Killed   []time.Time // when the server was
	InFlight int         // transactions that can be under way at one kill
}

// outcomes are the types of event that end a delivery.
var outcomes = []string{"delivered", "bounced", "expired", "cancelled", "suppressed"}

// delivery is one (message, recipient) and all that is known of it.
type delivery struct {
	sent     toynet.Sent
	received []toynet.Receipt // those that an MX accepted
	told     []toynet.Event   // outcomes, each id once, in the order they came
	waits    bool
}

// late reports whether an outcome is a bounce that came after the delivery.
func late(e toynet.Event) bool { return e.Type == "bounced" && e.Sync != nil && !*e.Sync }

// faults compares everything and gives a sentence for each fault; none when
// all agree. The numbers are those of the invariants below.
func (l ledger) faults() []string {
	var faults []string
	complain := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	deliveries := l.deliveries(complain)
	duplicates := 0
	for _, sender := range slices.Sorted(maps.Keys(deliveries)) {
		d := deliveries[sender]
		d.lost(complain)
		d.oneOutcome(complain)
		if len(l.Killed) == 0 { // a crash may repeat a delivery, and the repeat may fail
			d.agrees(complain)
		}
		duplicates += d.repeats(l.Killed, complain)
	}
	if most := len(l.Killed) * l.InFlight; duplicates > most {
		complain("I2: %d messages arrived more than once, %d are allowed after %d kills", duplicates, most, len(l.Killed))
	}
	if len(l.Notes) > 0 && !heeded(l.Notes)(l.Calls) {
		complain("I1: a report was answered 250, and the application was not told")
	}
	return faults
}

// deliveries sorts everything by delivery. What belongs to none is a fault, as
// is an event whose repeats differ.
func (l ledger) deliveries(complain func(string, ...any)) map[string]*delivery {
	all := make(map[string]*delivery)
	digests := make(map[[sha256.Size]byte]*delivery)
	for _, s := range l.Sent {
		d := &delivery{sent: s}
		all[s.Sender], digests[s.Digest] = d, d
	}
	for _, r := range l.Receipts {
		if !r.Accepted() {
			continue
		}
		d := digests[r.Digest]
		if d == nil || d.sent.To != r.To {
			complain("I3: the message that %s got for %s (%s) is none that was submitted for it", r.Host, r.To, r.ID)
			continue
		}
		d.received = append(d.received, r)
	}
	for _, e := range l.events(complain) {
		if d := all[e.Sender]; d != nil && d.sent.To == e.Recipient {
			d.told = append(d.told, e)
		} else {
			complain("I4: event %s (%s) is about %s from %s, which was never submitted", e.ID, e.Type, e.Recipient, e.Sender)
		}
	}
	for _, w := range l.Waiting {
		if d := all[w.Sender]; d != nil {
			d.waits = true
		}
	}
	return all
}

// events gives the outcomes that the application was told, each id once, in
// the order in which they first came.
func (l ledger) events(complain func(string, ...any)) []toynet.Event {
	first := make(map[string]toynet.Call)
	var events []toynet.Event
	for _, c := range l.Calls {
		if c.Err != nil {
			complain("I4: a webhook is not genuine: %v", c.Err)
			continue
		}
		before, repeated := first[c.Event.ID]
		switch {
		case repeated && !bytes.Equal(before.Body, c.Body):
			complain("I4: event %s was told in two versions: %s and %s", c.Event.ID, before.Body, c.Body)
		case !repeated:
			first[c.Event.ID] = c
			if slices.Contains(outcomes, c.Event.Type) {
				events = append(events, c.Event)
			}
		}
	}
	return events
}

// lost finds mail that was acknowledged and is nowhere (I1), and outcomes that
// the MXs know nothing of.
func (d *delivery) lost(complain func(string, ...any)) {
	if d.sent.Acknowledged() && len(d.told) == 0 && !d.waits {
		complain("I1: %s was acknowledged and is lost", d.sent.To)
	}
	for _, e := range d.told {
		if e.Type == "delivered" && len(d.received) == 0 {
			complain("I1: %s is said to be delivered, but no MX has it", d.sent.To)
		}
	}
}

// heard gives what an MX accepted and said so: one that does not gets the
// message again, as it should.
func (d *delivery) heard() (all []toynet.Receipt) {
	for _, r := range d.received {
		if !r.Unsaid {
			all = append(all, r)
		}
	}
	return all
}

const (
	// settleTime is how long after an MX has accepted a message this may
	// not be durable here yet.
	settleTime = 2 * time.Second
	// stillReading is how long after a kill an MX may still read what was
	// sent before.
	stillReading = time.Second
)

// repeats counts how often a message arrived after its first time. Where the
// server was not killed right after it arrived before, that is a fault (I2).
func (d *delivery) repeats(killed []time.Time, complain func(string, ...any)) (count int) {
	heard := d.heard()
	for i := 1; i < len(heard); i++ {
		before, again := heard[i-1].Time, heard[i].Time
		excused := slices.ContainsFunc(killed, func(k time.Time) bool {
			since := k.Sub(before)
			return since >= -stillReading && since <= settleTime && !k.After(again)
		})
		if !excused {
			complain("I2: %s got the message at %s and again at %s, and the server was not killed meanwhile", d.sent.To, before, again)
			continue
		}
		count++
	}
	return count
}

// agrees finds what the application was told otherwise than the MXs have it.
func (d *delivery) agrees(complain func(string, ...any)) {
	// A report may overtake the note that the mail was delivered: then the
	// outcome is a bounce, and it says that a report brought it.
	if len(d.told) > 0 && len(d.heard()) > 0 && d.told[0].Type != "delivered" && !byReport(d.told[0]) {
		complain("I4: %s has its mail, but the application was told that it is %s", d.sent.To, d.told[0].Type)
	}
}

// oneOutcome finds what has more than one outcome (I4), and reports that had
// more than one effect (I5).
func (d *delivery) oneOutcome(complain func(string, ...any)) {
	ends, lates, last := 0, 0, ""
	for _, e := range d.told {
		if e.ID <= last {
			complain("I4: %s was told of event %s after %s", d.sent.To, e.ID, last)
		}
		last = e.ID
		if late(e) && ends > 0 {
			lates++
		} else {
			ends++
		}
	}
	if ends > 1 {
		complain("I4: %s has %d outcomes", d.sent.To, ends)
	}
	if lates > 1 {
		complain("I5: %s bounced %d times after its delivery", d.sent.To, lates)
	}
	if ends > 0 && d.waits {
		complain("I4: %s has an outcome and still waits", d.sent.To)
	}
}

// settled reports whether every acknowledged recipient has an outcome, as far
// as the calls so far tell.
func settled(sent []toynet.Sent) func([]toynet.Call) bool {
	return func(calls []toynet.Call) bool {
		told := make(map[string]bool)
		for _, c := range calls {
			if c.Taken() && slices.Contains(outcomes, c.Event.Type) {
				told[c.Event.Sender] = true
			}
		}
		for _, s := range sent {
			if s.Acknowledged() && !told[s.Sender] {
				return false
			}
		}
		return true
	}
}

// tellsOfReport reports whether an event is what a report or a reply makes.
func tellsOfReport(e toynet.Event) bool {
	switch e.Type {
	case "bounced":
		return late(e)
	case "deferred":
		return e.Stage == "dsn"
	case "complained", "auto_replied", "replied", "unsubscribed":
		return true
	}
	return false
}

// heeded reports whether the application was told of every recipient about
// whom a letter came back that was taken.
func heeded(notes []toynet.Note) func([]toynet.Call) bool {
	return func(calls []toynet.Call) bool {
		told := make(map[string]bool)
		for _, c := range calls {
			if c.Taken() && tellsOfReport(c.Event) {
				told[c.Event.Recipient] = true
			}
		}
		return !slices.ContainsFunc(notes, func(n toynet.Note) bool { return n.Reply.Positive() && !told[n.About] })
	}
}

// byReport reports whether a bounce was told by a later report.
func byReport(e toynet.Event) bool { return e.Type == "bounced" && e.Sync != nil && !*e.Sync }
