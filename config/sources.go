package config

import (
	"strings"
	"unicode"
)

func (c *checker) sources() {
	for i := range c.c.Sources {
		s, path := &c.c.Sources[i], at("source", i)
		if s.Type == "" {
			c.errorf(path+".type", `is missing; write type = "imap"`)
		}
		if s.Address.IsZero() {
			c.errorf(path+".address", `is missing; write the server and its port, like "imap.example.org:993"`)
		}
		c.peer(s.Address, path+".address", false)
		c.sourceTLS(s, path)
		if s.Username == "" || s.PasswordFile == "" {
			c.errorf(path+".username", "a source needs username and password_file; write both")
		}
		s.Password = c.secret(s.PasswordFile, path+".password_file")
		c.folders(s, path)
		for j, e := range c.c.Sources[:i] {
			if e.Address == s.Address && e.Username == s.Username && e.Folder == s.Folder && !s.Address.IsZero() {
				c.errorf(path+".folder", "%s of %s is what the %s [[source]] reads already; remove one of the two", s.Folder, s.Username, ordinal(j))
			}
		}
		c.use(s.As, s.From, s.To, path)
	}
}

// sourceTLS checks that a password goes over no network as it is.
func (c *checker) sourceTLS(s *Source, path string) {
	port := s.Address.Port()
	switch {
	case s.Address.IsZero():
	case s.TLS == SourcePlain && !s.Address.Loopback():
		c.errorf(path+".tls", `"none" sends the password over a network for everybody to read; write "implicit" (mostly port 993) or "starttls" (mostly port 143)`)
	case s.TLS == SourceImplicit && port == 143:
		c.warnf(path+".address", `port 143 mostly begins without TLS; write port 993, or tls = "starttls"`)
	case s.TLS == SourceStartTLS && port == 993:
		c.warnf(path+".tls", `port 993 mostly begins with TLS; write tls = "implicit", or leave it out`)
	}
}

// folders checks that what is taken goes somewhere else.
func (c *checker) folders(s *Source, path string) {
	for _, f := range []struct{ key, name string }{{"folder", s.Folder}, {"moved_to", s.MovedTo}} {
		if strings.ContainsFunc(f.name, unicode.IsControl) || strings.ContainsAny(f.name, "*%") {
			c.errorf(path+"."+f.key, "%q is no name of a folder; write it as your mail program shows it", f.name)
			return
		}
	}
	if s.MovedTo == s.Folder || s.MovedTo == s.Ignored() {
		c.errorf(path+".moved_to", "%q is where mail is taken from or put aside, so it would be taken again; write the name of another folder, or leave it out for %q", s.MovedTo, s.Folder+".processed")
	}
}

// Ignored is the folder for mail that will never be taken.
func (s *Source) Ignored() string { return s.Folder + ".ignored" }

// ordinal words the place of an element in a list.
func ordinal(i int) string {
	if words := []string{"first", "second", "third"}; i < len(words) {
		return words[i]
	}
	return "earlier"
}
