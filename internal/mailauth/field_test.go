package mailauth_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/authres"

	"homing/internal/mailauth"
	"homing/internal/message"
)

const us = "mail.example.org"

func TestFieldsThatClaimToBeOursGo(t *testing.T) {
	tests := []struct {
		name, value string
		stays       bool
	}{
		{"ours", "mail.example.org; dmarc=pass", false},
		{"in capitals", "MAIL.Example.ORG; dmarc=pass", false},
		{"with a final dot", "mail.example.org.; dmarc=pass", false},
		{"with a version", "mail.example.org 1; dmarc=pass", false},
		{"with a version that there is not", "mail.example.org 99; dmarc=pass", false},
		{"quoted", `"mail.example.org"; dmarc=pass`, false},
		{"quoted with backslashes", `"mail\.example\.org"; dmarc=pass`, false},
		{"quoted in part", `mail."example".org; dmarc=pass`, false},
		{"behind a comment", "(hi (there)) mail.example.org; dmarc=pass", false},
		{"before a comment", "mail.example.org(hi); dmarc=pass", false},
		{"folded", "\r\n\tmail.example.org;\r\n\tdmarc=pass", false},
		{"in other letters that mean the same", "ｍａｉｌ.example.org; dmarc=pass", false},
		{"without a result", "mail.example.org", false},

		{"a comment in the name", "mail.(x)example.org; dmarc=pass", false},
		{"no host", "spf=pass smtp.mailfrom=member.test; dmarc=pass", false},
		{"nothing", "", false},
		{"a quote without end", `"mail.example.org; dmarc=pass`, false},
		{"a comment without end", "(mail.example.org; dmarc=pass", false},
		{"an old kind of version", "mail.example.org/1; dmarc=pass", false},
		{"two hosts", "mx.example.com mail.example.org; dmarc=pass", false},

		{"of another host", "mx.example.com; dmarc=pass", true},
		{"of a host beneath ours", "in.mail.example.org; dmarc=pass", true},
		{"of a host above ours", "example.org; dmarc=pass", true},
		{"of another that speaks of us", "mx.example.com (for mail.example.org); dmarc=pass header.from=mail.example.org", true},
		{"of another, broken later", "mx.example.com; dmarc", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, name := range []string{"Authentication-Results: ", "AUTHENTICATION-RESULTS : "} {
				h := message.ParseHeader([]byte("Subject: hi\r\n" + name + tt.value + "\r\nX-Authentication-Results: mail.example.org\r\n"))
				if n := mailauth.Strip(h, us); (n == 0) != tt.stays || h.Has("Authentication-Results") != tt.stays {
					t.Errorf("%sremoved %d fields; to stay: %v", name, n, tt.stays)
				}
				if !h.Has("Subject") || !h.Has("X-Authentication-Results") {
					t.Error("another field is gone")
				}
			}
		})
	}
}

func TestTheFieldSaysWhatWasFound(t *testing.T) {
	full := mailauth.Result{SPF: mailauth.SoftFail, SPFDomain: "example.org", DKIM: []mailauth.Signature{
		{Domain: "example.org", Selector: "k1", Verdict: mailauth.Pass},
		{Domain: "xn--bcher-kva.test", Verdict: mailauth.Fail, Why: `the body is "different"`},
		{Verdict: mailauth.PermError, Why: "bad\r\nX: y"},
	}, DMARC: mailauth.Pass, FromDomain: "example.org", Policy: "reject"}
	tests := []struct {
		name   string
		result mailauth.Result
		want   string
	}{
		{"nothing", mailauth.Result{}, "mail.example.org; spf=none; dkim=none; dmarc=none"},
		{"all of it", full, "mail.example.org; spf=softfail smtp.mailfrom=example.org; dkim=pass header.d=example.org header.s=k1; " +
			`dkim=fail reason="the body is \"different\"" header.d=xn--bcher-kva.test; dkim=permerror reason="bad??X: y"; dmarc=pass (p=reject) header.from=example.org`},
		{"HELO", mailauth.Result{SPF: mailauth.Pass, SPFDomain: "mx.example.org", HELO: true, DMARC: mailauth.PermError},
			"mail.example.org; spf=pass smtp.helo=mx.example.org; dkim=none; dmarc=permerror"},
		{"the word of a trusted host", mailauth.Result{SPF: mailauth.Pass, SPFDomain: "example.org", DMARC: mailauth.None, Relayed: "mx.example.org"},
			"mail.example.org (as mx.example.org says); spf=pass smtp.mailfrom=example.org; dkim=none; dmarc=none"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			field := tt.result.Field(us)
			h := message.ParseHeader([]byte(field))
			if got := h.Get("Authentication-Results"); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			for line := range strings.Lines(field) {
				if len(line) > 80 || !strings.HasSuffix(line, "\r\n") {
					t.Errorf("the line %q is too long, or does not end", line)
				}
			}
		})
	}
}

func TestOthersReadTheField(t *testing.T) {
	r := mailauth.Result{SPF: mailauth.Pass, SPFDomain: "example.org", DMARC: mailauth.Pass, FromDomain: "example.org"}
	_, value, _ := strings.Cut(r.Field(us), ":")
	host, all, err := authres.Parse(value)
	if err != nil || host != us || len(all) != 3 {
		t.Fatalf("Parse(%q) = %q, %v, %v", value, host, all, err)
	}
	spf, _ := all[0].(*authres.SPFResult)
	dmarc, _ := all[2].(*authres.DMARCResult)
	if spf == nil || spf.Value != authres.ResultPass || spf.From != "example.org" || dmarc == nil || dmarc.Value != authres.ResultPass || dmarc.From != "example.org" {
		t.Errorf("they read %+v and %+v", spf, dmarc)
	}
}

func TestACopyDiffersInWhatIsForged(t *testing.T) {
	const forged = "Authentication-Results: mail.example.org; dmarc=pass\r\n"
	tests := []struct{ name, in, want string }{
		{"nothing forged", text, text},
		{"forged in the middle", strings.Replace(text, "Subject", forged+"Subject", 1), text},
		{"forged, folded and last", strings.Replace(text, "\r\n\r\n", "\r\nAuthentication-Results:\r\n mail.example.org\r\n\r\n", 1), text},
		{"forged alone", forged + "\r\nHello.", "\r\nHello."},
		{"forged alone, without a body", forged, ""},
		{"in the body", text + forged, text + forged},
		{"bare LF", "From: ann@example.org\nSubject: hi\n\nHello.\n", "From: ann@example.org\r\nSubject: hi\r\n\r\nHello.\n"},
		{"no header", "\r\nHello.", "\r\nHello."},
		{"nothing", "", ""},
		{"a header that ends without an empty line", forged + "From: ann@example.org\r\nno field\r\n\r\nHello.", "From: ann@example.org\r\nno field\r\n\r\nHello."},
		{"a header too big", forged + "X: " + strings.Repeat("x", message.MaxHeader) + "\r\n\r\nHello.", forged + "X: " + strings.Repeat("x", message.MaxHeader) + "\r\n\r\nHello."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			if err := mailauth.Copy(&b, strings.NewReader(tt.in), int64(len(tt.in)), us); err != nil || b.String() != tt.want {
				t.Errorf("%v, %.200q; want %.200q", err, b.String(), tt.want)
			}
		})
	}
}

func TestATrustedHostIsBelieved(t *testing.T) {
	results := func(value string) string { return "Authentication-Results: " + value + "\r\n" }
	const mailbox = "mx.example.com; spf=pass smtp.mailfrom=ann@example.org; dkim=pass header.i=@news.example.org header.s=k9 header.b=abc; dmarc=pass (p=REJECT sp=NONE dis=NONE) header.from=example.org"
	tests := []struct {
		name, content string
		peer          string
		want          string
	}{
		{"SPF", results("mx.example.com; spf=pass smtp.mailfrom=example.org") + text, "", "spf=pass dmarc=pass proven"},
		{"SPF of HELO", results("mx.example.com; spf=pass smtp.helo=news.example.org") + text, "", "spf=pass dmarc=pass proven"},
		{"SPF of somebody else", results("mx.example.com; spf=pass smtp.mailfrom=evil.test") + text, "", "spf=pass dmarc=fail"},
		{"SPF of nobody", results("mx.example.com; spf=pass") + text, "", "spf=pass dmarc=fail"},
		{"a failure", results("mx.example.com; spf=fail smtp.mailfrom=example.org") + text, "", "spf=fail dmarc=fail"},
		{"a signature of mail that was changed since", results("mx.example.com; dkim=pass header.d=example.org header.s=k1") + strings.Replace(signed(t, "example.org", text), "Hello", "[from outside] Hello", 1),
			"", "spf=none example.org=pass dmarc=pass proven"},
		{"as a large provider writes it", results(mailbox) + text, "", "spf=pass news.example.org=pass dmarc=pass proven"},
		{"DMARC alone", results("mx.example.com; dmarc=pass header.from=example.org") + text, "", "spf=none dmarc=pass proven"},
		{"DMARC of another domain", results("mx.example.com; dmarc=pass header.from=evil.test") + text, "", "spf=none dmarc=fail"},
		{"DMARC of two From fields", results("mx.example.com; dmarc=pass header.from=example.org") + "From: m@evil.test\r\n" + text, "", "spf=none dmarc=permerror"},
		{"comments and space", results("(a) MX.example.com (b) 1 ; (c) spf (d) = (e) pass (f) smtp . mailfrom = (g) \"an\\\"n\"@example.org (h)") + text, "", "spf=pass dmarc=pass proven"},
		{"only the topmost of its fields", results("mx.example.com; none") + results("mx.example.com; spf=pass smtp.mailfrom=example.org") + text, "", "spf=none dmarc=fail"},
		{"beneath that of another", results("in.example.com; spf=fail") + results("mx.example.com; spf=pass smtp.mailfrom=example.org") + text, "", "spf=pass dmarc=pass proven"},
		{"one that is not trusted", results("mx.evil.test; spf=pass smtp.mailfrom=example.org; dmarc=pass header.from=example.org") + text, "", "spf=none dmarc=fail"},
		{"nobody who came over SMTP", results(mailbox) + text, "198.51.100.1", "spf=fail dmarc=fail"},
		{"what it was not told itself", results("mx.example.com; spf=temperror smtp.mailfrom=example.org") + text, "", "spf=temperror dmarc=fail"},
		{"a broken field", results("mx.example.com; spf=pass smtp.mailfrom=example.org; dmarc") + text, "", "spf=none dmarc=fail"},
		{"a property that is there twice", results("mx.example.com; spf=pass smtp.mailfrom=example.org smtp.mailfrom=evil.test") + text, "", "spf=none dmarc=fail"},
		{"a word that is no verdict", results("mx.example.com; spf=great smtp.mailfrom=example.org") + text, "", "spf=none dmarc=fail"},
		{"results inside of a comment", results("mx.example.com; spf=fail (; dmarc=pass header.from=example.org)") + text, "", "spf=fail dmarc=fail"},
		{"results inside of quotes", results(`mx.example.com; spf=fail reason="; dmarc=pass header.from=example.org"`) + text, "", "spf=fail dmarc=fail"},
	}
	t.Run("what this host sends to itself", func(t *testing.T) {
		m := from("", mailOf("ann@example.org", results(mailbox)+text))
		m.Own = true
		c := mailauth.Checker{Resolver: world(), Trusted: []string{"mx.example.com"}}
		if got, want := summary(c.Check(t.Context(), m)), "spf=none dmarc=fail"; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := mailauth.Checker{Resolver: world(), Trusted: []string{"mx.example.com"}}
			if got := summary(c.Check(t.Context(), from(tt.peer, mailOf("ann@example.org", tt.content)))); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// FuzzField states what Field promises of any result: it is one header field
// of lines that end, and says again what it was made of.
func FuzzField(f *testing.F) {
	f.Add("mail.example.org", "example.org", "k1", "no key", "example.org", true)
	f.Add("mail.example.org", "bücher.test", "a;b", "\"\r\nX: y", "(", false)
	f.Fuzz(func(t *testing.T, host, domain, selector, why, from string, helo bool) {
		if len(host)+len(domain)+len(selector)+len(from) > 1000 || host == "" || len(host) > 100 {
			return
		}
		r := mailauth.Result{SPF: mailauth.Fail, SPFDomain: domain, HELO: helo, DMARC: mailauth.Fail, FromDomain: from,
			DKIM: []mailauth.Signature{{Domain: domain, Selector: selector, Verdict: mailauth.Fail, Why: why}}}
		field := r.Field(host)
		h := message.ParseHeader([]byte(field))
		fields := 0
		for g := range h.All() {
			fields++
			if g.Name() != "Authentication-Results" || string(g.Raw()) != field {
				t.Fatalf("%q is more than one field", field)
			}
		}
		got, ok := mailauth.Read(h.Get("Authentication-Results"))
		if fields != 1 || !ok {
			t.Fatalf("%q cannot be read", field)
		}
		if want := mailauth.Shown(host); got != want+" spf=fail dkim=fail dmarc=fail" {
			t.Errorf("%q says %q", field, got)
		}
		if printable(host) {
			if mailauth.Strip(h, host); h.Has("Authentication-Results") {
				t.Errorf("%q is not taken for ours", field)
			}
		}
	})
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// FuzzStrip states what Strip promises of any header: no field is left that can
// be read as ours, and no other is touched.
func FuzzStrip(f *testing.F) {
	f.Add("mail.example.org; dmarc=pass", "mx.example.com; spf=pass")
	f.Add(`"mail.\example.org" 1`, "(mail.example.org)")
	f.Add("ＭＡＩＬ.example.org;", "mail.example.org.")
	f.Fuzz(func(t *testing.T, one, other string) {
		h := message.ParseHeader([]byte("X-A: b\r\nAuthentication-Results: " + one + "\r\nAuthentication-Results:" + other + "\r\nX-C: d\r\n"))
		var others []string
		for g := range h.All() {
			if !strings.EqualFold(g.Name(), "Authentication-Results") {
				others = append(others, string(g.Raw()))
			}
		}
		mailauth.Strip(h, us)
		for g := range h.All() {
			if !strings.EqualFold(g.Name(), "Authentication-Results") {
				if string(g.Raw()) != others[0] {
					t.Errorf("%q is gone", others[0])
				}
				others = others[1:]
				continue
			}
			host, _, _ := strings.Cut(g.Value(), ";")
			if id, _, _ := authres.Parse(host); strings.EqualFold(strings.Trim(id, `"`), us) {
				t.Errorf("%q is left", g.Raw())
			}
			if _, ok := mailauth.Read(g.Value()); !ok && strings.TrimSpace(host) == "" {
				t.Errorf("%q is left, and nobody knows whose it is", g.Raw())
			}
		}
		if len(others) > 0 {
			t.Errorf("%q are gone", others)
		}
	})
}
