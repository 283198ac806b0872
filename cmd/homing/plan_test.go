package main

import (
	"testing"
	"time"

	"homing/queue"
)

func TestAPlanIsASentence(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.Local)
	through := func(d time.Duration) *time.Time { at := now.Add(d); return &at }
	tests := []struct {
		name string
		plan queue.Plan
		want string
	}{
		{"at a provider", queue.Plan{Recipients: 5000, Through: through(125 * time.Second), LimitedBy: "rate", Limit: "30 messages a minute", Provider: "partner"},
			"A mailing to 5000 recipients that began now would be through at 2026-11-23 10:02:05 (in 2m5s). What takes longest is partner: 30 messages a minute."},
		{"at none in particular", queue.Plan{Recipients: 1, Through: through(time.Millisecond), LimitedBy: "slots", Limit: "9 dialogues of the server at once"},
			"A mailing to 1 recipient that began now would be through at 2026-11-23 10:00:00 (at once). What takes longest is 9 dialogues of the server at once."},
		{"some hours", queue.Plan{Recipients: 9, Through: through(90*time.Minute + 20*time.Second), LimitedBy: "connections", Provider: "a"},
			"A mailing to 9 recipients that began now would be through at 2026-11-23 11:30:20 (in 1h30m). What takes longest is a: connections."},
		{"some days", queue.Plan{Recipients: 9, Through: through(92*time.Hour + 24*time.Minute), LimitedBy: "warmup", Limit: "50 messages today", Provider: "a"},
			"A mailing to 9 recipients that began now would be through at 2026-11-27 06:24:00 (in 3d20h). What takes longest is a: 50 messages today."},
		{"nobody knows", queue.Plan{Recipients: 100, LimitedBy: "paused", Limit: "it is paused", Provider: "partner"},
			"Nobody can say when a mailing to 100 recipients would be through that began now. What holds it up is partner: it is paused."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := planWords(tt.plan, now); got != tt.want {
				t.Errorf("it says\n%s, want\n%s", got, tt.want)
			}
		})
	}
}

func TestWhoWaitsIsSaidAsFarAsThereAreAny(t *testing.T) {
	tests := []struct {
		waits queue.Waits
		want  string
	}{
		{queue.Waits{}, "nobody"},
		{queue.Waits{Bulk: 12}, "12 recipients of mailings"},
		{queue.Waits{First: 1}, "1 recipient of single messages, which go first"},
		{queue.Waits{Bulk: 4711, First: 2, Paused: 3}, "4711 recipients of mailings, 2 recipients of single messages, which go first (3 of them paused)"},
		{queue.Waits{Bulk: 2, Paused: 2}, "2 recipients of mailings (all of them paused)"},
	}
	for _, tt := range tests {
		if got := waitWords(tt.waits); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.waits, got, tt.want)
		}
	}
}
