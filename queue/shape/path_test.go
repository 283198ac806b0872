package shape_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"homing/queue/shape"
	"homing/store"
)

// bulk is work of a campaign.
func bulk(domain, flow string, waiting int) store.Work {
	return store.Work{Key: store.Key{Domain: domain, Lane: 1, Flow: flow}, Waiting: waiting, Next: now}
}

// claim takes a slot and leases all that it may.
func claim(t *testing.T, s *shape.Shaper, at time.Time) shape.Pick {
	t.Helper()
	p, wake, ok := s.Next(at)
	if !ok {
		t.Fatalf("no slot at %v, to be asked again at %v", at, wake)
	}
	s.Leased(p, p.Max, at)
	return p
}

// slow is what a site is left alone for.
var slow = shape.Pause{First: time.Minute, Most: 10 * time.Minute, Why: "421 4.7.0 slow down"}

func one(rule shape.Rule, sources ...string) *shape.Shaper {
	s := shape.New(shape.Limits{Total: 100, PerSite: 5, Batch: 50, Rules: map[string]shape.Rule{"a.test": rule}, Sources: sources})
	s.Update(bulk("a.test", "crm spring", 1000), now)
	return s
}

func TestARateHoldsOnTheWireHoweverLongMailWaitsOnItsWay(t *testing.T) {
	s := one(shape.Rule{Connections: 3, Rate: shape.Rate{Count: 60, Per: time.Minute}})
	var sent []time.Time
	send := func(p shape.Pick, at time.Time) { s.Sent(p, true, at); sent = append(sent, at) }
	// Two are claimed at once, and go out only after half a minute.
	first, second := claim(t, s, now), claim(t, s, now)
	late := now.Add(30 * time.Second)
	send(first, late)
	send(second, late)
	s.Finish(first, late)
	s.Finish(second, late)
	for at := late; len(sent) < 200; {
		p, wake, ok := s.Next(at)
		if !ok {
			at = wake
			continue
		}
		s.Leased(p, p.Max, at)
		for range p.Max {
			send(p, at)
		}
		s.Finish(p, at)
		s.Update(bulk("a.test", "crm spring", 1000), at)
	}
	for i := range sent[60:] {
		if span := sent[i+60].Sub(sent[i]); span < time.Minute {
			t.Fatalf("61 messages within %v", span)
		}
	}
	if span := sent[199].Sub(sent[0]); span > 210*time.Second {
		t.Errorf("200 messages took %v, want about 200 s", span)
	}
}

func TestASiteThatRefusesUsIsLeftAlone(t *testing.T) {
	s := one(shape.Rule{Connections: 4})
	p, other := claim(t, s, now), claim(t, s, now)
	at := now.Add(time.Second)
	s.Sent(p, false, at)
	c := s.Cool(p, slow, at)
	until := c.Until
	if want := at.Add(time.Minute); !c.News || !c.First || !until.Equal(want) || !c.Opens.Equal(want) {
		t.Errorf("%+v, want left alone until %v", c, want)
	}
	if s.Cool(other, slow, at.Add(time.Second)).News {
		t.Error("a reply in a dialogue that had begun before is news")
	}
	if !p.Yield() || !other.Yield() || s.More(other, at) != 0 {
		t.Error("the dialogues go on")
	}
	s.Finish(p, at)
	s.Finish(other, at)
	s.Update(bulk("a.test", "crm spring", 1000), at)
	if _, wake, ok := s.Next(at); ok || !wake.Equal(until) {
		t.Errorf("slot %v, ask again at %v, want %v", ok, wake, until)
	}

	t.Run("then gets one message, and is left alone twice as long if it refuses that", func(t *testing.T) {
		probe := claim(t, s, until)
		if probe.Max != 1 {
			t.Errorf("the first try is with %d messages, want 1", probe.Max)
		}
		if p, _, ok := s.Next(until); ok {
			t.Errorf("a second dialogue beside the first try: %v", p)
		}
		if n := s.More(probe, until); n != 0 {
			t.Errorf("%d more messages behind the first try, which nobody has answered", n)
		}
		again := until.Add(time.Second)
		next := s.Cool(probe, slow, again).Until
		if want := again.Add(2 * time.Minute); !next.Equal(want) {
			t.Errorf("left alone until %v, want %v", next, want)
		}
		s.Finish(probe, again)
		until = next
	})
	t.Run("and when it takes one, gets twice as much again and again", func(t *testing.T) {
		s.Update(bulk("a.test", "crm spring", 1000), until)
		at := until
		var connections []int
		recovered := false
		for step := 0; !recovered && step < 100; step++ {
			at = at.Add(time.Second)
			p := claim(t, s, at)
			for range 5 {
				recovered = s.Sent(p, true, at) || recovered
				if s.More(p, at) == 0 {
					t.Fatalf("step %d: no more messages after one that it took", step)
				}
			}
			s.Finish(p, at)
			s.Update(bulk("a.test", "crm spring", 1000), at)
			connections = append(connections, s.Look("a.test", "", "", at).Site.Paths[0].Connections)
		}
		if got, want := fmt.Sprint(connections), "[2 2 4]"; got != want || !recovered {
			t.Errorf("connections %v, recovered %v, want %v", got, recovered, want)
		}
	})
}

func TestARateHoldsOverRestarts(t *testing.T) {
	rule := shape.Rule{Connections: 3, Rate: shape.Rate{Count: 500, Per: time.Hour}}
	s, sent := one(rule), 0
	for at := now; at.Before(now.Add(time.Hour)); at = at.Add(time.Minute) {
		for p, _, ok := s.Next(at); ok; p, _, ok = s.Next(at) {
			s.Leased(p, p.Max, at)
			for range p.Max {
				s.Sent(p, true, at)
				sent++
			}
			s.Finish(p, at)
			s.Update(bulk("a.test", "crm spring", 1000), at)
		}
		again := one(rule)
		again.Restore("a.test", s.Look("a.test", "", "", at).Site.Paths[0], at.Add(10*time.Second))
		s = again
	}
	if sent > 500 || sent < 450 {
		t.Errorf("%d messages in an hour with a restart each minute, want the 500 there may be", sent)
	}
}

func TestARestartGoesOnWhereASiteRecovered(t *testing.T) {
	rule := shape.Rule{Connections: 4, Rate: shape.Rate{Count: 330, Per: time.Minute}}
	// after gives a Shaper that was restarted after a site was left alone and
	// has then taken so many messages.
	after := func(t *testing.T, taken int) (s *shape.Shaper, at time.Time) {
		s = one(rule)
		p := claim(t, s, now)
		s.Cool(p, slow, now)
		s.Finish(p, now)
		for at = now.Add(2 * time.Minute); taken > 0; at = at.Add(time.Second) {
			p := claim(t, s, at)
			for range p.Max {
				s.Sent(p, true, at)
				taken--
			}
			s.Finish(p, at)
			s.Update(bulk("a.test", "crm spring", 1000), at)
		}
		again := one(rule)
		again.Restore("a.test", s.Look("a.test", "", "", at).Site.Paths[0], at)
		return again, at
	}
	t.Run("what has not recovered is served little by little, also by its rate", func(t *testing.T) {
		s, at := after(t, 2)
		sent := 0
		for end := at.Add(10 * time.Second); at.Before(end); at = at.Add(time.Second) {
			for p, _, ok := s.Next(at); ok; p, _, ok = s.Next(at) {
				s.Leased(p, p.Max, at)
				for range p.Max {
					s.Sent(p, false, at)
					sent++
				}
				s.Finish(p, at)
			}
		}
		if path := s.Look("a.test", "", "", at).Site.Paths[0]; !path.Recovering || path.Connections != 1 || sent > 11+20 {
			t.Errorf("%d connections, %d messages in ten seconds; want 1, and a burst and a quarter of the rate", path.Connections, sent)
		}
	})
	t.Run("what has recovered is served as before, and recovers once", func(t *testing.T) {
		s, at := after(t, 40)
		if path := s.Look("a.test", "", "", at).Site.Paths[0]; path.Recovering || path.Connections != 4 || path.Level != 1 {
			t.Errorf("%+v, want all 4 connections, and that it is known what it said", path)
		}
		if ways := s.Tidy(at.Add(25 * time.Hour)); len(ways) > 0 {
			t.Errorf("%v have recovered again", ways)
		}
	})
}

func TestASiteThatServesLittleHasRecoveredAfterAnHour(t *testing.T) {
	s := one(shape.Rule{Connections: 4})
	p := claim(t, s, now)
	until := s.Cool(p, slow, now.Add(time.Second)).Until
	s.Finish(p, now.Add(time.Second))
	s.Update(bulk("a.test", "crm spring", 1), until)
	probe := claim(t, s, until)
	s.Sent(probe, true, until)
	s.Finish(probe, until)
	s.Update(bulk("a.test", "crm spring", 0), until)
	if got := s.Tidy(until.Add(59 * time.Minute)); len(got) > 0 {
		t.Errorf("after less than an hour: %v", got)
	}
	if got := s.Tidy(until.Add(time.Hour)); len(got) != 1 || got[0].Site != "a.test" {
		t.Errorf("after an hour: %v, want a.test", got)
	}
}

func TestAReplyThatNamesATimeIsHonoured(t *testing.T) {
	s := one(shape.Rule{Connections: 4})
	named := slow
	named.Named = 25 * time.Minute
	until := s.Cool(claim(t, s, now), named, now).Until
	if want := now.Add(25 * time.Minute); !until.Equal(want) {
		t.Errorf("left alone until %v, want %v", until, want)
	}
}

func TestASiteThatCountsDialoguesIsHeardForAnHour(t *testing.T) {
	s := one(shape.Rule{Connections: 4})
	var open []shape.Pick
	for range 4 {
		open = append(open, claim(t, s, now))
	}
	crowd := slow
	crowd.Crowd = true
	at := now.Add(time.Second)
	s.Cool(open[3], crowd, at)
	if got := s.Look("a.test", "", "", at).Site.Paths[0].Learned; got != 2 {
		t.Errorf("learned that it puts up with %d, want 2, half of those that there were", got)
	}
}

func TestWhatOneSourceIsRefusedAnotherMaySend(t *testing.T) {
	s := one(shape.Rule{Connections: 1}, "192.0.2.1", "192.0.2.2")
	p := claim(t, s, now)
	if c := s.Cool(p, slow, now.Add(time.Second)); !c.Opens.Equal(now.Add(time.Second)) {
		t.Errorf("the site opens at %v, want now: there is another source", c.Opens)
	}
	s.Finish(p, now.Add(time.Second))
	s.Update(bulk("a.test", "crm spring", 1000), now.Add(time.Second))
	for range 3 {
		q := claim(t, s, now.Add(2*time.Second))
		if q.Source == p.Source {
			t.Errorf("sent from %s, which is left alone", q.Source)
		}
		s.Finish(q, now.Add(2*time.Second))
		s.Update(bulk("a.test", "crm spring", 1000), now.Add(2*time.Second))
	}
}

func TestSourcesShareTheWork(t *testing.T) {
	s := one(shape.Rule{Connections: 2}, "192.0.2.1", "192.0.2.2")
	got := map[string]int{}
	for range 4 {
		got[claim(t, s, now).Source]++
	}
	if got["192.0.2.1"] != 2 || got["192.0.2.2"] != 2 {
		t.Errorf("dialogues by source: %v, want 2 each", got)
	}
}

func TestANewSourceSendsWhatItMayOnADayAndTheOthersTheRest(t *testing.T) {
	allowance := func(source string, day int) int {
		if source == "192.0.2.2" {
			return 10 + 10*day
		}
		return -1
	}
	s := shape.New(shape.Limits{Total: 100, PerSite: 1, Batch: 4, Sources: []string{"192.0.2.1", "192.0.2.2"}, Allowance: allowance})
	day := func(at time.Time) string {
		sent := map[string]int{}
		for range 20 {
			s.Update(bulk("a.test", "crm spring", 1000), at)
			p := claim(t, s, at)
			for range p.Max {
				s.Sent(p, true, at)
				sent[p.Source]++
			}
			s.Finish(p, at)
		}
		return fmt.Sprint(sent)
	}
	if got, want := day(now), "map[192.0.2.1:68 192.0.2.2:10]"; got != want {
		t.Errorf("the first day: %v, want %v", got, want)
	}
	if got, want := day(now.Add(24*time.Hour)), "map[192.0.2.1:60 192.0.2.2:20]"; got != want {
		t.Errorf("the second day: %v, want %v", got, want)
	}
	t.Run("and a day of rest makes it no warmer", func(t *testing.T) {
		s.Update(bulk("a.test", "crm spring", 0), now.Add(72*time.Hour))
		for _, p := range s.Look("a.test", "", "", now.Add(72*time.Hour)).Site.Paths {
			if p.Source == "192.0.2.2" && (p.Day != 2 || p.Allowance != 30) {
				t.Errorf("on the fourth day: %d days of use, %d messages, want 2, 30", p.Day, p.Allowance)
			}
		}
	})
	t.Run("and a restart does not forget what it has sent", func(t *testing.T) {
		at := now.Add(72 * time.Hour)
		s.Update(bulk("a.test", "crm spring", 1000), at)
		for sent := 0; sent < 30; {
			p := claim(t, s, at)
			for range p.Max {
				s.Sent(p, true, at)
				if p.Source == "192.0.2.2" {
					sent++
				}
			}
			s.Finish(p, at)
			s.Update(bulk("a.test", "crm spring", 1000), at)
		}
		again := shape.New(shape.Limits{Total: 100, PerSite: 1, Batch: 4, Sources: []string{"192.0.2.2"}, Allowance: allowance})
		for _, p := range s.Look("a.test", "", "", at).Site.Paths {
			again.Restore("a.test", p, at)
		}
		again.Update(bulk("a.test", "crm spring", 1000), at)
		if p, wake, ok := again.Next(at); ok || !wake.Equal(at.Truncate(24*time.Hour).Add(24*time.Hour)) {
			t.Errorf("slot %v from %s, ask again at %v; want the next morning", ok, p.Source, wake)
		}
	})
}

func TestAClockThatIsSetBackOverMidnightMakesNoNewDay(t *testing.T) {
	s := shape.New(shape.Limits{Total: 100, PerSite: 1, Batch: 50, Allowance: func(string, int) int { return 10 }})
	midnight := now.Truncate(24 * time.Hour).Add(24 * time.Hour)
	sent := 0
	for _, at := range []time.Time{midnight.Add(time.Second), midnight.Add(-2 * time.Second), midnight.Add(-time.Second), midnight, midnight.Add(time.Hour)} {
		s.Update(bulk("a.test", "crm spring", 1000), at)
		s.Tidy(at) // looks at the site again
		for p, _, ok := s.Next(at); ok; p, _, ok = s.Next(at) {
			s.Leased(p, p.Max, at)
			for range p.Max {
				s.Sent(p, true, at)
				sent++
			}
			s.Finish(p, at)
		}
	}
	if sent != 10 {
		t.Errorf("%d sent, want the 10 of one day", sent)
	}
	wrong, right := midnight.Add(1000*24*time.Hour), midnight.Add(24*time.Hour)
	s.Update(bulk("a.test", "crm spring", 1000), wrong)
	s.Update(bulk("a.test", "crm spring", 1000), right)
	if p, _, ok := s.Next(right); !ok || p.Max != 10 {
		t.Errorf("after a clock was years ahead for a moment: slot %v for %d, want the 10 of the day", ok, p.Max)
	}
}

func TestASmarthostDoesNotCareFromWhichOfOurAddressesMailComes(t *testing.T) {
	s := shape.New(shape.Limits{Total: 100, PerSite: 5, Batch: 50, Sources: []string{"192.0.2.1", "192.0.2.2"}, Via: map[string]string{"": "smarthost"},
		Rules:     map[string]shape.Rule{"smarthost": {Connections: 3, Rate: shape.Rate{Count: 330, Per: time.Hour}}},
		Allowance: func(string, int) int { return 1 }})
	sent := 0
	for at := now; at.Before(now.Add(time.Hour)); at = at.Add(10 * time.Second) {
		s.Update(bulk("a.test", "crm spring", 1000), at)
		for p, _, ok := s.Next(at); ok; p, _, ok = s.Next(at) {
			s.Leased(p, p.Max, at)
			if p.Source != "" {
				t.Fatalf("a dialogue from %s in particular", p.Source)
			}
			for range p.Max {
				s.Sent(p, true, at)
				sent++
			}
			s.Finish(p, at)
		}
	}
	if sent > 330 || sent < 310 {
		t.Errorf("%d sent in an hour, want the 330 that it takes, whatever is new and however many addresses there are", sent)
	}
	if all := s.Describe([]string{"smarthost", "b.test"}, now); len(all[0].Paths) != 1 || len(all[1].Paths) != 2 {
		t.Errorf("%d ways to the smarthost and %d to a site, want 1, 2", len(all[0].Paths), len(all[1].Paths))
	}
	fresh := shape.New(shape.Limits{Sources: []string{"192.0.2.1", "192.0.2.2"}, Via: map[string]string{"": "smarthost"}})
	if all := fresh.Describe([]string{"b.test", "smarthost", "c.test"}, now); len(all[0].Paths) != 2 || len(all[1].Paths) != 1 || len(all[2].Paths) != 2 {
		t.Errorf("where nothing was sent yet there are %d, %d and %d ways, want 2, 1, 2", len(all[0].Paths), len(all[1].Paths), len(all[2].Paths))
	}
}

func TestCampaignsOfAProviderHaveItInTurn(t *testing.T) {
	s := shape.New(shape.Limits{Total: 100, PerSite: 100, Batch: 1, Via: map[string]string{"": "google"}})
	for n := range 20 {
		s.Update(bulk(fmt.Sprintf("d%d.test", n), "crm big", 1), now)
	}
	s.Update(bulk("a.test", "crm small", 1), now)
	s.Update(bulk("a.test", "shop spring", 1), now)
	var got []string
	for range 6 {
		_, flow, _ := strings.Cut(claim(t, s, now).Key.Flow, " ")
		got = append(got, flow)
	}
	if want := []string{"big", "spring", "small", "spring", "big", "spring"}; !slices.Equal(got, want) {
		t.Errorf("turns %v, want %v: applications, and of each its campaigns", got, want)
	}
}

func TestADialogueEndsWhereAReceiptFindsNone(t *testing.T) {
	tests := []struct {
		name   string
		limits shape.Limits
		domain string
	}{
		{"at a site that has all its dialogues", shape.Limits{Total: 100, PerSite: 2, Batch: 50}, "a.test"},
		{"when all slots are taken", shape.Limits{Total: 2, PerSite: 4, Batch: 50}, "b.test"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := shape.New(tt.limits)
			s.Update(bulk("a.test", "crm spring", 1000), now)
			if tt.domain != "a.test" {
				s.Update(bulk("c.test", "crm spring", 1000), now)
			}
			open := []shape.Pick{claim(t, s, now), claim(t, s, now)}
			s.Update(work(tt.domain, 0, 1, now), now)
			ends := slices.IndexFunc(open, shape.Pick.Yield)
			if ends < 0 || open[1-ends].Yield() {
				t.Fatalf("asked to end: %v and %v, want one of them", open[0].Yield(), open[1].Yield())
			}
			s.Finish(open[ends], now)
			if p := claim(t, s, now); p.Key.Lane != 0 {
				t.Errorf("its slot goes to %v, want the receipt", p.Key)
			}
		})
	}
}

func TestWhatIsPausedWaits(t *testing.T) {
	s := one(shape.Rule{Connections: 4})
	p := claim(t, s, now)
	s.SetPaused(func(k store.Key, site string) bool { return k.Flow == "crm spring" && site == "a.test" }, now)
	if !p.Yield() || s.More(p, now) != 0 {
		t.Error("the dialogue goes on")
	}
	s.Finish(p, now)
	s.Update(bulk("a.test", "crm spring", 1000), now)
	s.Update(bulk("a.test", "crm summer", 1), now)
	if p := claim(t, s, now); p.Key.Flow != "crm summer" {
		t.Errorf("a slot for %v", p.Key)
	}
	s.Update(bulk("a.test", "crm summer", 0), now)
	if p, _, ok := s.Next(now); ok {
		t.Errorf("a slot for %v", p.Key)
	}
	s.SetPaused(nil, now)
	if p := claim(t, s, now); p.Key.Flow != "crm spring" {
		t.Errorf("afterwards a slot for %v, want what was paused", p.Key)
	}
}

func TestDomainsOfOneProviderAreOneSite(t *testing.T) {
	s := shape.New(shape.Limits{Total: 100, PerSite: 5, Batch: 50, Rules: map[string]shape.Rule{"google": {Connections: 2}}})
	for n := range 3 {
		s.Update(bulk(fmt.Sprintf("d%d.test", n), "crm spring", 10), now)
	}
	var open []shape.Pick
	for range 3 { // nobody knows yet whose they are
		open = append(open, claim(t, s, now))
	}
	for i := range open {
		open[i] = s.Locate(open[i], "google", now)
	}
	if open[0].Max == 0 || open[1].Max == 0 || open[2].Max != 0 {
		t.Errorf("the site takes %d, %d, %d; want two dialogues and no third", open[0].Max, open[1].Max, open[2].Max)
	}
	s.Finish(open[2], now)
	s.Update(bulk("d2.test", "crm spring", 10), now)
	if p, _, ok := s.Next(now); ok {
		t.Errorf("a third dialogue: %v", p)
	}
	s.Finish(open[0], now)
	s.Update(bulk("d0.test", "crm spring", 0), now)
	s.Update(bulk("d1.test", "crm spring", 0), now)
	if p := claim(t, s, now); p.Site != "google" || p.Key.Domain != "d2.test" {
		t.Errorf("then %s at %s, want d2.test at google", p.Key.Domain, p.Site)
	}
}

func TestASiteThatIsIdleIsForgottenOnceItsRateIsWhole(t *testing.T) {
	s := one(shape.Rule{Connections: 1, Rate: shape.Rate{Count: 2, Per: time.Hour}})
	p := claim(t, s, now)
	s.Sent(p, true, now)
	s.Finish(p, now)
	s.Update(bulk("a.test", "crm spring", 0), now)
	s.Update(bulk("a.test", "crm summer", 5), now.Add(time.Minute))
	if p, wake, ok := s.Next(now.Add(time.Minute)); ok || wake.Before(now.Add(30*time.Minute)) {
		t.Errorf("slot for %v, wake %v; want none for half an hour", p.Key, wake)
	}
	s.Update(bulk("a.test", "crm summer", 0), now.Add(time.Minute))
	s.Tidy(now.Add(48 * time.Hour))
	if all := s.Sites(now.Add(48 * time.Hour)); len(all) > 0 {
		t.Errorf("still known: %+v", all)
	}
}
