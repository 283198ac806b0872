package storetest

import (
	"context"
	"sync"
	"time"

	"homing/event"
	"homing/internal/message"
	"homing/internal/parsedmail"
	"homing/store"
)

// say is a Change of nobody with one event.
func say(e event.Event) store.Change {
	return store.Change{Decide: func(c *store.Case) error { c.Events = append(c.Events, e); return nil }}
}

var eventTests = []named{
	{"every field comes back, those that JSON leaves out as well, also after a restart", func(h *harness) {
		until := h.now.Add(time.Hour)
		full := event.Event{
			Type: event.Bounced, Time: h.now, Message: 5, Recipient: "ann@example.net", Sender: "s@example.org", From: "f@example.org",
			ReturnPath: "r@bounce.example.org", Domain: "example.org", Application: "crm", Campaign: "spring", Attempt: 2, Sync: new(false),
			Outcome: event.Outcome{Stage: "dsn", Class: "soft", Reason: "mailbox_full", CiviCRM: "Quota", Code: 452, Status: "4.2.2",
				Diagnostic: "full", RemoteMTA: "mx", Rule: "rule", Matched: "matched",
				TLS: event.TLS{Version: "TLS1.2", Cipher: "c", Verified: event.VerifiedNone}},
			Hold: &event.HoldState{State: "held", Until: &until}, Text: "a text", Delivery: 6,
			Raw: message.Ref{Body: 1, Head: 2, Size: 3}, Original: message.Ref{Body: 4, Head: 5, Size: 6}, To: []string{"crm", ""},
			Notify: "NEVER", EnvelopeID: "env", OriginalRecipient: "rfc822;ann", ReturnContent: "FULL", RequireTLS: true, OwnFields: "X-MessageID: 1\r\n",
			Mail: &event.Mail{Mail: parsedmail.Mail{Subject: "Hello", Date: h.now.UTC(), Attachments: []parsedmail.Attachment{{Name: "a.pdf", Size: 3}}},
				Authentication: event.Authentication{DMARC: "pass"}, Reviewed: true, ReviewedBy: "ann"},
			Basis: &event.Basis{Accepted: h.now, Ours: true, Smarthost: true, Related: true, Offline: true, Surge: true},
		}
		other := event.Event{Type: event.Held, Time: h.now, Sync: new(true), Hold: &event.HoldState{State: "free"}, Basis: &event.Basis{}}
		h.apply(say(full), say(other))
		for _, kill := range []bool{true, false} {
			got := h.events(0)
			if len(got) != 2 {
				h.Fatalf("got %d events, want 2", len(got))
			}
			full.ID, other.ID = got[0].ID, got[1].ID
			h.same("event", got[0], full)
			h.same("event", got[1], other)
			h.restart(kill)
		}
	}},
	{"identifiers increase across restarts, and after means after", func(h *harness) {
		var last event.ID
		for i := range 4 {
			h.apply(say(event.Event{Type: event.Filed, Attempt: i}))
			got := h.events(last)
			if len(got) != 1 || got[0].Attempt != i || got[0].ID <= last {
				h.Fatalf("got %+v after %v, want attempt %d", got, last, i)
			}
			last = got[0].ID
			h.restart(i%2 == 0)
		}
	}},
	{"events of one Apply come in its order", func(h *harness) {
		h.apply(store.Change{Decide: func(c *store.Case) error {
			for i := range 5 {
				c.Events = append(c.Events, event.Event{Type: event.Filed, Attempt: i})
			}
			return nil
		}}, say(event.Event{Type: event.Filed, Attempt: 5}))
		for i, e := range h.events(0) {
			if e.Attempt != i {
				h.Errorf("event %d is number %d", i, e.Attempt)
			}
		}
	}},
	{"a limit is kept", func(h *harness) {
		for range 5 {
			h.apply(say(event.Event{Type: event.Filed}))
		}
		got, err := h.s.Events(h.ctx, 0, 3)
		h.must(err)
		if len(got) != 3 {
			h.Errorf("got %d, want 3", len(got))
		}
	}},
	{"a reader who follows misses nothing and sees nothing twice", func(h *harness) {
		const writers, each = 4, 100
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for i := range each {
					if err := h.s.Apply(h.ctx, say(event.Event{Type: event.Filed, Attempt: w*each + i})); err != nil {
						h.Error(err)
					}
				}
			})
		}
		seen := map[int]bool{}
		next := make([]int, writers)
		for last := event.ID(0); len(seen) < writers*each; {
			list, err := h.s.Events(h.ctx, last, 7)
			h.must(err)
			for _, e := range list {
				if e.ID <= last || seen[e.Attempt] {
					h.Fatalf("event %v (number %d) after %v", e.ID, e.Attempt, last)
				}
				if w := e.Attempt / each; e.Attempt%each != next[w] {
					h.Fatalf("writer %d: got event %d, want %d", w, e.Attempt%each, next[w])
				} else {
					next[w]++
				}
				last, seen[e.Attempt] = e.ID, true
			}
		}
		wg.Wait()
	}},
	{"Events waits for news and ends with its context", func(h *harness) {
		ctx, cancel := context.WithCancel(h.ctx)
		done := make(chan error)
		read := func(ctx context.Context) {
			_, err := h.s.Events(ctx, 0, 1)
			done <- err
		}
		go read(h.ctx)
		go read(h.ctx)
		h.apply(say(event.Event{Type: event.Filed}))
		h.must(<-done)
		h.must(<-done)
		go func() {
			_, err := h.s.Events(ctx, 1<<55, 1)
			done <- err
		}()
		cancel()
		h.wants(<-done, context.Canceled)
	}},
	{"with a context that has ended Events gives what there is, without waiting", func(h *harness) {
		ended, end := context.WithCancel(h.ctx)
		end()
		_, err := h.s.Events(ended, 0, 1)
		h.wants(err, context.Canceled)
		h.apply(say(event.Event{Type: event.Filed}))
		got, err := h.s.Events(ended, 0, 10)
		h.must(err)
		if len(got) != 1 {
			h.Errorf("got %d, want 1", len(got))
		}
	}},
	{"a sink that is new has the zero Cursor", func(h *harness) {
		got, err := h.s.Cursor(h.ctx, "hooks")
		h.must(err)
		h.same("cursor", got, event.Cursor{})
	}},
	{"what Advance remembers is there after an orderly stop", func(h *harness) {
		want := map[string]event.Cursor{
			"hooks": {Seen: 9, Parked: []event.Parked{{Event: 3, Delivery: 4, Tries: 5, Since: h.now, Next: h.now}, {Event: 6}}, Failing: h.now, Paused: true},
			"crm":   {Seen: 1},
		}
		for range 2 {
			for sink, c := range want {
				h.must(h.s.Advance(h.ctx, sink, event.Cursor{Seen: 1}))
				h.must(h.s.Advance(h.ctx, sink, c))
				got, err := h.s.Cursor(h.ctx, sink)
				h.must(err)
				h.same(sink, got, c)
			}
			h.restart(false)
			for sink, c := range want {
				got, err := h.s.Cursor(h.ctx, sink)
				h.must(err)
				h.same(sink, got, c)
			}
			want["hooks"] = event.Cursor{Seen: 20}
		}
	}},
	{"after a kill a Cursor is one that was set, at worst an older one", func(h *harness) {
		h.must(h.s.Advance(h.ctx, "hooks", event.Cursor{Seen: 1}))
		h.must(h.s.Advance(h.ctx, "hooks", event.Cursor{Seen: 2}))
		h.restart(true)
		got, err := h.s.Cursor(h.ctx, "hooks")
		h.must(err)
		if got.Seen > 2 {
			h.Errorf("got %v", got)
		}
	}},
}

// keep is a Change that keeps raw as a report about a delivery.
func (h *harness) keep(id event.DeliveryID, raw store.Draft) store.Change {
	return store.Change{Delivery: id, Raw: raw, Decide: func(c *store.Case) error {
		c.Events = append(c.Events, event.Event{Type: event.Bounced, Time: h.now, Delivery: id, Recipient: c.Recipient.Address, Raw: c.Raw})
		return nil
	}}
}

// last gives the last event there is.
func (h *harness) last() event.Event {
	h.Helper()
	list := h.events(0)
	if len(list) == 0 {
		h.Fatal("there are no events")
	}
	return list[len(list)-1]
}

var owedTests = []named{
	{"a body is owed until its last recipient has an outcome", func(h *harness) {
		for _, size := range []int{1000, 200_000} {
			m := h.enqueue(size, nil, "ann@example.net", "bob@example.net", "eve@example.net")
			ref := h.recipient(m.recipients[0].ID).Body
			h.apply(h.move(m.recipients[0].ID, store.Delivered))
			h.restart(true)
			h.apply(h.move(m.recipients[1].ID, store.Paused))
			h.text(ref)
			h.apply(h.move(m.recipients[2].ID, store.Bounced), h.move(m.recipients[1].ID, store.Cancelled))
			h.unowed(ref)
			h.restart(true)
			h.unowed(ref)
		}
	}},
	{"the body of a recipient that begins with an outcome is owed to nobody", func(h *harness) {
		m := h.enqueue(200_000, func(s *store.Submission) { s.Recipients[0].State = store.Suppressed }, "ann@example.net")
		h.unowed(h.recipient(m.recipients[0].ID).Body)
	}},
	{"a report is kept until it is forgotten, one Draft for several changes", func(h *harness) {
		for _, size := range []int{1000, 200_000} {
			m := h.send("ann@example.net", "bob@example.net")
			want := content(9, size)
			raw := h.draft(want)
			h.apply(h.keep(m.recipients[0].ID, raw), h.keep(m.recipients[1].ID, raw))
			raw.Discard()
			h.restart(true)
			ref := h.last().Raw
			if got := h.text(ref); got != string(want) {
				h.Errorf("a report of %d octets differs", size)
			}
			list := h.events(0)
			if before := list[len(list)-2].Raw; before != ref {
				h.Errorf("the events name %v and %v", before, ref)
			}
			h.forget(store.What{ReportsBefore: time.Now().Add(time.Hour)}, 1)
			h.text(ref) // no sink has seen the events
			h.forget(store.What{EventsBefore: time.Now().Add(time.Hour)}, -1)
			h.unowed(ref)
		}
	}},
	{"a Raw that no event names is not kept", func(h *harness) {
		m := h.send("ann@example.net")
		raw := h.draft(content(9, 100))
		defer raw.Discard()
		c := h.move(m.recipients[0].ID, store.Cancelled)
		var ref message.Ref
		move := c.Decide
		c.Raw, c.Decide = raw, func(k *store.Case) error { ref = k.Raw; return move(k) }
		h.apply(c)
		h.unowed(ref)
	}},
	{"a Draft may be tried again after a change failed", func(h *harness) {
		m := h.send("ann@example.net")
		raw := h.draft(content(9, 200_000))
		defer raw.Discard()
		bad := h.keep(m.recipients[0].ID, raw)
		h.wants(h.s.Apply(h.ctx, bad, store.Change{Decide: func(*store.Case) error { return errDecide }}), errDecide)
		h.apply(bad)
		h.text(h.last().Raw)
	}},
	{"what an event shows is owed until the sinks have passed it", func(h *harness) {
		m := h.send("ann@example.net")
		h.apply(store.Change{Delivery: m.recipients[0].ID, Decide: func(c *store.Case) error {
			c.Events = append(c.Events, event.Event{Type: event.Bounced, Delivery: c.Recipient.ID, Original: c.Recipient.Body})
			return c.Recipient.Move(store.Bounced, h.now)
		}})
		e := h.last()
		h.must(h.s.Advance(h.ctx, "dsn", event.Cursor{Seen: e.ID - 1}))
		h.restart(true)
		h.text(e.Original)
		h.must(h.s.Advance(h.ctx, "dsn", event.Cursor{Seen: e.ID, Parked: []event.Parked{{Event: e.ID, Delivery: e.Delivery, Next: h.now}}}))
		h.restart(false)
		h.text(e.Original)
		h.must(h.s.Advance(h.ctx, "dsn", event.Cursor{Seen: e.ID}))
		h.eventuallyUnowed(e.Original)
	}},
	{"a sink that shows no bodies keeps none, however far behind it is", func(h *harness) {
		m := h.send("ann@example.net")
		h.apply(store.Change{Delivery: m.recipients[0].ID, Decide: func(c *store.Case) error {
			c.Events = append(c.Events, event.Event{Type: event.Bounced, Delivery: c.Recipient.ID, Original: c.Recipient.Body})
			return c.Recipient.Move(store.Bounced, h.now)
		}})
		e := h.last()
		h.must(h.s.Advance(h.ctx, "hooks", event.Cursor{Seen: 1}))
		h.must(h.s.Advance(h.ctx, "dsn", event.Cursor{Seen: e.ID - 1}))
		all := store.What{EventsBefore: time.Now().Add(time.Hour), Sinks: []string{"hooks", "dsn"}, Shows: []string{"dsn"}}
		h.forget(all, 0)
		h.text(e.Original)
		h.must(h.s.Advance(h.ctx, "dsn", event.Cursor{Seen: e.ID}))
		h.eventuallyUnowed(e.Original)
		h.forget(all, 0)
		if e2 := h.last(); e2.ID != e.ID {
			h.Errorf("the last event is %v, want %v, which hooks was not told", e2.ID, e.ID)
		}
	}},
}

// eventuallyUnowed waits until a body is gone.
func (h *harness) eventuallyUnowed(ref message.Ref) {
	h.Helper()
	h.eventually("the body is owed to nobody", func() bool {
		b, err := h.s.OpenBody(h.ctx, ref)
		if err == nil {
			b.Close()
		}
		return err != nil
	})
}
