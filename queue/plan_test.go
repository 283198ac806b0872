package queue_test

import (
	"fmt"
	"slices"
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

func TestCampaignsSayWhenTheyAreThrough(t *testing.T) {
	in(t, func(w *world) {
		to := func(n int, domain string) (all []string) {
			for i := range n {
				all = append(all, fmt.Sprintf("a%d@%s", i, domain))
			}
			return all
		}
		if got := w.queue.Campaigns(); len(got) != 0 {
			t.Errorf("in the beginning there are %+v", got)
		}
		w.send(of("spring", ""), append(to(40, "one.test"), to(200, "two.test")...)...)
		w.send(of("news", ""), to(100, "one.test")...)
		w.send(of("wrong", ""), to(10, "one.test")...)
		w.submit("ann@one.test") // no campaign
		w.do(w.queue.Pause, queue.Order{Filter: queue.Filter{Campaign: "wrong"}, By: "olga"})
		after(time.Millisecond)
		var got []string
		for _, c := range w.queue.Campaigns() {
			through := "never"
			if c.Through != nil {
				through = time.Until(*c.Through).Round(time.Second).String()
			}
			got = append(got, fmt.Sprintf("%s of %s %d/%d %s %s %s", c.Campaign, c.Application, c.Waiting, c.Paused, through, c.LimitedBy, c.Provider))
		}
		want := []string{
			"spring of crm 240/0 50s connections two.test",
			"news of crm 100/0 35s connections one.test", // beside 40 of spring and 1 without a campaign
			"wrong of crm 10/10 never paused ",
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("campaigns:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		w.send(of("late", ""), "ann@zero.test")
		for w.find("ann@zero.test").Recipient.Attempt == 0 {
			w.attempt("452 4.2.2 mailbox full")
		}
		after(time.Second)
		if c := w.underWay("late"); c.LimitedBy != "later" || c.Provider != "zero.test" || time.Until(*c.Through) < 4*time.Minute {
			t.Errorf("what was put off: %+v", c)
		}
	})
}

// underWay gives one of the campaigns under way.
func (w *world) underWay(name string) queue.Campaign {
	w.Helper()
	all := w.queue.Campaigns()
	i := slices.IndexFunc(all, func(c queue.Campaign) bool { return c.Campaign == name })
	if i < 0 {
		w.Fatalf("there is no campaign %s in %+v", name, all)
	}
	return all[i]
}

func TestCampaignsShareTheSlotsOfTheServer(t *testing.T) {
	in(t, func(w *world) {
		o := options
		o.Limits.Total = 1
		w.queue.SetOptions(o)
		var to []string
		for n := range 100 {
			to = append(to, fmt.Sprintf("ann@a%d.test", n))
		}
		w.send(of("spring", ""), to...)
		after(time.Millisecond)
		if c := w.underWay("spring"); c.LimitedBy != "slots" || c.Provider != "" || time.Until(*c.Through).Round(time.Second) != 50*time.Second {
			t.Errorf("with one slot: %+v", c)
		}
	})
}
