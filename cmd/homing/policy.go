package main

import (
	"cmp"
	"fmt"
	"net/netip"
	"os/user"
	"strconv"
	"strings"
	"time"

	"homing/config"
	"homing/delivery"
	"homing/hold"
	"homing/internal/dkim"
	"homing/queue"
	"homing/queue/shape"
	"homing/server"
	"homing/verp"
)

// policyOf turns the configuration into who may send as what.
func policyOf(cfg *config.Config, codec *verp.Codec) (*server.Policy, error) {
	p := &server.Policy{
		Hostname: cfg.Hostname, PublicURL: publicURL(cfg), Machine: machineNames(), Mode: server.Mode(cfg.Mode), Postmaster: cfg.Postmaster,
		MaxOut: int64(cfg.Limits.MessageOut), MaxIn: int64(cfg.Limits.MessageIn), Verp: codec,
	}
	domains := map[string]*server.Domain{}
	for _, c := range cfg.Domains {
		d, err := domainOf(c)
		if err != nil {
			return nil, err
		}
		d.Rewritten = rewrites(cfg, c)
		domains[d.Name] = d
		p.Domains = append(p.Domains, d)
	}
	for _, c := range cfg.Applications {
		a, err := applicationOf(c, domains)
		if err != nil {
			return nil, err
		}
		p.Applications = append(p.Applications, a)
	}
	p.Routes = routesOf(cfg)
	for _, s := range cfg.Sinks {
		if s.Type == config.SinkLMTP || s.Type == config.SinkSMTP {
			p.Relays = append(p.Relays, s.Name)
		}
	}
	return p, nil
}

// rewrites reports whether the smarthost of a domain's mail replaces the
// reverse-path.
func rewrites(cfg *config.Config, d config.Domain) bool {
	relay := cmp.Or(d.Smarthost, cfg.Delivery.Smarthost)
	return relay != nil && relay.RewritesSender
}

// publicURL is where the world reaches us; "": nowhere that mail programs
// would go to (RFC 8058 section 3.1 wants HTTPS).
func publicURL(cfg *config.Config) string {
	if !strings.HasPrefix(cfg.PublicURL, "https://") {
		return ""
	}
	return cfg.PublicURL
}

func routesOf(cfg *config.Config) (all []server.Route) {
	for _, c := range cfg.Routes {
		local, domain, _ := strings.Cut(c.Address, "@")
		all = append(all, server.Route{Local: local, Domain: hold.CanonicalDomain(domain), As: server.RouteUse(c.As), From: c.From, To: c.To})
	}
	return all
}

func domainOf(c config.Domain) (*server.Domain, error) {
	d := &server.Domain{Name: hold.CanonicalDomain(c.Name), Keep: c.VERP == config.Keep, Unsubscribe: c.ListUnsubscribe == config.UnsubscribeAuto, Sinks: c.Sinks}
	if c.ReturnPath != "" {
		path, err := verp.ParsePath(c.ReturnPath, cmp.Or(c.Separator, "+")[0])
		if err != nil {
			return nil, err
		}
		d.Path = path
	}
	if len(c.DKIM) == 0 {
		return d, nil
	}
	d.Signer = &dkim.Signer{Domain: d.Name}
	for _, k := range c.DKIM {
		key, err := dkim.NewKey(k.Selector, k.Key)
		if err != nil {
			return nil, fmt.Errorf("the DKIM key %s of %s: %w", k.KeyFile, c.Name, err)
		}
		d.Signer.Keys = append(d.Signer.Keys, key)
	}
	return d, nil
}

// grammars says which kinds of applications have a grammar of their own.
var grammars = map[config.Kind]verp.Kind{
	config.CiviCRM: verp.CiviCRM,
	config.Mautic:  verp.Mautic,
	config.Mailman: verp.Mailman,
}

func applicationOf(c config.Application, domains map[string]*server.Domain) (*server.Application, error) {
	a := &server.Application{
		Name: c.Name, Kind: string(c.Kind), Password: c.Password, Networks: c.Networks, Sinks: c.Sinks, Mode: server.Mode(c.Mode),
		RejectHeld: c.Held == config.Reject, DailyLimit: c.DailyLimit, Rate: c.AllowRate.PerSecond(), Lists: c.Kind == config.Mailman,
		Forward: c.Replies == config.RepliesForward, RepliesTo: c.RepliesTo,
	}
	for _, name := range c.Domains {
		a.Domains = append(a.Domains, domains[hold.CanonicalDomain(name)])
	}
	for _, name := range c.Users {
		uid, err := uidOf(name)
		if err != nil {
			return nil, fmt.Errorf("application %s: %w", c.Name, err)
		}
		a.UIDs = append(a.UIDs, uid)
	}
	a.Grammar = grammarOf(c)
	return a, nil
}

// grammarOf is how an application writes its own return addresses; nil: in no
// way that is known.
func grammarOf(c config.Application) *verp.Grammar {
	kind, ok := grammars[c.Kind]
	if !ok {
		return nil
	}
	return &verp.Grammar{Kind: kind, Prefix: c.VERPPrefix, Separator: c.VERPSeparator}
}

// uidOf finds a local user by name or number.
func uidOf(name string) (int, error) {
	if uid, err := strconv.Atoi(name); err == nil {
		return uid, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return 0, fmt.Errorf("there is no local user %q: correct users, or create it", name)
	}
	return strconv.Atoi(u.Uid)
}

// How much is sent at once, to all sites together; to each, the configuration
// says.
const (
	slotsTotal = 1000
	slotBatch  = 50

	// A slot at a site that keeps us waiting is lent to others meanwhile.
	slotPatience = time.Second
	slotsStalled = 2000
)

// providersOf turns the providers of the configuration into sites, and gives
// what counts for those that have no entry.
func providersOf(all []config.Provider) (sites []queue.Provider, rest config.Provider) {
	for _, p := range all {
		if p.Name == config.DefaultProvider {
			rest = p
			continue
		}
		sites = append(sites, queue.Provider{Name: p.Name, MX: p.MX, Networks: p.Networks, Domains: p.Domains, Origin: p.Origin(),
			Rule: shape.Rule{Connections: p.Connections, PerConnection: p.MessagesPerConnection, Rate: shape.Rate(p.Rate)}})
	}
	return sites, rest
}

// A smarthost is a smarthost of the configuration, and whose mail goes there.
type smarthost struct {
	*config.Smarthost
	domain string // that sends; "": all that have none of their own
}

// smarthostsOf gives all that there are.
func smarthostsOf(cfg *config.Config) (all []smarthost) {
	if s := cfg.Delivery.Smarthost; s != nil {
		all = append(all, smarthost{s, ""})
	}
	for _, d := range cfg.Domains {
		if d.Smarthost != nil {
			all = append(all, smarthost{d.Smarthost, d.Name})
		}
	}
	return all
}

// site names the site of a smarthost.
func (s smarthost) site() string {
	if s.domain == "" {
		return "smarthost"
	}
	return "smarthost:" + s.domain
}

// provider gives the limits of a smarthost: the usual ones, and its own.
func (s smarthost) provider(rest config.Provider) queue.Provider {
	p := queue.Provider{Name: s.site(), Origin: rest.Origin(), Rule: shape.Rule{Connections: rest.Connections}}
	if s.MaxPerHour > 0 {
		p.Rule.Rate = shape.Rate{Count: s.MaxPerHour, Per: time.Hour}
		p.Origin += ", and max_per_hour of the smarthost"
	}
	return p
}

// queueOptions turns the configuration into what the queue goes by.
func queueOptions(cfg *config.Config) queue.Options {
	providers, rest := providersOf(cfg.Delivery.Providers)
	o := queue.Options{
		Retry: cfg.Delivery.Retry, Lifetime: cfg.Delivery.Lifetime,
		Rules: hold.Rules{Share: cfg.Hold.Share, Thresholds: cfg.Hold.Thresholds},
		Limits: shape.Limits{Total: slotsTotal, PerSite: rest.Connections, Batch: slotBatch, Patience: slotPatience, Stalled: slotsStalled,
			Sources: delivery.Pairs(cfg.Delivery.SourceAddresses)},
		Providers: providers, Origin: rest.Origin(),
		Breaker: cfg.Delivery.Breaker == config.BreakerAuto,
		Warmup:  queue.Warmup{On: cfg.Delivery.Warmup == config.WarmupAuto, Warm: namesOf(cfg.Delivery.WarmAddresses)},
		Retention: queue.Retention{Events: cfg.Retention.Events, Bounces: cfg.Retention.Bounces,
			Captured: cfg.Retention.Captured, Index: cfg.Retention.Index},
	}
	for _, s := range cfg.Sinks {
		o.Sinks = append(o.Sinks, s.Name)
		if s.Type != config.SinkWebhook {
			o.Shows = append(o.Shows, s.Name)
		}
	}
	o.Limits.Via = map[string]string{}
	for _, s := range smarthostsOf(cfg) {
		o.Limits.Via[s.domain] = s.site()
		o.Providers = append(o.Providers, s.provider(rest))
	}
	return o
}

// namesOf gives the names of source addresses. Of a pair that of the first counts
// (see delivery.Pairs).
func namesOf(addrs []netip.Addr) (names []string) {
	for _, a := range addrs {
		names = append(names, a.String())
	}
	return names
}

// codecOf makes the signer of return addresses.
func codecOf(cfg *config.Config, keys []verp.Key) (*verp.Codec, error) {
	return verp.New(verp.Options{Keys: keys, MaxAge: cfg.Retention.Index, Now: time.Now})
}
