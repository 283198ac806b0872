package integration

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"homing/internal/dnsx"
	"homing/internal/dnsx/dnstest"
	"homing/internal/reply"
	"homing/internal/toynet"
)

// manyMXs gives count MX records of names that all begin alike.
func manyMXs(name string, count int) (records []dnsx.MX) {
	for i := range count {
		records = append(records, dnsx.MX{Host: fmt.Sprintf("%s%d.test", name, i), Preference: 10})
	}
	return records
}

func TestMailFindsItsWayThroughABadDNS(t *testing.T) {
	t.Parallel()
	shared := toynet.Domain{MX: []string{"mx.accepts.test"}}
	world := toynet.World{
		Domains: map[string]toynet.Domain{
			"accepts.test": {}, "alias.test": shared, "fifty.test": shared, "truncated.test": shared, "bare.test": shared, "lies.test": shared, "slow.test": shared,
			"second.test": shared, "half.test": shared, "missing.test": {Missing: true}, "null.test": {Null: true},
		},
		Records: dnstest.Zone{
			MXs: map[string][]dnsx.MX{
				"alias.test": dnstest.MXs("aliased.test"), "fifty.test": manyMXs("fifty", 50), "bare.test": nil,
				"loop.test": dnstest.MXs("circle.test"), "second.test": dnstest.MXs("nowhere.test", "mx.accepts.test"), "half.test": dnstest.MXs("broken.test", "mx.accepts.test"),
				"gone.test": dnstest.MXs("nowhere.test"), "broken-mx.test": dnstest.MXs("broken.test"), "dots.test": {{Host: ".", Preference: 10}},
			},
			CNAMEs:   map[string]string{"aliased.test": "mx.accepts.test", "circle.test": "round.test", "round.test": "circle.test", "around.test": "around.test"},
			Down:     map[string]bool{"servfail.test": true, "broken.test": true},
			Silent:   map[string]bool{"silent.test": true},
			Slow:     map[string]time.Duration{"slow.test": time.Second},
			Truncate: map[string]bool{"truncated.test": true},
			Lies:     map[string]bool{"lies.test": true},
		},
	}
	st := newStage(t, settings{World: world, Delivery: "retry = [\"300ms\"]\nlifetime = \"2s\""})
	good := st.Net.HostAddr("mx.accepts.test").Addr()
	found := dnstest.Zone{Hosts: map[string][]netip.Addr{"bare.test": {good}}}
	for _, mx := range manyMXs("fifty", 50) {
		found.Hosts[mx.Host] = []netip.Addr{good}
	}
	st.Net.Publish(found)

	tests := []struct{ name, domain, want, class, says string }{
		{"an MX that is an alias", "alias.test", "delivered", "", ""},
		{"fifty MXs", "fifty.test", "delivered", "", ""},
		{"an answer that needs TCP", "truncated.test", "delivered", "", ""},
		{"an address and no MX", "bare.test", "delivered", "", ""},
		{"forged answers before the true one", "lies.test", "delivered", "", ""},
		{"an answer that takes a second", "slow.test", "delivered", "", ""},
		{"a first MX that does not exist", "second.test", "delivered", "", ""},
		{"a first MX whose DNS is broken", "half.test", "delivered", "", ""},
		{"SERVFAIL", "servfail.test", "expired", "soft", "look-up of servfail.test failed"},
		{"MXs that go in circles", "loop.test", "expired", "soft", "look-up"},
		{"a name that is its own alias", "around.test", "expired", "soft", "look-up"},
		{"an MX whose DNS is broken", "broken-mx.test", "expired", "soft", "look-up of broken.test failed"},
		{"a domain that does not exist", "missing.test", "bounced", "soft", "not found"},
		{"an MX that does not exist", "gone.test", "bounced", "soft", "not found"},
		{"a null MX", "null.test", "bounced", "hard", "does not accept mail"},
	}
	waiting := st.Mail(1, "ann@silent.test")
	var to []string
	for _, tt := range tests {
		to = append(to, "ann@"+tt.domain)
	}
	sent := st.Mail(2, to...)
	st.Outcomes(sent)
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			st.wantOutcome(t, sent[i], tt.want)
			for _, c := range st.Net.Hook.Calls.All() {
				if e := c.Event; c.Taken() && e.Sender == sent[i].Sender && e.Type == tt.want {
					if e.Class != tt.class || !strings.Contains(e.Diagnostic, tt.says) {
						t.Errorf("class %q, diagnostic %q, want %q, %q", e.Class, e.Diagnostic, tt.class, tt.says)
					}
				}
			}
		})
	}
	t.Run("silence", func(t *testing.T) {
		if err := st.Net.Hook.Calls.Wait(within(t, 30*time.Second), settled(waiting)); err != nil {
			t.Fatalf("waiting for the end of the lifetime: %v", err)
		}
		st.wantOutcome(t, waiting[0], "expired")
	})
	if held := st.Held(); len(held) != 1 || held[0] != "ann@null.test" {
		t.Errorf("on hold: %q, want only ann@null.test", held)
	}
	st.Balanced()
}

func TestNoConnectionIsMadeToWhereMailMustNotGo(t *testing.T) {
	t.Parallel()
	targets := map[string]string{
		"loopback": "127.0.0.1", "loopback-high": "127.255.255.254", "private-10": "10.0.0.1", "private-172": "172.16.0.1", "private-192": "192.168.1.1",
		"link-local": "169.254.169.254", "shared": "100.64.0.1", "nothing": "0.0.0.0", "multicast": "224.0.0.1", "broadcast": "255.255.255.255", "reserved": "240.0.0.1",
		"loopback-6": "::1", "mapped": "::ffff:127.0.0.1", "mapped-private": "::ffff:10.0.0.1", "link-local-6": "fe80::1", "unique-local": "fd00::2",
		"nat64": "64:ff9b::7f00:1", "six-to-four": "2002:7f00:1::1", "nothing-6": "::",
	}
	machine, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range machine {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			targets[fmt.Sprintf("this-machine-%d", i)] = p.Addr().String()
		}
	}
	zone := dnstest.Zone{MXs: make(map[string][]dnsx.MX), Hosts: make(map[string][]netip.Addr)}
	var to []string
	for name, address := range targets {
		zone.MXs[name+".test"] = dnstest.MXs("host." + name + ".test")
		zone.Hosts["host."+name+".test"] = dnstest.Addrs(address)
		to = append(to, "ann@"+name+".test")
	}
	// These lead back to ourselves.
	zone.MXs["own-name.test"] = dnstest.MXs("mail.example.org")
	zone.MXs["own-address.test"] = dnstest.MXs("host.own-address.test")
	to = append(to, "ann@own-name.test", "ann@own-address.test", "ann@[127.0.0.1]", "ann@[IPv6:::1]", "ann@[IPv6:::ffff:127.0.0.1]")

	st := newStage(t, settings{World: toynet.World{Domains: map[string]toynet.Domain{"accepts.test": {}}, Records: zone}, Delivery: "retry = [\"300ms\"]\nlifetime = \"1s\""})
	st.Net.Publish(dnstest.Zone{Hosts: map[string][]netip.Addr{"host.own-address.test": {st.Net.ServerAddr().Addr()}}})
	strangers := countConnections(t, st.Net.Port(), machine)

	sent := st.Mail(1, to...)
	st.Outcomes(sent)
	for _, s := range sent {
		st.wantOutcome(t, s, "bounced")
	}
	for _, c := range st.Net.Hook.Calls.All() {
		if e := c.Event; e.Type == "bounced" && !strings.Contains(e.Diagnostic, "not a public address") && !strings.Contains(e.Diagnostic, "loops back") {
			t.Errorf("%s: %q, want words about its address", e.Recipient, e.Diagnostic)
		}
	}
	if n := strangers(); n > 0 {
		t.Errorf("%d connections were made, want none", n)
	}
	const trials = 4 // the mail by which the self-check tries the way back
	for name, n := range st.Metrics() {
		if strings.HasPrefix(name, "homing_smtpd_connections_total{") && strings.Contains(name, `listener="smtp"`) && n > trials {
			t.Errorf("%s is %g: the server talked to itself", name, n)
		}
	}
	if len(st.Net.Connections.All()) > 0 {
		t.Errorf("connections to MXs: %+v, want none", st.Net.Connections.All())
	}
	if held := st.Held(); len(held) > 0 {
		t.Errorf("on hold: %q, want nobody", held)
	}
	st.Balanced()
}

// countConnections listens on one port of all this machine's addresses but
// those of the toy internet, and gives how many connections came.
func countConnections(t *testing.T, port uint16, machine []net.Addr) func() int64 {
	t.Helper()
	var count atomic.Int64
	addresses := []string{"127.0.0.1", "::1"}
	for _, a := range machine {
		if p, err := netip.ParsePrefix(a.String()); err == nil && !p.Addr().IsLoopback() && !p.Addr().IsLinkLocalUnicast() {
			addresses = append(addresses, p.Addr().String())
		}
	}
	for _, a := range addresses {
		l, err := net.Listen("tcp", net.JoinHostPort(a, fmt.Sprint(port)))
		if err != nil {
			t.Logf("not listening on %s: %v", a, err)
			continue
		}
		ended := make(chan struct{})
		t.Cleanup(func() { l.Close(); <-ended })
		go func() {
			defer close(ended)
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				count.Add(1)
				c.Close()
			}
		}()
	}
	return count.Load
}

func TestTarpitsDelayNobodyElse(t *testing.T) {
	t.Parallel()
	const tarpits, promptly = 100, 2 * time.Second
	world := toynet.World{Domains: map[string]toynet.Domain{"accepts.test": {}}}
	var sticky []string
	for i := range tarpits {
		name := fmt.Sprintf("tar%d.test", i)
		world.Domains[name] = toynet.Domain{Host: toynet.Host{NoTLS: true, Faults: []toynet.Fault{{At: reply.Connect, Say: toynet.Proper, Each: 10 * time.Second}}}}
		sticky = append(sticky, recipients("ann", 5, name)...)
	}
	st := newStage(t, settings{World: world})
	st.Mail(1, sticky...)
	if err := st.Net.Connections.Wait(within(t, 30*time.Second), func(c []toynet.Connection) bool { return len(c) >= tarpits }); err != nil {
		t.Fatalf("waiting for connections to all tarpits: %v", err)
	}
	for job := 2; job < 12; job++ {
		began := time.Now()
		to := fmt.Sprintf("bob%d@accepts.test", job)
		st.Mail(job, to)
		st.Arrived(to)
		if took := time.Since(began); took > promptly {
			t.Errorf("the healthy site was served after %s, want at most %s", took, promptly)
		}
	}
}
