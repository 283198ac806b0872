package web

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"homing/event"
	"homing/queue"
	"homing/store"
)

// mailing is a message of a campaign.
var mailing = store.Message{Campaign: "civicrm:job:1", Subject: "News", Bulk: true}

func TestAQueueInJSON(t *testing.T) {
	w := open(t, nil)
	w.mail(mailing, "Ann@Example.net")
	a := do(t, w.url, request{path: "/api/v1/queue"})
	if got := a.head.Get("Content-Type"); got != "application/json" || a.status != 200 {
		t.Errorf("%d %s", a.status, got)
	}
	wantJSON(t, a.body, `{"recipients":[{"message":"ID","delivery":"ID","recipient":"Ann@Example.net","state":"waiting","accepted":"TIME",
		"attempts":0,"next":"TIME","expires":"TIME","application":"crm","domain":"example.org","sender":"civi+b.1.2.0a1b2c3d4e5f6a7b@bounce.example.org",
		"from":"news@example.org","return_path":"return+x@bounce.example.org","campaign":"civicrm:job:1","subject":"News","size":22,"provider":"example.net"}]}`)
}

func TestAJourneyInJSON(t *testing.T) {
	w := open(t, nil)
	id := w.mail(store.Message{}, "ann@example.net")
	w.bounce("ann@example.net", "550 5.1.1 user unknown")
	const row = `{"message":"ID","delivery":"ID","recipient":"ann@example.net","state":"bounced","accepted":"TIME","attempts":0,"ended":"TIME",
		"application":"crm","domain":"example.org","sender":"civi+b.1.2.0a1b2c3d4e5f6a7b@bounce.example.org","from":"news@example.org",
		"return_path":"return+x@bounce.example.org","size":22,"provider":"example.net","last":` + said + `}`
	wantJSON(t, do(t, w.url, request{path: "/api/v1/recipients/ANN@example.net"}).body, `{"recipients":[`+row+`],"hold":`+held+`}`)
	for _, path := range []string{"/api/v1/messages/" + id.String(), "/api/v1/deliveries/" + w.deliveryOf("ann@example.net").String(), "/api/v1/messages?state=bounced"} {
		wantJSON(t, do(t, w.url, request{path: path}).body, `{"recipients":[`+row+`]}`)
	}
	wantJSON(t, do(t, w.url, request{path: "/api/v1/holds/ann@EXAMPLE.net"}).body, held)
	wantJSON(t, do(t, w.url, request{path: "/api/v1/holds"}).body, `{"holds":[`+held+`]}`)
}

// What the API says of a report that ended in a hold.
const (
	said = `{"stage":"dsn","class":"hard","reason":"user_unknown","civicrm":"Invalid","code":550,"status":"5.1.1","diagnostic":"550 5.1.1 user unknown",
		"remote_mta":"mx.example.net[198.51.100.7]","rule":"status-5.1.1","matched":"5.1.1"}`
	held = `{"address":"ann@example.net","held":true,"scopes":[{"application":"crm","holds":[{"since":"TIME","until":null,"by":"rule","rule":"hard-report",
		"reason":"user_unknown","evidence":[{"time":"TIME","message":"ID","delivery":"ID","sync":false,"related":true,"class":"hard","reason":"user_unknown",
		"civicrm":"Invalid","code":550,"status":"5.1.1","diagnostic":"550 5.1.1 user unknown","remote_mta":"mx.example.net[198.51.100.7]",
		"rule":"status-5.1.1","matched":"5.1.1"}]}],"evidence":[]}]}`
)

func TestFilters(t *testing.T) {
	w := open(t, nil)
	w.mail(mailing, "a@one.test", "b@two.test")
	w.mail(store.Message{Campaign: "civicrm:job:2"}, "c@one.test")
	w.submit(queue.Submission{Capture: true, Message: store.Message{Application: "shop"}}, "d@two.test")
	w.mail(mailing, "e@one.test")
	w.bounce("e@one.test", "550 5.1.1 no")
	tests := []struct{ path, want string }{
		{"/api/v1/queue", "a b c d"},
		{"/api/v1/messages", "a b c d e"},
		{"/api/v1/queue?domain=ONE.test", "a c"},
		{"/api/v1/messages?domain=one.test&campaign=civicrm:job:1", "a e"},
		{"/api/v1/queue?application=shop", "d"},
		{"/api/v1/queue?state=captured", "d"},
		{"/api/v1/queue?state=captured&state=bounced", "d e"},
		{"/api/v1/queue?sender=nobody@example.org", ""},
		{"/api/v1/queue?older=1h", ""},
		{"/api/v1/queue?older=0s", "a b c d"},
		{"/api/v1/queue?limit=2", "a b"},
	}
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			var page Recipients
			w.get(tt.path, &page)
			var got []string
			for _, r := range page.Recipients {
				local, _, _ := strings.Cut(r.Recipient, "@")
				got = append(got, local)
			}
			if page.Recipients == nil || strings.Join(got, " ") != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestMistakesInAQueryAreNamed(t *testing.T) {
	w := open(t, nil)
	id := w.mail(mailing, "ann@example.net")
	tests := []struct{ path, want string }{
		{"/api/v1/queue?stat=waiting", `there is no parameter "stat" here; possible are: message, recipient, domain, provider, sender,`},
		{"/api/v1/queue?state=asleep", `state: no state is called "asleep"`},
		{"/api/v1/queue?older=soon", `older: "soon" is not a duration; write a number with d, h, m or s`},
		{"/api/v1/queue?older=-1h", `older: "-1h" is not a duration`},
		{"/api/v1/queue?limit=0", `limit: want a number from 1 to 1000, got "0"`},
		{"/api/v1/queue?limit=1001", "limit: want a number"},
		{"/api/v1/queue?after=x", "after: not an identifier of ours"},
		{"/api/v1/queue?x=%zz", "reading the query"},
		{"/api/v1/messages/x", "not an identifier of ours"},
		{"/api/v1/messages/" + id.String() + "?all=1", `there is no parameter "all"`},
		{"/api/v1/deliveries/" + strings.Repeat("0", 14), "not an identifier of ours"},
		{"/api/v1/recipients/ann@example.net?after=1", "after: not an identifier of ours"},
		{"/api/v1/holds?since=yesterday", `since: "yesterday" is not a duration`},
		{"/api/v1/holds?limit=many", "limit: want a number"},
		{"/api/v1/holds/ann@example.net?application=crm", `there is no parameter "application" here; possible are: none`},
		{"/api/v1/events?after=x", "after: not an identifier of ours"},
		{"/api/v1/events?from=yesterday", `from: want now, got "yesterday"`},
		{"/api/v1/events?limit=-1", "limit: want a number"},
	}
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			wantProblem(t, do(t, w.url, request{path: tt.path}), http.StatusBadRequest, tt.want)
		})
	}
}

func TestWhatIsUnknownIsNotFound(t *testing.T) {
	w := open(t, nil)
	for _, path := range []string{"/api/v1/messages/01KAQ3V5Z8001", "/api/v1/deliveries/01KAQ3V5Z8001", "/api/v1/holds/ann@example.net"} {
		wantProblem(t, do(t, w.url, request{path: path}), http.StatusNotFound, "nothing is known of this")
	}
	wantProblem(t, do(t, w.url, request{method: "DELETE", path: "/api/v1/holds/ann@example.net"}), http.StatusNotFound, "nothing is known of this")
	if got := do(t, w.url, request{path: "/api/v1/recipients/ann@example.net"}).body; got != `{"recipients":[]}`+"\n" {
		t.Errorf("somebody we were never asked to mail: %s", got)
	}
}

func TestAMessageAndADeliveryOfOneNumberAreToldApart(t *testing.T) {
	w := open(t, nil)
	// Of each message its number is that of a delivery too, sooner or later:
	// here the second message has two recipients, so the two counts part.
	ids := map[event.DeliveryID]string{}
	for n := range 20 {
		to := []string{fmt.Sprintf("a%d@example.net", n), fmt.Sprintf("b%d@example.net", n)}
		m := w.mail(mailing, to...)
		var page Recipients
		w.get("/api/v1/messages/"+m.String(), &page)
		if len(page.Recipients) != 2 || page.Recipients[0].Recipient != to[0] || page.Recipients[1].Recipient != to[1] {
			t.Fatalf("message %v: %+v, want %q", m, page.Recipients, to)
		}
		for _, r := range page.Recipients {
			ids[r.Delivery] = r.Recipient
		}
	}
	for id, address := range ids {
		var page Recipients
		w.get("/api/v1/deliveries/"+id.String(), &page)
		if len(page.Recipients) != 1 || page.Recipients[0].Recipient != address || page.Recipients[0].Delivery != id {
			t.Errorf("delivery %v: %+v, want %s", id, page.Recipients, address)
		}
	}
}

func TestPagesJoinWithoutAGap(t *testing.T) {
	w := open(t, nil)
	var want []string
	var to []string
	for n := range 7 {
		to = append(to, fmt.Sprintf("u%d@example.net", n))
	}
	id := w.mail(mailing, to...)
	want = to
	for _, path := range []string{"/api/v1/queue", "/api/v1/messages", "/api/v1/messages/" + id.String()} {
		for _, limit := range []int{1, 3, 7, 8} {
			var got []string
			pages := 0
			for after := ""; pages == 0 || after != ""; pages++ {
				var page Recipients
				w.get(fmt.Sprintf("%s?limit=%d&after=%s", path, limit, after), &page)
				for _, r := range page.Recipients {
					got = append(got, r.Recipient)
				}
				if len(page.Recipients) > limit {
					t.Fatalf("%s: a page of %d rows, want at most %d", path, len(page.Recipients), limit)
				}
				after = page.Next
			}
			if strings.Join(got, " ") != strings.Join(want, " ") {
				t.Errorf("%s by %d: %q, want %q", path, limit, got, want)
			}
			if most := len(want)/limit + 1; pages > most {
				t.Errorf("%s by %d: %d pages, want at most %d", path, limit, pages, most)
			}
		}
	}
}

func TestAnAddressMayHaveAnyCharacterThatPathsKnow(t *testing.T) {
	w := open(t, nil)
	addresses := []string{
		"ann+tag@example.net", `"ann smith"@example.net`, "ann/smith@example.net", `"a//b"@example.net`, `"../../queue"@example.net`,
		"50%off@example.net", "50%2foff@example.net", "a?b=c@example.net", "a#b@example.net", "grüße@bücher.example", "你好@example.net",
		`"a@b"@example.net`, "o'hara@example.net", "{address}@example.net", "ann@[192.0.2.1]", "a;b=c&d@example.net", "..@example.net",
	}
	for _, address := range addresses {
		t.Run(address, func(t *testing.T) {
			w.mail(mailing, address)
			path := url.PathEscape(address)
			var page Recipients
			w.get("/api/v1/recipients/"+path, &page)
			if len(page.Recipients) != 1 || page.Recipients[0].Recipient != address {
				t.Fatalf("the journey has %+v, want one delivery to %s", page.Recipients, address)
			}
			if w.queue.AddHold(t.Context(), address, "", holdBy("test")) != nil {
				t.Fatal("it cannot be put on hold")
			}
			var before, after Hold
			w.get("/api/v1/holds/"+path, &before)
			if a := do(t, w.url, request{method: "DELETE", path: "/api/v1/holds/" + path}); a.status != 200 {
				t.Errorf("releasing: %d %s", a.status, a.body)
			}
			w.get("/api/v1/holds/"+path, &after)
			if !before.Held || after.Held {
				t.Errorf("held before the release: %v, after it: %v", before.Held, after.Held)
			}
		})
	}
}

func TestNoAnswerHasWhatATerminalWouldObey(t *testing.T) {
	w := open(t, nil)
	const evil = "\x1b[2J\u009b31m\u202e\x7f<script>\u2028"
	w.mail(store.Message{Subject: evil, Campaign: evil}, "ann@example.net")
	w.bounce("ann@example.net", "550 5.1.1 \x1b[2J \x9b31m <script> user unknown")
	reason := `{"address":"bob@example.net","reason":"\u001b]0;x\u0007\u009b","by":"\u202e"}`
	if a := do(t, w.url, request{"POST", "/api/v1/holds", reason, jsonBody}); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	for _, path := range []string{"/api/v1/messages", "/api/v1/recipients/ann@example.net", "/api/v1/holds", "/api/v1/events", "/api/v1/" + url.PathEscape("\x1b[2J\u009b")} {
		a := do(t, w.url, request{path: path})
		if i := strings.IndexFunc(a.body, func(r rune) bool {
			return r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 || r == '\u202e' || r == '\u2028'
		}); i >= 0 {
			t.Errorf("%s: %q", path, a.body[i:])
		}
		if a.body == "" || strings.Contains(a.head.Get("Content-Type"), "html") {
			t.Errorf("%s: %q as %s", path, a.body, a.head.Get("Content-Type"))
		}
	}
}

func TestTimesAreInUTC(t *testing.T) {
	w := open(t, nil)
	w.mail(mailing, "ann@example.net")
	var page Recipients
	w.get("/api/v1/queue", &page)
	if r := page.Recipients[0]; r.Accepted.Location() != time.UTC || !r.Expires.Equal(r.Accepted.Add(24*time.Hour)) {
		t.Errorf("accepted %v, expires %v", r.Accepted, r.Expires)
	}
}
