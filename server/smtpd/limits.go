package smtpd

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// addressOf gives the address that limits are counted by: an IPv4 address, the
// /64 of an IPv6 address, since that is what one customer has, and the zero
// Addr for everything else, which is not limited.
func addressOf(a net.Addr) netip.Addr {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	addr := tcp.AddrPort().Addr().Unmap().WithZone("")
	if addr.Is6() {
		if p, err := addr.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return addr
}

// A Census counts the open connections of a server, in all and by address: an
// IPv6 address counts as its /64. Its methods may be called from many
// goroutines.
type Census struct {
	mu    sync.Mutex
	freed *sync.Cond
	total int
	by    map[netip.Addr]int
}

// NewCensus makes a Census of no connections.
func NewCensus() *Census {
	c := &Census{by: make(map[netip.Addr]int)}
	c.freed = sync.NewCond(&c.mu)
	return c
}

// An Admission is what a Census says to a new connection.
type Admission int

// What a Census says.
const (
	Admitted Admission = iota
	TooManyInAll
	TooManyFromThere
)

// Enter counts one more from an address, if fewer than max connections are
// open, and fewer than perAddress from there. 0 is no limit. Each Admitted one
// is followed by one Leave.
func (c *Census) Enter(from net.Addr, max, perAddress int) Admission {
	addr := addressOf(from)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case max > 0 && c.total >= max:
		return TooManyInAll
	case perAddress > 0 && addr.IsValid() && c.by[addr] >= perAddress:
		return TooManyFromThere
	}
	c.total++
	if addr.IsValid() {
		c.by[addr]++
	}
	return Admitted
}

// Leave takes back one Enter.
func (c *Census) Leave(from net.Addr) {
	addr := addressOf(from)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total--
	if c.by[addr]--; c.by[addr] <= 0 {
		delete(c.by, addr)
	}
	c.freed.Broadcast()
}

// wake makes every await look again.
func (c *Census) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.freed.Broadcast()
}

// await returns when fewer than max connections are open, or over is true.
func (c *Census) await(max func() int, over func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if m := max(); m <= 0 || c.total < m || over() {
			return
		}
		c.freed.Wait()
	}
}

// maxTracked is how many addresses an AuthLimiter remembers. Past it, those
// that it forgets first are the ones whose day is over.
const maxTracked = 1 << 16

// An AuthLimiter counts failed logins by address, so that passwords cannot be
// guessed: an IPv6 address counts as its /64. One may serve several listeners
// and the HTTP API. Its methods may be called from many goroutines; those of a
// nil AuthLimiter do nothing.
type AuthLimiter struct {
	PerMinute int              // failures allowed from one address; 0 means any number
	PerDay    int              // the same over 24 hours
	Now       func() time.Time // the clock; nil is time.Now

	mu     sync.Mutex
	failed map[netip.Addr]failures
}

// failures of one address: a minute and a day begin with the first one.
type failures struct {
	minute, day           int
	minuteStart, dayStart time.Time
}

// at gives the counts as they are at now.
func (f failures) at(now time.Time) failures {
	if now.Sub(f.minuteStart) >= time.Minute {
		f.minute, f.minuteStart = 0, now
	}
	if now.Sub(f.dayStart) >= 24*time.Hour {
		f.day, f.dayStart = 0, now
	}
	return f
}

// Blocked reports whether logins from addr are to be refused unseen.
func (l *AuthLimiter) Blocked(addr net.Addr) bool {
	key := addressOf(addr)
	if l == nil || !key.IsValid() {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.failed[key].at(l.now())
	return l.PerMinute > 0 && f.minute >= l.PerMinute || l.PerDay > 0 && f.day >= l.PerDay
}

// Failed counts a wrong password from addr.
func (l *AuthLimiter) Failed(addr net.Addr) {
	key := addressOf(addr)
	if l == nil || !key.IsValid() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if l.failed == nil {
		l.failed = make(map[netip.Addr]failures)
	}
	if _, known := l.failed[key]; !known && len(l.failed) >= maxTracked {
		l.forget(now)
	}
	f := l.failed[key].at(now)
	f.minute++
	f.day++
	l.failed[key] = f
}

// forget makes room for one more address. l.mu is held.
func (l *AuthLimiter) forget(now time.Time) {
	for key, f := range l.failed {
		if f.at(now).day == 0 {
			delete(l.failed, key)
		}
	}
	for key := range l.failed {
		if len(l.failed) < maxTracked {
			return
		}
		delete(l.failed, key)
	}
}

func (l *AuthLimiter) now() time.Time {
	if l.Now == nil {
		return time.Now()
	}
	return l.Now()
}
