package delivery_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/internal/dnsx"
	"homing/internal/dnsx/dnstest"
	"homing/internal/smtptest"
	"homing/queue"
)

// never is how long a connection to a host takes that drops what we send.
const never = time.Hour

// A network is a world in which connections take their time.
type network struct {
	*world
	took map[string]time.Duration // by address

	mu      sync.Mutex
	begun   time.Time
	racing  int
	most    int
	started []string // when and to where
}

func (n *network) dial(ctx context.Context, source netip.Addr, to netip.AddrPort) (net.Conn, error) {
	address := to.Addr().String()
	n.mu.Lock()
	n.started = append(n.started, fmt.Sprintf("%v %s", time.Since(n.begun), address))
	n.racing++
	n.most = max(n.most, n.racing)
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		n.racing--
		n.mu.Unlock()
	}()
	select {
	case <-time.After(n.took[address]):
		return n.world.dial(ctx, source, to)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// mxs gives a domain hosts with addresses, each host of a preference of its
// own unless same.
func (n *network) mxs(domain string, same bool, hosts ...[]string) {
	for i, addresses := range hosts {
		host := fmt.Sprintf("mx%d.%s", i+1, domain)
		mx := dnsx.MX{Host: host, Preference: 10}
		if !same {
			mx.Preference += uint16(i)
		}
		n.zone.MXs[domain] = append(n.zone.MXs[domain], mx)
		for _, a := range addresses {
			n.zone.Hosts[host] = append(n.zone.Hosts[host], netip.MustParseAddr(a))
		}
	}
}

// TestConnectionsRace is about the hosts of one domain: when each is tried,
// and which one gets the mail.
func TestConnectionsRace(t *testing.T) {
	works := smtptest.Script(hello + accept + bye)
	tests := []struct {
		name  string
		hosts [][]string // addresses of each
		same  bool       // the hosts have one preference
		took  map[string]time.Duration
		up    []string // that accept; the others refuse the connection
		want  []string // what is tried, and when
		by    string
		done  time.Duration
	}{
		{name: "one that answers is alone", hosts: [][]string{{"198.51.100.1", "2001:db8::1"}}, up: []string{"198.51.100.1", "2001:db8::1"},
			took: map[string]time.Duration{"198.51.100.1": 400 * time.Millisecond},
			want: []string{"0s 198.51.100.1"}, by: "198.51.100.1", done: 400 * time.Millisecond},
		{name: "IPv4 first, then the families take turns", hosts: [][]string{{"2001:db8::1", "2001:db8::2", "198.51.100.1", "198.51.100.2"}}, up: []string{"2001:db8::2"},
			want: []string{"0s 198.51.100.1", "0s 2001:db8::1", "0s 198.51.100.2", "0s 2001:db8::2"}, by: "2001:db8::2"},
		{name: "one that says nothing gets half a second", hosts: [][]string{{"198.51.100.1", "2001:db8::1"}}, up: []string{"2001:db8::1"},
			took: map[string]time.Duration{"198.51.100.1": never, "2001:db8::1": 100 * time.Millisecond},
			want: []string{"0s 198.51.100.1", "500ms 2001:db8::1"}, by: "2001:db8::1", done: 600 * time.Millisecond},
		{name: "one that refuses is followed at once", hosts: [][]string{{"198.51.100.1", "2001:db8::1"}}, up: []string{"2001:db8::1"},
			took: map[string]time.Duration{"198.51.100.1": 200 * time.Millisecond},
			want: []string{"0s 198.51.100.1", "200ms 2001:db8::1"}, by: "2001:db8::1", done: 200 * time.Millisecond},
		{name: "the first to answer wins, although the second was tried meanwhile", hosts: [][]string{{"198.51.100.1", "2001:db8::1"}}, up: []string{"198.51.100.1", "2001:db8::1"},
			took: map[string]time.Duration{"198.51.100.1": 700 * time.Millisecond, "2001:db8::1": 400 * time.Millisecond},
			want: []string{"0s 198.51.100.1", "500ms 2001:db8::1"}, by: "198.51.100.1", done: 700 * time.Millisecond},
		{name: "three at once are enough", hosts: [][]string{{"198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.100.4"}}, up: []string{"198.51.100.4"},
			took: map[string]time.Duration{"198.51.100.1": never, "198.51.100.2": never, "198.51.100.3": never},
			want: []string{"0s 198.51.100.1", "500ms 198.51.100.2", "1s 198.51.100.3", "30s 198.51.100.4"}, by: "198.51.100.4", done: 30 * time.Second},
		{name: "a worse preference waits until the better one has had all its time", hosts: [][]string{{"198.51.100.1"}, {"198.51.100.2"}}, up: []string{"198.51.100.2"},
			took: map[string]time.Duration{"198.51.100.1": never},
			want: []string{"0s 198.51.100.1", "30s 198.51.100.2"}, by: "198.51.100.2", done: 30 * time.Second},
		{name: "hosts of one preference race too", same: true, hosts: [][]string{{"198.51.100.1"}, {"2001:db8::1"}}, up: []string{"2001:db8::1"},
			took: map[string]time.Duration{"198.51.100.1": never},
			want: []string{"0s 198.51.100.1", "500ms 2001:db8::1"}, by: "2001:db8::1", done: 500 * time.Millisecond},
		{name: "nobody is there", hosts: [][]string{{"198.51.100.1", "2001:db8::1"}, {"198.51.100.2"}},
			took: map[string]time.Duration{"198.51.100.1": never, "2001:db8::1": never, "198.51.100.2": time.Second},
			want: []string{"0s 198.51.100.1", "500ms 2001:db8::1", "30.5s 198.51.100.2"}, done: 31500 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &network{world: newWorld(t), took: tt.took, begun: time.Now()}
				n.mxs("example.net", tt.same, tt.hosts...)
				for _, address := range tt.up {
					n.hosts[address] = []smtptest.Script{works}
					if address != tt.by {
						n.hosts[address] = []smtptest.Script{"silence"} // and the script ends when we close
					}
				}
				n.job("example.net", "ann@example.net")
				c := n.config()
				c.Dial = n.dial
				done := time.Duration(0)
				c.Queue = &watching{Queue: n.world, done: func(queue.Item) { done = time.Since(n.begun) }}
				n.run(c, 1)
				if diff := cmp.Diff(tt.want, n.started); diff != "" {
					t.Errorf("tried (-want +got):\n%s", diff)
				}
				got := n.results["ann@example.net"]
				if tt.by != "" && (!got.Reply.Positive() || !strings.HasSuffix(got.RemoteMTA, "["+tt.by+"]")) || tt.by == "" && got.Reply.Code != 451 {
					t.Errorf("got %q, want it by %s", say(got), tt.by)
				}
				if done != tt.done {
					t.Errorf("took %v, want %v", done, tt.done)
				}
			})
		})
	}
}

// TestEachFamilyHasItsSource: who races sends from the address that the pair of
// the job has in the family.
func TestEachFamilyHasItsSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{world: newWorld(t), begun: time.Now()}
		n.mxs("example.net", false, []string{"198.51.100.1", "2001:db8::1"})
		n.hosts["2001:db8::1"] = []smtptest.Script{hello + accept + bye}
		n.jobs <- &queue.Job{Domain: "example.net", Items: n.items("ann@example.net"), Source: "203.0.113.2"}
		c := n.config()
		c.Dial = n.dial
		c.Options.Sources = dnstest.Addrs("203.0.113.1", "203.0.113.2", "2001:db8:1::1", "2001:db8:1::2")
		n.run(c, 1)
		if got, want := fmt.Sprint(n.sources), "[203.0.113.2 2001:db8:1::2]"; got != want {
			t.Errorf("sent from %s, want %s", got, want)
		}
	})
}

// TestHostsThatWereNotThereRest sends one message after the other to a domain
// whose first MX is dead.
func TestHostsThatWereNotThereRest(t *testing.T) {
	const dead, alive = "198.51.100.1", "198.51.100.2"
	tests := []struct {
		name  string
		first smtptest.Script // of the first MX; "": nobody answers
		at    []time.Duration // when each message comes
		want  []string
	}{
		{"its time out is waited for once", "", []time.Duration{0, 40 * time.Second, time.Minute}, []string{"0s " + dead, "30s " + alive, "40s " + alive, "1m0s " + alive}},
		{"after a rest one message finds out, and the rest gets longer", "", []time.Duration{0, 95 * time.Second, 100 * time.Second, 4 * time.Minute, 5 * time.Minute},
			[]string{"0s " + dead, "30s " + alive, "1m35s " + dead, "1m40s " + alive, "2m5s " + alive, "4m0s " + alive, "5m0s " + dead, "5m30s " + alive}},
		{"421 in place of a greeting counts", "S: 421 4.7.0 too many connections", []time.Duration{0, 40 * time.Second}, []string{"0s " + dead, "0s " + alive, "40s " + alive}},
		{"a refusal of the mail does not", hello + "C: MAIL\nS: 450 4.7.1 later\nC: RSET\nS: 250 ok" + bye, []time.Duration{0, 40 * time.Second}, []string{"0s " + dead, "40s " + dead}},
		{"one that is back is the first again", "S: 421 4.3.2 restarting", []time.Duration{0, 70 * time.Second, 80 * time.Second},
			[]string{"0s " + dead, "0s " + alive, "1m10s " + dead, "1m20s " + dead}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &network{world: newWorld(t), took: map[string]time.Duration{}, begun: time.Now()}
				n.mxs("example.net", false, []string{dead}, []string{alive})
				n.hosts[alive] = []smtptest.Script{hello + accept + bye}
				n.hosts[dead] = []smtptest.Script{tt.first, hello + accept + bye}
				if tt.first == "" {
					n.took[dead] = never
				}
				go func() {
					for i, at := range tt.at {
						<-time.After(at - time.Since(n.begun))
						n.job("example.net", fmt.Sprintf("ann%d@example.net", i))
					}
				}()
				c := n.config()
				c.Dial = n.dial
				c.Options.Timeouts.Idle = time.Second
				n.run(c, len(tt.at))
				if diff := cmp.Diff(tt.want, n.started); diff != "" {
					t.Errorf("tried (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestAHostThatHadNoTimeToAnswerDoesNotRest: the second address is tried a
// moment before the first one answers, and that is all that is known of it.
func TestAHostThatHadNoTimeToAnswerDoesNotRest(t *testing.T) {
	const slow, other = "198.51.100.1", "2001:db8::1"
	tests := []struct {
		name  string
		other time.Duration // until it answers
		want  []string
	}{
		{"it would have answered", 400 * time.Millisecond, []string{"0s " + slow, "500ms " + other, "40s " + slow, "40.5s " + other}},
		{"nobody knows", never, []string{"0s " + slow, "500ms " + other, "40s " + slow, "40.5s " + other}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &network{world: newWorld(t), took: map[string]time.Duration{slow: 700 * time.Millisecond, other: tt.other}, begun: time.Now()}
				n.mxs("example.net", false, []string{slow, other})
				n.hosts[slow] = []smtptest.Script{hello + accept + bye}
				go func() {
					n.job("example.net", "ann@example.net")
					<-time.After(40 * time.Second)
					n.job("example.net", "bob@example.net")
				}()
				c := n.config()
				c.Dial = n.dial
				n.run(c, 2)
				if diff := cmp.Diff(tt.want, n.started); diff != "" {
					t.Errorf("tried (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestAHostThatRestsIsTriedWhenThereIsNoOther: what is last is not never.
func TestAHostThatRestsIsTriedWhenThereIsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mx("example.net", "mx.example.net", "198.51.100.1", "S: 421 4.3.2 restarting", hello+accept+bye)
		w.job("example.net", "ann@example.net")
		go func() {
			<-time.After(10 * time.Second)
			w.job("example.net", "bob@example.net")
		}()
		w.run(w.config(), 2)
		if got := w.outcomes()["bob@example.net"]; got != "dot: 250 2.0.0 queued by mx.example.net[198.51.100.1]" {
			t.Errorf("got %q", got)
		}
	})
}
