package storetest

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"homing/event"
	"homing/hold"
	"homing/internal/message"
	"homing/store"
)

// settle is a Change as a worker makes it.
func (h *harness) settle(l store.Lease, to store.State, say ...event.Type) store.Change {
	c := h.move(l.Delivery, to, say...)
	c.Lease = l.Token
	return c
}

// mark is a piece of evidence for a hold.
func (h *harness) holdOf(address string) hold.Record {
	return hold.Record{Address: address, Scopes: []hold.Scope{{
		Application: "crm", Epoch: h.now.Add(-time.Hour), Delivered: h.now,
		Holds: []hold.Hold{{Since: h.now, Until: h.now.Add(time.Hour), Domain: "example.org", By: "rule", Reason: "user_unknown", Rule: "hard",
			Marks: []hold.Mark{{Time: h.now, Message: 7, Delivery: 8, Class: "hard", Reason: "user_unknown", CiviCRM: "Invalid", Sync: true,
				Related: true, Code: 550, Status: "5.1.1", Diagnostic: "no such user", RemoteMTA: "mx.example.net", Rule: "status-5.1.1", Matched: "5.1.1"}}}},
		Marks: []hold.Mark{{Time: h.now, Class: "soft"}},
	}}}
}

var errDecide = errors.New("no from Decide")

var applyTests = []named{
	{"recipient, hold and events change together, also after a kill", func(h *harness) {
		m := h.send("Ann@Example.NET")
		id := m.recipients[0].ID
		l := h.lease(m.recipients[0].Key, 1)[0]
		record := h.holdOf("ann@example.net")
		last := event.Outcome{Stage: "rcpt", Class: "hard", Reason: "user_unknown", CiviCRM: "Invalid", Code: 550, Status: "5.1.1",
			Diagnostic: "550 no", RemoteMTA: "mx.example.net[198.51.100.7]", Rule: "r", Matched: "m",
			TLS: event.TLS{Version: "TLS1.3", Cipher: "TLS_AES_128_GCM_SHA256", Verified: event.VerifiedDANE}}
		want := h.recipient(id)
		c := h.settle(l, store.Bounced, event.Bounced)
		move := c.Decide
		c.Decide = func(k *store.Case) error {
			h.same("message of the Case", k.Message, m.message)
			h.same("recipient of the Case", k.Recipient, want)
			h.same("hold of the Case", k.Hold, hold.Record{Address: "ann@example.net"})
			k.Hold = record
			k.Recipient.Attempt, k.Recipient.Last, k.Recipient.MTA, k.Recipient.Seen = 3, last, "mx", []uint64{1, 1 << 63}
			k.Recipient.Deferrals = store.Deferrals{Soft: 1, Sender: 2, None: 3}
			return move(k)
		}
		h.apply(c)
		want.State, want.Ended, want.Attempt, want.Last, want.MTA, want.Seen = store.Bounced, h.now, 3, last, "mx", []uint64{1, 1 << 63}
		want.Deferrals = store.Deferrals{Soft: 1, Sender: 2, None: 3}
		for range 2 {
			h.same("recipient", h.recipient(id), want)
			got, err := h.s.Hold(h.ctx, "ann@example.net")
			h.must(err)
			h.same("hold", got, record)
			h.same("events", types(h.events(0)), []event.Type{event.Accepted, event.Bounced})
			h.restart(true)
		}
	}},
	{"an error of Decide undoes all changes and is returned as it is", func(h *harness) {
		m := h.send("ann@example.net", "bob@example.net")
		bad := store.Change{Delivery: m.recipients[1].ID, Decide: func(c *store.Case) error { return errDecide }}
		good := h.move(m.recipients[0].ID, store.Cancelled, event.Cancelled)
		raw := h.draft(content(1, 200_000))
		defer raw.Discard()
		good.Raw = raw
		h.wants(h.s.Apply(h.ctx, good, bad), errDecide)
		h.state(store.Waiting, m.ids()...)
		h.same("events", types(h.events(0)), []event.Type{event.Accepted})
		h.text(h.recipient(m.recipients[0].ID).Body)
	}},
	{"what is done once is not done again, also after a kill, until that is forgotten", func(h *harness) {
		tell := func() error {
			raw := h.draft(content(2, 1000))
			defer raw.Discard()
			raw.Once("source", "1.7")
			return h.s.Apply(h.ctx, store.Change{Raw: raw, Decide: func(c *store.Case) error {
				c.Events = append(c.Events, event.Event{Type: event.Replied, Raw: c.Raw})
				return nil
			}})
		}
		h.must(tell())
		for range 2 {
			h.wants(tell(), store.ErrOnce)
			h.same("events", types(h.events(0)), []event.Type{event.Replied})
			noted, err := h.s.Notes(h.ctx, "source")
			h.must(err)
			h.same("notes", noted, map[string][]byte{"1.7": {}})
			h.restart(true)
		}
		h.must(h.s.Note(h.ctx, "source", map[string][]byte{"1.7": nil}))
		h.must(tell())
		h.same("events", types(h.events(0)), []event.Type{event.Replied, event.Replied})
	}},
	{"what failed may be done again", func(h *harness) {
		raw := h.draft(content(2, 1000))
		defer raw.Discard()
		raw.Once("source", "1.8")
		h.wants(h.s.Apply(h.ctx, store.Change{Raw: raw, Decide: func(*store.Case) error { return errDecide }}), errDecide)
		noted, err := h.s.Notes(h.ctx, "source")
		h.must(err)
		h.same("notes", noted, map[string][]byte{})
	}},
	{"a change of nobody brings events only", func(h *harness) {
		h.apply(store.Change{Decide: func(c *store.Case) error {
			c.Events = append(c.Events, event.Event{Type: event.Filed, Time: h.now})
			return nil
		}})
		h.same("events", types(h.events(0)), []event.Type{event.Filed})
	}},
	{"notes are taken with the change or not at all, and what they speak of is kept", func(h *harness) {
		raw := h.draft(content(1, 200_000))
		defer raw.Discard()
		var ref message.Ref
		waits := func(fault error) store.Change {
			return store.Change{Raw: raw, Decide: func(c *store.Case) error {
				ref = c.Raw
				c.Notes = append(c.Notes, store.NoteChange{Space: "review", Name: "a", Value: []byte("waits"), Raw: c.Raw})
				return fault
			}}
		}
		h.wants(h.s.Apply(h.ctx, waits(errDecide)), errDecide)
		h.same("notes after an error", h.notes("review"), map[string][]byte{})
		h.apply(waits(nil))
		for range 2 {
			h.same("notes", h.notes("review"), map[string][]byte{"a": []byte("waits")})
			h.same("what they speak of", h.text(ref), string(content(1, 200_000)))
			h.restart(true)
		}
		h.apply(store.Change{Decide: func(c *store.Case) error {
			c.Notes = append(c.Notes, store.NoteChange{Space: "review", Name: "a"})
			c.Events = append(c.Events, event.Event{Type: event.Filed, Time: h.now, Raw: ref})
			return nil
		}})
		h.restart(true)
		h.same("notes in the end", h.notes("review"), map[string][]byte{})
		h.same("events", types(h.events(0)), []event.Type{event.Filed})
		h.same("what the event names", h.text(ref), string(content(1, 200_000)))
		second := h.draft(content(2, 200))
		var other message.Ref
		note := store.NoteChange{Space: "review", Name: "b", Value: []byte("waits")}
		h.apply(store.Change{Raw: second, Decide: func(c *store.Case) error {
			note.Raw, other = c.Raw, c.Raw
			c.Notes = append(c.Notes, note)
			return nil
		}})
		h.apply(store.Change{Decide: func(c *store.Case) error {
			note.Value = nil
			c.Notes = append(c.Notes, note)
			return nil
		}})
		h.unowed(other)
		if err := h.s.Apply(h.ctx, store.Change{Decide: func(c *store.Case) error {
			c.Notes = append(c.Notes, store.NoteChange{Space: "s", Name: "a\x00b", Value: []byte("1")})
			c.Events = append(c.Events, event.Event{Type: event.Filed, Time: h.now})
			return nil
		}}); err == nil || len(h.events(0)) != 1 {
			h.Errorf("a change with a note that cannot be was taken: %v", err)
		}
	}},
	{"a change of an address changes its hold", func(h *harness) {
		record := h.holdOf("ann@example.net")
		h.apply(store.Change{Address: "ann@example.net", Decide: func(c *store.Case) error { c.Hold = record; return nil }})
		h.restart(true)
		got, err := h.s.Hold(h.ctx, "ann@example.net")
		h.must(err)
		h.same("hold", got, record)
		h.apply(store.Change{Address: "ann@example.net", Decide: func(c *store.Case) error {
			h.same("hold of the Case", c.Hold, record)
			c.Hold.Scopes = nil
			return nil
		}})
		got, err = h.s.Hold(h.ctx, "ann@example.net")
		h.must(err)
		h.same("hold", got, hold.Record{})
	}},
	{"a hold moves from one address to another in one transaction", func(h *harness) {
		record := h.holdOf("ann@example.net")
		put := func(address string, decide func(*store.Case) error) store.Change {
			return store.Change{Address: address, Decide: decide}
		}
		h.apply(put("ann@example.net", func(c *store.Case) error { c.Hold = record; return nil }))
		var moved hold.Record
		take := put("ann@example.net", func(c *store.Case) error { moved, c.Hold.Scopes = c.Hold, nil; return nil })
		h.wants(h.s.Apply(h.ctx, take, put("hash@erased.invalid", func(*store.Case) error { return errDecide })), errDecide)
		h.apply(take, put("hash@erased.invalid", func(c *store.Case) error { c.Hold.Scopes = moved.Scopes; return nil }))
		for range 2 {
			left, err := h.s.Hold(h.ctx, "ann@example.net")
			h.must(err)
			h.same("left", left, hold.Record{})
			got, err := h.s.Hold(h.ctx, "hash@erased.invalid")
			h.must(err)
			h.same("moved", got, hold.Record{Address: "hash@erased.invalid", Scopes: record.Scopes})
			h.restart(true)
		}
	}},
	{"a delivery that is not there is not found", func(h *harness) {
		h.wants(h.s.Apply(h.ctx, h.move(h.s.Deliveries(1), store.Cancelled)), store.ErrNotFound)
		_, _, err := h.s.Recipient(h.ctx, h.s.Deliveries(1))
		h.wants(err, store.ErrNotFound)
	}},
	{"no move that no recipient makes", func(h *harness) {
		m := h.send("ann@example.net")
		id := m.recipients[0].ID
		h.apply(h.move(id, store.Cancelled))
		h.wants(h.s.Apply(h.ctx, h.move(id, store.Delivered)), store.ErrMove)
		h.wants(h.s.Apply(h.ctx, store.Change{Delivery: id, Decide: func(c *store.Case) error {
			c.Recipient.State = store.Waiting // around Move
			return nil
		}}), store.ErrMove)
		h.state(store.Cancelled, id)
	}},
	{"delivered may become bounced, once", func(h *harness) {
		id := h.send("ann@example.net").recipients[0].ID
		h.apply(h.move(id, store.Delivered))
		h.apply(h.move(id, store.Bounced))
		h.wants(h.s.Apply(h.ctx, h.move(id, store.Bounced)), store.ErrMove)
		h.state(store.Bounced, id)
	}},
	{"a lease ends with its change", func(h *harness) {
		m := h.send("ann@example.net")
		l := h.lease(netKey, 1)[0]
		retry := store.Change{Delivery: l.Delivery, Lease: l.Token, Decide: func(c *store.Case) error {
			c.Recipient.Attempt++
			c.Recipient.Due = h.now.Add(5 * time.Minute)
			return nil
		}}
		h.apply(retry)
		h.wants(h.s.Apply(h.ctx, retry), store.ErrLeaseLost)
		if got := h.lease(netKey, 1); len(got) != 0 {
			h.Error("due before its time")
		}
		h.now = h.now.Add(5 * time.Minute)
		if got := h.lease(netKey, 1); len(got) != 1 || got[0].Recipient.Attempt != 1 {
			h.Errorf("leased %+v, want %v after one attempt", got, m.recipients[0].ID)
		}
	}},
	{"one lease serves several changes of one Apply, and nothing after it", func(h *harness) {
		h.send("ann@example.net")
		l := h.lease(netKey, 1)[0]
		note := store.Change{Delivery: l.Delivery, Lease: l.Token, Decide: func(c *store.Case) error { c.Recipient.Attempt++; return nil }}
		h.apply(note, h.settle(l, store.Delivered))
		if got := h.recipient(l.Delivery); got.Attempt != 1 || got.State != store.Delivered {
			h.Errorf("got %+v", got)
		}
		h.wants(h.s.Apply(h.ctx, note), store.ErrLeaseLost)
	}},
	{"of many who settle one lease at the same time one succeeds", func(h *harness) {
		h.send("ann@example.net")
		l := h.lease(netKey, 1)[0]
		var wg sync.WaitGroup
		var mu sync.Mutex
		won := 0
		for range 8 {
			wg.Go(func() {
				err := h.s.Apply(h.ctx, store.Change{Delivery: l.Delivery, Lease: l.Token, Decide: func(c *store.Case) error {
					c.Events = append(c.Events, event.Event{Type: event.Deferred})
					return nil
				}})
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won++
				} else if !errors.Is(err, store.ErrLeaseLost) {
					h.Error(err)
				}
			})
		}
		wg.Wait()
		if won != 1 {
			h.Errorf("%d succeeded, want 1", won)
		}
		h.same("events", types(h.events(0)), []event.Type{event.Accepted, event.Deferred})
	}},
	{"a change without a lease that moves a leased recipient takes the lease away", func(h *harness) {
		h.send("ann@example.net", "bob@example.net")
		l := h.lease(netKey, 2)
		h.apply(h.move(l[0].Delivery, store.Cancelled), h.move(l[1].Delivery, store.Paused))
		for _, l := range l {
			h.wants(h.s.Apply(h.ctx, h.settle(l, store.Delivered)), store.ErrLeaseLost)
		}
		h.state(store.Cancelled, l[0].Delivery)
		h.state(store.Paused, l[1].Delivery)
	}},
	{"a change without a lease that leaves a recipient waiting leaves its lease", func(h *harness) {
		h.send("ann@example.net")
		l := h.lease(netKey, 1)[0]
		h.apply(store.Change{Delivery: l.Delivery, Decide: func(c *store.Case) error {
			c.Recipient.Seen = append(c.Recipient.Seen, 42)
			c.Recipient.Due = h.now.Add(-time.Hour)
			return nil
		}})
		if got := h.lease(netKey, 1); len(got) != 0 {
			h.Fatal("leased twice")
		}
		h.must(h.s.Extend(h.ctx, time.Time{}, l.Token))
		got := h.lease(netKey, 1)
		if len(got) != 1 || !got[0].Recipient.Due.Equal(h.now.Add(-time.Hour)) {
			h.Fatalf("leased %+v", got)
		}
		h.apply(h.settle(got[0], store.Delivered))
		h.same("digests", h.recipient(l.Delivery).Seen, []uint64{42})
	}},
	{"an idle change passes over what is leased", func(h *harness) {
		m := h.send("ann@example.net", "bob@example.net")
		l := h.lease(netKey, 1)[0]
		h.same("leased", l.Delivery, m.recipients[0].ID)
		seen := 0
		pause := func(id event.DeliveryID) store.Change {
			return store.Change{Delivery: id, Idle: true, Decide: func(c *store.Case) error {
				seen++
				return c.Recipient.Move(store.Paused, h.now)
			}}
		}
		h.apply(pause(m.recipients[0].ID), pause(m.recipients[1].ID))
		h.same("seen by Decide", seen, 1)
		h.state(store.Paused, m.recipients[1].ID)
		h.apply(h.settle(l, store.Delivered))
		h.state(store.Delivered, l.Delivery)
		if got := h.lease(netKey, 1); len(got) != 0 {
			h.Errorf("paused mail was leased: %v", got)
		}
	}},
	{"an idle change that fails leaves its recipient to be leased", func(h *harness) {
		id := h.send("ann@example.net").recipients[0].ID
		h.wants(h.s.Apply(h.ctx, store.Change{Delivery: id, Idle: true, Decide: func(*store.Case) error { return errDecide }}), errDecide)
		l := h.lease(netKey, 1)
		if len(l) != 1 {
			h.Fatalf("leased %v, want it", l)
		}
		h.apply(h.settle(l[0], store.Delivered))
	}},
	{"of a lease and an idle change at once, one wins", func(h *harness) {
		for i := range 30 {
			id := h.send(fmt.Sprintf("u%d@example.net", i)).recipients[0].ID
			paused := false
			var leased []store.Lease
			var wg sync.WaitGroup
			wg.Go(func() {
				if err := h.s.Apply(h.ctx, store.Change{Delivery: id, Idle: true, Decide: func(c *store.Case) error {
					paused = true
					return c.Recipient.Move(store.Paused, h.now)
				}}); err != nil {
					h.Error(err)
				}
			})
			wg.Go(func() { leased = h.lease(netKey, 1) })
			wg.Wait()
			if paused == (len(leased) == 1) {
				h.Fatalf("paused %v and leased %d", paused, len(leased))
			}
			for _, l := range leased {
				h.apply(h.settle(l, store.Delivered))
			}
		}
	}},
	{"whoever came during an idle change that did nothing hears of the work again", func(h *harness) {
		id := h.send("ann@example.net").recipients[0].ID
		_, mark := h.due(0)
		var missed []store.Lease
		h.apply(store.Change{Delivery: id, Idle: true, Decide: func(*store.Case) error {
			missed = h.lease(netKey, 1)
			return nil
		}})
		if len(missed) > 0 {
			h.Fatal("leased while it was being changed")
		}
		if work, _ := h.due(mark); work[netKey].Waiting != 1 {
			h.Errorf("news %v", work)
		}
		if got := h.lease(netKey, 1); len(got) != 1 {
			h.Error("not leased afterwards")
		}
	}},
	{"what waits again is due again", func(h *harness) {
		m := h.send("ann@example.net")
		id := m.recipients[0].ID
		h.apply(h.move(id, store.Paused))
		work, mark := h.due(0)
		if len(work) != 0 {
			h.Errorf("paused mail is due: %v", work)
		}
		h.restart(true)
		if got := h.lease(netKey, 1); len(got) != 0 {
			h.Fatal("paused mail was leased")
		}
		h.apply(h.move(id, store.Waiting))
		got, _ := h.due(mark)
		if got[netKey].Waiting != 1 {
			h.Errorf("work is %v", got)
		}
		if got := h.lease(netKey, 1); len(got) != 1 {
			h.Error("not leased")
		}
	}},
	{"a recipient may move to another Key", func(h *harness) {
		id := h.send("ann@example.net").recipients[0].ID
		h.apply(store.Change{Delivery: id, Decide: func(c *store.Case) error { c.Recipient.Key = comKey; return nil }})
		for range 2 {
			if got := h.lease(netKey, 1); len(got) != 0 {
				h.Error("leased under its old Key")
			}
			if got := h.lease(comKey, 1); len(got) != 1 {
				h.Error("not leased under its new Key")
			}
			h.restart(true)
		}
	}},
	{"a Decide sees what changes before it in the same Apply made", func(h *harness) {
		id := h.send("ann@example.net").recipients[0].ID
		add := store.Change{Delivery: id, Decide: func(c *store.Case) error { c.Recipient.Attempt++; return nil }}
		h.apply(add, add, add)
		if got := h.recipient(id).Attempt; got != 3 {
			h.Errorf("got %d, want 3", got)
		}
	}},
	{"no change is lost when many change one recipient", func(h *harness) {
		id := h.send("ann@example.net").recipients[0].ID
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 10 {
					if err := h.s.Apply(h.ctx, store.Change{Delivery: id, Decide: func(c *store.Case) error { c.Recipient.Attempt++; return nil }}); err != nil {
						h.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if got := h.recipient(id).Attempt; got != 80 {
			h.Errorf("got %d, want 80", got)
		}
	}},
	{"a recipient cannot be made another one", func(h *harness) {
		id := h.send("ann@example.net").recipients[0].ID
		for name, spoil := range map[string]func(*store.Case){
			"address": func(c *store.Case) { c.Recipient.Address = "eve@example.net" },
			"number":  func(c *store.Case) { c.Recipient.ID++ },
			"body":    func(c *store.Case) { c.Recipient.Body = message.Ref{} },
		} {
			err := h.s.Apply(h.ctx, store.Change{Delivery: id, Decide: func(c *store.Case) error { spoil(c); return nil }})
			if err == nil {
				h.Errorf("%s was changed", name)
			}
		}
	}},
	{"a thousand changes fit, more are refused", func(h *harness) {
		addresses := make([]string, 1000)
		for i := range addresses {
			addresses[i] = fmt.Sprintf("u%d@example.net", i)
		}
		m := h.send(addresses...)
		var changes []store.Change
		for _, id := range m.ids() {
			changes = append(changes, h.move(id, store.Cancelled, event.Cancelled))
		}
		if err := h.s.Apply(h.ctx, append(changes, changes[0])...); err == nil {
			h.Error("1001 changes were made")
		}
		h.state(store.Waiting, m.recipients[0].ID)
		h.apply(changes...)
		h.state(store.Cancelled, m.ids()...)
	}},
}
