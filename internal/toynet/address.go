package toynet

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"syscall"
)

// Places inside the block of a Net.
const (
	placeServices  = 1   // the name server and the webhook receiver
	placeServer    = 2   // the server under test
	firstHostPlace = 10  // the MX hosts, by name
	lastHostPlace  = 254 // so that a block has room for 245 of them
)

// tries is how often a port that turns out to be taken somewhere is exchanged
// for another.
const tries = 20

// ErrAddress says that a loopback address cannot be used. Linux answers on all
// of 127.0.0.0/8; other systems only on addresses that were added by hand
// (ifconfig lo0 alias 127.0.0.2).
var ErrAddress = errors.New("toynet: this loopback address cannot be used here (only Linux has all of 127.0.0.0/8)")

// randomBlock gives a /24 of loopback addresses. Two worlds at the same time
// get the same one in one of 64,000 cases, and then still choose other ports.
func randomBlock() netip.Prefix {
	a := netip.AddrFrom4([4]byte{127, byte(1 + rand.IntN(253)), byte(rand.IntN(256)), 0})
	return netip.PrefixFrom(a, 24)
}

// place gives the n-th address of block.
func place(block netip.Prefix, n int) netip.Addr {
	a := block.Masked().Addr().As4()
	a[3] = byte(n)
	return netip.AddrFrom4(a)
}

// assign gives each host an address, in order of their names.
func assign(block netip.Prefix, hosts map[string]*host) error {
	if !block.Addr().Is4() || !block.Addr().IsLoopback() || block.Bits() != 24 {
		return fmt.Errorf("toynet: block %s: want a /24 of 127.0.0.0/8", block)
	}
	if room := lastHostPlace - firstHostPlace + 1; len(hosts) > room {
		return fmt.Errorf("toynet: %d MX hosts, room for %d: let domains share them", len(hosts), room)
	}
	for i, name := range slices.Sorted(maps.Keys(hosts)) {
		hosts[name].addr = place(block, firstHostPlace+i)
	}
	return nil
}

// listenAll opens one port on all addresses: an MX is always reached on the
// same port, whatever its address. The first address decides which port; when
// it is taken elsewhere, another is tried.
func listenAll(addrs []netip.Addr) ([]*net.TCPListener, uint16, error) {
	var last error
	for range tries {
		sockets, port, err := listenOnce(addrs)
		if err == nil || errors.Is(err, ErrAddress) {
			return sockets, port, err
		}
		last = err
	}
	return nil, 0, fmt.Errorf("toynet: no port is free on all %d addresses: %w", len(addrs), last)
}

func listenOnce(addrs []netip.Addr) ([]*net.TCPListener, uint16, error) {
	var sockets []*net.TCPListener
	var port uint16
	for _, a := range addrs {
		l, err := listen(netip.AddrPortFrom(a, port))
		if err != nil {
			for _, s := range sockets {
				s.Close()
			}
			return nil, 0, err
		}
		sockets = append(sockets, l)
		port = addrPort(l.Addr()).Port()
	}
	return sockets, port, nil
}

// listen opens a TCP socket; ErrAddress when the system does not have the
// address at all.
func listen(at netip.AddrPort) (*net.TCPListener, error) {
	l, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(at))
	if errors.Is(err, syscall.EADDRNOTAVAIL) {
		return nil, fmt.Errorf("%w: %w", ErrAddress, err)
	}
	return l, err
}

// addrPort is the address of a TCP or UDP socket; the zero AddrPort for
// anything else.
func addrPort(a net.Addr) netip.AddrPort {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
