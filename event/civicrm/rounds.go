package civicrm

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// maxRound is the most addresses that one round looks at; the next one goes on
// behind them.
const maxRound = 20_000

// Round makes holds agree that one side has ended: whom somebody took off hold
// at CiviCRM is released here, and what has run out or was released here is
// taken off hold there. Whatever else is on hold at CiviCRM is left alone. One
// call looks at two hundred addresses. Rounds are not run side by side.
func (s *Sink) Round(ctx context.Context) error {
	all := s.c.Memory.entries()
	names := s.c.Memory.nextOf(slices.Sorted(maps.Keys(all)))
	var errs []error
	for part := range slices.Chunk(names, maxRecords/4) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var look []entry
		for _, name := range part {
			goesOn, err := s.goesOn(ctx, all[name])
			if goesOn {
				look = append(look, all[name])
			}
			errs = append(errs, err)
		}
		if err := s.look(ctx, look); err != nil {
			return errors.Join(append(errs, err)...)
		}
	}
	return errors.Join(errs...)
}

// nextOf gives the names that are to be looked at in this round.
func (m *Memory) nextOf(names []string) []string {
	if len(names) <= maxRound {
		return names
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	i, _ := slices.BinarySearch(names, m.next)
	names = slices.Concat(names[i:], names[:i])
	m.next = names[maxRound]
	return names[:maxRound]
}

// goesOn reports whether a hold still stands here and was set there. What has
// run out here ends there as well, where it was ours; what was released, also
// where CiviCRM held for what we had told.
func (s *Sink) goesOn(ctx context.Context, x entry) (bool, error) {
	if !x.Done {
		return false, nil
	}
	done, err := s.c.Memory.turns.take(ctx, x.Address)
	if err != nil {
		return false, err
	}
	defer done()
	if now, _ := s.c.Memory.entry(x.Address); !reflect.DeepEqual(now, x) {
		return false, nil // somebody is at it: the next round sees what came of it
	}
	left, err := s.standing(ctx, x)
	switch {
	case err != nil:
		return false, err
	case len(left.Scopes) > 0:
		return true, nil
	case !x.Until.IsZero() && !s.c.Now().Before(x.Until):
		return false, s.end(ctx, x, ours)
	}
	return false, s.end(ctx, x, ours, caused)
}

// look asks how the records of some addresses are.
func (s *Sink) look(ctx context.Context, all []entry) error {
	var ids []uint64
	for _, x := range all {
		for _, m := range x.Emails {
			ids = append(ids, m.ID)
		}
	}
	found := map[uint64]record{}
	for part := range slices.Chunk(ids, maxRecords) {
		records, err := s.records(ctx, []any{[]any{"id", "IN", part}})
		if err != nil {
			return permit(err)
		}
		for _, r := range records {
			found[r.id] = r
		}
	}
	if len(found) == 0 {
		return nil // more likely we may not see them any more than that all are gone
	}
	for _, x := range all {
		if err := s.compare(ctx, x, found); err != nil {
			return err
		}
	}
	return nil
}

// compare releases an address of which a record was taken off hold, and forgets
// records that are gone or of another address by now.
func (s *Sink) compare(ctx context.Context, x entry, found map[uint64]record) error {
	now := x
	now.Emails = nil
	free := false
	for _, m := range x.Emails {
		r, ok := found[m.ID]
		if !ok || !strings.EqualFold(r.address, x.Address) {
			continue
		}
		now.Emails = append(now.Emails, m)
		free = free || r.level == 0 || r.reset != "" && r.reset != m.Reset
	}
	if !free && len(now.Emails) == len(x.Emails) {
		return nil
	}
	done, err := s.c.Memory.turns.take(ctx, x.Address)
	if err != nil {
		return err
	}
	defer done()
	switch is, _ := s.c.Memory.entry(x.Address); {
	case !reflect.DeepEqual(is, x):
		return nil
	case free:
		return s.free(ctx, now)
	case len(now.Emails) == 0:
		return s.c.Memory.forget(ctx, x.Address)
	}
	return s.c.Memory.noteEntry(ctx, now)
}

// free releases an address here that somebody has released at CiviCRM, and its
// other records there.
func (s *Sink) free(ctx context.Context, x entry) error {
	for _, scope := range x.Scopes {
		if err := s.c.Queue.Release(ctx, scope.Application, x.Address); err != nil {
			return err
		}
	}
	s.c.Metrics.fact(s.c.Name, released)
	s.c.Logger.Info("an address is released, as it was at CiviCRM", "rcpt", x.Address)
	return s.end(ctx, x, ours, caused)
}
