package server

import (
	"crypto/rand"
	"strings"
	"sync"
)

// A mirror tells whether a dialogue that we begin ourselves ends at one of our
// own listeners: only there is the name heard that was said.
type mirror struct {
	mu    sync.Mutex
	names map[string]bool // that are expected: whether they were heard
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

// Expect makes a name to say EHLO with, at what may be our own MX. The function
// that it gives reports whether it is, once EHLO was answered.
func (s *Server) Expect() (name string, heard func() bool) { return s.Inbound.mirror.expect() }
