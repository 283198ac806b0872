package main

import (
	"testing"
	"time"

	"homing/queue"
)

func TestWhatIsTheMatterWithASiteIsSaidWithWhatToDo(t *testing.T) {
	since := time.Date(2026, 11, 23, 10, 1, 0, 0, time.Local)
	tests := []struct {
		name  string
		about queue.Trouble
		want  string
	}{
		{"left alone", queue.Trouble{Site: "google", Kind: queue.TroubleBackoff, Source: "198.51.100.7", Since: since, Until: since.Add(time.Minute), Said: "421 4.7.28 slow down", Waiting: 4711, Domain: "example.net"},
			"google wants less mail, or none from 198.51.100.7, since 2026-11-23 10:01:00 and is left alone until 2026-11-23 10:02:00; 4711 recipients wait. See: homing queue explain example.net. It said: 421 4.7.28 slow down"},
		{"nobody waits", queue.Trouble{Site: "google", Kind: queue.TroubleBackoff, Since: since, Until: since.Add(time.Minute), Said: "421 no"},
			"google wants less mail, or none, since 2026-11-23 10:01:00 and is left alone until 2026-11-23 10:02:00; 0 recipients wait. It said: 421 no"},
		{"tried again", queue.Trouble{Site: "google", Kind: queue.TroubleBackoff, Since: since, Said: "421 no", Waiting: 1, Domain: "a.test"},
			"google wants less mail, or none, since 2026-11-23 10:01:00 and is being tried again little by little; 1 recipient waits. See: homing queue explain a.test. It said: 421 no"},
		{"a provider that is ill", queue.Trouble{Site: "google", Kind: queue.TroubleSurge},
			"google fails for good addresses that used to accept mail; until that ends this holds nobody. See who was held before: homing hold release --provider google --since 2h --dry-run"},
		{"the smarthost", queue.Trouble{Site: "smarthost", Kind: queue.TroubleSmarthost, Since: since, Said: "451 4.7.8 no", Waiting: 1},
			"No mail can be handed to the smarthost since 2026-11-23 10:01:00; 1 recipient waits. Look at its address, username, password_file and tls in the configuration. Last: 451 4.7.8 no"},
		{"that of a domain", queue.Trouble{Site: "smarthost:shop.example", Kind: queue.TroubleSmarthost, Since: since, Said: "451 no", Waiting: 2},
			"No mail can be handed to the smarthost of shop.example since 2026-11-23 10:01:00; 2 recipients wait. Look at its address, username, password_file and tls in the configuration. Last: 451 no"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := troubleWords(tt.about); got != tt.want {
				t.Errorf("it says\n%s, want\n%s", got, tt.want)
			}
		})
	}
}
