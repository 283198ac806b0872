package queue_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"homing/bounce"
	"homing/event"
	"homing/hold"
	"homing/queue"
	"homing/store"
	"homing/store/bolt"
)

// An operation is one of those that an operator has.
type operation func(context.Context, queue.Order) (queue.Tally, error)

// order gives an order its Filter.
func order(f queue.Filter) queue.Order { return queue.Order{Filter: f, By: "olga"} }

// do does an operation, which must not fail.
func (w *world) do(op operation, o queue.Order) queue.Tally {
	w.Helper()
	t, err := op(w.ctx, o)
	if err != nil {
		w.Fatal(err)
	}
	return t
}

// tally compares a Tally with words such as "waiting 2, paused 1".
func (w *world) tally(t queue.Tally, want string) {
	w.Helper()
	var words []string
	for _, s := range []store.State{store.Waiting, store.Paused, store.Captured} {
		if n := t.Recipients[s]; n > 0 {
			words = append(words, fmt.Sprintf("%v %d", s, n))
		}
	}
	if got := strings.Join(words, ", "); got != want {
		w.Errorf("changed %q, want %q", got, want)
	}
}

// find gives the only recipient with an address.
func (w *world) find(address string) store.Row {
	w.Helper()
	page, err := w.store.Find(w.ctx, store.Query{Address: address})
	if err != nil || len(page.Rows) != 1 {
		w.Fatalf("%d recipients %s, %v, want one", len(page.Rows), address, err)
	}
	return page.Rows[0]
}

// states compares states of recipients, told as "ann@example.net waiting".
func (w *world) states(want ...string) {
	w.Helper()
	for _, word := range want {
		address, state, _ := strings.Cut(word, " ")
		if got := w.find(address).Recipient.State.String(); got != state {
			w.Errorf("%s is %s, want %s", address, got, state)
		}
	}
}

// idle checks that nothing goes out.
func (w *world) idle() {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, 2*time.Hour)
	defer cancel()
	if job, err := w.queue.Next(ctx); err == nil {
		w.Fatalf("%s goes out", job.Items[0].Recipient.Address)
	}
}

// sends takes the next job, which must be for these addresses, and delivers it.
func (w *world) sends(want ...string) {
	w.Helper()
	var got []string
	for len(got) < len(want) {
		for _, it := range w.attempt("250 2.0.0 OK") {
			got = append(got, it.Recipient.Address)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		w.Errorf("sent to %v, want %v", got, want)
	}
}

// of makes mail one of a campaign or with a sender.
func of(campaign, sender string) func(*queue.Submission) {
	return func(s *queue.Submission) {
		s.Message.Campaign = campaign
		if sender != "" {
			s.Message.Sender = sender
		}
	}
}

func TestAPauseStopsWhatWaitsAndWhatComesLaterUntilItIsResumed(t *testing.T) {
	tests := []struct {
		name string
		f    queue.Filter
	}{
		{"of a domain", queue.Filter{Domain: "example.net"}},
		{"of a provider", queue.Filter{Provider: "example.net"}},
		{"of a campaign", queue.Filter{Campaign: "spring"}},
		{"of a campaign in a domain", queue.Filter{Application: "crm", Campaign: "spring", Domain: "example.net"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				open(t, dir, func(w *world) {
					w.send(of("spring", ""), "ann@example.net")
					got := w.do(w.queue.Pause, order(tt.f))
					w.tally(got, "waiting 1")
					if len(got.Pauses) != 1 || got.Pauses[0].Recipients != 1 || got.Pauses[0].By != "olga" {
						t.Errorf("got %+v, want a pause by olga with one recipient behind it", got)
					}
					w.send(of("spring", ""), "bob@example.net")
					w.send(of("autumn", ""), "zoe@example.com")
					w.sends("zoe@example.com")
					w.idle()
				})
				open(t, dir, func(w *world) {
					w.idle()
					w.states("ann@example.net waiting", "bob@example.net waiting")
					all, aside, err := w.queue.Pauses(w.ctx)
					if err != nil || len(all) != 1 || all[0].Recipients != 2 || aside != 0 {
						t.Errorf("paused: %+v and %d aside, %v, want one with 2 behind it", all, aside, err)
					}
					if p, is := w.queue.Paused(w.find("bob@example.net")); !is || p.By != "olga" {
						t.Errorf("the recipient is paused: %v by %q, want by olga", is, p.By)
					}
					w.tally(w.do(w.queue.Resume, order(tt.f)), "waiting 2")
					w.sends("ann@example.net", "bob@example.net")
				})
				open(t, dir, func(w *world) {
					w.send(of("spring", ""), "eve@example.net")
					w.sends("eve@example.net")
				})
			})
		})
	}
}

func TestThePauseThatIsThereStays(t *testing.T) {
	in(t, func(w *world) {
		w.do(w.queue.Pause, order(queue.Filter{Campaign: "spring"}))
		first, _, _ := w.queue.Pauses(w.ctx)
		after(time.Hour)
		w.do(w.queue.Pause, queue.Order{Filter: queue.Filter{Campaign: "spring"}, By: "paul"})
		again, _, err := w.queue.Pauses(w.ctx)
		if err != nil || len(again) != 1 || again[0] != first[0] {
			t.Errorf("paused %+v, then %+v, %v, want the first", first, again, err)
		}
	})
}

func TestAPauseOfASenderSetsAsideWhatIsNotBeingSent(t *testing.T) {
	in(t, func(w *world) {
		news := queue.Filter{Sender: "news@example.org"}
		for i := range 7 {
			w.send(of("", "news@example.org"), fmt.Sprintf("u%d@example.net", i))
		}
		w.send(of("", "other@example.org"), "zoe@example.net")
		synctest.Wait()
		job := w.next()
		got := w.do(w.queue.Pause, order(news))
		busy := len(job.Items)
		if busy == 0 || busy == 7 || got.Busy != busy || got.Total() != 7-busy {
			t.Errorf("set %d aside and left %d alone while %d were sent", got.Total(), got.Busy, busy)
		}
		for _, it := range job.Items {
			if err := w.queue.Done(w.ctx, it, result("250 2.0.0 OK")); err != nil {
				t.Error(err)
			}
		}
		w.queue.Finish(job)
		w.sends("zoe@example.net")
		w.states("u0@example.net delivered", "u6@example.net paused")
		if p, is := w.queue.Paused(w.find("u6@example.net")); !is || p.Sender != "news@example.org" || p.Recipients != 7-busy {
			t.Errorf("it is paused: %v, %+v", is, p)
		}
		w.tally(w.do(w.queue.Resume, order(queue.Filter{Sender: "other@example.org"})), "")
		w.tally(w.do(w.queue.Resume, order(news)), fmt.Sprintf("paused %d", 7-busy))
		if all, aside, err := w.queue.Pauses(w.ctx); err != nil || len(all) != 0 || aside != 0 {
			t.Errorf("paused %+v, %d aside, %v, want nothing", all, aside, err)
		}
		var left []string
		for i := busy; i < 7; i++ {
			left = append(left, fmt.Sprintf("u%d@example.net", i))
		}
		w.sends(left...)
	})
}

func TestAPauseThatSetsNobodyAsideIsNone(t *testing.T) {
	in(t, func(w *world) {
		got := w.do(w.queue.Pause, order(queue.Filter{Sender: "nobody@example.org"}))
		w.send(of("", "news@example.org"), "ann@example.net")
		w.do(w.queue.Pause, order(queue.Filter{Sender: "news@example.org"}))
		all, _, err := w.queue.Pauses(w.ctx)
		if len(got.Pauses) != 0 || err != nil || len(all) != 1 || all[0].Sender != "news@example.org" {
			t.Errorf("made %v; paused %v, %v", got.Pauses, all, err)
		}
	})
}

func TestTimeThatMailWasSetAsideIsNoTimeOfItsLife(t *testing.T) {
	in(t, func(w *world) {
		w.send(of("", "news@example.org"), "ann@example.net")
		w.attempt("452 4.2.2 mailbox full")
		before := w.find("ann@example.net").Recipient
		w.do(w.queue.Pause, order(queue.Filter{Sender: "news@example.org"}))
		after(10*24*time.Hour + 5*time.Minute)
		w.do(w.queue.Resume, order(queue.Filter{All: true}))
		after := w.find("ann@example.net").Recipient
		if got := after.Expires.Sub(before.Expires); got != 10*24*time.Hour {
			t.Errorf("it expires %v later, want ten days: it would have waited five minutes anyway", got)
		}
		w.attempt("452 4.2.2 mailbox full")
		w.states("ann@example.net waiting")
	})
}

func TestTimeThatMailWasPausedIsNoTimeOfItsLifeAlsoOverARestart(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		open(t, dir, func(w *world) {
			w.submit("ann@example.net")
			w.do(w.queue.Pause, order(queue.Filter{Domain: "example.net"}))
			after(24 * time.Hour)
		})
		open(t, dir, func(w *world) {
			w.do(w.queue.Pause, order(queue.Filter{All: true})) // at the same time, which counts once
			after(24 * time.Hour)
			w.do(w.queue.Resume, order(queue.Filter{All: true}))
		})
		open(t, dir, func(w *world) {
			w.attempt("452 4.2.2 mailbox full")
			w.states("ann@example.net waiting")
			if got, want := w.find("ann@example.net").Recipient.Expires.Sub(start), 48*time.Hour+options.Lifetime; got != want {
				t.Errorf("it expires after %v, want %v", got, want)
			}
			w.attempt("452 4.2.2 mailbox full")
			if got, want := w.find("ann@example.net").Recipient.Expires.Sub(start), 48*time.Hour+options.Lifetime; got != want {
				t.Errorf("after another attempt it expires after %v, want %v", got, want)
			}
		})
	})
}

func TestResumeLiftsWhatItMeansAndNamesWhatGoesOn(t *testing.T) {
	in(t, func(w *world) {
		w.send(of("spring", ""), "ann@example.net")
		w.do(w.queue.Pause, order(queue.Filter{Application: "crm"}))
		w.do(w.queue.Pause, order(queue.Filter{Application: "crm", Campaign: "spring"}))
		got := w.do(w.queue.Resume, order(queue.Filter{Campaign: "spring"}))
		if len(got.Pauses) != 1 || got.Pauses[0].Campaign != "spring" || len(got.Still) != 1 || got.Still[0].Campaign != "" {
			t.Errorf("lifted %v and still %v, want that of the campaign and still that of the application", got.Pauses, got.Still)
		}
		w.idle()
		got = w.do(w.queue.Resume, order(queue.Filter{All: true}))
		if len(got.Pauses) != 1 || len(got.Still) != 0 {
			t.Errorf("lifted %v and still %v", got.Pauses, got.Still)
		}
		w.sends("ann@example.net")
	})
}

func TestManyPausesAreLiftedAtOnce(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		const many = 260 // more than one transaction has room for
		open(t, dir, func(w *world) {
			for n := range many {
				w.do(w.queue.Pause, order(queue.Filter{Campaign: fmt.Sprint("campaign ", n)}))
			}
			if got := w.do(w.queue.Resume, order(queue.Filter{All: true})); len(got.Pauses) != many {
				t.Errorf("%d were lifted, want %d", len(got.Pauses), many)
			}
			after(options.Lifetime + time.Minute)
			w.do(w.queue.Pause, order(queue.Filter{Campaign: "last"}))
			notes, err := w.store.Notes(w.ctx, "pause")
			if err != nil || len(notes) != 1 {
				t.Errorf("%d pauses are noted, %v, want one", len(notes), err)
			}
		})
	})
}

func TestRetryMakesDueWhatWaitsForLater(t *testing.T) {
	in(t, func(w *world) {
		w.submit("ann@example.net")
		w.attempt("452 4.2.2 mailbox full")
		w.submit("bob@example.com")
		w.do(w.queue.Pause, order(queue.Filter{Domain: "example.com"})) // due, and waiting for us
		start := time.Now()
		w.tally(w.do(w.queue.Retry, order(queue.Filter{All: true})), "waiting 1")
		w.sends("ann@example.net")
		if waited := time.Since(start); waited != 0 {
			t.Errorf("it took %v, want at once", waited)
		}
	})
}

func TestCancelEndsWhatHasNoOutcomeYet(t *testing.T) {
	in(t, func(w *world) {
		spring := of("spring", "news@example.org")
		w.send(spring, "done@example.net")
		w.sends("done@example.net")
		w.send(spring, "ann@example.net", "bob@example.net")
		w.attempt("452 4.2.2 mailbox full")
		w.send(of("spring", "old@example.org"), "aside@example.net")
		w.do(w.queue.Pause, order(queue.Filter{Sender: "old@example.org"}))
		w.send(func(s *queue.Submission) { spring(s); s.Capture = true }, "kept@example.net")
		w.send(of("autumn", ""), "zoe@example.net")
		w.tally(w.do(w.queue.Cancel, order(queue.Filter{Campaign: "spring"})), "waiting 2, paused 1, captured 1")
		w.states("done@example.net delivered", "ann@example.net cancelled", "bob@example.net cancelled", "aside@example.net cancelled",
			"kept@example.net cancelled", "zoe@example.net waiting")
		told := map[string]event.Event{}
		for _, e := range w.events() {
			if e.Type == event.Cancelled {
				told[e.Recipient] = e
			}
		}
		if e := told["ann@example.net"]; len(told) != 4 || e.Application != "crm" || e.Campaign != "spring" || e.Domain != "example.org" || e.Attempt != 1 || e.Message == 0 {
			t.Errorf("told %d, of ann %+v", len(told), e)
		}
		if all, aside, err := w.queue.Pauses(w.ctx); err != nil || len(all) != 0 || aside != 0 {
			t.Errorf("paused %+v, %d aside, %v, want nothing", all, aside, err)
		}
		w.tally(w.do(w.queue.Cancel, order(queue.Filter{Campaign: "spring"})), "")
		w.sends("zoe@example.net")
	})
}

func TestWhatIsCancelledWhileItIsBeingSentStaysCancelled(t *testing.T) {
	in(t, func(w *world) {
		w.submit("ann@example.net")
		job := w.next()
		it := job.Items[0]
		if !w.queue.Wanted(it) {
			t.Error("it is not wanted before it is cancelled")
		}
		w.do(w.queue.Cancel, order(queue.Filter{Domain: "example.net"}))
		if w.queue.Wanted(it) {
			t.Error("it is still wanted")
		}
		if err := w.queue.Done(w.ctx, it, result("250 2.0.0 OK")); err != nil {
			t.Error(err)
		}
		w.queue.Finish(job)
		w.states("ann@example.net cancelled")
		if got := w.told(); got != "accepted cancelled" {
			t.Errorf("told %q", got)
		}
		// What a mail system says of it later has nothing to change.
		if err := w.report(it.Delivery, dead(1)); err != nil {
			t.Error(err)
		}
		if got := w.told(); got != "accepted cancelled" {
			t.Errorf("told %q after a report", got)
		}
		if h, err := w.store.Hold(w.ctx, "ann@example.net"); err != nil || len(h.Scopes) != 0 {
			t.Errorf("the address has %+v, %v", h, err)
		}
	})
}

func TestWhatIsPausedAfterItWasClaimedIsNotWanted(t *testing.T) {
	in(t, func(w *world) {
		w.submit("ann@example.net")
		job := w.next()
		w.do(w.queue.Pause, order(queue.Filter{Domain: "example.net"}))
		if w.queue.Wanted(job.Items[0]) {
			t.Error("it is still wanted")
		}
		w.queue.Finish(job)
		w.idle()
		w.do(w.queue.Resume, order(queue.Filter{Domain: "example.net"}))
		w.sends("ann@example.net")
	})
}

func TestWhoIsPutOnHoldWhileMailIsPausedGetsNone(t *testing.T) {
	for _, f := range []queue.Filter{{Domain: "example.net"}, {Sender: "civi+b.1.2.0123456789abcdef@bounce.example.org"}} {
		in(t, func(w *world) {
			w.submit("ann@example.net")
			w.do(w.queue.Pause, order(f))
			if err := w.queue.AddHold(w.ctx, "ann@example.net", "", hold.Hold{By: "olga"}); err != nil {
				t.Fatal(err)
			}
			w.do(w.queue.Resume, order(f))
			w.idle()
			w.states("ann@example.net suppressed")
		})
	}
}

func TestADryRunChangesNothing(t *testing.T) {
	in(t, func(w *world) {
		for i := range 15 {
			w.send(of("spring", "news@example.org"), fmt.Sprintf("u%d@example.net", i))
		}
		for tried := 0; tried < 15; { // in one job or in several
			tried += len(w.attempt("452 4.2.2 mailbox full"))
		}
		w.send(of("spring", "old@example.org"), "aside@example.net")
		w.do(w.queue.Pause, order(queue.Filter{Sender: "old@example.org"}))
		w.do(w.queue.Pause, order(queue.Filter{Domain: "example.com"}))
		before := w.told()
		dry := func(f queue.Filter) queue.Order { return queue.Order{Filter: f, DryRun: true} }
		for name, tt := range map[string]struct {
			op   operation
			f    queue.Filter
			want string
		}{
			"retry":             {w.queue.Retry, queue.Filter{Campaign: "spring"}, "waiting 15"},
			"cancel":            {w.queue.Cancel, queue.Filter{Campaign: "spring"}, "waiting 15, paused 1"},
			"pause of a sender": {w.queue.Pause, queue.Filter{Sender: "news@example.org"}, "waiting 15"},
			"pause of a domain": {w.queue.Pause, queue.Filter{Domain: "example.net"}, "waiting 15"},
			"resume":            {w.queue.Resume, queue.Filter{All: true}, "paused 1"},
		} {
			got := w.do(tt.op, dry(tt.f))
			w.tally(got, tt.want)
			if n := len(got.Examples); n != min(10, got.Total()) {
				t.Errorf("%s shows %d examples", name, n)
			}
		}
		if got := w.told(); got != before {
			t.Errorf("told %q, want %q", got, before)
		}
		all, aside, err := w.queue.Pauses(w.ctx)
		if err != nil || len(all) != 2 || aside != 1 {
			t.Errorf("paused %+v, %d aside, %v, want what was", all, aside, err)
		}
		w.states("u0@example.net waiting", "aside@example.net paused")
	})
}

func TestNobodyMeansEverybodyByASlip(t *testing.T) {
	in(t, func(w *world) {
		w.submit("ann@example.net")
		for _, op := range []operation{w.queue.Retry, w.queue.Pause, w.queue.Resume, w.queue.Cancel} {
			for _, f := range []queue.Filter{{}, {Domain: "."}, {Domain: ".", Application: "crm"}} {
				if _, err := op(w.ctx, queue.Order{Filter: f}); !errors.Is(err, queue.ErrNoFilter) {
					t.Errorf("with %+v: %v, want ErrNoFilter", f, err)
				}
			}
		}
		w.sends("ann@example.net")
	})
}

func TestALargeOrderGoesInParts(t *testing.T) {
	in(t, func(w *world) {
		for i := range 12 {
			w.submit(fmt.Sprintf("a%d@example.net", i), fmt.Sprintf("b%d@example.com", i))
		}
		o := queue.Order{Filter: queue.Filter{Domain: "example.net"}, Max: 5}
		var sizes []int
		for {
			got := w.do(w.queue.Cancel, o)
			sizes = append(sizes, got.Total())
			if o.After = got.Next; o.After == "" {
				break
			}
		}
		if fmt.Sprint(sizes) != "[5 5 2]" {
			t.Errorf("parts of %v, want 5, 5 and 2", sizes)
		}
		w.states("a11@example.net cancelled", "b11@example.com waiting")
	})
}

// A meddler changes the store when somebody looks for recipients.
type meddler struct {
	*bolt.Store
	found func()
}

func (m *meddler) Find(ctx context.Context, q store.Query) (store.Page, error) {
	page, err := m.Store.Find(ctx, q)
	m.found()
	return page, err
}

func TestWhatHappensToRecipientsMeanwhile(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		log := slog.New(slog.DiscardHandler)
		s, err := bolt.Open(t.Context(), bolt.Options{Dir: dir, Log: log, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		m := &meddler{Store: s, found: func() {}}
		w := &world{T: t, ctx: t.Context(), store: s,
			queue: queue.New(queue.Config{Store: m, Table: bounce.NewTable(), Log: log, Options: options})}
		w.submit("gone@example.net", "bounced@example.net", "ann@example.net")
		bounced := w.find("bounced@example.net").Recipient.ID
		m.found = func() {
			if _, err := s.Forget(w.ctx, store.What{Address: "gone@example.net"}, 10); err != nil {
				t.Error(err)
			}
			if err := w.report(bounced, dead(1)); err != nil {
				t.Error(err)
			}
		}
		w.tally(w.do(w.queue.Cancel, order(queue.Filter{Domain: "example.net"})), "waiting 1")
		w.states("bounced@example.net bounced", "ann@example.net cancelled")

		w.submit("bob@example.net", "zoe@example.net")
		ctx, cancel := context.WithCancel(w.ctx)
		m.found = cancel
		got, err := w.queue.Cancel(ctx, queue.Order{Filter: queue.Filter{Domain: "example.net"}, Max: 1})
		if err != nil || got.Total() != 1 || got.Next == "" {
			t.Errorf("what was found when the operator went away: %d, next %q, %v", got.Total(), got.Next, err)
		}
		if _, err = w.queue.Cancel(ctx, order(queue.Filter{Domain: "example.net"})); !errors.Is(err, context.Canceled) {
			t.Errorf("after the operator went away: %v", err)
		}
		w.states("bob@example.net cancelled", "zoe@example.net waiting")
	})
}
