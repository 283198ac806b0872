package delivery_test

import (
	"crypto/tls"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/delivery"
	"homing/delivery/mtasts"
	"homing/internal/dnsx"
	"homing/internal/smtptest"
	"homing/queue"
)

// requiring is a dialogue inside TLS with a host that offers REQUIRETLS.
const requiring = `
	C: STARTTLS
	S: 220 go
	tls
	C: EHLO mail.example.org
	S: 250-mx
	S: 250 REQUIRETLS
`

const acceptRequiring = `
	C: MAIL FROM:<return@bounce.example.org> REQUIRETLS
	S: 250 ok
	C: RCPT
	S: 250 ok
	C: DATA
	S: 354 go
	C.
	S: 250 2.0.0 queued
`

// TestMessagesThatRequireTLS is about a message with REQUIRETLS (RFC 8689) and
// a domain with the host mx1.example.net.
func TestMessagesThatRequireTLS(t *testing.T) {
	const (
		mx1  = " by mx1.example.net[198.51.100.1]"
		name = "mx1.example.net[198.51.100.1]:25"
	)
	offering := smtptest.Script("S: 220 mx\nC: EHLO mail.example.org\nS: 250-mx\nS: 250 STARTTLS\n")
	good, roots, err := smtptest.Certificate("mx1.example.net")
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := smtptest.Certificate("www.example.com")
	if err != nil {
		t.Fatal(err)
	}
	listed := sts(mtasts.Testing, "mx1.example.net")
	tests := []struct {
		name    string
		sts     mtasts.Found
		signed  bool
		records []dnsx.TLSA
		tls     *tls.Config // good
		domain  string      // example.net
		first   smtptest.Script
		second  smtptest.Script
		smart   *delivery.Smarthost
		want    string
	}{
		{name: "MTA-STS, also in mode testing", sts: listed, first: offering + requiring + acceptRequiring + bye, want: "dot: 250 2.0.0 queued" + mx1 + " over TLS1.3 pkix"},
		{name: "MTA-STS in mode enforce", sts: sts(mtasts.Enforce, "mx1.example.net"), first: offering + requiring + acceptRequiring + bye, want: "dot: 250 2.0.0 queued" + mx1 + " over TLS1.3 mta-sts"},
		{name: "DNSSEC", signed: true, first: offering + requiring + acceptRequiring + bye, want: "dot: 250 2.0.0 queued" + mx1 + " over TLS1.3 pkix"},
		{name: "DANE", signed: true, records: []dnsx.TLSA{tlsa(t, other, 3)}, tls: other, first: offering + requiring + acceptRequiring + bye,
			want: "dot: 250 2.0.0 queued" + mx1 + " over TLS1.3 dane"},
		{name: "MTA-STS in mode none, which vouches for nothing", sts: sts(mtasts.None, "mx1.example.net"), first: hello + accept + bye,
			want: "ehlo: we say 550 5.7.30 neither DNSSEC nor MTA-STS says that mx1.example.net is a mail host of example.net, as the message needs (REQUIRETLS)"},
		{name: "neither: nobody is connected to", first: hello + accept + bye,
			want: "ehlo: we say 550 5.7.30 neither DNSSEC nor MTA-STS says that mx1.example.net is a mail host of example.net, as the message needs (REQUIRETLS)"},
		{name: "a host that offers it not", sts: listed, first: offering + untrusting + "\nC: EHLO\nS: 250 mx\n" + bye,
			want: "ehlo: we say 550 5.7.30 " + name + " does not offer REQUIRETLS, which the message needs" + mx1 + " over TLS1.3 pkix"},
		{name: "a host that offers it not, and the next one does not answer", sts: sts(mtasts.Testing, "*.example.net"), first: offering + untrusting + "\nC: EHLO\nS: 250 mx\n" + bye, second: "close",
			want: "connect: we say 451 4.4.2 connection to mx2.example.net[198.51.100.2]:25 was lost before its greeting by mx2.example.net[198.51.100.2]"},
		{name: "a host that offers it before TLS alone", sts: listed, first: "S: 220 mx\nC: EHLO\nS: 250 REQUIRETLS\n" + bye,
			want: "starttls: we say 451 4.7.5 " + name + " does not offer the TLS that we require (the message asks for TLS)" + mx1},
		{name: "a certificate of nobody", sts: listed, tls: other, first: offering + untrusting,
			want: "starttls: we say 451 4.7.5 TLS with " + name + " failed: x509: certificate is valid for www.example.com, not mx1.example.net (the message asks for TLS)" + mx1},
		{name: "an address instead of a domain", domain: "[198.51.100.1]", first: hello + accept + bye,
			want: "ehlo: we say 550 5.7.30 neither DNSSEC nor MTA-STS says that 198.51.100.1 is a mail host of [198.51.100.1], as the message needs (REQUIRETLS)"},
		{name: "a smarthost", smart: &delivery.Smarthost{Host: "mx1.example.net", Port: 25}, first: offering + requiring + acceptRequiring + bye,
			want: "dot: 250 2.0.0 queued" + mx1 + " over TLS1.3 pkix"},
		{name: "a smarthost that offers it not", smart: &delivery.Smarthost{Host: "mx1.example.net", Port: 25, TLS: delivery.Require}, first: offering + untrusting + "\nC: EHLO\nS: 250 mx\n" + bye,
			want: "ehlo: we say 550 5.7.30 " + name + " does not offer REQUIRETLS, which the message needs" + mx1 + " over TLS1.3 pkix"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				if w.tls = good; tt.tls != nil {
					w.tls = tt.tls
				}
				w.mx("example.net", "mx1.example.net", "198.51.100.1", tt.first)
				if tt.second != "" {
					w.mx("example.net", "mx2.example.net", "198.51.100.2", tt.second)
				}
				w.zone.TLSAs = map[string][]dnsx.TLSA{"_25._tcp.mx1.example.net": tt.records}
				if tt.signed {
					w.zone.Signed = map[string]bool{"example.net": true, "mx1.example.net": true, "_25._tcp.mx1.example.net": true}
				}
				domain := "example.net"
				if tt.domain != "" {
					domain = tt.domain
				}
				items := w.items("ann@" + domain)
				items[0].Message.RequireTLS = true
				job := &queue.Job{Domain: domain, Items: items}
				c := w.config()
				c.STS, c.Roots = policies{"example.net": tt.sts}, roots
				if tt.smart != nil {
					job.Via, c.Options.Smarthosts = "smarthost", map[string]*delivery.Smarthost{"smarthost": tt.smart}
				}
				w.jobs <- job
				w.run(c, 1)
				if diff := cmp.Diff(map[string]string{"ann@" + domain: tt.want}, w.outcomes()); diff != "" {
					t.Errorf("outcomes (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestMessagesOfOneJobGoOverConnectionsThatTheyNeed mixes ordinary mail with
// mail that requires TLS and mail that does not care, in one job.
func TestMessagesOfOneJobGoOverConnectionsThatTheyNeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		offering := smtptest.Script("S: 220 mx\nC: EHLO mail.example.org\nS: 250-mx\nS: 250 STARTTLS\n")
		good, roots, err := smtptest.Certificate("www.example.com")
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t)
		w.tls = good
		w.mx("example.net", "mx1.example.net", "198.51.100.1",
			offering+untrusting, // ordinary: the policy is not met
			offering+untrusting, // REQUIRETLS: neither
			offering+"C: STARTTLS\nS: 220 go\ntls\nC: EHLO\nS: 250 mx\n"+accept+accept+bye, // no matter
		)
		items := w.items("ann@example.net", "bob@example.net", "cid@example.net", "dan@example.net", "eve@example.net")
		items[1].Message.RequireTLS = true
		items[2].Message.TLSOptional = true
		items[4].Message.TLSOptional = true
		w.jobs <- &queue.Job{Domain: "example.net", Items: items[:4]}
		w.further = [][]queue.Item{items[4:]}
		c := w.config()
		c.STS, c.Roots = policies{"example.net": sts(mtasts.Enforce, "mx1.example.net")}, roots
		w.run(c, 1)
		const by = " by mx1.example.net[198.51.100.1]"
		failed := "starttls: we say 451 4.7.5 TLS with mx1.example.net[198.51.100.1]:25 failed: x509: certificate is valid for www.example.com, not mx1.example.net (the MTA-STS policy of example.net asks for TLS)" + by
		accepted := "dot: 250 2.0.0 queued" + by + " over TLS1.3 none"
		want := map[string]string{"ann@example.net": failed, "bob@example.net": failed, "cid@example.net": accepted, "dan@example.net": failed, "eve@example.net": accepted}
		if diff := cmp.Diff(want, w.outcomes()); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
	})
}

// TestAHostThatRestsIsTriedOnTheTermsOfTheMessage: mail that requires TLS
// follows ordinary mail in one job, and the best host, which rested, is the
// last one for it. It has no certificate for its name.
func TestAHostThatRestsIsTriedOnTheTermsOfTheMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		offering := smtptest.Script("S: 220 mx\nC: EHLO mail.example.org\nS: 250-mx\nS: 250 STARTTLS\n")
		other, roots, err := smtptest.Certificate("www.example.com")
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t)
		w.tls = other
		w.mx("example.net", "mx1.example.net", "198.51.100.1", "S: 421 4.3.2 restarting", offering+requiring+acceptRequiring+bye)
		w.mx("example.net", "mx2.example.net", "198.51.100.2", hello+accept+accept+bye, hello+bye)
		w.job("example.net", "ann@example.net")
		go func() {
			<-time.After(time.Second)
			items := w.items("bob@example.net", "cid@example.net")
			items[1].Message.RequireTLS = true
			w.jobs <- &queue.Job{Domain: "example.net", Items: items}
		}()
		c := w.config()
		c.STS, c.Roots = policies{"example.net": sts(mtasts.Testing, "*.example.net")}, roots
		w.run(c, 2)
		want := "starttls: we say 451 4.7.5 TLS with mx1.example.net[198.51.100.1]:25 failed: x509: certificate is valid for www.example.com, not mx1.example.net (the message asks for TLS) by mx1.example.net[198.51.100.1]"
		if got := w.outcomes()["cid@example.net"]; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}
