package queue

import (
	"context"
	"fmt"
	"sync"
	"time"

	"homing/bounce"
	"homing/event"
	"homing/hold"
	"homing/store"
)

// A surge is a provider that fails for good, within an hour, addresses that used
// to accept mail: it is the provider that is ill then, and not a hundred people
// who left. Such failures hold nobody by themselves.
const (
	surgeSpan  = time.Hour
	surgeSlots = 12 // of the span, each counted for itself
	surgeLeast = 20 // failures, before anything is called a surge
	surgeShare = 20 // per cent
)

// surges count, by site.
type surges struct {
	mu    sync.Mutex
	sites map[string]*surge
}

type surge struct {
	failed, accepted [surgeSlots]int
	slot             int64 // number of the present slot, since 1970
	on               bool
}

// surgesMost bounds what is remembered.
const surgesMost = 10_000

// turn forgets what is older than the span.
func (s *surge) turn(now time.Time) (i int) {
	slot := now.UnixNano() / int64(surgeSpan/surgeSlots)
	for n := s.slot + 1; n <= slot && n <= s.slot+surgeSlots; n++ {
		s.failed[n%surgeSlots], s.accepted[n%surgeSlots] = 0, 0
	}
	s.slot = max(s.slot, slot)
	return int(slot % surgeSlots)
}

// ill reports whether the site fails too many of those it used to accept.
func (s *surge) ill() bool {
	failed, accepted := 0, 0
	for i := range s.failed {
		failed, accepted = failed+s.failed[i], accepted+s.accepted[i]
	}
	return failed >= surgeLeast && 100*failed > surgeShare*(failed+accepted)
}

// note counts what a site did with an address that used to accept mail, or
// with any that it accepts now. It reports whether the site surges, and whether
// that has changed.
func (m *surges) note(site string, failed bool, now time.Time) (on, changed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.sites[site]
	if s == nil {
		if m.sites == nil || len(m.sites) > surgesMost {
			m.sites = map[string]*surge{}
		}
		s = &surge{slot: now.UnixNano()/int64(surgeSpan/surgeSlots) - surgeSlots}
		m.sites[site] = s
	}
	i := s.turn(now)
	if failed {
		s.failed[i]++
	} else {
		s.accepted[i]++
	}
	was := s.on
	s.on = s.ill()
	return s.on, s.on != was
}

// on reports whether a site surges.
func (m *surges) on(site string, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.sites[site]
	if s == nil || !s.on {
		return false
	}
	s.turn(now)
	return s.ill()
}

// ended gives the sites whose surge is over because nothing of it is left
// within the span.
func (m *surges) ended(now time.Time) (sites []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, s := range m.sites {
		if !s.on {
			continue
		}
		s.turn(now)
		if s.on = s.ill(); !s.on {
			sites = append(sites, name)
		}
	}
	return sites
}

// all gives the sites that surge.
func (m *surges) all(now time.Time) (sites []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, s := range m.sites {
		if !s.on {
			continue
		}
		if s.turn(now); s.ill() {
			sites = append(sites, name)
		}
	}
	return sites
}

// surging notes how an attempt at a site ended, and reports whether a hard failure is
// part of a surge. What is to be told comes with it.
func (q *Queue) surging(ctx context.Context, it Item, site string, f finding) (bool, []event.Event) {
	hard := !f.positive && !f.ours && !f.early && f.verdict.Class == bounce.Hard
	if f.ours || !f.positive && !hard || hard && !q.usedToAccept(ctx, it) {
		return false, nil
	}
	on, changed := q.surges.note(site, hard, f.now)
	if !changed {
		return on, nil
	}
	e := event.Event{Type: event.IncidentOpened, Time: f.now.UTC(), Outcome: f.outcome}
	e.Text = fmt.Sprintf("%s fails for good more than %d %% of the addresses that used to accept mail: %s. Until that ends its failures hold nobody by themselves. See who was held before it was noticed, and release them: homing hold release --provider %s --since 1h --dry-run",
		site, surgeShare, f.outcome.Diagnostic, site)
	if !on {
		e = surgeOver(site, f.now)
	}
	return on, []event.Event{e}
}

func surgeOver(site string, now time.Time) event.Event {
	return event.Event{Type: event.IncidentClosed, Time: now.UTC(), Text: fmt.Sprintf("%s no longer fails so many of the addresses that used to accept mail.", site)}
}

// usedToAccept reports whether the address of an item accepted mail before, as
// far as that is remembered.
func (q *Queue) usedToAccept(ctx context.Context, it Item) bool {
	page, err := q.store.Find(ctx, store.Query{Address: hold.Canonical(it.Recipient.Address), States: []store.State{store.Delivered}, Max: 1})
	if err != nil {
		q.log.Error("looking for earlier deliveries failed", "rcpt", it.Recipient.Address, "err", err)
	}
	return err == nil && len(page.Rows) > 0
}
