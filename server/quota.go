package server

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"homing/internal/reply"
)

// quotas counts what applications send: by day, and how fast. It outlives a
// reload, so that a reload gives nobody a fresh day.
type quotas struct {
	now func() time.Time

	mu    sync.Mutex
	day   string // UTC
	sent  map[string]int
	rates map[string]*rate.Limiter
}

// maxRateWait is how long a MAIL is kept waiting for an application's rate
// before it is answered 451. Clients wait for at least five minutes (RFC 5321
// section 4.5.3.2.2), CiviCRM for thirty seconds.
const maxRateWait = 10 * time.Second

func newQuotas(now func() time.Time, sentToday map[string]int) *quotas {
	q := &quotas{now: now, sent: map[string]int{}, rates: map[string]*rate.Limiter{}}
	q.day = now().UTC().Format(time.DateOnly)
	for name, n := range sentToday {
		q.sent[name] = n
	}
	return q
}

var (
	errDailyLimit = reply.Errorf(451, reply.Enhanced{4, 7, 1}, "the daily limit of this application is used up; try again tomorrow, or raise daily_limit")
	errRate       = reply.Errorf(451, reply.Enhanced{4, 7, 1}, "this application sends faster than its allow_rate; try again later")
)

// admit waits for the application's rate, and refuses where its day is full.
func (q *quotas) admit(ctx context.Context, a *Application) error {
	q.mu.Lock()
	q.turn()
	full := a.DailyLimit > 0 && q.sent[a.Name] >= a.DailyLimit
	limiter := q.limiter(a)
	q.mu.Unlock()
	if full {
		return errDailyLimit
	}
	if limiter == nil {
		return nil
	}
	wait, cancel := context.WithTimeout(ctx, maxRateWait)
	defer cancel()
	if err := limiter.Wait(wait); err != nil {
		return errRate.With(err)
	}
	return nil
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

// count adds recipients to the application's day.
func (q *quotas) count(a *Application, recipients int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.turn()
	q.sent[a.Name] += recipients
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
