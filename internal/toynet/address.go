package toynet

import (
	"encoding/binary"
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
	placeServices  = 1  // the name server and the webhook receiver
	placeServer    = 2  // the server under test
	firstHostPlace = 10 // the MX hosts, by name
)

// Sizes of a block: a small one unless there are many hosts.
const (
	smallBlock = 24
	largeBlock = 16
)

// tries is how often a port that turns out to be taken somewhere is exchanged
// for another.
const tries = 20

// ErrAddress says that a loopback address cannot be used. Linux answers on all
// of 127.0.0.0/8; other systems only on addresses that were added by hand
// (ifconfig lo0 alias 127.0.0.2).
var ErrAddress = errors.New("toynet: this loopback address cannot be used here (only Linux has all of 127.0.0.0/8)")

// randomBlock gives loopback addresses for so many hosts. Two worlds at the
// same time may get the same ones, in one of 64,000 cases if they are small,
// and then still choose other ports.
func randomBlock(hosts int) netip.Prefix {
	bits := smallBlock
	if hosts > room(smallBlock) {
		bits = largeBlock
	}
	a := netip.AddrFrom4([4]byte{127, byte(1 + rand.IntN(253)), byte(rand.IntN(256)), 0})
	return netip.PrefixFrom(a, bits).Masked()
}

// room is how many hosts fit into a block of so many bits.
func room(bits int) int { return 1<<(32-bits) - 1 - firstHostPlace }

// place gives the n-th address of block.
func place(block netip.Prefix, n int) netip.Addr {
	a := block.Masked().Addr().As4()
	binary.BigEndian.PutUint32(a[:], binary.BigEndian.Uint32(a[:])+uint32(n))
	return netip.AddrFrom4(a)
}

// assign gives each host an address, in order of their names.
func assign(block netip.Prefix, hosts map[string]*host) error {
	if !block.Addr().Is4() || !block.Addr().IsLoopback() || block.Bits() < largeBlock || block.Bits() > smallBlock {
		return fmt.Errorf("toynet: block %s: want a part of 127.0.0.0/8 from /16 to /24", block)
	}
	if most := room(block.Bits()); len(hosts) > most {
		return fmt.Errorf("toynet: %d MX hosts, room for %d in %s", len(hosts), most, block)
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
