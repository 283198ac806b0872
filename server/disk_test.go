package server_test

import (
	"strings"
	"testing"

	"homing/store"
)

func TestWhatTheStoreDoesNotTakeIsAnsweredByItsCause(t *testing.T) {
	tests := []struct {
		name        string
		fault       error
		submit, tag string // the answer to a message of the CRM, and to a report
	}{
		{"a full disk", store.ErrFull, "452 4.3.1", "452 4.3.1"},
		{"a disk that failed", store.ErrFailed, "451 4.3.0 the disk failed", "451 4.3.0 the disk failed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := open(t, nil)
			w.send("news@example.org", "ann@example.net", news)
			r := w.delivered()
			before := w.told()
			w.store.refuse(tt.fault)
			if got := w.send("news@example.org", "bob@example.net", news); !strings.HasPrefix(got, tt.submit) {
				t.Errorf("a message: %q, want %s", got, tt.submit)
			}
			for _, to := range []string{r.ReturnPath, "civimail@bounce.example.org", "abuse@example.org"} {
				if got := w.report(to, bounced); !strings.HasPrefix(got, tt.tag) {
					t.Errorf("mail to %s: %q, want %s", to, got, tt.tag)
				}
			}
			w.store.refuse(nil)
			if got := w.told(); got != before {
				t.Errorf("told %q, want %q", got, before)
			}
			if got := w.report(r.ReturnPath, bounced); got[:3] != "250" || !w.held("ann@example.net") {
				t.Errorf("the report, sent again: %q, held %v", got, w.held("ann@example.net"))
			}
		})
	}
}
