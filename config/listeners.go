package config

import (
	"net/netip"
	"slices"
)

// maxSocketPath is the longest path of a Unix socket, in octets (unix(7)).
const maxSocketPath = 107

// A listener is one address of [listen].
type listener struct {
	path string
	Address
}

func (c *checker) listeners() {
	l := &c.c.Listen
	var all []listener
	for _, s := range []struct {
		key       string
		addresses []Address
		socket    bool // may be a Unix socket
		tls       bool // speaks TLS from the first octet
	}{
		{"smtp", l.SMTP, false, false},
		{"submission", l.Submission, false, false},
		{"submissions", l.Submissions, false, true},
		{"lmtp", l.LMTP, true, false},
		{"http", l.HTTP, true, false},
		{"https", l.HTTPS, false, true},
		{"pop3", l.POP3, false, false},
		{"pop3s", l.POP3S, false, true},
	} {
		for i, a := range s.addresses {
			path := at("listen", s.key, i)
			c.listener(a, path, s.socket)
			if s.tls && !c.c.TLS.Trusted() {
				c.errorf(path, "needs a certificate that clients trust; write cert_file and key_file in [tls], or [tls.acme], or leave %s out", s.key)
			}
			all = append(all, listener{path, a})
		}
	}
	if !l.Local.IsZero() {
		if l.Local.Network != "unix" {
			c.errorf("listen.local", `%q is not a Unix socket, which alone knows its caller; write it like "unix:/run/homing/submit.sock"`, l.Local)
		}
		c.listener(l.Local, "listen.local", true)
		all = append(all, listener{"listen.local", l.Local})
	}
	c.distinct(all)
	c.plainSubmission()
	c.plainHTTP()
}

func (c *checker) listener(a Address, path string, socket bool) {
	switch {
	case a.IsZero(): // could not be read
	case a.Network == "unix" && !socket:
		c.errorf(path, `cannot be a Unix socket; write an address and a port, like "127.0.0.1:587"`)
	case a.Network == "unix" && len(a.Address) > maxSocketPath:
		c.errorf(path, "the path %s has %d octets and the system allows %d; choose a shorter one", a.Address, len(a.Address), maxSocketPath)
	case a.Network == "tcp" && a.Host() != "":
		if _, err := netip.ParseAddr(a.Host()); err != nil {
			c.errorf(path, `%q is a name; write the address of this machine to listen at, like "127.0.0.1:%d"`, a.Host(), a.Port())
		}
	}
}

// distinct checks that each address is there once. Port 0 is a free one each
// time.
func (c *checker) distinct(all []listener) {
	for i, a := range all {
		for _, b := range all[:i] {
			if a.clashes(b.Address) {
				c.errorf(a.path, "%s is taken by %s (%s); give each listener its own", a.Address, keyOf(b.path), b.Address)
				break
			}
		}
	}
}

// clashes reports whether two listeners cannot be open at the same time.
func (l listener) clashes(b Address) bool {
	a := l.Address
	if a.IsZero() || a.Network != b.Network {
		return false
	}
	if a.Network == "unix" {
		return a == b
	}
	return a.Port() != 0 && a.Port() == b.Port() && (a.Host() == b.Host() || a.everywhere() || b.everywhere())
}

// Covers reports whether whoever calls b reaches a listener at a.
func (a Address) Covers(b Address) bool {
	if a.Network != b.Network || a.Network == "unix" {
		return a == b
	}
	return a.Port() == b.Port() && (a.Host() == b.Host() || a.everywhere())
}

// everywhere reports whether an address is all of this machine's.
func (a Address) everywhere() bool {
	ip, err := netip.ParseAddr(a.Host())
	return a.Host() == "" || err == nil && ip.IsUnspecified()
}

// plainSubmission warns where nobody could log in, because AUTH waits for a
// STARTTLS that is never offered: mailers of applications that meet the
// server's own certificate send nothing, also those that need no AUTH. At a
// private address it is for those that are known by their network.
func (c *checker) plainSubmission() {
	if c.c.TLS.Trusted() {
		return
	}
	known := slices.ContainsFunc(c.c.Applications, func(a Application) bool { return len(a.Networks) > 0 })
	for i, a := range c.c.Listen.Submission {
		if a.Private() && known {
			continue
		}
		if path := at("listen", "submission", i); !a.IsZero() && !a.Loopback() {
			c.warnf(path, "AUTH is offered after STARTTLS only, and there is no certificate that clients trust (the server's own is for port 25); write cert_file and key_file in [tls], or [tls.acme], or listen at 127.0.0.1")
		}
	}
}

// plainHTTP warns where tokens and mail would go over a network as they are.
func (c *checker) plainHTTP() {
	for i, a := range c.c.Listen.HTTP {
		if !a.IsZero() && !a.Loopback() {
			c.warnf(at("listen", "http", i), "speaks HTTP without TLS at %s, so whoever is on the way reads tokens and mail; listen at 127.0.0.1 behind a web server with TLS, unless you trust that network", a)
		}
	}
}
