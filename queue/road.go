package queue

import (
	"fmt"
	"time"

	"homing/queue/shape"
)

// What determines how long mail to a site takes.
const (
	LimitRate        = "rate"        // messages in a length of time
	LimitConnections = "connections" // at once, each of which is as fast as it is
	LimitWarmup      = "warmup"      // what new source addresses may send on a day
	LimitBackoff     = "backoff"     // the site wanted less mail, or none
	LimitSlots       = "slots"       // dialogues of the server at once
	LimitPaused      = "paused"      // somebody decided so
	LimitLater       = "later"       // the next attempt for what was put off
	LimitFar         = "far"         // it takes longer than anybody looks ahead
)

// A road is what there is to know of a site to say how long mail to it takes.
type road struct {
	site   shape.Site
	speed  float64          // messages a second over one connection
	allow  map[string][]int // by source that is new: how many messages on each of its first days
	paused bool             // nothing goes there
}

// An arrival is when some mail has gone, and what determines that.
type arrival struct {
	at  time.Time // zero: nobody knows
	by  string
	why string // the limit in words
}

// later gives the later of two arrivals; one without a time is the latest.
func (f arrival) later(other arrival) arrival {
	if f.at.IsZero() && f.by != "" || !other.at.IsZero() && !other.at.After(f.at) || other.by == "" {
		return f
	}
	return other
}

// farDays is how many days anybody looks ahead.
const farDays = 400

// A lane is a way to a site from one source address, as it is used day by day.
type lane struct {
	shape.Path
	pace  float64 // messages a second
	begin time.Time
	allow []int // by day of use; none: as many as it likes
	full  bool  // some day it sent all that it might
}

// lanes gives the ways of a road.
func (r *road) lanes(now time.Time) []lane {
	var all []lane
	for _, p := range r.site.Paths {
		l := lane{Path: p, begin: now, pace: r.pace(p)}
		if p.Allowance >= 0 {
			l.allow = r.allow[p.Source]
		}
		if p.Until.After(now) {
			l.begin = p.Until
		}
		all = append(all, l)
	}
	return all
}

// pace is how many messages a second a way takes once the site serves us as
// usual.
func (r *road) pace(p shape.Path) float64 {
	pace := float64(r.connections(p)) * r.speed
	if rate := r.site.Rule.Rate; rate.Count > 0 {
		pace = min(pace, float64(rate.Count)/rate.Per.Seconds())
	}
	return pace
}

func (r *road) connections(p shape.Path) int {
	n := r.site.Rule.Connections
	if p.Learned > 0 {
		n = min(n, p.Learned)
	}
	return max(n, 1)
}

// left is how many messages a lane may still send on its day.
func (l *lane) left() float64 {
	if l.Day >= len(l.allow) {
		return -1
	}
	return float64(max(0, l.allow[l.Day]-l.Sent))
}

// by gives how many messages a lane has taken until t, of those of this day.
func (l *lane) by(t time.Time) float64 {
	if !t.After(l.begin) {
		return 0
	}
	n := t.Sub(l.begin).Seconds() * l.pace
	if most := l.left(); most >= 0 {
		n = min(n, most)
	}
	return n
}

// filled reports whether a lane has sent by t what it may on the day.
func (l *lane) filled(t time.Time) bool {
	most := l.left()
	return most >= 0 && l.by(t) >= most
}

// dusk ends the day of a lane.
func (l *lane) dusk(morning time.Time) {
	l.full = l.full || l.filled(morning)
	sent := l.Sent + int(l.by(morning)+0.5)
	if l.Day < len(l.allow) && sent > 0 && 2*sent >= l.allow[l.Day] {
		l.Day++
	}
	l.Sent = 0
	if l.begin.Before(morning) {
		l.begin = morning
	}
}

// through says when n messages have gone, if nothing else does, and what
// determines it.
func (r *road) through(n int, now time.Time) arrival {
	if r.paused {
		return arrival{by: LimitPaused, why: "it is paused"}
	}
	lanes := r.lanes(now)
	need, day := float64(n), now
	taken := func(t time.Time) (sum float64) {
		for i := range lanes {
			sum += lanes[i].by(t)
		}
		return sum
	}
	for range farDays {
		morning := time.Unix((dateOf(day)+1)*24*60*60, 0)
		if got := taken(morning); got < need {
			need -= got
			for i := range lanes {
				lanes[i].dusk(morning)
			}
			day = morning
			continue
		}
		at := earliest(day, morning, func(t time.Time) bool { return taken(t) >= need })
		by, why := r.limit(lanes, now, at)
		return arrival{at: at, by: by, why: why}
	}
	return arrival{by: LimitFar, why: fmt.Sprintf("more than %d days", farDays)}
}

// earliest gives the first time from one moment to another at which ok holds,
// which it does at the end.
func earliest(from, to time.Time, ok func(time.Time) bool) time.Time {
	for to.Sub(from) > 10*time.Millisecond {
		if middle := from.Add(to.Sub(from) / 2); ok(middle) {
			to = middle
		} else {
			from = middle
		}
	}
	return to
}

// limit says what determines that mail has gone only at a time.
func (r *road) limit(lanes []lane, now, at time.Time) (by, why string) {
	best, warm := lanes[0], false
	for i, l := range lanes {
		if l.pace > best.pace {
			best = lanes[i]
		}
		warm = warm || l.full || l.filled(at)
	}
	held := r.held(now)
	switch rate := r.site.Rule.Rate; {
	case warm:
		return LimitWarmup, fmt.Sprintf("%d messages today from a source address that is new", max(0, allowance(r.site.Paths)))
	case !held.IsZero() && 2*held.Sub(now) >= at.Sub(now):
		return LimitBackoff, "it is left alone until " + held.UTC().Format("15:04 MST")
	case rate.Count > 0 && best.pace*rate.Per.Seconds() >= float64(rate.Count)-1e-9:
		return LimitRate, fmt.Sprintf("%d messages %s%s", rate.Count, PerWords(rate.Per), each(len(lanes)))
	}
	return LimitConnections, fmt.Sprintf("%d connections at %s messages a second%s", r.connections(best.Path), speedWords(r.speed), each(len(lanes)))
}

// speedWords is a number of messages as people write it, not more exact than it
// was measured.
func speedWords(speed float64) string {
	if speed >= 100 {
		return fmt.Sprintf("%.0f", speed)
	}
	return fmt.Sprintf("%.3g", speed)
}

// PerWords is the length of time of a rate, in words that follow a number of
// messages.
func PerWords(per time.Duration) string {
	switch per {
	case time.Second:
		return "a second"
	case time.Minute:
		return "a minute"
	case time.Hour:
		return "an hour"
	}
	return "in " + per.String()
}

// held is until when the site is left alone from every source; zero: it is not.
func (r *road) held(now time.Time) (until time.Time) {
	for i, p := range r.site.Paths {
		if !p.Until.After(now) {
			return time.Time{}
		}
		if i == 0 || p.Until.Before(until) {
			until = p.Until
		}
	}
	return until
}

// allowance is the daily limit of the first path that has one.
func allowance(paths []shape.Path) int {
	for _, p := range paths {
		if p.Allowance >= 0 {
			return p.Allowance
		}
	}
	return -1
}

func each(sources int) string {
	if sources < 2 {
		return ""
	}
	return fmt.Sprintf(", from each of %d addresses", sources)
}
