package peers

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"homing/integration/harness"
)

// smarthost is a Postfix that sends everything as from an account of its own,
// whose mail it passes on to us.
const smarthost = `
mydestination =
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
sender_canonical_classes = envelope_sender
sender_canonical_maps = static:account@provider.test
virtual_alias_domains = provider.test
virtual_alias_maps = inline:{ account@provider.test=bounces@bounce.example.org }
transport_maps = inline:{ { front.test = smtp:[{{.Store}}]:{{.Port}} } }
smtp_tls_security_level = none
`

func TestPostfixIsASmarthostThatReplacesTheEnvelopeSender(t *testing.T) {
	begin(t)
	st := harness.NewStage(t, harness.Settings{
		World: peerWorld(nil, []string{"front.test"}),
		Tables: "[[route]]\naddress = \"bounces@bounce.example.org\"\nas = \"bounce\"\n" +
			"[delivery.smarthost]\naddress = \"mx.peer.test:{{.Net.Port}}\"\ntls = \"none\"\nrewrites_sender = true\n",
	})
	p := startPostfix(t, st, "mx.peer.test", []string{mx(st, "peer.test")}, siteOf(st).fill(t, smarthost), "")
	verdicts := []verdict{
		{"ann@front.test", "delivered", "  none ", ""},
		{"ghost@front.test", "bounced", "hard user_unknown later held", ""},
		{"full@front.test", "bounced", "soft mailbox_full later counting", ""},
		{"junk@front.test", "bounced", "sender spam later free", ""},
	}
	send(t, st, verdicts, "Hello\n")
	check(t, st, p.tap, verdicts)
	p.reported(t, "bounces@bounce.example.org", "bounce rfc3464 ghost@front.test failed user_unknown")
	if got := arrived(t, st, "ann@front.test"); got.From != "account@provider.test" {
		t.Errorf("the mail came from %s, so nothing was replaced", got.From)
	}

	// The self-check's own message to nobody comes back the same way.
	st.Restart()
	got, deadline, tick := "", time.After(time.Minute), time.NewTicker(time.Second)
	defer tick.Stop()
	for !strings.HasPrefix(got, "ok ") {
		select {
		case <-tick.C:
			got = relayed(st)
		case <-deadline:
			t.Fatalf("the self-check says %q", got)
		}
	}
	if !strings.HasSuffix(got, "and was known by its header") {
		t.Errorf("the self-check says %q", got)
	}
}

// relayed is what the self-check says of the way through the smarthost.
func relayed(st *harness.Stage) string {
	stdout, _, _ := st.Try("check", "--json", "--all")
	var said struct {
		Findings []struct{ Check, Verdict, Found string }
	}
	if err := json.Unmarshal([]byte(stdout), &said); err != nil {
		return err.Error()
	}
	for _, f := range said.Findings {
		if f.Check == "smarthost_return" {
			return f.Verdict + " " + f.Found
		}
	}
	return "nothing"
}
