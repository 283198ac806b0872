package dnscheck

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"homing/internal/dnsx"
	"homing/internal/dnsx/dnstest"
)

// spfWorld has records that include each other.
var spfWorld = &dnstest.Zone{
	MXs:   map[string][]dnsx.MX{"example.org": dnstest.MXs("mx1.example.org", "mx2.example.org")},
	Hosts: map[string][]netip.Addr{"example.org": dnstest.Addrs("192.0.2.1"), "mx2.example.org": dnstest.Addrs("192.0.2.3", "2001:db8::3")},
	TXTs: map[string][]string{
		"one.example":   {"v=spf1 ip4:198.51.100.0/24 -ip4:203.0.113.5 -all"},
		"two.example":   {"v=spf1 include:one.example a:example.org exists:%{i}.example ?all"},
		"loop.example":  {"v=spf1 include:loop.example include:loop.example ~all"},
		"twice.example": {"v=spf1 +all", "v=spf1 -all"},
		"soft.example":  {"v=spf1 ~ip4:203.0.113.10 all"},
	},
}

func TestTheQuestionsOfASPFRecordAreCounted(t *testing.T) {
	tests := []struct {
		name, text string
		want       int
	}{
		{"networks ask nothing", "v=spf1 ip4:192.0.2.1 ip6:2001:db8::/32 -all", 0},
		{"each of these asks one", "v=spf1 a mx a:mail.example.org/24 mx:example.org ptr exists:%{i}.example -all", 6},
		{"qualifiers change nothing", "v=spf1 -a ~mx ?ptr +exists:x.example -all", 4},
		{"an include asks for itself and for what it includes", "v=spf1 include:two.example -all", 4},
		{"a redirection likewise", "v=spf1 redirect=two.example", 4},
		{"a redirection beside all is nothing", "v=spf1 redirect=two.example -all", 0},
		{"behind all nothing counts", "v=spf1 -all include:two.example", 0},
		{"an include of nothing asks once", "v=spf1 include:nothing.example -all", 1},
		{"an include by macro asks once", "v=spf1 include:%{d}.example -all", 1},
		{"an explanation asks nothing", "v=spf1 exp=why.example.org a -all", 1},
		{"letter case does not matter", "V=SPF1 INCLUDE:one.example A -ALL", 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tree := &spfTree{r: spfWorld}
			if got := tree.questions(t.Context(), tt.text, "example.org"); got != tt.want {
				t.Errorf("questions(%q) = %d, want %d", tt.text, got, tt.want)
			}
		})
	}
	tree := &spfTree{r: spfWorld}
	if n := tree.questions(t.Context(), "v=spf1 include:loop.example", "example.org"); n <= maxSPFQuestions || tree.asked > 3*maxSPFAsked {
		t.Errorf("a record that includes itself asks %d, after %d look-ups", n, tree.asked)
	}
}

func TestWhomASPFRecordLetsPass(t *testing.T) {
	tests := []struct {
		name, text, addr string
		want             bool
	}{
		{"an address", "v=spf1 ip4:203.0.113.10 -all", "203.0.113.10", true},
		{"another one", "v=spf1 ip4:203.0.113.10 -all", "203.0.113.11", false},
		{"a network", "v=spf1 ip4:203.0.113.0/24 -all", "203.0.113.11", true},
		{"an address of IPv6", "v=spf1 ip6:2001:db8::/32 -all", "2001:db8::10", true},
		{"the domain's own address", "v=spf1 a -all", "192.0.2.1", true},
		{"its neighbours", "v=spf1 a/24 -all", "192.0.2.200", true},
		{"its neighbours of IPv6", "v=spf1 mx//64 -all", "2001:db8::99", true},
		{"the bits of IPv6 are not those of IPv4", "v=spf1 mx//64 -all", "192.0.2.4", false},
		{"an MX", "v=spf1 mx -all", "192.0.2.3", true},
		{"an include", "v=spf1 include:one.example -all", "198.51.100.7", true},
		{"what an include refuses goes on", "v=spf1 include:one.example ip4:203.0.113.5 -all", "203.0.113.5", true},
		{"a redirection", "v=spf1 redirect=one.example", "198.51.100.7", true},
		{"a redirection comes last", "v=spf1 redirect=one.example ip4:203.0.113.5", "203.0.113.5", true},
		{"a refusal in front", "v=spf1 -ip4:203.0.113.0/24 ip4:203.0.113.10 -all", "203.0.113.10", false},
		{"half a refusal is no pass", "v=spf1 include:soft.example ~all", "203.0.113.10", false},
		{"everybody", "v=spf1 +all", "203.0.113.10", true},
		{"two records are none", "v=spf1 include:twice.example -all", "203.0.113.10", false},
		{"nonsense", "v=spf1 ip4:nonsense a:/x mx//999 ip4: - : = -all", "203.0.113.10", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tree := &spfTree{r: spfWorld}
			if got := tree.passes(t.Context(), netip.MustParseAddr(tt.addr), tt.text, "example.org"); got != tt.want {
				t.Errorf("passes(%s, %q) = %v, want %v", tt.addr, tt.text, got, tt.want)
			}
		})
	}
}

func TestSeveralSPFRecordsBecomeOne(t *testing.T) {
	tests := []struct {
		name string
		give []string
		want string
	}{
		{"one stays as it is, with its spaces", []string{"v=spf1  a   -all "}, "v=spf1  a   -all "},
		{"every mechanism once, and the mildest end", []string{"v=spf1 a mx -all", "v=spf1 mx include:x.example ~all"}, "v=spf1 a mx include:x.example ~all"},
		{"a redirection beside an end becomes an include", []string{"v=spf1 redirect=X.example", "v=spf1 mx -all"}, "v=spf1 mx include:x.example -all"},
		{"of two redirections one stays", []string{"v=spf1 redirect=x.example", "v=spf1 redirect=y.example"}, "v=spf1 include:y.example redirect=x.example"},
		{"without an end", []string{"v=spf1 a", "v=spf1 mx"}, "v=spf1 a mx"},
		{"all is not let through by accident", []string{"v=spf1 +all", "v=spf1 -all"}, "v=spf1 -all"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := joinedSPF(tt.give); got != tt.want {
				t.Errorf("joinedSPF = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestTheIncludeOfAProviderIsFoundByItsHosts(t *testing.T) {
	tests := []struct{ host, want string }{
		{"smtp-relay.gmail.com", "include:_spf.google.com"},
		{"ASPMX.L.Google.com.", "include:_spf.google.com"},
		{"example-org.mail.protection.outlook.com", "include:spf.protection.outlook.com"},
		{"email-smtp.eu-west-1.amazonaws.com", "include:amazonses.com"},
		{"ec2-192-0-2-1.eu-west-1.compute.amazonaws.com", ""},
		{"email-smtp..amazonaws.com", ""},
		{"vps-1.vps.ovh.net", ""},
		{"notgmail.com", ""},
	}
	for _, tt := range tests {
		if got := includeOf(tt.host); got != tt.want {
			t.Errorf("includeOf(%s) = %q, want %q", tt.host, got, tt.want)
		}
	}
}

func TestOurAddressJoinsThoseThatGetReports(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"none so far", "v=DMARC1; p=none", "v=DMARC1; p=none; rua=mailto:us@example.org"},
		{"a semicolon at the end", "v=DMARC1; p=none;", "v=DMARC1; p=none; rua=mailto:us@example.org"},
		{"somebody", "v=DMARC1; p=none; rua=mailto:a@b.example; fo=1", "v=DMARC1; p=none; rua=mailto:a@b.example,mailto:us@example.org; fo=1"},
		{"somebody with a limit", "v=DMARC1;rua=mailto:a@b.example!10m;p=reject", "v=DMARC1;rua=mailto:a@b.example!10m,mailto:us@example.org;p=reject"},
		{"an empty list", "v=DMARC1; rua=; p=none", "v=DMARC1; rua=mailto:us@example.org; p=none"},
		{"us already", "v=DMARC1; p=none; rua=MAILTO:Us@Example.org!5m", "v=DMARC1; p=none; rua=MAILTO:Us@Example.org!5m"},
		{"us, percent-encoded", "v=DMARC1; p=none; rua=mailto:%75s@example.org", "v=DMARC1; p=none; rua=mailto:%75s@example.org"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := withReceiver(tt.text, "us@example.org"); got != tt.want {
				t.Errorf("withReceiver(%q) = %q, want %q", tt.text, got, tt.want)
			}
		})
	}
	if got := mailto("a!b+c@example.org"); got != "mailto:a%21b+c@example.org" {
		t.Errorf("mailto = %q: an exclamation mark would begin a limit", got)
	}
}

// FuzzMerging promises of any published text: what we add to it is there, once;
// nothing that was there is gone; and to add it again changes nothing.
func FuzzMerging(f *testing.F) {
	for _, text := range []string{"v=spf1 a -all", "v=spf1 redirect=x.example", "V=SPF1 exp=a  -ip4:203.0.113.0/8 ~", "v=DMARC1; p=reject; rua=mailto:a@b.example!10m,; sp", "v=DMARC1;RUA = x",
		"\"v=dmarc1\\; p=reject\\; rua=mailto:a@b.example\"", " v = DMARC1 ;p=None"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if isSPF(text) {
			fuzzSPF(t, text)
		}
		if isDMARC(text) {
			fuzzReceiver(t, text)
		}
		fuzzMeant(t, text)
	})
}

func fuzzSPF(t *testing.T, text string) {
	tree := &spfTree{r: &dnstest.Zone{}}
	addr := netip.MustParseAddr("203.0.113.10")
	tree.questions(t.Context(), text, "example.org")
	if tree.passes(t.Context(), addr, text, "example.org") {
		return
	}
	merged := withTerms(text, []string{addressTerm(addr)})
	if !isSPF(merged) || !tree.passes(t.Context(), addr, merged, "example.org") {
		t.Errorf("%q does not let %v pass", merged, addr)
	}
	for _, term := range strings.Fields(text)[1:] {
		if !slices.Contains(strings.Fields(merged), term) {
			t.Errorf("%q has lost %q", merged, term)
		}
	}
	if joined := joinedSPF([]string{merged, merged}); !isSPF(joined) {
		t.Errorf("%q joined is %q", merged, joined)
	}
}

// fuzzMeant promises that what is put right of a spoilt text can be read, asks for
// what the text asks for, and stays so.
func fuzzMeant(t *testing.T, text string) {
	if again := bare(bare(text)); again != bare(text) && !strings.ContainsAny(text, "\\\"") {
		t.Errorf("%q bare is %q, and that %q", text, bare(text), again)
	}
	meant, err := meantPolicy(text)
	if err != nil {
		return
	}
	d, err := dmarcRecordOf(meant)
	if err != nil || d.policy != askedFor(text) {
		t.Errorf("%q made of %q asks for %q, %v", meant, text, d.policy, err)
	}
	if again, err := meantPolicy(meant); err != nil || again != meant {
		t.Errorf("%q becomes %q, %v", meant, again, err)
	}
}

func fuzzReceiver(t *testing.T, text string) {
	before := receiversOf(text)
	merged := withReceiver(text, "us@example.org")
	after := receiversOf(merged)
	if !isDMARC(merged) || !slices.Contains(after, "us@example.org") {
		t.Errorf("%q made of %q has no address of ours", merged, text)
	}
	for _, r := range before {
		if r != "" && !slices.Contains(after, r) {
			t.Errorf("%q made of %q has lost %q", merged, text, r)
		}
	}
	for _, tag := range []string{"p", "sp", "pct", "adkim", "aspf", "fo", "ruf"} {
		if tagOf(text, tag) != tagOf(merged, tag) {
			t.Errorf("%q made of %q has another %s", merged, text, tag)
		}
	}
	if again := withReceiver(merged, "us@example.org"); again != merged {
		t.Errorf("%q becomes %q", merged, again)
	}
}

func ExampleRecord_Quoted() {
	r := Record{Zone: "example.org", Name: "bounce.example.org", Type: "TXT", Value: "v=spf1 ip4:203.0.113.10 -all"}
	fmt.Println(r.Relative(), r.Type, r.Quoted())
	// Output: bounce TXT "v=spf1 ip4:203.0.113.10 -all"
}
