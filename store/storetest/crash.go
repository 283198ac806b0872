package storetest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"homing/event"
	"homing/hold"
	"homing/store"
)

var crashTests = []named{
	{"a store that is stopped at any moment goes on as if nothing had happened", func(h *harness) {
		for seed := range uint64(4) {
			m := &model{harness: h, rng: rand.New(rand.NewPCG(seed, 1)), rows: map[event.DeliveryID]*store.Recipient{},
				text: map[event.DeliveryID]string{}, holds: map[string]hold.Record{}}
			for range 60 {
				m.step()
				switch m.rng.IntN(8) {
				case 0:
					h.restart(true)
					m.leases = nil
					m.compare()
				case 1:
					h.restart(false)
					m.leases = nil
					m.compare()
				}
			}
			m.compare()
			h.sound()
			m.clear()
		}
	}},
	{"an empty store is opened again", func(h *harness) {
		for _, kill := range []bool{true, false, true, true} {
			h.restart(kill)
			h.sound()
		}
		h.send("ann@example.net")
	}},
}

// A model is what a store must say after some calls.
type model struct {
	*harness
	rng    *rand.Rand
	rows   map[event.DeliveryID]*store.Recipient
	text   map[event.DeliveryID]string
	holds  map[string]hold.Record
	told   []event.Type
	after  event.ID
	leases []store.Lease
}

// step makes one call.
func (m *model) step() {
	switch m.rng.IntN(5) {
	case 0, 1:
		m.submit()
	case 2:
		m.leases = append(m.leases, m.lease(netKey, 1+m.rng.IntN(3))...)
	case 3:
		m.end()
	case 4:
		m.annotate()
	}
}

func (m *model) submit() {
	size := []int{0, 100, 5000, 130_000, 200_000}[m.rng.IntN(5)]
	addresses := make([]string, 1+m.rng.IntN(4))
	for i := range addresses {
		addresses[i] = fmt.Sprintf("u%d@example.net", m.rng.IntN(10))
	}
	sent := m.enqueue(size, nil, addresses...)
	for i := range sent.recipients {
		r := sent.recipients[i]
		r.Body = m.recipient(r.ID).Body
		m.rows[r.ID] = &r
		m.text[r.ID] = string(sent.heads[i]) + string(sent.content)
	}
	m.told = append(m.told, event.Accepted)
}

// end settles a lease, well or badly.
func (m *model) end() {
	if len(m.leases) == 0 {
		return
	}
	i := m.rng.IntN(len(m.leases))
	l := m.leases[i]
	m.leases = slices.Delete(m.leases, i, i+1)
	r := m.rows[l.Delivery]
	state := []store.State{store.Delivered, store.Bounced, store.Paused, store.Waiting}[m.rng.IntN(4)]
	c := m.settle(l, state, event.Deferred)
	if state == store.Waiting {
		c.Decide = func(k *store.Case) error {
			k.Events = append(k.Events, event.Event{Type: event.Deferred})
			k.Recipient.Attempt++
			return nil
		}
		r.Attempt++
	}
	m.apply(c)
	m.told = append(m.told, event.Deferred)
	if r.State = state; state.Terminal() {
		r.Ended = m.now
	}
}

// annotate changes something that is no outcome, in a transaction over two
// rows.
func (m *model) annotate() {
	ids := slices.Sorted(maps.Keys(m.rows))
	if len(ids) == 0 {
		return
	}
	id := ids[m.rng.IntN(len(ids))]
	r := m.rows[id]
	digest := m.rng.Uint64()
	record := m.holdOf(hold.Canonical(r.Address))
	record.Scopes[0].Marks[0].Message = digest
	m.apply(store.Change{Delivery: id, Decide: func(c *store.Case) error {
		c.Recipient.Seen = append(c.Recipient.Seen, digest)
		c.Hold = record
		c.Events = append(c.Events, event.Event{Type: event.Complained})
		return nil
	}})
	r.Seen = append(r.Seen, digest)
	m.holds[record.Address] = record
	m.told = append(m.told, event.Complained)
}

// compare asks the store for everything.
func (m *model) compare() {
	m.Helper()
	waiting := 0
	for id, want := range m.rows {
		m.same("recipient", m.recipient(id), *want)
		if want.State == store.Waiting {
			waiting++
		}
		if !want.State.Terminal() && m.harness.text(want.Body) != m.text[id] {
			m.Errorf("the body of %v differs", id)
		}
	}
	for address, want := range m.holds {
		got, err := m.s.Hold(m.ctx, address)
		m.must(err)
		m.same("hold", got, want)
	}
	m.same("events", types(m.events(m.after)), m.told)
	if len(m.leases) == 0 && len(m.rows) > 0 {
		work, _ := m.due(0)
		if got := work[netKey]; got.Waiting != waiting || got.Leased != 0 {
			m.Errorf("work is %+v, want %d waiting", got, waiting)
		}
	}
}

// clear ends everything, so that another model can begin.
func (m *model) clear() {
	for _, r := range m.rows {
		if !r.State.Terminal() {
			m.apply(m.move(r.ID, store.Cancelled))
		}
	}
	m.forget(store.What{EventsBefore: time.Now().Add(time.Hour)}, -1)
	for address := range m.holds {
		m.apply(store.Change{Address: address, Decide: func(c *store.Case) error { c.Hold.Scopes = nil; return nil }})
	}
}
