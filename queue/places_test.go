package queue_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"homing/queue"
	"homing/store"
)

// TestAProviderIsKnownAfterARestart has mail wait for domains at one provider
// and elsewhere, and cancels that of the provider after a restart, before
// anything is sent.
func TestAProviderIsKnownAfterARestart(t *testing.T) {
	restarted(t, options, func(w *world) {
		for _, domain := range []string{"one.test", "two.test", "three.test"} {
			w.submit("ann@" + domain)
			job := w.next()
			if domain != "three.test" {
				w.queue.Locate(job, []queue.Host{{Name: "mx.big.test", Address: netip.MustParseAddr("198.51.100.1")}})
			}
			if err := w.queue.Done(w.ctx, job.Items[0], result("450 4.2.1 try again later")); err != nil {
				t.Fatal(err)
			}
			w.queue.Finish(job)
		}
		after(2 * time.Minute)
	}, func() {}, func(w *world) {
		after(time.Second)
		got := ""
		for _, domain := range []string{"one.test", "two.test", "three.test", "none.test"} {
			got += w.queue.Provider(store.Key{Domain: domain}) + " "
		}
		if want := "big.test big.test three.test none.test "; got != want {
			t.Errorf("they are at %q, want %q", got, want)
		}
		w.tally(w.do(w.queue.Cancel, queue.Order{Filter: queue.Filter{Provider: "big.test"}, By: "olga"}), "waiting 2")
		after(2 * time.Minute)
		notes, err := w.store.Notes(w.ctx, "place")
		if err != nil || len(notes) != 0 {
			t.Errorf("noted are %v, %v; want nothing, since nobody waits there any more", fmt.Sprint(notes), err)
		}
	})
}

// TestWhereADomainIsNowCountsMoreThanThePast has the mail hosts of a domain
// move while the server is stopped.
func TestWhereADomainIsNowCountsMoreThanThePast(t *testing.T) {
	host := func(name, address string) []queue.Host {
		return []queue.Host{{Name: name, Address: netip.MustParseAddr(address)}}
	}
	restarted(t, options, func(w *world) {
		w.submit("ann@one.test")
		job := w.next()
		w.queue.Locate(job, host("mx.big.test", "198.51.100.1"))
		if err := w.queue.Done(w.ctx, job.Items[0], result("450 4.2.1 try again later")); err != nil {
			t.Fatal(err)
		}
		w.queue.Finish(job)
		after(2 * time.Minute)
	}, func() {}, func(w *world) {
		job := w.next()
		w.queue.Locate(job, host("mx.new.test", "198.51.100.2"))
		if got := w.queue.Provider(store.Key{Domain: "one.test"}); got != "new.test" {
			t.Errorf("it is at %s, want new.test", got)
		}
		w.queue.Finish(job)
	})
}
