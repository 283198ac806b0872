package config

import (
	"cmp"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// maxReturnLocal leaves room for the separator and a tag of 31 characters in a
// local part of 64 octets (RFC 5321 section 4.5.3.1.1).
const maxReturnLocal = 64 - 1 - 31

func (c *checker) domains() {
	if len(c.c.Domains) == 0 {
		c.errorf("domain", `there is none; write a [[domain]] with name = "example.org" and return_path = "return@bounce.example.org"`)
	}
	var earlier []string
	for i := range c.c.Domains {
		d, path := &c.c.Domains[i], at("domain", i)
		c.domain(d, path, earlier)
		earlier = append(earlier, d.Name)
		c.returnPath(d, path+".return_path")
		c.signers(d, path+".dkim")
		if d.Separator != "+" && d.Separator != "-" {
			c.errorf(path+".separator", `%q is neither of the two separators; write "+" or "-"`, d.Separator)
		}
		c.sinksNamed(d.Sinks, path+".sinks")
	}
}

func (c *checker) domain(d *Domain, path string, earlier []string) {
	name, err := domainName(d.Name)
	switch {
	case d.Name == "":
		c.errorf(path+".name", `is missing; write the domain that mail is sent as, like name = "example.org"`)
	case err != nil:
		c.errorf(path+".name", `%v; write it like "example.org"`, err)
	case slices.Contains(earlier, name):
		c.errorf(path+".name", "%q has a [[domain]] above; put everything about it into one", d.Name)
	default:
		d.Name = name
	}
}

func (c *checker) returnPath(d *Domain, path string) {
	if d.ReturnPath == "" {
		if d.VERP == Sign {
			c.errorf(path, `is missing; write an address whose domain's MX is this server, like "return@bounce.%s"`, cmp.Or(d.Name, "example.org"))
		}
		return
	}
	local, domain, err := address(d.ReturnPath)
	local = strings.ToLower(local)
	switch {
	case err != nil:
		c.errorf(path, `%v; write one like "return@bounce.%s"`, err, cmp.Or(d.Name, "example.org"))
	case len(local) > maxReturnLocal:
		c.errorf(path, "the local part has %d octets, which leaves no room for the tag; write one of at most %d", len(local), maxReturnLocal)
	case strings.Trim(local, "abcdefghijklmnopqrstuvwxyz0123456789._-") != "":
		c.errorf(path, `the local part %q may be changed on the way; use letters, digits, ".", "_" and "-"`, local)
	default:
		d.ReturnPath = local + "@" + domain
	}
}

func (c *checker) signers(d *Domain, path string) {
	var earlier []string
	for i := range d.DKIM {
		k, path := &d.DKIM[i], at(path, i)
		_, err := domainName(k.Selector + ".example")
		switch {
		case k.Selector == "":
			c.errorf(path+".selector", `is missing; write the name that the key is published under, like selector = "homing1"`)
		case err != nil:
			c.errorf(path+".selector", `%q is not a selector; use letters, digits and "-"`, k.Selector)
		case slices.Contains(earlier, k.Selector):
			c.errorf(path+".selector", "%q is taken by another key of this domain; give each its own", k.Selector)
		}
		earlier = append(earlier, k.Selector)
		if k.KeyFile == "" {
			c.errorf(path+".key_file", "is missing; write the file with the private key")
			continue
		}
		c.dkimKey(k, path+".key_file")
	}
}

func (c *checker) applications() {
	if len(c.c.Applications) == 0 {
		c.errorf("application", `there is none; run `+"`homing app add NAME --domain DOMAIN`"+`, or write an [[application]] with name and domains`)
	}
	var earlier []string
	for i := range c.c.Applications {
		a, path := &c.c.Applications[i], at("application", i)
		c.named(a.Name, path+".name", earlier)
		earlier = append(earlier, a.Name)
		c.domainsOf(a, path+".domains")
		c.password(a, path)
		c.networks(a, path+".networks")
		c.reachable(a, path)
		c.sinksNamed(a.Sinks, path+".sinks")
		c.prefix(a, path+".verp_prefix")
		c.separator(a, path+".verp_separator")
	}
	c.apart()
}

func (c *checker) domainsOf(a *Application, path string) {
	var known []string
	for i, d := range c.c.Domains {
		if !c.hasFailed(at("domain", i, "name")) {
			known = append(known, d.Name)
		}
	}
	if len(a.Domains) == 0 {
		c.errorf(path, `is missing, so the application may send as nobody; write domains = ["%s"]`, cmp.Or(strings.Join(known, `", "`), "example.org"))
	}
	for i := range a.Domains {
		name, err := domainName(a.Domains[i])
		if err != nil || !slices.Contains(known, name) {
			c.errorf(at(path, i), "%q has no [[domain]]; %s", a.Domains[i], instead(a.Domains[i], known, "add one"))
			continue
		}
		if slices.Contains(a.Domains[:i], name) {
			c.errorf(at(path, i), "%q stands here twice; remove one", name)
		}
		a.Domains[i] = name
	}
}

func (c *checker) networks(a *Application, path string) {
	for i, n := range a.Networks {
		if n.Bits() == 0 {
			c.errorf(at(path, i), `%s is the whole Internet, which makes an open relay; write the networks of the application's machines, like "127.0.0.1/32"`, n)
		}
	}
	listeners := slices.Concat(c.c.Listen.Submission, c.c.Listen.Submissions)
	if len(a.Networks) > 0 && !slices.ContainsFunc(listeners, Address.Private) {
		c.errorf(path, `counts only on listeners bound to a loopback or private address, and there is none; write submission = ["127.0.0.1:587"] in [listen], or give the application a password`)
	}
}

// reachable says of an application how it could hand mail over.
func (c *checker) reachable(a *Application, path string) {
	if c.has(path+".password_hash") || c.has(path+".password_file") || len(a.Networks) > 0 || c.hasFailed(path+".networks") {
		return
	}
	if len(a.Users) == 0 {
		c.warnf(path, "%s has neither password_hash, networks nor users, so it can send over HTTP with a token only; give it one of the three", quoted(a.Name, "the application"))
		return
	}
	if c.c.Listen.Local.IsZero() {
		c.warnf(path+".users", `sendmail hands mail over at the local socket, which is off; write local = "unix:/run/homing/submit.sock" in [listen]`)
	}
}

func quoted(name, otherwise string) string {
	if name == "" {
		return otherwise
	}
	return fmt.Sprintf("%q", name)
}

func (c *checker) prefix(a *Application, path string) {
	if a.VERPPrefix != "" && (!localPart.MatchString(a.VERPPrefix) || len(a.VERPPrefix) > 32) {
		c.errorf(path, `%q cannot begin a mail address; write at most 32 letters and digits and a separator, like "civi+"`, a.VERPPrefix)
	}
}

// verpSeparator is what CiviCRM may put between the parts of its addresses: no
// letter and no digit, which the parts are made of.
var verpSeparator = regexp.MustCompile("^[.!#$%&'*+/=?^_`{|}~-]{1,4}$")

func (c *checker) separator(a *Application, path string) {
	switch {
	case a.Kind != CiviCRM && c.has(path):
		c.errorf(path, `counts for kind = "civicrm" only; remove it`)
	case a.Kind == CiviCRM && (!verpSeparator.MatchString(a.VERPSeparator) || strings.Contains(a.VERPSeparator, "..")):
		c.errorf(path, `%q cannot stand between the parts of an address; write what CiviCRM has as VERP Separator (Administer, CiviMail, Mailer Settings), like "." or "-"`, a.VERPSeparator)
	}
}

// apart checks that no two applications claim the same client or the same
// return addresses: one of them would hear what is the other's.
func (c *checker) apart() {
	networks, users := map[netip.Prefix]string{}, map[string]string{}
	for i, a := range c.c.Applications {
		path := at("application", i)
		for j, n := range a.Networks {
			if first, taken := networks[n]; taken {
				c.errorf(at(path, "networks", j), "%s is %q's as well, so nobody could tell the two apart; give one of them a password instead", n, first)
			}
			networks[n] = a.Name
		}
		for j, u := range a.Users {
			if u == "" {
				c.errorf(at(path, "users", j), `is empty; write a local user, like "www-data"`)
			} else if first, taken := users[u]; taken {
				c.errorf(at(path, "users", j), "%q sends as %q already; run one of the two as another user", u, first)
			}
			users[u] = a.Name
		}
		for _, b := range c.c.Applications[:i] {
			if at := c.confusable(a, b); at != "" {
				c.errorf(path+".verp_prefix", "%s", mixed(a, b, at))
			}
		}
	}
}

// mixed says what to change where two applications cannot be told apart by
// the return addresses that they write.
func mixed(a, b Application, domain string) string {
	const why = "%q is of kind %s as well, and what comes back for both comes to %s and could go to either"
	said := fmt.Sprintf(why, b.Name, b.Kind, domain)
	switch {
	case a.Kind == CiviCRM && a.VERPPrefix == b.VERPPrefix:
		return fmt.Sprintf("%s; give each a prefix of its own, like \"%s+\"", said, a.Name)
	case a.Kind == CiviCRM:
		return fmt.Sprintf("%s, because letter case tells no two prefixes apart (%q and %q); give each a prefix of its own, like \"%s+\"", said, b.VERPPrefix, a.VERPPrefix, a.Name)
	}
	return fmt.Sprintf("%s; give one of them a [[domain]] of its own with another return_path, or each a verp_prefix with which all its addresses begin and no address of the other does", said)
}

// confusable gives the domain in which own return addresses of two
// applications look alike; "": there is none. A clone that never sends makes
// no such addresses.
func (c *checker) confusable(a, b Application) string {
	if a.Kind != b.Kind || a.Mode != Deliver || b.Mode != Deliver || !a.alike(b) {
		return ""
	}
	theirs := c.homes(b)
	for _, d := range c.homes(a) {
		if slices.Contains(theirs, d) {
			return d
		}
	}
	return ""
}

// alike reports whether an own address of one application may be one of the
// other, by their prefixes. Of CiviCRM's grammar two prefixes are the same or
// share no address; the others have a free text behind it.
func (a Application) alike(b Application) bool {
	one, other := strings.ToLower(a.VERPPrefix), strings.ToLower(b.VERPPrefix)
	switch a.Kind {
	case CiviCRM:
		return one == other && a.VERPSeparator == b.VERPSeparator
	case Mautic, Mailman:
		return strings.HasPrefix(one, other) || strings.HasPrefix(other, one)
	}
	return false
}

// homes are the domains in which own addresses of an application are read:
// those of return addresses first.
func (c *checker) homes(a Application) (all []string) {
	for _, d := range c.c.Domains {
		if _, returns, ok := strings.Cut(d.ReturnPath, "@"); ok && slices.Contains(a.Domains, d.Name) {
			all = append(all, returns)
		}
	}
	return append(all, a.Domains...)
}
