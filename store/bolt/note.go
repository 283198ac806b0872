package bolt

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// noteMost is the size of the largest note, in octets.
const noteMost = 64 << 10

var errNote = errors.New("bolt: no such note can be kept")

// noteKey is where a note lies.
func noteKey(space, name string) string { return space + "\x00" + name }

// Notes implements store.Store.
func (s *Store) Notes(ctx context.Context, space string) (map[string][]byte, error) {
	if err := s.broken(ctx); err != nil {
		return nil, err
	}
	notes := map[string][]byte{}
	first := noteKey(space, "")
	err := s.scan(bucketNote, span{first: first, end: space + "\x01"}, func(_ *view, key string, row []byte) (bool, error) {
		notes[strings.TrimPrefix(key, first)] = append([]byte{}, row[1:]...)
		return true, nil
	})
	return notes, err
}

// Note implements store.Store.
func (s *Store) Note(ctx context.Context, space string, values map[string][]byte) error {
	if len(values) > changesMost {
		return fmt.Errorf("%w: %d at once", errNote, len(values))
	}
	for name, value := range values {
		if err := fitsNote(space, name, value); err != nil {
			return err
		}
	}
	if len(values) == 0 {
		return s.broken(ctx)
	}
	return s.submit(ctx, true, func(t *txn) error {
		for name, value := range values {
			t.note(space, name, value)
		}
		return nil
	})
}

func fitsNote(space, name string, value []byte) error {
	if strings.Contains(space+name, "\x00") || len(space)+len(name) > longestKey || len(value) > noteMost {
		return fmt.Errorf("%w: %q in %q with %d octets", errNote, name, space, len(value))
	}
	return nil
}

func (t *txn) note(space, name string, value []byte) {
	if value == nil {
		t.del(bucketNote, noteKey(space, name))
		return
	}
	t.put(bucketNote, noteKey(space, name), append(present(), value...))
}
