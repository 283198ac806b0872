package server_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"homing/server"
	"homing/store"
)

// A crowdedStore has room for the beginning of a body and no more.
type crowdedStore struct{ server.Store }

func (s crowdedStore) NewBody(ctx context.Context) (store.Draft, error) {
	d, err := s.Store.NewBody(ctx)
	return crowdedDraft{d}, err
}

type crowdedDraft struct{ store.Draft }

func (d crowdedDraft) Write(p []byte) (int, error) {
	if d.Size()+int64(len(p)) > 1000 {
		return 0, fmt.Errorf("%w: write: no space left on device", store.ErrFull)
	}
	return d.Draft.Write(p)
}

func TestADiskThatFillsUpWithinAMessageIsNamed(t *testing.T) {
	w := openOn(t, nil, func(s server.Store) server.Store { return crowdedStore{s} })
	long := strings.Repeat("A line of a long message.\r\n", 100)
	for _, tt := range []struct{ name, answer string }{
		{"at submission", w.send("news@example.org", "ann@example.net", "From: news@example.org\r\n\r\n"+long+".")},
		{"at the MX", w.report("civimail@"+tagDomain, "From: bob@example.net\r\n\r\n"+long+".")},
	} {
		if !strings.HasPrefix(tt.answer, "452 4.3.1 ") {
			t.Errorf("%s: %q, want 452 4.3.1", tt.name, tt.answer)
		}
	}
	if got, want := w.told(), "incident_opened "; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
}
