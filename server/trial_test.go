package server_test

import (
	"strings"
	"testing"
	"time"

	"homing/verp"
)

// TestATrialIsUnderstoodAndChangesNothing sends a report about somebody to the
// address of a trial.
func TestATrialIsUnderstoodAndChangesNothing(t *testing.T) {
	w := open(t, nil)
	address, heard, end, err := w.Server.Trial("example.org")
	if err != nil {
		t.Fatal(err)
	}
	if got := w.report(address, bounced); got[:3] != "250" {
		t.Fatalf("answered %q", got)
	}
	if x := <-heard; x.Kind != "bounce" || x.From != "" || time.Since(x.At) > time.Minute {
		t.Errorf("heard %+v, want a bounce under the null reverse-path, now", x)
	}
	end()
	if got := w.report(address, bounced); got[:3] != "250" {
		t.Errorf("when it is over it is answered %q", got)
	}
	if len(heard) > 0 || w.told() != "" || w.held("somebody.else@example.com") {
		t.Errorf("%d more were heard, told %q", len(heard), w.told())
	}
	if _, _, _, err := w.Server.Trial("elsewhere.example"); err == nil {
		t.Error("a domain that is not ours has a trial")
	}
}

func TestTheTagOfATrialIsGoodForNothingElse(t *testing.T) {
	w := open(t, nil)
	w.send("news@example.org", "ann@example.net", news)
	r := w.delivered()
	address, heard, end, err := w.Server.Trial("example.org")
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	c := w.dial(w.mx)
	for _, line := range []string{"EHLO mx.example.net", "MAIL FROM:<>", "RCPT TO:<" + address + ">"} {
		c.say(line)
	}
	if got := c.say("RCPT TO:<" + r.ReturnPath + ">"); !strings.HasPrefix(got, "452 4.5.3") {
		t.Errorf("together with a return address: %q", got)
	}
	tag, err := w.codec.Encode(tagDomain, verp.Unsubscribe, uint64(r.ID), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if got := w.report("return+"+tag+"@bounce.example.org", bounced); !strings.HasPrefix(got, "250 ") || w.held("ann@example.net") {
		t.Errorf("a tag of another kind is answered %q, and holds: %v", got, w.held("ann@example.net"))
	}
	if len(heard) > 0 {
		t.Error("something was heard")
	}
}
