package dnscheck

import (
	"net/netip"
	"testing"
)

func TestNamesForEveryCustomer(t *testing.T) {
	const four, six = "203.0.113.10", "2001:db8:12:3456::a"
	tests := []struct {
		addr, name string
		want       nameKind
	}{
		{four, "mail.example.org", chosen},
		{four, "example.org", chosen},
		{four, "mx10.example.org", chosen},
		{four, "mx-10-113.example.org", chosen},
		{four, "srv203.r0.dc113.example.org", pooled}, // three in a row, whatever stands between
		{four, "mail.dynamic-church.example.org", pooled},
		{four, "mail.dynamic-church.org", chosen}, // the registered domain is somebody's own
		{four, "mail.pool.co.uk", chosen},
		{four, "clients.example.org", chosen},
		{four, "users.example.org", chosen},
		{four, "ec2-203-0-113-10.eu-west-1.compute.amazonaws.com", pooled},
		{four, "static.10.113.0.203.clients.your-server.de", pooled},
		{four, "10.113.0.203.in-addr.example.net", pooled},
		{four, "ip203-000-113-010.example.net", pooled},
		{four, "host203000113010.example.net", pooled},
		{four, "ip-cb00710a.example.net", pooled},
		{four, "3405803786.example.net", pooled},
		{four, "customer-113-10.example.net", pooled},
		{four, "p57a1b2c3.dip0.t-ipconnect.de", chosen}, // no rule without a list sees that
		{four, "p57.pppoe.example.net", pooled},
		{four, "cable-1.example.net", pooled},
		{four, "x.dsl.example.net", pooled},
		{four, "v1.static.example.net", hosted},
		{four, "static-ip.example.net", hosted},
		{six, "mail.example.org", chosen},
		{six, "2001-db8-12-3456--a.example.net", pooled},
		{six, "20010db800123456000000000000000a.example.net", pooled},
		{six, "a.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.5.4.3.2.1.0.0.8.b.d.0.1.0.0.2.ip6.example.net", pooled},
		{four, "dynamic.github.io", pooled},
		{four, "pool.io", chosen},
		{four, "localhost", chosen},
		{"::ffff:203.0.113.10", "203-0-113-10.example.net", pooled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, why := generic(netip.MustParseAddr(tt.addr), tt.name); got != tt.want || (why == "") != (got == chosen) {
				t.Errorf("generic(%s, %q) = %d, %q, want %d", tt.addr, tt.name, got, why, tt.want)
			}
		})
	}
}
