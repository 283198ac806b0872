package delivery_test

import (
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

func TestWhatIsNotWantedAnyMoreIsNotSent(t *testing.T) {
	tests := []struct {
		name  string
		items []string
		dials int
		want  map[string]string
	}{
		{"the others of its job are sent", []string{"a@example.net", "gone@example.net", "b@example.net"}, 1,
			map[string]string{"a@example.net": "dot: 250 2.0.0 queued by mx.example.net[198.51.100.1]", "b@example.net": "dot: 250 2.0.0 queued by mx.example.net[198.51.100.1]"}},
		{"nobody is dialled for it alone", []string{"gone@example.net", "gone2@example.net"}, 0, map[string]string{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.unwanted["gone@example.net"], w.unwanted["gone2@example.net"] = true, true
				w.mx("example.net", "mx.example.net", "198.51.100.1", hello+accept+accept+bye)
				w.job("example.net", tt.items...)
				w.run(w.config(), 1)
				if diff := cmp.Diff(tt.want, w.outcomes()); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if len(w.dialled) != tt.dials {
					t.Errorf("dialled %d times, want %d", len(w.dialled), tt.dials)
				}
				if last := w.events[len(w.events)-1]; last != "finish example.net" {
					t.Errorf("the last thing is %q, want the job given back: %v", last, w.events)
				}
			})
		})
	}
}
