package config

import (
	"cmp"
	"iter"
	"slices"
	"strings"
	"time"
)

func (c *checker) hold() {
	known := start().Hold.Thresholds
	for k := range c.c.Hold.Thresholds {
		if _, ok := known[k]; ok {
			continue
		}
		delete(c.c.Hold.Thresholds, k)
		path := at("hold", "thresholds", k)
		if slices.Contains([]string{"AOL", "Away", "Inactive", "Invalid", "Spam"}, k) {
			c.errorf(path, "has no threshold: such replies hold an address at once, are our own fault, or are no failure; remove it")
			continue
		}
		c.errorf(path, "is not a CiviCRM type with a threshold; write one of Dns, Host, Loop, Quota, Relay, Syntax")
	}
}

func (c *checker) delivery() {
	d := &c.c.Delivery
	if d.Port < 1 || d.Port > 65535 {
		c.errorf("delivery.port", "%d is not a port; write a number from 1 to 65535, mostly 25", d.Port)
	}
	c.positive(d.Lifetime, "delivery.lifetime", "5d")
	if len(d.Retry) == 0 {
		c.errorf("delivery.retry", `has no pause; write at least one, like retry = ["15m"], or leave it out`)
	}
	for i, r := range d.Retry {
		c.positive(r, at("delivery", "retry", i), "15m")
	}
	twice(c, d.SourceAddresses, "delivery.source_addresses")
	twice(c, d.PublicAddresses, "delivery.public_addresses")
	for i, a := range d.WarmAddresses {
		if !slices.Contains(d.SourceAddresses, a) {
			c.errorf(at("delivery", "warm_addresses", i), "%v is none of delivery.source_addresses; add it there, or remove it here", a)
		}
	}
	c.providers()
	c.window(d)
	c.peer(c.c.DNS.Server, "dns.server", false)
	for s, path := range c.c.smarthosts() {
		c.smarthost(s, path)
	}
}

// mostWindow is how many messages may be sent twice when a connection is lost.
const mostWindow = 20

func (c *checker) window(d *Delivery) {
	for i := range d.WindowSites {
		if name, err := domainName(d.WindowSites[i]); err != nil {
			c.errorf(at("delivery", "window_sites", i), `%v; write a domain of recipients or of an MX, like "example.net"`, err)
		} else {
			d.WindowSites[i] = name
		}
	}
	twice(c, d.WindowSites, "delivery.window_sites")
	if d.Window < 1 || d.Window > mostWindow {
		c.errorf("delivery.window", "%d is out of range: so many messages may arrive twice when a connection is lost; write a number from 1 to %d, mostly 4", d.Window, mostWindow)
	}
}

// smarthosts gives all that there are, with where they stand.
func (c *Config) smarthosts() iter.Seq2[*Smarthost, string] {
	return func(yield func(*Smarthost, string) bool) {
		if s := c.Delivery.Smarthost; s != nil && !yield(s, "delivery.smarthost") {
			return
		}
		for i := range c.Domains {
			if s := c.Domains[i].Smarthost; s != nil && !yield(s, at("domain", i, "smarthost")) {
				return
			}
		}
	}
}

func (c *checker) smarthost(s *Smarthost, path string) {
	if s.Address.IsZero() {
		c.errorf(path+".address", `is missing; write the server and its port, like "smtp.provider.example:587"`)
	}
	c.peer(s.Address, path+".address", false)
	switch {
	case s.Username != "" && s.PasswordFile == "":
		c.errorf(path+".password_file", "is missing, and username is here; write the file with the password")
	case s.Username == "" && s.PasswordFile != "":
		c.errorf(path+".username", "is missing, and password_file is here; write the name to log in with")
	case s.Username != "" && s.TLS != TLSRequire && !s.Address.Loopback():
		c.errorf(path+".tls", `%q could send the password unencrypted; write tls = "require"`, s.TLS)
	}
	s.Password = c.secret(s.PasswordFile, path+".password_file")
	if s.RewritesSender {
		c.rewritten(s, path+".rewrites_sender")
	}
}

// rewritten checks that what comes back by way of a smarthost's account has
// somewhere to come to, and something to be known by.
func (c *checker) rewritten(s *Smarthost, path string) {
	var without []string
	for _, d := range c.c.Domains {
		if cmp.Or(d.Smarthost, c.c.Delivery.Smarthost) == s && d.ReturnPath == "" {
			without = append(without, d.Name)
		}
	}
	if len(without) > 0 {
		c.warnf(path, "does nothing for %s, which has no return_path; write one into its [[domain]], also with verp = \"keep\"", strings.Join(without, " and "))
	}
	if len(c.c.Routes) == 0 {
		c.warnf(path, "needs an address that the account's mailbox passes its reports on to, and there is no [[route]]; write one, "+
			"like address = \"bounces@bounce.example.org\" and as = \"bounce\", in a domain whose MX is this server")
	}
}

func twice[T comparable](c *checker, list []T, path string) {
	for i, a := range list {
		if slices.Contains(list[:i], a) {
			c.errorf(at(path, i), "%v stands here twice; remove one", a)
		}
	}
}

func (c *checker) notices() {
	for i := range c.c.Notify.To {
		c.mailbox(&c.c.Notify.To[i], at("notify", "to", i))
	}
	if !c.has("notify.to") && c.c.Postmaster != "" {
		c.c.Notify.To = []string{c.c.Postmaster}
	}
	for i := range c.c.Check.Blocklists {
		b := &c.c.Check.Blocklists[i]
		if name, err := domainName(*b); err != nil {
			c.errorf(at("check", "blocklists", i), `%v; write the zone of a block list, like "zen.spamhaus.org"`, err)
		} else {
			*b = name
		}
	}
}

// elsewhere checks what other parts of the server read for themselves.
func (c *checker) elsewhere() {
	if file := c.c.Bounce.RulesFile; file != "" && !exists(file) {
		c.errorf("bounce.rules_file", "there is no file %s; make it, or leave the key out", file)
	}
	if s := c.c.Store; s.Engine == Embedded && s.URLFile != "" {
		c.errorf("store.url_file", "means nothing to the embedded engine; remove it")
	}
	c.c.Store.URL = c.secret(c.c.Store.URLFile, "store.url_file")
}

// mostRecipients is how many rows the store writes in one transaction.
const mostRecipients = 1000

// bounds checks the numbers that would stop the server's work.
func (c *checker) bounds() {
	l := c.c.Limits
	for _, s := range []struct {
		key  string
		size Size
	}{{"message_out", l.MessageOut}, {"message_in", l.MessageIn}} {
		if s.size < 64<<10 {
			c.errorf("limits."+s.key, "%s is less than the 64 KiB that every server must take (RFC 5321); write it like \"25MiB\"", s.size)
		}
	}
	for _, n := range []struct {
		key   string
		value int
		least int
		why   string
	}{
		{"recipients", l.Recipients, 100, "RFC 5321 wants at least that many"},
		{"connections_per_address", l.ConnectionsPerAddress, 1, "nobody could connect"},
		{"auth_failures_per_minute", l.AuthFailuresPerMinute, 1, "nobody could log in"},
	} {
		if n.value < n.least {
			c.errorf("limits."+n.key, "%d is too low: %s; write %d or more", n.value, n.why, n.least)
		}
	}
	if l.Recipients > mostRecipients {
		c.errorf("limits.recipients", "%d is too high: a message and all its recipients are stored at once, which is possible with %d; write that or less", l.Recipients, mostRecipients)
	}
	r := c.c.Retention
	c.positive(r.Events, "retention.events", "90d")
	c.positive(r.Bounces, "retention.bounces", "30d")
	c.positive(r.Captured, "retention.captured", "30d")
	if c.positive(r.Index, "retention.index", "30d"); r.Index > 0 && r.Index < 7*day {
		c.warnf("retention.index", "%s is short: bounces that come later are refused; write at least \"7d\"", strings.TrimSuffix(r.Index.String(), "0m0s"))
	}
	c.positive(c.c.Check.Interval, "check.interval", "1h")
}

func (c *checker) positive(d time.Duration, path, example string) {
	if d <= 0 {
		c.errorf(path, "must be longer than nothing; write it like %q", example)
	}
}
