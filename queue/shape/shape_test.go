package shape_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"homing/queue/shape"
	"homing/store"
)

var now = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

func work(domain string, lane uint8, waiting int, next time.Time) store.Work {
	return store.Work{Key: store.Key{Domain: domain, Lane: lane}, Waiting: waiting, Next: next}
}

// picks takes slots until there is none and says for whom.
func picks(s *shape.Shaper, at time.Time) (got []string) {
	for {
		p, _, ok := s.Next(at)
		if !ok {
			return got
		}
		got = append(got, fmt.Sprintf("%s/%d", p.Key.Domain, p.Max))
		s.Leased(p, p.Max, at)
	}
}

func TestWhoGoesNext(t *testing.T) {
	limits := shape.Limits{Total: 8, PerSite: 2, Batch: 10}
	many := func(n int) (all []store.Work) {
		for i := range n {
			all = append(all, work(fmt.Sprintf("%c.test", 'a'+i), 1, 9, now))
		}
		return all
	}
	soon := now.Add(time.Minute)
	tests := []struct {
		name string
		work []store.Work
		want string
	}{
		{"nobody when nothing waits", nil, "[]"},
		{"nobody before it is due", []store.Work{work("a.test", 1, 5, soon)}, "[]"},
		{"a site up to its slots, its work shared among them", []store.Work{work("a.test", 1, 6, now)}, "[a.test/3 a.test/6]"},
		{"a batch at most", []store.Work{work("a.test", 1, 500, now)}, "[a.test/10 a.test/10]"},
		{"sites in turn", []store.Work{work("a.test", 1, 9, now), work("b.test", 1, 9, now)}, "[a.test/5 b.test/5 a.test/9 b.test/9]"},
		{"lane 0 before lane 1", []store.Work{work("a.test", 1, 1, now), work("b.test", 0, 1, now)}, "[b.test/1 b.test/1 a.test/1 a.test/1]"},
		{"the second half of all slots is for sites that have none", many(5), "[a.test/5 b.test/5 c.test/5 d.test/5 e.test/5]"},
		{"no more than there are slots altogether", many(9),
			"[a.test/5 b.test/5 c.test/5 d.test/5 e.test/5 f.test/5 g.test/5 h.test/5]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := shape.New(limits)
			for _, w := range tt.work {
				s.Update(w, now)
			}
			if got := fmt.Sprint(picks(s, now)); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestNextSaysWhenToAskAgain(t *testing.T) {
	s := shape.New(shape.Limits{Total: 1, PerSite: 1, Batch: 1})
	s.Update(work("a.test", 0, 1, now.Add(time.Hour)), now)
	s.Update(work("b.test", 0, 1, now.Add(time.Minute)), now)
	if _, wake, ok := s.Next(now); ok || !wake.Equal(now.Add(time.Minute)) {
		t.Errorf("ok %v, wake %v, want in a minute", ok, wake)
	}
	if p, _, ok := s.Next(now.Add(time.Minute)); !ok || p.Key.Domain != "b.test" {
		t.Errorf("a minute later: %v %v, want b.test", p, ok)
	}
}

func TestOneHopServesAllDomainsThatShareIt(t *testing.T) {
	s := shape.New(shape.Limits{Total: 10, PerSite: 1, Batch: 5, Via: map[string]string{"": "smarthost"}})
	s.Update(work("a.test", 0, 1, now), now)
	s.Update(work("b.test", 0, 1, now), now)
	p, _, _ := s.Next(now)
	s.Leased(p, 1, now)
	if second, _, ok := s.Next(now); ok {
		t.Fatalf("a second slot at the only site: %v", second)
	}
	s.Update(store.Work{Key: p.Key}, now)
	s.Finish(p, now)
	if p, _, ok := s.Next(now); !ok || p.Key.Domain != "b.test" {
		t.Errorf("after the slot was given back: %v %v, want b.test", p, ok)
	}
}

func TestASendingDomainWithAWayOfItsOwnGoesThatWay(t *testing.T) {
	limits := shape.Limits{Total: 10, PerSite: 1, Batch: 5}
	straight := shape.New(limits)
	limits.Via = map[string]string{"shop.example": "relay"}
	s := shape.New(limits)
	from := func(sending, to string) store.Work {
		w := work(to, 0, 1, now)
		w.Sending = sending
		return w
	}
	all := []store.Work{from("shop.example", "a.test"), from("club.example", "a.test"), from("shop.example", "b.test")}
	for _, w := range all {
		straight.Update(w, now)
		s.Update(w, now)
	}
	through, own := claim(t, s, now), claim(t, s, now)
	if through.Site != "relay" || through.Via != "relay" || own.Site != "a.test" || own.Via != "" {
		t.Fatalf("the first slots are at %s (via %q) and %s (via %q), want the relay and a.test", through.Site, through.Via, own.Site, own.Via)
	}
	if p, _, ok := s.Next(now); ok {
		t.Fatalf("a second slot at the relay: %v", p)
	}
	// The hosts of a domain say nothing about mail that does not go there.
	if through = s.Locate(through, "google", now); through.Site != "relay" {
		t.Errorf("mail for the relay moved to %s", through.Site)
	}
	own = s.Locate(own, "google", now)
	if here, there := s.At(all[0].Key), s.At(all[1].Key); own.Site != "google" || here != "relay" || there != "google" {
		t.Errorf("of a.test, some waits at %s, some at %s; want the relay and google", here, there)
	}
	// What waits follows when the way is changed.
	limits.Via = nil
	s.SetLimits(limits, now)
	if p := claim(t, s, now); p.Site != "b.test" || p.Via != "" {
		t.Errorf("without the relay, mail goes to %s (via %q), want b.test", p.Site, p.Via)
	}
	limits.Via = map[string]string{"": "relay"}
	straight.SetLimits(limits, now)
	if got := []string{straight.At(all[0].Key), straight.At(all[1].Key)}; !slices.Equal(got, []string{"relay", "relay"}) || len(picks(straight, now)) != 1 {
		t.Errorf("with a relay for everything, mail waits at %v, want there, with one slot", got)
	}
}

func TestANewsOfWorkWhileItIsLeasedIsNotLost(t *testing.T) {
	s := shape.New(shape.Limits{Total: 10, PerSite: 2, Batch: 5})
	s.Update(work("a.test", 0, 1, now), now)
	p, _, _ := s.Next(now)
	s.Update(work("a.test", 0, 3, now), now)
	s.Leased(p, 0, now)
	if _, _, ok := s.Next(now); !ok {
		t.Error("the news that came between pick and lease was lost")
	}
}

// A deterministic storm: whatever the order of news, picks and ends, no limit
// is exceeded and everything is served in the end.
func TestLimitsHoldAndNothingStarves(t *testing.T) {
	const domains, each = 50, 40
	limits := shape.Limits{Total: 20, PerSite: 3, Batch: 4}
	s, random := shape.New(limits), rand.New(rand.NewPCG(1, 2))
	left := map[store.Key]int{}
	for d := range domains {
		w := work(fmt.Sprintf("d%d.test", d), uint8(d%2), each, now.Add(time.Duration(d%5)*time.Minute))
		left[w.Key] = each
		s.Update(w, now)
	}
	var open []shape.Pick
	at, served := now, 0
	for step := 0; served < domains*each; step++ {
		if step > 100_000 {
			t.Fatalf("stuck: %d of %d served", served, domains*each)
		}
		p, wake, ok := s.Next(at)
		switch {
		case ok:
			got := min(p.Max, left[p.Key])
			left[p.Key] -= got
			served += got
			s.Leased(p, got, at)
			s.Update(store.Work{Key: p.Key, Waiting: left[p.Key], Next: at}, at)
			open = append(open, p)
		case len(open) > 0:
			i := random.IntN(len(open))
			s.Finish(open[i], at)
			open = append(open[:i], open[i+1:]...)
		case wake.IsZero():
			t.Fatalf("nothing to wait for: %d of %d served", served, domains*each)
		default:
			at = wake
		}
		perSite := map[string]int{}
		for _, p := range open {
			if perSite[p.Site]++; perSite[p.Site] > limits.PerSite {
				t.Fatalf("%d slots at %s", perSite[p.Site], p.Site)
			}
		}
		if len(open) > limits.Total || s.Active() != len(open) {
			t.Fatalf("%d slots open, Active says %d, limit %d", len(open), s.Active(), limits.Total)
		}
	}
	if s.Waiting() != 0 {
		t.Errorf("%d still said to wait", s.Waiting())
	}
}

func BenchmarkNext(b *testing.B) {
	s := shape.New(shape.Limits{Total: 1000, PerSite: 20, Batch: 50})
	for d := range 10_000 {
		s.Update(work(fmt.Sprintf("d%d.test", d), 1, 1000, now), now)
	}
	b.ReportAllocs()
	for b.Loop() {
		p, _, _ := s.Next(now)
		s.Leased(p, p.Max, now)
		s.Finish(p, now)
	}
}

func ExampleShaper() {
	s := shape.New(shape.Limits{Total: 100, PerSite: 2, Batch: 20})
	s.Update(store.Work{Key: store.Key{Domain: "example.net"}, Waiting: 3, Next: now}, now)
	p, _, ok := s.Next(now)
	fmt.Println(p.Site, p.Max, ok)
	// Output: example.net 2 true
}

func TestAFewSitesThatHangHoldNobodyBack(t *testing.T) {
	s := shape.New(shape.Limits{Total: 500, PerSite: 20, Batch: 50})
	for n := range 100 {
		s.Update(work(fmt.Sprintf("tarpit%d.test", n), 1, 10_000, now), now)
	}
	picks(s, now) // none of them ever finishes
	s.Update(work("healthy.test", 1, 1, now), now)
	if p, _, ok := s.Next(now); !ok || p.Key.Domain != "healthy.test" {
		t.Errorf("next is %q, %v with %d slots taken; want healthy.test", p.Key.Domain, ok, s.Active())
	}
}
