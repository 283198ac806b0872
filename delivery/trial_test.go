package delivery_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"homing/delivery"
	"homing/internal/smtptest"
)

func TestATrialGoesAsMailGoesAlsoToOurselves(t *testing.T) {
	const by = " by mail.example.org[198.51.100.9]"
	tests := []struct {
		name          string
		first, second smtptest.Script // the hosts of the domain: the second one is ourselves
		want          string
	}{
		{"the first host is away", "S: 421 4.3.2 restarting", hello + accept + bye, "dot: 250 2.0.0 queued" + by},
		{"it is refused for good", "S: 421 4.3.2 restarting", hello + "C: MAIL\nS: 250 ok\nC: RCPT\nS: 550 5.1.1 no such user\nC: RSET\nS: 250 ok" + bye, "rcpt: 550 5.1.1 no such user" + by},
		{"all hosts are away", "S: 421 4.3.2 restarting", "S: 421 4.3.2 restarting too", "connect: 421 4.3.2 restarting"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.mx("bounce.example.org", "mx1.example.org", "198.51.100.1", tt.first)
				w.mx("bounce.example.org", "mail.example.org", "198.51.100.9", tt.second)
				c := w.config()
				c.Options.OwnPort = 25
				d := delivery.New(c)
				r := d.Try(t.Context(), delivery.Trial{Domain: "bounce.example.org", From: "return@bounce.example.org", To: "return@bounce.example.org",
					Message: []byte("Subject: hello\r\n\r\n.hello\r\n")})
				got := string(r.Stage) + ": " + r.Reply.String()
				if r.RemoteMTA != "" {
					got += " by " + r.RemoteMTA
				}
				if !strings.HasPrefix(got, tt.want) {
					t.Errorf("got  %s\nwant %s", got, tt.want)
				}
			})
		})
	}
}

func TestATrialOfADomainThatIsNotThereFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := delivery.New(w.config()).Try(t.Context(), delivery.Trial{Domain: "none.example"})
		if r.Reply.Positive() || !r.Ours {
			t.Errorf("%v", r.Reply)
		}
	})
}
