package queue

import (
	"context"
	"fmt"
	"time"

	"homing/bounce"
	"homing/event"
)

// Unknown groups by their shape the failures since a time that no rule
// understands: neither when they were told, nor one of these rules. What we
// said ourselves is not among them. The zero time is the beginning of the log.
// One reads the log at a time: ErrBusy.
func (q *Queue) Unknown(ctx context.Context, since time.Time, rules bounce.Rules) (bounce.UnknownList, error) {
	if !q.reading.TryLock() {
		return bounce.UnknownList{}, ErrBusy
	}
	defer q.reading.Unlock()
	from := event.ID(1)
	if !since.IsZero() {
		from = event.FirstID(since)
	}
	var found bounce.Unknowns
	j := newJudge(rules)
	err := q.readLog(ctx, from, 0, func(e event.Event) error {
		unknown, err := q.unknown(ctx, e, j)
		if unknown {
			found.Add(bounce.Quote{Code: e.Code, Status: e.Status, Text: e.Diagnostic, Address: e.Recipient, Host: e.RemoteMTA, Time: e.Time})
		}
		return err
	})
	if err != nil {
		return bounce.UnknownList{}, fmt.Errorf("looking for what no rule understands: %w", err)
	}
	return found.List(), nil
}

// unknown reports whether a fact is a failure that was not understood and still
// is not. One that expired has the rule of the last reply.
func (q *Queue) unknown(ctx context.Context, e event.Event, j judge) (bool, error) {
	if !failure(e) || e.Reason != string(bounce.Unknown) && !(e.Type == event.Expired && e.Rule == bounce.NoRule) {
		return false, nil
	}
	if e.Basis == nil {
		return true, nil
	}
	if e.Basis.Ours {
		return false, nil
	}
	v, err := q.rejudge(ctx, e, j)
	return v[0].Reason == bounce.Unknown, err
}
