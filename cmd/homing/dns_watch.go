package main

import (
	"context"
	"fmt"
	"time"

	"homing/dnscheck"
	"homing/internal/dnsx"
)

// The pauses between two looks at the DNS: the first, and the longest.
const (
	firstPause = 5 * time.Second
	maxPause   = 5 * time.Minute
)

// watchUntilGreen asks until everything is published, each time anew and, for
// our own names, at the servers of their zones.
func (j *dnsJob) watchUntilGreen(ctx context.Context) error {
	return j.watchWith(ctx, func(ctx context.Context) (dnscheck.Plan, []dnscheck.Difference, error) {
		ctx, cancel := context.WithTimeout(ctx, dnsWithin)
		defer cancel()
		r, err := dnsx.NewDirect(dnsOptions(j.cfg), organisations(j.setup))
		if err != nil {
			return dnscheck.Plan{}, nil, fmt.Errorf("dns.server: %w", err)
		}
		plan, err := j.plan(ctx, r)
		if err != nil {
			return plan, nil, err
		}
		return plan, dnscheck.Diff(ctx, r, plan), nil
	})
}

// organisations gives the domains below which all our names are.
func organisations(s dnscheck.Setup) []string {
	all := []string{dnsx.Organisation(s.Hostname)}
	for _, name := range append(s.Returns, s.Routed...) {
		all = append(all, dnsx.Organisation(name))
	}
	for _, d := range s.Domains {
		all = append(all, dnsx.Organisation(d.Name))
	}
	return all
}

// watchWith is watchUntilGreen with who asks. It shows everything at first,
// then each record that changes its state, and everything again when all is
// green; of JSON only that. The pauses become longer while nothing changes.
func (j *dnsJob) watchWith(ctx context.Context, ask func(context.Context) (dnscheck.Plan, []dnscheck.Difference, error)) error {
	states := map[string]dnscheck.State{}
	for pause, round := firstPause, 0; ; round++ {
		plan, all, err := ask(ctx)
		if ctx.Err() != nil {
			return &exitError{code: exitFailed}
		}
		if err != nil {
			return err
		}
		todo, unknown := dnscheck.Outstanding(plan, all)
		if todo+unknown == 0 {
			return j.printDiff(plan, all)
		}
		changed := j.told(all, states, round > 0)
		switch {
		case round == 0 && !j.json:
			if err := printDifferences(j.out, plan, all); err != nil {
				return err
			}
			fmt.Fprintln(j.out, "Asking again until all is green. Ctrl-C ends this.")
		case changed:
			pause = firstPause
		default:
			pause = min(pause*3/2, maxPause)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return &exitError{code: exitFailed}
		case <-timer.C:
		}
	}
}

// told takes over the states of the records, and says which have changed.
func (j *dnsJob) told(all []dnscheck.Difference, states map[string]dnscheck.State, aloud bool) (changed bool) {
	now := map[string]dnscheck.State{}
	for _, d := range all {
		id := d.Name + " " + d.Type + " " + d.Value
		now[id] = d.State
		if states[id] == d.State {
			continue
		}
		changed = true
		if aloud && !j.json {
			fmt.Fprintf(j.out, "%s  %-7s  %s %s %s\n", clock(time.Now()), d.State, d.Name, d.Type, shownValue(d))
		}
	}
	clear(states)
	for id, s := range now {
		states[id] = s
	}
	return changed
}
