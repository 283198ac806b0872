package delivery_test

import (
	"crypto/tls"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"homing/delivery/mtasts"
	"homing/delivery/tlsrpt"
	"homing/internal/dnsx"
	"homing/internal/dnsx/dnstest"
	"homing/internal/smtptest"
	"homing/queue"
)

// counts are what is reported, as text.
type counts struct {
	mu   sync.Mutex
	seen []string
}

func (c *counts) Add(s tlsrpt.Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := fmt.Sprintf("%s: %s of %s", s.Domain, s.Policy.Kind, s.Policy.Domain)
	if f := s.Failure; f != nil {
		text += fmt.Sprintf(" fails: %s %s %s", f.Type, f.Reason, f.MX)
	}
	c.seen = append(c.seen, text)
}

// TestWhatIsReportedOfTLS is about the host mx1.example.net of example.net.
func TestWhatIsReportedOfTLS(t *testing.T) {
	good, roots, err := smtptest.Certificate("mx1.example.net")
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := smtptest.Certificate("www.example.com")
	if err != nil {
		t.Fatal(err)
	}
	issued, issuer := issuedFor(t, "mx9.example.com")
	offering := smtptest.Script("S: 220 mx\nC: EHLO mail.example.org\nS: 250-mx\nS: 250 STARTTLS\n")
	plain := smtptest.Script(hello + accept + bye)
	failing := func(err error) mtasts.Found { return mtasts.Found{Err: err} }
	tests := []struct {
		name    string
		sts     mtasts.Found
		records []dnsx.TLSA
		change  func(z *dnstest.Zone)
		tls     *tls.Config
		needs   func(it *queue.Item)
		scripts []smtptest.Script
		want    string
	}{
		{name: "no policy, with TLS and any certificate", tls: other, scripts: []smtptest.Script{offering + securely}, want: "example.net: no-policy-found of example.net"},
		{name: "no policy and no TLS", scripts: []smtptest.Script{plain}, want: "example.net: no-policy-found of example.net fails: starttls-not-supported  mx1.example.net"},
		{name: "TLS that fails, and then without: once", tls: &tls.Config{}, scripts: []smtptest.Script{offering + untrusting, offering + accept + bye},
			want: "example.net: no-policy-found of example.net fails: validation-failure remote error: tls: unrecognized name mx1.example.net"},
		{name: "enforce", sts: sts(mtasts.Enforce, "mx1.example.net"), scripts: []smtptest.Script{offering + securely}, want: "example.net: sts of example.net"},
		{name: "enforce and another name", sts: sts(mtasts.Enforce, "mx1.example.net"), tls: other, scripts: []smtptest.Script{offering + untrusting},
			want: "example.net: sts of example.net fails: certificate-host-mismatch  mx1.example.net"},
		{name: "enforce and a host that is not listed", sts: sts(mtasts.Enforce, "mx9.example.net"), scripts: []smtptest.Script{plain},
			want: "example.net: sts of example.net fails: validation-failure mx-mismatch mx1.example.net"},
		{name: "testing", sts: sts(mtasts.Testing, "mx1.example.net"), scripts: []smtptest.Script{offering + securely}, want: "example.net: sts of example.net"},
		{name: "testing and another name", sts: sts(mtasts.Testing, "mx1.example.net"), tls: other, scripts: []smtptest.Script{offering + securely},
			want: "example.net: sts of example.net fails: certificate-host-mismatch  mx1.example.net"},
		{name: "testing and a host that is not listed", sts: sts(mtasts.Testing, "mx9.example.net"), scripts: []smtptest.Script{offering + securely},
			want: "example.net: sts of example.net fails: validation-failure mx-mismatch mx1.example.net"},
		{name: "a policy that cannot be fetched", sts: failing(mtasts.ErrFetch), scripts: []smtptest.Script{offering + securely},
			want: "example.net: sts of example.net fails: sts-policy-fetch-error  mx1.example.net"},
		{name: "a policy that is none", sts: failing(mtasts.ErrInvalid), scripts: []smtptest.Script{offering + securely},
			want: "example.net: sts of example.net fails: sts-policy-invalid  mx1.example.net"},
		{name: "a policy host with a wrong certificate", sts: failing(mtasts.ErrCertificate), scripts: []smtptest.Script{offering + securely},
			want: "example.net: sts of example.net fails: sts-webpki-invalid  mx1.example.net"},
		{name: "DANE", records: []dnsx.TLSA{tlsa(t, good, 3)}, scripts: []smtptest.Script{offering + securely}, want: "example.net: tlsa of mx1.example.net"},
		{name: "DANE by the name that the host is an alias of", change: alias(map[string][]dnsx.TLSA{"_25._tcp.host.example.com": {tlsa(t, other, 3)}}), scripts: []smtptest.Script{offering + untrusting},
			want: "example.net: tlsa of host.example.com fails: validation-failure tlsa-mismatch mx1.example.net"},
		{name: "DANE, by an issuer whose certificate is for another name", records: []dnsx.TLSA{issuer}, tls: issued, scripts: []smtptest.Script{offering + untrusting},
			want: "example.net: tlsa of mx1.example.net fails: certificate-host-mismatch  mx1.example.net"},
		{name: "DANE and another key", records: []dnsx.TLSA{tlsa(t, other, 3)}, scripts: []smtptest.Script{offering + untrusting},
			want: "example.net: tlsa of mx1.example.net fails: validation-failure tlsa-mismatch mx1.example.net"},
		{name: "records that cannot be used", records: []dnsx.TLSA{tlsa(t, good, 1)}, scripts: []smtptest.Script{offering + securely},
			want: "example.net: tlsa of mx1.example.net fails: tlsa-invalid  mx1.example.net"},
		{name: "records that cannot be used, and enforce", records: []dnsx.TLSA{tlsa(t, good, 1)}, sts: sts(mtasts.Enforce, "mx1.example.net"), scripts: []smtptest.Script{offering + securely},
			want: "example.net: sts of example.net"},
		{name: "records that cannot be used, and a host that is not listed", records: []dnsx.TLSA{tlsa(t, good, 1)}, sts: sts(mtasts.Enforce, "mx9.example.net"), scripts: []smtptest.Script{plain},
			want: "example.net: sts of example.net fails: validation-failure mx-mismatch mx1.example.net"},
		{name: "records that cannot be had", change: func(z *dnstest.Zone) { z.Down = map[string]bool{"_25._tcp.mx1.example.net": true} }, scripts: []smtptest.Script{plain},
			want: "example.net: tlsa of mx1.example.net fails: dnssec-invalid  mx1.example.net"},
		{name: "nobody there: it is not about TLS", want: ""},
		{name: "mail that does not care", sts: sts(mtasts.Enforce, "mx1.example.net"), tls: other, needs: func(it *queue.Item) { it.Message.TLSOptional = true },
			scripts: []smtptest.Script{offering + securely}, want: ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				if w.tls = good; tt.tls != nil {
					w.tls = tt.tls
				}
				w.mx("example.net", "mx1.example.net", "198.51.100.1", tt.scripts...)
				w.zone.TLSAs = map[string][]dnsx.TLSA{"_25._tcp.mx1.example.net": tt.records}
				w.zone.Signed = map[string]bool{"example.net": true, "mx1.example.net": true, "_25._tcp.mx1.example.net": true}
				if tt.change != nil {
					tt.change(w.zone)
				}
				items := w.items("ann@example.net")
				if tt.needs != nil {
					tt.needs(&items[0])
				}
				w.jobs <- &queue.Job{Domain: "example.net", Items: items}
				seen := &counts{}
				c := w.config()
				c.STS, c.Roots, c.Options.Reports = policies{"example.net": tt.sts}, roots, seen
				w.run(c, 1)
				if got := strings.Join(seen.seen, "\n"); got != tt.want {
					t.Errorf("reported %q, want %q", got, tt.want)
				}
			})
		})
	}
}

// TestAHostThatWasGivenUpOnIsReportedWhereItMustDoTLS: mail of one domain goes
// without TLS, which the host cannot do; the other domain enforces a policy.
func TestAHostThatWasGivenUpOnIsReportedWhereItMustDoTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		offering := smtptest.Script("S: 220 mx\nC: EHLO mail.example.org\nS: 250-mx\nS: 250 STARTTLS\n")
		w := newWorld(t)
		w.tls = &tls.Config{} // has no certificate
		w.mx("example.com", "mx1.example.net", "198.51.100.1")
		w.mx("example.net", "mx1.example.net", "198.51.100.1", offering+untrusting, offering+accept+bye, offering+untrusting)
		w.zone.Hosts["mx1.example.net"] = w.zone.Hosts["mx1.example.net"][:1]
		seen := &counts{}
		c := w.config()
		c.STS, c.Options.Reports = policies{"example.net": sts(mtasts.Enforce, "mx1.example.net")}, seen
		c.Queue = &inTurn{world: w}
		w.job("example.com", "ann@example.com")
		w.job("example.net", "bob@example.net")
		w.run(c, 2)
		want := []string{
			"example.com: no-policy-found of example.com fails: validation-failure remote error: tls: unrecognized name mx1.example.net",
			"example.net: sts of example.net fails: validation-failure remote error: tls: unrecognized name mx1.example.net",
		}
		if diff := cmp.Diff(want, seen.seen); diff != "" {
			t.Errorf("reported (-want +got):\n%s", diff)
		}
	})
}
