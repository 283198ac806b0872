package main

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"homing/config"
	"homing/dnscheck"
	"homing/event/civicrm"
	"homing/hold"
	"homing/internal/message"
	"homing/server/selfcheck"
)

// Checks of a site of CiviCRM, each about a screen.
const (
	crmAPI         = "civicrm_api"
	crmPermissions = "civicrm_permissions"
	crmOutbound    = "civicrm_outbound"
	crmAccount     = "civicrm_account"
	crmMailer      = "civicrm_mailer"
	crmJobs        = "civicrm_jobs"
	crmFrom        = "civicrm_from"
	crmActivities  = "civicrm_activities"
)

// crmChecks look at the screens of each site that is told over its API.
func (h *house) crmChecks(cfg *config.Config) (all []selfcheck.Check) {
	for _, site := range h.crms.inForce() {
		all = append(all, selfcheck.Check{Name: "civicrm " + site.Name(), Run: func(ctx context.Context) []dnscheck.Finding {
			if err := site.Reach(ctx); err != nil {
				return []dnscheck.Finding{{Check: crmAPI, Subject: site.Name(), Verdict: dnscheck.Fail, Wanted: "an answer to calls of its API",
					Found: err.Error(), Fix: "Do what it says. Until then nothing is lost: Homing tells CiviCRM everything once it answers. docs/CIVICRM.md says how to set the API up."}}
			}
			return crmFindings(cfg, site.Name(), site.Settings(ctx))
		}})
	}
	return all
}

// A crmScreen judges what stands in the screens of one site.
type crmScreen struct {
	cfg   *config.Config
	sink  string
	apps  []config.Application // of CiviCRM, which tell the sink
	found civicrm.Settings
	all   []dnscheck.Finding
}

// crmFindings judges what stands in the screens of a site.
func crmFindings(cfg *config.Config, sink string, found civicrm.Settings) []dnscheck.Finding {
	s := &crmScreen{cfg: cfg, sink: sink, found: found}
	for _, a := range tellersOf(cfg, sink) {
		if a.Kind == config.CiviCRM {
			s.apps = append(s.apps, a)
		}
	}
	s.add(crmAPI, dnscheck.OK, "", "it answers, and takes bounces of us", "")
	s.read(crmPermissions, civicrm.OfContacts, s.permissions)
	files := func(r config.Route) bool { return r.As == config.AsActivity && slices.Contains(r.To, sink) }
	if slices.ContainsFunc(cfg.Routes, files) {
		s.read(crmActivities, civicrm.OfFiling, s.activities)
	}
	if len(s.apps) == 0 {
		return s.all // it hears of mail of other software alone: its own screens are not our business
	}
	s.read(crmOutbound, civicrm.OfOutbound, s.outbound)
	s.read(crmAccount, civicrm.OfAccount, s.account)
	s.read(crmMailer, civicrm.OfMailer, s.mailer)
	s.read(crmJobs, civicrm.OfJobs, s.jobs)
	s.read(crmFrom, civicrm.OfFrom, s.from)
	return s.all
}

func (s *crmScreen) add(check string, v dnscheck.Verdict, wanted, found, fix string) {
	s.all = append(s.all, dnscheck.Finding{Check: check, Subject: s.sink, Verdict: v, Wanted: wanted, Found: found, Fix: fix})
}

// read judges a screen that could be read.
func (s *crmScreen) read(check, of string, judge func() bool) {
	err := s.found.Unread[of]
	switch {
	case err == civicrm.ErrDenied:
		s.add(check, dnscheck.Skipped, "", "the contact whose key it is may not read this; \"administer CiviCRM\" would let it", "")
	case err != nil:
		s.add(check, dnscheck.Skipped, "", "it could not be read: "+err.Error(), "")
	case judge():
		s.add(check, dnscheck.OK, "", "as it should be", "")
	}
}

const permissionScreen = "Administer, Users and Permissions, Permissions (in WordPress, Drupal or Joomla: the role of the user whose contact has the key)"

func (s *crmScreen) permissions() bool {
	switch {
	case !s.found.Contacts:
		s.add(crmPermissions, dnscheck.Warn, "\"view all contacts\" and \"edit all contacts\"", "the contact whose key it is sees no e-mail address",
			permissionScreen+": tick \"view all contacts\" and \"edit all contacts\". Without, nobody is put on hold for a receipt that bounces.")
	case !s.found.Edits:
		s.add(crmPermissions, dnscheck.Warn, "\"edit all contacts\"", "the contact whose key it is may not change e-mail addresses",
			permissionScreen+": tick \"edit all contacts\". Without, nobody is put on hold for a receipt that bounces.")
	default:
		return true
	}
	return false
}

// activities judges whether mail can be filed.
func (s *crmScreen) activities() bool {
	c := s.cfg.Sink(s.sink)
	good := true
	wrong := func(wanted, found, fix string) {
		good = false
		s.add(crmActivities, dnscheck.Fail, wanted, found, fix+" Mail that cannot be filed is tried for three days.")
	}
	if !s.found.Files {
		wrong("\"view all activities\"", "the contact whose key it is may not make activities of mail", permissionScreen+": tick \"view all activities\".")
	}
	if c.CreateContacts && !s.found.Introduces {
		wrong("\"add contacts\"", "the contact whose key it is may not make contacts of people who write for the first time",
			permissionScreen+": tick \"add contacts\"; or write create_contacts = false into [[sink]] "+s.sink+" of homing.toml and run `systemctl reload homing`.")
	}
	if !s.found.Type {
		wrong("the activity type "+c.ActivityType, "the site has no such type of activity, or it is disabled",
			"Administer, Customize Data and Screens, Activity Types: add or enable \""+c.ActivityType+"\"; or correct activity_type of [[sink]] "+s.sink+" in homing.toml and run `systemctl reload homing`.")
	}
	return good
}

const outboundScreen = "Administer, System Settings, Outbound Email"

// outbound judges how CiviCRM hands its mail over.
func (s *crmScreen) outbound() bool {
	o := s.found.Outbound
	fix := fmt.Sprintf("%s: select SMTP and enter %s.", outboundScreen, s.server())
	switch o.Option {
	case civicrm.SMTP:
		return s.smtp(fix)
	case civicrm.Disabled:
		s.add(crmOutbound, dnscheck.Fail, "SMTP", "\"Select Mailer\" is \"Disable Outbound Email\": CiviCRM sends nothing", fix)
	case civicrm.ToDatabase:
		s.add(crmOutbound, dnscheck.Fail, "SMTP", "\"Select Mailer\" is \"Redirect to Database\": mail is kept in a table that nobody reads",
			fix+" To keep mail of a copy of the site from leaving, write mode = \"capture\" into its [[application]] instead.")
	case civicrm.Sendmail, civicrm.PHPMail:
		s.add(crmOutbound, dnscheck.Warn, "SMTP", "\"Select Mailer\" is sendmail or mail(): whether that is Homing cannot be seen from here", fix)
	default:
		s.add(crmOutbound, dnscheck.Warn, "SMTP", fmt.Sprintf("\"Select Mailer\" has the value %d, which is not known", o.Option), fix)
	}
	return false
}

// server says what to enter as server, port and authentication.
func (s *crmScreen) server() string {
	for _, a := range s.cfg.Listen.Submission {
		if a.Loopback() || a.Host() == "" {
			if slices.ContainsFunc(s.apps[0].Networks, func(n netip.Prefix) bool { return n.Contains(netip.AddrFrom4([4]byte{127, 0, 0, 1})) }) {
				return fmt.Sprintf("server %s, port %d, authentication No", cmp.Or(loopbackOf(a), "127.0.0.1"), a.Port())
			}
		}
	}
	user := s.apps[0].Name
	if l := s.cfg.Listen.Submissions; len(l) > 0 {
		return fmt.Sprintf("server ssl://%s, port %d, authentication Yes, user name %s", s.cfg.Hostname, l[0].Port(), user)
	}
	if l := s.cfg.Listen.Submission; len(l) > 0 {
		return fmt.Sprintf("server %s, port %d, authentication Yes, user name %s", cmp.Or(loopbackOf(l[0]), s.cfg.Hostname), l[0].Port(), user)
	}
	return "server 127.0.0.1, port 587, authentication No, after submission = [\"127.0.0.1:587\"] was written into [listen] of homing.toml"
}

// loopbackOf is the address to call a listener that only this machine reaches.
func loopbackOf(a config.Address) string {
	if a.Loopback() {
		return a.Host()
	}
	return ""
}

// smtp judges whether the server is Homing.
func (s *crmScreen) smtp(fix string) bool {
	o := s.found.Outbound
	scheme, host, encrypted := strings.Cut(o.Server, "://")
	if !encrypted {
		scheme, host = "", o.Server
	}
	listeners := s.cfg.Listen.Submission
	if scheme == "ssl" || scheme == "tls" {
		listeners = s.cfg.Listen.Submissions
	}
	told := fmt.Sprintf("server %s, port %s", cmp.Or(o.Server, "(none)"), cmp.Or(o.Port, "(none)"))
	port, _ := strconv.Atoi(cmp.Or(o.Port, "25"))
	switch {
	case !slices.ContainsFunc(listeners, func(a config.Address) bool { return a.Port() == port }):
		s.add(crmOutbound, dnscheck.Fail, s.server(), told+": Homing does not listen there for mail of applications, so mail goes past it", fix)
	case !s.here(host):
		s.add(crmOutbound, dnscheck.Warn, s.server(), told+": whether that is this machine cannot be seen from here", fix)
	case o.Auth && !slices.ContainsFunc(s.apps, func(a config.Application) bool { return a.Name == o.User }):
		s.add(crmOutbound, dnscheck.Fail, s.server(), fmt.Sprintf("SMTP Username is %q, and no application that tells this sink is called so: CiviCRM takes a failed login for a bounce of everybody", o.User), fix)
	default:
		return true
	}
	return false
}

// here reports whether a host is this machine by what its name says.
func (s *crmScreen) here(host string) bool {
	host = strings.Trim(host, "[]")
	if ip, err := netip.ParseAddr(host); err == nil {
		own := func(a config.Address) bool { return a.Host() == host }
		return ip.IsLoopback() || slices.Contains(s.cfg.Delivery.SourceAddresses, ip) || slices.Contains(s.cfg.Delivery.PublicAddresses, ip) ||
			slices.ContainsFunc(slices.Concat(s.cfg.Listen.Submission, s.cfg.Listen.Submissions), own)
	}
	return host == "localhost" || hold.CanonicalDomain(host) == s.cfg.Hostname
}

const accountScreen = "Administer, CiviMail, Mail Accounts, the one that is used for Bounce Processing"

// account judges of what CiviCRM makes its return addresses.
func (s *crmScreen) account() bool {
	a, good := s.found.Account, true
	wrong := func(v dnscheck.Verdict, wanted, found, fix string) {
		good = false
		s.add(crmAccount, v, wanted, found, accountScreen+": "+fix)
	}
	if a == (civicrm.Account{}) {
		wrong(dnscheck.Fail, "an account for bounce processing", "there is none, so CiviCRM has no return addresses", s.accountValues())
		return false
	}
	var returns, names []string
	for _, d := range s.cfg.Domains {
		if s.mine(d.Name) {
			_, domain, _ := strings.Cut(d.ReturnPath, "@")
			returns, names = append(returns, domain), append(names, d.Name)
		}
	}
	switch domain := hold.CanonicalDomain(a.Domain); {
	case slices.Contains(returns, domain):
	case slices.Contains(names, domain):
		wrong(dnscheck.Warn, strings.Join(returns, " or "), "Email Domain is "+a.Domain+", where replies and unsubscribes by mail go to people's mailboxes and not to Homing",
			"Email Domain: enter "+returns[0]+".")
	default:
		wrong(dnscheck.Fail, strings.Join(returns, " or "), fmt.Sprintf("Email Domain is %q: Homing answers 451 to mail with such a sender", a.Domain), "Email Domain: enter "+strings.Join(returns, " or ")+".")
	}
	if !slices.ContainsFunc(s.apps, func(x config.Application) bool { return strings.EqualFold(x.VERPPrefix, a.LocalPart) }) {
		wrong(dnscheck.Fail, fmt.Sprintf("%q", s.apps[0].VERPPrefix), fmt.Sprintf("Localpart is %q: Homing does not know such addresses as CiviCRM's, and tells of no bounce", a.LocalPart),
			fmt.Sprintf("Localpart: enter %s; or write verp_prefix = %q into [[application]] %s of homing.toml and run `systemctl reload homing`.",
				cmp.Or(s.apps[0].VERPPrefix, "nothing"), a.LocalPart, s.apps[0].Name))
	}
	if a.ReturnPath != "" {
		wrong(dnscheck.Fail, "nothing", fmt.Sprintf("Return-Path is %q, which replaces the address by which CiviCRM knows each recipient", a.ReturnPath), "Return-Path: leave it empty.")
	}
	return good
}

// mine reports whether the site sends as a domain.
func (s *crmScreen) mine(domain string) bool {
	return slices.ContainsFunc(s.apps, func(a config.Application) bool { return slices.Contains(a.Domains, domain) })
}

// accountValues says what to enter in a new account.
func (s *crmScreen) accountValues() string {
	for _, d := range s.cfg.Domains {
		if _, domain, ok := strings.Cut(d.ReturnPath, "@"); ok && s.mine(d.Name) {
			return fmt.Sprintf("add one, used for Bounce Processing, Email Domain %s, Localpart %s, Return-Path empty, and anything as protocol and server.", domain, s.apps[0].VERPPrefix)
		}
	}
	return "add one, used for Bounce Processing."
}

const mailerScreen = "Administer, CiviMail, Mailer Settings"

func (s *crmScreen) mailer() bool {
	good := true
	wrong := func(v dnscheck.Verdict, wanted, found, fix string) {
		good = false
		s.add(crmMailer, v, wanted, found, mailerScreen+": "+fix)
	}
	if n := s.found.Batch; n != 0 {
		wrong(dnscheck.Warn, "0", fmt.Sprintf("Mailer Batch Limit is %d, so a large mailing takes many runs of cron", n), "Mailer Batch Limit: enter 0. Homing does the pacing.")
	}
	if n := s.found.Throttle; n != 0 {
		wrong(dnscheck.Warn, "0", fmt.Sprintf("Mailer Throttle Time is %d, so CiviCRM waits after each mail", n), "Mailer Throttle Time: enter 0. Homing does the pacing.")
	}
	if v := s.found.Separator; !slices.ContainsFunc(s.apps, func(a config.Application) bool { return a.VERPSeparator == v }) {
		wanted := s.apps[0].VERPSeparator
		wrong(dnscheck.Fail, wanted, fmt.Sprintf("VERP Separator is %q: Homing does not know such addresses as CiviCRM's, and tells of no bounce", v),
			fmt.Sprintf("VERP Separator: enter %s; or write verp_separator = %q into [[application]] %s of homing.toml and run `systemctl reload homing`.", wanted, v, s.apps[0].Name))
	}
	return good
}

const jobsScreen = "Administer, System Settings, Scheduled Jobs"

func (s *crmScreen) jobs() bool {
	good, j := true, s.found.Jobs
	wrong := func(v dnscheck.Verdict, found, fix string) {
		good = false
		s.add(crmJobs, v, "", found, jobsScreen+": "+fix)
	}
	if !j.Send {
		wrong(dnscheck.Fail, "\"Send Scheduled Mailings\" is disabled, so no mailing leaves CiviCRM", "enable \"Send Scheduled Mailings\".")
	}
	if j.Bounces {
		wrong(dnscheck.Warn, "\"Fetch Bounces\" is enabled, although Homing tells CiviCRM of them: what still comes to the old mailbox is judged by patterns, and may count twice",
			"disable \"Fetch Bounces\" once nothing else here needs attention.")
	}
	if j.Activities {
		wrong(dnscheck.Warn, "\"Process Inbound Emails\" is enabled: in the mailbox for bounces it files bounces as activities",
			"disable \"Process Inbound Emails\", unless it reads a mailbox of its own that people write to.")
	}
	return good
}

const fromScreen = "Administer, Communications, FROM Email Addresses"

// from judges the addresses that mail of the site comes from.
func (s *crmScreen) from() bool {
	good := true
	names := func(address string) bool {
		_, domain, _ := message.SplitAddress(address)
		return s.mine(hold.CanonicalDomain(domain))
	}
	wanted := "an address in " + strings.Join(s.apps[0].Domains, " or ")
	for _, f := range s.found.From {
		if !names(f) {
			good = false
			s.add(crmFrom, dnscheck.Fail, wanted, fmt.Sprintf("%s is a FROM address, and its domain is none that the site sends as: Homing answers 451 to such mail", f),
				fmt.Sprintf("%s: disable %s or correct it. If the domain is yours, run `homing domain add`, and write it into domains of [[application]] %s.", fromScreen, f, s.apps[0].Name))
		}
	}
	if s.found.Office != "" && !names(s.found.Office) {
		good = false
		s.add(crmFrom, dnscheck.Warn, wanted, fmt.Sprintf("the organisation's own address is %s, and what comes from there is answered 451", s.found.Office),
			"Administer, Communications, Organization Address and Contact Info: enter "+wanted+".")
	}
	return good
}
