package delivery_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/delivery"
	"homing/internal/dnsx"
	"homing/internal/dnsx/dnstest"
	"homing/queue"
)

// TestWhereMailGoes looks at who is dialled for a domain, in which order, when
// nobody answers, and at what is said of it in the end.
func TestWhereMailGoes(t *testing.T) {
	addrs := dnstest.Addrs
	fifty := map[string][]netip.Addr{}
	var fiftyMXs []dnsx.MX
	for i := range 50 {
		host := "mx" + string(rune('a'+i/10)) + string(rune('0'+i%10)) + ".example.net"
		fiftyMXs = append(fiftyMXs, dnsx.MX{Host: host, Preference: uint16(i)})
		fifty[host] = []netip.Addr{netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})}
	}
	mx := func(hosts ...string) map[string][]dnsx.MX {
		return map[string][]dnsx.MX{"example.net": dnstest.MXs(hosts...)}
	}
	tests := []struct {
		name    string
		domain  string // "": example.net
		zone    dnstest.Zone
		change  func(*delivery.Options)
		dialled []string
		want    string
	}{
		{name: "the better MX first",
			zone: dnstest.Zone{MXs: mx("mx1.example.net", "mx2.example.net"), Hosts: map[string][]netip.Addr{
				"mx1.example.net": addrs("198.51.100.1"), "mx2.example.net": addrs("198.51.100.2")}},
			dialled: []string{"198.51.100.1:25", "198.51.100.2:25"},
			want:    "connect: we say 451 4.4.1 connect to mx2.example.net[198.51.100.2]:25: connection refused by mx2.example.net[198.51.100.2]"},
		{name: "all addresses of an MX, IPv4 first",
			zone:    dnstest.Zone{MXs: mx("mx.example.net"), Hosts: map[string][]netip.Addr{"mx.example.net": addrs("2001:db8::1", "198.51.100.1")}},
			dialled: []string{"198.51.100.1:25", "[2001:db8::1]:25"},
			want:    "connect: we say 451 4.4.1 connect to mx.example.net[2001:db8::1]:25: connection refused by mx.example.net[2001:db8::1]"},
		{name: "another port",
			zone:    dnstest.Zone{MXs: mx("mx.example.net"), Hosts: map[string][]netip.Addr{"mx.example.net": addrs("198.51.100.1")}},
			change:  func(o *delivery.Options) { o.Port = 2525 },
			dialled: []string{"198.51.100.1:2525"},
			want:    "connect: we say 451 4.4.1 connect to mx.example.net[198.51.100.1]:2525: connection refused by mx.example.net[198.51.100.1]"},
		{name: "no MX: the address of the domain",
			zone:    dnstest.Zone{Hosts: map[string][]netip.Addr{"example.net": addrs("198.51.100.1")}},
			dialled: []string{"198.51.100.1:25"},
			want:    "connect: we say 451 4.4.1 connect to example.net[198.51.100.1]:25: connection refused by example.net[198.51.100.1]"},
		{name: "an alias of a domain, and one of an MX",
			zone: dnstest.Zone{CNAMEs: map[string]string{"example.net": "example.com", "mx.example.com": "host.example.com"},
				MXs:   map[string][]dnsx.MX{"example.com": dnstest.MXs("mx.example.com")},
				Hosts: map[string][]netip.Addr{"host.example.com": addrs("198.51.100.1")}},
			dialled: []string{"198.51.100.1:25"},
			want:    "connect: we say 451 4.4.1 connect to mx.example.com[198.51.100.1]:25: connection refused by mx.example.com[198.51.100.1]"},
		{name: "at most twenty hosts", zone: dnstest.Zone{MXs: map[string][]dnsx.MX{"example.net": fiftyMXs}, Hosts: fifty},
			dialled: func() (out []string) {
				for i := range 20 {
					out = append(out, netip.AddrPortFrom(fifty[fiftyMXs[i].Host][0], 25).String())
				}
				return out
			}(),
			want: "connect: we say 451 4.4.1 connect to mxb9.example.net[198.51.100.19]:25: connection refused by mxb9.example.net[198.51.100.19]"},
		{name: "an address literal", domain: "[198.51.100.7]", dialled: []string{"198.51.100.7:25"},
			want: "connect: we say 451 4.4.1 connect to 198.51.100.7[198.51.100.7]:25: connection refused by 198.51.100.7[198.51.100.7]"},
		{name: "an IPv6 literal", domain: "[ipv6:2001:db8::7]", dialled: []string{"[2001:db8::7]:25"},
			want: "connect: we say 451 4.4.1 connect to 2001:db8::7[2001:db8::7]:25: connection refused by 2001:db8::7[2001:db8::7]"},
		{name: "a literal that is no address", domain: "[example.net]", want: "resolve: we say 550 5.1.2 [example.net] is not an address"},

		{name: "null MX", zone: dnstest.Zone{MXs: mx(".")}, want: "resolve: we say 556 5.1.10 example.net does not accept mail (null MX)"},
		{name: "no such domain", want: "resolve: we say 550 5.1.2 Host or domain name not found: example.net"},
		{name: "neither MX nor address", zone: dnstest.Zone{TXTs: map[string][]string{"example.net": {"v=spf1 -all"}}},
			want: "resolve: we say 550 5.1.2 Host or domain name not found: example.net has neither MX nor address"},
		{name: "an MX without an address", zone: dnstest.Zone{MXs: mx("mx.example.net")},
			want: "resolve: we say 550 5.4.4 Host or domain name not found: the MX mx.example.net has no address"},
		{name: "SERVFAIL", zone: dnstest.Zone{Down: map[string]bool{"example.net": true}}, want: "resolve: we say 451 4.4.3 DNS look-up of example.net failed"},
		{name: "an alias loop", zone: dnstest.Zone{CNAMEs: map[string]string{"example.net": "example.com", "example.com": "example.net"}},
			want: "resolve: we say 451 4.4.3 DNS look-up of example.net failed"},
		{name: "SERVFAIL for one MX and no address for another is temporary",
			zone: dnstest.Zone{MXs: mx("mx1.example.net", "mx2.example.net"), Down: map[string]bool{"mx1.example.net": true}},
			want: "resolve: we say 451 4.4.3 DNS look-up of mx1.example.net failed"},
		{name: "SERVFAIL for one MX does not keep from another",
			zone: dnstest.Zone{MXs: mx("mx1.example.net", "mx2.example.net"), Down: map[string]bool{"mx1.example.net": true},
				Hosts: map[string][]netip.Addr{"mx2.example.net": addrs("198.51.100.2")}},
			dialled: []string{"198.51.100.2:25"},
			want:    "connect: we say 451 4.4.1 connect to mx2.example.net[198.51.100.2]:25: connection refused by mx2.example.net[198.51.100.2]"},

		{name: "the MX is ourselves by its name",
			zone: dnstest.Zone{MXs: mx("mail.example.org"), Hosts: map[string][]netip.Addr{"mail.example.org": addrs("198.51.100.9")}},
			want: "resolve: we say 554 5.4.6 mail for example.net loops back to ourselves: mail.example.org[198.51.100.9]:25"},
		{name: "the MX is ourselves by its address",
			zone: dnstest.Zone{MXs: mx("mx.example.net"), Hosts: map[string][]netip.Addr{"mx.example.net": addrs("198.51.100.25")}},
			want: "resolve: we say 554 5.4.6 mail for example.net loops back to ourselves: mx.example.net[198.51.100.25]:25"},
		{name: "our address on another port is somebody else",
			zone:    dnstest.Zone{MXs: mx("mx.example.net"), Hosts: map[string][]netip.Addr{"mx.example.net": addrs("198.51.100.25")}},
			change:  func(o *delivery.Options) { o.OwnPort = 2525 },
			dialled: []string{"198.51.100.25:25"},
			want:    "connect: we say 451 4.4.1 connect to mx.example.net[198.51.100.25]:25: connection refused by mx.example.net[198.51.100.25]"},
		{name: "hosts worse than ourselves are not tried",
			zone: dnstest.Zone{MXs: mx("mx1.example.net", "mail.example.org", "mx3.example.net"), Hosts: map[string][]netip.Addr{
				"mx1.example.net": addrs("198.51.100.1"), "mail.example.org": addrs("198.51.100.9"), "mx3.example.net": addrs("198.51.100.3")}},
			dialled: []string{"198.51.100.1:25"},
			want:    "connect: we say 451 4.4.1 connect to mx1.example.net[198.51.100.1]:25: connection refused by mx1.example.net[198.51.100.1]"},
		{name: "a better MX that DNS does not know just now makes a loop temporary",
			zone: dnstest.Zone{MXs: mx("mx1.example.net", "mail.example.org"), Down: map[string]bool{"mx1.example.net": true},
				Hosts: map[string][]netip.Addr{"mail.example.org": addrs("198.51.100.9")}},
			want: "resolve: we say 451 4.4.3 DNS look-up of mx1.example.net failed"},
		{name: "hosts of a family that we have no address of are left out",
			zone:    dnstest.Zone{MXs: mx("mx.example.net"), Hosts: map[string][]netip.Addr{"mx.example.net": addrs("2001:db8::1", "198.51.100.1")}},
			change:  func(o *delivery.Options) { o.Sources = addrs("198.51.100.100") },
			dialled: []string{"198.51.100.1:25"},
			want:    "connect: we say 451 4.4.1 connect to mx.example.net[198.51.100.1]:25: connection refused by mx.example.net[198.51.100.1]"},
		{name: "no host of a family that we have an address of",
			zone:   dnstest.Zone{MXs: mx("mx.example.net"), Hosts: map[string][]netip.Addr{"mx.example.net": addrs("2001:db8::1")}},
			change: func(o *delivery.Options) { o.Sources = addrs("198.51.100.100") },
			want:   "connect: we say 451 4.3.5 no source address to reach mx.example.net[2001:db8::1] from"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.zone = &tt.zone
			c := w.config()
			c.Options.OwnPort, c.Options.OwnAddresses = 25, addrs("198.51.100.25")
			if tt.change != nil {
				tt.change(&c.Options)
			}
			if tt.domain == "" {
				tt.domain = "example.net"
			}
			w.job(tt.domain, "ann@"+tt.domain)
			w.run(c, 1)
			if diff := cmp.Diff(tt.dialled, w.dialled); diff != "" {
				t.Errorf("dialled (-want +got):\n%s", diff)
			}
			if got := w.outcomes()["ann@"+tt.domain]; got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestAddressesThatAreNotPublicAreNeverDialled(t *testing.T) {
	for _, address := range []string{
		"127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
		"255.255.255.255", "203.0.113.9", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "64:ff9b::a00:1", "2002:7f00:1::",
		"::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8",
	} {
		t.Run(address, func(t *testing.T) {
			w := newWorld(t)
			w.mx("example.net", "mx.example.net", address)
			w.job("example.net", "ann@example.net")
			w.job("["+address+"]", "bob@["+address+"]")
			w.run(w.config(), 2)
			if len(w.dialled) > 0 {
				t.Errorf("dialled %v", w.dialled)
			}
			for _, to := range []string{"ann@example.net", "bob@[" + address + "]"} {
				if got := w.outcomes()[to]; !strings.HasPrefix(got, "resolve: we say 550 5.4.4 ") {
					t.Errorf("%s: %q, want 550 5.4.4", to, got)
				}
			}
		})
	}
}

func TestTheOperatorMayAllowNetworks(t *testing.T) {
	w := newWorld(t)
	w.mx("example.net", "mx.example.net", "10.1.2.3", hello+accept+bye)
	c := w.config()
	c.Options.AllowNetworks = []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}
	w.job("example.net", "ann@example.net")
	w.run(c, 1)
	if got, want := w.outcomes()["ann@example.net"], "dot: 250 2.0.0 queued by mx.example.net[10.1.2.3]"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestMXsOfEqualPreferenceTakeTurns(t *testing.T) {
	first := map[string]int{}
	for range 200 {
		w := newWorld(t)
		for _, a := range []string{"198.51.100.1", "198.51.100.2", "198.51.100.3"} {
			host := "mx" + a[len(a)-1:] + ".example.net"
			w.zone.MXs["example.net"] = append(w.zone.MXs["example.net"], dnsx.MX{Host: host, Preference: 10})
			w.zone.Hosts[host] = dnstest.Addrs(a)
		}
		w.job("example.net", "ann@example.net")
		w.run(w.config(), 1)
		first[w.dialled[0]]++
		slices.Sort(w.dialled)
		if diff := cmp.Diff([]string{"198.51.100.1:25", "198.51.100.2:25", "198.51.100.3:25"}, w.dialled); diff != "" {
			t.Fatal(diff)
		}
	}
	if len(first) != 3 {
		t.Errorf("the first of 200 jobs went to %v; want all three", first)
	}
}

func TestADNSThatNeverAnswersEndsWithTheShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.zone.Silent = map[string]bool{"example.net": true}
		c := w.config()
		c.Grace = time.Minute
		w.job("example.net", "ann@example.net")
		begun := time.Now()
		w.stopAfter(c, time.Second)
		if took := time.Since(begun); took != time.Second {
			t.Errorf("took %v, want no wait for what has not begun", took)
		}
		if diff := cmp.Diff([]string{"finish example.net"}, w.events); diff != "" {
			t.Errorf("the item must be given back without an outcome:\n%s", diff)
		}
	})
}

func TestTheQueueSaysWhichSourceIsUsed(t *testing.T) {
	sources := dnstest.Addrs("198.51.100.101", "2001:db8::101", "198.51.100.102")
	if diff := cmp.Diff([]string{"198.51.100.101", "198.51.100.102"}, delivery.Pairs(sources)); diff != "" {
		t.Errorf("pairs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"198.51.100.101", "2001:db8::102"}, delivery.Pairs(dnstest.Addrs("198.51.100.101", "2001:db8::101", "2001:db8::102"))); diff != "" {
		t.Errorf("pairs where IPv6 is left over (-want +got):\n%s", diff)
	}
	tests := []struct{ name, job, address, want string }{
		{"the one of the job", "198.51.100.102", "198.51.100.1", "198.51.100.102"},
		{"its pair, to a host of the other family", "198.51.100.101", "2001:db8::1", "2001:db8::101"},
		{"another of that family, where it has no pair", "198.51.100.102", "2001:db8::1", "2001:db8::101"},
		{"any, for a job that began before the addresses changed", "203.0.113.9", "198.51.100.1", "198.51.100.101"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			c := w.config()
			c.Options.Sources = sources
			w.mx("a.example", "mx.a.example", tt.address, hello+accept+bye)
			w.jobs <- &queue.Job{Domain: "a.example", Items: w.items("ann@a.example"), Source: tt.job}
			w.run(c, 1)
			if len(w.sources) != 1 || w.sources[0].String() != tt.want {
				t.Errorf("sent from %v, want %v", w.sources, tt.want)
			}
		})
	}
}
