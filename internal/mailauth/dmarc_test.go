package mailauth_test

import (
	"errors"
	"strings"
	"testing"

	"homing/internal/mailauth"
)

func TestWhatADomainPublishesAboutDMARC(t *testing.T) {
	tests := []struct {
		name    string
		from    string
		records map[string][]string // under "_dmarc."
		want    string              // the verdict of mail of which nothing is proven, and the policy
	}{
		{"reject", "example.org", map[string][]string{"example.org": {"v=DMARC1; p=reject"}}, "fail reject"},
		{"in capitals, without spaces", "example.org", map[string][]string{"example.org": {"v=DMARC1;p=REJECT;"}}, "fail reject"},
		{"tags of another time", "example.org", map[string][]string{"example.org": {"v=DMARC1; p=quarantine; pct=x; rf=iodef; ri=-1; fo=z; np=reject; psd=n; t=y"}}, "fail quarantine"},
		{"beside other records", "example.org", map[string][]string{"example.org": {"v=spf1 -all", "hello", "v=DMARC1; p=none"}}, "fail none"},
		{"two, of which none counts", "example.org", map[string][]string{"example.org": {"v=DMARC1; p=none", "v=DMARC1; p=reject"}}, "none "},
		{"another version", "example.org", map[string][]string{"example.org": {"v=DMARC2; p=reject"}}, "none "},
		{"the version in small letters", "example.org", map[string][]string{"example.org": {"v=dmarc1; p=reject"}}, "none "},
		{"the version behind", "example.org", map[string][]string{"example.org": {"p=reject; v=DMARC1"}}, "none "},
		{"nothing", "example.org", nil, "none "},

		{"a subdomain: the policy of the organisation", "a.b.example.org", map[string][]string{"example.org": {"v=DMARC1; p=reject"}}, "fail reject"},
		{"a subdomain: that for subdomains", "a.b.example.org", map[string][]string{"example.org": {"v=DMARC1; p=reject; sp=none"}}, "fail none"},
		{"the organisation itself: not that for subdomains", "example.org", map[string][]string{"example.org": {"v=DMARC1; p=reject; sp=none"}}, "fail reject"},
		{"a subdomain with a record of its own", "b.example.org", map[string][]string{"b.example.org": {"v=DMARC1; p=none; sp=reject"}, "example.org": {"v=DMARC1; p=reject"}}, "fail none"},
		{"nobody between counts", "a.b.example.org", map[string][]string{"b.example.org": {"v=DMARC1; p=reject"}}, "none "},
		{"two of a subdomain: the organisation is not asked", "b.example.org", map[string][]string{"b.example.org": {"v=DMARC1; p=none", "v=DMARC1; p=none"}, "example.org": {"v=DMARC1; p=reject"}}, "none "},
		{"a public suffix is nobody's organisation", "example.co.uk", map[string][]string{"co.uk": {"v=DMARC1; p=reject"}}, "none "},

		{"no policy", "example.org", map[string][]string{"example.org": {"v=DMARC1"}}, "none "},
		{"no policy, but reports are wanted", "example.org", map[string][]string{"example.org": {"v=DMARC1; rua=mailto:d@example.org"}}, "fail none"},
		{"a policy that there is not", "example.org", map[string][]string{"example.org": {"v=DMARC1; p=block; rua=MAILTO:d@example.org"}}, "fail none"},
		{"one for subdomains that there is not", "example.org", map[string][]string{"example.org": {"v=DMARC1; p=reject; sp=block"}}, "none "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			z := world()
			delete(z.TXTs, "_dmarc.example.org")
			for domain, texts := range tt.records {
				z.TXTs["_dmarc."+domain] = texts
			}
			c := mailauth.Checker{Resolver: z}
			r := c.Check(t.Context(), mailOf("m@evil.test", "From: ann@"+tt.from+"\r\n\r\n"))
			if got := string(r.DMARC) + " " + r.Policy; got != tt.want || r.Passed() || r.Temporary() {
				t.Errorf("got %q, proven %v, later %v; want %q", got, r.Passed(), r.Temporary(), tt.want)
			}
		})
	}
}

// torn is content that can be read up to its half.
type torn struct{ *strings.Reader }

func (c torn) ReadAt(p []byte, at int64) (int, error) {
	half := c.Reader.Size() / 2
	n, err := c.Reader.ReadAt(p[:max(0, min(int64(len(p)), half-at))], at)
	if n < len(p) {
		err = errors.New("the disk is broken")
	}
	return n, err
}

func TestContentThatCannotBeReadProvesNothingForNow(t *testing.T) {
	head := strings.Repeat("X: y\r\n", 1000)
	for name, content := range map[string]string{
		"in the header":                      head + head + text,
		"in the body":                        signed(t, "example.org", text+strings.Repeat("Hello.\r\n", 10_000)),
		"in the body, of several signatures": signed(t, "example.org", signed(t, "example.org", text+strings.Repeat("Hello.\r\n", 10_000))),
	} {
		t.Run(name, func(t *testing.T) {
			m := mailOf("m@evil.test", content)
			m.Content = torn{strings.NewReader(content)}
			c := mailauth.Checker{Resolver: world()}
			if r := c.Check(t.Context(), m); r.Passed() || !r.Temporary() {
				t.Errorf("proven %v, later %v; want false, true: %s", r.Passed(), r.Temporary(), summary(r))
			}
		})
	}
}
