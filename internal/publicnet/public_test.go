package publicnet_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"

	"homing/internal/publicnet"
)

func TestAddress(t *testing.T) {
	for _, tt := range []struct {
		name, address string
		want          bool
	}{
		{"a host of the Internet", "93.184.215.14", true},
		{"the same over IPv6", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", true},
		{"the first address of a registry", "2001:200::1", true},
		{"loopback", "127.0.0.1", false},
		{"all of 127/8", "127.255.3.4", false},
		{"loopback over IPv6", "::1", false},
		{"private", "10.1.2.3", false},
		{"private, of 172.16/12", "172.31.255.255", false},
		{"just after it", "172.32.0.0", true},
		{"private, at home", "192.168.1.1", false},
		{"carrier-grade NAT", "100.127.0.1", false},
		{"link-local, where clouds keep their secrets", "169.254.169.254", false},
		{"link-local over IPv6", "fe80::1", false},
		{"site-local", "fec0::1", false},
		{"unique local", "fd00:ec2::254", false},
		{"this host", "0.0.0.0", false},
		{"unspecified over IPv6", "::", false},
		{"multicast", "224.0.0.1", false},
		{"reserved", "240.0.0.1", false},
		{"broadcast", "255.255.255.255", false},
		{"multicast over IPv6", "ff02::1", false},
		{"documentation", "203.0.113.9", false},
		{"documentation over IPv6", "2001:db8::1", false},
		{"Teredo", "2001::1", false},
		{"mapped loopback", "::ffff:127.0.0.1", false},
		{"mapped private", "::ffff:10.0.0.1", false},
		{"mapped public", "::ffff:93.184.215.14", true},
		{"compatible loopback, an old form", "::127.0.0.1", false},
		{"NAT64 of a private address", "64:ff9b::10.0.0.1", false},
		{"NAT64 of a public address", "64:ff9b::93.184.215.14", true},
		{"NAT64 of local use", "64:ff9b:1::1", false},
		{"6to4 of loopback", "2002:7f00:1::1", false},
		{"6to4 of a public address", "2002:5db8:d70e::1", true},
		{"with a zone", "fe80::1%eth0", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := publicnet.Address(netip.MustParseAddr(tt.address)); got != tt.want {
				t.Errorf("Address(%s) = %v, want %v", tt.address, got, tt.want)
			}
		})
	}
	if publicnet.Address(netip.Addr{}) {
		t.Error("the zero address is public")
	}
}

func TestADialerWithControlConnectsToNobodyNearby(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := net.Dialer{Control: publicnet.Control}
	c, err := d.DialContext(t.Context(), "tcp", l.Addr().String())
	if err == nil {
		c.Close()
	}
	if !errors.Is(err, publicnet.ErrNotPublic) {
		t.Errorf("dialling %v gave %v, want ErrNotPublic", l.Addr(), err)
	}
}

func TestControlRefusesWhatIsNoAddress(t *testing.T) {
	for _, address := range []string{"", "/run/socket", "example.org:80", "127.0.0.1"} {
		if err := publicnet.Control("tcp", address, nil); !errors.Is(err, publicnet.ErrNotPublic) {
			t.Errorf("Control(%q) = %v, want ErrNotPublic", address, err)
		}
	}
}

// FuzzAddress states that no spelling of an address that the standard library
// calls loopback, private, link-local or multicast is public, and that an
// address and its mapped form are judged alike.
func FuzzAddress(f *testing.F) {
	f.Add([]byte{127, 0, 0, 1})
	f.Add([]byte(net.ParseIP("::ffff:10.0.0.1")))
	f.Add([]byte(net.ParseIP("fe80::1")))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, ok := netip.AddrFromSlice(b)
		if !ok {
			return
		}
		u := a.Unmap()
		near := u.IsLoopback() || u.IsPrivate() || u.IsLinkLocalUnicast() || u.IsMulticast() || u.IsUnspecified()
		if near && publicnet.Address(a) {
			t.Errorf("Address(%v) is true", a)
		}
		if u.Is4() && publicnet.Address(netip.AddrFrom16(u.As16())) != publicnet.Address(u) {
			t.Errorf("%v and its mapped form differ", u)
		}
	})
}

func ExampleAddress() {
	for _, a := range []string{"93.184.215.14", "::ffff:127.0.0.1"} {
		fmt.Println(publicnet.Address(netip.MustParseAddr(a)))
	}
	// Output:
	// true
	// false
}
