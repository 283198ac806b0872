package main

import (
	"context"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"homing/delivery/dane"
	"homing/delivery/mtasts"
	"homing/dnscheck"
	"homing/internal/dnsx"
	"homing/internal/dnsx/dnstest"
	"homing/internal/smtptest"
)

// A policyWorld has one domain, bounce.example.org, whose MX is ours and whose
// policy a web server on loopback serves.
type policyWorld struct {
	zone       *dnstest.Zone
	answer     http.HandlerFunc // nil: nobody listens
	host       string           // that the certificate is for
	strangers  bool             // nobody trusts who issued it
	interfaces []netip.Addr
}

// check gives the finding about the policy, by the fetcher that mail uses.
func (w *policyWorld) check(t *testing.T) dnscheck.Finding {
	t.Helper()
	config, roots, err := smtptest.Certificate(w.host)
	if err != nil {
		t.Fatal(err)
	}
	if w.strangers {
		roots = x509.NewCertPool()
	}
	server := httptest.NewUnstartedServer(w.answer)
	server.TLS, server.Config.ErrorLog = config, slog.NewLogLogger(slog.DiscardHandler, 0)
	server.StartTLS()
	if w.answer == nil {
		server.Close()
	}
	defer server.Close()
	dial := func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", server.Listener.Addr().String())
	}
	cache, err := mtasts.New(t.Context(), mtasts.Config{Resolver: w.zone, Notes: noNotes{}, Log: slog.New(slog.DiscardHandler), Roots: roots, Dial: dial})
	if err != nil {
		t.Fatal(err)
	}
	s := dnscheck.Setup{Hostname: "mail.example.org", Addresses: dnstest.Addrs("93.184.215.14"), Returns: []string{"bounce.example.org"}}
	served := servedPolicies{cache.Fetch, w.zone.Addrs, s.Addresses, w.interfaces}
	for _, f := range dnscheck.Run(t.Context(), w.zone, s, dnscheck.Options{Policy: served.of}) {
		if f.Check == dnscheck.CheckSTSPolicy {
			return f
		}
	}
	t.Fatal("nothing is said of the policy")
	return dnscheck.Finding{}
}

// says answers with a text.
func says(status int, kind, text string) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", kind)
		rw.Header().Set("Location", "https://www.example.org/")
		rw.WriteHeader(status)
		io.WriteString(rw, text)
	}
}

func TestThePolicyIsFetchedAsSendersDoAndCompared(t *testing.T) {
	const head, tail = "version: STSv1\nmode: ", "\nmax_age: 604800\n"
	const good = head + "enforce\nmx: mail.example.org" + tail
	const host = "mta-sts.bounce.example.org"
	serves := func(text string) func(*policyWorld) {
		return func(w *policyWorld) { w.answer = says(200, "text/plain; charset=utf-8", text) }
	}
	inside := func(change func(*policyWorld)) func(*policyWorld) {
		return func(w *policyWorld) { change(w); w.interfaces = dnstest.Addrs("192.168.1.2") }
	}
	deaf := func(w *policyWorld) { w.answer = nil }
	tests := []struct {
		name   string
		change func(*policyWorld)
		want   dnscheck.Verdict
		found  string
	}{
		{"right", serves(good), dnscheck.OK, "its mode is enforce"},
		{"our host is not in it", serves(head + "enforce\nmx: mx.example.net" + tail), dnscheck.Fail, "does not list the MX mail.example.org"},
		{"our host is not in it, on trial", serves(head + "testing\nmx: mx.example.net" + tail), dnscheck.Warn, "does not list the MX mail.example.org"},
		{"switched off", serves(head + "none" + tail), dnscheck.OK, "asks for nothing"},
		{"forgotten at once", serves(head + "enforce\nmx: mail.example.org\nmax_age: 60\n"), dnscheck.Warn, "60 seconds"},
		{"no policy", serves("<html>"), dnscheck.Warn, "not a valid MTA-STS policy"},
		{"a web page", func(w *policyWorld) { w.answer = says(200, "text/html", good) }, dnscheck.Warn, "not text/plain"},
		{"not there", func(w *policyWorld) { w.answer = says(404, "text/plain", good) }, dnscheck.Warn, "HTTP status 404"},
		{"elsewhere", func(w *policyWorld) { w.answer = says(301, "text/plain", good) }, dnscheck.Warn, "HTTP status 301"},
		{"by a host without an address", func(w *policyWorld) { delete(w.zone.Hosts, host) }, dnscheck.Warn, "no such domain name"},
		{"by a host in a private network", func(w *policyWorld) { w.zone.Hosts[host] = dnstest.Addrs("10.0.0.1") }, dnscheck.Warn, "not a public address"},
		{"nobody listens", deaf, dnscheck.Warn, "connection refused"},
		{"with the certificate of the web site", func(w *policyWorld) { w.host = "www.example.org" }, dnscheck.Warn, "certificate of the policy host is not valid"},
		{"with a certificate of nobody", func(w *policyWorld) { w.strangers = true }, dnscheck.Warn, "certificate of the policy host is not valid"},
		{"with a record that says nothing", func(w *policyWorld) { w.zone.TXTs["_mta-sts.bounce.example.org"] = nil }, dnscheck.Skipped, "no policy is announced"},

		{"a router that lets nobody call from inside", inside(deaf), dnscheck.Skipped, "behind a router"},
		{"a router that answers itself", inside(func(w *policyWorld) { w.strangers = true }), dnscheck.Skipped, "behind a router"},
		{"a router that is no hindrance, and a wrong policy", inside(serves("hello")), dnscheck.Warn, "not a valid MTA-STS policy"},
		{"a router, and the policy is with somebody else", inside(func(w *policyWorld) { deaf(w); w.zone.Hosts[host] = dnstest.Addrs("93.184.215.99") }), dnscheck.Warn, "connection refused"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := &policyWorld{host: host, interfaces: dnstest.Addrs("93.184.215.14"), zone: &dnstest.Zone{
				MXs:   map[string][]dnsx.MX{"bounce.example.org": dnstest.MXs("mail.example.org")},
				Hosts: map[string][]netip.Addr{host: dnstest.Addrs("93.184.215.14"), "mail.example.org": dnstest.Addrs("93.184.215.14")},
				TXTs:  map[string][]string{"_mta-sts.bounce.example.org": {"v=STSv1; id=1"}},
			}}
			serves(good)(w)
			tt.change(w)
			f := w.check(t)
			if f.Verdict != tt.want || !strings.Contains(f.Found, tt.found) || (f.Fix == "") != (f.Verdict == dnscheck.OK || tt.found == "no policy is announced") {
				t.Errorf("got %+v, want %s with %q", f, tt.want, tt.found)
			}
		})
	}
}

// TestTheServerChecksThePolicyAndThePinsOfItsCertificate has both announced in
// the DNS of a server, which serves no policy and has another certificate.
func TestTheServerChecksThePolicyAndThePinsOfItsCertificate(t *testing.T) {
	s := newStand(t, "")
	s.net.Publish(dnstest.Zone{
		TXTs:  map[string][]string{"_mta-sts.bounce.example.org": {"v=STSv1; id=1"}},
		Hosts: map[string][]netip.Addr{"mta-sts.bounce.example.org": dnstest.Addrs("127.0.0.1")},
		TLSAs: map[string][]dnsx.TLSA{"_25._tcp.mail.example.org": {{Usage: 3, Selector: 1, Matching: 1, Data: make([]byte, 32)}}},
	})
	n, err := newInspection(s.house.live.Load(), s.house.shown, s.house.policies.Fetch)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]dnscheck.Finding{}
	for _, f := range n.names(t.Context()) {
		found[f.Check+" "+f.Subject] = f
	}
	if f := found["mta_sts_policy bounce.example.org"]; f.Verdict != dnscheck.Warn || !strings.Contains(f.Found, "the policy could not be fetched") {
		t.Errorf("of the policy: %+v", f)
	}
	cert, err := s.house.shown("mail.example.org")
	if err != nil {
		t.Fatal(err)
	}
	chain, err := chainOf(cert)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Join(dane.Lines(pinning(nil, n.setup, chain)), "\n")
	if f := found["tlsa mail.example.org"]; f.Verdict != dnscheck.Fail || !strings.Contains(f.Fix, want) {
		t.Errorf("of the pins: %+v, want %s", f, want)
	}
}
