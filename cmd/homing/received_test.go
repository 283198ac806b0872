package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/smtp"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/config"
	"homing/event"
	"homing/server/reports"
)

// reportMail is a DMARC report about yesterday as a reporter mails it, with
// rows of a source, messages and whether they pass.
func reportMail(t *testing.T, domain string, rows ...string) string {
	t.Helper()
	begin := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -1)
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	fmt.Fprintf(z, `<?xml version="1.0"?><feedback><report_metadata><org_name>google.com</org_name><report_id>1</report_id><date_range><begin>%d</begin><end>%d</end></date_range></report_metadata>`+
		`<policy_published><domain>%s</domain><p>none</p></policy_published>`, begin.Unix(), begin.Add(24*time.Hour-time.Second).Unix(), domain)
	for _, row := range rows {
		w := strings.Fields(row)
		fmt.Fprintf(z, `<record><row><source_ip>%s</source_ip><count>%s</count><policy_evaluated><disposition>none</disposition><dkim>%s</dkim><spf>%[3]s</spf></policy_evaluated></row></record>`, w[0], w[1], w[2])
	}
	fmt.Fprint(z, `</feedback>`)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return "From: noreply@google.test\r\nSubject: Report domain: " + domain + "\r\nMIME-Version: 1.0\r\nContent-Type: application/gzip; name=\"report.xml.gz\"\r\n" +
		"Content-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString(b.Bytes()) + "\r\n"
}

// command runs a command against the server and gives what it prints.
func (s *stand) command(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(append(args, "--config", s.config), strings.NewReader(""), &out, &errs); code != exitOK {
		t.Fatalf("%q ended with %d: %s", args, code, errs.String())
	}
	return out.String()
}

// reportTo mails a report to an MX.
func reportTo(mx, to, mail string) error {
	c, err := smtp.Dial(mx)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := errors.Join(c.Mail("noreply@google.test"), c.Rcpt(to)); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	_, err = w.Write([]byte(mail))
	return errors.Join(err, w.Close(), c.Quit())
}

// TestWhoSendsInOurNameIsKnownFromTheReportsOfOthers has reports come by mail
// and asks for them as people do, through a restart.
func TestWhoSendsInOurNameIsKnownFromTheReportsOfOthers(t *testing.T) {
	s := newStand(t, "[[route]]\naddress = \"dmarc@bounce.example.org\"\nas = \"report\"\n")
	send := func(mail string) {
		t.Helper()
		if err := reportTo(s.net.ServerAddr().String(), "dmarc@bounce.example.org", mail); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.command(t, "reports"); !strings.Contains(got, "example.org: no message in its name was reported.\n- No report says anything of example.org.") ||
		!strings.Contains(got, "rua=mailto:dmarc@bounce.example.org") {
		t.Errorf("before any report:\n%s", got)
	}
	own := s.net.ServerAddr().Addr().String()
	mail := reportMail(t, "example.org", own+" 1000 pass", "203.0.113.9 120 fail", "198.51.100.7 3 fail")
	send(mail)
	send(mail)
	send(reportMail(t, "example.net", "203.0.113.9 120 fail"))
	send("Subject: What is this address for?\r\n\r\nHello?\r\n")
	yesterday := time.Now().UTC().AddDate(0, 0, -1).Format("2006-01-02")
	want := `example.org: 89 % of 1123 messages in its name pass DMARC, by 1 report about ` + yesterday + ` of google.com; its policy is p=none.
SOURCE            MESSAGES  PASS  BY DKIM  BY SPF  LAST
` + own + ` (yours)  1000      1000  1000     1000    ` + yesterday + `
203.0.113.9       120       0     0        0       ` + yesterday + `
198.51.100.7      3         0     0        0       ` + yesterday + `
- 203.0.113.9 sent 120 messages in your name that fail (last on ` + yesterday + `): if that is you, add it to SPF (ip4:203.0.113.9 in the record of the domain in its envelope sender, which has to be example.org or below it) or have it sign with DKIM for example.org; if not, a stricter policy (p=quarantine, then p=reject) would stop it.
`
	blanks := regexp.MustCompile(` +`) // how wide columns are depends on our address
	line := func(text string) string { return blanks.ReplaceAllString(text, " ") }
	if diff := cmp.Diff(line(want+"\nNot understood since the server started: 1 (none). The log says why.\n"), line(s.command(t, "reports"))); diff != "" {
		t.Errorf("homing reports (-want +got):\n%s", diff)
	}
	scraped := scrape(t, "http://"+s.house.at("http")+"/metrics")
	for _, name := range []string{`homing_reports_dmarc_messages_total{domain="example.org",result="pass",source="own"} 1000`, `homing_reports_dmarc_messages_total{domain="example.org",result="fail",source="other"} 123`,
		`homing_reports_received_total{kind="dmarc",outcome="repeated"} 1`, `homing_reports_received_total{kind="dmarc",outcome="foreign"} 1`, `homing_reports_unread_total{reason="none"} 1`} {
		if !strings.Contains(scraped, "\n"+name+"\n") {
			t.Errorf("a scrape has no %s", name)
		}
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if err := s.begin(); err != nil {
		t.Fatal(err)
	}
	send(mail)
	if diff := cmp.Diff(line(want), line(s.command(t, "reports", "example.org", "--since", "7d"))); diff != "" {
		t.Errorf("homing reports after a restart (-want +got):\n%s", diff)
	}
	var a reports.Answer
	if err := json.Unmarshal([]byte(s.command(t, "reports", "--json")), &a); err != nil || len(a.Domains) != 1 || a.Domains[0].Messages != 1123 {
		t.Errorf("homing reports --json: %+v, %v", a, err)
	}
	s.wantFiled(t, 5)
}

// wantFiled checks that so many mails to the address for reports were recorded
// as they came.
func (s *stand) wantFiled(t *testing.T, want int) {
	t.Helper()
	ctx, end := context.WithCancel(context.Background())
	end() // what there is
	all, err := s.house.store.Events(ctx, 0, 1000)
	filed := 0
	for _, e := range all {
		if e.Type == event.Filed && e.Recipient == "dmarc@bounce.example.org" && !e.Raw.IsZero() {
			filed++
		}
	}
	if filed != want {
		t.Errorf("%d mails are recorded, %v, want %d", filed, err, want)
	}
}

func TestReportsAboutOthersAreAMistakeToAskFor(t *testing.T) {
	s := newStand(t, "")
	var out, errs bytes.Buffer
	if code := run([]string{"reports", "example.com", "--config", s.config}, strings.NewReader(""), &out, &errs); code != exitFailed || !strings.Contains(errs.String(), `"example.com" is none of the domains`) {
		t.Errorf("ended with %d: %s", code, errs.String())
	}
}

func TestWhatIsOursInReports(t *testing.T) {
	cfg, problems := config.Parse([]byte(`hostname = "mail.example.org"
[listen]
smtp = ["192.0.2.1:25"]
submission = ["127.0.0.1:587"]
[[domain]]
name = "Example.org"
return_path = "return@bounce.example.org"
[[domain]]
name = "shop.example"
return_path = "r@back.shop.example"
[[application]]
name = "crm"
domains = ["example.org"]
networks = ["127.0.0.1"]
[[route]]
address = "*@bounce.example.org"
as = "report"
[[route]]
address = "tls@reports.example"
as = "report"
[delivery]
source_addresses = ["10.0.0.5"]
public_addresses = ["203.0.113.10"]
[retention]
events = "30d"
`), t.TempDir())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	got := reportedNames(cfg)
	slices.Sort(got.Others)
	want := reports.Names{Senders: []string{"example.org", "shop.example"}, Others: []string{"back.shop.example", "bounce.example.org", "bounce.example.org", "reports.example"},
		Selectors: map[string][]string{}, Hostname: "mail.example.org", Address: "tls@reports.example", Keep: 30 * 24 * time.Hour,
		Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("203.0.113.10")}}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

func TestAShareIsWholeOnlyWhereItIs(t *testing.T) {
	tests := []struct {
		part, all int
		want      string
	}{{0, 10, "0 %"}, {10, 10, "100 %"}, {1, 3, "33.3 %"}, {999_999, 1_000_000, "99.9 %"}, {1, 1_000_000, "0.1 %"}}
	for _, tt := range tests {
		if got := percent(tt.part, tt.all); got != tt.want {
			t.Errorf("percent(%d, %d) = %s, want %s", tt.part, tt.all, got, tt.want)
		}
	}
}
