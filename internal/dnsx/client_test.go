package dnsx_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"homing/internal/dnsx"
	"homing/internal/dnsx/dnstest"
)

var (
	mx   = map[string][]dnsx.MX{"example.net": dnstest.MXs("mx.example.net")}
	host = map[string][]netip.Addr{"mx.example.net": dnstest.Addrs("192.0.2.1")}
)

// serve runs a server with the world of z until the test ends.
func serve(t testing.TB, z *dnstest.Zone) *dnstest.Server {
	t.Helper()
	s, err := dnstest.Listen("127.0.0.1:0", z)
	if err != nil {
		t.Fatalf("Listen: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return s
}

// odd runs a server that does what handle says, over UDP and TCP.
func odd(t *testing.T, handle dns.HandlerFunc) string {
	t.Helper()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	udp, err := net.ListenPacket("udp", tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	for _, s := range []*dns.Server{{Listener: tcp, Handler: handle}, {PacketConn: udp, Handler: handle}} {
		up := make(chan struct{})
		s.NotifyStartedFunc = func() { close(up) }
		running.Go(func() {
			if err := s.ActivateAndServe(); err != nil {
				t.Errorf("server: %v", err)
			}
		})
		<-up
		t.Cleanup(func() {
			if err := s.Shutdown(); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
		})
	}
	return tcp.Addr().String()
}

func client(t testing.TB, o dnsx.Options) *dnsx.Client {
	t.Helper()
	if o.Timeout == 0 {
		o.Timeout = 2 * time.Second
	}
	c, err := dnsx.New(o)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return c
}

// wantHost checks that the only MX of example.net is known.
func wantHost(t *testing.T, c *dnsx.Client) {
	t.Helper()
	got, err := c.MX(t.Context(), "example.net")
	if err != nil || len(got) != 1 || got[0].Host != "mx.example.net" {
		t.Errorf("MX = %v, %v, want mx.example.net", got, err)
	}
}

func TestAThousandAskersMakeOneQuestion(t *testing.T) {
	s := serve(t, &dnstest.Zone{MXs: mx, Slow: map[string]time.Duration{"example.net": 20 * time.Millisecond}})
	c := client(t, dnsx.Options{Servers: []string{s.Addr}})
	var askers sync.WaitGroup
	for range 1000 {
		askers.Go(func() { wantHost(t, c) })
	}
	askers.Wait()
	if n := s.Asked("example.net", "MX"); n != 1 {
		t.Errorf("the server was asked %d times, want once", n)
	}
}

// clock can be moved while others read it.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time {
	return time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC).Add(time.Duration(c.offset.Load()))
}

func TestAnswersAreKeptAsLongAsTheyMay(t *testing.T) {
	z := func(ttl time.Duration) *dnstest.Zone {
		return &dnstest.Zone{MXs: mx, TTL: ttl, Down: map[string]bool{"down.example": true},
			CNAMEs: map[string]string{"alias.example": "example.net"}}
	}
	tests := []struct {
		name string
		ask  string
		ttl  time.Duration
		keep time.Duration
	}{
		{"a record as long as its TTL", "example.net", 5 * time.Minute, 5 * time.Minute},
		{"a record of a year for a day", "example.net", 365 * 24 * time.Hour, 24 * time.Hour},
		{"a record of a second for five", "example.net", time.Second, 5 * time.Second},
		{"an alias as long as its TTL", "alias.example", 5 * time.Minute, 5 * time.Minute},
		{"what does not exist as long as the SOA says", "nothing.example", 5 * time.Minute, 5 * time.Minute},
		{"what does not exist for an hour at most", "nothing.example", 365 * 24 * time.Hour, time.Hour},
		{"what does not exist for five seconds at least", "nothing.example", time.Second, 5 * time.Second},
		{"a failure for five seconds", "down.example", 5 * time.Minute, 5 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, z(tt.ttl))
			var at clock
			c := client(t, dnsx.Options{Servers: []string{s.Addr}, Now: at.now})
			for _, step := range []struct {
				at   time.Duration
				want int
			}{{0, 1}, {tt.keep - time.Millisecond, 1}, {tt.keep, 2}} {
				at.offset.Store(int64(step.at))
				_, err := c.MX(t.Context(), tt.ask)
				if n := s.Asked(tt.ask, "MX"); n != step.want {
					t.Errorf("after %v the server was asked %d times (%v), want %d", step.at, n, err, step.want)
				}
			}
		})
	}
}

func TestTheCacheForgetsWhatWasNotUsedForLongest(t *testing.T) {
	s := serve(t, &dnstest.Zone{})
	c := client(t, dnsx.Options{Servers: []string{s.Addr}, Answers: 2})
	for _, name := range []string{"a.example", "b.example", "a.example", "c.example", "a.example", "b.example"} {
		if _, err := c.TXT(t.Context(), name); !errors.Is(err, dnsx.ErrNoName) {
			t.Errorf("TXT(%s) = %v, want ErrNoName", name, err)
		}
	}
	for name, want := range map[string]int{"a.example": 1, "b.example": 2, "c.example": 1} {
		if n := s.Asked(name, "TXT"); n != want {
			t.Errorf("%s was asked for %d times, want %d", name, n, want)
		}
	}
}

func TestWhatCallersDoToAnAnswerStaysTheirs(t *testing.T) {
	s := serve(t, &dnstest.Zone{MXs: mx, TLSAs: map[string][]dnsx.TLSA{"_25._tcp.mx.example.net": {{Data: []byte{1}}}}})
	c := client(t, dnsx.Options{Servers: []string{s.Addr}})
	for range 2 {
		wantHost(t, c)
		records, err := c.MX(t.Context(), "example.net")
		if err != nil {
			t.Fatal(err)
		}
		records[0].Host = "changed"
		certs, err := c.TLSA(t.Context(), "_25._tcp.mx.example.net")
		if err != nil || certs[0].Data[0] != 1 {
			t.Fatalf("TLSA = %v, %v, want 1", certs, err)
		}
		certs[0].Data[0] = 2
	}
}

func TestTruncatedAnswersAreFetchedOverTCP(t *testing.T) {
	var fifty []dnsx.MX
	for i := range 50 {
		fifty = append(fifty, dnsx.MX{Host: fmt.Sprintf("a-long-name-that-none-of-them-shares-%02d.example.net", i), Preference: 10})
	}
	s := serve(t, &dnstest.Zone{MXs: map[string][]dnsx.MX{"example.net": fifty}})
	c := client(t, dnsx.Options{Servers: []string{s.Addr}})
	got, err := c.MX(t.Context(), "example.net")
	if err != nil || !slices.Equal(got, fifty) {
		t.Errorf("MX = %d records, %v, want all 50", len(got), err)
	}
	if n := s.Asked("example.net", "MX"); n != 2 {
		t.Errorf("asked %d times, want once over UDP and once over TCP", n)
	}
}

func TestForgedAnswersArePassedOver(t *testing.T) {
	s := serve(t, &dnstest.Zone{MXs: mx, Hosts: host, Lies: map[string]bool{"example.net": true, "mx.example.net": true}})
	c := client(t, dnsx.Options{Servers: []string{s.Addr}})
	wantHost(t, c)
	if got, err := c.Addrs(t.Context(), "mx.example.net"); err != nil || !slices.Equal(got, host["mx.example.net"]) {
		t.Errorf("Addrs = %v, %v, want %v", got, err, host["mx.example.net"])
	}
}

func TestServersTakeTurns(t *testing.T) {
	down := serve(t, &dnstest.Zone{Down: map[string]bool{"example.net": true, "example.com": true}})
	silent := serve(t, &dnstest.Zone{Silent: map[string]bool{"example.net": true, "example.com": true}})
	good := serve(t, &dnstest.Zone{MXs: mx})
	c := client(t, dnsx.Options{Servers: []string{down.Addr, silent.Addr, good.Addr}, Timeout: 100 * time.Millisecond})
	wantHost(t, c)
	if _, err := c.MX(t.Context(), "example.com"); !errors.Is(err, dnsx.ErrNoName) {
		t.Errorf("MX = %v, want ErrNoName", err)
	}
	for _, tt := range []struct {
		name   string
		server *dnstest.Server
		first  int // questions for the first name
		second int
	}{{"the one that fails", down, 1, 0}, {"the silent one", silent, 1, 0}, {"the one that answers is preferred from then on", good, 1, 1}} {
		first, second := tt.server.Asked("example.net", "MX"), tt.server.Asked("example.com", "MX")
		if first != tt.first || second != tt.second {
			t.Errorf("%s: asked %d and %d times, want %d and %d", tt.name, first, second, tt.first, tt.second)
		}
	}
}

func TestFailuresAreTemporary(t *testing.T) {
	nobody, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := nobody.LocalAddr().String()
	if err := nobody.Close(); err != nil {
		t.Fatal(err)
	}
	says := func(change func(m *dns.Msg)) string {
		return odd(t, func(w dns.ResponseWriter, q *dns.Msg) {
			m := new(dns.Msg).SetReply(q)
			m.RecursionAvailable = true
			change(m)
			_ = w.WriteMsg(m) // a client that gave up is what some cases are about
		})
	}
	down := serve(t, &dnstest.Zone{Down: map[string]bool{"example.net": true}, Silent: map[string]bool{"example.com": true}})
	tests := []struct {
		name   string
		server string
		ask    string
		said   string // in the error
	}{
		{"SERVFAIL", down.Addr, "example.net", "SERVFAIL"},
		{"no answer", down.Addr, "example.com", "no answer in time"},
		{"nobody listens", closed, "example.net", "refused"},
		{"REFUSED", says(func(m *dns.Msg) { m.Rcode = dns.RcodeRefused }), "example.net", "REFUSED"},
		{"an error without the question", says(func(m *dns.Msg) { m.Rcode, m.Question = dns.RcodeServerFailure, nil }), "example.net", "SERVFAIL"},
		{"a server that does not recurse", says(func(m *dns.Msg) { m.RecursionAvailable = false }), "example.net", "does not resolve"},
		{"a server that knows no name and does not recurse", says(func(m *dns.Msg) {
			m.RecursionAvailable, m.Rcode = false, dns.RcodeNameError
		}), "example.net", "does not resolve"},
		{"an answer to nothing", says(func(m *dns.Msg) { m.Question = nil }), "example.net", "no answer in time"},
		{"aliases that never end", says(func(m *dns.Msg) {
			name := m.Question[0].Name
			m.Answer = []dns.RR{&dns.CNAME{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET}, Target: "x." + name}}
		}), "example.net", "aliases"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := client(t, dnsx.Options{Servers: []string{tt.server}, Timeout: 100 * time.Millisecond, Tries: 2})
			got, err := c.MX(t.Context(), tt.ask)
			if !errors.Is(err, dnsx.ErrTemporary) || !strings.Contains(err.Error(), tt.said) || len(got) > 0 {
				t.Errorf("MX = %v, %v, want a temporary error that says %q", got, err, tt.said)
			}
		})
	}
}

func TestOddServersAreUnderstood(t *testing.T) {
	record := func(m *dns.Msg) {
		m.RecursionAvailable = true
		m.Answer = []dns.RR{&dns.MX{Hdr: dns.RR_Header{Name: m.Question[0].Name, Rrtype: dns.TypeMX, Class: dns.ClassINET, Ttl: 60}, Preference: 1, Mx: "MX.example.net."}}
	}
	tests := []struct {
		name   string
		handle dns.HandlerFunc
	}{
		{"one that changes letter case is believed over TCP", func(w dns.ResponseWriter, q *dns.Msg) {
			m := new(dns.Msg).SetReply(q)
			record(m)
			if _, tcp := w.RemoteAddr().(*net.TCPAddr); !tcp {
				m.Question[0].Name = "eXaMpLe.NeT."
				if m.Question[0].Name == q.Question[0].Name {
					m.Question[0].Name = "example.net."
				}
				m.Answer = nil
			}
			_ = w.WriteMsg(m)
		}},
		{"one without EDNS is asked without it", func(w dns.ResponseWriter, q *dns.Msg) {
			m := new(dns.Msg).SetReply(q)
			record(m)
			if q.IsEdns0() != nil {
				m.Rcode, m.Answer = dns.RcodeFormatError, nil
			}
			_ = w.WriteMsg(m)
		}},
		{"one that is authoritative itself needs no recursion", func(w dns.ResponseWriter, q *dns.Msg) {
			m := new(dns.Msg).SetReply(q)
			record(m)
			m.RecursionAvailable, m.Authoritative = false, true
			_ = w.WriteMsg(m)
		}},
		{"one that leaves aliases to us is asked for the next name", func(w dns.ResponseWriter, q *dns.Msg) {
			m := new(dns.Msg).SetReply(q)
			record(m)
			if name := m.Question[0].Name; strings.EqualFold(name, "example.net.") {
				m.Answer = []dns.RR{&dns.CNAME{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: 60}, Target: "Other.example."}}
			}
			_ = w.WriteMsg(m)
		}},
		{"records of other names and types are not ours", func(w dns.ResponseWriter, q *dns.Msg) {
			m := new(dns.Msg).SetReply(q)
			record(m)
			m.Answer = append(m.Answer,
				&dns.MX{Hdr: dns.RR_Header{Name: "evil.example.", Rrtype: dns.TypeMX, Class: dns.ClassINET}, Mx: "evil.example."},
				&dns.TXT{Hdr: dns.RR_Header{Name: "example.net.", Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{"x"}})
			_ = w.WriteMsg(m)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantHost(t, client(t, dnsx.Options{Servers: []string{odd(t, tt.handle)}, Tries: 1}))
		})
	}
}

func TestWhoLeavesDoesNotDisturbWhoWaits(t *testing.T) {
	entered, release := make(chan struct{}, 8), make(chan struct{})
	server := odd(t, func(w dns.ResponseWriter, q *dns.Msg) {
		entered <- struct{}{}
		<-release
		m := new(dns.Msg).SetReply(q)
		m.RecursionAvailable = true
		m.Answer = []dns.RR{&dns.MX{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeMX, Class: dns.ClassINET, Ttl: 60}, Mx: "mx.example.net."}}
		_ = w.WriteMsg(m)
	})
	c := client(t, dnsx.Options{Servers: []string{server}, Timeout: 10 * time.Second})
	impatient, leave := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := c.MX(impatient, "example.net")
		left <- err
	}()
	<-entered
	var patient sync.WaitGroup
	patient.Go(func() { wantHost(t, c) })
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) || !errors.Is(err, dnsx.ErrTemporary) {
		t.Errorf("who left got %v, want a temporary error of a cancelled context", err)
	}
	close(release)
	patient.Wait()
	wantHost(t, c)
}

func TestTheLastWhoLeavesEndsTheQuestionAndNothingIsKept(t *testing.T) {
	s := serve(t, &dnstest.Zone{MXs: mx, Silent: map[string]bool{"example.net": true}})
	c := client(t, dnsx.Options{Servers: []string{s.Addr}, Timeout: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.MX(ctx, "example.net"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("MX = %v, want a passed deadline", err)
	}
	s.Change(&dnstest.Zone{MXs: mx})
	wantHost(t, c)
}

func TestOneFamilyOfAddressesIsEnough(t *testing.T) {
	answers := func(a, aaaa int) string {
		return odd(t, func(w dns.ResponseWriter, q *dns.Msg) {
			m := new(dns.Msg).SetReply(q)
			m.RecursionAvailable = true
			h := dns.RR_Header{Name: q.Question[0].Name, Rrtype: q.Question[0].Qtype, Class: dns.ClassINET, Ttl: 60}
			m.Rcode = map[uint16]int{dns.TypeA: a, dns.TypeAAAA: aaaa}[h.Rrtype]
			if m.Rcode == dns.RcodeSuccess && h.Rrtype == dns.TypeA {
				m.Answer = []dns.RR{&dns.A{Hdr: h, A: net.IPv4(192, 0, 2, 1)}}
			}
			_ = w.WriteMsg(m)
		})
	}
	tests := []struct {
		name    string
		a, aaaa int
		want    error
	}{
		{"no IPv6", dns.RcodeSuccess, dns.RcodeSuccess, nil},
		{"the question for IPv6 fails", dns.RcodeSuccess, dns.RcodeServerFailure, nil},
		{"the name exists for IPv4 alone", dns.RcodeSuccess, dns.RcodeNameError, nil},
		{"the question for IPv4 fails and there is no IPv6", dns.RcodeServerFailure, dns.RcodeSuccess, dnsx.ErrTemporary},
		{"the question for IPv4 fails and there is no name", dns.RcodeServerFailure, dns.RcodeNameError, dnsx.ErrTemporary},
		{"no data for one and no name for the other", dns.RcodeNameError, dns.RcodeSuccess, dnsx.ErrNoData},
		{"no name for both", dns.RcodeNameError, dns.RcodeNameError, dnsx.ErrNoName},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := client(t, dnsx.Options{Servers: []string{answers(tt.a, tt.aaaa)}})
			got, err := c.Addrs(t.Context(), "mx.example.net")
			if !errors.Is(err, tt.want) || (len(got) == 1) != (tt.want == nil) {
				t.Errorf("Addrs = %v, %v, want %v", got, err, tt.want)
			}
		})
	}
}

func TestEveryQuestionIsObserved(t *testing.T) {
	s := serve(t, &dnstest.Zone{MXs: mx, Hosts: host, Down: map[string]bool{"down.example": true}})
	var mu sync.Mutex
	var seen []string
	c := client(t, dnsx.Options{Servers: []string{s.Addr}, Observe: func(qtype, outcome string, took time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, qtype+" "+outcome)
		if took < 0 {
			t.Errorf("%s took %v", qtype, took)
		}
	}})
	for _, name := range []string{"example.net", "example.net", "mx.example.net", "down.example", "nothing.example"} {
		_, _ = c.MX(t.Context(), name) // the outcome is what is observed
	}
	want := []string{"MX ok", "MX no_data", "MX temporary", "MX no_name"}
	if !slices.Equal(seen, want) {
		t.Errorf("observed %q, want %q", seen, want)
	}
}

func TestServersMustBeAddresses(t *testing.T) {
	tests := []struct {
		server string
		ok     bool
	}{
		{"127.0.0.1:53", true}, {"127.0.0.1", true}, {"[::1]:5353", true}, {"::1", true},
		{"localhost:53", false}, {"127.0.0.1:dns", false}, {"", false},
	}
	for _, tt := range tests {
		if _, err := dnsx.New(dnsx.Options{Servers: []string{tt.server}}); (err == nil) != tt.ok {
			t.Errorf("New with server %q: %v, want it to work: %v", tt.server, err, tt.ok)
		}
	}
}

func ExampleClient() {
	zone := &dnstest.Zone{MXs: map[string][]dnsx.MX{"example.net": {{Host: "."}}}}
	server, err := dnstest.Listen("127.0.0.1:0", zone)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = server.Run(ctx) })
	defer running.Wait()
	defer cancel()

	client, err := dnsx.New(dnsx.Options{Servers: []string{server.Addr}})
	if err != nil {
		fmt.Println(err)
		return
	}
	records, err := client.MX(ctx, "Example.NET.")
	fmt.Println(dnsx.NullMX(records), err)
	_, err = client.MX(ctx, "example.com")
	fmt.Println(errors.Is(err, dnsx.ErrNoName), err)
	// Output:
	// true <nil>
	// true no such domain name: MX example.com
}

func BenchmarkMXFromTheCache(b *testing.B) {
	s := serve(b, &dnstest.Zone{MXs: mx})
	c := client(b, dnsx.Options{Servers: []string{s.Addr}})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.MX(b.Context(), "example.net"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMXFromAServer(b *testing.B) {
	s := serve(b, &dnstest.Zone{MXs: mx})
	var at clock
	c := client(b, dnsx.Options{Servers: []string{s.Addr}, Now: at.now})
	b.ReportAllocs()
	for b.Loop() {
		at.offset.Add(int64(time.Hour))
		if _, err := c.MX(b.Context(), "example.net"); err != nil {
			b.Fatal(err)
		}
	}
}

func TestTheADBitCountsOnlyFromAResolverThatIsTrusted(t *testing.T) {
	z := &dnstest.Zone{MXs: mx, Hosts: host, Signed: map[string]bool{"example.net": true, "mx.example.net": true}}
	s := serve(t, z)
	tests := []struct {
		name, server string
		trust        bool
		want         bool
	}{
		{"at a loopback address", "127.0.0.1:53", false, true},
		{"at the loopback address of IPv6", "[::1]:53", false, true},
		{"elsewhere", "192.0.2.53:53", false, false},
		{"elsewhere, and trusted", "192.0.2.53:53", true, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := client(t, dnsx.Options{Servers: []string{tt.server}, TrustAD: tt.trust,
				Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
					return (&net.Dialer{}).DialContext(ctx, network, s.Addr)
				}})
			records, err := c.MX(t.Context(), "example.net")
			if err != nil || len(records) != 1 || records[0].Authentic != tt.want {
				t.Errorf("MX = %v, %v, want one that is authentic: %v", records, err, tt.want)
			}
			if got, err := c.Bases(t.Context(), "mx.example.net"); err != nil || (len(got) == 1) != tt.want {
				t.Errorf("Bases = %v, %v, want one: %v", got, err, tt.want)
			}
		})
	}
}

func TestTLSARecordsAreUnderTheNameAtTheEndOfAliasesOrTheFirst(t *testing.T) {
	z := &dnstest.Zone{
		Hosts:  map[string][]netip.Addr{"mx.example.net": dnstest.Addrs("192.0.2.1", "2001:db8::1"), "far.example.com": dnstest.Addrs("192.0.2.2"), "near.example.com": dnstest.Addrs("192.0.2.3")},
		CNAMEs: map[string]string{"alias.example.net": "next.example.net", "next.example.net": "far.example.com", "loose.example.net": "far.example.com", "away.example.net": "near.example.com"},
		Signed: map[string]bool{"mx.example.net": true, "alias.example.net": true, "next.example.net": true, "far.example.com": true, "away.example.net": true},
	}
	c := client(t, dnsx.Options{Servers: []string{serve(t, z).Addr}})
	tests := []struct {
		name, host string
		want       []string
	}{
		{"no alias", "MX.example.net.", []string{"mx.example.net"}},
		{"an alias of an alias", "alias.example.net", []string{"far.example.com", "alias.example.net"}},
		{"an alias that is not signed", "loose.example.net", nil},
		{"an alias of a name that is not signed", "away.example.net", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := c.Bases(t.Context(), tt.host)
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("Bases = %v, %v, want %v", got, err, tt.want)
			}
		})
	}
}
