// Package toynet is a toy internet on loopback: mail exchangers that behave as
// they are told, the DNS in which they are found, a receiver of webhooks, and
// an application that sends as CiviCRM does. `homing demo` shows the product
// against it, and the end-to-end tests prove the product with it. What it
// knows of the product is what the rest of the world knows: addresses,
// protocols and documented formats.
//
// All MXs of a world listen on one port, each on a loopback address of its
// own; so does the server under test. A World is a literal; Open makes a Net
// of it, whose sockets exist, and Run serves until its context ends.
package toynet

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"homing/internal/dnsx"
	"homing/internal/dnsx/dnstest"
)

// A World says what there is in a toy internet.
type World struct {
	Domains map[string]Domain // by name in lower case
	Hosts   map[string]Host   // MX hosts that several domains share
	Server  Server            // the server under test
	Records dnstest.Zone      // more of the DNS; wins over what is made of the other fields

	HookSecret string           // of the webhook receiver, "whsec_…"; empty: any signature will do
	Keep       bool             // Receipts keep whole messages
	Block      netip.Prefix     // a part of 127.0.0.0/8, /16 to /24; zero: a random one, as small as will do
	Log        *slog.Logger     // nil: none
	Now        func() time.Time // nil: time.Now
}

// A Server is what the DNS of a toy internet says of the server under test.
type Server struct {
	Name    string   // its host name: address, PTR
	Returns []string // domains whose MX it is
	Senders []string // domains that it sends as: an SPF record that allows its address
}

// And gives a World with the domains, hosts and records of both. Where both
// have one of a name, that of other is taken; all other fields are w's.
func (w World) And(other World) World {
	w.Domains = union(w.Domains, other.Domains)
	w.Hosts = union(w.Hosts, other.Hosts)
	w.Records = merge(w.Records, other.Records)
	return w
}

// A Net is a World with sockets. Its methods may be called from many
// goroutines.
type Net struct {
	Receipts    Journal[Receipt]    // what MXs said about recipients
	Connections Journal[Connection] // to MXs
	Notes       Journal[Note]       // what was sent back
	Hook        *Hook               // the webhook receiver

	world    World
	log      *slog.Logger
	block    netip.Prefix
	port     uint16
	hosts    map[string]*host
	sockets  map[string]net.Listener // by host
	attempts attempts
	post     *post
	dns      *dnstest.Server
	roots    *x509.CertPool
	messages atomic.Uint64

	mu   sync.Mutex
	zone *dnstest.Zone // never changed, only replaced
}

// Open gives every host an address and opens all sockets. Nothing is answered
// before Run, which must be called: it also closes the sockets. Where the
// system lacks loopback addresses the error is ErrAddress.
func (w World) Open() (*Net, error) {
	n := &Net{world: w, log: w.Log, block: w.Block, sockets: make(map[string]net.Listener)}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	if n.world.Now == nil {
		n.world.Now = time.Now
	}
	n.attempts = attempts{now: n.now, seen: make(map[[2]string]*attempt)}
	n.post = newPost(n)
	var err error
	if n.hosts, err = w.hosts(n); err != nil {
		return nil, err
	}
	if n.block == (netip.Prefix{}) {
		n.block = randomBlock(len(n.hosts))
	}
	if err := assign(n.block, n.hosts); err != nil {
		return nil, err
	}
	if err := n.certify(); err != nil {
		return nil, err
	}
	if err := n.open(); err != nil {
		return nil, err
	}
	return n, nil
}

// hosts collects the hosts that w names, with the domains of each.
func (w World) hosts(n *Net) (map[string]*host, error) {
	hosts := make(map[string]*host)
	for name, h := range w.Hosts {
		hosts[name] = &host{Host: h, name: name, net: n, domains: make(map[string]Domain)}
	}
	for name, d := range w.Domains {
		if own := "mx." + name; len(d.MX) == 0 && !d.Null && !d.Missing {
			hosts[own] = &host{Host: d.Host, name: own, net: n, domains: make(map[string]Domain)}
		}
	}
	for name, d := range w.Domains {
		for _, mx := range d.exchangers(name) {
			if hosts[mx] == nil {
				return nil, fmt.Errorf("toynet: the MX %s of %s is nowhere in the World", mx, name)
			}
			hosts[mx].domains[name] = d
		}
	}
	return hosts, nil
}

// exchangers names the MX hosts of a domain.
func (d Domain) exchangers(name string) []string {
	switch {
	case d.Null, d.Missing:
		return nil
	case len(d.MX) == 0:
		return []string{"mx." + name}
	}
	return d.MX
}

// open opens the sockets: of the hosts that listen, of the name server and of
// the webhook receiver.
func (n *Net) open() error {
	var names []string
	var addrs []netip.Addr
	for _, name := range slices.Sorted(maps.Keys(n.hosts)) {
		if !n.hosts[name].Dead {
			names = append(names, name)
			addrs = append(addrs, n.hosts[name].addr)
		}
	}
	// The server's own address is tried too, so that its port is free.
	sockets, port, err := listenAll(append(addrs, place(n.block, placeServer)))
	if err != nil {
		return err
	}
	n.port = port
	sockets[len(names)].Close()
	for i, name := range names {
		n.sockets[name] = sockets[i]
	}
	n.zone = n.world.zone(n)
	services := place(n.block, placeServices).String()
	if n.dns, err = dnstest.Listen(net.JoinHostPort(services, "0"), n.zone); err != nil {
		n.closeHosts()
		return fmt.Errorf("toynet: opening the name server: %w", err)
	}
	n.Hook, err = newHook(net.JoinHostPort(services, "0"), n.world.HookSecret, n.now)
	if err != nil {
		n.closeHosts()
		ended, end := context.WithCancel(context.Background())
		end()
		return errors.Join(fmt.Errorf("toynet: opening the webhook receiver: %w", err), n.dns.Run(ended))
	}
	return nil
}

func (n *Net) closeHosts() {
	for _, s := range n.sockets {
		s.Close()
	}
}

// Run serves everything until ctx ends, then returns nil; an error when a part
// of it failed, which ends the rest. Letters that still wait are dropped. No
// goroutine and no socket outlives it. It is called once.
func (n *Net) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var parts sync.WaitGroup
	var mu sync.Mutex
	var failed error
	start := func(run func(context.Context) error) {
		parts.Go(func() {
			if err := run(ctx); err != nil {
				mu.Lock()
				failed = errors.Join(failed, err)
				mu.Unlock()
				cancel(err)
			}
		})
	}
	start(n.dns.Run)
	start(n.Hook.run)
	start(n.post.run)
	for name, socket := range n.sockets {
		start(func(ctx context.Context) error { return n.hosts[name].run(ctx, socket) })
	}
	parts.Wait()
	return failed
}

// Network is the block of addresses that this Net uses.
func (n *Net) Network() netip.Prefix { return n.block }

// Port is the port of every MX, the server under test included.
func (n *Net) Port() uint16 { return n.port }

// ServerAddr is where the server under test is expected to listen as an MX.
// Its other listeners, and its outgoing connections, can have the same
// address.
func (n *Net) ServerAddr() netip.AddrPort {
	return netip.AddrPortFrom(place(n.block, placeServer), n.port)
}

// DNSAddr is the address of the name server, for UDP and TCP.
func (n *Net) DNSAddr() netip.AddrPort {
	a, err := netip.ParseAddrPort(n.dns.Addr)
	if err != nil { // it is the text of a socket's address
		return netip.AddrPort{}
	}
	return a
}

// HostAddr is the address of an MX, also of one where nothing listens; the
// zero AddrPort when there is no such host.
func (n *Net) HostAddr(name string) netip.AddrPort {
	h := n.hosts[name]
	if h == nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(h.addr, n.port)
}

// Roots are the authorities that the certificates of the MXs come from.
func (n *Net) Roots() *x509.CertPool { return n.roots }

// Publish adds records to the DNS, as an operator does. Where there is one of
// a name, the new one takes its place.
func (n *Net) Publish(records dnstest.Zone) {
	n.mu.Lock()
	defer n.mu.Unlock()
	z := merge(*n.zone, records)
	n.zone = &z
	n.dns.Change(n.zone)
}

// resolver answers from the DNS as it is now.
func (n *Net) resolver() dnsx.Resolver {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.zone
}

// Settled waits until everything that messages accepted so far bring back has
// been sent or given up.
func (n *Net) Settled(ctx context.Context) error { return n.Notes.Wait(ctx, n.post.settled) }

func (n *Net) now() time.Time { return n.world.Now() }

// queueID numbers messages as mail servers do.
func (n *Net) queueID() string { return fmt.Sprintf("4%09X", n.messages.Add(1)) }

// certify makes an authority and a certificate for each host that offers TLS.
func (n *Net) certify() error {
	ca, err := newAuthority(n.now())
	if err != nil {
		return err
	}
	n.roots = x509.NewCertPool()
	n.roots.AddCert(ca.certificate)
	for _, h := range n.hosts {
		if h.NoTLS || h.Dead {
			continue
		}
		c, err := ca.issue(h.name)
		if err != nil {
			return err
		}
		h.tls = &tls.Config{Certificates: []tls.Certificate{c}}
	}
	return nil
}
