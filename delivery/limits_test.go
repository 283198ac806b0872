package delivery_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"homing/internal/smtptest"
	"homing/queue"
)

func TestWhatASiteTakesNoMoreOfGoesBack(t *testing.T) {
	tests := []struct {
		name string
		room int
		want string // what becomes of ann, bob and eve
	}{
		{"all, and no connection is made", 0, "[locate example.net at mx.example.net finish example.net]"},
		{"what is too much", 1, "[locate example.net at mx.example.net done ann@example.net finish example.net]"},
		{"nothing", 3, "[locate example.net at mx.example.net done ann@example.net done bob@example.net done eve@example.net finish example.net]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.room = map[string]int{"example.net": tt.room}
			w.further = [][]queue.Item{}
			w.mx("example.net", "mx.example.net", "198.51.100.1", smtptest.Script(hello+strings.Repeat(accept, tt.room)+bye))
			w.job("example.net", "ann@example.net", "bob@example.net", "eve@example.net")
			w.run(w.config(), 1)
			slices.Sort(w.events[1:max(1, len(w.events)-1)])
			if got := fmt.Sprint(w.events); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			if tt.room == 0 && len(w.dialled) > 0 {
				t.Errorf("dialled %v", w.dialled)
			}
		})
	}
}

// TestMailOfAllKindsCountsForASite: what goes over connections of its own goes
// to the same site.
func TestMailOfAllKindsCountsForASite(t *testing.T) {
	tests := []struct {
		name string
		room int
		want string // who of ann, bob, cid and dan is sent to
	}{
		{"nobody", 0, "[]"},
		{"ordinary mail first", 1, "[ann@example.net]"},
		{"ordinary mail alone", 2, "[ann@example.net cid@example.net]"},
		{"the other kind as far as there is room", 3, "[ann@example.net bob@example.net cid@example.net]"},
		{"all", 4, "[ann@example.net bob@example.net cid@example.net dan@example.net]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.room = map[string]int{"example.net": tt.room}
				w.mx("example.net", "mx.example.net", "198.51.100.1", smtptest.Script(hello+strings.Repeat(accept, tt.room)+bye))
				items := w.items("ann@example.net", "bob@example.net", "cid@example.net", "dan@example.net")
				items[1].Message.TLSOptional, items[3].Message.TLSOptional = true, true
				w.jobs <- &queue.Job{Domain: "example.net", Items: items}
				w.run(w.config(), 1)
				if got := fmt.Sprint(slices.Sorted(maps.Keys(w.results))); got != tt.want {
					t.Errorf("sent to %s, want %s", got, tt.want)
				}
				if tt.room == 0 && len(w.dialled) > 0 {
					t.Errorf("dialled %v", w.dialled)
				}
			})
		})
	}
}

func TestAConnectionCarriesNoMoreThanItsSiteWants(t *testing.T) {
	for _, offer := range []string{hello, pipelining} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			twice := smtptest.Script(offer + accept + accept + bye)
			w.mx("example.net", "mx.example.net", "198.51.100.1", twice, twice, smtptest.Script(offer+accept+bye))
			job := func(addresses ...string) {
				w.jobs <- &queue.Job{Domain: "example.net", Items: w.items(addresses...), PerConnection: 2}
			}
			job("a@example.net", "b@example.net", "c@example.net")
			go func() {
				<-time.After(time.Second) // goes on with the connection of c, which is idle
				job("d@example.net", "e@example.net")
			}()
			w.run(w.config(), 2)
			if len(w.dialled) != 3 || len(w.results) != 5 {
				t.Errorf("dialled %d times for %d messages, want 3 for 5: %v", len(w.dialled), len(w.results), w.outcomes())
			}
		})
	}
}

// TestMessagesInFlightCountAmongThoseOfAConnection is the same where whole
// transactions are in flight, four at most.
func TestMessagesInFlightCountAmongThoseOfAConnection(t *testing.T) {
	two := smtptest.Script(chunking + proof)
	none := smtptest.Script("\nquiet 1s") // although the window has room
	tests := []struct {
		name    string
		most    int
		jobs    []string // messages of each, which come a second apart
		scripts []smtptest.Script
	}{
		{"one message has nothing behind it and goes plainly", 1, []string{"ab"}, []smtptest.Script{chunking + ahead + bye, chunking + ahead + bye}},
		{"two are the proof", 2, []string{"abc"}, []smtptest.Script{two + bye, chunking + ahead + bye}},
		{"three in flight are the last ones", 5, []string{"abcdefgh"}, []smtptest.Script{two + whole + whole + whole + none + taken(3) + bye, two + whole + taken(1) + bye}},
		{"one more goes for one that was answered, up to the last one", 7, []string{"abcdefgh"},
			[]smtptest.Script{two + whole + whole + whole + whole + none + taken(1) + whole + none + taken(4) + bye, chunking + ahead + bye}},
		{"what goes once more counts where it goes", 4, []string{"abcdefgh"},
			[]smtptest.Script{two + whole + whole + "\nS\"250 ok\\r\\n250 ok\\r\\n250 2.0.0 queued\\r\\n421 4.3.2 enough\\r\\n\"",
				two + whole + whole + none + taken(2) + bye, chunking + ahead + bye}},
		{"a connection that was idle goes on counting", 4, []string{"ab", "cde"}, []smtptest.Script{two + whole + whole + none + taken(2) + bye, chunking + ahead + bye}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.mx("example.net", "mx.example.net", "198.51.100.1", append(slices.Clone(tt.scripts), "close")...)
				go func() {
					for i, names := range tt.jobs {
						<-time.After(time.Duration(i) * time.Second)
						var items []queue.Item
						for name := range strings.SplitSeq(names, "") {
							items = append(items, w.items(name+"@example.net")...)
						}
						w.jobs <- &queue.Job{Domain: "example.net", Items: items, PerConnection: tt.most}
					}
				}()
				c := w.config()
				c.Options.WindowSites, c.Options.Window = []string{"example.net"}, 4
				w.run(c, len(tt.jobs))
				if len(w.dialled) != len(tt.scripts) {
					t.Errorf("dialled %d times, want %d", len(w.dialled), len(tt.scripts))
				}
				for a, got := range w.outcomes() {
					if got != "dot: 250 2.0.0 queued by mx.example.net[198.51.100.1]" {
						t.Errorf("%s: %s", a, got)
					}
				}
				if want := len(strings.Join(tt.jobs, "")); len(w.results) != want {
					t.Errorf("%d outcomes, want %d", len(w.results), want)
				}
			})
		})
	}
}

// TestTheQueueIsToldOfTheBestHostsAlone: where the mail of a domain belongs
// does not change while its best host rests and another one takes it.
func TestTheQueueIsToldOfTheBestHostsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mx("example.net", "mx.example.net", "198.51.100.1")
		w.mx("example.net", "backup.example.com", "198.51.100.2", hello+accept+bye)
		go func() {
			for _, address := range []string{"ann@example.net", "bob@example.net"} {
				<-time.After(10 * time.Second)
				w.job("example.net", address)
			}
		}()
		w.run(w.config(), 2)
		if got, want := fmt.Sprint(w.dialled), "[198.51.100.1:25 198.51.100.2:25 198.51.100.2:25]"; got != want {
			t.Errorf("dialled %s, want %s", got, want)
		}
		told := slices.DeleteFunc(slices.Clone(w.events), func(e string) bool { return !strings.HasPrefix(e, "locate ") })
		if got, want := fmt.Sprint(told), "[locate example.net at mx.example.net locate example.net at mx.example.net]"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

func TestConnectionsFromOneSourceAreNotUsedForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mx("example.net", "mx.example.net", "198.51.100.1", hello+accept+bye)
		go func() {
			for n, source := range []string{"198.51.100.101", "198.51.100.102"} {
				<-time.After(time.Second)
				w.jobs <- &queue.Job{Domain: "example.net", Items: w.items(fmt.Sprintf("ann%d@example.net", n)), Source: source}
			}
		}()
		w.run(w.config(), 2)
		if len(w.dialled) != 2 {
			t.Errorf("dialled %d times, want once from each", len(w.dialled))
		}
	})
}
