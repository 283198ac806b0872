package web

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/event"
	"homing/hold"
	"homing/internal/message"
	"homing/server"
	"homing/store"
	"homing/verp"
)

// hand posts a message as an application, and gives the answer.
func hand(t *testing.T, url, path, body string, head http.Header, more ...string) answered {
	t.Helper()
	head = head.Clone()
	for i := 0; i < len(more); i += 2 {
		head.Set(more[i], more[i+1])
	}
	return do(t, url, request{"POST", path, body, head})
}

const messages = "/api/v1/messages"

// stored gives the message of the first recipient of an answer as it will leave.
func (w *world) stored(a answered) (store.Row, string) {
	w.Helper()
	out := read[Injected](w.TB, a)
	page, err := w.store.Find(w.Context(), store.Query{Message: out.Message})
	if err != nil || len(page.Rows) == 0 {
		w.Fatalf("%d rows, %v", len(page.Rows), err)
	}
	body, err := w.store.OpenBody(w.Context(), page.Rows[0].Recipient.Body)
	if err != nil {
		w.Fatal(err)
	}
	defer body.Close()
	var text strings.Builder
	if _, err := body.WriteTo(&text); err != nil {
		w.Fatal(err)
	}
	return page.Rows[0], text.String()
}

const receiptLetter = `{"from":"Shop <shop@example.com>","to":["Ann <ann@example.net>",{"address":"bob@example.net","name":"Böb"}],"cc":"eve@example.net, \"Doe, Joe\" <joe@example.net>",
"bcc":["secret@example.net","ann@example.net"],"reply_to":"office@example.com","subject":"Your order: Grüße","text":"Hello","html":"<p>Hello <img src=\"cid:logo\">",
"headers":{"X-Order":"4711","List-Unsubscribe":"<mailto:stop@example.com>"},"attachments":[{"filename":"Rechnung – 1.pdf","content_type":"application/pdf","content":"JVBERg=="},
{"filename":"logo.png","content_type":"image/png","content":"iVBO","content_id":"<logo>"}],"campaign":"orders","metadata":{"order":"4711"}}`

func TestAMessageInPartsIsTakenAndGoesTheRoadOfAllMail(t *testing.T) {
	w := open(t, nil)
	network, shop := serve(t, w.Network()), w.token("shop")
	if err := w.queue.AddHold(t.Context(), "eve@example.net", "", hold.Hold{By: "olga", Reason: "asked us"}); err != nil {
		t.Fatal(err)
	}
	a := hand(t, network, messages, receiptLetter, shop)
	wantJSON(t, a.body, `{"message":"ID","recipients":[{"recipient":"ann@example.net","result":"accepted"},{"recipient":"bob@example.net","result":"accepted"},
		{"recipient":"eve@example.net","result":"suppressed","reason":"on_hold"},{"recipient":"joe@example.net","result":"accepted"},{"recipient":"secret@example.net","result":"accepted"}]}`)
	if a.status != 202 || a.head.Get("Location") != messages+"/"+read[Injected](t, a).Message.String() {
		t.Errorf("%d, Location %q", a.status, a.head.Get("Location"))
	}
	row, text := w.stored(a)
	m := row.Message
	if m.Application != "shop" || m.Domain != "example.com" || m.Sender != "shop@example.com" || m.Campaign != "orders" || m.Metadata != `{"order":"4711"}` ||
		!m.Bulk || m.Subject != "Your order: Grüße" || !strings.HasPrefix(row.Recipient.ReturnPath, "return+") {
		t.Errorf("the message is %+v to %+v", m, row.Recipient)
	}
	head, err := message.ReadHeader(bufio.NewReader(strings.NewReader(text)), message.MaxHeader)
	if err != nil {
		t.Fatal(err)
	}
	fields, got := message.ParseFields(head.Block()), map[string]string{}
	for _, name := range []string{"From", "To", "Cc", "Bcc", "Reply-To", "Subject", "X-Order", "List-Unsubscribe", "Received"} {
		got[name] = fields.Text(name)
	}
	received := got["Received"]
	delete(got, "Received")
	want := map[string]string{"From": "Shop <shop@example.com>", "To": "Ann <ann@example.net>, Böb <bob@example.net>", "Cc": `eve@example.net, "Doe, Joe" <joe@example.net>`, "Bcc": "",
		"Reply-To": "office@example.com", "Subject": "Your order: Grüße", "X-Order": "4711", "List-Unsubscribe": "<mailto:stop@example.com>"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the header (-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(received, "from shop ([127.0.0.1]) by mail.example.org with HTTP;") {
		t.Errorf("Received: %s", received)
	}
	if strings.Contains(text, "secret@example.net") || !strings.Contains(text, "filename*=utf-8''Rechnung%20%E2%80%93%201.pdf") || !strings.Contains(text, "Content-ID: <logo>") {
		t.Errorf("the message is\n%s", text)
	}
	events := getAs[Events](t, network, "/api/v1/events", shop).Events
	told := map[event.Type]int{}
	for _, e := range events {
		told[e.Type]++
		if e.Metadata != `{"order":"4711"}` && e.Type != event.Held {
			t.Errorf("the event %s has the metadata %q", e.Type, e.Metadata)
		}
	}
	if diff := cmp.Diff(map[event.Type]int{event.Accepted: 5, event.Suppressed: 1, event.Held: 1}, told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

func TestAWholeMessageIsTakenAsItIs(t *testing.T) {
	mailHead := func(h http.Header) http.Header { h = h.Clone(); h.Set("Content-Type", "message/rfc822"); return h }
	const text = "From: Shop <shop@example.com>\nTo: Ann <ann@example.net>\nBcc: secret@example.net\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\n\nHello.\n"
	tests := []struct {
		name, query, text string
		to, sender        string
	}{
		{"with what it says of itself", "", text, "ann@example.net secret@example.net", "shop@example.com"},
		{"with an envelope of its own", "?from=bounces@example.com&to=bob@example.net&to=eve@b%C3%BCcher.example", text, "bob@example.net eve@xn--bcher-kva.example", "bounces@example.com"},
		{"with the null reverse-path", "?from=&to=bob@example.net", text, "bob@example.net", ""},
		{"with a local part beyond ASCII", "?to=%C3%BC@example.net", strings.Replace(text, "Ann <ann@", "Ü <ü@", 1), "ü@example.net", "shop@example.com"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := open(t, nil)
			shop := mailHead(w.token("shop"))
			a := hand(t, serve(t, w.Network()), messages+tt.query, tt.text, shop)
			row, stored := w.stored(a)
			var to []string
			for _, r := range read[Injected](t, a).Recipients {
				to = append(to, r.Recipient)
			}
			if got := strings.Join(to, " "); got != tt.to || row.Message.Sender != tt.sender {
				t.Errorf("from %q to %q, want %q to %q", row.Message.Sender, got, tt.sender, tt.to)
			}
			if !strings.Contains(stored, "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n") || !strings.HasSuffix(stored, "\r\n\r\nHello.\r\n") || strings.Contains(stored, "Bcc") {
				t.Errorf("the message is\n%s", stored)
			}
		})
	}
	w := open(t, nil)
	a := hand(t, w.url, messages+"?application=shop&to=bob@example.net&campaign=orders&metadata.order=4711&send_at="+url.QueryEscape(time.Now().Add(time.Hour).Format(time.RFC3339)), text, mailHead(jsonBody))
	if row, _ := w.stored(a); row.Message.Campaign != "orders" || row.Message.Metadata != `{"order":"4711"}` || row.Message.SendAt.IsZero() {
		t.Errorf("the message is %+v", row.Message)
	}
}

func TestAllMistakesInAMessageAreNamedAtOnce(t *testing.T) {
	w := open(t, nil)
	network, shop := serve(t, w.Network()), w.token("shop")
	later := time.Now().Add(31 * 24 * time.Hour).UTC().Format(time.RFC3339)
	tests := []struct {
		name, body string
		want       []string // pointers and details that begin so
	}{
		{"nothing at all", `{}`, []string{"#/from want the one address", "#/to want at least one recipient", "#/text want a text"}},
		{"everything", `{"from":"a@example.com\r\nBcc: eve@example.com","to":["ann@example.net","Ann","b@c@d","x@example.net"],"cc":[7],"bcc":{"adress":"x"},"subject":"a\nBcc: b","text":1,
			"headers":{"X-A":"b\r\nc","Subject":"x","X-B":2},"attachments":[{"content":"%","filename":"a/b"},7,{"contents":"YQ=="}],"campaign":"a\nb","metadata":{"a":{}},"send_at":"` + later + `","form":"x"}`,
			[]string{"#/form there is no such member; did you mean from?", "#/to/1 want an address", "#/to/2 want an address", "#/cc/0 want an address: a string", "#/bcc/adress there is no such member; did you mean address?",
				"#/subject want one line", "#/text want a string", "#/from want an address", "#/headers/X-B want a string", "#/attachments/0/content want base64", "#/attachments/1 want an object",
				"#/attachments/2/contents there is no such member; did you mean content?", "#/attachments/2/content want what is attached", "#/campaign want at most 100", "#/metadata/a want a string",
				"#/send_at want a time within the next 30 days", "#/headers/Subject want subject in its place", "#/headers/X-A want one line", "#/attachments/0/filename want the name of a file"}},
		{"several authors", `{"from":["a@example.com","b@example.com"],"to":"x@example.net","text":"x"}`, []string{"#/from want the one address"}},
		{"a time that is past", `{"from":"a@example.com","to":"x@example.net","text":"x","send_at":"2020-01-01T00:00:00Z"}`, []string{"#/send_at want a time that is still to come"}},
		{"a time of another form", `{"from":"a@example.com","to":"x@example.net","text":"x","send_at":"tomorrow"}`, []string{`#/send_at want a time like 2026-11-23T10:00:00Z, got "tomorrow"`}},
		{"too many recipients", `{"from":"a@example.com","text":"x","to":["` + strings.Repeat(`x@example.net","`, 1000) + `x@example.net"]}`, []string{"#/to want at most 1000 recipients"}},
		{"an odd name of a field", `{"from":"a@example.com","to":"x@example.net","text":"x","headers":{"a/b~c":"d"}}`, []string{"#/headers/a~1b~0c want a name of a field"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := hand(t, network, messages, tt.body, shop)
			wantProblem(t, a, http.StatusUnprocessableEntity, "errors says what is wrong")
			var p rejection
			if err := json.Unmarshal([]byte(a.body), &p); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, m := range p.Errors {
				got = append(got, m.Pointer+" "+m.Detail)
			}
			for _, want := range tt.want {
				found := false
				for _, g := range got {
					found = found || strings.HasPrefix(g, want)
				}
				if !found {
					t.Errorf("no mistake %q in\n%s", want, strings.Join(got, "\n"))
				}
			}
			if len(got) != len(tt.want) {
				t.Errorf("%d mistakes, want %d:\n%s", len(got), len(tt.want), strings.Join(got, "\n"))
			}
		})
	}
}

func TestWhatIsWrongWithARequestSaysItsStatus(t *testing.T) {
	w := open(t, nil)
	network, shop := serve(t, w.Network()), w.token("shop")
	const good = `{"from":"shop@example.com","to":"ann@example.net","text":"x"}`
	raw := []string{"Content-Type", "message/rfc822"}
	tests := []struct {
		name, path, body string
		head             []string
		status           int
		want             string
	}{
		{"no JSON", messages, `{"from"`, nil, 400, "reading the JSON in the body"},
		{"a list", messages, `[]`, nil, 400, "reading the JSON in the body"},
		{"null", messages, `null`, nil, 400, "want an object"},
		{"two objects", messages, `{}{}`, nil, 400, "reading the JSON in the body"},
		{"no UTF-8", messages, "{\"text\":\"\xff\"}", nil, 400, "it is not UTF-8"},
		{"a parameter that is not there", messages + "?form=x", good, nil, 400, `no parameter "form"`},
		{"a parameter of whole messages", messages + "?to=x@example.net", good, nil, 400, `no parameter "to"`},
		{"an idempotency key with spaces", messages, good, []string{"Idempotency-Key", "a b"}, 400, "Idempotency-Key: want one"},
		{"an empty idempotency key", messages, good, []string{"Idempotency-Key", `""`}, 400, "Idempotency-Key: want one"},
		{"another type", messages, good, []string{"Content-Type", "text/plain"}, 415, "Content-Type: message/rfc822"},
		{"no type", messages, good, []string{"Content-Type", ""}, 415, "Content-Type: application/json"},
		{"another application", messages + "?application=crm", good, nil, 403, "sees nothing of others"},
		{"a sender of others", messages, `{"from":"news@example.org","to":"ann@example.net","text":"x"}`, nil, 403, "application shop may not send as example.org"},
		{"an author of others", messages + "?from=shop@example.com&to=a@example.net", "From: news@example.org\n\nx\n", raw, 403, "may not send as example.org"},
		{"a message without an author", messages + "?from=&to=a@example.net", "Subject: x\n\nx\n", raw, 422, "one From field"},
		{"a bare CR", messages + "?to=a@example.net", "From: shop@example.com\n\nx\ry\n", raw, 422, "bare CR"},
		{"a loop", messages + "?to=a@example.net", "From: shop@example.com\n" + strings.Repeat("Received: x\n", 51) + "\nx\n", raw, 422, "loop"},
		{"a whole message that is too long", messages + "?to=a@example.net", "From: shop@example.com\n\n" + strings.Repeat("long line\n", 105_000), raw, 413, "1048576"},
		{"parts that make one that is too long", messages, strings.Replace(good, `"x"`, `"`+strings.Repeat("ü", 400_000)+`"`, 1), nil, 413, "too big"},
		{"JSON that is far too long", messages, `{"text":"` + strings.Repeat("x", 2<<20+64<<10) + `"}`, nil, 413, "octets"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantProblem(t, hand(t, network, tt.path, tt.body, shop, tt.head...), tt.status, tt.want)
		})
	}
	if page, err := w.store.Find(t.Context(), store.Query{}); err != nil || len(page.Rows) != 0 {
		t.Errorf("%d recipients were taken, %v", len(page.Rows), err)
	}
	wantProblem(t, hand(t, w.url, messages, good, jsonBody), 422, "say as a parameter which application sends this")
	if a := hand(t, w.url, messages+"?application=shop", good, jsonBody); a.status != 202 {
		t.Errorf("an operator as an application: %d %s", a.status, a.body)
	}
}

// An unwilling Injector says err.
type unwilling struct {
	Injector
	err error
}

func (f unwilling) Inject(context.Context, server.Injection) (server.Injected, error) {
	return server.Injected{}, f.err
}

func TestWhatKeepsTheServerFromTakingMailSaysWhenToTryAgain(t *testing.T) {
	const letter = `{"from":"shop@example.com","to":["a@example.net","b@example.net","c@example.net"],"text":"x"}`
	tests := []struct {
		name   string
		change func(w *world)
		status int
		want   string
		after  time.Duration // about; 0: not said
	}{
		{"it is starting", func(w *world) { w.Ready = func() error { return errors.New("starting") } }, 503, "the server is starting", 5 * time.Second},
		{"sending is off", func(w *world) { w.policy.Mode = server.Refuse }, 503, `mode = "refuse"`, 5 * time.Minute},
		{"the day is full", func(w *world) { w.policy.Applications[1].DailyLimit = 3 }, 429, "daily limit", time.Until(time.Now().UTC().Truncate(24 * time.Hour).Add(24 * time.Hour))},
		{"it goes too fast", func(w *world) { w.policy.Applications[1].Rate = 0.01 }, 429, "allow_rate", 10 * time.Second},
		{"the disk is full", func(w *world) { w.Inject = unwilling{w.Inject, store.ErrFull} }, 507, "no room on the disk", 0},
		{"the disk failed", func(w *world) { w.Inject = unwilling{w.Inject, store.ErrFailed} }, 503, "the disk failed", 0},
		{"nobody knows", func(w *world) { w.Inject = unwilling{w.Inject, errors.New("secret reason")} }, 500, "the server's log says why", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := open(t, nil)
			network, shop := serve(t, w.Network()), w.token("shop")
			if a := hand(t, network, messages, letter, shop); a.status != 202 {
				t.Fatalf("%d %s", a.status, a.body)
			}
			tt.change(w)
			w.server.SetPolicy(w.policy)
			if tt.name == "it goes too fast" { // the first is free
				hand(t, network, messages, letter, shop)
			}
			a := hand(t, network, messages, letter, shop)
			wantProblem(t, a, tt.status, tt.want)
			got, _ := strconv.Atoi(a.head.Get("Retry-After"))
			if d := time.Duration(got) * time.Second; d < tt.after-2*time.Second || d > tt.after+2*time.Second {
				t.Errorf("Retry-After: %v, want about %v", d, tt.after)
			}
		})
	}
}

func TestWhatBecomesOfEachRecipientIsSaid(t *testing.T) {
	const letter = `{"from":"shop@example.com","to":["a@example.net","held@example.net","c@example.net"],"text":"x"}`
	tests := []struct {
		name   string
		change func(a *server.Application)
		want   string
	}{
		{"as usual", func(*server.Application) {}, "accepted, suppressed on_hold, accepted"},
		{"where who is on hold is refused", func(a *server.Application) { a.RejectHeld = true }, "accepted, refused on_hold, accepted"},
		{"where the day ends", func(a *server.Application) { a.DailyLimit = 2 }, "accepted, suppressed on_hold, refused daily_limit"},
		{"where mail is kept", func(a *server.Application) { a.Mode = server.Capture }, "captured, suppressed on_hold, captured"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := open(t, nil)
			network, shop := serve(t, w.Network()), w.token("shop")
			w.hold("held@example.net")
			tt.change(w.policy.Applications[1])
			w.server.SetPolicy(w.policy)
			for range 2 { // the second is the answer to the first again
				a := hand(t, network, messages, letter, shop, "Idempotency-Key", "k")
				var words []string
				for _, r := range read[Injected](t, a).Recipients {
					words = append(words, strings.TrimSpace(r.Result+" "+r.Reason))
				}
				if got := strings.Join(words, ", "); got != tt.want {
					t.Errorf("the recipients are %q, want %q", got, tt.want)
				}
			}
		})
	}
	w := open(t, nil)
	w.hold("held@example.net")
	w.policy.Applications[1].RejectHeld = true
	a := hand(t, serve(t, w.Network()), messages, `{"from":"shop@example.com","to":["held@example.net"],"text":"x"}`, w.token("shop"))
	wantProblem(t, a, 422, "every recipient is on hold")
	if !strings.Contains(a.body, `"recipients":[{"recipient":"held@example.net","result":"refused","reason":"on_hold"}]`) {
		t.Errorf("the answer is %s", a.body)
	}
}

func TestTheSameKeyAndRequestIsTheSameMessage(t *testing.T) {
	w := open(t, nil)
	network, shop := serve(t, w.Network()), w.token("shop")
	const letter = `{"from":"shop@example.com","to":"ann@example.net","text":"x"}`
	first := hand(t, network, messages, letter, shop, "Idempotency-Key", "order-4711")
	if first.status != 202 || first.head.Get("Idempotent-Replayed") != "" {
		t.Fatalf("%d %v %s", first.status, first.head, first.body)
	}
	w.hold("ann@example.net") // changes nothing of what was said
	for _, key := range []string{"order-4711", `"order-4711"`} {
		again := hand(t, network, messages, letter, shop, "Idempotency-Key", key)
		if again.status != 202 || again.body != first.body || again.head.Get("Idempotent-Replayed") != "true" || again.head.Get("Location") != first.head.Get("Location") {
			t.Errorf("again: %d %v %s, want %s", again.status, again.head, again.body, first.body)
		}
	}
	wantProblem(t, hand(t, network, messages, strings.Replace(letter, `"x"`, `"y"`, 1), shop, "Idempotency-Key", "order-4711"), 422, "this idempotency key was used for another request")
	other := hand(t, network, messages, letter, shop, "Idempotency-Key", "order-4712")
	none := hand(t, network, messages, letter, shop)
	crm := hand(t, network, messages, strings.Replace(letter, ".com", ".org", 1), w.token("crm"), "Idempotency-Key", "order-4711")
	seen := map[event.MessageID]bool{}
	for _, a := range []answered{first, other, none, crm} {
		seen[read[Injected](t, a).Message] = true
	}
	if len(seen) != 4 {
		t.Errorf("%d messages of four", len(seen))
	}
}

func TestTheSameKeyAtTheSameTimeIsAConflict(t *testing.T) {
	w := open(t, nil)
	network, shop := serve(t, w.Network()), w.token("shop")
	const letter = `{"from":"shop@example.com","to":"ann@example.net","text":"x"}`
	var wg sync.WaitGroup
	answers := make([]answered, 20)
	for i := range answers {
		wg.Go(func() { answers[i] = hand(t, network, messages, letter, shop, "Idempotency-Key", "k") })
	}
	wg.Wait()
	made := map[string]bool{}
	for _, a := range answers {
		switch a.status {
		case 202:
			made[a.body] = true
		case 409:
			if a.head.Get("Retry-After") != "1" {
				t.Errorf("Retry-After: %q", a.head.Get("Retry-After"))
			}
		default:
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	if page, err := w.store.Find(t.Context(), store.Query{}); err != nil || len(page.Rows) != 1 || len(made) != 1 {
		t.Errorf("%d messages, %d answers, %v, want one", len(page.Rows), len(made), err)
	}
}

func TestAMessageForALaterTimeIsListedAndCanBeCancelled(t *testing.T) {
	w := open(t, nil)
	network, shop := serve(t, w.Network()), w.token("shop")
	when := time.Now().Add(29 * 24 * time.Hour).UTC().Truncate(time.Second)
	letter := fmt.Sprintf(`{"from":"shop@example.com","to":"ann@example.net","text":"x","send_at":%q}`, when.Format(time.RFC3339))
	a := hand(t, network, messages, letter, shop)
	out := read[Injected](t, a)
	if out.SendAt == nil || !out.SendAt.Equal(when) {
		t.Errorf("the answer is %s", a.body)
	}
	listed := getAs[Recipients](t, network, "/api/v1/queue", shop).Recipients
	if len(listed) != 1 || listed[0].SendAt == nil || !listed[0].SendAt.Equal(when) || listed[0].Next == nil || !listed[0].Next.Equal(when) || listed[0].Expires.Before(when.Add(time.Hour)) {
		t.Errorf("listed is %+v", listed)
	}
	row, text := w.stored(a)
	if want := "Date: " + when.Format("Mon, 2 Jan 2006 15:04:05 -0700") + "\r\n"; !strings.Contains(text, want) {
		t.Errorf("no %q in\n%s", want, text)
	}
	// Its return address has to live from when it is sent.
	then, err := verp.New(verp.Options{Keys: verpKeys, MaxAge: 30 * 24 * time.Hour, Now: func() time.Time { return when.Add(29 * 24 * time.Hour) }})
	if err != nil {
		t.Fatal(err)
	}
	local, _, _ := strings.Cut(row.Recipient.ReturnPath, "@")
	if tag, err := then.Decode("bounce.example.com", verp.Return, strings.TrimPrefix(local, "return+")); err != nil || tag.Delivery != uint64(row.Recipient.ID) {
		t.Errorf("the tag is %+v, %v", tag, err)
	}
	if a := hand(t, network, "/api/v1/queue/cancel", fmt.Sprintf(`{"message":%q}`, out.Message), shop); a.status != 200 {
		t.Errorf("cancelling: %d %s", a.status, a.body)
	}
	if got := getAs[Recipients](t, network, messages+"/"+out.Message.String(), shop).Recipients; len(got) != 1 || got[0].State != "cancelled" {
		t.Errorf("it is %+v", got)
	}
}
