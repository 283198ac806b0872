package dnstest_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/internal/dnsx"
	"homing/internal/dnsx/dnstest"
)

// world has one name for each thing that DNS can do.
func world() *dnstest.Zone {
	var fifty []dnsx.MX
	for i := range 50 {
		fifty = append(fifty, dnsx.MX{Host: fmt.Sprintf("mx%02d.with-a-rather-long-name.fifty.example.net", i), Preference: uint16(i)})
	}
	return &dnstest.Zone{
		MXs: map[string][]dnsx.MX{
			"example.net":        dnstest.MXs("mx1.example.net", "mx2.example.net"),
			"null.example":       {{Host: "."}},
			"fifty.example.net":  fifty,
			"signed.example.net": dnstest.MXs("mx.signed.example.net"),
			"xn--bcher-kva.test": dnstest.MXs("mx1.example.net"),
			"lied.example":       dnstest.MXs("true.example"),
		},
		Hosts: map[string][]netip.Addr{
			"mx1.example.net":       dnstest.Addrs("192.0.2.1", "2001:db8::1"),
			"mx2.example.net":       dnstest.Addrs("192.0.2.2"),
			"six.example.net":       dnstest.Addrs("2001:db8::6"),
			"mx.signed.example.net": dnstest.Addrs("192.0.2.9"),
			"lied.example":          dnstest.Addrs("192.0.2.7"),
		},
		TXTs: map[string][]string{
			"example.net":                  {"v=spf1 -all", `quoted "text" \ and ü`},
			"long.example.net":             {fmt.Sprintf("v=DKIM1; p=%0600d", 7)},
			"sel._domainkey.example.net":   {"v=DKIM1"},
			"truncated.example.net":        {"the whole of it"},
			"slow.example.net":             {"at last"},
			"empty-non-terminal.under.net": {"x"},
		},
		PTRs: map[netip.Addr][]string{
			netip.MustParseAddr("192.0.2.1"):   {"mx1.example.net"},
			netip.MustParseAddr("2001:db8::1"): {"mx1.example.net", "other.example.net"},
		},
		TLSAs: map[string][]dnsx.TLSA{
			"_25._tcp.mx.signed.example.net": {{Usage: 3, Selector: 1, Matching: 1, Data: []byte{1, 2, 3}}},
			"_25._tcp.mx1.example.net":       {{Usage: 2, Selector: 0, Matching: 2, Data: []byte{9}}},
		},
		CNAMEs: map[string]string{
			"alias.example.net":            "mx1.example.net",
			"alias2.example.net":           "alias.example.net",
			"loop1.example.net":            "loop2.example.net",
			"loop2.example.net":            "loop1.example.net",
			"self.example.net":             "self.example.net",
			"dangling.example.net":         "nowhere.example.net",
			"sel2._domainkey.example.net":  "sel._domainkey.example.net",
			"signed-alias.example.net":     "mx.signed.example.net",
			"half-signed.example.net":      "mx1.example.net",
			"_25._tcp.alias.example.net":   "_25._tcp.mx.signed.example.net",
			"alias-to-silence.example.net": "silent.example.net",
		},
		Down:     map[string]bool{"down.example.net": true},
		Silent:   map[string]bool{"silent.example.net": true},
		Slow:     map[string]time.Duration{"slow.example.net": 20 * time.Millisecond},
		Truncate: map[string]bool{"truncated.example.net": true},
		Lies:     map[string]bool{"lied.example": true},
		Signed: map[string]bool{
			"signed.example.net": true, "mx.signed.example.net": true, "_25._tcp.mx.signed.example.net": true,
			"signed-alias.example.net": true, "half-signed.example.net": true,
		},
	}
}

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

// TestAZoneAnswersAlikeInProcessAndOverTheNetwork holds the two ways of
// asking against each other: what tests learn from one is true of the other.
func TestAZoneAnswersAlikeInProcessAndOverTheNetwork(t *testing.T) {
	z := world()
	client, err := serve(t, z).Client(dnsx.Options{Timeout: 100 * time.Millisecond, Tries: 2})
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"com", "example.net", "EXAMPLE.net.", "nothing.example.net", "under.net", "bücher.test", "bad..name", "", "."}
	for n := range z.MXs {
		names = append(names, n)
	}
	for n := range z.Hosts {
		names = append(names, n)
	}
	for n := range z.TXTs {
		names = append(names, n)
	}
	for n := range z.TLSAs {
		names = append(names, n)
	}
	for n := range z.CNAMEs {
		names = append(names, n)
	}
	names = append(names, "down.example.net", "silent.example.net")
	for _, name := range names {
		t.Run("name "+name, func(t *testing.T) {
			t.Parallel()
			compare(t, "MX", z, client, func(ctx context.Context, r dnsx.Resolver) (any, error) { return r.MX(ctx, name) })
			compare(t, "Addrs", z, client, func(ctx context.Context, r dnsx.Resolver) (any, error) {
				addrs, err := r.Addrs(ctx, name)
				return sorted(addrs), err
			})
			compare(t, "TXT", z, client, func(ctx context.Context, r dnsx.Resolver) (any, error) { return r.TXT(ctx, name) })
			compare(t, "TLSA", z, client, func(ctx context.Context, r dnsx.Resolver) (any, error) { return r.TLSA(ctx, name) })
			compare(t, "Bases", z, client, func(ctx context.Context, r dnsx.Resolver) (any, error) { return r.Bases(ctx, name) })
		})
	}
	for _, addr := range dnstest.Addrs("192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "192.0.2.200", "") {
		compare(t, "PTR "+addr.String(), z, client, func(ctx context.Context, r dnsx.Resolver) (any, error) { return r.PTR(ctx, addr) })
	}
}

func sorted(addrs []netip.Addr) map[netip.Addr]bool {
	set := map[netip.Addr]bool{}
	for _, a := range addrs {
		set[a] = true
	}
	return set
}

func compare(t *testing.T, what string, z *dnstest.Zone, client dnsx.Resolver, ask func(context.Context, dnsx.Resolver) (any, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	want, wantErr := ask(ctx, z)
	got, gotErr := ask(t.Context(), client)
	for _, kind := range []error{dnsx.ErrNoName, dnsx.ErrNoData, dnsx.ErrTemporary, nil} {
		if errors.Is(wantErr, kind) != errors.Is(gotErr, kind) {
			t.Errorf("%s: over the network %v, in process %v", what, gotErr, wantErr)
			return
		}
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("%s (-in process +over the network):\n%s", what, diff)
	}
}

func TestASilentNameTakesAsLongAsTheAskerWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := world().MX(ctx, "silent.example.net")
		if took := time.Since(begin); took != time.Minute || !errors.Is(err, dnsx.ErrTemporary) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("MX = %v after %v, want a temporary error after a minute", err, took)
		}
	})
}

func TestAServerEndsInTheMiddleOfASlowAnswer(t *testing.T) {
	s := serve(t, &dnstest.Zone{Slow: map[string]time.Duration{"slow.example": time.Hour}})
	client, err := s.Client(dnsx.Options{Timeout: 50 * time.Millisecond, Tries: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.TXT(t.Context(), "slow.example"); !errors.Is(err, dnsx.ErrTemporary) {
		t.Errorf("TXT = %v, want ErrTemporary", err)
	}
	// The end of the test waits for the server.
}

func TestTheWorldCanChange(t *testing.T) {
	s := serve(t, &dnstest.Zone{})
	client, err := s.Client(dnsx.Options{Answers: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.TXT(t.Context(), "a.example"); !errors.Is(err, dnsx.ErrNoName) {
		t.Errorf("before: %v, want ErrNoName", err)
	}
	s.Change(&dnstest.Zone{TXTs: map[string][]string{"b.example": {"here"}}})
	if got, err := client.TXT(t.Context(), "b.example"); err != nil || len(got) != 1 || got[0] != "here" {
		t.Errorf("after: %q, %v, want here", got, err)
	}
}

func ExampleZone() {
	z := &dnstest.Zone{
		MXs:   map[string][]dnsx.MX{"example.net": dnstest.MXs("mx.example.net")},
		Hosts: map[string][]netip.Addr{"mx.example.net": dnstest.Addrs("192.0.2.1")},
		Down:  map[string]bool{"example.com": true},
	}
	for _, domain := range []string{"example.net", "example.com", "example.org"} {
		mxs, err := z.MX(context.Background(), domain)
		fmt.Println(mxs, err)
	}
	// Output:
	// [{mx.example.net 10 false}] <nil>
	// [] DNS does not answer now: example.com: SERVFAIL
	// [] no such domain name: example.org
}

func TestServersOfAnAddressFailLikeAnyOther(t *testing.T) {
	addr := netip.MustParseAddr("192.0.2.1")
	const name = "1.2.0.192.in-addr.arpa"
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		z := &dnstest.Zone{PTRs: map[netip.Addr][]string{addr: {"mx.example.net"}}, Slow: map[string]time.Duration{name: time.Second}}
		begin := time.Now()
		if names, err := z.PTR(ctx, addr); err != nil || len(names) != 1 || time.Since(begin) != time.Second {
			t.Errorf("slow: PTR = %v, %v after %v, want one name after 1s", names, err, time.Since(begin))
		}
		z.Down = map[string]bool{name: true}
		if names, err := z.PTR(ctx, addr); !errors.Is(err, dnsx.ErrTemporary) {
			t.Errorf("down: PTR = %v, %v, want ErrTemporary", names, err)
		}
		z.Silent = map[string]bool{name: true}
		if names, err := z.PTR(ctx, addr); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("silent: PTR = %v, %v, want the end of the context", names, err)
		}
	})
}
