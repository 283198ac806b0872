package reports

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what is answered into the golden files")

// TestTheAnswerSaysWhoSendsAndWhatToDo shows all of one.
func TestTheAnswerSaysWhoSendsAndWhatToDo(t *testing.T) {
	w := open(t)
	for _, day := range []int{-3, -2} {
		begin := noon.AddDate(0, 0, day).Truncate(24 * time.Hour)
		w.take(report{org: "Google.com", id: fmt.Sprint(day), domain: "example.org", policy: "none", begin: begin, rows: []told{
			ours,
			{from: "198.51.100.9", count: 60, more: "<auth_results><dkim><domain>newsletter.example</domain><selector>s1</selector><result>pass</result></dkim></auth_results>"},
			{from: "198.51.100.8", count: 1},
			{from: "192.0.2.77", count: 10, reason: "<reason><type>forwarded</type></reason>"},
		}}.mail())
	}
	w.take(report{org: "Yahoo", id: "1", domain: "example.org", policy: "none", rows: []told{ours}}.mail())
	w.take(tlsMail("1", "bounce.example.org", "sts", 7, 2, "certificate-expired"))
	w.take("Subject: Hello\r\n\r\nHello!\r\n")
	got, known := w.Answer(t.Context(), "", time.Time{})
	if !known {
		t.Error("all our domains are none of ours")
	}
	text, err := json.MarshalIndent(got, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/answer.golden"
	if *update {
		if err := os.WriteFile(golden, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(text)+"\n"); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
}

func TestAnAnswerIsAboutOneDomainOrATime(t *testing.T) {
	w := open(t)
	w.take(report{org: "a", id: "1", domain: "example.org", begin: noon.AddDate(0, 0, -10), rows: []told{ours}}.mail())
	w.take(report{org: "a", id: "2", domain: "example.org", rows: []told{ours}}.mail())
	tests := []struct {
		name   string
		domain string
		since  time.Time
		known  bool
		want   string
	}{
		{"all", "", time.Time{}, true, "example.org 200, shop.example 0"},
		{"the last days", "", noon.AddDate(0, 0, -3), true, "example.org 100, shop.example 0"},
		{"a domain", "example.org", time.Time{}, true, "example.org 200"},
		{"a domain of which nothing came", "shop.example", time.Time{}, true, "shop.example 0"},
		{"a domain that only receives, of which nothing came", "bounce.example.org", time.Time{}, true, ""},
		{"a domain of others", "example.com", time.Time{}, false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, known := w.Answer(t.Context(), tt.domain, tt.since)
			var words []string
			for _, d := range a.Domains {
				words = append(words, fmt.Sprint(d.Domain, " ", d.Messages))
			}
			if got := strings.Join(words, ", "); got != tt.want || known != tt.known {
				t.Errorf("got %q, known %v, want %q, %v", got, known, tt.want, tt.known)
			}
		})
	}
}

func TestADomainThatIsNoLongerOursIsNotShown(t *testing.T) {
	w := open(t)
	w.take(report{org: "a", id: "1", domain: "shop.example", rows: []told{ours}}.mail())
	w.SetNames(Names{Senders: []string{"example.org"}, Keep: association.Keep})
	if a, _ := w.Answer(t.Context(), "", time.Time{}); len(a.Domains) != 1 || a.Domains[0].Domain != "example.org" {
		t.Errorf("shown are %+v", a.Domains)
	}
}

func TestAdvice(t *testing.T) {
	signed := "<auth_results><dkim><domain>example.org</domain><selector>homing1</selector><result>pass</result></dkim></auth_results>"
	tests := []struct {
		name   string
		policy string
		rows   []told
		want   string // in one of the sentences; "": there is none
	}{
		{"nothing that fails", "none", []told{ours}, ""},
		{"a few that fail", "none", []told{ours, {from: "198.51.100.9", count: 4}}, ""},
		{"somebody who fails, and no policy", "none", []told{ours, {from: "198.51.100.9", count: 120}},
			"198.51.100.9 (mail.newsletter.example) sent 120 messages in your name that fail (last on 2026-11-22): if that is you, add it to SPF (ip4:198.51.100.9 in the record of the domain in " +
				"its envelope sender, which has to be example.org or below it) or have it sign with DKIM for example.org; if not, a stricter policy (p=quarantine, then p=reject) would stop it."},
		{"a name that does not lead back", "none", []told{{from: "198.51.100.8", count: 120}}, "198.51.100.8 sent 120"},
		{"somebody over IPv6", "none", []told{{from: "2001:db8::66", count: 120}}, "(ip6:2001:db8::66 in the record"},
		{"somebody who fails, and is quarantined", "quarantine", []told{{from: "198.51.100.9", count: 120}}, "p=reject would have it refused"},
		{"somebody who fails, and is refused", "reject", []told{{from: "198.51.100.9", count: 120}}, "there is nothing to do"},
		{"forwarded mail", "none", []told{{from: "198.51.100.9", count: 120, reason: "<reason><type>mailing_list</type></reason>"}}, ""},
		{"a forwarder that breaks signatures", "none", []told{{from: "198.51.100.9", count: 120}, {from: "198.51.100.9", count: 3, dkim: true, more: signed}}, "it forwards mail and changes some of it"},
		{"our address, with a signature that does not hold", "none", []told{{from: "203.0.113.10", count: 120}}, "No signature of them holds: compare what is published at homing1._domainkey.example.org"},
		{"our address, outside of SPF", "none", []told{{from: "203.0.113.10", count: 120}}, "SPF passes for none: add ip4:203.0.113.10"},
		{"our address, where other programs send too", "none", []told{ours, {from: "203.0.113.10", count: 50}}, "50 of 150 messages from your own address 203.0.113.10 (mail.example.org) fail (last on 2026-11-22). DKIM holds for 100"},
		{"our address, and a few fail", "none", []told{ours, {from: "203.0.113.10", count: 2}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := open(t)
			w.take(report{org: "a", id: "1", domain: "example.org", policy: tt.policy, rows: tt.rows}.mail())
			got := strings.Join(w.of("example.org").Advice, "\n")
			if !strings.Contains(got, tt.want) || (got == "") != (tt.want == "") {
				t.Errorf("advice:\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

func TestADomainWithoutAKeyIsToldToSign(t *testing.T) {
	w := open(t)
	w.take(report{org: "a", id: "1", domain: "shop.example", rows: []told{{from: "203.0.113.10", count: 10, spf: false}}}.mail())
	if got := w.of("shop.example").Advice; len(got) != 1 || !strings.Contains(got[0], "give shop.example a DKIM key") {
		t.Errorf("advice: %q", got)
	}
}

func TestWhereNoReportComesTheAnswerSaysHowToGetThem(t *testing.T) {
	w := open(t)
	if got := w.of("example.org").Advice; len(got) != 1 || !strings.Contains(got[0], `"v=DMARC1; p=none; rua=mailto:dmarc@bounce.example.org"`) {
		t.Errorf("advice: %q", got)
	}
	if got := w.of("shop.example").Advice; len(got) != 1 || !strings.Contains(got[0], `shop.example._report._dmarc.bounce.example.org with "v=DMARC1"`) {
		t.Errorf("advice for a domain of another name: %q", got)
	}
	w.SetNames(Names{Senders: []string{"example.org"}})
	if got := w.of("example.org").Advice; len(got) != 1 || !strings.Contains(got[0], `write a [[route]] with as = "report"`) {
		t.Errorf("advice without an address: %q", got)
	}
}

func TestAStricterPolicyIsProposedAfterTwoWeeksInWhichNothingFails(t *testing.T) {
	tests := []struct {
		name, policy string
		days         int
		also         []told
		want         string
	}{
		{"a week", "none", 7, nil, ""},
		{"two weeks", "none", 14, nil, "p=quarantine in the TXT record at _dmarc.example.org"},
		{"two weeks of p=quarantine", "quarantine", 14, nil, "p=reject in"},
		{"two weeks of p=reject", "reject", 14, nil, ""},
		{"two weeks in which somebody fails", "none", 14, []told{{from: "198.51.100.9", count: 100}}, ""},
		{"two weeks in which much is forwarded", "none", 14, []told{{from: "198.51.100.9", count: 50, reason: "<reason><type>forwarded</type></reason>"}}, ""},
		{"two weeks in which a few fail", "none", 14, []told{{from: "192.0.2.1", count: 2}, {from: "192.0.2.2", count: 1}}, "p=quarantine in"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := open(t)
			for day := range tt.days {
				r := report{org: "a", id: fmt.Sprint(day), domain: "example.org", policy: tt.policy, begin: noon.AddDate(0, 0, -day).Add(-36 * time.Hour), rows: []told{ours}}
				if day == 0 {
					r.rows = append(r.rows, tt.also...)
				}
				w.take(r.mail())
			}
			got := strings.Join(w.of("example.org").Advice, "\n")
			if proposed := strings.Contains(got, "Nothing of note fails"); proposed != (tt.want != "") || !strings.Contains(got, tt.want) {
				t.Errorf("advice:\n%s\nwant %q", got, tt.want)
			}
		})
	}
}

// TestWhatIsMendedIsSpokenOfNoMore has something fail on a day, and be well on
// others.
func TestWhatIsMendedIsSpokenOfNoMore(t *testing.T) {
	tests := []struct {
		name string
		row  told
		ago  int    // days between what fails and the last report
		want string // in the advice; "": there is none
	}{
		{"a stranger, lately", told{from: "198.51.100.9", count: 100}, 10, "in your name that fail (last on 2026-11-12)"},
		{"a stranger, long ago", told{from: "198.51.100.9", count: 100}, 20, ""},
		{"our address, lately", told{from: "203.0.113.10", count: 100}, 10, "fail (last on 2026-11-12)"},
		{"our address, long ago", told{from: "203.0.113.10", count: 100}, 20, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := open(t)
			w.take(report{org: "a", id: "1", domain: "example.org", policy: "none", begin: noon.Add(-36*time.Hour).AddDate(0, 0, -tt.ago), rows: []told{tt.row}}.mail())
			well := tt.row
			well.dkim = true
			w.take(report{org: "a", id: "2", domain: "example.org", policy: "none", rows: []told{well}}.mail())
			got := strings.Join(w.of("example.org").Advice, "\n")
			if !strings.Contains(got, tt.want) || (got == "") != (tt.want == "") {
				t.Errorf("advice:\n%s\nwant %q", got, tt.want)
			}
		})
	}
}

func TestFailuresOfTLSThatAreMendedAreSpokenOfNoMore(t *testing.T) {
	for ago, want := range map[string]string{"2026-11-15": "2 sessions of others with bounce.example.org failed (certificate-expired, policy sts, last on 2026-11-15)", "2026-11-02": ""} {
		w := open(t)
		w.take(strings.ReplaceAll(tlsMail("1", "bounce.example.org", "sts", 7, 2, "certificate-expired"), "2026-11-22", ago))
		w.take(tlsMail("2", "bounce.example.org", "sts", 7, 0, "certificate-expired"))
		d := w.of("bounce.example.org")
		got := strings.Join(d.Advice, "\n")
		if !strings.HasPrefix(got, want) || (got == "") != (want == "") {
			t.Errorf("of %s: advice %q, want %q", ago, got, want)
		}
		if f := d.TLS.Policies[0].Failures; len(f) != 1 || f[0] != (TLSFailure{Type: "certificate-expired", Sessions: 2, Last: ago}) {
			t.Errorf("of %s: failures %+v", ago, f)
		}
	}
}

func TestSessionsThatFailedWithoutAReasonAreSpokenOf(t *testing.T) {
	w := open(t)
	w.take(strings.Replace(tlsMail("1", "bounce.example.org", "sts", 7, 1, "certificate-expired"), `"failed-session-count":1`, `"failed-session-count":0`, 1))
	if got := w.of("bounce.example.org").Advice; len(got) != 1 || got[0] != "1 session of others with bounce.example.org failed under its policy sts, and no report says why (last on 2026-11-22)." {
		t.Errorf("advice: %q", got)
	}
}

func TestEveryFailureOfTLSHasAFix(t *testing.T) {
	for _, failure := range []string{"starttls-not-supported", "certificate-host-mismatch", "certificate-expired", "certificate-not-trusted", "validation-failure",
		"tlsa-invalid", "dnssec-invalid", "dane-required", "sts-policy-fetch-error", "sts-policy-invalid", "sts-webpki-invalid", "a-new-one"} {
		t.Run(failure, func(t *testing.T) {
			w := open(t)
			w.take(tlsMail("1", "bounce.example.org", "sts", 7, 2, failure))
			got := w.of("bounce.example.org").Advice
			if len(got) != 1 || !strings.HasPrefix(got[0], "2 sessions of others with bounce.example.org failed") || strings.Contains(got[0], "DOMAIN") {
				t.Errorf("advice: %q", got)
			}
			if failure != "a-new-one" && !strings.Contains(got[0], failure+", policy sts") {
				t.Errorf("advice: %q", got)
			}
		})
	}
}
