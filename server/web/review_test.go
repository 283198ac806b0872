package web

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"homing/event"
	"homing/internal/message"
	"homing/internal/parsedmail"
	"homing/server/review"
	"homing/store"
)

const filedMail = "From: Ann <ann@example.net>\r\nTo: office@example.org\r\nSubject: Hello\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" +
	"--b\r\n\r\nGood morning\r\n--b\r\nContent-Type: text/html; name=\"a b.html\"\r\nContent-Transfer-Encoding: base64\r\n\r\nPHNjcmlwdD4=\r\n--b--\r\n"

// draft gives the mail as it would come in.
func (w *world) draft() store.Draft {
	w.Helper()
	d, err := w.store.NewBody(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	if _, err := d.Write([]byte(filedMail)); err != nil {
		w.Fatal(err)
	}
	return d
}

// await has a mail wait.
func (w *world) await() {
	w.Helper()
	m := review.Mail{Arrived: time.Now().UTC(), Why: "Nothing proves it.", From: "ann@example.net", Subject: "Hello", People: []string{"ann@example.net"},
		Places: []review.Place{{Recipient: "file@example.org", Domain: "example.org", To: []string{"crm"}}}}
	if err := w.waits.Tell(w.Context(), w.draft(), m); err != nil {
		w.Fatal(err)
	}
}

func TestMailThatWaitsIsListedReadAndDecidedAbout(t *testing.T) {
	w := open(t, nil)
	var none Waiting
	w.get("/api/v1/review", &none)
	if none.Waiting == nil || len(none.Waiting) > 0 {
		t.Errorf("waiting are %+v", none)
	}
	w.await()
	w.await()
	var all Waiting
	w.get("/api/v1/review", &all)
	if len(all.Waiting) != 2 || all.Waiting[0].ID >= all.Waiting[1].ID || all.Waiting[0].Until.Sub(all.Waiting[0].Arrived) != time.Hour || all.Waiting[0].Places[0].Recipient != "file@example.org" {
		t.Fatalf("waiting are %+v", all)
	}
	first, second := "/api/v1/review/"+all.Waiting[0].ID.String(), "/api/v1/review/"+all.Waiting[1].ID.String()
	var one WaitingMail
	w.get(first, &one)
	if one.Mail == nil || one.Mail.Text != "Good morning" || one.Why != "Nothing proves it." || len(one.Mail.Attachments) != 1 {
		t.Errorf("%s is %+v", first, one)
	}
	if got := do(t, w.url, request{path: first + "/content"}); got.body != filedMail || got.head.Get("Content-Type") != "message/rfc822" {
		t.Errorf("content: %+v", got)
	}
	if got := do(t, w.url, request{method: "POST", path: first + "/file", body: `{"by":"olga"}`, head: http.Header{"Content-Type": {"application/json"}}}); got.status != 200 || !strings.Contains(got.body, `"decided":"filed"`) {
		t.Errorf("file: %+v", got)
	}
	if got := do(t, w.url, request{method: "POST", path: second + "/discard"}); got.status != 200 || !strings.Contains(got.body, `"decided":"discarded"`) {
		t.Errorf("discard: %+v", got)
	}
	events, err := w.store.Events(t.Context(), 0, 10)
	if err != nil || len(events) != 1 || events[0].Type != event.Filed || events[0].Mail.ReviewedBy != "olga" {
		t.Errorf("told were %+v, %v", events, err)
	}
	for _, path := range []string{first, first + "/content"} {
		wantProblem(t, do(t, w.url, request{path: path}), http.StatusNotFound, "nothing is known of this mail")
	}
	wantProblem(t, do(t, w.url, request{method: "POST", path: second + "/file"}), http.StatusNotFound, "nothing is known of this mail")
	wantProblem(t, do(t, w.url, request{path: "/api/v1/review/x"}), http.StatusBadRequest, "not an identifier")
	wantProblem(t, do(t, w.url, request{path: first + "?all=1"}), http.StatusBadRequest, "all")
}

func TestTheMailBehindAFactIsForThoseWhoAreToldOfIt(t *testing.T) {
	w := open(t, nil)
	w.Web.Sinks = func(application string) []string {
		return map[string][]string{"crm": {"hooks"}, "shop": {"other"}}[application]
	}
	mail, err := parsedmail.Read(strings.NewReader(filedMail))
	if err != nil {
		t.Fatal(err)
	}
	e := review.Fact(review.Place{Recipient: "file@example.org", To: []string{"hooks"}}, mail, event.Authentication{})
	if err := w.queue.Tell(t.Context(), w.draft(), e); err != nil {
		t.Fatal(err)
	}
	if err := w.queue.Tell(t.Context(), nil, event.Event{Type: event.Held, Recipient: "ann@example.net", Raw: message.Ref{}}); err != nil {
		t.Fatal(err)
	}
	events, err := w.store.Events(t.Context(), 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	filed, held := "/api/v1/events/"+events[0].ID.String(), "/api/v1/events/"+events[1].ID.String()
	got := do(t, w.url, request{path: filed + "/attachments/1"})
	if got.status != 200 || got.body != "<script>" || got.head.Get("Content-Type") != "application/octet-stream" || got.head.Get("Content-Disposition") != `attachment; filename="a b.html"` {
		t.Errorf("the attachment: %+v", got)
	}
	if got := do(t, w.url, request{path: filed + "/content"}); got.body != filedMail {
		t.Errorf("the mail: %+v", got)
	}
	for path, want := range map[string]int{filed + "/attachments/2": 404, filed + "/attachments/0": 404, filed + "/attachments/x": 404, held + "/attachments/1": 404,
		held + "/content": 410, "/api/v1/events/0000000000000/content": 404, "/api/v1/events/7ZZZZZZZZZZZZ/content": 400} {
		if got := do(t, w.url, request{path: path}); got.status != want {
			t.Errorf("%s: %d %s, want %d", path, got.status, got.body, want)
		}
	}
	network := serve(t, w.Network())
	for application, want := range map[string]int{"crm": 200, "shop": 404} {
		if got := do(t, network, request{path: filed + "/attachments/1", head: w.token(application)}); got.status != want {
			t.Errorf("%s has %d %s, want %d", application, got.status, got.body, want)
		}
	}
	// Once it is too old and every sink has passed it, the mail is gone.
	if _, err := w.store.Forget(t.Context(), store.What{EventsBefore: time.Unix(1, 0), Sinks: []string{}, Shows: []string{}}, 10); err != nil {
		t.Fatal(err)
	}
	if _, err := w.store.Forget(t.Context(), store.What{ReportsBefore: time.Now().Add(time.Hour)}, 10); err != nil {
		t.Fatal(err)
	}
	for limit := time.Now().Add(30 * time.Second); ; {
		got := do(t, w.url, request{path: filed + "/attachments/1"})
		if got.status == http.StatusGone {
			break
		}
		if time.Now().After(limit) {
			t.Fatalf("it is still %d", got.status)
		}
	}
}
