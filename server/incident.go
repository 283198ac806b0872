package server

import (
	"context"
	"sync"
	"time"

	"homing/event"
)

// incidents turns mistakes that an operator must mend into two facts each:
// one when the mistake is first seen, one when it has stayed away for a while.
type incidents struct {
	tell func(ctx context.Context, e event.Event) error
	now  func() time.Time

	mu   sync.Mutex
	open map[string]incident
}

type incident struct {
	event.Event
	last time.Time
}

// incidentQuiet is how long a mistake must stay away to be called mended.
const incidentQuiet = time.Hour

func newIncidents(now func() time.Time, tell func(context.Context, event.Event) error) *incidents {
	return &incidents{tell: tell, now: now, open: map[string]incident{}}
}

// see notes that a mistake was made. Only the first time is told.
func (i *incidents) see(ctx context.Context, name string, e event.Event) error {
	i.mu.Lock()
	was, known := i.open[name]
	if known {
		e = was.Event
	}
	i.open[name] = incident{e, i.now()}
	i.mu.Unlock()
	if known {
		return nil
	}
	e.Type = event.IncidentOpened
	return i.tell(ctx, e)
}

// run closes incidents that have been quiet until ctx ends.
func (i *incidents) run(ctx context.Context) {
	tick := time.NewTicker(incidentQuiet / 12)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, e := range i.quiet() {
			e.Type = event.IncidentClosed
			if i.tell(ctx, e) != nil {
				return // the store failed or we are stopping: nothing more to say
			}
		}
	}
}

func (i *incidents) quiet() (closed []event.Event) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for name, x := range i.open {
		if i.now().Sub(x.last) >= incidentQuiet {
			closed = append(closed, x.Event)
			delete(i.open, name)
		}
	}
	return closed
}
