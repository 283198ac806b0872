package web

import (
	"bufio"
	"bytes"
	"net/http"
	"strings"
	"testing"

	"homing/queue"
	"homing/store"
)

func TestAMailboxFileKeepsMessagesApart(t *testing.T) {
	long := strings.Repeat("x", 9000)
	for _, tt := range []struct{ name, in, want string }{
		{"lines end in LF", "Subject: a\r\n\r\nb\r\n", "Subject: a\n\nb\n\n"},
		{"what looks like the next message does not", "a: b\r\n\r\nFrom here\r\n>From there\r\n>>From\r\nFrome\r\n", "a: b\n\n>From here\n>>From there\n>>From\nFrome\n\n"},
		{"a last line without an end gets one", "a: b\r\n\r\nc", "a: b\n\nc\n\n"},
		{"a line of any length is one", "a: b\r\n\r\n" + long + "From \r\n", "a: b\n\n" + long + "From \n\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			out := bufio.NewWriter(&b)
			if err := mboxed(out, strings.NewReader(tt.in)); err != nil {
				t.Fatal(err)
			}
			out.Flush()
			if got := b.String(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestCapturedMailIsReadExportedAndReleased(t *testing.T) {
	w := open(t, func(w *Web) {
		w.Renew = func(_ store.Message, r store.Recipient) string { return "return+renewed@bounce.example.org" }
	})
	w.submit(queue.Submission{Capture: true, Message: mailing}, "ann@one.test", "bob@two.test")
	w.mail(mailing, "zoe@one.test")
	var page Recipients
	w.get("/api/v1/queue?state=captured&recipient=ANN@one.test", &page)
	if len(page.Recipients) != 1 {
		t.Fatalf("captured for ann: %+v", page.Recipients)
	}
	ann := page.Recipients[0]
	content := do(t, w.url, request{path: "/api/v1/deliveries/" + ann.Delivery.String() + "/content"})
	if content.status != http.StatusOK || content.head.Get("Content-Type") != "message/rfc822" || !strings.HasPrefix(content.head.Get("Content-Disposition"), "attachment") || !strings.Contains(content.body, "\r\n\r\n") {
		t.Errorf("its content is %d %v %q", content.status, content.head, content.body)
	}
	mbox := do(t, w.url, request{path: "/api/v1/queue/export?state=captured"})
	if n := strings.Count(mbox.body, "\nEnvelope-To: "); mbox.status != http.StatusOK || n != 2 || !strings.HasPrefix(mbox.body, "From civi+b.1.2.0a1b2c3d4e5f6a7b@bounce.example.org ") {
		t.Errorf("%d messages are exported: %d %q", n, mbox.status, mbox.body)
	}
	if got := w.give("release", `{"message":"`+ann.Message.String()+`","recipient":"bob@two.test"}`); got.Recipients != 1 || got.States["captured"] != 1 {
		t.Errorf("released %+v", got)
	}
	if got := w.states("/api/v1/messages/" + ann.Message.String()); got != "ann captured, bob waiting" {
		t.Errorf("now %s", got)
	}
	w.get("/api/v1/queue?recipient=bob@two.test", &page)
	if page.Recipients[0].ReturnPath != "return+renewed@bounce.example.org" {
		t.Errorf("it goes with %s", page.Recipients[0].ReturnPath)
	}
	w.give("cancel", `{"message":"`+ann.Message.String()+`"}`)
	wantProblem(t, do(t, w.url, request{path: "/api/v1/deliveries/" + ann.Delivery.String() + "/content"}), http.StatusGone, errNotKept.Error())
	wantProblem(t, do(t, w.url, request{path: "/api/v1/deliveries/01KAQ3V5Z8001/content"}), http.StatusNotFound, "nothing is known of this")
	wantProblem(t, do(t, w.url, request{path: "/api/v1/deliveries/x/content"}), http.StatusBadRequest, "not an identifier")
	wantProblem(t, do(t, w.url, request{path: "/api/v1/queue/export?colour=red"}), http.StatusBadRequest, `there is no parameter "colour" here`)
	wantProblem(t, do(t, w.url, request{"POST", "/api/v1/queue/release", `{}`, jsonBody}), http.StatusUnprocessableEntity, "say which mail is meant")
}
