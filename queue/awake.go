package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// spaceAwake is where it is noted when a process was running, so that what
// waited for it does not wait for nothing after a restart.
const (
	spaceAwake = "awake"
	awakeName  = "spans"
)

// awakeEvery is how often it is noted. What a crash makes forgotten is less.
const awakeEvery = 10 * time.Minute

// mostAwake is how many spans are remembered: the latest.
const mostAwake = 200

// A span is the time from one moment to another.
type span struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// overlap gives how much of the time from one moment to another is in at least
// one of the spans. It changes their order.
func overlap(spans []span, from, to time.Time) (sum time.Duration) {
	slices.SortFunc(spans, func(a, b span) int { return a.From.Compare(b.From) })
	for _, s := range spans {
		if from.Before(s.From) {
			from = s.From
		}
		end := s.To
		if to.Before(end) {
			end = to
		}
		if end.After(from) {
			sum += end.Sub(from)
			from = end
		}
	}
	return sum
}

// recallAwake reads when processes before this one were running. A start soon
// after an end is no interruption.
func (q *Queue) recallAwake(ctx context.Context) error {
	notes, err := q.store.Notes(ctx, spaceAwake)
	if err != nil {
		return fmt.Errorf("reading when this server was running: %w", err)
	}
	var spans []span
	if text := notes[awakeName]; text != nil {
		if err := json.Unmarshal(text, &spans); err != nil {
			q.log.Warn("when this server was running cannot be read and is forgotten", "err", err)
		}
	}
	if n := len(spans); n > 0 && q.began.Sub(spans[n-1].To) <= awakeEvery {
		spans[n-1].To = q.began
	}
	q.awake = spans[max(0, len(spans)-mostAwake):]
	return nil
}

// noteAwake makes durable that this process is running. Where nobody waits
// nothing is noted.
func (q *Queue) noteAwake(ctx context.Context) {
	if q.Waiting() == 0 {
		return
	}
	spans, now := slices.Clone(q.awake), q.now().UTC()
	if n := len(spans); n > 0 && !q.began.After(spans[n-1].To) {
		spans[n-1].To = now
	} else {
		spans = append(spans, span{q.began.UTC(), now})
	}
	text, err := json.Marshal(spans)
	if err == nil {
		err = q.store.Note(ctx, spaceAwake, map[string][]byte{awakeName: text})
	}
	if err != nil && ctx.Err() == nil {
		q.log.Error("noting that this server is running failed", "err", err)
	}
}
