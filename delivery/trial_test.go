package delivery_test

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"homing/delivery"
	"homing/internal/smtptest"
)

func TestATrialGoesAsMailGoesAlsoToOurselves(t *testing.T) {
	const by = " by mail.example.org[198.51.100.9]"
	tests := []struct {
		name          string
		first, second smtptest.Script // the hosts of the domain: the second one is ourselves
		want          string
	}{
		{"the first host is away", "S: 421 4.3.2 restarting", hello + accept + bye, "dot: 250 2.0.0 queued" + by},
		{"it is refused for good", "S: 421 4.3.2 restarting", hello + "C: MAIL\nS: 250 ok\nC: RCPT\nS: 550 5.1.1 no such user\nC: RSET\nS: 250 ok" + bye, "rcpt: 550 5.1.1 no such user" + by},
		{"all hosts are away", "S: 421 4.3.2 restarting", "S: 421 4.3.2 restarting too", "connect: 421 4.3.2 restarting"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.mx("bounce.example.org", "mx1.example.org", "198.51.100.1", tt.first)
				w.mx("bounce.example.org", "mail.example.org", "198.51.100.9", tt.second)
				c := w.config()
				c.Options.OwnPort = 25
				d := delivery.New(c)
				r := d.Try(t.Context(), delivery.Trial{Domain: "bounce.example.org", From: "return@bounce.example.org", To: "return@bounce.example.org",
					Message: []byte("Subject: hello\r\n\r\n.hello\r\n")})
				got := string(r.Stage) + ": " + r.Reply.String()
				if r.RemoteMTA != "" {
					got += " by " + r.RemoteMTA
				}
				if !strings.HasPrefix(got, tt.want) {
					t.Errorf("got  %s\nwant %s", got, tt.want)
				}
			})
		})
	}
}

func TestATrialOfADomainThatIsNotThereFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := delivery.New(w.config()).Try(t.Context(), delivery.Trial{Domain: "none.example"})
		if r.Reply.Positive() || !r.Ours {
			t.Errorf("%v", r.Reply)
		}
	})
}

func TestATrialWaitsForNobodyLong(t *testing.T) {
	tests := []struct {
		name          string
		first, second smtptest.Script
		via           string
		want          string
		took          time.Duration
	}{
		{"the first host greets nobody", "silence", hello + accept + bye, "", "dot: 250 2.0.0 queued", 3 * time.Second},
		{"no host greets", "silence", "silence", "", "connect: 451 4.4.2 mail.example.org[198.51.100.9]:25 took too long before its greeting", 6 * time.Second},
		{"a host forgets to answer", hello + "C: MAIL\nsilence", "S: 421 4.3.2 restarting", "", "mail: 451 4.4.2 mx1.example.org[198.51.100.1]:25 took too long at MAIL", 3 * time.Second},
		{"no connection is made", "", hello + accept + bye, "", "dot: 250 2.0.0 queued", 3 * time.Second},
		{"the smarthost has just left the configuration", hello + accept + bye, hello + accept + bye, "smarthost", "resolve: 451 4.3.5 smarthost is no smarthost any more", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.mx("bounce.example.org", "mx1.example.org", "198.51.100.1", tt.first)
				w.mx("bounce.example.org", "mail.example.org", "198.51.100.9", tt.second)
				c := w.config()
				dial := c.Dial
				c.Dial = func(ctx context.Context, source netip.Addr, to netip.AddrPort) (net.Conn, error) {
					if tt.first == "" && to.Addr().String() == "198.51.100.1" {
						<-ctx.Done() // a firewall that drops what it does not like
						return nil, ctx.Err()
					}
					return dial(ctx, source, to)
				}
				began := time.Now()
				r := delivery.New(c).Try(t.Context(), delivery.Trial{Domain: "bounce.example.org", Via: tt.via, Patience: 3 * time.Second,
					From: "return@bounce.example.org", To: "return@bounce.example.org", Message: []byte("Subject: hello\r\n\r\n.hello\r\n")})
				if got := string(r.Stage) + ": " + r.Reply.String(); !strings.HasPrefix(got, tt.want) || time.Since(began).Round(time.Second) != tt.took {
					t.Errorf("after %v: %s\nwant %s after %v", time.Since(began), got, tt.want, tt.took)
				}
			})
		})
	}
}

func TestTrialsAreNotCountedAsMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mx("bounce.example.org", "mail.example.org", "198.51.100.9", hello+accept+bye)
		c, metrics := w.config(), prometheus.NewRegistry()
		c.Metrics = delivery.NewMetrics(metrics)
		delivery.New(c).Try(t.Context(), delivery.Trial{Domain: "bounce.example.org", From: "return@bounce.example.org", To: "return@bounce.example.org",
			Message: []byte("Subject: hello\r\n\r\n.hello\r\n")})
		if n, err := testutil.GatherAndCount(metrics, "homing_delivery_sessions_total", "homing_delivery_attempts_total"); n > 0 || err != nil {
			t.Errorf("%d counters count it, %v", n, err)
		}
	})
}
