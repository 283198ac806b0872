package server

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"homing/verp"
)

// A mirror tells whether a dialogue that we begin ourselves ends at one of our
// own listeners: only there is the name heard that was said.
type mirror struct {
	mu     sync.Mutex
	names  map[string]bool         // that are expected: whether they were heard
	trials map[uint64]chan<- Heard // that are under way, by the number in their tag
}

// Heard is what came back of a trial.
type Heard struct {
	Kind string // what it was understood as: a bounce.Kind
	From string // its reverse-path
	To   string // the address it came to
	At   time.Time
}

// take is told of mail to the tag of a trial. What nobody waits for any more is
// dropped.
func (m *mirror) take(id uint64, h Heard) {
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case m.trials[id] <- h:
	default: // nobody waits, or it came more often than it was sent
	}
}

// tries reports whether a trial is under way.
func (m *mirror) tries() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.trials) > 0
}

// mirrorDomain is below a name that can never be in the DNS (RFC 6761).
const mirrorDomain = ".self-check.invalid"

// expect makes a name to say EHLO with. The function that it gives reports
// whether one of our listeners has heard it, and forgets it.
func (m *mirror) expect() (name string, heard func() bool) {
	name = strings.ToLower(rand.Text()) + mirrorDomain
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.names == nil {
		m.names = map[string]bool{}
	}
	m.names[name] = false
	return name, func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		defer delete(m.names, name)
		return m.names[name]
	}
}

// hear is told every name that is said at the MX.
func (m *mirror) hear(name string) {
	if !strings.HasSuffix(name, mirrorDomain) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, expected := m.names[name]; expected {
		m.names[name] = true
	}
}

// Trial makes an address at the domain of return addresses of a sending domain,
// by which the way back can be tried: mail there is understood like all other,
// told to the channel, and changes nothing. Whoever made it ends it. Its errors
// are those of package verp.
func (s *Server) Trial(sending string) (address string, heard <-chan Heard, end func(), err error) {
	p := s.policy.Load()
	i := slices.IndexFunc(p.Domains, func(d *Domain) bool { return d.Name == sending })
	if i < 0 || p.Domains[i].Path.Domain == "" {
		return "", nil, nil, fmt.Errorf("%s has no return addresses", sending)
	}
	var n [8]byte
	rand.Read(n[:]) // never fails
	id := binary.BigEndian.Uint64(n[:]) >> 8
	tag, err := p.Verp.Encode(p.Domains[i].Path.Domain, verp.Trial, id, s.Inbound.now())
	if err != nil {
		return "", nil, nil, err
	}
	m, c := s.Inbound.mirror, make(chan Heard, 8)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.trials == nil {
		m.trials = map[uint64]chan<- Heard{}
	}
	m.trials[id] = c
	return p.Domains[i].Path.Format(tag), c, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.trials, id)
	}, nil
}

// Expect makes a name to say EHLO with, at what may be our own MX. The function
// that it gives reports whether it is, once EHLO was answered.
func (s *Server) Expect() (name string, heard func() bool) { return s.Inbound.mirror.expect() }
