package queue

import (
	"sync"
	"time"
)

// A reach remembers who answered lately, because a network failure says
// something of the recipient only while somebody else can be reached.
type reach struct {
	mu     sync.Mutex
	domain [2]string // the two domains that answered last, the latest first
	at     [2]time.Time
}

// reachTime is how long an answer proves that the network works.
const reachTime = time.Hour

func (r *reach) answered(domain string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.domain[0] != domain {
		r.domain[1], r.at[1] = r.domain[0], r.at[0]
	}
	r.domain[0], r.at[0] = domain, now
}

// others reports whether a domain other than this one answered lately.
func (r *reach) others(domain string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, d := range r.domain {
		if d != "" && d != domain && now.Sub(r.at[i]) < reachTime {
			return true
		}
	}
	return false
}
