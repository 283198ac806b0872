package delivery_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/internal/dnsx"
)

// TestEventsNameTheHostOfTheDomain: two domains name one address differently,
// and share its connection.
func TestEventsNameTheHostOfTheDomain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mx("example.com", "mx.example.com", "198.51.100.1", hello+accept+accept+`
			C: MAIL
			S: 250 ok
			C: RCPT
			close`)
		w.zone.MXs["example.net"] = []dnsx.MX{{Host: "mail.example.net", Preference: 10}}
		w.zone.Hosts["mail.example.net"] = w.zone.Hosts["mx.example.com"]
		go func() {
			w.job("example.com", "ann@example.com")
			<-time.After(time.Second)
			w.job("example.net", "bob@example.net", "cid@example.net")
		}()
		w.run(w.config(), 2)
		want := map[string]string{
			"ann@example.com": "dot: 250 2.0.0 queued by mx.example.com[198.51.100.1]",
			"bob@example.net": "dot: 250 2.0.0 queued by mail.example.net[198.51.100.1]",
			"cid@example.net": "rcpt: we say 451 4.4.2 connection to mail.example.net[198.51.100.1]:25 was lost at RCPT by mail.example.net[198.51.100.1]",
		}
		if diff := cmp.Diff(want, w.outcomes()); diff != "" || len(w.dialled) != 1 {
			t.Errorf("dialled %v (-want +got):\n%s", w.dialled, diff)
		}
	})
}
