package server

import (
	"crypto/sha256"
	"fmt"
	"sync"
	"time"
)

const (
	// patience is how long a letter is put off while the DNS does not say who it
	// is from. After that it is taken as not proven: some domains are broken
	// for ever, and whoever runs this server can do nothing about it.
	patience = time.Hour
	// maxPostponed is how many letters are remembered, and for how long. More
	// are put off until their senders give up.
	maxPostponed    = 10_000
	postponedMemory = 5 * 24 * time.Hour
)

// postponed remembers when letters were put off first. A restart forgets it,
// which costs another hour.
type postponed struct {
	mu    sync.Mutex
	since map[[sha256.Size]byte]time.Time
}

func newPostponed() *postponed { return &postponed{since: map[[sha256.Size]byte]time.Time{}} }

// enough reports whether a letter was put off for long enough, and else
// remembers it.
func (p *postponed) enough(l *letter, now time.Time) bool {
	key := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q", l.from, l.header.Get("Message-ID"), l.header.Get("From"), l.header.Get("Date")))
	p.mu.Lock()
	defer p.mu.Unlock()
	if first, known := p.since[key]; known {
		return now.Sub(first) >= patience
	}
	if len(p.since) >= maxPostponed {
		p.forget(now)
	}
	if len(p.since) < maxPostponed {
		p.since[key] = now
	}
	return false
}

// forget drops what nobody sends any more.
func (p *postponed) forget(now time.Time) {
	for key, first := range p.since {
		if now.Sub(first) > postponedMemory {
			delete(p.since, key)
		}
	}
}
