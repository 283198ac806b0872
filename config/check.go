package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/idna"

	"homing/internal/nearest"
	"homing/internal/spool"
)

// A checker finds what single values do not show: what is missing, what does
// not exist, what contradicts something else. It reads the files that the
// configuration names, and writes names as they are compared.
type checker struct {
	*findings
	c *Config
}

func (c *checker) all() {
	c.server()
	c.tls()
	c.listeners()
	c.domains()
	c.applications()
	c.sinks()
	c.routes()
	c.sources()
	c.answers()
	c.mailboxes()
	c.hold()
	c.delivery()
	c.verpKeys()
	c.notices()
	c.elsewhere()
	c.bounds()
}

func (c *checker) server() {
	h := &c.c.Hostname
	switch name, err := domainName(*h); {
	case *h == "":
		c.errorf("hostname", `is missing; write the name of this machine at the top, like hostname = "mail.example.org"`)
	case err != nil:
		c.errorf("hostname", `%v; write the full name of this machine, like "mail.example.org"`, err)
	default:
		*h = name
	}
	switch socket := filepath.Join(c.c.DataDir, ControlSocket); {
	case c.c.DataDir == "":
		c.errorf("data_dir", "is empty; write a directory, or leave it out for %s", DefaultDataDir)
	case len(socket) > maxSocketPath:
		c.errorf("data_dir", "the path of the socket in it, %s, has %d octets and the system allows %d; choose a shorter one", socket, len(socket), maxSocketPath)
	}
	if c.c.SpoolDir == c.c.DataDir || c.c.SpoolDir == "" {
		c.errorf("spool_dir", "must be a directory of its own, which every local user may write to; leave it out for %s", spool.DefaultDir)
	}
	c.mailbox(&c.c.Postmaster, "postmaster")
	c.trusted()
	if c.c.PublicURL != "" {
		c.url(&c.c.PublicURL, "public_url")
		c.c.PublicURL = strings.TrimSuffix(c.c.PublicURL, "/")
	}
}

// trusted checks the servers whose Authentication-Results are believed.
func (c *checker) trusted() {
	for i, id := range c.c.TrustedResults {
		path := at("trusted_results", i)
		switch {
		case id == "" || strings.ContainsAny(id, " \t;=()\""):
			c.errorf(path, `%q is not the name of a mail server; write the word that its Authentication-Results fields begin with, like "mx.example.org"`, id)
		case strings.EqualFold(id, c.c.Hostname):
			c.errorf(path, "%q is the hostname of this server, which removes such fields as forged; name the other mail server, or give it another name (AuthservID in opendkim.conf and opendmarc.conf)", id)
		}
	}
}

// label is one part of a domain name (RFC 1123 section 2.1).
var label = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// domainName gives a domain name in lower case and A-labels. It has at least
// two labels.
func domainName(s string) (string, error) {
	name, err := idna.Lookup.ToASCII(s)
	if err != nil {
		return "", fmt.Errorf("%q is not a domain name", s)
	}
	labels := strings.Split(name, ".")
	for _, l := range labels {
		if !label.MatchString(l) {
			return "", fmt.Errorf("%q is not a domain name", s)
		}
	}
	if _, err := netip.ParseAddr(name); err == nil || len(name) > 253 {
		return "", fmt.Errorf("%q is not a domain name", s)
	}
	if len(labels) < 2 {
		return "", fmt.Errorf("%q is only a part of a domain name", s)
	}
	return name, nil
}

// localPart is a dot-atom (RFC 5322 section 3.2.3).
var localPart = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*$")

// address takes an address apart, with the domain as domainName gives it.
func address(s string) (local, domain string, err error) {
	i := strings.LastIndexByte(s, '@')
	if i < 0 || i > 64 || !localPart.MatchString(s[:max(i, 0)]) {
		return "", "", fmt.Errorf("%q is not a mail address", s)
	}
	domain, err = domainName(s[i+1:])
	return s[:i], domain, err
}

// mailbox checks an address that may be left out.
func (c *checker) mailbox(s *string, path string) {
	if *s == "" {
		return
	}
	local, domain, err := address(*s)
	if err != nil {
		c.errorf(path, `%v; write one like "it@example.org"`, err)
		return
	}
	*s = local + "@" + domain
}

// url checks an address of the web.
func (c *checker) url(s *string, path string) *url.URL {
	u, err := url.Parse(*s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.Fragment != "" {
		c.errorf(path, `%q is not an address of the web; write it like "https://mail.example.org"`, *s)
		return nil
	}
	if u.User != nil {
		c.errorf(path, "has a password in it; remove everything before the @, secrets belong into files")
		return nil
	}
	return u
}

// name is what applications and sinks may be called: it stands in log lines,
// metrics, URLs and SMTP AUTH.
var name = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// named checks the name of an element of a list, and that no earlier one has
// it.
func (c *checker) named(got, path string, earlier []string) {
	switch {
	case got == "":
		c.errorf(path, `is missing; write a short name, like name = "civicrm"`)
	case !name.MatchString(got):
		c.errorf(path, `%q is not a name; use at most 64 letters, digits, ".", "_" and "-"`, got)
	case slices.Contains(earlier, got):
		c.errorf(path, "%q is taken by another one above; choose a different name", got)
	}
}

// sinksNamed checks a list of names of sinks.
func (c *checker) sinksNamed(names []string, path string) {
	var known []string
	for _, s := range c.c.Sinks {
		known = append(known, s.Name)
	}
	for i, n := range names {
		if c.c.Sink(n) == nil {
			c.errorf(at(path, i), "there is no sink %q; %s", n, instead(n, known, "add a [[sink]] with this name"))
		} else if slices.Contains(names[:i], n) {
			c.errorf(at(path, i), "%q stands here twice; remove one", n)
		}
	}
}

// instead says what else could have been meant.
func instead(text string, known []string, otherwise string) string {
	if near := nearest.Word(text, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	var names []string
	for _, k := range known {
		if quoted := strconv.Quote(k); k != "" && !slices.Contains(names, quoted) {
			names = append(names, quoted)
		}
	}
	if len(names) == 0 {
		return otherwise
	}
	return otherwise + ", or write " + strings.Join(names, " or ")
}
