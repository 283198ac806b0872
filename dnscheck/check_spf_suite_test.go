package dnscheck

import (
	"bytes"
	"context"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"homing/internal/dnsx"
	"homing/internal/dnsx/dnstest"
)

// A spfSuite is one document of the test suite of RFC 7208.
type spfSuite struct {
	Description string
	Tests       map[string]spfCase
	ZoneData    map[string][]any `yaml:"zonedata"`
}

type spfCase struct {
	Helo, Host, MailFrom string
	Result               any    // one, or several that are allowed
	Skip                 string // why the library that evaluates says otherwise
}

func (c spfCase) allows(result string) bool {
	if many, ok := c.Result.([]any); ok {
		return slices.Contains(many, any(result))
	}
	return c.Result == result
}

func spfSuites(t *testing.T) (all []spfSuite) {
	t.Helper()
	text, err := os.ReadFile("testdata/rfc7208-tests.yml")
	if err != nil {
		t.Fatal(err)
	}
	for d := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var s spfSuite
		switch err := d.Decode(&s); err {
		case nil:
			all = append(all, s)
		case io.EOF:
			return all
		default:
			t.Fatal(err)
		}
	}
}

// zone makes the world of a suite. What is only in records of type SPF stands
// for the same in TXT records, as the suite says.
func (s spfSuite) zone() *dnstest.Zone {
	z := &dnstest.Zone{
		MXs: map[string][]dnsx.MX{}, Hosts: map[string][]netip.Addr{}, TXTs: map[string][]string{},
		PTRs: map[netip.Addr][]string{}, CNAMEs: map[string]string{}, Down: map[string]bool{},
	}
	for owner, records := range s.ZoneData {
		name := plainName(owner)
		var old []string
		none := false // of type TXT
		for _, record := range records {
			fields, ok := record.(map[string]any)
			if !ok { // TIMEOUT
				z.Down[name] = true
			}
			for kind, value := range fields {
				switch {
				case kind == "SPF":
					old = append(old, textOf(value))
				case value == "NONE":
					none = true
				default:
					add(z, name, kind, value)
				}
			}
		}
		if len(z.TXTs[name]) == 0 && !none {
			z.TXTs[name] = old
		}
	}
	return z
}

func add(z *dnstest.Zone, name, kind string, value any) {
	switch kind {
	case "A", "AAAA":
		z.Hosts[name] = append(z.Hosts[name], netip.MustParseAddr(value.(string)))
	case "MX":
		pair := value.([]any)
		host := plainName(pair[1].(string))
		if host == "" {
			host = "."
		}
		z.MXs[name] = append(z.MXs[name], dnsx.MX{Host: host, Preference: uint16(pair[0].(int))})
	case "TXT":
		z.TXTs[name] = append(z.TXTs[name], textOf(value))
	case "PTR":
		addr := addrOf(name)
		z.PTRs[addr] = append(z.PTRs[addr], plainName(value.(string)))
	case "CNAME":
		z.CNAMEs[name] = plainName(value.(string))
	case "CNAMELOOP":
		z.CNAMEs[name] = name
	default: // TIMEOUT, SERVFAIL
		z.Down[name] = true
	}
}

func plainName(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// textOf joins the strings of a record.
func textOf(value any) string {
	parts, ok := value.([]any)
	if !ok {
		return value.(string)
	}
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(p.(string))
	}
	return b.String()
}

// addrOf gives the address of a name in in-addr.arpa or ip6.arpa.
func addrOf(name string) netip.Addr {
	labels, six := strings.CutSuffix(name, ".ip6.arpa")
	labels, _ = strings.CutSuffix(labels, ".in-addr.arpa")
	parts := strings.Split(labels, ".")
	slices.Reverse(parts)
	if !six {
		return netip.MustParseAddr(strings.Join(parts, "."))
	}
	var b strings.Builder
	for i, p := range parts {
		if i > 0 && i%4 == 0 {
			b.WriteByte(':')
		}
		b.WriteString(p)
	}
	return netip.MustParseAddr(b.String())
}

// TestTheSuiteOfRFC7208 runs the public test suite (openspf.org, release
// 2014.04, as it comes with the library that evaluates, whose notes on what it
// does otherwise are in it) through our resolvers: in process, and over the
// wire from a server.
func TestTheSuiteOfRFC7208(t *testing.T) {
	ran, otherwise := 0, 0
	for _, s := range spfSuites(t) {
		z := s.zone()
		client := clientOf(t, z)
		for name, c := range s.Tests {
			if c.Skip != "" {
				otherwise++
				continue
			}
			ran++
			t.Run(name, func(t *testing.T) {
				for _, r := range []Resolver{z, client} {
					if got, err := evaluate(t.Context(), r, c.envelope()); !c.allows(string(got)) {
						t.Errorf("with a %T: %s (%v), want %v", r, got, err, c.Result)
					}
				}
			})
		}
	}
	if ran != 172 || otherwise != 31 {
		t.Errorf("%d cases ran, %d are marked as judged otherwise, want 172 and 31", ran, otherwise)
	}
}

// TestTheStrictReaderFindsWhatTheSuiteCallsAMistake holds the reader of single
// records against the suite: it finds every mistake that evaluation passes
// over, and no other.
func TestTheStrictReaderFindsWhatTheSuiteCallsAMistake(t *testing.T) {
	found := 0
	for _, s := range spfSuites(t) {
		z := s.zone()
		for name, c := range s.Tests {
			_, domain, _ := strings.Cut(c.MailFrom, "@")
			texts, err := z.TXT(t.Context(), domain)
			if err != nil || len(texts) != 1 || !isSPF(texts[0]) || strings.Contains(texts[0], ":foo:bar/baz.") {
				continue // a slash in a domain is for evaluation a mistake as well
			}
			switch mistake := spfMistakeIn(texts[0]); {
			case mistake == "" && c.Skip != "" && c.allows("permerror"):
				t.Errorf("%s: no mistake in %q, where evaluation sees none either", name, texts[0])
			case mistake != "" && !c.allows("permerror"):
				t.Errorf("%s: %s in %q, want %v", name, mistake, texts[0], c.Result)
			case mistake != "" && c.Skip != "":
				found++
			}
		}
	}
	if found != 25 {
		t.Errorf("%d mistakes that evaluation passes over, want 25", found)
	}
}

func (c spfCase) envelope() envelope {
	return envelope{netip.MustParseAddr(c.Host), c.Helo, c.MailFrom}
}

// clientOf gives a resolver that asks a server with the world of z over
// loopback, until the test ends.
func clientOf(t *testing.T, z *dnstest.Zone) *dnsx.Client {
	t.Helper()
	server, err := dnstest.Listen("127.0.0.1:0", z)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	client, err := server.Client(dnsx.Options{Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return client
}
