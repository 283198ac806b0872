package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"homing/internal/reply"
	"homing/internal/toynet"
)

// TestMailForMailmanReachesIt has a server stand behind the smtp sink that takes
// mail for some lists: what Mailman does with it is its own business.
func TestMailForMailmanReachesIt(t *testing.T) {
	t.Parallel()
	s := settings{World: toynet.World{Domains: map[string]toynet.Domain{"lists.example.org": {Mailboxes: map[string]toynet.Behaviour{"gone-leave": {RCPT: reply.Reply{Code: 550, Enhanced: reply.Enhanced{5, 1, 1}, Text: "no such list"}}}}}}}
	st := newStage(t, s)
	s.Tables = fmt.Sprintf(`
[[domain]]
name = "lists.example.org"
return_path = "return@lists.example.org"
[[application]]
name = "lists"
kind = "mailman"
domains = ["lists.example.org"]
users = ["root"]
sinks = ["mailman"]
[[sink]]
name = "mailman"
type = "smtp"
address = "%s"
`, st.Net.HostAddr("mx.lists.example.org"))
	st.Reload(s)
	const message = "From: Ann <ann@accepts.test>\nTo: whoever\nSubject: leave\nMessage-ID: <1@accepts.test>\n\nI have had enough."
	for _, local := range []string{"gone-leave", "news-leave", "news-confirm+0123456789abcdef", "news-owner"} {
		to := local + "@lists.example.org"
		st.bringBack(toynet.Letter{From: "ann@accepts.test", To: to, Message: []byte(message)})
		if local == "gone-leave" {
			continue
		}
		r := st.Arrived(to)
		if r.From != "ann@accepts.test" || !strings.HasSuffix(string(r.Message), strings.ReplaceAll(message+"\n", "\n", "\r\n")) {
			t.Errorf("%s got, from %q:\n%s", to, r.From, r.Message)
		}
	}
	// A list that is not there is refused, and that is the end of it: else
	// whoever makes up names would fill the sink.
	until(t, 30*time.Second, "the mail to a list that is not there to be given up", func() bool {
		return st.Metrics()[`homing_event_given_up_total{sink="mailman",type="smtp"}`] == 1
	})
}
