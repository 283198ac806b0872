package selfcheck

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"homing/dnscheck"
)

// runTime is how long a whole run may take. What has not ended by then is
// skipped. Checks are told to end a little sooner, so that they can say
// themselves what they found by then.
const (
	runTime   = 10 * time.Second
	checkTime = runTime - 500*time.Millisecond
)

// Unfinished names the findings about checks that gave none.
const Unfinished = "check"

// crew runs checks side by side, and knows which of earlier runs have still
// not ended.
type crew struct {
	mu   sync.Mutex
	busy map[string]bool
	all  sync.WaitGroup
}

// Once runs checks and remembers nothing. It ends with ctx or after ten seconds,
// whatever a check does.
func Once(ctx context.Context, checks []Check) Result {
	began := time.Now()
	found := new(crew).run(ctx, checks)
	r := Result{Time: time.Now().UTC(), Took: time.Since(began).Seconds(), Findings: make([]Finding, 0, len(found))}
	for _, f := range found {
		r.Findings = append(r.Findings, Finding{f, r.Time})
	}
	return r
}

// run gives the findings of all checks, sorted. It ends with ctx or after
// runTime, whatever a check does.
func (c *crew) run(ctx context.Context, checks []Check) []dnscheck.Finding {
	ctx, stop := context.WithTimeout(ctx, runTime)
	defer stop()
	each, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	results := make(chan part, len(checks))
	open := map[string]bool{}
	var all []dnscheck.Finding
	for _, check := range checks {
		if !c.begin(each, check, results) {
			all = append(all, skipped(check.Name, "it has not ended since an earlier run"))
			continue
		}
		open[check.Name] = true
	}
	for len(open) > 0 {
		select {
		case p := <-results:
			delete(open, p.name)
			all = append(all, p.findings...)
		case <-ctx.Done():
			for name := range open {
				all = append(all, skipped(name, fmt.Sprintf("it did not end within %v", runTime)))
			}
			clear(open)
		}
	}
	dnscheck.Sort(all)
	return all
}

// leaveTime is how long checks get at the end of everything.
const leaveTime = time.Second

// leave waits for the checks that are still at it, after their context has
// ended, but only for a moment: one that hangs must not keep the store open.
func (c *crew) leave() {
	gone := make(chan struct{})
	go func() {
		c.all.Wait()
		close(gone)
	}()
	t := time.NewTimer(leaveTime)
	defer t.Stop()
	select {
	case <-gone:
	case <-t.C:
	}
}

// A part is what one check found.
type part struct {
	name     string
	findings []dnscheck.Finding
}

// begin starts a check unless it is still at it.
func (c *crew) begin(ctx context.Context, check Check, results chan<- part) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy[check.Name] {
		return false
	}
	if c.busy == nil {
		c.busy = map[string]bool{}
	}
	c.busy[check.Name] = true
	c.all.Go(func() {
		p := part{check.Name, safely(ctx, check)}
		c.mu.Lock()
		delete(c.busy, check.Name)
		c.mu.Unlock()
		results <- p // there is room for every part
	})
	return true
}

// safely runs a check. One that breaks is a finding like others: it must not
// take the mail with it.
func safely(ctx context.Context, check Check) (all []dnscheck.Finding) {
	defer func() {
		if r := recover(); r != nil {
			all = []dnscheck.Finding{skipped(check.Name, fmt.Sprintf("it broke: %v %s", r, firstLines(debug.Stack())))}
		}
	}()
	return check.Run(ctx)
}

// firstLines are so many octets of a stack as help to find the place.
func firstLines(stack []byte) []byte { return stack[:min(len(stack), 2000)] }

func skipped(name, why string) dnscheck.Finding {
	return dnscheck.Finding{Check: Unfinished, Subject: name, Verdict: dnscheck.Skipped, Found: why}
}
