package queue_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"homing/queue"
)

func TestWhoDoesNotTakeMailAsUsualIsNamed(t *testing.T) {
	relayed := options
	relayed.Limits.Via = map[string]string{"": "smarthost"}
	const locked = "!451 4.7.8 the smarthost cannot be used: 535 5.7.8 wrong password"
	tests := []struct {
		name string
		o    queue.Options
		run  func(w *world)
		want []string
	}{
		{"nobody", options, func(w *world) { w.attempt("452 4.2.2 mailbox full") }, nil},
		{"who could not be reached is tried again, and that is all", options, func(w *world) { w.attempt("!451 4.4.1 no answer") }, nil},
		{"who wants less mail", options, func(w *world) { w.attempt(slow) },
			[]string{"backoff example.net since 0s until 1m0s, 2 wait at example.net: " + slow}},
		{"and is being tried", options, func(w *world) { w.attempt(slow); after(2 * time.Minute) },
			[]string{"backoff example.net since 0s, 2 wait at example.net: " + slow}},
		{"a smarthost that does not know us", relayed, func(w *world) { w.attempt(locked); w.attempt(locked) },
			[]string{"smarthost smarthost since 0s, 2 wait at example.net: " + locked[1:]}},
		{"not for one message that cannot go there", relayed, func(w *world) { w.attempt("!550 5.7.30 REQUIRETLS is not offered") }, nil},
		{"and not when it takes mail again", relayed, func(w *world) { w.attempt(locked); w.attempt("452 4.2.2 mailbox full") }, nil},
		{"nor when mail goes there no more", relayed, func(w *world) { w.attempt(locked); w.queue.SetOptions(options) }, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				openWith(t, dir, tt.o, func(w *world) {
					start := time.Now()
					w.submit("ann@example.net", "bob@example.net")
					tt.run(w)
					var got []string
					for _, x := range w.queue.Troubles() {
						words := fmt.Sprintf("%s %s since %v", x.Kind, x.Site, x.Since.Sub(start).Round(time.Second))
						if !x.Until.IsZero() {
							words += fmt.Sprintf(" until %v", x.Until.Sub(start).Round(time.Second))
						}
						got = append(got, words+fmt.Sprintf(", %d wait at %s: %s", x.Waiting, x.Domain, x.Said))
					}
					if !slices.Equal(got, tt.want) {
						t.Errorf("troubles %q, want %q", got, tt.want)
					}
				})
			})
		})
	}
}
