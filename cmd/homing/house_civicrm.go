package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"homing/config"
	"homing/event"
	"homing/event/civicrm"
	"homing/hold"
	"homing/internal/message"
	"homing/queue"
	"homing/verp"
)

// crms are the sites of CiviCRM that are told over their API.
type crms struct {
	metrics *civicrm.Metrics
	again   chan struct{} // the sinks have changed

	mu       sync.Mutex
	memories map[string]*civicrm.Memory // by sink; one outlives its sink, which a reload replaces
	sinks    []*civicrm.Sink            // in force
}

// civicrm makes the sink of a site.
func (h *house) civicrm(cfg *config.Config, c config.Sink) (*civicrm.Sink, error) {
	memory, err := h.crms.memory(context.Background(), h.store, c.Name) // read from the memory of the store
	if err != nil {
		return nil, err
	}
	tellers := tellersOf(cfg, c.Name)
	return civicrm.New(civicrm.Config{
		Name: c.Name, URL: c.URL, APIKey: c.APIKey.Reveal(), SiteKey: c.SiteKey.Reveal(), ReportSenderFaults: c.ReportSenderFaults,
		Filing: h.filingOf(c),
		Own:    ownOf(tellers), OpenBody: h.store.OpenBody, Queue: holdsOf{h.queue, tellers}, Memory: memory, Logger: h.log, Metrics: h.crms.metrics,
	})
}

// filingOf says what mail becomes that a sink is told of.
func (h *house) filingOf(c config.Sink) civicrm.Filing {
	f := civicrm.Filing{Type: c.ActivityType, Create: c.CreateContacts, Ours: func(address string) bool { return h.server.Policy().Files(address) }}
	for _, p := range c.ActivityTargets {
		f.Targets = append(f.Targets, civicrm.Party(p))
	}
	for _, p := range c.ActivityAssignees {
		f.Assignees = append(f.Assignees, civicrm.Party(p))
	}
	return f
}

// memory gives what is remembered of a site.
func (c *crms) memory(ctx context.Context, notes civicrm.Notes, sink string) (*civicrm.Memory, error) {
	c.mu.Lock()
	known := c.memories[sink]
	c.mu.Unlock()
	if known != nil {
		return known, nil
	}
	m, err := civicrm.NewMemory(ctx, notes, sink, time.Now)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.memories[sink] = m
	return m, nil
}

func newCRMs(metrics *civicrm.Metrics) *crms {
	return &crms{metrics: metrics, again: make(chan struct{}, 1), memories: map[string]*civicrm.Memory{}}
}

// use makes these sinks the ones in force.
func (c *crms) use(all []event.Sink) {
	c.mu.Lock()
	c.sinks = only[*civicrm.Sink](all)
	c.mu.Unlock()
	select {
	case c.again <- struct{}{}:
	default: // it is there already
	}
}

func (c *crms) inForce() []*civicrm.Sink {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.sinks)
}

// tellersOf are the applications whose facts a sink is told.
func tellersOf(cfg *config.Config, sink string) (all []config.Application) {
	for _, a := range cfg.Applications {
		sinks := a.Sinks
		for _, d := range cfg.Domains {
			if len(a.Sinks) == 0 && slices.Contains(a.Domains, d.Name) {
				sinks = slices.Concat(sinks, d.Sinks)
			}
		}
		if slices.Contains(sinks, sink) {
			all = append(all, a)
		}
	}
	return all
}

// actions says what CiviCRM's addresses are to its sink.
var actions = map[verp.Action]civicrm.Action{verp.ActionConfirm: civicrm.ActionConfirm, verp.ActionSubscribe: civicrm.ActionSubscribe}

// ownOf reads addresses of CiviCRM. The application is looked up by its name,
// so that the address of one site says nothing to the sink of another.
func ownOf(tellers []config.Application) func(application, address string) (civicrm.Address, bool) {
	grammars := map[string]*verp.Grammar{}
	for _, a := range tellers {
		if a.Kind == config.CiviCRM {
			grammars[a.Name] = grammarOf(a)
		}
	}
	return func(application, address string) (civicrm.Address, bool) {
		g, known := grammars[application]
		local, _, ok := message.SplitAddress(address)
		if !known || !ok {
			return civicrm.Address{}, false
		}
		a, ok := g.Parse(local)
		return civicrm.Address{Action: actions[a.Action], Job: a.Job, Queue: a.Queue, Hash: a.Hash}, ok
	}
}

// holdsOf is the queue as a site of CiviCRM sees it.
type holdsOf struct {
	queue   *queue.Queue
	tellers []config.Application
}

// Standing implements civicrm.Queue.
func (q holdsOf) Standing(ctx context.Context, s civicrm.Scope, address string) (civicrm.Standing, error) {
	h, held, err := q.queue.Held(ctx, address, s.Application, s.Domain, true)
	return civicrm.Standing{Held: held, Until: h.Until, OptOut: h.Rule == hold.Unsubscribed}, err
}

// Release implements civicrm.Queue. A hold for all applications ends with the
// word of this site, and those of applications that do not tell it stay.
func (q holdsOf) Release(ctx context.Context, application, address string) error {
	names := []string{application}
	if application == "" {
		names = nil
		for _, a := range q.tellers {
			names = append(names, a.Name)
		}
	}
	for _, name := range names {
		if _, err := q.queue.Release(ctx, address, name); err != nil {
			return fmt.Errorf("releasing an address: %w", err)
		}
	}
	return nil
}

// Answered implements civicrm.Queue.
func (q holdsOf) Answered(ctx context.Context, s civicrm.Scope, address string) error {
	return q.queue.Answered(ctx, address, s.Application, s.Domain)
}

// Rounds of the sites: what is released at one is released here within five
// minutes.
const (
	roundEvery = 2 * time.Minute
	roundTime  = 2 * time.Minute
)

// rounds keeps holds in step with the sites until ctx ends.
func (h *house) rounds(ctx context.Context) error {
	tick := time.NewTicker(roundEvery)
	defer tick.Stop()
	for {
		var all sync.WaitGroup
		for _, site := range h.crms.inForce() {
			all.Go(func() { h.round(ctx, site) })
		}
		all.Wait()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-h.crms.again:
		}
	}
}

func (h *house) round(ctx context.Context, site *civicrm.Sink) {
	ctx, cancel := context.WithTimeout(ctx, roundTime)
	defer cancel()
	if err := site.Round(ctx); err != nil && ctx.Err() == nil {
		h.log.Warn("who is on hold at CiviCRM could not be compared", "sink", site.Name(), "err", err)
	}
}
