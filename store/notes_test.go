package store_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"

	"homing/store"
)

// parts are what was noted, one call after the other. The second call fails.
type parts []map[string][]byte

var errSecond = errors.New("the second part")

func (p *parts) Note(_ context.Context, _ string, values map[string][]byte) error {
	if *p = append(*p, values); len(*p) == 2 {
		return errSecond
	}
	return nil
}

func TestNoteAllGoesInPartsThatAreBounded(t *testing.T) {
	tests := []struct {
		name           string
		values, octets int
		want           []int // values of each part
	}{
		{"nothing", 0, 0, nil},
		{"what fits", 500, 100, []int{500}},
		{"many", 1001, 0, []int{500, 500, 1}},
		{"large ones", 40, 64 << 10, []int{16, 16, 8}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			values := map[string][]byte{}
			for i := range tt.values {
				values[fmt.Sprintf("%04d", i)] = make([]byte, tt.octets)
			}
			var p parts
			err := store.NoteAll(t.Context(), &p, "space", values)
			if fails := len(tt.want) > 1; errors.Is(err, errSecond) != fails || !fails && err != nil {
				t.Errorf("NoteAll = %v, want an error: %v", err, fails)
			}
			var got []int
			all := map[string][]byte{}
			for _, part := range p {
				got = append(got, len(part))
				maps.Copy(all, part)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("parts (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(values, all); diff != "" {
				t.Errorf("what was noted (-want +got):\n%s", diff)
			}
		})
	}
}
