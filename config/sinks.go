package config

import (
	"cmp"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"homing/internal/publicnet"
)

// leastSecret is the least length of what signs a webhook, in octets.
const leastSecret = 16

// sinkKeys says which keys a sink needs and may have, apart from name and
// type.
var sinkKeys = map[SinkType]struct{ needs, may []string }{
	SinkWebhook: {[]string{"url"}, []string{"format", "secret_file", "username", "password_file", "topic", "allow_private"}},
	SinkCiviCRM: {[]string{"url", "api_key_file"}, []string{"site_key_file", "report_sender_faults", "create_contacts", "activity_type", "activity_targets", "activity_assignees"}},
	SinkDSN:     {nil, nil},
	SinkMaildir: {[]string{"path"}, []string{"what", "keep", "max_messages"}},
	SinkLMTP:    {[]string{"address"}, nil},
	SinkSMTP:    {[]string{"address"}, nil},
}

// formatKeys says which of the keys of a webhook a format needs besides, and
// which mean nothing to it.
var formatKeys = map[Format]struct{ needs, not []string }{
	FormatStandard: {[]string{"secret_file"}, []string{"topic"}},
	FormatListmonk: {[]string{"username", "password_file"}, []string{"secret_file", "topic"}},
	FormatPostmark: {nil, []string{"secret_file", "topic"}},
	FormatSendGrid: {[]string{"secret_file"}, []string{"topic"}},
	FormatMailgun:  {[]string{"secret_file"}, []string{"topic"}},
	FormatSES:      {nil, []string{"secret_file"}},
	FormatMautic:   {[]string{"username", "password_file"}, []string{"secret_file", "topic"}},
}

func (c *checker) sinks() {
	var earlier []string
	for i := range c.c.Sinks {
		s, path := &c.c.Sinks[i], at("sink", i)
		c.named(s.Name, path+".name", earlier)
		earlier = append(earlier, s.Name)
		if s.Name == DefaultSink && s.Type != SinkDSN {
			c.errorf(path+".name", "%q is what the report by mail is called where a domain names no sinks; choose another name", DefaultSink)
		}
		if s.Type == "" {
			c.errorf(path+".type", "is missing; write one of webhook, civicrm, dsn, maildir, lmtp, smtp")
			continue
		}
		c.keysOf(s, path)
		if s.Type == SinkWebhook {
			c.formatOf(s, path)
		}
		if s.URL != "" {
			c.sinkURL(s, path+".url")
		}
		s.Secret = c.secret(s.SecretFile, path+".secret_file")
		if s.SecretFile != "" && len(s.Secret) < leastSecret {
			c.errorf(path+".secret_file", "the secret has %d octets, which anybody could guess; make one with `%s`", len(s.Secret), secretMaker(s.Format))
		}
		s.Password = c.secret(s.PasswordFile, path+".password_file")
		s.APIKey = c.secret(s.APIKeyFile, path+".api_key_file")
		s.SiteKey = c.secret(s.SiteKeyFile, path+".site_key_file")
		c.peer(s.Address, path+".address", s.Type == SinkLMTP)
		if s.Type == SinkCiviCRM {
			c.oneSite(s, path)
		}
		c.filing(s, path)
		if s.Type == SinkMaildir {
			c.maildir(s, c.c.Sinks[:i], path)
		}
	}
}

// secretMaker is a command that makes a secret for a webhook.
func secretMaker(f Format) string {
	switch f {
	case FormatSendGrid:
		return "openssl ecparam -name prime256v1 -genkey -noout"
	case FormatMailgun:
		return "openssl rand -hex 16"
	}
	return "echo whsec_$(openssl rand -base64 32)"
}

// oneSite checks who tells a site of CiviCRM: two databases can have the same
// job and queue ids, and one that is told by two ways counts twice.
func (c *checker) oneSite(s *Sink, path string) {
	var sites []string
	for i, a := range c.c.Applications {
		told := c.sinksOf(a)
		if !slices.ContainsFunc(told, func(t Sink) bool { return t.Name == s.Name }) {
			continue
		}
		if a.Kind == CiviCRM {
			sites = append(sites, a.Name)
		}
		for _, other := range told {
			if other.Type == SinkMaildir {
				c.warnf(at("application", i, "sinks"), "tells CiviCRM by its API (%s) and by a Maildir (%s), which counts each bounce twice where CiviCRM reads it; keep one of the two", s.Name, other.Name)
			}
		}
	}
	if len(sites) > 1 {
		c.warnf(path, "is told by %s: if these are two sites, each needs a sink of its own, because both have the same job and queue ids", strings.Join(sites, " and "))
	}
}

// keysOf checks that a sink has the keys of its type and no others.
func (c *checker) keysOf(s *Sink, path string) {
	keys := sinkKeys[s.Type]
	for _, k := range keys.needs {
		if !c.has(path + "." + k) {
			c.errorf(path+"."+k, "is missing, and a sink of type %s needs it", s.Type)
		}
	}
	for _, k := range []string{"url", "format", "secret_file", "username", "password_file", "topic", "allow_private", "api_key_file", "site_key_file", "report_sender_faults",
		"create_contacts", "activity_type", "activity_targets", "activity_assignees", "path", "what", "address", "keep", "max_messages"} {
		if c.has(path+"."+k) && !slices.Contains(keys.needs, k) && !slices.Contains(keys.may, k) {
			c.errorf(path+"."+k, "means nothing to a sink of type %s; remove it, or correct the type", s.Type)
		}
	}
}

// topicARN is the name of a topic of Amazon SNS.
var topicARN = regexp.MustCompile(`^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]+(\.fifo)?$`)

// formatOf checks that a webhook has what its format needs.
func (c *checker) formatOf(s *Sink, path string) {
	if s.Format == "" && c.has(path+".format") {
		return // it is not known, which was said
	}
	s.Format = cmp.Or(s.Format, FormatStandard)
	keys := formatKeys[s.Format]
	for _, k := range keys.needs {
		if !c.has(path + "." + k) {
			c.errorf(path+"."+k, "is missing, and a webhook of format %s needs it", s.Format)
		}
	}
	for _, k := range keys.not {
		if c.has(path + "." + k) {
			c.errorf(path+"."+k, "means nothing to a webhook of format %s; remove it, or correct the format", s.Format)
		}
	}
	if s.Topic != "" && !topicARN.MatchString(s.Topic) {
		c.errorf(path+".topic", `%q is not the ARN of a topic; write the one that the receiver expects, like "arn:aws:sns:eu-central-1:123456789012:bounces"`, s.Topic)
	}
	if (s.Username == "") != (s.PasswordFile == "") && !slices.Contains(keys.needs, "username") {
		c.errorf(path+".username", "a sink that logs in needs username and password_file; write both or none")
	}
}

func (c *checker) sinkURL(s *Sink, path string) {
	u := c.url(&s.URL, path)
	if u == nil {
		return
	}
	inside := privateHost(u)
	switch {
	case s.Type == SinkWebhook && inside && !s.AllowPrivate:
		c.errorf(path, "%s is not a public address; write allow_private = true below if that is meant", u.Hostname())
	case s.Type == SinkCiviCRM && u.Scheme == "http" && public(u):
		c.errorf(path, "would send the API key over the Internet unencrypted; write https://, or http:// with an address of this machine or network, like http://127.0.0.1")
	case s.Type == SinkCiviCRM: // what a name leads to is judged when it is called
	case u.Scheme == "http" && !inside:
		c.warnf(path, "goes over the Internet unencrypted, with people's addresses; write https://")
	}
}

// privateHost reports whether a URL plainly names what the sink would refuse to
// connect to. Other names show it only when they are resolved.
func privateHost(u *url.URL) bool {
	host := u.Hostname()
	ip, err := netip.ParseAddr(host)
	return err == nil && !publicnet.Address(ip) || host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// public reports whether a URL plainly names a public address.
func public(u *url.URL) bool {
	ip, err := netip.ParseAddr(u.Hostname())
	return err == nil && publicnet.Address(ip)
}

// peer checks an address to call.
func (c *checker) peer(a Address, path string, socket bool) {
	switch {
	case a.IsZero():
	case a.Network == "unix" && !socket:
		c.errorf(path, `cannot be a Unix socket; write a name and a port, like "smtp.example.org:587"`)
	case a.Network == "unix" && len(a.Address) > maxSocketPath:
		c.errorf(path, "the path has %d octets and the system allows %d; choose a shorter one", len(a.Address), maxSocketPath)
	case a.Network == "tcp" && (a.Host() == "" || a.Port() == 0):
		c.errorf(path, `%q says not whom to call; write a name and a port, like "smtp.example.org:587"`, a)
	}
}

func (c *checker) routes() {
	var earlier []string
	for i := range c.c.Routes {
		r, path := &c.c.Routes[i], at("route", i)
		c.routeAddress(r, path+".address", earlier)
		earlier = append(earlier, r.Address)
		c.use(r.As, r.From, r.To, path)
	}
}

func (c *checker) routeAddress(r *Route, path string, earlier []string) {
	local, domain, err := address(r.Address)
	normal := strings.ToLower(local) + "@" + domain
	switch {
	case r.Address == "":
		c.errorf(path, `is missing; write an address, like "office@bounce.example.org", or "*@bounce.example.org" for all others`)
	case err != nil || strings.Contains(local, "*") && local != "*":
		c.errorf(path, `%q is not an address; write one like "office@bounce.example.org", or "*@bounce.example.org" for all others`, r.Address)
	case slices.Contains(earlier, normal):
		c.errorf(path, "%q has a [[route]] above; put its sinks into one", r.Address)
	default:
		r.Address = normal
	}
}

// use checks what a route and a source have in common.
func (c *checker) use(as RouteUse, from, to []string, path string) {
	if as == "" {
		c.errorf(path+".as", "is missing; write one of activity, reply, bounce, complaint, report, forward")
	}
	if as != AsActivity && as != "" && len(from) > 0 {
		c.errorf(path+".from", `counts for as = "activity" only; remove it`)
	}
	for i := range from {
		_, errDomain := domainName(from[i])
		if _, _, err := address(from[i]); err != nil && errDomain != nil {
			c.errorf(at(path, "from", i), `%q is neither a domain nor an address; write it like "example.org" or "office@example.org"`, from[i])
		}
	}
	if len(to) == 0 && slices.Contains([]RouteUse{AsActivity, AsReply, AsForward}, as) {
		c.errorf(path+".to", `is missing, so nobody would get this mail; write the names of sinks, like to = ["crm"]`)
	}
	c.sinksNamed(to, path+".to")
	if as == AsActivity {
		c.filers(to, path+".to")
	}
}
