package queue_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"homing/event"
	"homing/queue"
	"homing/queue/shape"
	"homing/store"
)

const slow = "421 4.7.0 you are sending too many messages"

// attempts tries one recipient with each answer in turn, the last one again and
// again, until it has its outcome; it gives when each attempt was.
func (w *world) attempts(said ...string) (at []time.Duration) {
	w.Helper()
	start := time.Now()
	for n := 0; w.state0() == store.Waiting; n++ {
		w.attempt(said[min(n, len(said)-1)])
		at = append(at, time.Since(start).Round(time.Second))
	}
	return at
}

func TestWhenMailIsTriedAgain(t *testing.T) {
	tests := []struct {
		name string
		said []string
		want string // when, counted from the first attempt
		last event.Type
	}{
		{"a site that wants less mail is left alone for longer each time", []string{slow, slow, slow, "250 2.0.0 OK"}, "[0s 1m0s 3m0s 7m0s]", event.Delivered},
		{"and that is not part of the lifetime, up to twice as long", []string{slow}, "[0s 1m0s 3m0s 7m0s 15m0s 31m0s 1h3m0s 2h3m0s 3h3m0s 4h3m0s 5h3m0s 6h3m0s 7h3m0s]", event.Expired},
		{"a site that has us on a list takes longer to change its mind", []string{"451 4.7.1 blocked, listed at zen.spamhaus.org", "250 2.0.0 OK"}, "[0s 5m0s]", event.Delivered},
		{"a refusal for good of that kind is one, where we have no other address", []string{"554 5.7.1 blocked, listed at zen.spamhaus.org"}, "[0s]", event.Bounced},
		{"greylisting is tried again soon", []string{"450 4.7.1 greylisted", "450 4.7.1 greylisted", "250 2.0.0 OK"}, "[0s 1m0s 6m0s]", event.Delivered},
		{"a reply that names a time is honoured", []string{"450 4.7.1 greylisted, try again in 90 seconds", "250 2.0.0 OK"}, "[0s 1m30s]", event.Delivered},
		{"also for a site", []string{slow + ", retry in 20 minutes", "250 2.0.0 OK"}, "[0s 20m0s]", event.Delivered},
		{"who waited for a site is then tried as often as anybody", []string{slow, slow, "452 4.2.2 mailbox full", "452 4.2.2 mailbox full", "250 2.0.0 OK"},
			"[0s 1m0s 3m0s 8m0s 23m0s]", event.Delivered},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in(t, func(w *world) {
				w.submit("ann@example.net")
				if got := fmt.Sprint(w.attempts(tt.said...)); got != tt.want {
					t.Errorf("attempts at %v, want %v", got, tt.want)
				}
				e := w.last()
				if e.Type != tt.last {
					t.Errorf("it ends %s, want %s", e.Type, tt.last)
				}
				if e.Hold != nil && e.Hold.State != "free" {
					t.Errorf("the address is %s", e.Hold.State)
				}
			})
		})
	}
}

func TestASiteThatRefusesUsIsAnIncidentUntilItTakesMailAgain(t *testing.T) {
	in(t, func(w *world) {
		var to []string
		for n := range 60 {
			to = append(to, fmt.Sprintf("ann%d@example.net", n))
		}
		w.submit(to...)
		w.attempt(slow)
		w.attempt(slow)
		for range 10 {
			w.attempt("250 2.0.0 OK")
		}
		var told []string
		for _, e := range w.events() {
			if e.Type == event.IncidentOpened || e.Type == event.IncidentClosed {
				told = append(told, e.Text)
			}
		}
		if len(told) != 2 || !strings.HasPrefix(told[0], "example.net wants less mail, or none: "+slow) || told[1] != "example.net takes mail again as before." {
			t.Errorf("incidents:\n%s", strings.Join(told, "\n"))
		}
	})
}

func TestWhatASiteSaidIsKnownAfterARestart(t *testing.T) {
	restarted(t, options, func(w *world) {
		w.submit("ann@example.net", "bob@example.net")
		w.attempt(slow)
	}, func() {}, func(w *world) {
		ctx, cancel := context.WithTimeout(w.ctx, 50*time.Second)
		defer cancel()
		if job, err := w.queue.Next(ctx); err == nil {
			t.Errorf("tried again at once: %v", job.Domain)
		}
		w.attempt("250 2.0.0 OK")
	})
}

func TestWaitingForUsDoesNotEatTheLifetime(t *testing.T) {
	in(t, func(w *world) {
		w.submit("ann@example.net")
		after(100 * time.Hour) // no slot, no warm address: the lifetime is four hours
		if got, want := fmt.Sprint(w.attempts("452 4.2.2 mailbox full")), "[0s 5m0s 20m0s 1h20m0s 2h20m0s 3h20m0s]"; got != want {
			t.Errorf("attempts at %v, want %v", got, want)
		}
	})
}

func TestWhatMailHostsAreOneSite(t *testing.T) {
	host := func(name, address string) queue.Host {
		return queue.Host{Name: name, Address: netip.MustParseAddr(address)}
	}
	o := options
	o.Providers = []queue.Provider{
		{Name: "google", MX: []string{"*.google.com", "*.googlemail.com"}, Rule: shape.Rule{Connections: 10}},
		{Name: "campus", Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/28")}},
		{Name: "partner", Domains: []string{"partner.example"}},
	}
	tests := []struct {
		name, domain string
		hosts        []queue.Host
		want         string
	}{
		{"a provider by the names of its hosts", "example.org", []queue.Host{host("aspmx.l.google.com", "198.51.100.1")}, "google"},
		{"a name that only ends like it is another", "evil.test", []queue.Host{host("mx.notgoogle.com", "198.51.100.2")}, "notgoogle.com"},
		{"a provider by addresses", "dept.example", []queue.Host{host("mail.dept.example", "192.0.2.3")}, "campus"},
		{"a provider by the domain of the recipients", "partner.example", []queue.Host{host("mx.other.example", "198.51.100.4")}, "partner"},
		{"else the organisation of the hosts", "customer.example", []queue.Host{host("mx2.hoster.net", "198.51.100.6"), host("mx1.hoster.net", "198.51.100.5")}, "hoster.net"},
		{"a host with a name of its own at the same address is the same", "vanity.example", []queue.Host{host("mail.vanity.example", "198.51.100.6")}, "hoster.net"},
		{"by the public suffix list", "uk.example", []queue.Host{host("mx.mail.co.uk", "198.51.100.8")}, "mail.co.uk"},
	}
	in(t, func(w *world) {
		w.queue.SetOptions(o)
		for _, tt := range tests {
			w.submit("ann@" + tt.domain)
			job := w.next()
			if may := w.queue.Locate(job, tt.hosts); may != 1 {
				t.Errorf("%s: %d may be sent, want 1", tt.name, may)
			}
			if got := w.queue.Provider(store.Key{Domain: tt.domain}); got != tt.want {
				t.Errorf("%s: site %q, want %q", tt.name, got, tt.want)
			}
			if err := w.queue.Done(w.ctx, job.Items[0], result("250 2.0.0 OK")); err != nil {
				t.Fatal(err)
			}
			w.queue.Finish(job)
		}
	})
}

func TestWhatOneAddressIsRefusedForGoodAnotherMayTry(t *testing.T) {
	in(t, func(w *world) {
		o := options
		o.Limits.Sources = []string{"192.0.2.1", "192.0.2.2"}
		w.queue.SetOptions(o)
		w.submit("ann@example.net")
		var from []string
		for _, said := range []string{"554 5.7.1 blocked, listed at zen.spamhaus.org", "250 2.0.0 OK"} {
			job := w.next()
			from = append(from, job.Source)
			if err := w.queue.Done(w.ctx, job.Items[0], result(said)); err != nil {
				t.Fatal(err)
			}
			w.queue.Finish(job)
		}
		if from[0] == from[1] || w.state0() != store.Delivered {
			t.Errorf("tried from %q, and it is %v; want the other address, and delivered", from, w.state0())
		}
	})
}

func TestMailForASiteThatRefusesUsForWeeksIsGivenUp(t *testing.T) {
	in(t, func(w *world) {
		w.submit("ann@example.net", "bob@example.net")
		start := time.Now()
		w.attempt(slow + ", retry in 20 hours") // ann's next attempt would be too late
		for strings.Count(w.told(), "expired") < 2 && time.Since(start) < 100*time.Hour {
			after(time.Minute)
		}
		if got := time.Since(start); got < 8*time.Hour || got > 9*time.Hour {
			t.Errorf("given up after %v, want twice the lifetime of four hours", got)
		}
		e := w.last()
		if e.Type != event.Expired || e.Class != "sender" || e.Hold != nil && e.Hold.State != "free" || !strings.Contains(e.Diagnostic, "too many messages") {
			t.Errorf("it is %s, %s, %q; want expired, for the sender's sake, as the site said", e.Type, e.Class, e.Diagnostic)
		}
	})
}

func TestANewAddressSendsLittleOnItsFirstDay(t *testing.T) {
	const people = 130
	t.Run("twice as much on the next, also after a restart, and what waits is not late", func(t *testing.T) {
		var first int
		restarted(t, warming(), func(w *world) {
			w.crowd(people)
			first = w.deliver()
		}, func() {}, func(w *world) {
			if again := w.deliver(); first != 50 || again != 0 {
				t.Errorf("%d on the first day, and after a restart %d; want 50, and none", first, again)
			}
			after(24 * time.Hour)
			if next := w.deliver(); next != people-50 {
				t.Errorf("%d on the next day, want all the others", next)
			}
		})
	})
	t.Run("an address of a server that has been sending for a week is no new one", func(t *testing.T) {
		restarted(t, options, func(w *world) { w.submit("ann@example.com"); w.attempt("250 2.0.0 OK") }, func() { after(8 * 24 * time.Hour) }, func(w *world) {
			w.queue.SetOptions(warming())
			w.crowd(people)
			if sent := w.deliver(); sent != people {
				t.Errorf("%d on the day, want all %d", sent, people)
			}
		})
	})
}
