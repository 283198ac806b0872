package store

import (
	"context"
	"errors"
	"maps"
	"slices"
)

// A Noter takes notes. Every Store is one.
type Noter interface {
	Note(ctx context.Context, space string, values map[string][]byte) error
}

// What NoteAll gives to one call of Note: so many values, or so many octets
// with the value that brings them over it.
const (
	partValues = 500
	partOctets = 1 << 20
)

// NoteAll is Note for any number of values: in the order of their names, a
// bounded part at a time, so that nobody else waits long for the disk. A part
// is noted or not whatever becomes of the others; the error joins all of them.
func NoteAll(ctx context.Context, n Noter, space string, values map[string][]byte) (err error) {
	part, octets := map[string][]byte{}, 0
	end := func() {
		if len(part) > 0 {
			err = errors.Join(err, n.Note(ctx, space, part))
			part, octets = map[string][]byte{}, 0
		}
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		part[name] = values[name]
		if octets += len(values[name]); octets >= partOctets || len(part) == partValues {
			end()
		}
	}
	end()
	return err
}
