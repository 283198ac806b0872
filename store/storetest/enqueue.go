package storetest

import (
	"errors"
	"sync"
	"time"

	"homing/event"
	"homing/internal/message"
	"homing/store"
)

var enqueueTests = []named{
	{"what was enqueued is there, field by field, also after a kill", func(h *harness) {
		m := h.send("ann@example.net", "bob@example.com")
		for range 2 {
			for i, want := range m.recipients {
				got, r, err := h.s.Recipient(h.ctx, want.ID)
				h.must(err)
				want.Body = r.Body // given by the engine
				h.same("message", got, m.message)
				h.same("recipient", r, want)
				if text := h.text(r.Body); text != string(m.heads[i])+string(m.content) {
					h.Errorf("recipient %d: body is %.60q…", i, text)
				}
			}
			h.restart(true)
		}
	}},
	{"a key seen before gives the first message and changes nothing", func(h *harness) {
		change := func(s *store.Submission) { s.Key = "job-1" }
		first := h.enqueue(100, change, "ann@example.net")
		for _, kill := range []bool{false, true} {
			if again := h.enqueue(100, change, "ann@example.net"); again.id != first.id {
				h.Errorf("got message %v, want %v", again.id, first.id)
			} else if _, _, err := h.s.Recipient(h.ctx, again.recipients[0].ID); err == nil {
				h.Error("the recipient of the second submission is there")
			}
			h.restart(kill)
		}
		if got := h.events(0); len(got) != 1 {
			h.Errorf("got %d events, want 1", len(got))
		}
		if other := h.send("ann@example.net"); other.id == first.id {
			h.Error("a submission without a key gave the message of another")
		}
	}},
	{"the same key at the same time makes one message", func(h *harness) {
		var wg sync.WaitGroup
		ids := make([]event.MessageID, 8)
		for i := range ids {
			wg.Go(func() {
				sub := h.compose(func(s *store.Submission) { s.Key = "job-1" }, "ann@example.net")
				sub.Body = h.draft(content(i, 100))
				defer sub.Body.Discard()
				var err error
				if ids[i], err = h.s.Enqueue(h.ctx, sub); err != nil {
					h.Error(err)
				}
			})
		}
		wg.Wait()
		for _, id := range ids {
			if id != ids[0] {
				h.Errorf("got messages %v", ids)
			}
		}
	}},
	{"a receipt is kept with its key, also after a kill, as long as the message is known", func(h *harness) {
		none := func(key string) {
			if id, receipt, err := h.s.Receipt(h.ctx, key); !errors.Is(err, store.ErrNotFound) {
				h.Errorf("Receipt(%q) = %v, %q, %v, want ErrNotFound", key, id, receipt, err)
			}
		}
		none("job-1")
		first := h.enqueue(100, func(s *store.Submission) { s.Key, s.Receipt = "job-1", []byte("first") }, "ann@example.net")
		h.enqueue(100, func(s *store.Submission) { s.Key, s.Receipt = "job-1", []byte("second") }, "ann@example.net")
		h.enqueue(100, func(s *store.Submission) { s.Key = "job-2" }, "bob@example.net")
		for _, kill := range []bool{false, true} {
			if id, receipt, err := h.s.Receipt(h.ctx, "job-1"); err != nil || id != first.id || string(receipt) != "first" {
				h.Errorf("Receipt = %v, %q, %v, want %v and the first one", id, receipt, err, first.id)
			}
			if _, receipt, err := h.s.Receipt(h.ctx, "job-2"); err != nil || len(receipt) != 0 {
				h.Errorf("Receipt = %q, %v, want an empty one", receipt, err)
			}
			none("job")
			h.restart(kill)
		}
		_, err := h.s.Forget(h.ctx, store.What{Address: "ann@example.net"}, 1000)
		h.must(err)
		none("job-1")
	}},
	{"events carry the message that Enqueue gave", func(h *harness) {
		m := h.send("ann@example.net")
		got := h.events(0)
		if len(got) != 1 || got[0].Message != m.id || got[0].ID == 0 {
			h.Errorf("got %+v, want one event of message %v", got, m.id)
		}
	}},
	{"numbers of deliveries are in a row and never given twice, also after a kill", func(h *harness) {
		seen := map[event.DeliveryID]bool{}
		for range 3 {
			first := h.s.Deliveries(3)
			for id := first; id < first+3; id++ {
				if seen[id] {
					h.Errorf("%v was given twice", id)
				}
				seen[id] = true
			}
			h.send("ann@example.net")
			h.restart(true)
		}
	}},
	{"a recipient may begin paused, captured or ended", func(h *harness) {
		for _, state := range []store.State{store.Paused, store.Captured, store.Suppressed} {
			m := h.enqueue(100, func(s *store.Submission) { s.Recipients[0].State = state }, "ann@example.net")
			h.restart(true)
			h.state(state, m.ids()...)
			if got := h.lease(m.recipients[0].Key, 10); len(got) != 0 {
				h.Errorf("%v: leased %d", state, len(got))
			}
		}
	}},
	{"nonsense is refused and changes nothing", func(h *harness) {
		for name, spoil := range map[string]func(*store.Submission){
			"no recipients":                    func(s *store.Submission) { s.Recipients = nil },
			"no header blocks":                 func(s *store.Submission) { s.Heads = nil },
			"a header block that is not there": func(s *store.Submission) { s.Recipients[0].Head = 1 },
			"no number":                        func(s *store.Submission) { s.Recipients[0].ID = 0 },
			"no state":                         func(s *store.Submission) { s.Recipients[0].State = 0 },
		} {
			sub := h.compose(spoil, "ann@example.net")
			sub.Body = h.draft(content(1, 100))
			if id, err := h.s.Enqueue(h.ctx, sub); err == nil {
				h.Errorf("%s: got message %v, want an error", name, id)
			}
			sub.Body.Discard()
		}
		m := h.send("ann@example.net")
		sub := h.compose(func(s *store.Submission) { s.Recipients[0].ID = m.recipients[0].ID }, "eve@example.net")
		sub.Body = h.draft(content(1, 100))
		defer sub.Body.Discard()
		if _, err := h.s.Enqueue(h.ctx, sub); err == nil {
			h.Error("a number was used twice")
		}
		if got := h.recipient(m.recipients[0].ID).Address; got != "ann@example.net" {
			h.Errorf("the recipient is %s now", got)
		}
		if got := h.events(0); len(got) != 1 {
			h.Errorf("got %d events, want 1", len(got))
		}
	}},
	{"a thousand recipients fit, more are refused", func(h *harness) {
		addresses := make([]string, 1001)
		for i := range addresses {
			addresses[i] = "ann@example.net"
		}
		m := h.send(addresses[:1000]...)
		if got := len(h.lease(m.recipients[0].Key, 2000)); got != 1000 {
			h.Errorf("leased %d, want 1000", got)
		}
		sub := h.compose(nil, addresses...)
		sub.Body = h.draft(content(1, 100))
		defer sub.Body.Discard()
		if _, err := h.s.Enqueue(h.ctx, sub); err == nil {
			h.Error("1001 recipients were taken")
		}
	}},
	{"Accepted counts recipients by application since a time", func(h *harness) {
		h.send("ann@example.net", "bob@example.net")
		h.enqueue(10, func(s *store.Submission) { s.Message.Application = "shop" }, "ann@example.net")
		h.enqueue(10, func(s *store.Submission) { s.Message.Accepted = h.now.Add(-48 * time.Hour) }, "ann@example.net")
		h.restart(true)
		got, err := h.s.Accepted(h.ctx, h.now.Add(-time.Hour))
		h.must(err)
		h.same("counts", got, map[string]int{"crm": 2, "shop": 1})
	}},
	{"there is room", func(h *harness) { h.must(h.s.Room()) }},
}

var bodyTests = []named{
	{"bodies of every size come back, also after a kill", func(h *harness) {
		var mails []*mail
		for _, size := range []int{0, 1, 4095, 128 << 10, 128<<10 + 1, 700_000, 3 << 20} {
			mails = append(mails, h.enqueue(size, nil, "ann@example.net", "bob@example.net"))
		}
		for range 2 {
			for _, m := range mails {
				for i, r := range m.recipients {
					if h.text(h.recipient(r.ID).Body) != string(m.heads[i])+string(m.content) {
						h.Errorf("a body of %d octets differs", len(m.content))
					}
				}
			}
			h.restart(true)
		}
	}},
	{"header blocks of megabytes come back", func(h *harness) {
		long := content(7, 1<<20)
		m := h.enqueue(100, func(s *store.Submission) {
			for i := range s.Heads {
				s.Heads[i] = append(s.Heads[i], long...)
			}
		}, "ann@example.net", "bob@example.net", "eve@example.net")
		h.restart(true)
		for i, r := range m.recipients {
			if h.text(h.recipient(r.ID).Body) != string(m.heads[i])+string(m.content) {
				h.Errorf("body %d differs", i)
			}
		}
	}},
	{"ReadAt reads across header block and content", func(h *harness) {
		for _, size := range []int{1000, 200_000} {
			m := h.enqueue(size, nil, "ann@example.net")
			want := string(m.heads[0]) + string(m.content)
			b, err := h.s.OpenBody(h.ctx, h.recipient(m.recipients[0].ID).Body)
			h.must(err)
			for _, at := range []int{0, 5, len(m.heads[0]) - 1, len(m.heads[0]), len(want) - 1} {
				p := make([]byte, min(50, len(want)-at))
				if n, err := b.ReadAt(p, int64(at)); n != len(p) || err != nil || string(p) != want[at:at+n] {
					h.Errorf("at %d: got %q, %v, want %q", at, p[:n], err, want[at:at+len(p)])
				}
			}
			if n, err := b.ReadAt(make([]byte, 10), int64(len(want))-3); n != 3 || err == nil {
				h.Errorf("at the end: got %d octets and %v, want 3 and an error", n, err)
			}
			h.must(b.Close())
		}
	}},
	{"an open body can be read to its end although nobody owes it any more", func(h *harness) {
		for _, size := range []int{1000, 200_000} {
			m := h.enqueue(size, nil, "ann@example.net")
			ref := h.recipient(m.recipients[0].ID).Body
			b, err := h.s.OpenBody(h.ctx, ref)
			h.must(err)
			h.apply(h.move(m.recipients[0].ID, store.Delivered))
			h.unowed(ref)
			p := make([]byte, b.Size())
			_, err = b.ReadAt(p, 0)
			h.must(err)
			if string(p) != string(m.heads[0])+string(m.content) {
				h.Error("the body differs")
			}
			h.must(b.Close())
		}
	}},
	{"a Draft can be read back, and is gone after Discard", func(h *harness) {
		for _, size := range []int{1000, 200_000} {
			want := content(3, size)
			d := h.draft(want)
			if d.Size() != int64(size) {
				h.Errorf("size is %d, want %d", d.Size(), size)
			}
			h.must(d.Sync())
			p := make([]byte, 100)
			_, err := d.ReadAt(p, 500)
			h.must(err)
			if string(p) != string(want[500:600]) {
				h.Errorf("got %q, want %q", p, want[500:600])
			}
			d.Discard()
			d.Discard()
			sub := h.compose(nil, "ann@example.net")
			sub.Body = d
			if _, err := h.s.Enqueue(h.ctx, sub); err == nil {
				h.Error("a discarded Draft was taken")
			}
		}
	}},
	{"Discard after Enqueue does nothing", func(h *harness) {
		sub := h.compose(nil, "ann@example.net")
		sub.Body = h.draft(content(1, 200_000))
		_, err := h.s.Enqueue(h.ctx, sub)
		h.must(err)
		sub.Body.Discard()
		h.text(h.recipient(sub.Recipients[0].ID).Body)
	}},
	{"a Ref of nothing is not found", func(h *harness) {
		h.unowed(message.Ref{Body: 12345, Size: 10})
		m := h.send("ann@example.net")
		ref := h.recipient(m.recipients[0].ID).Body
		ref.Head = 7
		h.unowed(ref)
	}},
}
