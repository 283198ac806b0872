package integration

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/internal/civicrmtest"
	"homing/internal/toynet"
)

const (
	civiKey     = "4f1c0d2be9a04f6c"
	civiSiteKey = "9a7e4c550d3f1c6a"
)

// civiOutcomes are what becomes of a mailing, by domain, and what a site of CiviCRM
// then has of it: the type of the bounce, and whether the address is on hold by
// its own thresholds.
var civiOutcomes = []struct {
	domain string
	kind   int // of the bounce; 0: none
	held   int
	reply  bool
	unsubs bool
}{
	{domain: "accepts.test"},
	{domain: "unknown.test", kind: 6, held: 1},
	{domain: "disabled.test", kind: 5, held: 1},
	{domain: "full.test", kind: 8},
	{domain: "nullmx.test", kind: 3},
	{domain: "nohost.test", kind: 3},
	{domain: "greylist.test"},
	{domain: "blocks.test"}, // a fault of ours
	{domain: "spam.test"},   // a fault of ours
	{domain: "later.test", kind: 6, held: 1},
	{domain: "exim.test", kind: 6, held: 1},
	{domain: "exchange.test", kind: 6, held: 1},
	{domain: "delays.test"},
	{domain: "complains.test", kind: 10, held: 1},
	{domain: "vacation.test"},
	{domain: "replies.test", reply: true},
	{domain: "leaves.test", unsubs: true},
}

// everyOutcome gives an address for each outcome, with the names of one site,
// beginning somewhere in the list: so the same entry of the queues of two sites
// has another outcome.
func everyOutcome(name string, from int) (to []string) {
	for i := range civiOutcomes {
		to = append(to, name+"@"+civiOutcomes[(i+from)%len(civiOutcomes)].domain)
	}
	return to
}

// site opens a stand-in for CiviCRM that sends from an address of its own.
func (st *stage) site(prefix, separator, client string) *civicrmtest.Site {
	st.t.Helper()
	s := &civicrmtest.Site{APIKey: civiKey, SiteKey: civiSiteKey, Prefix: prefix, Separator: separator, Domain: "bounce.example.org",
		From: `"News" <news@example.org>`, Submission: st.Submission, Client: netip.MustParseAddr(client), ForwardReplies: true}
	if err := s.Open(within(st.t, 10*time.Minute)); err != nil {
		st.t.Fatal(err)
	}
	return s
}

// send sends a mailing from a site.
func (st *stage) send(s *civicrmtest.Site, job uint64, to ...string) {
	st.t.Helper()
	sent, err := s.Send(within(st.t, time.Minute), job, "News", to...)
	if err != nil {
		st.t.Fatal(err)
	}
	for _, one := range sent {
		if !one.Acknowledged() {
			st.t.Errorf("%s was answered %v", one.To, one.Reply)
		}
	}
}

// tables is what a site has recorded, one line a recipient with something.
func tables(s *civicrmtest.Site) (lines []string) {
	rows := map[string]string{}
	for _, b := range s.Bounces() {
		rows[s.AddressOf(b.Queue)] += fmt.Sprintf(" bounce:%d", b.Type)
	}
	for _, r := range s.Replies() {
		rows[s.AddressOf(r.Queue)] += " reply"
	}
	for _, u := range s.Unsubscribes() {
		rows[s.AddressOf(u.Queue)] += fmt.Sprintf(" unsubscribe:%v", u.Org)
	}
	for _, e := range s.Emails() {
		if e.OnHold != 0 {
			rows[e.Address] += fmt.Sprintf(" hold:%d", e.OnHold)
		}
	}
	for address, row := range rows {
		lines = append(lines, address+row)
	}
	slices.Sort(lines)
	return lines
}

// expected is what tables has to be after a mailing with every outcome, told by
// the API or, with less, by a Maildir.
func expected(name string, api bool) (lines []string) {
	for _, o := range civiOutcomes {
		row := ""
		if o.kind != 0 && (api || o.kind != 10) { // a Maildir has reports of failures alone
			row += fmt.Sprintf(" bounce:%d", o.kind)
		}
		if o.reply && api {
			row += " reply"
		}
		if o.unsubs && api {
			row += " unsubscribe:false"
		}
		if o.held != 0 && (api || o.kind != 10) {
			row += fmt.Sprintf(" hold:%d", o.held)
		}
		if row != "" {
			lines = append(lines, name+"@"+o.domain+row)
		}
	}
	slices.Sort(lines)
	return lines
}

// wantTables waits until a site has recorded what it should, and then until
// one more bounce has come through, behind everything else that there is to be
// told.
func (st *stage) wantTables(s *civicrmtest.Site, want []string) {
	st.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) && !slices.Equal(tables(s), want) {
		if err := s.Calls.Wait(within(st.t, 100*time.Millisecond), func([]civicrmtest.Call) bool { return false }); err == nil {
			return
		}
	}
	if diff := cmp.Diff(want, tables(s)); diff != "" {
		st.t.Errorf("what CiviCRM has recorded (-want +got):\n%s", diff)
	}
}

// behind sends one more mail that bounces and waits for its row: what was to be
// told before has been told by then.
func (st *stage) behind(s *civicrmtest.Site, job uint64, address string) {
	st.t.Helper()
	st.send(s, job, address)
	until(st.t, time.Minute, "the last bounce", func() bool {
		return slices.ContainsFunc(s.Bounces(), func(b civicrmtest.Bounce) bool { return s.AddressOf(b.Queue) == address })
	})
}

// twoSites is a stage with two sites of CiviCRM behind one server. Their
// databases have the same job and queue ids, and the same hashes. They write
// their return addresses with different separators.
func twoSites(t *testing.T) (st *stage, one, two *civicrmtest.Site, s settings) {
	t.Helper()
	s = settings{World: toynet.Everyday(50 * time.Millisecond), Delivery: `retry = ["300ms"]`, Networks: `networks = ["127.0.0.1/32"]`,
		Files: map[string]string{"civi-key": civiKey + "\n", "civi-site-key": civiSiteKey}}
	st = newStage(t, s)
	one, two = st.site("civi+", ".", "127.0.0.1"), st.site("club+", "-", "127.0.0.2")
	s.App = `sinks = ["one", "hooks"]`
	s.Tables = fmt.Sprintf(`
[[application]]
name = "club"
kind = "civicrm"
domains = ["example.org"]
networks = ["127.0.0.2/32"]
verp_prefix = "club+"
verp_separator = "-"
sinks = ["two", "hooks"]
[[sink]]
name = "one"
type = "civicrm"
url = "%s"
api_key_file = "civi-key"
site_key_file = "civi-site-key"
[[sink]]
name = "two"
type = "civicrm"
url = "%s"
api_key_file = "civi-key"
site_key_file = "civi-site-key"
`, one.URL(), two.URL())
	st.Reload(s)
	return st, one, two, s
}

func TestTwoSitesOfCiviCRMHearEachOfItsOwnMailAlone(t *testing.T) {
	t.Parallel()
	st, one, two, _ := twoSites(t)
	one.Down()
	two.Break(civicrmtest.Maintenance)
	half := len(civiOutcomes) / 2
	ann, bob := everyOutcome("ann", 0), everyOutcome("bob", 5)
	st.send(one, 1, ann[:half]...)
	st.send(two, 1, bob[:half]...)
	if err := st.Net.Settled(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	st.Restart() // with both sites away
	if err := one.Up(); err != nil {
		t.Fatal(err)
	}
	st.send(one, 1, ann[half:]...)
	st.send(two, 1, bob[half:]...)
	two.Break(civicrmtest.Healthy)
	st.wantTables(one, expected("ann", true))
	st.wantTables(two, expected("bob", true))
	st.behind(one, 2, "last@unknown.test")
	st.behind(two, 2, "last@unknown.test")
	last := []string{"last@unknown.test bounce:6 hold:1"}
	if diff := cmp.Diff(sorted(expected("ann", true), last), tables(one)); diff != "" {
		t.Errorf("the first site (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(sorted(expected("bob", true), last), tables(two)); diff != "" {
		t.Errorf("the second site (-want +got):\n%s", diff)
	}
	for _, s := range []*civicrmtest.Site{one, two} {
		for _, c := range s.Calls.All() {
			if hash, _ := c.Params["hash"].(string); hash != "" && hash != "0000000000000000" && !c.Applied { // that one is asked by the self-check
				t.Errorf("%s.%s was refused: %v", c.Entity, c.Action, c.Params)
			}
		}
	}
	// What the sites themselves sent while we waited for their answers.
	for _, to := range []string{"ann@leaves.test", "bob@leaves.test"} {
		count := 0
		for _, r := range st.Net.Receipts.All() {
			if r.To == to && r.Accepted() {
				count++
			}
		}
		if count != 2 {
			t.Errorf("%s got %d mails, want the mailing and the confirmation of the unsubscribe", to, count)
		}
	}
	if strings.Contains(st.Log(), civiKey) || strings.Contains(st.Log(), civiSiteKey) {
		t.Error("a key is in the log")
	}
}

func sorted(lines ...[]string) []string {
	all := slices.Concat(lines...)
	slices.Sort(all)
	return all
}

// TestACrashInTheMiddleOfACallIsNoSecondBounce kills the server while the site
// has carried calls out and not answered.
func TestACrashInTheMiddleOfACallIsNoSecondBounce(t *testing.T) {
	t.Parallel()
	st, one, _, _ := twoSites(t)
	one.Break(civicrmtest.Mute)
	var to []string
	for _, domain := range []string{"unknown.test", "disabled.test", "full.test", "complains.test", "leaves.test", "replies.test"} {
		to = append(to, "ann@"+domain)
	}
	st.send(one, 1, to...)
	// What a kill finds between the dot and its record is delivered twice, and
	// who gets it twice may leave twice: that is another test.
	until(t, time.Minute, "calls that nobody answers, and deliveries recorded", func() bool {
		return len(one.Bounces()) >= 3 && len(st.told("delivered")) >= 3
	})
	st.Kill()
	one.Break(civicrmtest.Healthy)
	st.Restart()
	want := []string{"ann@complains.test bounce:10 hold:1", "ann@disabled.test bounce:5 hold:1", "ann@full.test bounce:8",
		"ann@leaves.test unsubscribe:false", "ann@replies.test reply", "ann@unknown.test bounce:6 hold:1"}
	st.wantTables(one, want)
	st.behind(one, 2, "last@unknown.test")
	if diff := cmp.Diff(sorted(want, []string{"last@unknown.test bounce:6 hold:1"}), tables(one)); diff != "" {
		t.Errorf("after the crash (-want +got):\n%s", diff)
	}
}

func TestAHoldOfMailThatIsNoMailingIsTheSameOnBothSides(t *testing.T) {
	t.Parallel()
	st, one, two, s := twoSites(t)
	two.Contact("ann@unknown.test") // of the other site: none of its business
	for _, to := range []string{"ann@unknown.test", "bob@unknown.test"} {
		if err := one.Receipt(to); err != nil {
			t.Fatal(err)
		}
		until(t, 30*time.Second, "the hold at CiviCRM", func() bool { return one.OnHold(to) == 1 })
	}
	if n := len(one.Bounces()); n != 0 || two.OnHold("ann@unknown.test") != 0 {
		t.Errorf("%d bounces of mail that is no mailing, and at the other site on hold %d", n, two.OnHold("ann@unknown.test"))
	}

	st.Run("hold", "release", "ann@unknown.test")
	until(t, 30*time.Second, "the release at CiviCRM", func() bool { return one.OnHold("ann@unknown.test") == 0 })

	one.Hold("bob@unknown.test", 0)
	st.Reload(s) // does at once what else comes every two minutes
	until(t, 30*time.Second, "the release here", func() bool {
		return !strings.Contains(st.Run("hold", "list"), "bob@unknown.test")
	})
}

func TestTheCheckNamesEachScreenOfCiviCRMThatIsWrong(t *testing.T) {
	t.Parallel()
	st, one, _, _ := twoSites(t)
	one.Change(func(u *civicrmtest.Setup) {
		u.Outbound.Option = 5
		u.Account = civicrmtest.Account{Domain: "lists.example.net", LocalPart: "return+", ReturnPath: "bounces@example.org"}
		u.Settings["mailerBatchLimit"] = 250
		u.Jobs["fetch_bounces"] = true
		u.From = []string{`"Ann" <ann@gmail.example>`}
	})
	st.Restart() // which looks at once
	stdout, _, code := st.Try("check", "--json")
	var said struct {
		Findings []struct{ Check, Subject, Verdict, Fix string }
	}
	if err := json.Unmarshal([]byte(stdout), &said); err != nil || code != 1 {
		t.Fatalf("exit code %d, %v", code, err)
	}
	got := map[string]string{}
	for _, f := range said.Findings {
		if strings.HasPrefix(f.Check, "civicrm_") {
			got[f.Subject+" "+f.Verdict+" "+f.Check] += f.Fix + "\n"
		}
	}
	for key, screen := range map[string]string{
		"one fail civicrm_outbound": "Outbound Email: select SMTP and enter server " + strings.TrimSuffix(st.Submission, ":2587") + ", port 2587, authentication No",
		"one fail civicrm_account":  "Return-Path: leave it empty.", "one warn civicrm_mailer": "Mailer Settings", "one warn civicrm_jobs": "Scheduled Jobs",
		"one fail civicrm_from": "FROM Email Addresses", "one ok civicrm_api": "", "two ok civicrm_api": "", "two ok civicrm_outbound": "", "two ok civicrm_account": "",
		"two ok civicrm_mailer": "", "two ok civicrm_jobs": "", "two ok civicrm_from": "",
	} {
		if fix, ok := got[key]; !ok || !strings.Contains(fix, screen) {
			t.Errorf("no finding %q that names %q, but %v", key, screen, got)
		}
	}
}

// TestAnUnmodifiedCiviCRMReadsAMaildir is the road without the API: the Email
// Processor runs from cron, now and then, and judges by its own patterns.
func TestAnUnmodifiedCiviCRMReadsAMaildir(t *testing.T) {
	t.Parallel()
	st := newStage(t, settings{World: toynet.Everyday(50 * time.Millisecond), Delivery: `retry = ["300ms"]`, App: `sinks = ["drop", "hooks"]`,
		Tables: "[[sink]]\nname = \"drop\"\ntype = \"maildir\"\npath = \"maildir\"\n"})
	s := st.site("civi+", ".", "127.0.0.1")
	s.Down() // its API is nobody's business here
	dir := filepath.Join(st.Dir, "maildir")
	half := len(civiOutcomes) / 2
	to := everyOutcome("ann", 0)
	st.send(s, 1, to[:half]...)
	until(t, 30*time.Second, "the first report", func() bool {
		files, _ := os.ReadDir(filepath.Join(dir, "new"))
		return len(files) > 0
	})
	if _, err := s.FetchBounces(dir); err != nil {
		t.Fatal(err)
	}
	st.send(s, 1, to[half:]...)
	st.Restart()
	want := expected("ann", false)
	until(t, time.Minute, "the reports", func() bool {
		if _, err := s.FetchBounces(dir); err != nil {
			t.Fatal(err)
		}
		return slices.Equal(tables(s), want) || len(tables(s)) > len(want)
	})
	if err := st.Net.Settled(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	st.send(s, 2, "last@unknown.test")
	want = sorted(want, []string{"last@unknown.test bounce:6 hold:1"})
	until(t, time.Minute, "the last report", func() bool {
		if _, err := s.FetchBounces(dir); err != nil {
			t.Fatal(err)
		}
		return len(s.Bounces()) >= 9 && s.OnHold("last@unknown.test") == 1
	})
	if diff := cmp.Diff(want, tables(s)); diff != "" {
		t.Errorf("what CiviCRM has recorded (-want +got):\n%s", diff)
	}
	if ignored, _ := os.ReadDir(filepath.Join(dir, "CiviMail.ignored")); len(ignored) > 0 {
		t.Errorf("%d reports were not understood", len(ignored))
	}
}
