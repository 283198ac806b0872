package integration

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/internal/reply"
	"homing/internal/toynet"
)

func TestWhatComesBackIsUnderstood(t *testing.T) {
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	over := reply.Reply{Code: 552, Enhanced: reply.Enhanced{5, 2, 2}, Text: "<{rcpt}>: mailbox is over quota"}
	unknown := reply.Reply{Code: 550, Enhanced: reply.Enhanced{5, 1, 1}, Text: "<{rcpt}>: no such user here"}
	tests := []struct {
		name    string
		compose toynet.Composer
		why     reply.Reply
		want    string // kind, then action, class, reason and CiviCRM type of the recipient
	}{
		{"a bounce of Postfix", toynet.PostfixDSN, unknown, "bounce: ann@later.test failed hard user_unknown Invalid"},
		{"a bounce of Postfix over quota", toynet.PostfixDSN, over, "bounce: ann@later.test failed soft mailbox_full Quota"},
		{"a delay of Postfix", toynet.PostfixDelay, reply.Reply{Code: 451, Enhanced: reply.Enhanced{4, 4, 1}, Text: "timed out"}, "delayed: ann@later.test delayed none network_error"},
		{"a bounce of Exim", toynet.EximBounce, unknown, "bounce: ann@later.test failed hard user_unknown Invalid"},
		{"a bounce of Exim over quota", toynet.EximBounce, over, "bounce: ann@later.test failed soft mailbox_full Quota"},
		{"a bounce of Exchange", toynet.ExchangeDSN, unknown, "bounce: ann@later.test failed hard user_unknown Invalid"},
		{"a complaint", toynet.Complaint, unknown, "complaint: ann@later.test  none complaint Spam"},
		{"a vacation note", toynet.Vacation, unknown, "auto_reply: ann@later.test  none auto_reply"},
		{"a reply of a person", toynet.Reply, unknown, "message:"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			letter := tt.compose(toynet.Original{
				Host: "mx.later.test", Addr: netip.MustParseAddr("127.1.2.10"), Peer: netip.MustParseAddr("127.1.2.2"),
				From: "return+tag@bounce.example.org", To: "ann@later.test", ID: "4000000001", Arrived: at, Now: at.Add(time.Hour), Why: tt.why,
				Header: []byte("From: news@example.org\r\nTo: ann@later.test\r\nSubject: News\r\nMessage-ID: <1@example.org>\r\n")})
			stdout, stderr, code := command(t, string(letter.Message), "classify", "--json", "-")
			if code != 0 {
				t.Fatalf("classify: exit code %d, %s", code, stderr)
			}
			var verdict struct {
				Kind       string
				Recipients []struct{ Address, Action, Class, Reason, CiviCRM string }
			}
			if err := json.Unmarshal([]byte(stdout), &verdict); err != nil {
				t.Fatalf("%v in %q", err, stdout)
			}
			got := verdict.Kind + ":"
			for _, r := range verdict.Recipients {
				got += fmt.Sprintf(" %s %s %s %s %s", r.Address, r.Action, r.Class, r.Reason, r.CiviCRM)
			}
			if diff := cmp.Diff(tt.want, strings.TrimSpace(got)); diff != "" {
				t.Errorf("verdict differs (-want +got):\n%s\nin full: %s", diff, stdout)
			}
		})
	}
}
