package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/miekg/dns"
	"github.com/rogpeppe/go-internal/testscript"

	"homing/config"
	"homing/dnscheck"
	"homing/internal/dnsx"
	"homing/internal/dnsx/dnstest"
	"homing/internal/smtptest"
)

type namesKey struct{}

// scriptNames makes the DNS of a script say what is in zone files. The first
// call starts it, and puts its address in the place of @DNS@ in homing.toml.
func scriptNames(ts *testscript.TestScript, _ bool, files []string) {
	var text strings.Builder
	for _, name := range files {
		text.WriteString(ts.ReadFile(name) + "\n")
	}
	zone, err := parseZone(text.String())
	ts.Check(err)
	at := ts.Value(namesKey{}).(**dnstest.Server)
	if *at != nil {
		(*at).Change(zone)
		return
	}
	s, err := dnstest.Listen("127.0.0.1:0", zone)
	ts.Check(err)
	*at = s
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	ts.Defer(func() {
		cancel()
		ts.Check(<-ended)
	})
	path := ts.MkAbs("homing.toml")
	cfg, err := os.ReadFile(path)
	ts.Check(err)
	ts.Check(os.WriteFile(path, bytes.ReplaceAll(cfg, []byte("@DNS@"), []byte(s.Addr)), 0o600))
}

// parseZone makes a world of a zone file.
func parseZone(text string) (*dnstest.Zone, error) {
	z := &dnstest.Zone{MXs: map[string][]dnsx.MX{}, Hosts: map[string][]netip.Addr{}, TXTs: map[string][]string{},
		PTRs: map[netip.Addr][]string{}, TLSAs: map[string][]dnsx.TLSA{}, CNAMEs: map[string]string{}}
	parser := dns.NewZoneParser(strings.NewReader(text), ".", "")
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		name := strings.ToLower(strings.TrimSuffix(rr.Header().Name, "."))
		switch rr := rr.(type) {
		case *dns.MX:
			z.MXs[name] = append(z.MXs[name], dnsx.MX{Host: strings.TrimSuffix(rr.Mx, "."), Preference: rr.Preference})
		case *dns.A:
			z.Hosts[name] = append(z.Hosts[name], netip.AddrFrom4([4]byte(rr.A.To4())))
		case *dns.AAAA:
			z.Hosts[name] = append(z.Hosts[name], netip.AddrFrom16([16]byte(rr.AAAA.To16())))
		case *dns.TXT:
			z.TXTs[name] = append(z.TXTs[name], strings.Join(rr.Txt, ""))
		case *dns.CNAME:
			z.CNAMEs[name] = strings.TrimSuffix(rr.Target, ".")
		case *dns.TLSA:
			data, err := hex.DecodeString(rr.Certificate)
			if err != nil {
				return nil, err
			}
			z.TLSAs[name] = append(z.TLSAs[name], dnsx.TLSA{Usage: rr.Usage, Selector: rr.Selector, Matching: rr.MatchingType, Data: data})
		case *dns.PTR:
			addr, err := addressText(name)
			if err != nil {
				return nil, err
			}
			z.PTRs[addr] = append(z.PTRs[addr], strings.TrimSuffix(rr.Ptr, "."))
		}
	}
	return z, parser.Err()
}

// addressText gives the IPv4 address of a reverse name.
func addressText(name string) (netip.Addr, error) {
	labels := strings.Split(strings.TrimSuffix(name, ".in-addr.arpa"), ".")
	if len(labels) != 4 {
		return netip.Addr{}, errors.New(name + " is no reverse name of IPv4")
	}
	return netip.ParseAddr(labels[3] + "." + labels[2] + "." + labels[1] + "." + labels[0])
}

// smallConfig is a configuration to which a test adds.
const smallConfig = `hostname = "Mail.Example.ORG"
[[domain]]
name = "example.org"
return_path = "return@bounce.example.org"
[[application]]
name = "crm"
domains = ["example.org"]
networks = ["127.0.0.1"]
`

func parsed(t *testing.T, extra string, files map[string]string) *config.Config {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, problems := config.Parse([]byte(smallConfig+extra), dir)
	if cfg == nil {
		t.Fatal(problems)
	}
	return cfg
}

func TestTheSetupIsWhatTheConfigurationSays(t *testing.T) {
	usual := dnscheck.Domain{Name: "example.org", Return: "bounce.example.org"}
	addr := netip.MustParseAddr("203.0.113.10")
	tests := []struct {
		name, extra string
		want        dnscheck.Setup
	}{
		{"names are in one spelling", "[delivery]\npublic_addresses = [\"203.0.113.10\"]",
			dnscheck.Setup{Domains: []dnscheck.Domain{usual}, Returns: []string{"bounce.example.org"}}},
		{"routes have domains, and reports an address", `
[[route]]
address = "office@bounce.example.org"
as = "reply"
to = ["mail"]
[[route]]
address = "lists@Lists.Example.org"
as = "reply"
to = ["mail"]
[[route]]
address = "dmarc@lists.example.org"
as = "report"
[[route]]
address = "later@example.org"
as = "report"
[[sink]]
name = "mail"
type = "dsn"
[delivery]
public_addresses = ["203.0.113.10"]`,
			dnscheck.Setup{Domains: []dnscheck.Domain{usual}, Returns: []string{"bounce.example.org"}, Routed: []string{"lists.example.org", "example.org"}, Reports: "dmarc@lists.example.org"}},
		{"a catch-all has reports at any address", "[[route]]\naddress = \"*@bounce.example.org\"\nas = \"report\"\n[delivery]\npublic_addresses = [\"203.0.113.10\"]",
			dnscheck.Setup{Domains: []dnscheck.Domain{usual}, Returns: []string{"bounce.example.org"}, Reports: "reports@bounce.example.org"}},
		{"an address that a route names goes before a catch-all", `[[route]]
address = "*@bounce.example.org"
as = "report"
[[route]]
address = "dmarc@lists.example.org"
as = "report"
[delivery]
public_addresses = ["203.0.113.10"]`,
			dnscheck.Setup{Domains: []dnscheck.Domain{usual}, Returns: []string{"bounce.example.org"}, Routed: []string{"lists.example.org"}, Reports: "dmarc@lists.example.org"}},
		{"of a catch-all no address that another route has", `[[route]]
address = "*@bounce.example.org"
as = "report"
[[route]]
address = "reports@bounce.example.org"
as = "reply"
to = ["mail"]
[[sink]]
name = "mail"
type = "dsn"
[delivery]
public_addresses = ["203.0.113.10"]`,
			dnscheck.Setup{Domains: []dnscheck.Domain{usual}, Returns: []string{"bounce.example.org"}, Reports: "dmarc-reports@bounce.example.org"}},
		{"who keeps the application's senders has a domain for returns all the same", `[[domain]]
name = "example.net"
verp = "keep"
return_path = "r@example.com"
[domain.smarthost]
address = "smtp.provider.example:587"
[delivery]
public_addresses = ["203.0.113.10"]
[delivery.smarthost]
address = "other.example:587"
rewrites_sender = true`,
			dnscheck.Setup{Domains: []dnscheck.Domain{{Name: "example.org", Return: "bounce.example.org", Smarthost: "other.example", Rewrites: true}, {Name: "example.net", Smarthost: "smtp.provider.example"}},
				Returns: []string{"bounce.example.org", "example.com"}}},
		{"of source addresses the public ones", "[delivery]\nsource_addresses = [\"10.0.0.1\", \"9.9.9.9\"]",
			dnscheck.Setup{Addresses: []netip.Addr{netip.MustParseAddr("9.9.9.9")}, Domains: []dnscheck.Domain{usual}, Returns: []string{"bounce.example.org"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := setupOf(parsed(t, tt.extra, nil))
			if err != nil {
				t.Fatal(err)
			}
			tt.want.Hostname = "mail.example.org"
			if tt.want.Addresses == nil {
				tt.want.Addresses = []netip.Addr{addr}
			}
			if diff := cmp.Diff(tt.want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmpopts.IgnoreFields(dnscheck.Setup{}, "Reads", "PolicyMode")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhereReportsAreReadTheyAreAskedFor(t *testing.T) {
	tests := []struct {
		name, routes, want string
		read, unread       []string
	}{
		{"nowhere", "", "", nil, []string{"reports@bounce.example.org", ""}},
		{"one address, with what may be added to it", route("DMARC@bounce.example.org", "report"), "dmarc@bounce.example.org",
			[]string{"dmarc@bounce.example.org", "Dmarc+x@bounce.example.org"}, []string{"reports@bounce.example.org", "dmarc@example.org"}},
		{"a catch-all", route("*@bounce.example.org", "report"), "reports@bounce.example.org",
			[]string{"reports@bounce.example.org", "anything@Bounce.example.org"}, []string{"reports@example.org"}},
		{"a catch-all beside an address", route("*@bounce.example.org", "report") + route("dmarc@bounce.example.org", "report"), "dmarc@bounce.example.org",
			[]string{"dmarc@bounce.example.org", "reports@bounce.example.org"}, nil},
		{"a catch-all of which another route takes a part", route("*@bounce.example.org", "report") + route("reports@bounce.example.org", "bounce"), "dmarc-reports@bounce.example.org",
			[]string{"dmarc-reports@bounce.example.org"}, []string{"reports@bounce.example.org", "reports-x@bounce.example.org"}},
		{"a catch-all for something else", route("*@bounce.example.org", "bounce"), "", nil, []string{"reports@bounce.example.org"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := parsed(t, tt.routes, nil)
			s, err := setupOf(cfg)
			if err != nil {
				t.Fatal(err)
			}
			if s.Reports != tt.want || reportedNames(cfg).Address != tt.want {
				t.Errorf("asked for at %q by homing dns and at %q by homing reports, want %q", s.Reports, reportedNames(cfg).Address, tt.want)
			}
			for _, address := range append(tt.read, tt.unread...) {
				if got, want := s.Reads(address), slices.Contains(tt.read, address); got != want {
					t.Errorf("reports to %q are read: %v, want %v", address, got, want)
				}
			}
		})
	}
}

func route(address, as string) string {
	return fmt.Sprintf("[[route]]\naddress = %q\nas = %q\n", address, as)
}

func TestWhereThePoliciesAboutTLSAreServed(t *testing.T) {
	const acme = "[tls.acme]\nemail = \"it@example.org\"\n"
	const https = "[listen]\nhttps = [\":443\"]\nsubmission = [\"127.0.0.1:587\"]\n"
	tests := []struct{ name, first, rest, want, mode string }{
		{"nowhere", "", "", "", "testing"},
		{"behind a web server", `public_url = "https://www.Example.org/mail"`, "", "www.example.org", "testing"},
		{"public_url without encryption", `public_url = "http://www.example.org"`, "", "", "testing"},
		{"public_url of an address, which can have no other name", `public_url = "https://203.0.113.10"`, "", "", "testing"},
		{"here, with a certificate of an authority", "", https + acme, "mail.example.org", "testing"},
		{"public_url goes before", `public_url = "https://www.example.org"`, https + acme, "www.example.org", "testing"},
		{"a listener for this machine alone", "", "[listen]\nhttps = [\"127.0.0.1:443\"]\nsubmission = [\"127.0.0.1:587\"]\n" + acme, "", "testing"},
		{"switched off", `public_url = "https://www.example.org"`, "[tls]\nmta_sts = \"off\"\n", "", "off"},
		{"enforced, for other hosts", `public_url = "https://www.example.org"`, "[tls]\nmta_sts = \"enforce\"\nmta_sts_mx = [\"*.example.net\"]\n", "www.example.org", "enforce"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg, problems := config.Parse([]byte(tt.first+"\n"+smallConfig+tt.rest), t.TempDir())
			if cfg == nil {
				t.Fatal(problems)
			}
			s, err := setupOf(cfg)
			if err != nil || s.PolicyHost != tt.want || s.PolicyMode != tt.mode || len(s.PolicyMX) != strings.Count(tt.rest, "mta_sts_mx") {
				t.Errorf("at %q in mode %q for %q, %v; want %q and %q", s.PolicyHost, s.PolicyMode, s.PolicyMX, err, tt.want, tt.mode)
			}
		})
	}
}

// pemOf makes a certificate, its key, and the digest of its public key.
func pemOf(t *testing.T, host string) (cert, key string, sum []byte) {
	t.Helper()
	made, _, err := smtptest.Certificate(host)
	if err != nil {
		t.Fatal(err)
	}
	pair := made.Certificates[0]
	parsed, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(parsed.RawSubjectPublicKeyInfo)
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return block("CERTIFICATE", parsed.Raw), block("PRIVATE KEY", private), digest[:]
}

func TestACertificateIsPinnedWhereRecordsAreOrAreAskedFor(t *testing.T) {
	cert, key, sum := pemOf(t, "mail.example.org")
	cfg := parsed(t, "[tls]\ncert_file = \"cert.pem\"\nkey_file = \"key.pem\"\n", map[string]string{"cert.pem": cert, "key.pem": key})
	ours := dnsx.TLSA{Usage: 3, Selector: 1, Matching: 1, Data: sum}
	stale := dnsx.TLSA{Usage: 3, Selector: 1, Matching: 1, Data: make([]byte, 32)}
	setup := dnscheck.Setup{Hostname: "mail.example.org"}
	tests := []struct {
		name  string
		there []dnsx.TLSA
		force bool
		want  []dnsx.TLSA
	}{
		{"no record", nil, false, nil},
		{"no record, but asked for", nil, true, []dnsx.TLSA{ours}},
		{"that of the certificate", []dnsx.TLSA{ours}, false, []dnsx.TLSA{ours}},
		{"that of another one", []dnsx.TLSA{stale}, false, []dnsx.TLSA{ours}},
		{"the next one beside ours", []dnsx.TLSA{stale, ours}, false, []dnsx.TLSA{stale, ours}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			z := &dnstest.Zone{TLSAs: map[string][]dnsx.TLSA{"_25._tcp.mail.example.org": tt.there}}
			got, err := pinned(t.Context(), z, cfg, setup, tt.force)
			if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
	if _, err := pinned(t.Context(), &dnstest.Zone{}, parsed(t, "", nil), setup, true); err == nil {
		t.Error("without a certificate nothing can be pinned, and nothing is said")
	}
	down := &dnstest.Zone{Down: map[string]bool{"_25._tcp.mail.example.org": true}}
	if got, err := pinned(t.Context(), down, cfg, setup, false); got != nil || err != nil {
		t.Errorf("while the DNS is down: %v, %v", got, err)
	}
}

// TestWatchingEndsWhenAllIsGreen has a record published after a while, in
// virtual time.
func TestWatchingEndsWhenAllIsGreen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		record := dnscheck.Record{Zone: "example.org", Name: "bounce.example.org", Type: "MX", Value: "10 mail.example.org.", TTL: 3600}
		other := dnscheck.Record{Zone: "example.org", Name: "mail.example.org", Type: "A", Value: "203.0.113.10", TTL: 3600}
		begun := time.Now()
		var at []time.Duration
		ask := func(context.Context) (dnscheck.Plan, []dnscheck.Difference, error) {
			at = append(at, time.Since(begun))
			plan := dnscheck.Plan{Records: []dnscheck.Record{record, other}}
			states := []dnscheck.State{dnscheck.ToAdd, dnscheck.ToAdd}
			if len(at) > 3 {
				states[0] = dnscheck.Published
			}
			if len(at) > 5 {
				states[1] = dnscheck.Published
			}
			return plan, []dnscheck.Difference{{Record: record, State: states[0]}, {Record: other, State: states[1]}}, nil
		}
		var out bytes.Buffer
		j := dnsJob{out: &out}
		if err := j.watchWith(t.Context(), ask); err != nil {
			t.Errorf("watching ended with %v", err)
		}
		s := time.Second
		want := []time.Duration{0, 5 * s, 12500 * time.Millisecond, 23750 * time.Millisecond, 28750 * time.Millisecond, 36250 * time.Millisecond}
		if diff := cmp.Diff(want, at); diff != "" {
			t.Errorf("asked at (-want +got):\n%s", diff)
		}
		text := out.String()
		for _, part := range []string{"To do: 2.\nAsking again", "ok       bounce.example.org MX 10 mail.example.org.\n", "All is green: 2 records are published as wanted.\n"} {
			if strings.Count(text, part) != 1 {
				t.Errorf("it says not once %q:\n%s", part, text)
			}
		}
	})
}

func TestWatchingEndsWhenItIsInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		asked := 0
		ask := func(context.Context) (dnscheck.Plan, []dnscheck.Difference, error) {
			asked++
			return dnscheck.Plan{}, []dnscheck.Difference{{State: dnscheck.Unseen}}, nil
		}
		time.AfterFunc(time.Hour, cancel)
		var out bytes.Buffer
		j := dnsJob{out: &out, json: true}
		var e *exitError
		if err := j.watchWith(ctx, ask); !errors.As(err, &e) || e.code != exitFailed || e.cause != nil {
			t.Errorf("watching ended with %v", err)
		}
		if asked < 15 || asked > 30 {
			t.Errorf("asked %d times in an hour, want about one in five minutes after a busy beginning", asked)
		}
		if out.Len() > 0 {
			t.Errorf("JSON of what is not green: %s", &out)
		}
	})
}
