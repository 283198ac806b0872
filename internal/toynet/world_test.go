package toynet

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/textproto"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"homing/internal/dnsx"
	"homing/internal/dnsx/dnstest"
)

// start runs a world until the test ends.
func start(t *testing.T, w World) *Net {
	t.Helper()
	n, err := w.Open()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v, want nil after an orderly stop", err)
		}
	})
	return n
}

// soon bounds the waits of a test that goes wrong.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// call opens a connection to an MX.
func call(t *testing.T, n *Net, mx string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", n.HostAddr(mx).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// talk says each line, separated by commas, and gives the codes of the
// replies, the greeting first. "." ends the message "Subject: x".
func talk(t *testing.T, n *Net, mx, lines string) string {
	t.Helper()
	c := call(t, n, mx)
	r := textproto.NewReader(bufio.NewReader(c))
	hear := func() string {
		code, _, err := r.ReadResponse(0)
		if err != nil {
			return "gone"
		}
		return fmt.Sprint(code)
	}
	codes := []string{hear()}
	for line := range strings.SplitSeq(lines, ",") {
		if line == "." {
			line = "Subject: x\r\n\r\nHello\r\n."
		}
		fmt.Fprintf(c, "%s\r\n", line)
		codes = append(codes, hear())
	}
	return strings.Join(codes, " ")
}

const toFriend = "EHLO a.test,MAIL FROM:<me@a.test>,RCPT TO:<ann@%s>,DATA,."

// resolver asks the world's name server with Go's own resolver.
func resolver(n *Net) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, n.DNSAddr().String())
	}}
}

func TestTheDNSKnowsEveryDomainAndHost(t *testing.T) {
	w := Everyday(time.Second)
	w.Server = Server{Name: "mail.example.org", Returns: []string{"bounce.example.org"}, Senders: []string{"example.org"}}
	w.Domains["shared.test"] = Domain{MX: []string{"mx.accepts.test", "mx.down.test"}}
	w.Records.TXTs = map[string][]string{"_dmarc.example.org": {"v=DMARC1; p=none"}}
	n := start(t, w)
	r, ctx := resolver(n), soon(t)
	server := n.ServerAddr().Addr().String()

	mx := func(name string) string {
		records, err := r.LookupMX(ctx, name)
		if err != nil {
			return notFound(err)
		}
		var hosts []string
		for _, m := range records {
			hosts = append(hosts, m.Host)
		}
		return strings.Join(hosts, " ")
	}
	txt := func(name string) string {
		texts, err := r.LookupTXT(ctx, name)
		if err != nil {
			return notFound(err)
		}
		return strings.Join(texts, " ")
	}
	address := func(name string) string {
		addrs, err := r.LookupHost(ctx, name)
		if err != nil {
			return notFound(err)
		}
		return strings.Join(addrs, " ")
	}
	pointer := func(addr string) string {
		names, err := r.LookupAddr(ctx, addr)
		if err != nil {
			return notFound(err)
		}
		return strings.Join(names, " ")
	}
	tests := []struct{ name, got, want string }{
		{"a domain has an MX of its own", mx("accepts.test"), "mx.accepts.test."},
		{"a domain may use the MXs of others, in order", mx("shared.test"), "mx.accepts.test. mx.down.test."},
		{"a domain that accepts no mail has a null MX", mx("nullmx.test"), "."},
		{"a domain that is missing has nothing", mx("nohost.test"), "not found"},
		{"the return domain leads to the server under test", mx("bounce.example.org"), "mail.example.org."},
		{"the server has its address", address("mail.example.org"), server},
		{"the server's address has its name", pointer(server), "mail.example.org."},
		{"an MX has its address", address("mx.accepts.test"), n.HostAddr("mx.accepts.test").Addr().String()},
		{"an MX's address has its name", pointer(n.HostAddr("mx.later.test").Addr().String()), "mx.later.test."},
		{"a dead MX has an address too", address("mx.down.test"), n.HostAddr("mx.down.test").Addr().String()},
		{"the sender's domain allows the server", txt("example.org"), "v=spf1 ip4:" + server + " -all"},
		{"a domain allows its own MX", txt("replies.test"), "v=spf1 mx -all"},
		{"further records are there", txt("_dmarc.example.org"), "v=DMARC1; p=none"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.got != tt.want {
				t.Errorf("got %q, want %q", tt.got, tt.want)
			}
		})
	}
}

func notFound(err error) string {
	if dns := (*net.DNSError)(nil); errors.As(err, &dns) && dns.IsNotFound {
		return "not found"
	}
	return err.Error()
}

func TestWhatIsPublishedLaterIsInTheDNS(t *testing.T) {
	n := start(t, World{Domains: map[string]Domain{"a.test": {}}})
	n.Publish(dnstest.Zone{
		TXTs: map[string][]string{"k._domainkey.example.org": {"v=DKIM1; p="}},
		MXs:  map[string][]dnsx.MX{"a.test": dnstest.MXs("elsewhere.test")},
	})
	txt, err := resolver(n).LookupTXT(soon(t), "k._domainkey.example.org")
	if want := []string{"v=DKIM1; p="}; err != nil || !slices.Equal(txt, want) {
		t.Errorf("LookupTXT = %q, %v, want %q", txt, err, want)
	}
	mx, err := resolver(n).LookupMX(soon(t), "a.test")
	if err != nil || len(mx) != 1 || mx[0].Host != "elsewhere.test." {
		t.Errorf("LookupMX = %v, %v, want elsewhere.test alone", mx, err)
	}
}

func TestAllMXsListenOnOnePortOfDifferentAddresses(t *testing.T) {
	n := start(t, Everyday(time.Second))
	seen := make(map[netip.AddrPort]string)
	for name, h := range n.hosts {
		at := n.HostAddr(name)
		if at.Port() != n.Port() || !n.Network().Contains(at.Addr()) || seen[at] != "" {
			t.Errorf("%s is at %v, want port %d, in %v, and not where %q is", name, at, n.Port(), n.Network(), seen[at])
		}
		seen[at] = name
		if c, err := net.Dial("tcp", at.String()); (err == nil) == h.Dead {
			t.Errorf("dialling %s: %v, dead = %v", name, err, h.Dead)
		} else if err == nil {
			c.Close()
		}
	}
	if n.ServerAddr().Port() != n.Port() {
		t.Errorf("the server is expected at %v, want port %d", n.ServerAddr(), n.Port())
	}
	l, err := net.Listen("tcp", n.ServerAddr().String())
	if err != nil {
		t.Fatalf("the server's address is not free: %v", err)
	}
	l.Close()
}

// crowd gives so many domains, each with an MX of its own.
func crowd(count int) map[string]Domain {
	domains := make(map[string]Domain)
	for i := range count {
		domains[fmt.Sprintf("d%d.test", i)] = Domain{}
	}
	return domains
}

func TestManyHostsGetALargerBlock(t *testing.T) {
	n := start(t, World{Domains: crowd(300)})
	seen := make(map[netip.AddrPort]bool)
	for name := range n.hosts {
		seen[n.HostAddr(name)] = true
		if got := talk(t, n, name, "QUIT"); got != "220 221" {
			t.Errorf("%s at %v: %s", name, n.HostAddr(name), got)
		}
	}
	if len(seen) != 300 || n.Network().Bits() != largeBlock {
		t.Errorf("%d addresses in %v, want 300 in a /16", len(seen), n.Network())
	}
}

func TestAWorldThatCannotBeIsRefused(t *testing.T) {
	tests := []struct {
		name  string
		world World
		want  string
	}{
		{"an MX that is nowhere", World{Domains: map[string]Domain{"a.test": {MX: []string{"mx.b.test"}}}}, "mx.b.test of a.test is nowhere"},
		{"more hosts than addresses", World{Domains: crowd(300), Block: netip.MustParsePrefix("127.9.8.0/24")}, "300 MX hosts, room for 245 in 127.9.8.0/24"},
		{"a block that is not loopback", World{Block: netip.MustParsePrefix("192.0.2.0/24")}, "want a part of 127.0.0.0/8"},
		{"a block that is too large", World{Block: netip.MustParsePrefix("127.0.0.0/8")}, "from /16 to /24"},
		{"a webhook secret that is none", World{HookSecret: "whsec_?"}, "webhook secret"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := tt.world.Open(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Open = %v, want it to say %q", err, tt.want)
			}
		})
	}
}

func TestTwoWorldsTogetherHaveTheDomainsOfBoth(t *testing.T) {
	w := Everyday(time.Second).And(Misbehaving(time.Second))
	if got, want := len(w.Domains), len(Everyday(0).Domains)+len(Misbehaving(0).Domains); got != want {
		t.Errorf("%d domains, want %d", got, want)
	}
	w = w.And(World{Domains: map[string]Domain{"accepts.test": {Null: true}}})
	if !w.Domains["accepts.test"].Null {
		t.Error("accepts.test is the first world's, want the second's")
	}
}

func TestRunEndsEverythingThatGoesOn(t *testing.T) {
	w := Everyday(time.Hour).And(Misbehaving(time.Hour))
	n, err := w.Open()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	n.Hook.Answer(HookAnswer{Hang: true})
	var clients sync.WaitGroup
	for _, mx := range []string{"mx.accepts.test", "mx.silent.test", "mx.drip.test", "mx.endless.test"} {
		c := call(t, n, mx)
		fmt.Fprint(c, "EHLO a.test\r\n")
		clients.Go(func() { readAll(c) })
	}
	// A letter that waits an hour, a message half sent, a webhook that hangs.
	if got := talk(t, n, "mx.later.test", fmt.Sprintf(toFriend, "later.test")); got != "220 250 250 250 354 250" {
		t.Errorf("later.test said %s", got)
	}
	half := call(t, n, "mx.accepts.test")
	fmt.Fprint(half, "EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<a@accepts.test>\r\nDATA\r\nSubject: half")
	hook, err := net.Dial("tcp", n.Hook.socket.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer hook.Close()
	fmt.Fprint(hook, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}")
	if err := n.Hook.Calls.Wait(soon(t), func(c []Call) bool { return len(c) == 1 }); err != nil {
		t.Fatal(err)
	}

	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
	clients.Wait()
	for mx := range n.sockets {
		if c, err := net.Dial("tcp", n.HostAddr(mx).String()); err == nil {
			c.Close()
			t.Errorf("%s still listens", mx)
		}
	}
	if left := leftovers(); left != "" {
		t.Errorf("goroutines after Run:\n%s", left)
	}
}

func readAll(c net.Conn) {
	b := make([]byte, 4096)
	for {
		if _, err := c.Read(b); err != nil {
			return
		}
	}
}

// leftovers gives the stacks of goroutines that run code of this package, but
// for tests. One that is about to end is given time to.
func leftovers() (left string) {
	for range 1000 {
		buf := make([]byte, 1<<20)
		left = ""
		for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if strings.Contains(stack, "/toynet.") && !strings.Contains(stack, "testing.tRunner") {
				left += stack + "\n\n"
			}
		}
		if left == "" {
			return ""
		}
		runtime.Gosched()
	}
	return left
}
