package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"homing/config"
	"homing/dnscheck"
	"homing/event/civicrm"
	"homing/internal/civicrmtest"
)

const crmConfig = `hostname = "mail.example.org"
[listen]
smtp = [":25"]
submission = ["127.0.0.1:587"]
[[domain]]
name = "example.org"
return_path = "return@bounce.example.org"
list_unsubscribe = "off"
[[application]]
name = "civicrm"
kind = "civicrm"
domains = ["example.org"]
networks = ["127.0.0.1"]
verp_prefix = "civi+"
sinks = ["crm"]
[[sink]]
name = "crm"
type = "civicrm"
url = "http://127.0.0.1:1"
api_key_file = "key"
`

// lookAtScreens has the screens of a site read over its API and judged.
func lookAtScreens(t *testing.T, site *civicrmtest.Site) []dnscheck.Finding {
	t.Helper()
	return lookAtScreensBy(t, site, crmConfig)
}

// lookAtScreensBy is lookAtScreens with another configuration.
func lookAtScreensBy(t *testing.T, site *civicrmtest.Site, text string) []dnscheck.Finding {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "key"), []byte("key"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, problems := config.Parse([]byte(text), dir)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	memory, err := civicrm.NewMemory(t.Context(), noNotes{}, "crm", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	sink, err := civicrm.New(civicrm.Config{Name: "crm", URL: site.URL(), APIKey: "key", Memory: memory})
	if err != nil {
		t.Fatal(err)
	}
	h := &house{crms: newCRMs(nil)}
	h.crms.sinks = []*civicrm.Sink{sink}
	return h.crmChecks(cfg)[0].Run(t.Context())
}

func TestEachScreenOfCiviCRMThatIsWrongIsNamed(t *testing.T) {
	tests := []struct {
		name   string
		change func(*civicrmtest.Setup)
		check  string
		want   dnscheck.Verdict
		says   []string // of found and fix
	}{
		{"all as it should be", func(*civicrmtest.Setup) {}, "", "", nil},
		{"another mail server", func(s *civicrmtest.Setup) { s.Outbound.Server, s.Outbound.Port = "smtp.provider.example", "587" }, crmOutbound, dnscheck.Warn,
			[]string{"smtp.provider.example", "Outbound Email", "server 127.0.0.1, port 587, authentication No"}},
		{"another port", func(s *civicrmtest.Setup) { s.Outbound.Port = "25" }, crmOutbound, dnscheck.Fail, []string{"port 25", "past it", "port 587"}},
		{"a login that is no application", func(s *civicrmtest.Setup) { s.Outbound.Auth, s.Outbound.Username = true, "root" }, crmOutbound, dnscheck.Fail, []string{`SMTP Username is "root"`}},
		{"the login of the application", func(s *civicrmtest.Setup) { s.Outbound.Auth, s.Outbound.Username = true, "civicrm" }, "", "", nil},
		{"mail to the database", func(s *civicrmtest.Setup) { s.Outbound.Option = 5 }, crmOutbound, dnscheck.Fail, []string{"Redirect to Database", "select SMTP", "capture"}},
		{"no mail", func(s *civicrmtest.Setup) { s.Outbound.Option = 2 }, crmOutbound, dnscheck.Fail, []string{"Disable Outbound Email", "select SMTP"}},
		{"mail by sendmail", func(s *civicrmtest.Setup) { s.Outbound.Option = 1 }, crmOutbound, dnscheck.Warn, []string{"sendmail", "select SMTP"}},
		{"another domain", func(s *civicrmtest.Setup) { s.Account.Domain = "lists.example.net" }, crmAccount, dnscheck.Fail,
			[]string{"lists.example.net", "Mail Accounts", "Email Domain: enter bounce.example.org"}},
		{"the domain where people have mailboxes", func(s *civicrmtest.Setup) { s.Account.Domain = "example.org" }, crmAccount, dnscheck.Warn, []string{"people's mailboxes"}},
		{"another prefix", func(s *civicrmtest.Setup) { s.Account.LocalPart = "return+" }, crmAccount, dnscheck.Fail,
			[]string{`Localpart is "return+"`, "enter civi+", `verp_prefix = "return+"`}},
		{"a return path", func(s *civicrmtest.Setup) { s.Account.ReturnPath = "bounces@example.org" }, crmAccount, dnscheck.Fail, []string{"Return-Path", "leave it empty"}},
		{"a batch limit", func(s *civicrmtest.Setup) { s.Settings["mailerBatchLimit"] = "250" }, crmMailer, dnscheck.Warn, []string{"250", "Mailer Settings", "enter 0"}},
		{"a throttle time", func(s *civicrmtest.Setup) { s.Settings["mailThrottleTime"] = 100000 }, crmMailer, dnscheck.Warn, []string{"Throttle", "enter 0"}},
		{"another separator", func(s *civicrmtest.Setup) { s.Settings["verpSeparator"] = "-" }, crmMailer, dnscheck.Fail, []string{`VERP Separator is "-"`, "enter .;", `verp_separator = "-"`}},
		{"no mailings", func(s *civicrmtest.Setup) { s.Jobs["process_mailing"] = false }, crmJobs, dnscheck.Fail, []string{"Send Scheduled Mailings", "Scheduled Jobs"}},
		{"bounces by both roads", func(s *civicrmtest.Setup) { s.Jobs["fetch_bounces"] = true }, crmJobs, dnscheck.Warn, []string{`disable "Fetch Bounces"`}},
		{"activities of bounces", func(s *civicrmtest.Setup) { s.Jobs["fetch_activities"] = true }, crmJobs, dnscheck.Warn, []string{`disable "Process Inbound Emails"`}},
		{"a FROM address elsewhere", func(s *civicrmtest.Setup) { s.From = append(s.From, `"Ann" <ann@gmail.example>`) }, crmFrom, dnscheck.Fail,
			[]string{"ann@gmail.example", "FROM Email Addresses", "homing domain add"}},
		{"an office elsewhere", func(s *civicrmtest.Setup) { s.Office = "office@gmail.example" }, crmFrom, dnscheck.Warn, []string{"office@gmail.example", "an address in example.org"}},
		{"no office", func(s *civicrmtest.Setup) { s.Office = "" }, "", "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			site := crmSite(t)
			site.Change(tt.change)
			count := 0
			for _, f := range lookAtScreens(t, site) {
				if f.Verdict == dnscheck.OK {
					continue
				}
				count++
				if f.Check != tt.check || f.Verdict != tt.want || f.Subject != "crm" || f.Fix == "" {
					t.Errorf("%+v, want %s %s", f, tt.want, tt.check)
				}
				for _, want := range tt.says {
					if !strings.Contains(f.Found+"\n"+f.Fix, want) {
						t.Errorf("%q is neither in %q nor in %q", want, f.Found, f.Fix)
					}
				}
			}
			if wrong := tt.check != ""; count > 1 || wrong != (count == 1) {
				t.Errorf("%d findings, want one where something is wrong", count)
			}
		})
	}
}

// crmSite is a site that is set up for crmConfig.
func crmSite(t *testing.T) *civicrmtest.Site {
	t.Helper()
	site := &civicrmtest.Site{APIKey: "key", Prefix: "civi+", Domain: "bounce.example.org", From: `"News" <news@example.org>`, Submission: "127.0.0.1:587"}
	if err := site.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	site.Enqueue(1, "ann@example.net")
	return site
}

func TestWhatTheContactMayIsLookedAt(t *testing.T) {
	skip := map[string]dnscheck.Verdict{crmAPI: dnscheck.OK, crmPermissions: dnscheck.OK, crmOutbound: dnscheck.Skipped, crmAccount: dnscheck.Skipped,
		crmMailer: dnscheck.Skipped, crmJobs: dnscheck.Skipped, crmFrom: dnscheck.OK}
	tests := []struct {
		name    string
		granted []string
		want    map[string]dnscheck.Verdict
	}{
		{"nothing", nil, map[string]dnscheck.Verdict{crmAPI: dnscheck.Fail}},
		{"no mailings", []string{"access CiviCRM"}, map[string]dnscheck.Verdict{crmAPI: dnscheck.Fail}},
		{"mailings and no contacts", []string{"access CiviCRM", "access CiviMail"}, with(skip, crmPermissions, dnscheck.Warn)},
		{"contacts without changing them", []string{"access CiviCRM", "access CiviMail", "view all contacts"}, with(skip, crmPermissions, dnscheck.Warn)},
		{"all but the settings", []string{"access CiviCRM", "access CiviMail", "view all contacts", "edit all contacts"}, skip},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			site := crmSite(t)
			site.Grant(tt.granted...)
			found := lookAtScreens(t, site)
			if len(found) != len(tt.want) {
				t.Errorf("%d findings, want %d", len(found), len(tt.want))
			}
			for _, f := range found {
				if f.Verdict != tt.want[f.Check] {
					t.Errorf("%s is %s, want %s: %s", f.Check, f.Verdict, tt.want[f.Check], f.Found)
				}
			}
			if n := len(site.Bounces()); n != 0 {
				t.Errorf("looking has recorded %d bounces", n)
			}
		})
	}
}

func with(all map[string]dnscheck.Verdict, check string, v dnscheck.Verdict) map[string]dnscheck.Verdict {
	changed := map[string]dnscheck.Verdict{}
	for name, was := range all {
		changed[name] = was
	}
	changed[check] = v
	return changed
}

func TestASiteThatIsAwayIsOneFinding(t *testing.T) {
	site := crmSite(t)
	site.Break(civicrmtest.Maintenance)
	found := lookAtScreens(t, site)
	if len(found) != 1 || found[0].Check != crmAPI || found[0].Verdict != dnscheck.Fail || !strings.Contains(found[0].Found, "maintenance") {
		t.Errorf("found %+v", found)
	}
}

// filingRoute has mail filed at the site.
const filingRoute = `[[route]]
address = "crm@bounce.example.org"
as = "activity"
to = ["crm"]
`

func TestWhetherMailCanBeFiledIsLookedAtWhereItIs(t *testing.T) {
	all := []string{"access CiviCRM", "access CiviMail", "view all contacts", "edit all contacts", "administer CiviCRM"}
	tests := []struct {
		name    string
		grant   []string
		types   []string
		verdict dnscheck.Verdict
		says    []string
	}{
		{"all as it should be", append(slices.Clone(all), "add contacts", "view all activities"), []string{"Inbound Email"}, dnscheck.OK, nil},
		{"no activities", append(slices.Clone(all), "add contacts"), []string{"Inbound Email"}, dnscheck.Fail, []string{"may not make activities", `tick "view all activities"`}},
		{"no contacts", append(slices.Clone(all), "view all activities"), []string{"Inbound Email"}, dnscheck.Fail, []string{"may not make contacts", `tick "add contacts"`, "create_contacts = false"}},
		{"no such type", append(slices.Clone(all), "add contacts", "view all activities"), nil, dnscheck.Fail, []string{"no such type", "Activity Types", "Inbound Email"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			site := crmSite(t)
			site.Grant(tt.grant...)
			site.Change(func(s *civicrmtest.Setup) { s.Types = tt.types })
			found := false
			for _, f := range lookAtScreensBy(t, site, crmConfig+filingRoute) {
				if f.Check != crmActivities {
					continue
				}
				found = true
				for _, want := range tt.says {
					if f.Verdict != tt.verdict || !strings.Contains(f.Found+f.Fix, want) {
						t.Errorf("%s: %s; %s; want %s that says %q", f.Verdict, f.Found, f.Fix, tt.verdict, want)
					}
				}
			}
			if !found {
				t.Error("nobody looked at it")
			}
		})
	}
	for _, f := range lookAtScreens(t, crmSite(t)) {
		if f.Check == crmActivities {
			t.Errorf("looked at without a route: %+v", f)
		}
	}
}
