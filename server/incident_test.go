package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"homing/event"
)

func TestAnIncidentIsToldOnceWhenItOpensAndOnceWhenItIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []event.Type
		var full atomic.Bool
		i := newIncidents(time.Now, func(_ context.Context, e event.Event) error {
			if full.Load() {
				return errors.New("no room")
			}
			told = append(told, e.Type)
			return nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { i.run(ctx); close(done) }()
		want := func(when string, types ...event.Type) {
			t.Helper()
			synctest.Wait()
			if !slices.Equal(told, types) {
				t.Errorf("%s: told %v, want %v", when, told, types)
			}
		}

		full.Store(true)
		if i.see(ctx, "crm disk", event.Event{}) == nil {
			t.Error("see hides that nothing was told")
		}
		full.Store(false)
		i.see(ctx, "crm disk", event.Event{})
		i.see(ctx, "crm disk", event.Event{})
		want("seen again after it could not be told", event.IncidentOpened)

		full.Store(true)
		<-time.After(2 * time.Hour)
		full.Store(false)
		<-time.After(time.Hour)
		want("quiet, with a full disk in between", event.IncidentOpened, event.IncidentClosed)
		cancel()
		<-done
	})
}

func TestAnApplicationThatTriesEveryDomainOpensFewIncidents(t *testing.T) {
	told := 0
	i := newIncidents(time.Now, func(context.Context, event.Event) error { told++; return nil })
	for n := range 1000 {
		i.see(t.Context(), i.name("crm sender", fmt.Sprintf("d%d.test", n)), event.Event{})
	}
	if told != maxAlike+1 || len(i.open) != told {
		t.Errorf("%d incidents told, %d remembered; want %d", told, len(i.open), maxAlike+1)
	}
}
