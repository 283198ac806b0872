package bolt

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"homing/event"
	"homing/store"
)

func TestAnOrderedListIsASortedList(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 2))
		var o ordered
		var model []item
		for range 3000 {
			it := item{at: rng.Int64N(500), expires: rng.Int64N(500), id: rng.Uint64N(50)}
			at, found := slices.BinarySearchFunc(model, it, item.compare)
			switch rng.IntN(8) {
			case 0, 1, 2, 3:
				o.put(it)
				if found {
					model[at] = it
				} else {
					model = slices.Insert(model, at, it)
				}
			case 4:
				if o.remove(it) != found {
					t.Fatalf("seed %d: remove says %v", seed, !found)
				}
				if found {
					model = slices.Delete(model, at, at+1)
				}
			case 5:
				got, ok := o.takeDue(100)
				due := len(model) > 0 && model[0].at <= 100
				if ok != due || due && got != model[0] {
					t.Fatalf("seed %d: takeDue gives %v, %v", seed, got, ok)
				}
				if due {
					model = model[1:]
				}
			case 6:
				got, ok := o.takeExpired(50)
				i := slices.IndexFunc(model, func(it item) bool { return it.expires < 50 })
				if ok != (i >= 0) || ok && got != model[i] {
					t.Fatalf("seed %d: takeExpired gives %v, %v", seed, got, ok)
				}
				if ok {
					model = slices.Delete(model, i, i+1)
				}
			case 7:
				checkOrdered(t, &o, model)
			}
		}
		checkOrdered(t, &o, model)
	}
}

func checkOrdered(t *testing.T, o *ordered, model []item) {
	t.Helper()
	var all []item
	for _, c := range o.chunks {
		all = append(all, c.items...)
	}
	if !slices.Equal(all, model) || o.n != len(model) {
		t.Fatalf("the list has %d items and counts %d, the model %d", len(all), o.n, len(model))
	}
	if len(model) == 0 {
		return
	}
	first := slices.MinFunc(model, func(a, b item) int { return int(a.expires - b.expires) })
	if got, ok := o.first(); !ok || got != model[0] || o.expires() != first.expires {
		t.Fatalf("the first is %v and expires are %d, want %v and %d", got, o.expires(), model[0], first.expires)
	}
}

func TestAWaitingRecipientCostsAtMostSixtyOctets(t *testing.T) {
	for _, flows := range []int{1, 1000} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		d := newDueIndex(0)
		const n = 200_000
		for i := range n {
			w := waitRow{state: store.Waiting, key: store.Key{Lane: uint8(i % flows % 256), Flow: string(rune('a' + i%flows/256))}, due: int64(i % 977)}
			d.change(dueChange{id: event.DeliveryID(i), new: w}, time.Time{})
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if each := float64(after.HeapAlloc-before.HeapAlloc) / n; each > 60 {
			t.Errorf("%d flows: %.0f octets each, want at most 60", flows, each)
		}
		runtime.KeepAlive(d)
	}
}

func TestDueForgetsKeysThatWereEmptyForLong(t *testing.T) {
	now := time.Now()
	d := newDueIndex(0)
	w := waitRow{state: store.Waiting, key: store.Key{Domain: "a"}}
	other := waitRow{state: store.Waiting, key: store.Key{Domain: "b"}}
	d.change(dueChange{id: 1, new: w}, now)
	d.change(dueChange{id: 2, new: other}, now)
	d.change(dueChange{id: 1, old: w}, now)
	d.change(dueChange{id: 2, old: other}, now)
	d.change(dueChange{id: 3, new: other}, now)
	d.tidy(now.Add(goneKept - 1))
	if len(d.flows) != 2 {
		t.Errorf("there are %d flows, want 2", len(d.flows))
	}
	d.tidy(now.Add(goneKept))
	if len(d.flows) != 1 || d.flows[other.key] == nil || len(d.gone) != 0 {
		t.Errorf("left are %d flows and %d that are gone, want b alone", len(d.flows), len(d.gone))
	}
}

func TestALeaseThatLapsedIsStillGoodWhileNobodyTookIt(t *testing.T) {
	now := time.Now()
	d := newDueIndex(0)
	key := store.Key{Domain: "a"}
	w := waitRow{state: store.Waiting, key: key}
	d.change(dueChange{id: 1, new: w}, now)
	token := d.claim(store.LeaseRequest{Key: key, Now: now, Until: now.Add(time.Minute), Max: 1})[0]
	d.lapse(now.Add(2 * time.Minute))
	if f := d.flows[key]; f.waiting.n != 1 || f.leased != 0 {
		t.Errorf("waiting %d, leased %d, want 1 and 0", f.waiting.n, f.leased)
	}
	if !d.extend(token, now.Add(time.Hour), now) {
		t.Error("the owner has lost it")
	}
	if f := d.flows[key]; f.waiting.n != 0 || f.leased != 1 {
		t.Errorf("extended: waiting %d, leased %d, want 0 and 1", f.waiting.n, f.leased)
	}
	d.lapse(now.Add(2 * time.Hour))
	d.leases[1].busy = true
	if got := d.claim(store.LeaseRequest{Key: key, Now: now.Add(2 * time.Hour), Until: now.Add(3 * time.Hour), Max: 1}); len(got) != 0 {
		t.Error("claimed while it is being settled")
	}
	if d.flows[key].waiting.n != 1 {
		t.Error("what was skipped is lost")
	}
}
