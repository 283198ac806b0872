package queue_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"homing/queue"
	"homing/queue/shape"
)

// planned is a Plan in short.
func planned(p queue.Plan, now time.Time) string {
	until := func(t *time.Time) string {
		if t == nil {
			return "never"
		}
		return t.Sub(now).Round(time.Second).String()
	}
	words := fmt.Sprintf("%s %s %s %s:", p.Basis, until(p.Through), p.LimitedBy, p.Provider)
	for _, s := range p.Sites {
		words += fmt.Sprintf(" %s %d+%d %s %s;", s.Provider, s.Recipients, s.Waiting, until(s.Through), s.LimitedBy)
	}
	return words
}

// spend lets the next job take a while for each of its items, and be taken.
func (w *world) spend(d time.Duration) {
	w.Helper()
	job := w.take()
	for _, it := range job.Items {
		after(d)
		r := result("250 2.0.0 OK")
		r.Took = d
		if err := w.queue.Done(w.ctx, it, r); err != nil {
			w.Fatal(err)
		}
	}
	w.queue.Finish(job)
}

func TestAPlanGoesByWhatWasTakenLately(t *testing.T) {
	var many, few []string
	for n := range 30 {
		many = append(many, fmt.Sprintf("a%d@many.test", n))
		if n < 10 {
			few = append(few, fmt.Sprintf("a%d@few.test", n))
		}
	}
	restarted(t, options, func(w *world) {
		if got, want := planned(w.queue.Plan(1200), time.Now()), "guess 5m0s connections default: default 1200+0 5m0s connections;"; got != want {
			t.Errorf("with nothing to go by: %q, want %q", got, want)
		}
		w.submit(many...)
		w.submit(few...)
		after(time.Second)
		if got, want := planned(w.queue.Plan(400), time.Now()), "waiting 1m23s connections many.test: many.test 300+30 1m23s connections; few.test 100+10 28s connections;"; got != want {
			t.Errorf("by what waits: %q, want %q", got, want)
		}
		for w.queue.Waiting() > 0 {
			w.spend(250 * time.Millisecond)
			after(time.Millisecond)
		}
	}, func() { after(24 * time.Hour) }, func(w *world) {
		after(time.Second)
		w.submit("eve@few.test", "zoe@few.test")
		after(time.Second)
		p := w.queue.Plan(400)
		if got, want := planned(p, time.Now()), "delivered 38s connections many.test: many.test 300+0 38s connections; few.test 100+2 13s connections;"; got != want {
			t.Errorf("by what was taken: %q, want %q", got, want)
		}
		if p.Since == nil || time.Since(*p.Since) > 72*time.Hour {
			t.Errorf("since %v", p.Since)
		}
		w.do(w.queue.Pause, queue.Order{Filter: queue.Filter{Provider: "few.test"}, By: "olga"})
		if got, want := planned(w.queue.Plan(400), time.Now()), "delivered never paused few.test: many.test 300+0 38s connections; few.test 100+0 never paused;"; got != want {
			t.Errorf("with a pause: %q, want %q", got, want)
		}
	})
}

func TestAPlanCountsTheSlotsOfTheServer(t *testing.T) {
	in(t, func(w *world) {
		o := options
		o.Limits = shape.Limits{Total: 2, PerSite: 2, Batch: 5}
		w.queue.SetOptions(o)
		for n := range 30 {
			w.submit(fmt.Sprintf("ann@a%d.test", n))
			after(time.Millisecond)
			w.spend(time.Second)
		}
		after(time.Second)
		p := w.queue.Plan(3000)
		if got, want := planned(p, time.Now()), "delivered 25m0s slots :"; !strings.HasPrefix(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		last := p.Sites[len(p.Sites)-1]
		if len(p.Sites) != 21 || last.Provider != "others" || last.Sites != 10 || last.Recipients != 1000 {
			t.Errorf("%d rows, the last one is %+v", len(p.Sites), last)
		}
	})
}
