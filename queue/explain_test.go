package queue_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"homing/queue"
	"homing/queue/shape"
)

// summary is what an Explanation says of now, in short.
func summary(e queue.Explanation, start time.Time) string {
	next := "-"
	if e.Next != nil {
		next = e.Next.Sub(start).Round(time.Second).String()
	}
	return fmt.Sprintf("%s %s %d+%d", e.State, next, e.Here.First, e.Here.Bulk)
}

func TestAnExplanationSaysWhatMailWaitsFor(t *testing.T) {
	rated := func(o *queue.Options) {
		o.Providers = []queue.Provider{{Name: "example.net", Domains: []string{"example.net"}, Rule: shape.Rule{Connections: 5, Rate: shape.Rate{Count: 1, Per: time.Minute}}}}
	}
	tests := []struct {
		name   string
		change func(o *queue.Options)
		before func(w *world)
		want   string
	}{
		{"nothing waits", nil, func(*world) {}, "nothing - 0+0"},
		{"its turn", nil, func(w *world) { w.submit("ann@example.net") }, "turn 0s 0+1"},
		{"it was put off", nil, func(w *world) { w.submit("ann@example.net"); w.attempt("452 4.2.2 mailbox full") }, "later 5m0s 0+1"},
		{"the site wants less mail", nil, func(w *world) { w.submit("ann@example.net"); w.attempt(slow) }, "backoff 1m0s 0+1"},
		{"somebody paused it", nil, func(w *world) {
			w.submit("ann@example.net")
			w.do(w.queue.Pause, queue.Order{Filter: queue.Filter{Domain: "example.net"}, By: "olga"})
		}, "paused - 0+1"},
		{"it is being sent", nil, func(w *world) { w.submit("ann@example.net"); w.take() }, "sending - 0+1"},
		{"connections are in use", nil, func(w *world) {
			for n := range 3 {
				w.send(of(fmt.Sprint("c", n), ""), "ann@example.net")
			}
			w.take()
			w.take()
		}, "connections - 0+3"},
		{"the site could not be reached, and one dialogue tries again", nil, func(w *world) {
			for n := range 3 {
				w.send(of(fmt.Sprint("c", n), ""), "ann@example.net")
			}
			w.attempt("!451 4.4.1 connection refused")
			w.take()
		}, "silent - 0+3"},
		{"the rate is reached", rated, func(w *world) {
			w.submit("ann@example.net", "bob@example.net")
			w.attempt("250 2.0.0 OK")
		}, "rate 1m0s 0+1"},
		{"new addresses are warmed up", func(o *queue.Options) { o.Warmup.On = true }, func(w *world) {
			var to []string
			for n := range 51 {
				to = append(to, fmt.Sprintf("a%d@example.net", n))
			}
			w.submit(to...)
			for sent := 0; sent < 50; {
				sent += len(w.attempt("250 2.0.0 OK"))
			}
		}, "warmup 24h0m0s 0+1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in(t, func(w *world) {
				o := options
				if tt.change != nil {
					tt.change(&o)
				}
				w.queue.SetOptions(o)
				start := time.Now()
				after(time.Millisecond)
				tt.before(w)
				after(50 * time.Millisecond)
				if got := summary(w.queue.Explain("Example.net", "", nil), start); got != tt.want {
					t.Errorf("it says %q, want %q", got, tt.want)
				}
			})
		})
	}
}

// take takes the next job and leaves it open.
func (w *world) take() *queue.Job {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, time.Second)
	defer cancel()
	job, err := w.queue.Next(ctx)
	if err != nil {
		w.Fatal(err)
	}
	return job
}

func TestAnExplanationSaysWhatASiteSaidAndHowManyWaitThere(t *testing.T) {
	in(t, func(w *world) {
		hosts := []queue.Host{{Name: "mx.big.test", Address: netip.MustParseAddr("192.0.2.1")}}
		start := time.Now()
		w.submit("ann@one.test")
		job := w.take()
		w.queue.Locate(job, hosts)
		if err := w.queue.Done(w.ctx, job.Items[0], result(slow)); err != nil {
			t.Fatal(err)
		}
		w.queue.Finish(job)
		w.submit("eve@two.test", "zoe@two.test")
		after(time.Second)
		e := w.queue.Explain("two.test", "", hosts)
		if e.Site != "big.test" || e.Cause != "organisation" || e.Host != "mx.big.test" || e.Address != "192.0.2.1" {
			t.Errorf("it goes to %s: %s %s[%s]", e.Site, e.Cause, e.Host, e.Address)
		}
		if e.Here.Bulk != 2 || e.There.Bulk != 3 {
			t.Errorf("%+v wait for the domain, %+v at the site", e.Here, e.There)
		}
		if len(e.Ways) != 1 {
			t.Fatalf("there are %d ways", len(e.Ways))
		}
		way := e.Ways[0]
		if way.Bound != "backoff" || way.Refused != 1 || way.Said != slow || way.Until == nil || way.Until.Sub(start).Round(time.Second) != time.Minute || !way.Since.Equal(start.UTC()) {
			t.Errorf("the way is %+v", way)
		}
		if got, want := summary(e, start), "backoff 1m0s 0+2"; got != want {
			t.Errorf("it says %q, want %q", got, want)
		}
		if e := w.queue.Explain("one.test", "", nil); e.Site != "big.test" || e.Cause != "past" {
			t.Errorf("without its hosts it goes to %s: %s", e.Site, e.Cause)
		}
	})
}

func TestWhyMailGoesToASite(t *testing.T) {
	o := options
	o.Origin = "the rest"
	o.Providers = []queue.Provider{{Name: "big", MX: []string{"*.big.test"}, Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
		Domains: []string{"named.test"}, Rule: shape.Rule{Connections: 7, PerConnection: 9, Rate: shape.Rate{Count: 60, Per: time.Minute}}, Origin: "a file"}}
	host := func(name, address string) []queue.Host {
		return []queue.Host{{Name: name, Address: netip.MustParseAddr(address)}}
	}
	const big, rest = " 7 9 60/60 a file", " 2 0 0/0 the rest"
	tests := []struct {
		name, domain string
		hosts        []queue.Host
		want         string
	}{
		{"the provider lists it", "named.test", nil, "big domain" + big},
		{"its host is the provider's by name", "a.test", host("mx.big.test", "198.51.100.1"), "big host" + big},
		{"its host is the provider's by address", "a.test", host("mx.a.test", "192.0.2.9"), "big network" + big},
		{"its host has a name of an organisation", "a.test", host("mx.host.test", "198.51.100.1"), "host.test organisation" + rest},
		{"its host has the address of another's", "a.test", host("mx.own.test", "203.0.113.1"), "shared.test address" + rest},
		{"nobody knows", "a.test", nil, "a.test nothing" + rest},
	}
	in(t, func(w *world) {
		w.queue.SetOptions(o)
		w.submit("ann@shared.test")
		job := w.take()
		w.queue.Locate(job, host("mx.shared.test", "203.0.113.1"))
		w.queue.Finish(job)
		for _, tt := range tests {
			e := w.queue.Explain(tt.domain, "", tt.hosts)
			l := e.Limits
			got := fmt.Sprintf("%s %s %d %d %d/%d %s", e.Site, e.Cause, l.Connections, l.PerConnection, l.Rate, l.RateSeconds, l.Origin)
			if got != tt.want {
				t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
			}
		}
		o.Limits.Via = map[string]string{"": "smarthost", "example.com": "relay", "example.net": "relay", "example.org": "smarthost"}
		w.queue.SetOptions(o)
		for from, want := range map[string]string{"": "smarthost smarthost [example.com example.net]", "Example.com": "relay smarthost [example.org]"} {
			e := w.queue.Explain("named.test", from, nil)
			if got := fmt.Sprintf("%s %s %v", e.Site, e.Cause, e.Others); got != want {
				t.Errorf("with smarthosts, from %q: %q, want %q", from, got, want)
			}
		}
	})
}
