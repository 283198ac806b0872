package toynet

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTallyCountsEachRecipientOnceByTheLastThingSaid(t *testing.T) {
	w := Everyday(time.Millisecond)
	w.Domains["back.test"] = Domain{}
	n := start(t, w)
	for _, d := range []struct{ domain, to string }{
		{"accepts.test", "ann"}, {"accepts.test", "bob"}, {"unknown.test", "ann"}, {"full.test", "slow"}, {"full.test", "slow"},
		{"full.test", "ann"}, {"later.test", "ann"}, {"greylist.test", "ann"},
	} {
		talk(t, n, "mx."+d.domain, "EHLO a,MAIL FROM:<me@back.test>,RCPT TO:<"+d.to+"@"+d.domain+">,DATA,.")
	}
	if err := n.Settled(soon(t)); err != nil {
		t.Fatal(err)
	}
	got := n.Tally([]string{"ann@accepts.test", "bob@accepts.test", "bob@accepts.test", "ann@unknown.test", "slow@full.test", "ann@full.test",
		"ann@later.test", "ann@greylist.test", "ann@down.test", "ann@nowhere.test"})
	want := []Tally{
		{Domain: "accepts.test", About: "delivers everything", Recipients: 2, Accepted: 2, Attempts: 2},
		{Domain: "down.test", About: "does not answer", Recipients: 1, Unheard: 1},
		{Domain: "full.test", About: "has full mailboxes", Recipients: 2, Refused: 1, Deferred: 1, Attempts: 3},
		{Domain: "greylist.test", About: "wants to be asked twice", Recipients: 1, Deferred: 1, Attempts: 1},
		{Domain: "later.test", About: "accepts, then bounces (Postfix)", Recipients: 1, Accepted: 1, Attempts: 1, Returned: 1},
		{Domain: "nowhere.test", Recipients: 1, Unheard: 1},
		{Domain: "unknown.test", About: "knows nobody", Recipients: 1, Refused: 1, Attempts: 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tally differs (-want +got):\n%s", diff)
	}
}
