package server

import (
	"context"
	"strings"
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

// see notes that a mistake was made. Only the first time is told; what could
// not be told is told when it is seen again.
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
	err := i.tell(ctx, e)
	if err != nil {
		i.mu.Lock()
		delete(i.open, name)
		i.mu.Unlock()
	}
	return err
}

// maxAlike is how many incidents of one kind are told apart. An application
// that tries one domain after the other makes no more of them.
const maxAlike = 20

// name gives the name of an incident of a kind, with its detail as long as
// there are not too many alike.
func (i *incidents) name(kind, detail string) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	alike := 0
	for name := range i.open {
		if strings.HasPrefix(name, kind+" ") {
			alike++
		}
	}
	if _, known := i.open[kind+" "+detail]; known || alike < maxAlike {
		return kind + " " + detail
	}
	return kind
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
		for name, x := range i.quiet() {
			e := x.Event
			e.Type = event.IncidentClosed
			if i.tell(ctx, e) == nil {
				i.close(name)
			} // else it is closed at another tick: the disk may be full
		}
	}
}

// quiet gives the incidents that have not been seen for a while.
func (i *incidents) quiet() map[string]incident {
	i.mu.Lock()
	defer i.mu.Unlock()
	quiet := map[string]incident{}
	for name, x := range i.open {
		if i.now().Sub(x.last) >= incidentQuiet {
			quiet[name] = x
		}
	}
	return quiet
}

// close forgets an incident.
func (i *incidents) close(name string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.open, name)
}
