package dnscheck

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"homing/internal/dnsx"
)

// Options say how long a Run may take, and what it may ask beside the DNS. The
// zero Options are good.
type Options struct {
	Within time.Duration // the whole run, but for half a second; 0: 9 s
	Each   time.Duration // what one check waits for answers; 0: 7 s
	Signed string        // a host in a zone that is known to be signed, to see whether the resolver validates; "": iana.org
	// Policy gets what a domain serves at https://mta-sts.DOMAIN (RFC 8461
	// section 3.3); nil: it is not asked for. An error that is ErrNoWay says
	// nothing of what others get.
	Policy func(ctx context.Context, domain string) (STS, error)
	// Pins gives the TLSA records that our certificate wants beside those that
	// are published, which are some; nil: Setup.Pinned.
	Pins func(published []dnsx.TLSA) []dnsx.TLSA
}

// An STS is what counts of a policy about TLS (RFC 8461 section 3.2).
type STS struct {
	Mode   string   // "enforce", "testing" or "none"
	MX     []string // the hosts that it lists, in lower case, perhaps "*.example.net"
	MaxAge time.Duration
}

// ErrNoWay says that something cannot be asked from here, though others may
// reach it.
var ErrNoWay = errors.New("there is no way to it from this machine")

// An Aliaser is a Resolver that tells aliases. With any other, names that must
// not be aliases count as right.
type Aliaser interface {
	// Alias gives what a name is an alias of; dnsx.ErrNoData: it is none.
	Alias(ctx context.Context, name string) (string, error)
}

const (
	runWithin = 9 * time.Second
	eachWaits = 7 * time.Second
	// lateness is how long a check that does not heed its context is waited
	// for.
	lateness = 500 * time.Millisecond
	// checksAtOnce bounds the questions that the resolver gets at one time.
	checksAtOnce = 100

	noTime = "there was no time left for it"
)

// Run makes every check and gives what each of them found, sorted by Sort. All
// run at once, and none outlasts the Options: what was not answered by then is
// Skipped, as is what a check that breaks would have said. A Resolver or a
// Policy that does not heed its context is left behind.
func Run(ctx context.Context, r Resolver, s Setup, o Options) []Finding {
	o.Within, o.Each = cmp.Or(o.Within, runWithin), cmp.Or(o.Each, eachWaits)
	o.Signed = cmp.Or(o.Signed, "iana.org")
	r = fromOutside(r, s)
	c := &checker{r: r, s: s, o: o, plan: &planner{r: r, s: s}}
	return c.all(ctx, c.jobs())
}

// A checker makes the checks of one Run.
type checker struct {
	r    Resolver
	s    Setup
	o    Options
	plan *planner // who knows what is wanted
}

// A job makes the checks of one subject that belong together. What it leaves
// out is Skipped.
type job struct {
	subject string
	checks  []string
	run     func(context.Context) []Finding
}

func (c *checker) jobs() []job {
	return slices.Concat(c.resolverJobs(), c.hostJobs(), c.ptrJobs(), c.mxJobs(), c.spfJobs(), c.dkimJobs(), c.dmarcJobs(), c.tlsJobs())
}

// all does the jobs and waits for them, but no longer than it may.
func (c *checker) all(ctx context.Context, jobs []job) (all []Finding) {
	ctx, cancel := context.WithTimeout(ctx, c.o.Within)
	defer cancel()
	late := make(chan struct{})
	defer context.AfterFunc(ctx, func() { time.AfterFunc(lateness, func() { close(late) }) })()

	slots := make(chan struct{}, checksAtOnce)
	results := make([]chan []Finding, len(jobs))
	for i, j := range jobs {
		results[i] = make(chan []Finding, 1)
		select { // in their order: the resolver's own comes first
		case slots <- struct{}{}:
			go func() { results[i] <- j.do(ctx, slots, c.o.Each) }()
		case <-ctx.Done():
			results[i] <- nil
		}
	}
	for i, j := range jobs {
		all = append(all, j.await(results[i], late)...)
	}
	Sort(all)
	return all
}

// await takes what a job found; when it is late, only what is there already.
func (j job) await(result <-chan []Finding, late <-chan struct{}) []Finding {
	select {
	case found := <-result:
		return j.complete(found, noTime)
	case <-late:
	}
	select {
	case found := <-result:
		return j.complete(found, noTime)
	default:
		return j.complete(nil, "the check did not end in time")
	}
}

// do makes the checks of a job, which has a slot, and gives that back.
func (j job) do(ctx context.Context, slots chan struct{}, each time.Duration) (found []Finding) {
	defer func() { <-slots }()
	ctx, cancel := context.WithTimeout(ctx, each)
	defer cancel()
	defer func() {
		if broken := recover(); broken != nil {
			found = j.complete(nil, fmt.Sprintf("the check itself broke, which is a mistake in Homing: %.200v", broken))
		}
	}()
	return j.run(ctx)
}

// complete gives a finding for each check of a job: what was found, or that
// nothing was.
func (j job) complete(found []Finding, why string) []Finding {
	for i := range found {
		found[i].Subject = cmp.Or(found[i].Subject, j.subject)
	}
	for _, check := range j.checks {
		if !slices.ContainsFunc(found, func(f Finding) bool { return f.Check == check }) {
			found = append(found, Finding{Check: check, Subject: j.subject, Verdict: Skipped, Found: why})
		}
	}
	return found
}

// noAnswer says that the DNS did not answer what a check asked.
func noAnswer(check string, err error) Finding {
	f := skipped(check, err.Error())
	f.Fix = "Check again in a few minutes. If it stays so, look at what the checks \"resolver\" and \"nameservers\" say."
	switch {
	case errors.Is(err, errInside):
		f.Fix = "See what the check \"helo\" says."
	case errors.Is(err, context.DeadlineExceeded):
		f.Found = "no answer in time: " + f.Found
	}
	return f
}

func skipped(check, why string) Finding { return Finding{Check: check, Verdict: Skipped, Found: why} }

func right(check, wanted, found string) Finding {
	return Finding{Check: check, Verdict: OK, Wanted: wanted, Found: found}
}

// silent reports whether an error says only that nobody answered.
func silent(err error) bool { return errors.Is(err, dnsx.ErrTemporary) }

// lesser gives Warn for what would be a Fail, where it matters less.
func lesser(less bool) Verdict {
	if less {
		return Warn
	}
	return Fail
}
