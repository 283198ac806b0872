package storetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"homing/event"
	"homing/hold"
	"homing/internal/parsedmail"
	"homing/store"
)

// addresses finds rows, page by page, and gives their addresses in order.
func (h *harness) addresses(q store.Query) []string {
	h.Helper()
	var list []string
	for {
		p, err := h.s.Find(h.ctx, q)
		h.must(err)
		if q.Max > 0 && len(p.Rows) > q.Max {
			h.Errorf("a page of %d rows, want at most %d", len(p.Rows), q.Max)
		}
		for _, r := range p.Rows {
			if r.Message.ID != r.Recipient.Message {
				h.Errorf("row %v has message %v", r.Recipient.ID, r.Message.ID)
			}
			list = append(list, r.Recipient.Address)
		}
		if p.Next == "" {
			return list
		}
		q.After = p.Next
	}
}

var findTests = []named{
	{"counts follow recipients to their outcomes, also after a restart", func(h *harness) {
		counts := func(waiting, paused, captured int) {
			h.Helper()
			got, err := h.s.Counts(h.ctx)
			h.must(err)
			h.same("counts", got, map[store.State]int{store.Waiting: waiting, store.Paused: paused, store.Captured: captured})
		}
		counts(0, 0, 0)
		m := h.send("ann@example.net", "bob@example.net", "eve@example.com")
		h.enqueue(10, func(s *store.Submission) {
			s.Recipients[0].State, s.Recipients[1].State = store.Captured, store.Suppressed
		}, "sam@example.net", "zoe@example.net")
		counts(3, 0, 1)
		h.apply(h.move(m.recipients[0].ID, store.Paused), h.move(m.recipients[1].ID, store.Delivered))
		h.lease(comKey, 1)
		counts(1, 1, 1)
		for _, kill := range []bool{true, false} {
			h.restart(kill)
			counts(1, 1, 1)
		}
		h.apply(h.move(m.recipients[0].ID, store.Cancelled))
		h.apply(h.move(m.recipients[1].ID, store.Bounced))
		_, err := h.s.Forget(h.ctx, store.What{Address: "sam@example.net"}, 10)
		h.must(err)
		counts(1, 0, 0)
	}},
	{"a Key restricts to what waits under it", func(h *harness) {
		m := h.send("ann@example.net", "bob@example.com", "eve@example.net")
		h.apply(h.move(m.recipients[2].ID, store.Delivered))
		net := func(k store.Key) bool { return k == netKey }
		for range 2 {
			h.same("waiting", h.addresses(store.Query{Key: net, States: []store.State{store.Waiting}}), []string{"ann@example.net"})
			h.same("all", h.addresses(store.Query{Key: net, Max: 1}), []string{"ann@example.net", "eve@example.net"})
			h.restart(true)
		}
	}},
	{"a return path of the application's own finds its delivery, and none where it serves several", func(h *harness) {
		own := func(sender string) func(*store.Submission) {
			return func(s *store.Submission) {
				s.Message.Sender = sender
				for i := range s.Recipients {
					s.Recipients[i].ReturnPath = sender
				}
			}
		}
		h.enqueue(10, own("civi+b.1.2.x@bounce.example.org"), "ann@example.net")
		h.enqueue(10, own("news@bounce.example.org"), "bob@example.net")
		h.enqueue(10, own("news@bounce.example.org"), "eve@example.net")
		h.enqueue(10, func(s *store.Submission) {
			s.Message.Sender, s.Recipients[0].ReturnPath = "civi+b.1.3.x@bounce.example.org", "return+tag@bounce.example.org"
		}, "sam@example.net")
		for range 2 {
			for path, want := range map[string]string{
				"civi+b.1.2.x@bounce.example.org": "ann@example.net", "CIVI+B.1.2.X@BOUNCE.example.org": "ann@example.net",
				"news@bounce.example.org": "", "civi+b.1.3.x@bounce.example.org": "", "return+tag@bounce.example.org": "", "nobody@bounce.example.org": "",
			} {
				if got := strings.Join(h.addresses(store.Query{ReturnPath: path}), " "); got != want {
					h.Errorf("%s finds %q, want %q", path, got, want)
				}
			}
			h.restart(true)
		}
	}},
	{"a return path that served several is forgotten with the last of them", func(h *harness) {
		const path = "news-bounces+ann=example.net@lists.example.org"
		own := func(s *store.Submission) { s.Message.Sender, s.Recipients[0].ReturnPath = path, path }
		finds := func(want string) {
			if got := strings.Join(h.addresses(store.Query{ReturnPath: path}), " "); got != want {
				h.Errorf("%s finds %q, want %q", path, got, want)
			}
		}
		forget := func(address string) {
			_, err := h.s.Forget(h.ctx, store.What{Address: address}, 1000)
			h.must(err)
		}
		h.enqueue(10, own, "ann@example.net")
		h.enqueue(10, own, "ann@example.net")
		h.enqueue(10, own, "eve@example.net")
		forget("eve@example.net")
		h.enqueue(10, own, "bob@example.net")
		for range 2 {
			finds("")
			h.restart(true)
		}
		forget("bob@example.net")
		forget("ann@example.net")
		finds("")
		h.enqueue(10, own, "ann@example.net")
		finds("ann@example.net") // nothing is left that said otherwise
		h.sound()
	}},
	{"every filter restricts, alone and together", func(h *harness) {
		ann := h.send("Ann@example.net", "bob@EXAMPLE.com")
		h.enqueue(10, func(s *store.Submission) {
			s.Message.Application, s.Message.Sender, s.Message.Campaign = "shop", "shop@example.org", "sale"
			s.Message.Accepted = h.now.Add(-time.Hour)
		}, "eve@example.net")
		h.apply(h.move(ann.recipients[1].ID, store.Delivered))
		for range 2 {
			for name, tt := range map[string]struct {
				q    store.Query
				want string
			}{
				"nothing":               {store.Query{}, "Ann@example.net bob@EXAMPLE.com eve@example.net"},
				"message":               {store.Query{Message: ann.id}, "Ann@example.net bob@EXAMPLE.com"},
				"unknown message":       {store.Query{Message: ann.id - 1}, ""},
				"address":               {store.Query{Address: "ann@example.net"}, "Ann@example.net"},
				"part of an address":    {store.Query{Address: "nn@example.net"}, ""},
				"open states":           {store.Query{States: []store.State{store.Waiting, store.Paused}}, "Ann@example.net eve@example.net"},
				"another open state":    {store.Query{States: []store.State{store.Captured}}, ""},
				"ended states":          {store.Query{States: []store.State{store.Delivered}}, "bob@EXAMPLE.com"},
				"mixed states":          {store.Query{States: []store.State{store.Delivered, store.Waiting}}, "Ann@example.net bob@EXAMPLE.com eve@example.net"},
				"domain":                {store.Query{Domain: "Example.com"}, "bob@EXAMPLE.com"},
				"sender":                {store.Query{Sender: "shop@example.org"}, "eve@example.net"},
				"application":           {store.Query{Application: "crm"}, "Ann@example.net bob@EXAMPLE.com"},
				"campaign":              {store.Query{Campaign: "sale"}, "eve@example.net"},
				"before":                {store.Query{Before: h.now}, "eve@example.net"},
				"before all":            {store.Query{Before: h.now.Add(-time.Hour)}, ""},
				"message and state":     {store.Query{Message: ann.id, States: []store.State{store.Delivered}}, "bob@EXAMPLE.com"},
				"address and campaign":  {store.Query{Address: "eve@example.net", Campaign: "spring"}, ""},
				"domain, waiting":       {store.Query{Domain: "example.net", States: []store.State{store.Waiting}}, "Ann@example.net eve@example.net"},
				"domain, waiting, shop": {store.Query{Domain: "example.net", States: []store.State{store.Waiting}, Application: "shop"}, "eve@example.net"},
			} {
				if got := strings.Join(h.addresses(tt.q), " "); got != tt.want {
					h.Errorf("%s: got %q, want %q", name, got, tt.want)
				}
			}
			h.restart(false)
		}
	}},
	{"pages hold all rows once, oldest first, for every way of asking", func(h *harness) {
		var want []string
		var all *mail
		for i := range 3 {
			var a []string
			for j := range 9 {
				a = append(a, fmt.Sprintf("u%d.%d@example.net", i, j))
			}
			all = h.send(a...)
			want = append(want, a...)
			if i == 1 {
				h.restart(false) // some of it in the index, some not
			}
		}
		for _, size := range []int{1, 4, 9, 27, 0} {
			h.same("all", h.addresses(store.Query{Max: size}), want)
			h.same("waiting", h.addresses(store.Query{Max: size, States: []store.State{store.Waiting}}), want)
			h.same("one message", h.addresses(store.Query{Max: size, Message: all.id}), want[18:])
		}
		for range 3 {
			h.send("ann@example.net")
		}
		h.same("one person", h.addresses(store.Query{Max: 2, Address: "ann@example.net"}), slices.Repeat([]string{"ann@example.net"}, 3))
	}},
	{"all that is known of a person is deliveries and the hold", func(h *harness) {
		m := h.send("Ann@example.net")
		record := h.holdOf("ann@example.net")
		h.apply(store.Change{Address: "ann@example.net", Decide: func(c *store.Case) error { c.Hold = record; return nil }},
			h.move(m.recipients[0].ID, store.Suppressed))
		p, err := h.s.Find(h.ctx, store.Query{Address: "ANN@example.net"})
		h.must(err)
		if len(p.Rows) != 1 || p.Rows[0].Recipient.State != store.Suppressed {
			h.Errorf("got rows %+v", p.Rows)
		}
		h.same("holds", p.Holds, []hold.Record{record})
	}},
	{"holds are listed by address, in pages, with filters", func(h *harness) {
		var want []hold.Record
		for _, a := range []string{"a@example.com", "b@example.net", "c@example.net"} {
			r := h.holdOf(a)
			if a[0] == 'c' {
				r.Scopes[0].Application = "shop"
			}
			want = append(want, r)
			h.apply(store.Change{Address: a, Decide: func(c *store.Case) error { c.Hold = r; return nil }})
			h.restart(true)
		}
		list := func(q store.Query) (all []hold.Record) {
			for q.Holds = true; ; {
				p, err := h.s.Find(h.ctx, q)
				h.must(err)
				all = append(all, p.Holds...)
				if q.After = p.Next; q.After == "" {
					return all
				}
			}
		}
		h.same("all", list(store.Query{}), want)
		h.same("in pages", list(store.Query{Max: 1}), want)
		h.same("by domain", list(store.Query{Domain: "example.net"}), want[1:])
		h.same("by application", list(store.Query{Application: "shop"}), want[2:])
		h.same("by address", list(store.Query{Address: "B@example.net"}), want[1:2])
	}},
	{"a page mark that is none of ours is an error", func(h *harness) {
		if _, err := h.s.Find(h.ctx, store.Query{After: "no mark"}); err == nil {
			h.Error("no error")
		}
	}},
	{"lookups see what was acknowledged while others write", func(h *harness) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range 200 {
				m := h.send(fmt.Sprintf("u%d@example.net", i))
				if i%2 == 0 {
					h.apply(h.move(m.recipients[0].ID, store.Delivered))
				}
			}
		}()
		known := 0
		for ended := false; !ended; {
			select {
			case <-done:
				ended = true
			default:
			}
			if n := len(h.addresses(store.Query{})); n < known {
				h.Fatalf("found %d, then %d", known, n)
			} else {
				known = n
			}
		}
		if n := len(h.addresses(store.Query{States: []store.State{store.Delivered}})); known != 200 || n != 100 {
			h.Errorf("found %d, of which %d delivered, want 200 and 100", known, n)
		}
	}},
}

// forget forgets in steps of two rows; of want rows, -1: any number.
func (h *harness) forget(w store.What, want int) {
	h.Helper()
	total := 0
	for {
		n, err := h.s.Forget(h.ctx, w, 2)
		h.must(err)
		if n > 2 {
			h.Errorf("forgot %d rows at once, want at most 2", n)
		}
		if total += n; n == 0 {
			break
		}
	}
	if want >= 0 && total != want {
		h.Errorf("forgot %d rows, want %d", total, want)
	}
}

// eventually waits for what an engine does by itself within moments. It asks
// in turns with a commit, so that time passes by doing something.
func (h *harness) eventually(what string, is func() bool) {
	h.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		if is() {
			return
		}
		h.apply(say(event.Event{Type: event.CheckRecovered, Text: markPrefix}))
	}
	h.Errorf("it did not come about: %s", what)
}

var forgetTests = []named{
	{"exactly one field of What", func(h *harness) {
		for _, w := range []store.What{{}, {EventsBefore: h.now, IndexBefore: h.now}, {Sinks: []string{"crm"}}} {
			if _, err := h.s.Forget(h.ctx, w, 10); err == nil {
				h.Errorf("%+v was taken", w)
			}
		}
	}},
	{"events go when they are old and every sink has passed them", func(h *harness) {
		for range 5 {
			h.apply(say(event.Event{Type: event.Filed}))
		}
		list := h.events(0)
		h.must(h.s.Advance(h.ctx, "crm", event.Cursor{Seen: list[4].ID}))
		h.must(h.s.Advance(h.ctx, "hooks", event.Cursor{Seen: list[2].ID, Parked: []event.Parked{
			{Event: list[1].ID}}})) // waits behind another
		all := store.What{EventsBefore: time.Now().Add(time.Hour), Sinks: []string{"crm", "hooks"}}
		h.forget(store.What{EventsBefore: list[0].ID.Time().Add(-time.Hour), Sinks: []string{"crm"}}, 0)
		h.forget(all, 2)
		h.restart(false)
		left := h.events(0)
		if len(left) != 3 || left[0].ID != list[1].ID || left[1].ID != list[3].ID {
			h.Errorf("left are %v of %v", left, list)
		}
		all.Sinks = append(all.Sinks, "new")
		h.forget(all, 0)
		all.Sinks = []string{"crm"}
		h.forget(all, 3)
	}},
	{"the index forgets what ended, message and key with the last delivery", func(h *harness) {
		change := func(s *store.Submission) { s.Key = "job-1" }
		m := h.enqueue(100, change, "a@example.net", "b@example.net", "c@example.net")
		h.apply(h.move(m.recipients[0].ID, store.Delivered), h.move(m.recipients[1].ID, store.Bounced))
		h.forget(store.What{IndexBefore: h.now}, 0)
		old := store.What{IndexBefore: time.Now().Add(time.Hour)}
		h.forget(old, 2)
		h.restart(true)
		_, _, err := h.s.Recipient(h.ctx, m.recipients[0].ID)
		h.wants(err, store.ErrNotFound)
		h.same("history", h.addresses(store.Query{Address: "a@example.net"}), []string(nil))
		h.same("the rest", h.addresses(store.Query{Message: m.id}), []string{"c@example.net"})
		h.text(h.recipient(m.recipients[2].ID).Body)
		h.apply(h.move(m.recipients[2].ID, store.Cancelled))
		if again := h.enqueue(100, change, "a@example.net"); again.id != m.id {
			h.Error("the key was forgotten before its message")
		}
		h.forget(old, 1)
		if again := h.enqueue(100, change, "a@example.net"); again.id == m.id {
			h.Error("the key was not forgotten")
		}
	}},
	{"captured mail goes by age, whatever it waits for", func(h *harness) {
		capture := func(s *store.Submission) { s.Recipients[0].State = store.Captured }
		old := h.enqueue(100, capture, "old@example.net")
		ref := h.recipient(old.recipients[0].ID).Body
		h.send("waiting@example.net")
		h.now = h.now.Add(time.Hour)
		h.enqueue(100, capture, "young@example.net")
		h.forget(store.What{CapturedBefore: h.now}, 1)
		h.unowed(ref)
		h.same("left", h.addresses(store.Query{}), []string{"waiting@example.net", "young@example.net"})
	}},
	{"an address is forgotten whole, but for its hold, and nobody else", func(h *harness) {
		record := h.holdOf("ann@example.net")
		h.apply(store.Change{Address: "ann@example.net", Decide: func(c *store.Case) error { c.Hold = record; return nil }})
		m := h.send("ann@example.net", "Ann@example.net", "ann@example.net", "bob@example.net")
		alone := h.send("ann@example.net")
		lease := h.lease(netKey, 1)[0]
		h.apply(h.move(m.recipients[1].ID, store.Delivered, event.Delivered), h.move(m.recipients[3].ID, store.Delivered, event.Delivered))
		raw := h.draft(content(1, 200))
		h.apply(h.keep(m.recipients[2].ID, raw))
		ref := h.last().Raw
		reply := h.draft(content(2, 200))
		h.apply(store.Change{Raw: reply, Decide: func(c *store.Case) error {
			c.Events = append(c.Events, event.Event{Type: event.Filed, Recipient: "office@example.org", From: "bob@example.net"},
				event.Event{Type: event.Filed, Recipient: "office@example.org", From: "Ann@example.net", Raw: c.Raw})
			return nil
		}})
		filed := h.last().Raw
		h.same("kept of it", filed.Size, int64(200))
		h.forget(store.What{Address: "ANN@example.net"}, -1)
		for range 2 {
			h.same("left", h.addresses(store.Query{}), []string{"bob@example.net"})
			h.same("history", h.addresses(store.Query{Address: "ann@example.net"}), []string(nil))
			for _, e := range h.events(0) {
				if store.About(e, "ann@example.net") {
					h.Errorf("left is %+v", e)
				}
			}
			h.unowed(ref)
			h.unowed(filed)
			_, _, err := h.s.Recipient(h.ctx, alone.recipients[0].ID)
			h.wants(err, store.ErrNotFound)
			got, err := h.s.Hold(h.ctx, "ann@example.net")
			h.must(err)
			h.same("hold", got, record)
			h.restart(true)
		}
		h.wants(h.s.Apply(h.ctx, h.settle(lease, store.Delivered)), store.ErrLeaseLost)
		h.send("ann@example.com") // Due waits where there is nothing
		if work, _ := h.due(0); len(work) != 1 {
			h.Errorf("work is left: %v", work)
		}
	}},
	{"mail that was filed is forgotten with any of its people", func(h *harness) {
		for i, who := range []parsedmail.Mail{
			{From: []parsedmail.Mailbox{{Address: "Ann@Example.net"}}}, {To: []parsedmail.Mailbox{{Address: "bob@example.net"}, {Address: "ann@example.net"}}},
			{CC: []parsedmail.Mailbox{{Address: "bob@example.net"}}},
		} {
			h.apply(store.Change{Decide: func(c *store.Case) error {
				c.Events = append(c.Events, event.Event{Type: event.Filed, Time: h.now, Recipient: "crm@example.org", Attempt: i, Mail: &event.Mail{Mail: who}})
				return nil
			}})
		}
		h.forget(store.What{Address: "ann@example.net"}, 2)
		if left := h.events(0); len(left) != 1 || left[0].Attempt != 2 {
			h.Errorf("left are %+v", left)
		}
	}},
	{"forgetting many in one call", func(h *harness) {
		for range 3 {
			h.send(slices.Repeat([]string{"ann@example.net"}, 800)...)
		}
		n, err := h.s.Forget(h.ctx, store.What{Address: "ann@example.net"}, 10_000)
		h.must(err)
		if n != 2400+3 {
			h.Errorf("forgot %d rows, want 2400 deliveries and 3 events", n)
		}
	}},
}
