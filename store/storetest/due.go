package storetest

import (
	"context"
	"time"

	"homing/store"
)

// due gives the news since a mark, by Key.
func (h *harness) due(since store.Mark) (map[store.Key]store.Work, store.Mark) {
	h.Helper()
	list, mark, err := h.s.Due(h.ctx, since)
	h.must(err)
	byKey := map[store.Key]store.Work{}
	for _, w := range list {
		byKey[w.Key] = w
	}
	return byKey, mark
}

var (
	netKey = store.Key{Domain: "example.net", Lane: 1, Flow: "crm/spring", Sending: "example.org"}
	comKey = store.Key{Domain: "example.com", Lane: 1, Flow: "crm/spring", Sending: "example.org"}
)

// at makes a submission due and expire at distances from now.
func at(due, expires time.Duration) func(*store.Submission) {
	return func(s *store.Submission) {
		for i := range s.Recipients {
			r := &s.Recipients[i]
			r.Due, r.Expires = s.Message.Accepted.Add(due), s.Message.Accepted.Add(expires)
		}
	}
}

var dueTests = []named{
	{"the zero Mark gives all work, also after a restart", func(h *harness) {
		h.enqueue(10, at(time.Hour, 2*time.Hour), "ann@example.net")
		h.enqueue(10, at(time.Minute, 3*time.Hour), "bob@example.net", "eve@example.net")
		h.send("ann@example.com")
		want := map[store.Key]store.Work{
			netKey: {Key: netKey, Waiting: 3, Next: h.now.Add(time.Minute), Expires: h.now.Add(2 * time.Hour)},
			comKey: {Key: comKey, Waiting: 1, Next: h.now, Expires: h.now.Add(120 * time.Hour)},
		}
		for _, kill := range []bool{true, false} {
			got, _ := h.due(0)
			h.same("work", got, want)
			h.restart(kill)
		}
	}},
	{"later marks give only what changed, and wait for it", func(h *harness) {
		h.send("ann@example.net")
		_, mark := h.due(0)
		done := make(chan map[store.Key]store.Work)
		go func() {
			list, _, err := h.s.Due(h.ctx, mark)
			if err != nil {
				h.Error(err)
			}
			byKey := map[store.Key]store.Work{}
			for _, w := range list {
				byKey[w.Key] = w
			}
			done <- byKey
		}()
		h.send("bob@example.com")
		got := <-done
		if len(got) != 1 || got[comKey].Waiting != 1 {
			h.Errorf("got %v, want one of %v", got, comKey)
		}
	}},
	{"Due ends with its context", func(h *harness) {
		_, mark := h.due(h.firstMark())
		ctx, cancel := context.WithCancel(h.ctx)
		done := make(chan error)
		go func() {
			_, _, err := h.s.Due(ctx, mark)
			done <- err
		}()
		cancel()
		h.wants(<-done, context.Canceled)
	}},
	{"a Key whose work is gone is told once with zero", func(h *harness) {
		m := h.send("ann@example.net")
		_, mark := h.due(0)
		h.apply(h.move(m.recipients[0].ID, store.Cancelled))
		got, _ := h.due(mark)
		h.same("work", got, map[store.Key]store.Work{netKey: {Key: netKey}})
	}},
	{"leases count, and what is leased is not next", func(h *harness) {
		h.enqueue(10, at(-time.Hour, time.Hour), "ann@example.net")
		h.enqueue(10, at(time.Hour, 2*time.Hour), "bob@example.net")
		_, mark := h.due(0)
		h.lease(netKey, 1)
		got, _ := h.due(mark)
		h.same("work", got, map[store.Key]store.Work{netKey: {
			Key: netKey, Waiting: 1, Leased: 1, Next: h.now.Add(time.Hour), Expires: h.now.Add(2 * time.Hour)}})
	}},
	{"Lease gives what is due, the longest waiting first, with its message", func(h *harness) {
		late := h.enqueue(10, at(-time.Minute, time.Hour), "ann@example.net")
		early := h.enqueue(10, at(-time.Hour, time.Hour), "bob@example.net")
		h.enqueue(10, at(time.Nanosecond, time.Hour), "eve@example.net")
		got := h.lease(netKey, 10)
		if len(got) != 2 || got[0].Delivery != early.recipients[0].ID || got[1].Delivery != late.recipients[0].ID {
			h.Fatalf("leased %+v", got)
		}
		h.same("message", got[0].Message, early.message)
		h.same("recipient", got[0].Recipient, h.recipient(early.recipients[0].ID))
		if got[0].Fence == got[1].Fence || got[0].Token.Delivery != got[0].Recipient.ID {
			h.Errorf("tokens are %v and %v", got[0].Token, got[1].Token)
		}
	}},
	{"what is leased is nobody else's, up to Max at a time", func(h *harness) {
		h.send("a@example.net", "b@example.net", "c@example.net")
		seen := map[store.Token]bool{}
		for _, want := range []int{2, 1, 0} {
			got := h.lease(netKey, 2)
			if len(got) != want {
				h.Fatalf("leased %d, want %d", len(got), want)
			}
			for _, l := range got {
				if seen[l.Token] {
					h.Errorf("%v leased twice", l.Delivery)
				}
				seen[l.Token] = true
			}
		}
	}},
	{"other keys are not touched", func(h *harness) {
		h.send("ann@example.net")
		for _, key := range []store.Key{comKey, {Domain: "example.net", Flow: "crm/spring", Sending: "example.org"}, {Domain: "example.net", Lane: 1, Sending: "example.org"}, {Domain: "example.net", Lane: 1, Flow: "crm/spring"}} {
			if got := h.lease(key, 10); len(got) != 0 {
				h.Errorf("%v: leased %d", key, len(got))
			}
		}
	}},
	{"Expired gives only what is past its lifetime, due or not", func(h *harness) {
		old := h.enqueue(10, at(time.Hour, -time.Nanosecond), "old@example.net")
		h.enqueue(10, at(-time.Hour, 0), "last@example.net")
		h.enqueue(10, at(-time.Hour, time.Hour), "young@example.net")
		got, err := h.s.Lease(h.ctx, store.LeaseRequest{Key: netKey, Now: h.now, Until: h.now.Add(time.Minute), Max: 10, Expired: true})
		h.must(err)
		if len(got) != 1 || got[0].Delivery != old.recipients[0].ID {
			h.Errorf("leased %+v, want the one to old@", got)
		}
	}},
	{"a lease that ran out can be claimed by others, and the first owner has lost", func(h *harness) {
		h.send("ann@example.net")
		first := h.lease(netKey, 1)[0]
		h.now = h.now.Add(2 * time.Minute)
		second := h.lease(netKey, 1)
		if len(second) != 1 || second[0].Fence == first.Fence {
			h.Fatalf("leased %+v", second)
		}
		c := h.move(first.Delivery, store.Delivered)
		c.Lease = first.Token
		h.wants(h.s.Apply(h.ctx, c), store.ErrLeaseLost)
		h.wants(h.s.Extend(h.ctx, h.now.Add(time.Hour), first.Token), store.ErrLeaseLost)
		h.state(store.Waiting, first.Delivery)
		c.Lease = second[0].Token
		h.apply(c)
		h.state(store.Delivered, first.Delivery)
	}},
	{"Extend moves the end", func(h *harness) {
		h.send("ann@example.net")
		l := h.lease(netKey, 1)[0]
		h.must(h.s.Extend(h.ctx, h.now.Add(time.Hour), l.Token))
		h.now = h.now.Add(30 * time.Minute)
		if got := h.lease(netKey, 1); len(got) != 0 {
			h.Error("claimed although it was extended")
		}
	}},
	{"Extend with the zero time gives back", func(h *harness) {
		h.send("ann@example.net", "bob@example.net")
		l := h.lease(netKey, 2)
		h.must(h.s.Extend(h.ctx, time.Time{}, l[0].Token))
		got := h.lease(netKey, 2)
		if len(got) != 1 || got[0].Delivery != l[0].Delivery || got[0].Fence == l[0].Fence {
			h.Errorf("leased %+v", got)
		}
		h.wants(h.s.Extend(h.ctx, h.now.Add(time.Hour), l[0].Token), store.ErrLeaseLost)
	}},
	{"Extend does the others when one is lost", func(h *harness) {
		h.send("ann@example.net", "bob@example.net")
		l := h.lease(netKey, 2)
		lost := l[0].Token
		lost.Fence++
		h.wants(h.s.Extend(h.ctx, time.Time{}, lost, l[1].Token), store.ErrLeaseLost)
		if got := h.lease(netKey, 2); len(got) != 1 || got[0].Delivery != l[1].Delivery {
			h.Errorf("leased %+v, want %v", got, l[1].Delivery)
		}
	}},
	{"leases die with the process, and their fences are not used again", func(h *harness) {
		h.send("ann@example.net")
		first := h.lease(netKey, 1)[0]
		for _, kill := range []bool{true, false} {
			h.restart(kill)
			h.wants(h.s.Extend(h.ctx, h.now.Add(time.Hour), first.Token), store.ErrLeaseLost)
			second := h.lease(netKey, 1)
			if len(second) != 1 || second[0].Fence == first.Fence {
				h.Fatalf("leased %+v after %+v", second, first.Token)
			}
			c := h.move(first.Delivery, store.Delivered)
			c.Lease = first.Token
			h.wants(h.s.Apply(h.ctx, c), store.ErrLeaseLost)
		}
	}},
	{"many workers never hold the same recipient", func(h *harness) {
		for range 20 {
			h.send("a@example.net", "b@example.net", "c@example.net", "d@example.net", "e@example.net")
		}
		leases := make(chan store.Lease)
		for range 4 {
			go func() {
				defer func() { leases <- store.Lease{} }()
				for {
					got, err := h.s.Lease(h.ctx, store.LeaseRequest{Key: netKey, Now: h.now, Until: h.now.Add(time.Minute), Max: 3})
					if err != nil {
						h.Error(err)
					}
					if len(got) == 0 || err != nil {
						return
					}
					for _, l := range got {
						leases <- l
					}
				}
			}()
		}
		seen := map[uint64]bool{}
		for ended := 0; ended < 4; {
			l := <-leases
			if l.Delivery == 0 {
				ended++
				continue
			}
			if seen[uint64(l.Delivery)] {
				h.Errorf("%v leased twice", l.Delivery)
			}
			seen[uint64(l.Delivery)] = true
		}
		if len(seen) != 100 {
			h.Errorf("leased %d, want 100", len(seen))
		}
	}},
}

// firstMark gives a Mark of now, with nothing waiting.
func (h *harness) firstMark() store.Mark {
	h.Helper()
	m := h.send("ann@example.net")
	_, mark := h.due(0)
	h.apply(h.move(m.recipients[0].ID, store.Cancelled))
	return mark
}
