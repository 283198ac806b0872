package queue_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"homing/queue"
	"homing/queue/shape"
	"homing/store"
)

// warming are options with which new source addresses begin slowly.
func warming() queue.Options {
	o := options
	o.Warmup.On = true
	return o
}

// deliver sends what goes out within an hour, and counts it.
func (w *world) deliver() (sent int) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, time.Hour)
	defer cancel()
	for {
		job, err := w.queue.Next(ctx)
		if err != nil {
			return sent
		}
		for _, it := range job.Items {
			if err := w.queue.Done(w.ctx, it, result("250 2.0.0 OK")); err != nil {
				w.Fatal(err)
			}
			sent++
		}
		w.queue.Finish(job)
	}
}

// crowd hands over mail to so many people of one domain.
func (w *world) crowd(people int) {
	w.Helper()
	to := make([]string, people)
	for n := range to {
		to[n] = fmt.Sprintf("ann%d@example.net", n)
	}
	w.submit(to...)
}

func TestHowWarmAnAddressIsOutlivesARestart(t *testing.T) {
	t.Run("on a day on which it has not sent yet", func(t *testing.T) {
		restarted(t, warming(), func(w *world) {
			w.crowd(400)
			for _, want := range []int{50, 100} {
				if sent := w.deliver(); sent != want {
					t.Errorf("%d sent, want %d", sent, want)
				}
				after(24 * time.Hour)
			}
		}, func() {}, func(w *world) {
			if sent := w.deliver(); sent != 200 {
				t.Errorf("%d sent on the third day, after a restart; want 200", sent)
			}
		})
	})
	t.Run("when it is warm", func(t *testing.T) {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			openWith(t, dir, warming(), func(w *world) {
				after(time.Minute)
				if err := w.store.Note(w.ctx, "site", map[string][]byte{"example.net": []byte(`[{"Day":12}]`)}); err != nil {
					t.Fatal(err)
				}
			})
			for range 2 {
				openWith(t, dir, warming(), func(w *world) {
					w.crowd(300)
					if sent := w.deliver(); sent != 300 {
						t.Errorf("%d sent, want all 300", sent)
					}
				})
			}
		})
	})
}

func TestMailThatWaitsForUsIsNotGivenUpForWhatASiteSays(t *testing.T) {
	pause := func(w *world) {
		w.campaign("spring", 60)
		w.do(w.queue.Pause, order(queue.Filter{Campaign: "spring"}))
	}
	tests := []struct {
		name        string
		before, end func(w *world) // it waits for us, and no longer
	}{
		{"for an address to become warm", func(w *world) {
			w.queue.SetOptions(warming())
			after(time.Minute)
			w.crowd(60)
			w.deliver()
		}, func(w *world) { w.queue.SetOptions(options) }},
		{"until it was resumed", pause, func(w *world) { w.do(w.queue.Resume, order(queue.Filter{Campaign: "spring"})) }},
		{"as long as it is paused", pause, func(*world) {}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in(t, func(w *world) {
				tt.before(w)
				after(3 * options.Lifetime)
				tt.end(w)
				w.send(func(s *queue.Submission) { s.Lane = queue.Transactional }, "zoe@example.net")
				w.attempt(slow + ", retry in 20 minutes")
				after(10 * time.Minute)
				if n := strings.Count(w.told(), "expired"); n > 0 {
					t.Errorf("%d recipients expired, want none: the site has refused us for minutes", n)
				}
			})
		})
	}
}

func TestARateHoldsOverARestart(t *testing.T) {
	o := options
	o.Providers = []queue.Provider{{Name: "example.net", Domains: []string{"example.net"},
		Rule: shape.Rule{Connections: 2, Rate: shape.Rate{Count: 60, Per: 60 * time.Hour}}}}
	restarted(t, o, func(w *world) {
		w.crowd(20)
		if sent := w.deliver(); sent != 2 {
			t.Errorf("%d sent within an hour, want the 2 that may go at once", sent)
		}
	}, func() {}, func(w *world) {
		if sent := w.deliver(); sent != 1 {
			t.Errorf("%d sent within another hour, after a restart; want 1", sent)
		}
	})
}

func TestWaitingForUsDoesNotEatTheLifetimeAlsoOverRestarts(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		openWith(t, dir, warming(), func(w *world) {
			w.crowd(50)
			w.deliver()
			w.submit("zoe@example.net") // the next day
			after(5 * time.Hour)
		})
		after(30 * time.Second)
		openWith(t, dir, warming(), func(*world) { after(6 * time.Hour) })
		after(2 * time.Hour) // that it was down is no time for which it waited for us
		openWith(t, dir, options, func(w *world) {
			after(time.Hour)
			w.attempt("452 4.2.2 mailbox full")
			if r := w.find("zoe@example.net").Recipient; r.State != store.Waiting || r.Expires.Sub(start).Truncate(time.Minute) != 15*time.Hour+options.Lifetime-2*time.Hour {
				t.Errorf("it is %v and expires %v after the first mail", r.State, r.Expires.Sub(start))
			}
		})
	})
}
