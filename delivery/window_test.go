package delivery_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"homing/delivery"
	"homing/internal/smtptest"
	"homing/queue"
)

const chunking = `
	S: 220 mx
	C: EHLO mail.example.org
	S"250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n"
`

const whole = `
	C: MAIL FROM:<return@bounce.example.org>
	C: RCPT
	chunk`

// taken answers transactions that came whole.
func taken(n int) smtptest.Script {
	return smtptest.Script("\nS\"" + strings.Repeat(`250 ok\r\n250 ok\r\n250 2.0.0 queued\r\n`, n) + "\"")
}

// ahead is an envelope with DATA that waits for no answer, and its content;
// proposed is the next one behind it.
const (
	content = `
	C: MAIL
	C: RCPT
	C: DATA
	S"250 ok\r\n250 ok\r\n354 go\r\n"
	C.`
	ahead = content + `
	S: 250 2.0.0 queued`
	proposed = `
	C: MAIL
	C: RCPT
	C: DATA
	S"250 2.0.0 queued\r\n250 ok\r\n250 ok\r\n354 go\r\n"
	C.`
)

// proof is what each connection begins with: one whole and the envelope of a
// plain one behind it. It brings two messages.
const proof = whole + `
	C: MAIL
	C: RCPT
	C: DATA
	S"250 ok\r\n250 ok\r\n250 2.0.0 queued\r\n250 ok\r\n250 ok\r\n354 go\r\n"
	C.
	S: 250 2.0.0 queued`

// TestWindowSites is about where transactions go out whole.
func TestWindowSites(t *testing.T) {
	const mx = " by mx.example.net[198.51.100.1]"
	const doubt = "dot: we say 451 4.4.2 connection to mx.example.net[198.51.100.1]:25 was lost after the whole message was sent, which it may have accepted" + mx
	queued := func(names ...string) map[string]string {
		out := map[string]string{}
		for _, name := range names {
			out[name+"@example.org"] = "dot: 250 2.0.0 queued" + mx
		}
		return out
	}
	tests := []struct {
		name    string
		sites   []string
		scripts []smtptest.Script
		items   []string
		further []string // what More gives
		want    map[string]string
		dropped int
	}{
		{name: "nowhere without a list", items: []string{"a"}, scripts: []smtptest.Script{chunking + ahead + bye}, want: queued("a")},
		{name: "not at others", sites: []string{"example.com", "ample.org"}, items: []string{"a"}, scripts: []smtptest.Script{chunking + ahead + bye}, want: queued("a")},
		{name: "where the domain is listed", sites: []string{"example.org"}, items: []string{"a", "b", "c", "d", "e", "f"}, further: []string{"g"},
			scripts: []smtptest.Script{chunking + proof + whole + whole + whole + whole + "\nquiet 1s" + taken(1) + whole + taken(4) + bye}, want: queued("a", "b", "c", "d", "e", "f", "g")},
		{name: "where the MX is below what is listed", sites: []string{"example.net"}, items: []string{"a", "b"},
			scripts: []smtptest.Script{chunking + proof + bye}, want: queued("a", "b")},
		{name: "not where CHUNKING is not offered", sites: []string{"example.net"}, items: []string{"a"}, scripts: []smtptest.Script{pipelining + ahead + bye}, want: queued("a")},
		{name: "a lost connection puts off what is in doubt, and the rest goes plainly", sites: []string{"example.net"}, items: []string{"a", "z", "b", "c", "d", "e", "f", "g"}, dropped: 1,
			scripts: []smtptest.Script{chunking + proof + whole + whole + whole + whole + "\nclose", chunking + content + proposed + "\nS: 250 2.0.0 queued" + bye},
			want:    with(queued("a", "z", "f", "g"), map[string]string{"b@example.org": doubt, "c@example.org": doubt, "d@example.org": doubt, "e@example.org": doubt})},
		{name: "421 after some messages costs nothing but a connection", sites: []string{"example.net"}, items: []string{"a", "b", "c", "d", "e"},
			scripts: []smtptest.Script{chunking + proof + whole + whole + whole + "\nS\"250 ok\\r\\n250 ok\\r\\n250 2.0.0 queued\\r\\n421 4.3.2 enough\\r\\n\"",
				chunking + proof + bye}, want: queued("a", "b", "c", "d", "e")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.mx("example.org", "mx.example.net", "198.51.100.1", tt.scripts...)
				at := func(names []string) (out []string) {
					for _, name := range names {
						out = append(out, name+"@example.org")
					}
					return out
				}
				if len(tt.further) > 0 {
					w.further = [][]queue.Item{w.items(at(tt.further)...)}
				}
				w.job("example.org", at(tt.items)...)
				c := w.config()
				c.Options.WindowSites, c.Options.Window = tt.sites, 4
				registry := prometheus.NewPedanticRegistry()
				c.Metrics = delivery.NewMetrics(registry)
				w.run(c, 1)
				if diff := cmp.Diff(tt.want, w.outcomes()); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if got := strings.Count(w.log.String(), "whole transactions went wrong"); got != tt.dropped {
					t.Errorf("dropped %d times in the log, want %d: %s", got, tt.dropped, w.log.String())
				}
				if n, err := testutil.GatherAndCount(registry, "homing_delivery_windows_dropped_total"); n != 1 || err != nil {
					t.Errorf("metric: %d, %v", n, err)
				}
			})
		})
	}
}

func with(all ...map[string]string) map[string]string {
	out := map[string]string{}
	for _, m := range all {
		for k, v := range m {
			out[k] = v
		}
	}
	return out
}

// TestASiteGoesPlainlyForADay: one anomaly is enough for all hosts of a site.
func TestASiteGoesPlainlyForADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mx("example.net", "mx.example.net", "198.51.100.1", chunking+proof+whole+`
			S"250 ok\r\n250 ok\r\n250 2.0.0 queued\r\n250 and one answer too many\r\n"`, chunking+ahead+bye, chunking+proof+bye)
		w.mx("www.example.net", "mx2.example.net", "198.51.100.2", chunking+ahead+bye)
		go func() {
			w.job("example.net", "a@example.net", "b@example.net", "c@example.net")
			<-time.After(time.Hour)
			w.job("www.example.net", "d@www.example.net")
			<-time.After(22 * time.Hour)
			w.job("example.net", "e@example.net")
			<-time.After(2 * time.Hour)
			w.job("example.net", "f@example.net", "g@example.net")
		}()
		c := w.config()
		c.Options.WindowSites, c.Options.Window = []string{"example.net"}, 4
		w.run(c, 4)
		if len(w.results) != 7 || w.results["c@example.net"].Reply.Code != 451 {
			t.Errorf("%v", w.outcomes())
		}
	})
}

// notes are Notes in memory.
type notes map[string]map[string][]byte

func (n notes) Notes(_ context.Context, space string) (map[string][]byte, error) {
	return n[space], nil
}

func (n notes) Note(_ context.Context, space string, values map[string][]byte) error {
	n[space] = values
	return nil
}

// TestASiteGoesPlainlyAfterARestartToo: the day does not end with the process.
func TestASiteGoesPlainlyAfterARestartToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := notes{}
		for i, script := range []smtptest.Script{chunking + proof + "\nC: MAIL\nclose", chunking + content + proposed + "\nS: 250 2.0.0 queued" + bye, chunking + proof + bye} {
			w := newWorld(t)
			w.mx("example.net", "mx.example.net", "198.51.100.1", script)
			w.job("example.net", [][]string{{"a@example.net", "b@example.net", "c@example.net"}, {"d@example.net", "e@example.net"}, {"f@example.net", "g@example.net"}}[i]...)
			c := w.config()
			c.Notes, c.Options.WindowSites, c.Options.Window = kept, []string{"example.net"}, 4
			w.run(c, 1)
			if len(w.results) < 2 {
				t.Errorf("start %d: %v", i+1, w.outcomes())
			}
			<-time.After(13 * time.Hour)
		}
	})
}

// TestOnlyListedDomainsGetTheWindowOfAConnection: a connection that a listed
// domain opened goes on plainly for one that is not listed.
func TestOnlyListedDomainsGetTheWindowOfAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mx("example.com", "mx.provider.example", "198.51.100.1", chunking+proof+content+proposed+"\nS: 250 2.0.0 queued"+whole+whole+taken(2)+bye)
		w.zone.MXs["example.net"] = w.zone.MXs["example.com"]
		go func() {
			for _, domain := range []string{"example.com", "example.net", "EXAMPLE.com"} {
				<-time.After(time.Second)
				w.job(strings.ToLower(domain), "ann@"+domain, "bob@"+domain)
			}
		}()
		c := w.config()
		c.Options.WindowSites, c.Options.Window = []string{"example.com"}, 4
		w.run(c, 3)
		if len(w.dialled) != 1 || len(w.results) != 6 {
			t.Errorf("dialled %d times: %v", len(w.dialled), w.outcomes())
		}
	})
}

// TestOurOwnShutdownIsNoAnomaly: what we cut ourselves says nothing about the
// site.
func TestOurOwnShutdownIsNoAnomaly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mx("example.net", "mx.example.net", "198.51.100.1", chunking+proof+whole+"\nsilence")
		w.job("example.net", "a@example.net", "b@example.net", "c@example.net")
		kept := notes{}
		c := w.config()
		c.Notes, c.Options.WindowSites, c.Options.Window = kept, []string{"example.net"}, 4
		w.stopAfter(c, 10*time.Second)
		if len(w.results) != 2 || len(kept) != 0 || strings.Contains(w.log.String(), "went wrong") {
			t.Errorf("noted %q: %s", kept, w.log.String())
		}
	})
}
