package server

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"homing/internal/reply"
)

// quotas counts what applications send: by day, and how fast. It outlives a
// reload, so that a reload gives nobody a fresh day. A recipient takes its
// place in the day when it is named, and gives it back when nothing is
// accepted for it.
type quotas struct {
	now func() time.Time

	mu    sync.Mutex
	day   string // UTC
	sent  map[string]int
	taken map[string]int // places of transactions under way
	rates map[string]*rate.Limiter
}

// maxRateWait is how long a MAIL is kept waiting for an application's rate
// before it is answered 451. Clients wait for at least five minutes (RFC 5321
// section 4.5.3.2.2), CiviCRM for thirty seconds.
const maxRateWait = 10 * time.Second

func newQuotas(now func() time.Time, sentToday map[string]int) *quotas {
	q := &quotas{now: now, sent: map[string]int{}, taken: map[string]int{}, rates: map[string]*rate.Limiter{}}
	q.day = now().UTC().Format(time.DateOnly)
	for name, n := range sentToday {
		q.sent[name] = n
	}
	return q
}

var (
	errDailyLimit = reply.Errorf(451, reply.Enhanced{4, 7, 1}, "the daily limit of this application is used up; try again tomorrow, or raise daily_limit").With(ErrDaily)
	errNoMore     = reply.Errorf(452, reply.Enhanced{4, 5, 3}, "the daily limit of this application leaves room for no more recipients; send to the others tomorrow, or raise daily_limit")
	errRate       = reply.Errorf(451, reply.Enhanced{4, 7, 1}, "this application sends faster than its allow_rate; try again later").With(ErrRate)
)

// admit takes the first place of a transaction, or refuses where the day is
// full, and waits for the application's rate.
func (q *quotas) admit(ctx context.Context, a *Application) error {
	if !q.take(a) {
		return errDailyLimit
	}
	q.mu.Lock()
	limiter := q.limiter(a)
	q.mu.Unlock()
	if limiter == nil {
		return nil
	}
	wait, cancel := context.WithTimeout(ctx, maxRateWait)
	defer cancel()
	if err := limiter.Wait(wait); err != nil {
		q.release(a, 1)
		return errRate.With(fmt.Errorf("%w: %w", ErrRate, err))
	}
	return nil
}

// take takes a place for one recipient if the application's day has one left.
func (q *quotas) take(a *Application) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.turn()
	if a.DailyLimit > 0 && q.sent[a.Name]+q.taken[a.Name] >= a.DailyLimit {
		return false
	}
	q.taken[a.Name]++
	return true
}

// release gives places back that were not used.
func (q *quotas) release(a *Application, places int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.taken[a.Name] -= places
}

// count makes the places of a transaction recipients that were accepted. The
// rate is one of recipients: MAIL has waited for the first, and the next MAIL
// waits for the others.
func (q *quotas) count(a *Application, places, accepted int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.turn()
	q.taken[a.Name] -= places
	q.sent[a.Name] += accepted
	if l := q.limiter(a); l != nil {
		for n := accepted - 1; n > 0; n -= l.Burst() {
			l.ReserveN(time.Now(), min(n, l.Burst()))
		}
	}
}

// limiter gives the limiter for the application's rate as it is configured
// now. The caller holds mu.
func (q *quotas) limiter(a *Application) *rate.Limiter {
	if a.Rate <= 0 {
		return nil
	}
	l := q.rates[a.Name]
	if l == nil || l.Limit() != rate.Limit(a.Rate) {
		l = rate.NewLimiter(rate.Limit(a.Rate), max(1, int(a.Rate)))
		q.rates[a.Name] = l
	}
	return l
}

// today gives the recipients of the application's day so far.
func (q *quotas) today(application string) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.turn()
	return q.sent[application]
}

// turn begins a new day when there is one. The caller holds mu.
func (q *quotas) turn() {
	if day := q.now().UTC().Format(time.DateOnly); day != q.day {
		q.day = day
		clear(q.sent)
	}
}
