package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"homing/delivery"
	"homing/internal/message"
	"homing/internal/reply"
	"homing/internal/smtptest"
	"homing/queue"
)

func Example() {
	// A queue with one job, a DNS with one MX, and the MX.
	w := newWorld(nil)
	w.mx("example.net", "mx.example.net", "198.51.100.7", hello+accept+bye)
	w.job("example.net", "ann@example.net")

	ctx, stop := context.WithCancel(context.Background())
	c := w.config()
	c.Queue = &counting{Queue: w, left: 1, stop: stop}
	err := delivery.New(c).Run(ctx)
	fmt.Println(err, w.outcomes()["ann@example.net"])
	// Output: <nil> dot: 250 2.0.0 queued by mx.example.net[198.51.100.7]
}

const pipelining = `
	S: 220 mx
	C: EHLO mail.example.org
	S"250-mx\r\n250 PIPELINING\r\n"
`

// TestHosts is about what hosts do before they are told of any mail.
func TestHosts(t *testing.T) {
	const mx1, mx2 = "mx1.example.net[198.51.100.1]", "mx2.example.net[198.51.100.2]"
	works := smtptest.Script(hello + accept + bye)
	tests := []struct {
		name  string
		first smtptest.Script // of mx1; mx2 works unless second is set
		second,
		again smtptest.Script // of the next connection to mx1
		want string
		took time.Duration
	}{
		{name: "the first works", first: works, want: "dot: 250 2.0.0 queued by " + mx1},
		{name: "refused: the next one", want: "dot: 250 2.0.0 queued by " + mx2},
		{name: "421 at connect: the next one", first: "S: 421 4.7.0 too many", want: "dot: 250 2.0.0 queued by " + mx2},
		{name: "450 at connect: the next one", first: "S: 450 4.7.0 later", want: "dot: 250 2.0.0 queued by " + mx2},
		{name: "554 at connect: the next one", first: "S: 554 5.7.1 no", want: "dot: 250 2.0.0 queued by " + mx2},
		{name: "closed at once: the next one", first: "close", want: "dot: 250 2.0.0 queued by " + mx2},
		{name: "no greeting: the next one", first: "silence", want: "dot: 250 2.0.0 queued by " + mx2, took: 5 * time.Minute},
		{name: "EHLO and HELO refused: the next one", first: "S: 220 mx\nC: EHLO\nS: 550 no\nC: HELO\nS: 550 no\n" + bye, want: "dot: 250 2.0.0 queued by " + mx2},
		{name: "garbage: the next one", first: "S: 0 hello", want: "dot: 250 2.0.0 queued by " + mx2},
		{name: "all refuse at connect", first: "S: 554 5.7.1 no", second: "S: 554 5.7.1 you are listed", want: "connect: 554 5.7.1 you are listed by " + mx2},
		{name: "one that may be back tomorrow counts more than one that refuses", first: "close", second: "S: 554 5.7.1 no",
			want: "connect: we say 451 4.4.2 connection to mx1.example.net[198.51.100.1]:25 was lost before its greeting by " + mx1},
		{name: "a refusal of the mail is an outcome, and nobody else is asked", first: hello + `
			C: MAIL
			S: 450 4.7.1 greylisted
			C: RSET
			S: 250 ok` + bye, want: "mail: 450 4.7.1 greylisted by " + mx1},
		{name: "lost at MAIL on a fresh connection is an outcome", first: hello + `
			C: MAIL
			close`, want: "mail: we say 451 4.4.2 connection to mx1.example.net[198.51.100.1]:25 was lost at MAIL by " + mx1},

		{name: "TLS where it is offered", first: hello250("STARTTLS") + `
			C: STARTTLS
			S: 220 go
			tls
			C: EHLO mail.example.org
			S: 250 mx` + accept + bye, want: "dot: 250 2.0.0 queued by " + mx1 + " over TLS1.3 none"},
		{name: "TLS refused: without", first: hello250("STARTTLS") + `
			C: STARTTLS
			S: 454 4.7.0 no certificate today` + accept + bye, want: "dot: 250 2.0.0 queued by " + mx1},
		{name: "TLS that fails: once more without, on a fresh connection", first: hello250("STARTTLS") + `
			C: STARTTLS
			S: 220 go
			close`, again: hello250("STARTTLS") + accept + bye, want: "dot: 250 2.0.0 queued by " + mx1},
		{name: "words ahead of TLS: once more without", first: hello250("STARTTLS") + `
			C: STARTTLS
			S"220 go\r\n250-mx\r\n250 AUTH PLAIN\r\n"`, again: hello250("STARTTLS") + accept + bye, want: "dot: 250 2.0.0 queued by " + mx1},
		{name: "421 to STARTTLS: the next one", first: hello250("STARTTLS") + `
			C: STARTTLS
			S: 421 4.7.0 no TLS today`, want: "dot: 250 2.0.0 queued by " + mx2},
		{name: "PIPELINING advertised and broken: once more without", first: pipelining + `
			C: MAIL
			S: 250 ok
			silence`, again: pipelining + accept + bye, want: "dot: 250 2.0.0 queued by " + mx1, took: 5 * time.Minute},
		{name: "one reply too many, each time", first: pipelining + `
			C: MAIL
			C: RCPT
			C: DATA
			S"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n"`, again: pipelining + `
			C: MAIL
			S: 250 ok
			C: RCPT
			S"250 ok\r\n250 ok\r\n"`,
			want: `data: we say 451 4.5.0 protocol error by mx1.example.net[198.51.100.1]:25: unasked: "250 ok\r\n" by ` + mx1},
	}
	serverTLS, _, err := smtptest.Certificate("mx1.example.net")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.tls = serverTLS
				if tt.second == "" {
					tt.second = works
				}
				w.mx("example.net", "mx1.example.net", "198.51.100.1")
				for _, s := range []smtptest.Script{tt.first, tt.again} {
					if s != "" {
						w.hosts["198.51.100.1"] = append(w.hosts["198.51.100.1"], s)
					}
				}
				w.mx("example.net", "mx2.example.net", "198.51.100.2", tt.second)
				w.job("example.net", "ann@example.net")
				begun := time.Now()
				w.run(w.config(), 1)
				if got := w.outcomes()["ann@example.net"]; got != tt.want {
					t.Errorf("got  %q\nwant %q", got, tt.want)
				}
				if took := time.Since(begun).Round(5 * time.Second); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
			})
		})
	}
}

// hello250 is a hello with one service extension.
func hello250(offer string) smtptest.Script {
	return smtptest.Script("S: 220 mx\nC: EHLO mail.example.org\nS: 250-mx\nS: 250 " + offer + "\n")
}

func TestAHostThatCannotDoTLSIsNotAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		without := hello250("STARTTLS") + accept + bye
		w.mx("example.net", "mx.example.net", "198.51.100.1", hello250("STARTTLS")+"C: STARTTLS\nS: 220 go\nclose", without, without)
		w.job("example.net", "ann@example.net")
		c := w.config()
		c.Options.Timeouts.Idle = time.Second
		go func() {
			<-time.After(time.Minute)
			w.job("example.net", "bob@example.net")
		}()
		w.run(c, 2)
		if len(w.dialled) != 3 || len(w.results) != 2 {
			t.Errorf("dialled %d times for %v; want twice for the first and once for the second", len(w.dialled), w.outcomes())
		}
	})
}

func TestAHostThatCannotDoPipeliningTwiceIsNotPipelinedTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		broken, works := smtptest.Script(pipelining+"C: MAIL\nS: 250 ok\nclose"), smtptest.Script(pipelining+accept+bye)
		w.mx("example.net", "mx.example.net", "198.51.100.1", broken, works, broken, works,
			// RSET right after MAIL: RCPT and DATA were not sent ahead.
			pipelining+"C: MAIL\nS: 450 4.7.1 later\nC: RSET\nS: 250 ok"+bye)
		go func() {
			for _, a := range []string{"a", "b", "c"} {
				<-time.After(time.Minute)
				w.job("example.net", a+"@example.net")
			}
		}()
		w.run(w.config(), 3)
		if len(w.dialled) != 5 || len(w.results) != 3 {
			t.Errorf("dialled %d times for %v; want twice, twice and once", len(w.dialled), w.outcomes())
		}
	})
}

// TestConnections is about which messages share a connection.
func TestConnections(t *testing.T) {
	const mx = " by mx.example.net[198.51.100.1]"
	tests := []struct {
		name    string
		scripts []smtptest.Script
		items   []string // of the job
		further []string // what More gives afterwards
		want    map[string]string
		dials   int
	}{
		{name: "all messages of a job, and those that come later", dials: 1, items: []string{"a@example.net", "b@example.net"}, further: []string{"c@example.net"},
			scripts: []smtptest.Script{hello + accept + accept + accept + bye},
			want: map[string]string{"a@example.net": "dot: 250 2.0.0 queued" + mx, "b@example.net": "dot: 250 2.0.0 queued" + mx,
				"c@example.net": "dot: 250 2.0.0 queued" + mx}},
		{name: "421 to a later MAIL: a fresh connection, and no penalty", dials: 2, items: []string{"a@example.net", "b@example.net"},
			scripts: []smtptest.Script{hello + accept + "C: MAIL\nS: 421 4.3.2 one is enough", hello + accept + bye},
			want:    map[string]string{"a@example.net": "dot: 250 2.0.0 queued" + mx, "b@example.net": "dot: 250 2.0.0 queued" + mx}},
		{name: "closed after each message: a fresh connection for each", dials: 3, items: []string{"a@example.net", "b@example.net", "c@example.net"},
			scripts: []smtptest.Script{hello + accept + "close", hello + accept + "close", hello + accept + "close"},
			want: map[string]string{"a@example.net": "dot: 250 2.0.0 queued" + mx, "b@example.net": "dot: 250 2.0.0 queued" + mx,
				"c@example.net": "dot: 250 2.0.0 queued" + mx}},
		{name: "a refused one does not harm the others", dials: 1, items: []string{"a@example.net", "b@example.net"},
			scripts: []smtptest.Script{hello + "C: MAIL\nS: 250 ok\nC: RCPT\nS: 550 5.1.1 no\nC: RSET\nS: 250 ok" + accept + bye},
			want:    map[string]string{"a@example.net": "rcpt: 550 5.1.1 no" + mx, "b@example.net": "dot: 250 2.0.0 queued" + mx}},
		{name: "a host that loses every connection gets two tries, and the rest waits", dials: 2, items: []string{"a@example.net", "b@example.net", "c@example.net"},
			scripts: []smtptest.Script{hello + "C: MAIL\nclose", hello + "C: MAIL\nclose"},
			want: map[string]string{"a@example.net": "mail: we say 451 4.4.2 connection to mx.example.net[198.51.100.1]:25 was lost at MAIL" + mx,
				"b@example.net": "mail: we say 451 4.4.2 connection to mx.example.net[198.51.100.1]:25 was lost at MAIL" + mx}},
		{name: "a message lost in its content does not stop the next", dials: 2, items: []string{"a@example.net", "b@example.net"},
			scripts: []smtptest.Script{hello + "C: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go\nC.\nclose", hello + accept + bye},
			want: map[string]string{
				"a@example.net": "dot: we say 451 4.4.2 connection to mx.example.net[198.51.100.1]:25 was lost after the whole message was sent, which it may have accepted" + mx,
				"b@example.net": "dot: 250 2.0.0 queued" + mx}},
		{name: "when there is no fresh connection, what waits has that outcome", dials: 2, items: []string{"a@example.net", "b@example.net", "c@example.net"},
			scripts: []smtptest.Script{hello + accept + "C: MAIL\nS: 421 4.3.2 enough", "S: 421 4.7.0 too many"},
			want: map[string]string{"a@example.net": "dot: 250 2.0.0 queued" + mx, "b@example.net": "connect: 421 4.7.0 too many" + mx,
				"c@example.net": "connect: 421 4.7.0 too many" + mx}},
		{name: "a message that cannot be read is put off, never bounced", dials: 1, items: []string{"broken@example.net", "b@example.net"},
			scripts: []smtptest.Script{hello + accept + bye},
			want:    map[string]string{"broken@example.net": "resolve: we say 451 4.3.0 the message cannot be read just now", "b@example.net": "dot: 250 2.0.0 queued" + mx}},
		{name: "no connection for nothing", dials: 0, items: nil, want: map[string]string{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.broken["broken@example.net"] = true
				w.mx("example.net", "mx.example.net", "198.51.100.1", tt.scripts...)
				if len(tt.further) > 0 {
					w.further = [][]queue.Item{w.items(tt.further...)}
				}
				w.job("example.net", tt.items...)
				w.run(w.config(), 1)
				if diff := cmp.Diff(tt.want, w.outcomes()); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if len(w.dialled) != tt.dials {
					t.Errorf("dialled %d times, want %d", len(w.dialled), tt.dials)
				}
				if last := w.events[len(w.events)-1]; last != "finish example.net" {
					t.Errorf("the last thing is %q, want the job given back after all outcomes: %v", last, w.events)
				}
			})
		})
	}
}

// TestIdleConnections is about two jobs, one after the other.
func TestIdleConnections(t *testing.T) {
	tests := []struct {
		name    string
		scripts []smtptest.Script
		pause   time.Duration
		dials   int
	}{
		{"the next job goes on with the connection", []smtptest.Script{hello + accept + accept + bye}, time.Second, 1},
		{"after a while it has ended", []smtptest.Script{hello + accept + bye, hello + accept + bye}, 10 * time.Second, 2},
		{"the host has closed it meanwhile", []smtptest.Script{hello + accept + "close", hello + accept + bye}, time.Second, 2},
		{"the host has said 421 meanwhile", []smtptest.Script{hello + accept + "S: 421 4.4.2 idle\nsilence", hello + accept + bye}, time.Second, 2},
		{"the host closes it at MAIL", []smtptest.Script{hello + accept + "C: MAIL\nclose", hello + accept + bye}, time.Second, 2},
		{"the host says 421 to MAIL", []smtptest.Script{hello + accept + "C: MAIL\nS: 421 4.3.2 go away", hello + accept + bye}, time.Second, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				// Two domains with the same host.
				w.mx("example.net", "mx.example.net", "198.51.100.1", tt.scripts...)
				w.zone.MXs["example.com"] = w.zone.MXs["example.net"]
				w.job("example.net", "ann@example.net")
				go func() {
					<-time.After(tt.pause)
					w.job("example.com", "bob@example.com")
				}()
				c := w.config()
				registry := prometheus.NewPedanticRegistry()
				c.Metrics = delivery.NewMetrics(registry)
				w.run(c, 2)
				want := map[string]string{"ann@example.net": "dot: 250 2.0.0 queued by mx.example.net[198.51.100.1]",
					"bob@example.com": "dot: 250 2.0.0 queued by mx.example.net[198.51.100.1]"}
				if diff := cmp.Diff(want, w.outcomes()); diff != "" {
					t.Error(diff)
				}
				if len(w.dialled) != tt.dials {
					t.Errorf("dialled %d times, want %d", len(w.dialled), tt.dials)
				}
				err := testutil.GatherAndCompare(registry, strings.NewReader(`
					# HELP homing_delivery_attempts_total Attempts that ended, by outcome: delivered (2xx), deferred (4xx), refused (5xx).
					# TYPE homing_delivery_attempts_total counter
					homing_delivery_attempts_total{outcome="delivered"} 2
					# HELP homing_delivery_connections Connections to next hops that are open, busy or idle.
					# TYPE homing_delivery_connections gauge
					homing_delivery_connections 0
				`), "homing_delivery_attempts_total", "homing_delivery_connections")
				if err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestSmarthost(t *testing.T) {
	serverTLS, roots, err := smtptest.Certificate("smtp.provider.example")
	if err != nil {
		t.Fatal(err)
	}
	const by = " by smtp.provider.example[127.0.0.9]"
	secured := hello250("STARTTLS") + "C: STARTTLS\nS: 220 go\ntls\nC: EHLO\nS: 250-smtp\nS: 250 AUTH PLAIN LOGIN\n"
	tests := []struct {
		name   string
		host   delivery.Smarthost
		script smtptest.Script
		want   string
	}{
		{"AUTH inside TLS", delivery.Smarthost{Port: 587, Username: "u", Password: "p", TLS: delivery.Require},
			secured + "C: AUTH PLAIN AHUAcA==\nS: 235 ok\n" + accept + bye, "dot: 250 2.0.0 queued" + by + " over TLS1.3 pkix"},
		{"TLS first on port 465", delivery.Smarthost{Port: 465, TLS: delivery.Require}, "tls\n" + hello + accept + bye, "dot: 250 2.0.0 queued" + by + " over TLS1.3 pkix"},
		{"no TLS where none is wanted", delivery.Smarthost{Port: 25, Username: "u", Password: "p", TLS: delivery.None},
			hello250("AUTH PLAIN") + "C: AUTH PLAIN AHUAcA==\nS: 235 ok\n" + accept + bye, "dot: 250 2.0.0 queued" + by},
		{"opportunistic", delivery.Smarthost{Port: 25}, hello + accept + bye, "dot: 250 2.0.0 queued" + by},
		{"a wrong password bounces nothing", delivery.Smarthost{Port: 587, Username: "u", Password: "p", TLS: delivery.Require},
			secured + "C: AUTH PLAIN\nS: 535 5.7.8 wrong\n" + bye, "auth: we say 451 4.7.8 the smarthost cannot be used: 535 5.7.8 wrong" + by + " over TLS1.3 pkix"},
		{"TLS required and not offered", delivery.Smarthost{Port: 587, Username: "u", Password: "p", TLS: delivery.Require},
			hello250("AUTH PLAIN") + bye, "starttls: we say 451 4.7.4 smtp.provider.example[127.0.0.9]:587 does not offer the TLS that we require" + by},
		{"TLS required and refused", delivery.Smarthost{Port: 587, TLS: delivery.Require},
			hello250("STARTTLS") + "C: STARTTLS\nS: 554 5.7.0 no\n" + bye, "starttls: we say 451 4.7.0 the smarthost cannot be used: 554 5.7.0 no" + by},
		{"no TLS, no password", delivery.Smarthost{Port: 587, Username: "u", Password: "p", TLS: delivery.Opportunistic},
			hello250("AUTH PLAIN") + bye, "auth: we say 454 4.7.0 smtp.provider.example[127.0.0.9]:587 offers no TLS, and without it the password is not sent" + by},
		{"a certificate for somebody else", delivery.Smarthost{Host: "127.0.0.9", Port: 587, TLS: delivery.Require},
			hello250("STARTTLS") + "C: STARTTLS\nS: 220 go\ntls\nclose",
			"starttls: we say 454 4.7.5 TLS with 127.0.0.9[127.0.0.9]:587 failed: tls: failed to verify certificate: x509: cannot validate certificate for 127.0.0.9 because it doesn't contain any IP SANs by 127.0.0.9[127.0.0.9]"},
		{"an unknown name bounces nothing", delivery.Smarthost{Host: "smtp.provider.invalid", Port: 587},
			"", "resolve: we say 451 4.1.2 the smarthost cannot be used: 550 5.1.2 Host or domain name not found: smtp.provider.invalid has neither MX nor address"},
		{"what it says of a recipient counts", delivery.Smarthost{Port: 25},
			hello + "C: MAIL\nS: 250 ok\nC: RCPT\nS: 550 5.1.1 no such user\nC: RSET\nS: 250 ok" + bye, "rcpt: 550 5.1.1 no such user" + by},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.tls = serverTLS
				w.zone.Hosts["smtp.provider.example"] = []netip.Addr{netip.MustParseAddr("127.0.0.9")}
				w.hosts["127.0.0.9"] = []smtptest.Script{tt.script}
				c := w.config()
				c.Roots = roots
				if tt.host.Host == "" {
					tt.host.Host = "smtp.provider.example"
				}
				c.Options.Smarthosts = map[string]*delivery.Smarthost{"smarthost": &tt.host}
				w.jobs <- &queue.Job{Domain: "example.net", Items: w.items("ann@example.net"), Via: "smarthost"}
				w.run(c, 1)
				if got := w.outcomes()["ann@example.net"]; got != tt.want {
					t.Errorf("got  %q\nwant %q", got, tt.want)
				}
				if !w.results["ann@example.net"].Smarthost {
					t.Error("the result does not say that a smarthost gave it")
				}
				if s := w.log.String(); strings.Contains(s, "AHUAcA") {
					t.Errorf("the password is in the log: %s", s)
				}
			})
		})
	}
}

// TestEachSmarthostGetsItsOwnMail: two accounts at one server, whose connections
// are not mixed up, and a job for a smarthost that was taken out meanwhile.
func TestEachSmarthostGetsItsOwnMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account := func(name string, secret smtptest.Script) (*delivery.Smarthost, smtptest.Script) {
			return &delivery.Smarthost{Host: "127.0.0.9", Port: 25, Username: name, Password: "p", TLS: delivery.None},
				hello250("AUTH PLAIN") + "C: AUTH PLAIN " + secret + "\nS: 235 ok\n" + accept + bye
		}
		one, first := account("one", "AG9uZQBw")
		two, second := account("two", "AHR3bwBw")
		w := newWorld(t)
		w.hosts["127.0.0.9"] = []smtptest.Script{first, second}
		c := w.config()
		c.Options.Smarthosts = map[string]*delivery.Smarthost{"one": one, "two": two}
		go func() {
			for _, via := range []string{"one", "two", "three"} {
				<-time.After(time.Second)
				w.jobs <- &queue.Job{Domain: "example.net", Items: w.items(via + "@example.net"), Via: via}
			}
		}()
		w.run(c, 3)
		const by = "dot: 250 2.0.0 queued by 127.0.0.9[127.0.0.9]"
		if diff := cmp.Diff(map[string]string{"one@example.net": by, "two@example.net": by}, w.outcomes()); diff != "" || len(w.dialled) != 2 {
			t.Errorf("dialled %v (-want +got):\n%s", w.dialled, diff)
		}
	})
}

// inbound is a Local that has everything of one domain.
type inbound struct{ got []string }

func (*inbound) Has(address string) bool { return strings.HasSuffix(address, "@bounce.example.org") }

func (l *inbound) Deliver(_ context.Context, from, to string, b message.Body) reply.Reply {
	var text strings.Builder
	b.WriteTo(&text)
	l.got = append(l.got, from+" "+to+" "+text.String())
	if strings.HasPrefix(to, "nobody") {
		return reply.Reply{Code: 550, Enhanced: reply.Enhanced{5, 1, 1}, Text: "no such address"}
	}
	return reply.Reply{Code: 250, Enhanced: reply.Enhanced{2, 0, 0}, Text: "OK"}
}

func TestMailForOurselvesNeverLeaves(t *testing.T) {
	w := newWorld(t)
	w.broken["broken@bounce.example.org"] = true
	l := &inbound{}
	c := w.config()
	c.Local = l
	w.job("bounce.example.org", "return+x@bounce.example.org", "nobody@bounce.example.org", "broken@bounce.example.org")
	w.run(c, 1)
	want := map[string]string{
		"return+x@bounce.example.org": "dot: we say 250 2.0.0 OK by mail.example.org",
		"nobody@bounce.example.org":   "dot: we say 550 5.1.1 no such address by mail.example.org",
		"broken@bounce.example.org":   "resolve: we say 451 4.3.0 the message cannot be read just now",
	}
	if diff := cmp.Diff(want, w.outcomes()); diff != "" || len(w.dialled) > 0 {
		t.Errorf("dialled %v, (-want +got):\n%s", w.dialled, diff)
	}
	if want := "return@bounce.example.org return+x@bounce.example.org To: return+x@bounce.example.org\r\n\r\n.hello\r\n"; l.got[0] != want {
		t.Errorf("got %q, want %q", l.got[0], want)
	}
}

// TestShutdown: nothing new begins, what is on the wire gets its time, and
// what is known by then is kept.
func TestShutdown(t *testing.T) {
	slow := func(d string) smtptest.Script {
		return hello + "C: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go\nC.\nwait " + smtptest.Script(d) + "\nS: 250 2.0.0 queued\nsilence"
	}
	tests := []struct {
		name   string
		script smtptest.Script
		want   map[string]string
		took   time.Duration
	}{
		{"a transaction in flight is finished, the next one is not begun", slow("10s"),
			map[string]string{"ann@example.net": "dot: 250 2.0.0 queued by mx.example.net[198.51.100.1]"}, 12 * time.Second},
		{"one that takes longer than grace is cut, and has no outcome", slow("10m"), map[string]string{}, 31 * time.Second},
		{"one at which the peer falls silent is cut too", hello + "C: MAIL\nsilence", map[string]string{}, 31 * time.Second},
		{"a host that has not greeted is not waited for", "silence", map[string]string{}, time.Second},
		{"nor one that has not answered EHLO", "S: 220 mx.example.net\nC: EHLO\nsilence", map[string]string{}, time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.mx("example.net", "mx.example.net", "198.51.100.1", tt.script)
				w.job("example.net", "ann@example.net", "bob@example.net")
				c := w.config()
				c.Grace = 30 * time.Second
				begun := time.Now()
				ctx, stop := context.WithTimeout(t.Context(), time.Second)
				defer stop()
				if err := delivery.New(c).Run(ctx); err != nil {
					t.Errorf("Run = %v", err)
				}
				if took := time.Since(begun); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				w.check()
				if diff := cmp.Diff(tt.want, w.outcomes()); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if w.events[len(w.events)-1] != "finish example.net" {
					t.Errorf("not given back: %v", w.events)
				}
			})
		})
	}
}

func TestAQueueThatFailsEndsTheRun(t *testing.T) {
	w := newWorld(t)
	close(w.jobs)
	if err := delivery.New(w.config()).Run(t.Context()); err == nil {
		t.Error("Run = nil, want the error of the queue")
	}
}

func TestAnOutcomeThatCannotBeStoredIsLogged(t *testing.T) {
	w := newWorld(t)
	w.doneErr = errors.New("the disk is gone")
	w.mx("example.net", "mx.example.net", "198.51.100.1", hello+accept+bye)
	w.job("example.net", "ann@example.net")
	w.run(w.config(), 1)
	if s := w.log.String(); !strings.Contains(s, "the disk is gone") || !strings.Contains(s, "level=ERROR") {
		t.Errorf("log: %s", s)
	}
}

// TestOutcomesSettleWhileTheDialogueGoesOn has a store that does not answer
// for the first outcome before the last message has been sent.
func TestOutcomesSettleWhileTheDialogueGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mx("example.net", "mx.example.net", "198.51.100.1", hello+accept+accept+accept+bye)
		w.job("example.net", "a@example.net", "b@example.net", "c@example.net")
		c := w.config()
		slow := &slowDone{Queue: w, release: make(chan struct{})}
		c.Queue = slow
		go func() {
			<-time.After(time.Minute)
			w.playing.Wait() // the host has heard QUIT
			close(slow.release)
		}()
		w.run(c, 1)
		if len(w.results) != 3 {
			t.Errorf("got %v", w.outcomes())
		}
	})
}

type slowDone struct {
	delivery.Queue
	release chan struct{}
}

func (s *slowDone) Done(ctx context.Context, it queue.Item, r queue.Result) error {
	<-s.release
	return s.Queue.Done(ctx, it, r)
}

// TestTarpitsDoNotDelayOthers has 500 hosts that say nothing.
func TestTarpitsDoNotDelayOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.jobs = make(chan *queue.Job, 600)
		for i := range 500 {
			domain := fmt.Sprintf("tar%d.example", i)
			w.mx(domain, "mx."+domain, fmt.Sprintf("198.51.100.%d", 2+i%250), "silence")
			w.job(domain, "ann@"+domain)
		}
		w.mx("example.net", "mx.example.net", "198.51.100.1", hello+accept+bye)
		w.job("example.net", "ann@example.net")
		begun, served := time.Now(), time.Duration(0)
		c := w.config()
		c.Queue = &watching{Queue: w, done: func(it queue.Item) {
			if it.Recipient.Address == "ann@example.net" {
				served = time.Since(begun)
			}
		}}
		c.Grace = time.Second
		w.stopAfter(c, 10*time.Second)
		if got := w.outcomes()["ann@example.net"]; !strings.HasPrefix(got, "dot: 250") || served > 2*time.Second {
			t.Errorf("got %q after %v", got, served)
		}
	})
}

type watching struct {
	delivery.Queue
	done func(queue.Item)
}

func (w *watching) Done(ctx context.Context, it queue.Item, r queue.Result) error {
	w.done(it)
	return w.Queue.Done(ctx, it, r)
}
