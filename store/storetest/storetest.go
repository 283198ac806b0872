// Package storetest is what every engine of package store must pass: each
// promise of the interface, and the invariants behind them, as a test.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"homing/event"
	"homing/internal/message"
	"homing/store"
)

// An Opener opens one place again and again, as a process does that is
// stopped and started.
type Opener interface {
	// Open opens what is there. The store before is closed or dead.
	Open(t *testing.T) store.Store
	// Close stops the store in an orderly way.
	Close(t *testing.T)
	// Kill stops the store as a killed process stops: nothing more is
	// written, nothing is tidied up.
	Kill(t *testing.T)
}

// Run tests an engine. fresh gives an Opener of an empty place.
func Run(t *testing.T, fresh func(t *testing.T) Opener) {
	for _, group := range []struct {
		name  string
		tests []named
	}{
		{"Enqueue", enqueueTests}, {"Body", bodyTests}, {"Due and Lease", dueTests}, {"Apply", applyTests},
		{"Events", eventTests}, {"Find", findTests}, {"Forget", forgetTests}, {"Owed", owedTests}, {"Note", noteTests}, {"Crash", crashTests},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, tt := range group.tests {
				t.Run(tt.name, func(t *testing.T) {
					h := newHarness(t, fresh(t))
					tt.test(h)
					h.sound()
				})
			}
		})
	}
}

type named struct {
	name string
	test func(*harness)
}

// A harness is one test: a store, and what speaks to it. Errors that a test
// does not expect end it.
type harness struct {
	*testing.T
	opener Opener
	s      store.Store
	ctx    context.Context
	now    time.Time // what the test takes for now
	marks  int
}

func newHarness(t *testing.T, o Opener) *harness {
	h := &harness{T: t, opener: o, ctx: t.Context(), now: time.Now().UTC().Truncate(time.Millisecond)}
	h.s = o.Open(t)
	t.Cleanup(func() { o.Close(t) })
	return h
}

// restart opens the store again after an orderly stop or a kill.
func (h *harness) restart(kill bool) {
	h.Helper()
	if kill {
		h.opener.Kill(h.T)
	} else {
		h.opener.Close(h.T)
	}
	h.s = h.opener.Open(h.T)
}

// verifier is what engines with a check of their own offer.
type verifier interface{ Verify(context.Context) error }

// sound asks the engine whether it is.
func (h *harness) sound() {
	h.Helper()
	if v, ok := h.s.(verifier); ok {
		if err := v.Verify(context.Background()); err != nil {
			h.Errorf("Verify: %v", err)
		}
	}
}

// must ends the test on an error.
func (h *harness) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatalf("unexpected error: %v", err)
	}
}

// wants checks that err is what it should be.
func (h *harness) wants(err, want error) {
	h.Helper()
	if !errors.Is(err, want) {
		h.Errorf("got error %v, want %v", err, want)
	}
}

// same compares, taking nil and empty for the same and times by their moment.
func (h *harness) same(what string, got, want any) {
	h.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		h.Errorf("%s differs (-want +got):\n%s", what, diff)
	}
}

// draft gives a Draft with content.
func (h *harness) draft(content []byte) store.Draft {
	h.Helper()
	d, err := h.s.NewBody(h.ctx)
	h.must(err)
	for len(content) > 0 {
		n, err := d.Write(content[:min(len(content), 50_000)])
		h.must(err)
		content = content[n:]
	}
	return d
}

// content makes a body of a size, different for each seed.
func content(seed, size int) []byte {
	line := fmt.Appendf(nil, "line %d of a body that is like no other\r\n", seed)
	return bytes.Repeat(line, size/len(line)+1)[:size]
}

// A mail is a message that a test enqueued.
type mail struct {
	id         event.MessageID
	message    store.Message
	recipients []store.Recipient
	heads      [][]byte
	content    []byte
}

// ids are the deliveries of a mail.
func (m *mail) ids() []event.DeliveryID {
	var ids []event.DeliveryID
	for _, r := range m.recipients {
		ids = append(ids, r.ID)
	}
	return ids
}

// compose makes a submission of a small mail to some addresses. change, which
// may be nil, alters it.
func (h *harness) compose(change func(*store.Submission), addresses ...string) store.Submission {
	first := h.s.Deliveries(len(addresses))
	sub := store.Submission{
		Message: store.Message{
			Accepted: h.now, Application: "crm", Domain: "example.org", Sender: "news@example.org", From: "news@example.org",
			Campaign: "spring", HeaderID: "<1@example.org>", Subject: "Spring", Bulk: true, EightBit: true,
			EnvelopeID: "env", ReturnContent: "HDRS", RequireTLS: true, TLSOptional: true, OwnFields: "X-ListMember: ann@example.net\r\n",
		},
	}
	for i, a := range addresses {
		id := first + event.DeliveryID(i)
		sub.Heads = append(sub.Heads, fmt.Appendf(nil, "To: %s\r\nX-Delivery: %v\r\n\r\n", a, id))
		sub.Recipients = append(sub.Recipients, store.Recipient{
			ID: id, Address: a, ReturnPath: fmt.Sprintf("r-%v@bounce.example.org", id), Head: i,
			Key: store.Key{Domain: domainOf(a), Lane: 1, Flow: "crm/spring", Sending: "example.org"}, State: store.Waiting,
			Due: h.now, Expires: h.now.Add(120 * time.Hour), Notify: "FAILURE", Original: "rfc822;" + a,
		})
	}
	sub.Events = []event.Event{{Type: event.Accepted, Time: h.now, Application: "crm", Recipient: addresses[0], Delivery: first}}
	if change != nil {
		change(&sub)
	}
	return sub
}

func domainOf(address string) string {
	_, domain, _ := bytes.Cut([]byte(address), []byte("@"))
	return string(domain)
}

// enqueue submits what compose makes, with a body of a size.
func (h *harness) enqueue(size int, change func(*store.Submission), addresses ...string) *mail {
	h.Helper()
	sub := h.compose(change, addresses...)
	m := &mail{message: sub.Message, recipients: sub.Recipients, heads: sub.Heads, content: content(int(sub.Recipients[0].ID), size)}
	sub.Body = h.draft(m.content)
	defer sub.Body.Discard()
	id, err := h.s.Enqueue(h.ctx, sub)
	h.must(err)
	m.id, m.message.ID = id, id
	for i := range m.recipients {
		m.recipients[i].Message = id
	}
	return m
}

// send is enqueue of a small mail as compose makes it.
func (h *harness) send(addresses ...string) *mail {
	h.Helper()
	return h.enqueue(300, nil, addresses...)
}

// recipient looks a delivery up.
func (h *harness) recipient(id event.DeliveryID) store.Recipient {
	h.Helper()
	_, r, err := h.s.Recipient(h.ctx, id)
	h.must(err)
	return r
}

// state checks the states of deliveries.
func (h *harness) state(want store.State, ids ...event.DeliveryID) {
	h.Helper()
	for _, id := range ids {
		if got := h.recipient(id).State; got != want {
			h.Errorf("delivery %v is %v, want %v", id, got, want)
		}
	}
}

// text reads a body whole, by WriteTo.
func (h *harness) text(ref message.Ref) string {
	h.Helper()
	b, err := h.s.OpenBody(h.ctx, ref)
	h.must(err)
	defer b.Close()
	var buf bytes.Buffer
	n, err := b.WriteTo(&buf)
	h.must(err)
	if n != b.Size() || n != int64(buf.Len()) || n != ref.Size {
		h.Errorf("a body of %d octets gave %d, its Ref says %d", b.Size(), n, ref.Size)
	}
	return buf.String()
}

// unowed checks that a body is gone.
func (h *harness) unowed(ref message.Ref) {
	h.Helper()
	b, err := h.s.OpenBody(h.ctx, ref)
	if err == nil {
		b.Close()
	}
	h.wants(err, store.ErrNotFound)
}

// lease claims up to limit recipients of a Key at now.
func (h *harness) lease(key store.Key, limit int) []store.Lease {
	h.Helper()
	l, err := h.s.Lease(h.ctx, store.LeaseRequest{Key: key, Now: h.now, Until: h.now.Add(time.Minute), Max: limit})
	h.must(err)
	return l
}

// move is a Change that moves a delivery to a state and says so.
func (h *harness) move(id event.DeliveryID, to store.State, say ...event.Type) store.Change {
	return store.Change{Delivery: id, Decide: func(c *store.Case) error {
		for _, typ := range say {
			c.Events = append(c.Events, event.Event{Type: typ, Time: h.now, Message: c.Message.ID, Delivery: id, Recipient: c.Recipient.Address})
		}
		return c.Recipient.Move(to, h.now)
	}}
}

// apply makes changes that must succeed.
func (h *harness) apply(changes ...store.Change) {
	h.Helper()
	h.must(h.s.Apply(h.ctx, changes...))
}

// markPrefix begins the text of the events that events writes.
const markPrefix = "storetest: the end "

// events gives all events after an ID that are there now. Reading waits where
// there is nothing, so it writes a mark and reads up to it.
func (h *harness) events(after event.ID) []event.Event {
	h.Helper()
	h.marks++
	end := fmt.Sprint(markPrefix, h.marks)
	h.apply(store.Change{Decide: func(c *store.Case) error {
		c.Events = append(c.Events, event.Event{Type: event.CheckRecovered, Text: end, Time: h.now})
		return nil
	}})
	var all []event.Event
	for {
		list, err := h.s.Events(h.ctx, after, 100)
		h.must(err)
		for _, e := range list {
			if e.ID <= after {
				h.Fatalf("event %v came after event %v", e.ID, after)
			}
			after = e.ID
			if e.Text == end {
				return all
			}
			if !strings.HasPrefix(e.Text, markPrefix) {
				all = append(all, e)
			}
		}
	}
}

// types are the types of events.
func types(list []event.Event) []event.Type {
	var types []event.Type
	for _, e := range list {
		types = append(types, e.Type)
	}
	return types
}
