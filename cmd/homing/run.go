package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"homing/config"
	"homing/event"
)

// run runs every part until ctx ends or one of them fails, and then stops them
// stage by stage, the last one that was started first: nothing new comes in,
// then what is on its way out ends, then the sinks are told what came of it.
// HTTP goes on until the end, so that a server that takes long to stop can be
// looked at.
func (h *house) run(ctx context.Context) error {
	running, stop := context.WithCancel(ctx)
	defer stop()
	intake := []part{{"reloading", h.reloads}, {"certificate", h.certs.Run}, {"sources", h.watchFolders}}
	if h.spool != nil {
		intake = append(intake, part{"spool", h.spool.Run})
	}
	watch := func(ctx context.Context) error { return h.notify.Watch(ctx, h.alive, h.summary) }
	var talk []part
	for _, l := range h.listeners {
		p := part{l.what + " at " + l.address, l.serve}
		if l.http {
			talk = append(talk, p)
		} else {
			intake = append(intake, p)
		}
	}
	stages := []*stage{
		start(ctx, stop, append(talk, part{"service manager", watch})...),
		start(ctx, stop, part{"queue", h.queue.Run}, part{"TLS reports", h.reports.Run}, part{"sinks", h.teller.Run},
			part{"holds of CiviCRM", h.rounds}, part{"Maildirs", h.sweeps}),
		start(ctx, stop, part{"delivery", h.delivery.Run}, part{"MTA-STS policies", h.policies.Run}, part{"incidents", h.server.Run},
			part{"received reports", h.received.Run}, part{"reviews", h.reviews.Run}, part{"self-check", h.checker.Run}, part{"digest", h.digests}),
		start(ctx, stop, intake...),
	}
	close(h.open)
	h.log.Info("ready", "version", version, "hostname", h.cfg.Hostname, "mode", h.cfg.Mode, "took", time.Since(h.started))
	h.notify.Ready(h.summary())
	h.ready(h)
	<-running.Done()
	close(h.stopping)
	h.notify.Stopping("stopping: finishing what is under way")
	h.log.Info("stopping: finishing what is under way")
	var errs []error
	for i, s := range slices.Backward(stages) {
		if i == 1 {
			h.lastFacts()
		}
		errs = append(errs, s.end())
	}
	return errors.Join(errs...)
}

// lastFactsTime is how long sinks that work get for what happened last, before
// they have to wait for the next start.
const lastFactsTime = 3 * time.Second

// lastFacts waits until every sink that works has been told everything.
func (h *house) lastFacts() {
	ctx, cancel := context.WithTimeout(context.Background(), lastFactsTime)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !h.allTold() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// allTold reports whether the sinks that work have passed the whole log.
func (h *house) allTold() bool {
	ended, end := context.WithCancel(context.Background())
	end() // Events is to wait for nothing
	for _, s := range h.teller.Status() {
		if s.State != event.Working {
			continue
		}
		if more, _ := h.store.Events(ended, s.Told, 1); len(more) > 0 {
			return false
		}
	}
	return true
}

// reloads reads the configuration again at each SIGHUP.
func (h *house) reloads(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-h.hup:
		}
		// Its error is in the log, and nobody else waits for it.
		_ = h.reload()
	}
}

func (h *house) logMistakes(err error) {
	const message = "the configuration was not reloaded: the old one stays"
	var problems config.Problems
	if !errors.As(err, &problems) {
		h.log.Error(message, "err", err)
	}
	for _, p := range problems {
		if !p.Warning {
			h.log.Error(message, "problem", p.String())
		}
	}
}

// reload swaps what is live; a mistake in the file changes nothing and is
// logged. Whoever reloads at the same time waits.
func (h *house) reload() error {
	h.reloading.Lock()
	defer h.reloading.Unlock()
	h.notify.Reloading()
	err := h.renew()
	if err != nil {
		h.logMistakes(err)
	}
	h.stale.Store(err != nil)
	h.notify.Ready(h.summary())
	return err
}

func (h *house) renew() error {
	cfg, err := config.Load(h.path)
	if err != nil {
		return err
	}
	live := cfg.Keeping(h.cfg)
	policy, err := h.policy(live)
	if err != nil {
		return err
	}
	table, err := tableOf(live)
	if err != nil {
		return err
	}
	if err := h.useSinks(live); err != nil {
		return err
	}
	h.rules.Use(table)
	h.server.SetPolicy(policy)
	h.received.SetNames(reportedNames(live))
	h.lookAtCertificates()
	h.setDelivery(live) // before the queue says that mail goes by a new smarthost
	h.queue.SetOptions(queueOptions(live))
	h.live.Store(live)
	h.sources.use()
	h.checker.SetInterval(live.Check.Interval)
	for _, w := range cfg.Warnings {
		h.log.Warn("configuration", "problem", w.String())
	}
	for _, key := range cfg.RestartFor(h.cfg) {
		h.log.Warn("this change takes effect at the next start", "key", key)
	}
	if h.spool != nil {
		h.spool.Flush() // what was refused may not be any more
	}
	h.log.Info("configuration reloaded")
	return nil
}
