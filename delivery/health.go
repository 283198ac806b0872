package delivery

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// What a host offers and cannot do is remembered for an hour: it may have
	// been repaired.
	lessonTime = time.Hour

	// A host that was not there is tried after all others for a minute, and
	// for twice as long each time that it is still not there.
	shortestRest = time.Minute
	longestRest  = time.Hour

	// Sites at which whole transactions went wrong get them again after a day.
	// The reason may have been the network's, but may as well be a server that
	// would run lines of a message as commands, and a day without costs little.
	plainTime = 24 * time.Hour

	maxHealth = 10_000 // hosts that are remembered
)

// health is what is known of hosts and sites from what happened there. It is
// forgotten at the end of the process, but for plain, which is noted. Its
// methods may be called from many goroutines; the zero health knows nothing.
type health struct {
	mu    sync.Mutex
	hosts map[netip.AddrPort]record
	plain map[string]time.Time // listed sites that get no whole transactions, until then
}

// A record is what is known of one host, whatever source address it is
// reached from.
type record struct {
	lesson
	learnt time.Time // the lesson

	rest  time.Duration // how long it was to be tried last, the last time
	until time.Time
	asked bool // somebody is finding out whether it is back
}

// stale reports whether a record says nothing any more: of a host for which
// nobody had mail for an hour after its rest, nothing is known either.
func (r record) stale(now time.Time) bool {
	return now.Sub(r.learnt) >= lessonTime && (r.rest == 0 || now.Sub(r.until) > longestRest)
}

// A lesson is what a host offers and cannot do.
type lesson struct {
	noTLS bool
	lost  int // how often mail went through only without pipelining
}

func tlsFailed(l *lesson)        { l.noTLS = true }
func pipeliningFailed(l *lesson) { l.lost++ }

// noPipelining: a connection may be lost for many reasons once.
func (l lesson) noPipelining() bool { return l.lost > 1 }

// about gives what was learnt of a host.
func (m *health) about(at netip.AddrPort) lesson {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.hosts[at]; time.Since(r.learnt) < lessonTime {
		return r.lesson
	}
	return lesson{}
}

// learn remembers that something failed at a host.
func (m *health) learn(at netip.AddrPort, what func(*lesson)) {
	m.change(at, func(r *record) {
		if time.Since(r.learnt) >= lessonTime {
			r.lesson = lesson{}
		}
		what(&r.lesson)
		r.learnt = time.Now()
	})
}

// missed remembers that a host did not answer, or would not talk to us. While
// it rests, many jobs may find out the same, which makes it no worse.
func (m *health) missed(at netip.AddrPort) {
	m.change(at, func(r *record) {
		now := time.Now()
		if r.rest > 0 && now.Before(r.until) && !r.asked {
			return
		}
		r.rest = min(max(2*r.rest, shortestRest), longestRest)
		r.until, r.asked = now.Add(r.rest), false
	})
}

// well remembers that a host answered.
func (m *health) well(at netip.AddrPort) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r, ok := m.hosts[at]; ok && r.rest > 0 {
		r.rest, r.until, r.asked = 0, time.Time{}, false
		m.hosts[at] = r
	}
}

// resting reports whether a host is to be tried after all others. When its
// rest is over, the first who asks is to find out how it is, and for another
// minute it rests for the others.
func (m *health) resting(at netip.AddrPort) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.hosts[at]
	now := time.Now()
	switch {
	case r.rest == 0 || r.stale(now):
		return false
	case now.Before(r.until):
		return true
	}
	r.until, r.asked = now.Add(shortestRest), true
	m.hosts[at] = r
	return false
}

// whole reports whether a listed site gets whole transactions.
func (m *health) whole(site string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !time.Now().Before(m.plain[site])
}

// plainly remembers that a listed site is to get no whole transactions until
// then, and reports whether it got them until now.
func (m *health) plainly(site string, until time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.plain == nil {
		m.plain = map[string]time.Time{}
	}
	news := !time.Now().Before(m.plain[site])
	m.plain[site] = until
	return news
}

func (m *health) change(at netip.AddrPort, what func(*record)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.hosts == nil {
		m.hosts = map[netip.AddrPort]record{}
	}
	r, ok := m.hosts[at]
	if !ok && len(m.hosts) >= maxHealth {
		m.makeRoom()
	}
	if r.stale(time.Now()) {
		r = record{}
	}
	what(&r)
	m.hosts[at] = r
}

// makeRoom forgets what says nothing any more, or else any host. The caller
// holds mu.
func (m *health) makeRoom() {
	now, looked := time.Now(), 0
	for at, r := range m.hosts { // begins anywhere
		if looked++; r.stale(now) || looked > 100 {
			delete(m.hosts, at)
		}
		if looked > 100 {
			return
		}
	}
	for at := range m.hosts {
		if len(m.hosts) < maxHealth {
			return
		}
		delete(m.hosts, at)
	}
}
