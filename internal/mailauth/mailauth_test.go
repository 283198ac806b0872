package mailauth_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"homing/internal/dnsx/dnstest"
	"homing/internal/mailauth"
	"homing/internal/message"
)

// The key of the signatures in these tests, and its record.
var (
	seed = ed25519.NewKeyFromSeed([]byte("0123456789abcdef0123456789abcdef"))
	key  = "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(seed.Public().(ed25519.PublicKey))
)

// world is the DNS of two associations and of somebody who would be one of them.
func world() *dnstest.Zone {
	return &dnstest.Zone{
		TXTs: map[string][]string{
			// has everything
			"example.org":                    {"v=spf1 ip4:192.0.2.1 -all"},
			"k1._domainkey.example.org":      {key},
			"t._domainkey.example.org":       {key + "; t=y"},
			"ts._domainkey.example.org":      {key + "; t=s"},
			"gone._domainkey.example.org":    {"v=DKIM1; k=ed25519; p="},
			"two._domainkey.example.org":     {key, key},
			"huge._domainkey.example.org":    {key + "; n=" + strings.Repeat("x", 5000)},
			"news.example.org":               {"v=spf1 ip4:192.0.2.1 ~all"},
			"k1._domainkey.news.example.org": {key},
			"_dmarc.example.org":             {"v=DMARC1; p=reject; sp=quarantine; rua=mailto:d@example.org"},
			// claims nothing
			"example.net":               {"v=spf1 ip4:192.0.2.1 ?all"},
			"k1._domainkey.example.net": {key},
			// strict
			"strict.test":                    {"v=spf1 ip4:192.0.2.1 -all"},
			"mail.strict.test":               {"v=spf1 ip4:192.0.2.1 -all"},
			"k1._domainkey.mail.strict.test": {key},
			"_dmarc.strict.test":             {"v=DMARC1;p=quarantine;adkim=s;aspf=s"},
			// somebody else, who does everything right for himself
			"evil.test":                 {"v=spf1 +all"},
			"k1._domainkey.evil.test":   {key},
			"_dmarc.evil.test":          {"v=DMARC1; p=reject"},
			"xn--bcher-kva.test":        {"v=spf1 ip4:192.0.2.1 -all"},
			"_dmarc.xn--bcher-kva.test": {"v=DMARC1; p=none"},
		},
	}
}

var member = netip.MustParseAddr("192.0.2.1")

// signed puts a DKIM-Signature of simple canonical form before a message whose
// body ends with one line end; more are tags that it has besides the usual, or
// instead of them.
func signed(t testing.TB, domain, message string, more ...string) string {
	t.Helper()
	head, body, ok := strings.Cut(message, "\r\n\r\n")
	if !ok || !strings.HasSuffix(body, "\r\n") {
		t.Fatalf("%q is no message", message)
	}
	sum := sha256.Sum256([]byte(body))
	tags := map[string]string{"v": "1", "a": "ed25519-sha256", "d": domain, "s": "k1", "h": "from:subject", "bh": base64.StdEncoding.EncodeToString(sum[:])}
	for _, m := range more {
		name, value, _ := strings.Cut(m, "=")
		tags[name] = value
	}
	field := "DKIM-Signature:"
	for name, value := range tags {
		field += " " + name + "=" + value + ";"
	}
	field += " b="
	h := sha256.New()
	fields := strings.SplitAfter(head+"\r\n", "\r\n")
	for name := range strings.SplitSeq(tags["h"], ":") {
		for i := len(fields) - 1; i >= 0; i-- {
			if n, _, _ := strings.Cut(fields[i], ":"); strings.EqualFold(n, name) {
				h.Write([]byte(fields[i]))
				fields[i] = ""
				break
			}
		}
	}
	h.Write([]byte(field))
	return field + base64.StdEncoding.EncodeToString(ed25519.Sign(seed, h.Sum(nil))) + "\r\n" + message
}

const text = "From: Ann <ann@example.org>\r\nSubject: hi\r\n\r\nHello.\r\n"

// mailOf is mail from a member's server.
func mailOf(reversePath, content string) mailauth.Mail {
	return mailauth.Mail{Remote: member, HELO: "mx.example.org", ReversePath: reversePath, Content: strings.NewReader(content), Size: int64(len(content))}
}

// from is mail of a peer.
func from(peer string, m mailauth.Mail) mailauth.Mail {
	m.Remote, _ = netip.ParseAddr(peer)
	return m
}

// summary is a Result in one line.
func summary(r mailauth.Result) string {
	words := []string{"spf=" + string(r.SPF)}
	for _, s := range r.DKIM {
		words = append(words, fmt.Sprintf("%s=%s", s.Domain, s.Verdict))
	}
	words = append(words, "dmarc="+string(r.DMARC))
	switch {
	case r.Passed() && r.Temporary():
		words = append(words, "contradiction")
	case r.Passed():
		words = append(words, "proven")
	case r.Temporary():
		words = append(words, "later")
	}
	return strings.Join(words, " ")
}

func TestWhatIsProven(t *testing.T) {
	with := func(header string) string { return strings.Replace(text, "From: Ann <ann@example.org>", header, 1) }
	tests := []struct {
		name string
		mail mailauth.Mail
		want string
	}{
		{"SPF of an aligned domain", mailOf("ann@example.org", text), "spf=pass dmarc=pass proven"},
		{"SPF of a subdomain, relaxed", mailOf("b@news.example.org", text), "spf=pass dmarc=pass proven"},
		{"a signature alone", from("198.51.100.1", mailOf("ann@example.org", signed(t, "example.org", text))), "spf=fail example.org=pass dmarc=pass proven"},
		{"neither", from("198.51.100.1", mailOf("ann@example.org", text)), "spf=fail dmarc=fail"},
		{"another's SPF and signature", mailOf("m@evil.test", signed(t, "evil.test", text)), "spf=pass evil.test=pass dmarc=fail"},
		{"one good signature of two", from("198.51.100.1", mailOf("", signed(t, "evil.test", signed(t, "example.org", text)))),
			"spf=none evil.test=pass example.org=pass dmarc=pass proven"},
		{"no record: aligned counts", mailOf("x@example.net", with("From: x@example.net")), "spf=pass dmarc=none proven"},
		{"no record: nothing aligned", mailOf("m@evil.test", with("From: x@example.net")), "spf=pass dmarc=none"},
		{"strict: a subdomain is not enough", mailOf("x@mail.strict.test", signed(t, "mail.strict.test", with("From: x@strict.test"))),
			"spf=pass mail.strict.test=pass dmarc=fail"},
		{"strict: the very domain", mailOf("x@strict.test", with("From: x@strict.test")), "spf=pass dmarc=pass proven"},
		{"two domains of a public suffix are strangers", mailOf("m@evil.test", with("From: x@other.test")), "spf=pass dmarc=none"},

		{"a null reverse-path: the name in HELO", mailauth.Mail{Remote: member, HELO: "news.example.org", Content: strings.NewReader(text), Size: int64(len(text))},
			"spf=pass dmarc=pass proven"},
		{"HELO counts for nothing beside a reverse-path", from("192.0.2.1", mailOf("m@nowhere.test", text)), "spf=none dmarc=fail"},
		{"an address literal in HELO", mailauth.Mail{Remote: member, HELO: "[192.0.2.1]", Content: strings.NewReader(text), Size: int64(len(text))}, "spf=none dmarc=fail"},
		{"no peer: no SPF", from("", mailOf("ann@example.org", text)), "spf=none dmarc=fail"},
		{"no peer: the signature counts", from("", mailOf("ann@example.org", signed(t, "example.org", text))), "spf=none example.org=pass dmarc=pass proven"},
		{"an IPv4 address in IPv6", from("::ffff:192.0.2.1", mailOf("ann@example.org", text)), "spf=pass dmarc=pass proven"},
		{"a quoted at sign in the reverse-path", mailOf(`"x@evil.test"@example.org`, text), "spf=pass dmarc=pass proven"},
		{"a quoted at sign that names the domain to spoof", mailOf(`"ann@example.org"@evil.test`, text), "spf=pass dmarc=fail"},
		{"a reverse-path that is none", mailOf("ann", text), "spf=none dmarc=fail"},

		{"two From fields", mailOf("ann@example.org", "From: m@evil.test\r\n"+text), "spf=pass dmarc=permerror"},
		{"two From fields, one of them signed", mailOf("", "From: m@example.org\r\n"+signed(t, "example.org", text)), "spf=none example.org=pass dmarc=permerror"},
		{"a From field that was added behind an oversigned one", mailOf("", strings.Replace(signed(t, "example.org", text, "h=from:from:subject"), "Subject", "From: m@example.org\r\nSubject", 1)),
			"spf=none example.org=fail dmarc=permerror"},
		{"no From field", mailOf("ann@example.org", "Subject: hi\r\n\r\nHello.\r\n"), "spf=pass dmarc=permerror"},
		{"two mailboxes", mailOf("ann@example.org", with("From: ann@example.org, m@evil.test")), "spf=pass dmarc=permerror"},
		{"two mailboxes without their comma", mailOf("ann@example.org", with("From: <ann@example.org> <m@evil.test>")), "spf=pass dmarc=permerror"},
		{"a mailbox and something", mailOf("ann@example.org", with("From: ann@example.org, ???")), "spf=pass dmarc=permerror"},
		{"a name that looks like an address", mailOf("m@evil.test", with(`From: "ann@example.org" <m@evil.test>`)), "spf=pass dmarc=pass proven"},
		{"a name like an address does not help", mailOf("ann@example.org", with(`From: "ann@example.org" <m@evil.test>`)), "spf=pass dmarc=fail"},
		{"a group of one", mailOf("ann@example.org", with("From: Board: ann@example.org;")), "spf=pass dmarc=pass proven"},
		{"a group of two", mailOf("ann@example.org", with("From: Board: ann@example.org, m@evil.test;")), "spf=pass dmarc=permerror"},
		{"an empty group", mailOf("ann@example.org", with("From: Board:;")), "spf=pass dmarc=permerror"},
		{"a quoted local part", mailOf("ann@example.org", with(`From: "ann, m@evil.test"@example.org`)), "spf=pass dmarc=pass proven"},
		{"a comment with an address", mailOf("ann@example.org", with("From: m@evil.test (ann@example.org)")), "spf=pass dmarc=fail"},
		{"an address literal", mailOf("ann@example.org", with("From: ann@[192.0.2.1]")), "spf=pass dmarc=permerror"},
		{"letter case", mailOf("Ann@EXAMPLE.Org", with("From: ann@Example.ORG")), "spf=pass dmarc=pass proven"},
		{"another alphabet", mailOf("ann@xn--bcher-kva.test", with("From: ann@BÜCHER.test")), "spf=pass dmarc=pass proven"},

		{"a header that ends without an empty line", mailOf("ann@example.org", "From: ann@example.org\r\nno field\r\nSubject: hi\r\n\r\nHello.\r\n"), "spf=pass dmarc=permerror"},
		{"what is put before a signed message", mailOf("", "From: m@example.org\r\nno field\r\n"+signed(t, "example.org", text)), "spf=none dmarc=permerror"},
		{"a line end of its own in the header", mailOf("ann@example.org", "X: y\rFrom: m@evil.test\r\n"+text), "spf=pass dmarc=permerror"},
		{"a header alone", mailOf("ann@example.org", "From: ann@example.org\r\n"), "spf=pass dmarc=pass proven"},
		{"nothing", mailOf("ann@example.org", ""), "spf=pass dmarc=permerror"},
		{"a header too big to verify", mailOf("ann@example.org", "X: "+strings.Repeat("x", 300<<10)+"\r\n"+text), "spf=pass dmarc=permerror"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := mailauth.Checker{Resolver: world()}
			if got := summary(c.Check(t.Context(), tt.mail)); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestWhatASignatureIsWorth(t *testing.T) {
	weak := weakKey(t)
	tests := []struct {
		name, content string
		want          mailauth.Verdict
	}{
		{"as it was signed", signed(t, "example.org", text), mailauth.Pass},
		{"the body changed", strings.Replace(signed(t, "example.org", text), "Hello", "Hallo", 1), mailauth.Fail},
		{"a signed field changed", strings.Replace(signed(t, "example.org", text), "hi", "ho", 1), mailauth.Fail},
		{"a field was added that was signed as absent", strings.Replace(signed(t, "example.org", text, "h=from:subject:to"), "Subject", "To: m@evil.test\r\nSubject", 1), mailauth.Fail},
		{"From is not signed", signed(t, "example.org", text, "h=subject"), mailauth.PermError},
		{"only the beginning of the body", signed(t, "example.org", text, "l=8"), mailauth.Policy},
		{"only the beginning, written with a space", signed(t, "example.org", text, "l =8"), mailauth.Policy},
		{"expired", signed(t, "example.org", text, "x=946684000"), mailauth.Fail},
		{"not yet expired", signed(t, "example.org", text, "x=946684900"), mailauth.Pass},
		{"a key in test mode", signed(t, "example.org", text, "s=t"), mailauth.Neutral},
		{"a broken signature of a key in test mode", strings.Replace(signed(t, "example.org", text, "s=t"), "Hello", "Hallo", 1), mailauth.Neutral},
		{"the key of a domain for its subdomain, which it forbids", signed(t, "example.org", text, "s=ts", "i=ann@news.example.org"), mailauth.PermError},
		{"the key of a domain for its subdomain", signed(t, "example.org", text, "i=ann@news.example.org"), mailauth.Pass},
		{"on behalf of another domain", signed(t, "example.org", text, "i=ann@example.net"), mailauth.PermError},
		{"a withdrawn key", signed(t, "example.org", text, "s=gone"), mailauth.PermError},
		{"no key", signed(t, "example.org", text, "s=none"), mailauth.PermError},
		{"two keys at one name", signed(t, "example.org", text, "s=two"), mailauth.PermError},
		{"a record that is too long", signed(t, "example.org", text, "s=huge"), mailauth.PermError},
		{"an RSA key of 512 bits", signed(t, "example.org", text, "s=weak", "a=rsa-sha256"), mailauth.PermError},
		{"SHA-1", signed(t, "example.org", text, "a=rsa-sha1"), mailauth.PermError},
		{"a domain that is none", signed(t, "[192.0.2.1]", text), mailauth.PermError},
		{"servers that do not answer", signed(t, "example.org", text, "s=down"), mailauth.TempError},
		{"a field that is no list of tags", "DKIM-Signature: rubbish\r\n" + text, mailauth.PermError},
		{"more empty lines than anybody writes", signed(t, "example.org", text+strings.Repeat("\r\n", 200_000)), mailauth.PermError},
		{"many empty lines", signed(t, "example.org", text+strings.Repeat("\r\n", 100_000)+"x\r\n"), mailauth.Pass},
		{"more names than anybody signs", signed(t, "example.org", text, "h=from"+strings.Repeat(":x", 600)), mailauth.PermError},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // where it is the year 2000
				z := world()
				z.TXTs["weak._domainkey.example.org"] = []string{weak}
				z.Down = map[string]bool{"down._domainkey.example.org": true}
				c := mailauth.Checker{Resolver: z}
				r := c.Check(t.Context(), mailOf("", tt.content))
				if len(r.DKIM) != 1 || r.DKIM[0].Verdict != tt.want || (r.DKIM[0].Why == "") != (tt.want == mailauth.Pass) {
					t.Errorf("got %+v, want %s", r.DKIM, tt.want)
				}
				if r.Passed() != (tt.want == mailauth.Pass) {
					t.Errorf("proven: %v", r.Passed())
				}
			})
		})
	}
}

// weakKey is the record of an RSA key that nobody may use (RFC 8301 section 3.2).
func weakKey(t *testing.T) string {
	t.Helper()
	t.Setenv("GODEBUG", "rsa1024min=0")
	k, err := rsa.GenerateKey(rand.Reader, 512)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return "v=DKIM1; p=" + base64.StdEncoding.EncodeToString(der)
}

func TestADomainDeniesWhoeverBringsItsMailWithoutLeave(t *testing.T) {
	from := func(domain string) string { return strings.Replace(text, "example.org", domain, 1) }
	z := world()
	z.TXTs["denies.test"] = []string{"v=spf1 -all"}
	z.TXTs["below.quiet.test"] = []string{"v=spf1 -all"}
	z.TXTs["k1._domainkey.denies.test"] = []string{key}
	for _, tt := range []struct {
		name      string
		mail      mailauth.Mail
		denied    bool
		spf, dkim mailauth.Verdict // that speak for the author
	}{
		{"the reverse-path is its own", mailOf("ann@denies.test", from("denies.test")), true, mailauth.Fail, mailauth.None},
		{"the reverse-path is somebody else's, who passes", mailOf("m@evil.test", from("denies.test")), true, mailauth.Fail, mailauth.None},
		{"a domain below it denies", mailOf("b@below.quiet.test", from("quiet.test")), true, mailauth.Fail, mailauth.None},
		{"it denies, and has signed", mailOf("m@evil.test", signed(t, "denies.test", from("denies.test"))), false, mailauth.None, mailauth.Pass},
		{"somebody else has signed", mailOf("m@evil.test", signed(t, "evil.test", from("quiet.test"))), false, mailauth.None, mailauth.None},
		{"it says nothing", mailOf("ann@quiet.test", from("quiet.test")), false, mailauth.None, mailauth.None},
		{"nobody knows who brought it", mailauth.Mail{ReversePath: "ann@denies.test", Content: strings.NewReader(from("denies.test")), Size: int64(len(from("denies.test")))}, false, mailauth.None, mailauth.None},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := mailauth.Checker{Resolver: z}
			r := c.Check(t.Context(), tt.mail)
			if spf, dkim := r.Own(); r.Denied() != tt.denied || spf != tt.spf || dkim != tt.dkim {
				t.Errorf("denied %v, SPF %s, DKIM %s; want %v, %s, %s", r.Denied(), spf, dkim, tt.denied, tt.spf, tt.dkim)
			}
		})
	}
}

func TestOnlyTheTopmostEightSignaturesCount(t *testing.T) {
	content := signed(t, "example.org", text)
	for range 8 {
		content = signed(t, "evil.test", content)
	}
	c := mailauth.Checker{Resolver: world()}
	if r := c.Check(t.Context(), mailOf("", content)); len(r.DKIM) != 8 || r.Passed() {
		t.Errorf("%d signatures, proven: %v; want 8, false", len(r.DKIM), r.Passed())
	}
}

func TestWhatCannotBeFoundOutNow(t *testing.T) {
	down := func(names ...string) *dnstest.Zone {
		z := world()
		z.Down = map[string]bool{}
		for _, n := range names {
			z.Down[n] = true
		}
		return z
	}
	tests := []struct {
		name string
		zone *dnstest.Zone
		mail mailauth.Mail
		want string
	}{
		{"SPF alone would prove it", down("example.org"), mailOf("ann@example.org", text), "spf=temperror dmarc=temperror later"},
		{"the signature proves it", down("example.org"), mailOf("ann@example.org", signed(t, "example.org", text)), "spf=temperror example.org=pass dmarc=pass proven"},
		{"SPF of a stranger would prove nothing", down("evil.test"), mailOf("m@evil.test", text), "spf=temperror dmarc=fail"},
		{"the key would prove it", down("k1._domainkey.example.org"), mailOf("m@evil.test", signed(t, "example.org", text)), "spf=pass example.org=temperror dmarc=temperror later"},
		{"a stranger's key", down("k1._domainkey.evil.test"), mailOf("m@evil.test", signed(t, "evil.test", text)), "spf=pass evil.test=temperror dmarc=fail"},
		{"the policy, which may be strict", down("_dmarc.example.org"), mailOf("b@news.example.org", text), "spf=pass dmarc=temperror later"},
		{"the policy, where the very domain passes", down("_dmarc.example.org"), mailOf("ann@example.org", text), "spf=pass dmarc=temperror proven"},
		{"the policy, where the very domain has signed", down("_dmarc.example.org"), mailOf("m@evil.test", signed(t, "example.org", text)), "spf=pass example.org=pass dmarc=temperror proven"},
		{"without a record", down("example.net"), mailOf("x@example.net", strings.Replace(text, "example.org", "example.net", 1)), "spf=temperror dmarc=temperror later"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := mailauth.Checker{Resolver: tt.zone}
			if got := summary(c.Check(t.Context(), tt.mail)); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestSilentServersCostTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := world()
		z.Silent = map[string]bool{"example.org": true, "k1._domainkey.example.org": true, "_dmarc.example.org": true}
		c := mailauth.Checker{Resolver: z}
		begin := time.Now()
		r := c.Check(t.Context(), mailOf("ann@example.org", signed(t, "example.org", text)))
		if took := time.Since(begin); took != 10*time.Second || !r.Temporary() {
			t.Errorf("took %v, later: %v; want 10s, true", took, r.Temporary())
		}
	})
}

// FuzzCheck states what Check promises of any message and any DNS: it ends, its
// Result does not contradict itself, and nothing is proven of a message whose
// author somebody else could read differently.
func FuzzCheck(f *testing.F) {
	f.Add(signed(f, "example.org", text), "ann@example.org", "v=spf1 include:example.org a:%{l}.%{d2r}.test mx/24//64 ptr exists:%{ir}.x -all", key, "v=DMARC1; p=reject; rua=mailto:x@y")
	f.Add("From: a@b\r\nFrom: c@d\r\n\r\n", "", "v=spf1 redirect=_spf.%{o}", "v=DKIM1; p=", "v=DMARC1; sp=x")
	f.Add("Authentication-Results: mx.example.com; spf=pass smtp.mailfrom=\"a\"@b\r\nFrom: =?x?= <\"a@b\"@c.test>\r\n\r\nx", `"a@b"@c`, "v=spf1 ip4:0/0", "", "")
	f.Fuzz(func(t *testing.T, content, reversePath, policy, keyRecord, dmarc string) {
		z := world()
		z.TXTs["example.org"] = []string{policy}
		z.TXTs["k1._domainkey.example.org"] = []string{keyRecord}
		z.TXTs["_dmarc.example.org"] = []string{dmarc}
		c := mailauth.Checker{Resolver: z, Trusted: []string{"mx.example.com"}}
		m := mailOf(reversePath, content)
		for _, m.Remote = range []netip.Addr{member, {}} {
			r := c.Check(t.Context(), m)
			if r.Passed() && r.Temporary() || len(r.DKIM) > 16 || (r.From == "") != (r.FromDomain == "") {
				t.Fatalf("contradiction: %+v", r)
			}
			if fields := message.ParseFields([]byte(content)); r.Passed() && (r.FromDomain == "" || fields.Get("From") == "") {
				t.Fatalf("proven, and nobody is the author: %+v", r)
			}
			if _, ok := mailauth.Read(message.ParseHeader([]byte(r.Field(us))).Get("Authentication-Results")); !ok {
				t.Fatalf("%q cannot be read", r.Field(us))
			}
		}
	})
}

func ExampleChecker() {
	letter := "From: Ann <ann@example.org>\r\nSubject: hi\r\n\r\nHello.\r\n"
	c := mailauth.Checker{Resolver: &dnstest.Zone{TXTs: map[string][]string{
		"example.org":        {"v=spf1 ip4:192.0.2.1 -all"},
		"_dmarc.example.org": {"v=DMARC1; p=reject"},
	}}}
	r := c.Check(context.Background(), mailauth.Mail{
		Remote: netip.MustParseAddr("192.0.2.1"), HELO: "mx.example.org", ReversePath: "ann@example.org",
		Content: strings.NewReader(letter), Size: int64(len(letter)),
	})
	fmt.Println(r.From, r.Passed())
	fmt.Print(strings.ReplaceAll(r.Field("mail.example.com"), "\r\n", "\n"))
	// Output:
	// ann@example.org true
	// Authentication-Results: mail.example.com; spf=pass smtp.mailfrom=example.org;
	//  dkim=none; dmarc=pass (p=reject) header.from=example.org
}
