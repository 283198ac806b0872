package config

import (
	"net/netip"
	"slices"
	"strings"
)

// tls checks [tls]: a certificate of files, one that is asked for, or neither.
func (c *checker) tls() {
	t := &c.c.TLS
	if t.ACME != nil && (t.CertFile != "" || t.KeyFile != "") {
		c.errorf("tls.cert_file", "there is a [tls.acme] as well; keep the one or the other")
	} else {
		c.certificate()
	}
	for i := range t.MTASTSMX {
		c.mailHost(&t.MTASTSMX[i], at("tls", "mta_sts_mx", i))
	}
	c.enforced()
	a := t.ACME
	if a == nil {
		return
	}
	c.mailbox(&a.Email, "tls.acme.email")
	if a.Listen.Network == "unix" {
		c.errorf("tls.acme.listen", `cannot be a Unix socket; write an address and a port, like ":80"`)
	} else if _, err := netip.ParseAddr(a.Listen.Host()); a.Listen.Host() != "" && err != nil {
		c.errorf("tls.acme.listen", `%q is a name; write the address of this machine to listen at, like "127.0.0.1:80"`, a.Listen.Host())
	}
	if u := c.url(&a.Directory, "tls.acme.directory"); u != nil && u.Scheme != "https" {
		c.errorf("tls.acme.directory", "%q is not asked over HTTPS, so that anybody on the way could answer; write https", a.Directory)
	}
	if a.Webroot != "" && !exists(a.Webroot) {
		c.warnf("tls.acme.webroot", "there is no file or directory %s; correct the path, or leave it out where nothing else has port 80", a.Webroot)
	}
}

// enforced checks that whoever heeds the policy can bring mail to us (RFC 8461
// section 4.2), if we are one of its mail hosts.
func (c *checker) enforced() {
	t := &c.c.TLS
	_, above, _ := strings.Cut(c.c.Hostname, ".")
	ours := len(t.MTASTSMX) == 0 || slices.Contains(t.MTASTSMX, c.c.Hostname) || slices.Contains(t.MTASTSMX, "*."+above)
	if t.MTASTS == MTASTSEnforce && ours && !t.Trusted() {
		c.errorf("tls.mta_sts", `"enforce" forbids others to bring mail to %s, whose certificate nobody trusts; write cert_file and key_file, or [tls.acme], or "testing"`, c.c.Hostname)
	}
}

// mailHost checks the name of a mail host in a policy, which may be all of a
// domain (RFC 8461 section 3.2).
func (c *checker) mailHost(s *string, path string) {
	above, wildcard := strings.CutPrefix(*s, "*.")
	name, err := domainName(above)
	if err != nil {
		c.errorf(path, `%v; write the name of a mail host, like "mail.example.org"`, err)
		return
	}
	if *s = name; wildcard {
		*s = "*." + name
	}
}
