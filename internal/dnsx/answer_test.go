package dnsx

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestStringsOfATextAreOctets(t *testing.T) {
	tests := []struct{ name, give, want string }{
		{"nothing special", "v=spf1 -all", "v=spf1 -all"},
		{"a quotation mark", `\"x\"`, `"x"`},
		{"a backslash", `a\\b`, `a\b`},
		{"a number", `\195\188`, "ü"},
		{"a number cut short", `\19`, "19"},
		{"a backslash at the end", `a\`, `a\`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := unescape(tt.give); got != tt.want {
				t.Errorf("unescape(%q) = %q, want %q", tt.give, got, tt.want)
			}
		})
	}
}

// FuzzRead promises of any response, also of one made by an attacker: an
// answer has records or one of the three errors or another name to ask for,
// and it is not kept for ever.
func FuzzRead(f *testing.F) {
	m := new(dns.Msg).SetQuestion("example.net.", dns.TypeMX)
	m.Answer = []dns.RR{
		&dns.CNAME{Hdr: dns.RR_Header{Name: "example.net.", Rrtype: dns.TypeCNAME, Class: 1, Ttl: 9}, Target: "x.example."},
		&dns.MX{Hdr: dns.RR_Header{Name: "x.example.", Rrtype: dns.TypeMX, Class: 1, Ttl: 9}, Mx: "mx.example.", Preference: 1},
	}
	packed, err := m.Pack()
	if err != nil {
		f.Fatal(err)
	}
	for _, qtype := range []uint16{dns.TypeMX, dns.TypeTXT, dns.TypeTLSA, dns.TypePTR, dns.TypeA, dns.TypeAAAA} {
		f.Add(packed, qtype)
	}
	f.Fuzz(func(t *testing.T, packed []byte, qtype uint16) {
		var m dns.Msg
		if m.Unpack(packed) != nil {
			return
		}
		a, next := read(key{"example.net.", qtype}, &m)
		known := errors.Is(a.err, ErrNoName) || errors.Is(a.err, ErrNoData) || errors.Is(a.err, ErrTemporary)
		if n := a.records(); (n > 0) == known && next == "" || known && next != "" || a.ttl > maxTTL || next == "" && a.ttl < minTTL {
			t.Errorf("%d records, error %v, next %q, kept %v", n, a.err, next, a.ttl)
		}
	})
}

func TestServersOfTheSystemAreReadAgainWhenTheyChange(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	s := &servers{path: path, now: func() time.Time { return now }}
	tests := []struct {
		name  string
		write string // "": nothing
		after time.Duration
		want  []string
	}{
		{"without a file, this machine", "", 0, []string{"127.0.0.1:53"}},
		{"a file that came is not seen at once", "nameserver 192.0.2.53\n", time.Second, []string{"127.0.0.1:53"}},
		{"it is seen after five seconds", "", 4 * time.Second, []string{"192.0.2.53:53"}},
		{"another file takes its place", "# changed\nnameserver 192.0.2.54\nnameserver 2001:db8::53\n", 5 * time.Second, []string{"192.0.2.54:53", "[2001:db8::53]:53"}},
		{"a file that names nobody changes nothing", "search example.net\n", 5 * time.Second, []string{"192.0.2.54:53", "[2001:db8::53]:53"}},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			now = now.Add(tt.after)
			if tt.write != "" {
				if err := os.WriteFile(path, []byte(tt.write), 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.Chtimes(path, time.Time{}, now.Add(time.Duration(i)*time.Hour)); err != nil {
					t.Fatal(err)
				}
			}
			if got := s.list(); !slices.Equal(got, tt.want) {
				t.Errorf("servers %q, want %q", got, tt.want)
			}
		})
	}
}

func TestTheLetterCaseOfQuestionsIsRandom(t *testing.T) {
	name := strings.Repeat("example.", 8)
	seen := map[string]bool{}
	for range 10 {
		q := question(key{name, dns.TypeMX}).Question[0].Name
		if !strings.EqualFold(q, name) {
			t.Fatalf("the question is %q, want %q in any case", q, name)
		}
		seen[q] = true
	}
	if len(seen) < 9 {
		t.Errorf("%d different questions of 10", len(seen))
	}
}
