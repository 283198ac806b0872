package delivery_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"homing/delivery"
	"homing/queue"
)

// A crowdedDone is a store that takes a second for an outcome, and counts how
// many wait for it.
type crowdedDone struct {
	delivery.Queue
	w             *world
	waiting, most int
}

func (c *crowdedDone) Done(ctx context.Context, it queue.Item, r queue.Result) error {
	c.count(1)
	defer c.count(-1)
	<-time.After(time.Second)
	return c.Queue.Done(ctx, it, r)
}

func (c *crowdedDone) count(n int) {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	c.waiting += n
	c.most = max(c.most, c.waiting)
}

// TestJobsWaitWhereTheDiskCannotKeepUp has a hundred jobs end at once.
func TestJobsWaitWhereTheDiskCannotKeepUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		const jobs, most = 100, 32
		w.jobs = make(chan *queue.Job, jobs)
		for i := range jobs {
			domain := fmt.Sprintf("d%d.example", i)
			w.mx(domain, "mx."+domain, fmt.Sprintf("198.51.100.%d", 1+i), hello+accept+bye)
			w.job(domain, "ann@"+domain)
		}
		c := w.config()
		crowded := &crowdedDone{Queue: w, w: w}
		c.Queue = crowded
		w.run(c, jobs)
		if crowded.most != most {
			t.Errorf("%d outcomes were on their way together, want %d", crowded.most, most)
		}
		if len(w.results) != jobs {
			t.Errorf("%d outcomes, want %d", len(w.results), jobs)
		}
	})
}
