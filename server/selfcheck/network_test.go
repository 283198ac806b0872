package selfcheck_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"homing/dnscheck"
	"homing/internal/dnsx"
	"homing/internal/dnsx/dnstest"
	"homing/internal/memconn"
	"homing/internal/smtptest"
	"homing/server/selfcheck"
)

// reflection is a Mirror that has heard the name, or not.
type reflection bool

func (r reflection) Expect() (string, func() bool) {
	return "abc.self-check.invalid", func() bool { return bool(r) }
}

// network gives a Net in which addresses play scripts; where there is none,
// nobody listens.
func network(t *testing.T, zone *dnstest.Zone, scripts map[string]smtptest.Script) selfcheck.Net {
	return selfcheck.Net{Resolver: zone, Name: "mail.example.org", Port: 25, Dial: func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
		script, ok := scripts[to.Addr().String()]
		if !ok {
			return nil, errors.New("connection refused")
		}
		ours, theirs := memconn.Pipe(memconn.Addr{}, memconn.Addr{})
		go new(smtptest.Player).Play(theirs, script) // what we did not say is seen by what was found
		return ours, nil
	}}
}

func TestOutgoing(t *testing.T) {
	zone := func(domains ...string) *dnstest.Zone {
		z := &dnstest.Zone{MXs: map[string][]dnsx.MX{}, Hosts: map[string][]netip.Addr{}}
		for i, d := range domains {
			z.MXs[d] = dnstest.MXs("mx." + d)
			z.Hosts["mx."+d] = []netip.Addr{netip.AddrFrom4([4]byte{198, 51, 100, byte(i + 1)})}
		}
		return z
	}
	greets := smtptest.Script("S: 220 mx.example ready\nC: QUIT\nS: 221 bye")
	tests := []struct {
		name    string
		zone    *dnstest.Zone
		scripts map[string]smtptest.Script
		want    dnscheck.Verdict
		found   string
	}{
		{"the first that greets will do", zone("gmail.com", "outlook.com"), map[string]smtptest.Script{"198.51.100.2": greets}, dnscheck.OK, "outlook.com greets: mx.example ready"},
		{"nobody can be reached", zone("gmail.com"), nil, dnscheck.Fail, "connection refused"},
		{"somebody in between answers", zone("gmail.com"), map[string]smtptest.Script{"198.51.100.1": "S: 554 use our relay"}, dnscheck.Fail, "use our relay"},
		{"one that says nothing", zone("gmail.com"), map[string]smtptest.Script{"198.51.100.1": "silence"}, dnscheck.Fail, "timeout"},
		{"without the DNS nothing is known", zone(), nil, dnscheck.Skipped, "could be looked up"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := network(t, tt.zone, tt.scripts).Outgoing(t.Context())
				wants(t, f, tt.want, tt.found)
				if tt.want == dnscheck.Fail && !strings.Contains(f.Fix, "[delivery.smarthost]") {
					t.Errorf("the fix names no smarthost: %s", f.Fix)
				}
			})
		})
	}
}

// TestOutgoingIsKnownWithinTheTimeOfARun has a closed port that answers nothing,
// and a resolver that takes its time.
func TestOutgoingIsKnownWithinTheTimeOfARun(t *testing.T) {
	const first, third = "198.51.100.1", "198.51.100.3"
	greets := smtptest.Script("S: 220 mx.example ready\nC: QUIT\nS: 221 bye")
	tests := []struct {
		name    string
		slow    time.Duration // each answer of the DNS
		scripts map[string]smtptest.Script
		within  time.Duration // the whole run
		want    dnscheck.Verdict
		found   string
		took    time.Duration
	}{
		{"the port is closed", 0, nil, 9500 * time.Millisecond, dnscheck.Fail, "none of gmail.com, outlook.com, yahoo.com, icloud.com can be reached: no way", 7 * time.Second},
		{"the port is closed, and the resolver is slow", 2 * time.Second, nil, 9500 * time.Millisecond, dnscheck.Fail, "none of gmail.com, outlook.com can be reached: no way", 9500 * time.Millisecond},
		{"there was no time for one to answer", 2 * time.Second, nil, 5 * time.Second, dnscheck.Skipped, "there was no time for it", 5 * time.Second},
		{"two are silent", 0, map[string]smtptest.Script{third: greets}, 9500 * time.Millisecond, dnscheck.OK, "yahoo.com greets", 2 * time.Second},
		{"the first one is as slow as the resolver", 2 * time.Second, map[string]smtptest.Script{first: greets}, 9500 * time.Millisecond, dnscheck.OK, "gmail.com greets", 4 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				zone := &dnstest.Zone{MXs: map[string][]dnsx.MX{}, Hosts: map[string][]netip.Addr{}, Slow: map[string]time.Duration{}}
				for i, d := range []string{"gmail.com", "outlook.com", "yahoo.com", "icloud.com"} {
					zone.MXs[d], zone.Hosts["mx."+d] = dnstest.MXs("mx."+d), []netip.Addr{netip.AddrFrom4([4]byte{198, 51, 100, byte(i + 1)})}
					zone.Slow[d], zone.Slow["mx."+d] = tt.slow, tt.slow
				}
				n := network(t, zone, tt.scripts)
				dial := n.Dial
				n.Dial = func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
					if tt.scripts[to.Addr().String()] == "" {
						<-ctx.Done()
						return nil, fmt.Errorf("no way: %w", ctx.Err())
					}
					return dial(ctx, to)
				}
				ctx, cancel := context.WithTimeout(t.Context(), tt.within)
				defer cancel()
				began := time.Now()
				wants(t, n.Outgoing(ctx), tt.want, tt.found)
				if took := time.Since(began); took != tt.took {
					t.Errorf("it took %v, want %v", took, tt.took)
				}
			})
		})
	}
}

func TestOurselves(t *testing.T) {
	const hello = "S: 220 mail.example.org\nC: EHLO abc.self-check.invalid\nS: 250 mail.example.org\n"
	tests := []struct {
		name   string
		script smtptest.Script
		ours   reflection
		want   []string // check, verdict, a part of what was found
	}{
		{"it is us, and no relay", hello + "C: MAIL FROM:<check@mail.example.org>\nS: 250 ok\nC: RCPT TO:<nobody@relay-test.example>\nS: 554 5.7.1 no\nC: QUIT\nS: 221 bye", true,
			[]string{"incoming_port ok it answers", "open_relay ok it is refused"}},
		{"it is us, and a relay", hello + "C: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: QUIT\nS: 221 bye", true,
			[]string{"incoming_port ok it answers", "open_relay fail a stranger's mail is taken"}},
		{"it is us, but has no room", hello + "C: MAIL\nS: 452 4.3.1 no room\nC: QUIT\nS: 221 bye", true,
			[]string{"incoming_port ok it answers", "open_relay skipped 4.3.1 no room"}},
		{"another server", hello + "C: QUIT\nS: 221 bye", false, []string{"incoming_port fail another server answers: mail.example.org"}},
		{"another server that refuses", "S: 220 exim\nC: EHLO\nS: 550 no\nC: QUIT\nS: 221 bye", false, []string{"incoming_port fail somebody greets with exim"}},
		{"nobody", "", false, []string{"incoming_port warn connection refused"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				scripts := map[string]smtptest.Script{}
				if tt.script != "" {
					scripts["203.0.113.5"] = tt.script
				}
				all := network(t, nil, scripts).Ourselves(t.Context(), tt.ours, netip.MustParseAddr("203.0.113.5"))
				if len(all) != len(tt.want) {
					t.Fatalf("%d findings: %+v", len(all), all)
				}
				for i, f := range all {
					words := strings.SplitN(tt.want[i], " ", 3)
					if f.Check != words[0] {
						t.Errorf("check %s, want %s", f.Check, words[0])
					}
					wants(t, f, dnscheck.Verdict(words[1]), words[2])
				}
			})
		})
	}
}
