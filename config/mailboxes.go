package config

import (
	"path/filepath"
	"slices"
	"strings"
)

// maildir checks a Maildir: that it is nobody else's, and that it is bounded.
func (c *checker) maildir(s *Sink, earlier []Sink, path string) {
	for _, e := range earlier {
		switch {
		case e.Type != SinkMaildir || s.Path == "" || filepath.Clean(e.Path) != filepath.Clean(s.Path):
		case e.What != s.What:
			c.errorf(path+".path", "is the Maildir of %s too, which holds %s, and this one holds %s: CiviCRM would take the ones for the others; name another directory", e.Name, e.What, s.What)
		default:
			c.errorf(path+".path", "is that of the sink %q as well, so whoever reads it gets what is another's; give each its own directory", e.Name)
		}
	}
	if s.What == WhatActivities {
		if c.has(path + ".keep") {
			c.errorf(path+".keep", "is for reports: mail that was filed stays until somebody takes it; remove keep")
		}
		s.Keep = 0
	} else if s.Keep < day {
		c.errorf(path+".keep", "is so short that reports would be gone before anybody reads them; write at least \"1d\", like \"30d\"")
	}
	if s.MaxMessages < 100 {
		c.errorf(path+".max_messages", "%d is too low: one mailing can bring more; write 100 or more, like 50000", s.MaxMessages)
	}
}

// mailboxes checks who could read what over POP3.
func (c *checker) mailboxes() {
	l := c.c.Listen
	if len(l.POP3)+len(l.POP3S) == 0 {
		return
	}
	for i, a := range l.POP3 {
		if !c.c.TLS.Trusted() && !a.IsZero() && !a.Loopback() {
			c.warnf(at("listen", "pop3", i), "passwords are taken after STLS only, and there is no certificate that clients trust, so nobody can log in; write cert_file and key_file in [tls], or [tls.acme], or listen at 127.0.0.1")
		}
	}
	key := "listen.pop3"
	if len(l.POP3) == 0 {
		key = "listen.pop3s"
	}
	useful := false
	for i, s := range c.c.Sinks {
		if s.Type != SinkMaildir {
			continue
		}
		readers := c.readersOf(s.Name)
		if len(readers) > 1 {
			c.errorf(at("sink", i), "%s could each read and delete over POP3 what is the other's; give each application a sink of type maildir of its own, with a path of its own", strings.Join(readers, " and "))
		}
		useful = useful || len(readers) > 0
	}
	if !useful {
		c.warnf(key, "there is nothing to read: no [[application]] has both a password and a sink of type maildir; give one both (`homing app add` makes a password), or remove %s", key)
	}
}

// readersOf names the applications that a sink is told of and that have a
// password.
func (c *checker) readersOf(sink string) (names []string) {
	for _, a := range c.c.Applications {
		sinks := a.Sinks
		for _, d := range c.c.Domains {
			if len(a.Sinks) == 0 && slices.Contains(a.Domains, d.Name) {
				sinks = slices.Concat(sinks, d.Sinks)
			}
		}
		password := a.PasswordFile != "" || a.PasswordHash != ""
		if password && slices.Contains(sinks, sink) {
			names = append(names, a.Name)
		}
	}
	return names
}
