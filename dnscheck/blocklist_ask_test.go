package dnscheck

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"homing/internal/dnsx"
	"homing/internal/dnsx/dnstest"
)

// counting notes what a resolver is asked, and how much at once.
type counting struct {
	Resolver
	mu         sync.Mutex
	asked      []string
	now, worst int
}

func (c *counting) begin(name string) (end func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, name)
	c.now++
	c.worst = max(c.worst, c.now)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.now--
	}
}

func (c *counting) Addrs(ctx context.Context, name string) ([]netip.Addr, error) {
	defer c.begin(name)()
	return c.Resolver.Addrs(ctx, name)
}

func (c *counting) TXT(ctx context.Context, name string) ([]string, error) {
	defer c.begin(name)()
	return c.Resolver.TXT(ctx, name)
}

func TestADeadListIsNotAskedForEachAddress(t *testing.T) {
	world := &counting{Resolver: listWorld(nil, nil)}
	setup := ours()
	setup.Addresses = dnstest.Addrs(our4, our6, "93.184.215.15", "93.184.215.16")
	Blocklists(t.Context(), world, setup, configured(t, "bl.spamcop.net"))
	slices.Sort(world.asked)
	if diff := cmp.Diff([]string{never4 + ".bl.spamcop.net", test4 + ".bl.spamcop.net"}, world.asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

func TestASilentListCostsNobodyElseTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		zones := []string{"zen.spamhaus.org", "bl.spamcop.net"}
		world := listWorld(zones, map[string]string{at4 + ".zen.spamhaus.org": "127.0.0.3"})
		world.Silent = map[string]bool{test4 + ".bl.spamcop.net": true, never4 + ".bl.spamcop.net": true}
		begin := time.Now()
		all := byName(t, Blocklists(t.Context(), world, ours(), configured(t, zones...)))
		if took := time.Since(begin); took != listTries*listPatience {
			t.Errorf("took %v, want the patience with one question, %v", took, listTries*listPatience)
		}
		wantFinding(t, all, "blocklist "+our4+" zen.spamhaus.org", Fail)
		wantFinding(t, all, "blocklist_usable bl.spamcop.net", Skipped, "does not answer in time")
	})
}

func TestALostAnswerIsAskedForAgain(t *testing.T) {
	world := &forgetful{Resolver: listWorld([]string{"bl.spamcop.net"}, nil), seen: map[string]bool{}}
	all := byName(t, Blocklists(t.Context(), world, ours(), configured(t, "bl.spamcop.net")))
	wantFinding(t, all, "blocklist "+our4, OK)
}

// forgetful answers nothing the first time.
type forgetful struct {
	Resolver
	mu   sync.Mutex
	seen map[string]bool
}

func (f *forgetful) Addrs(ctx context.Context, name string) ([]netip.Addr, error) {
	f.mu.Lock()
	again := f.seen[name]
	f.seen[name] = true
	f.mu.Unlock()
	if !again {
		return nil, dnsx.ErrTemporary
	}
	return f.Resolver.Addrs(ctx, name)
}

func TestAllOfItEndsInTimeWhenNothingAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lists, err := Lists(nil)
		if err != nil {
			t.Fatal(err)
		}
		setup := ours()
		for i := range 100 {
			setup.Addresses = append(setup.Addresses, netip.AddrFrom4([4]byte{93, 184, 216, byte(i)}))
		}
		world := &counting{Resolver: silence{}}
		begin := time.Now()
		all := byName(t, Blocklists(t.Context(), world, setup, lists))
		if took := time.Since(begin); took > listsPatience {
			t.Errorf("took %v, want at most %v", took, listsPatience)
		}
		if world.worst > listQuestions {
			t.Errorf("%d questions at once, want at most %d", world.worst, listQuestions)
		}
		wantFinding(t, all, "blocklist_usable all lists", Skipped)
	})
}

// silence never answers.
type silence struct{ Resolver }

func (silence) Addrs(ctx context.Context, _ string) ([]netip.Addr, error) {
	<-ctx.Done()
	return nil, fmt.Errorf("%w: %w", dnsx.ErrTemporary, ctx.Err())
}

func TestManyAddressesAreAskedForAFewAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		setup := ours()
		for i := range 200 {
			setup.Addresses = append(setup.Addresses, netip.AddrFrom4([4]byte{93, 184, 216, byte(i)}))
		}
		world := &counting{Resolver: slow{listWorld([]string{"bl.spamcop.net"}, nil)}}
		all := byName(t, Blocklists(t.Context(), world, setup, configured(t, "bl.spamcop.net")))
		if world.worst != listQuestions {
			t.Errorf("%d questions at once, want %d", world.worst, listQuestions)
		}
		wantFinding(t, all, "blocklist 93.184.216.199", OK)
	})
}

// slow takes a second for each answer.
type slow struct{ Resolver }

func (s slow) Addrs(ctx context.Context, name string) ([]netip.Addr, error) {
	select {
	case <-time.After(time.Second):
		return s.Resolver.Addrs(ctx, name)
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", dnsx.ErrTemporary, ctx.Err())
	}
}

func TestACancelledCheckSaysThatItKnowsNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	zones := []string{"zen.spamhaus.org", "bl.spamcop.net"}
	all := byName(t, Blocklists(ctx, listWorld(zones, nil), ours(), configured(t, zones...)))
	wantFinding(t, all, "blocklist_usable all lists", Skipped)
	wantFinding(t, all, "blocklist "+our4, Skipped)
}

func TestOverTheWire(t *testing.T) {
	zones := []string{"zen.spamhaus.org", "dbl.spamhaus.org", "b.barracudacentral.org"}
	world := listWorld(zones, map[string]string{at4 + ".zen.spamhaus.org": "127.0.0.10", at6 + ".zen.spamhaus.org": "127.0.0.3"})
	world.TXTs[at4+".zen.spamhaus.org"] = []string{"https://www.spamhaus.org/query/ip/" + our4}
	world.Down = map[string]bool{test4 + ".b.barracudacentral.org": true}
	server, err := dnstest.Listen("127.0.0.1:0", world)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	var failed error
	running.Go(func() { failed = server.Run(ctx) })
	defer func() {
		stop()
		running.Wait()
		if failed != nil {
			t.Error(failed)
		}
	}()
	client, err := server.Client(dnsx.Options{})
	if err != nil {
		t.Fatal(err)
	}
	setup := ours()
	setup.Addresses = dnstest.Addrs(our4, our6)
	all := byName(t, Blocklists(t.Context(), client, setup, configured(t, zones...)))
	wantFinding(t, all, "blocklist "+our4+" zen.spamhaus.org", Fail, "PBL", `Its reason: "https://www.spamhaus.org/query/ip/`+our4+`"`)
	wantFinding(t, all, "blocklist "+our6+" zen.spamhaus.org", Fail, "CSS")
	wantFinding(t, all, "blocklist bounce.example.org", OK)
	wantFinding(t, all, "blocklist_usable b.barracudacentral.org", Skipped, "Registering is free")
}

// FuzzAnswer states what no answer of any list ever does: one outside
// 127.0.0.0/8, one of Spamhaus's for "not asked properly" and one without an
// address are no listings, and a listing has words, a weight and a fix.
func FuzzAnswer(f *testing.F) {
	lists := append(shippedLists(f).Lists, configured(f, "bl.example.net")...)
	f.Add([]byte{127, 0, 0, 2}, []byte{127, 255, 255, 254})
	f.Add([]byte{127, 0, 0, 255}, []byte{198, 51, 100, 7})
	f.Add([]byte{}, make([]byte, 16))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		var addrs []netip.Addr
		odd := false
		for _, b := range [][]byte{first, second} {
			a, ok := netip.AddrFromSlice(b)
			if !ok {
				continue
			}
			addrs = append(addrs, a)
			odd = odd || a.Is4() && (!listAnswers.Contains(a) || refusals.Contains(a))
		}
		if len(addrs) == 0 {
			return
		}
		for _, l := range lists {
			s := l.read(addrs, nil)
			if s.stand == isListed && (odd || len(s.answers) == 0 || len(s.codes) == 0) {
				t.Errorf("%s: %v is a listing: %+v", l.Zone, addrs, s)
			}
			fix := removal(&l, sighting{subject: listSubject{name: our4, family: IPv4}, said: s})
			for _, c := range s.codes {
				if c.Words == "" || c.Weight == "" && s.stand == isListed || fix == "" {
					t.Errorf("%s: %v has no words, no weight or no fix: %+v", l.Zone, addrs, c)
				}
			}
		}
	})
}

// FuzzOneLine states that whatever a list says is shown in one line of
// printable characters, not too long.
func FuzzOneLine(f *testing.F) {
	f.Add("Blocked - see https://bl.test/\x1b[31m\r\n")
	f.Add(strings.Repeat("\u202e\xff", 400))
	f.Fuzz(func(t *testing.T, text string) {
		got := oneLine(text)
		if n := len([]rune(got)); n > listWords {
			t.Errorf("%d characters, want at most %d", n, listWords)
		}
		for _, r := range got {
			if !unicode.IsPrint(r) {
				t.Errorf("%q has %q, which does not print", got, r)
			}
		}
	})
}

func TestEveryErrorOfTheResolverIsUnderstood(t *testing.T) {
	l := configured(t, "bl.spamcop.net")[0]
	for _, tt := range []struct {
		name string
		err  error
		want stand
	}{
		{"no such name", fmt.Errorf("%w: a.test", dnsx.ErrNoName), isAbsent},
		{"no such record", fmt.Errorf("%w: a.test", dnsx.ErrNoData), isAbsent},
		{"no answer", fmt.Errorf("%w: a.test", dnsx.ErrTemporary), isSilent},
		{"an error of another kind", errors.New("other"), isSilent},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := l.read(nil, tt.err); got.stand != tt.want {
				t.Errorf("read(%v) = %+v, want %v", tt.err, got, tt.want)
			}
		})
	}
}
