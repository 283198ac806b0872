package web

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"homing/event"
	"homing/queue"
	"homing/server/smtpd"
	"homing/store"
)

// capture keeps a message for somebody as an application that captures does.
func (w *world) capture(application, content, to string) event.DeliveryID {
	w.Helper()
	body, err := w.store.NewBody(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	defer body.Discard()
	head, text, _ := strings.Cut(strings.ReplaceAll(content, "\n", "\r\n"), "\r\n\r\n")
	if _, err := io.WriteString(body, text); err != nil {
		w.Fatal(err)
	}
	_, err = w.queue.Submit(w.Context(), queue.Submission{Capture: true, Body: body, Heads: [][]byte{[]byte(head + "\r\n\r\n")},
		Message:    store.Message{Application: application, Domain: "example.org", From: "news@example.org", Sender: "news@example.org", Subject: "News of " + application},
		Recipients: []queue.Recipient{{Address: to}}, ReturnPath: func(event.DeliveryID, string) string { return "return+x@bounce.example.org" }})
	if err != nil {
		w.Fatal(err)
	}
	return w.deliveryOf(to)
}

// A browser asks as one does: for pages, with its cookie.
type browser struct {
	testing.TB
	url    string
	cookie string
}

// ask asks for a page; a form makes it a POST.
func (b *browser) ask(path string, form url.Values, more ...string) answered {
	b.Helper()
	r := request{path: path, head: http.Header{"Accept": {"text/html,application/xhtml+xml;q=0.9"}}}
	if form != nil {
		r.method, r.body = http.MethodPost, form.Encode()
		r.head.Set("Content-Type", "application/x-www-form-urlencoded")
		r.head.Set("Sec-Fetch-Site", "same-origin")
	}
	for i := 0; i < len(more); i += 2 {
		r.head.Set(more[i], more[i+1])
	}
	if b.cookie != "" {
		r.head.Set("Cookie", b.cookie)
	}
	a := do(b.TB, b.url, r)
	for _, c := range (&http.Response{Header: a.head}).Cookies() {
		if b.cookie = c.Name + "=" + c.Value; c.MaxAge < 0 {
			b.cookie = ""
		}
	}
	return a
}

// signIn makes a token of an application, or with "" of an operator, and signs
// in with it.
func (w *world) signIn(network, application string) *browser {
	w.Helper()
	b := &browser{TB: w.TB, url: network}
	a := b.ask("/login", url.Values{"token": {secretOf(w.token(application))}, "next": {"/captured"}})
	if a.status != http.StatusSeeOther || a.head.Get("Location") != "/captured" || b.cookie == "" {
		w.Fatalf("signing in: %d %v %s", a.status, a.head, a.body)
	}
	return b
}

// secretOf gives the token of a header.
func secretOf(head http.Header) string {
	return strings.TrimPrefix(head.Get("Authorization"), "Bearer ")
}

// wantPage checks the status and some texts of a page.
func wantPage(t *testing.T, a answered, status int, texts ...string) {
	t.Helper()
	if a.status != status || a.head.Get("Content-Type") != "text/html; charset=utf-8" || a.head.Get("Content-Security-Policy") != pagePolicy {
		t.Errorf("%d %v %s, want a page with %d", a.status, a.head, a.body, status)
	}
	for _, text := range texts {
		if !strings.Contains(a.body, text) {
			t.Errorf("there is no %q in\n%s", text, a.body)
		}
	}
	if strings.Contains(a.body, "<script") {
		t.Errorf("there is a script in\n%s", a.body)
	}
}

func TestABrowserWithoutATokenGetsToTheLoginAndBack(t *testing.T) {
	w := open(t, nil)
	network := serve(t, w.Network())
	b := &browser{TB: t, url: network}
	a := b.ask("/captured?application=crm&older=2d", nil)
	if got := a.head.Get("Location"); a.status != http.StatusSeeOther || got != "/login?next=%2Fcaptured%3Fapplication%3Dcrm%26older%3D2d" {
		t.Fatalf("%d to %q", a.status, got)
	}
	a = b.ask(a.head.Get("Location"), nil)
	wantPage(t, a, http.StatusOK, `<input type="hidden" name="next" value="/captured?application=crm&amp;older=2d">`, `<input type="password" name="token"`)
	a = b.ask("/login", url.Values{"token": {" " + secretOf(w.token("")) + "\n"}, "next": {"/captured?application=crm&older=2d"}})
	if got := a.head.Get("Location"); a.status != http.StatusSeeOther || got != "/captured?application=crm&older=2d" {
		t.Fatalf("%d to %q, want back", a.status, got)
	}
	set := a.head.Get("Set-Cookie")
	for _, attribute := range []string{"Path=/", "HttpOnly", "SameSite=Strict"} {
		if !strings.Contains(set, "; "+attribute) {
			t.Errorf("the cookie %q has no %s", set, attribute)
		}
	}
	if strings.Contains(set, "Secure") || strings.Contains(set, "Max-Age") {
		t.Errorf("the cookie %q, over plain HTTP, until the browser is closed", set)
	}
	wantPage(t, b.ask("/captured", nil), http.StatusOK, "Nothing is captured.", "token t ")
	wantPage(t, b.ask("/captured/01KAQ3V5Z8001", nil), http.StatusNotFound, "nothing is known of this")
	wantPage(t, b.ask("/captured/x", nil), http.StatusBadRequest, "not an identifier")
	a = b.ask("/logout", url.Values{})
	if a.status != http.StatusSeeOther || b.cookie != "" {
		t.Errorf("signing out: %d %v", a.status, a.head)
	}
	if a = b.ask("/captured", nil); a.status != http.StatusSeeOther {
		t.Errorf("after that: %d", a.status)
	}
}

func TestTheCookieIsSecureWhereTheBrowserSpeaksTLS(t *testing.T) {
	w := open(t, nil)
	network, secret := serve(t, w.Network()), secretOf(w.token(""))
	host := strings.TrimPrefix(network, "http://")
	for _, more := range [][]string{{"X-Forwarded-Proto", "https"}, {"Origin", "https://" + host}} {
		b := &browser{TB: t, url: network}
		a := b.ask("/login", url.Values{"token": {secret}}, more...)
		if set := a.head.Get("Set-Cookie"); !strings.Contains(set, "; Secure") {
			t.Errorf("%v: %d %q", more, a.status, set)
		}
	}
}

func TestTheLoginLeadsToNoOtherSite(t *testing.T) {
	for _, tt := range []struct{ next, want string }{
		{"/captured?domain=example.net", "/captured?domain=example.net"},
		{"/captured/01KAQ3V5Z8001", "/captured/01KAQ3V5Z8001"},
		{"/selfcheck", "/selfcheck"},
		{"", homePage}, {"captured", homePage}, {"//evil.example/", homePage}, {"///evil.example/", homePage}, {"/\\evil.example/", homePage}, {"\\\\evil.example", homePage},
		{"https://evil.example/", homePage}, {"https:evil.example", homePage}, {"javascript:alert(1)", homePage}, {"/\t/evil.example", homePage}, {"/\n/evil.example", homePage},
		{"/./evil", homePage}, {"/..//evil.example", homePage},
	} {
		if got := ownPath(tt.next); got != tt.want {
			t.Errorf("ownPath(%q) = %q, want %q", tt.next, got, tt.want)
		}
	}
}

func FuzzOwnPath(f *testing.F) {
	f.Add("/captured?x=1")
	f.Add("//evil.example")
	f.Fuzz(func(t *testing.T, next string) {
		got := ownPath(next)
		base, err := url.Parse("http://mail.example.org/login")
		if err != nil {
			t.Fatal(err)
		}
		to, err := base.Parse(got)
		if err != nil || to.Host != base.Host || to.Scheme != base.Scheme || !strings.HasPrefix(got, "/") || strings.HasPrefix(got, "//") || strings.ContainsAny(got, "\\\r\n\t") {
			t.Errorf("%q leads to %q, %v", next, got, err)
		}
	})
}

func TestWrongTokensAtTheLoginAreCountedAndLimited(t *testing.T) {
	counts := NewCounts(nil)
	w := open(t, func(w *Web) {
		w.Limiter, w.Counts = &smtpd.AuthLimiter{PerMinute: 2}, counts
	})
	network, right := serve(t, w.Network()), secretOf(w.token("crm"))
	b := &browser{TB: t, url: network}
	wrong := func() answered { return b.ask("/login", url.Values{"token": {"homing_wrong"}, "next": {"/captured"}}) }
	for range 2 {
		wantPage(t, wrong(), http.StatusUnauthorized, "this token is not known, or has expired", `name="token"`)
	}
	a := wrong()
	wantPage(t, a, http.StatusTooManyRequests, "too many wrong tokens came from this address")
	if a.head.Get("Retry-After") == "" || b.cookie != "" {
		t.Errorf("%v, cookie %q", a.head, b.cookie)
	}
	b.cookie = cookieName + "=homing_wrong"
	wantPage(t, b.ask("/captured", nil), http.StatusTooManyRequests, "too many wrong tokens")
	wantProblem(t, do(t, network, request{path: "/api/v1/queue", head: http.Header{"Authorization": {"Bearer wrong"}}}), http.StatusTooManyRequests, "too many wrong tokens")
	if a := b.ask("/login", url.Values{"token": {right}}); a.status != http.StatusSeeOther {
		t.Errorf("the right one: %d %s", a.status, a.body)
	}
	if got := testutil.ToFloat64(counts.tokens.WithLabelValues("limited")); got != 3 {
		t.Errorf("%v were limited, want 3", got)
	}
}

func TestATokenThatCountsNoMoreEndsTheSession(t *testing.T) {
	w := open(t, nil)
	b := w.signIn(serve(t, w.Network()), "crm")
	if err := w.tokens.Remove(t.Context(), "tcrm"); err != nil {
		t.Fatal(err)
	}
	wantPage(t, b.ask("/login", url.Values{"token": {strings.TrimPrefix(b.cookie, cookieName+"=")}}), http.StatusUnauthorized, "this token is not known")
	if a := b.ask("/captured", nil); a.status != http.StatusSeeOther || b.cookie != "" {
		t.Errorf("%d %v", a.status, a.head)
	}
}

func TestOnlyPagesTakeTheCookie(t *testing.T) {
	w := open(t, nil)
	b := w.signIn(serve(t, w.Network()), "")
	for _, r := range w.routes() {
		if r.access != known && r.access != applications {
			continue
		}
		a := do(t, b.url, request{r.method, concrete(r), "{}", http.Header{"Cookie": {b.cookie}, "Content-Type": {"application/json"}, "Accept": {"text/html"}}})
		wantProblem(t, a, http.StatusUnauthorized, "this needs a token")
	}
}

func TestAFormOfAnotherSiteDoesNothing(t *testing.T) {
	w := open(t, func(w *Web) { w.Renew = func(store.Message, store.Recipient) string { return "" } })
	id := w.capture("crm", "Subject: x\n\nHello.\n", "ann@example.net")
	b := w.signIn(serve(t, w.Network()), "")
	cookie := b.cookie
	for _, from := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Sec-Fetch-Site", "", "Origin", "https://evil.example"}, {"Sec-Fetch-Site", "", "Origin", "null"}} {
		for path, form := range map[string]url.Values{
			"/captured": {"one": {"yes"}, "recipient": {"ann@example.net"}}, "/login": {"token": {strings.TrimPrefix(cookie, cookieName+"=")}}, "/logout": {},
		} {
			a := b.ask(path, form, from...)
			wantPage(t, a, http.StatusForbidden, "this form was sent by another site")
			if b.cookie != cookie {
				t.Errorf("%s from %v changed the cookie to %q", path, from, b.cookie)
			}
		}
	}
	if _, r, err := w.store.Recipient(t.Context(), id); err != nil || r.State != store.Captured {
		t.Errorf("it is %v, %v", r.State, err)
	}
	if a := b.ask("/captured", url.Values{"one": {"yes"}, "recipient": {"ann@example.net"}}, "Sec-Fetch-Site", "", "Origin", b.url); a.status != http.StatusSeeOther {
		t.Errorf("our own, by a browser that knows Origin alone: %d %s", a.status, a.body)
	}
}

func TestAnApplicationReadsOnlyItsOwnCapturedMail(t *testing.T) {
	w := open(t, nil)
	const letter = "Subject: x\nMIME-Version: 1.0\nContent-Type: text/html\n\n<p>Hello\n"
	mine, theirs := w.capture("crm", letter, "mine@example.net"), w.capture("shop", letter, "secret@example.net")
	network := serve(t, w.Network())
	crm, operator := w.signIn(network, "crm"), w.signIn(network, "")
	tests := []struct {
		path          string
		crm, operator int
	}{
		{"/captured", 200, 200}, {"/captured?application=crm", 200, 200}, {"/captured?application=shop", 403, 200}, {"/captured.mbox", 200, 200}, {"/captured.mbox?application=shop", 403, 200},
		{"/captured/%s", 200, 200}, {"/captured/%s/html", 200, 200}, {"/captured/%s/source", 200, 200}, {"/captured/%s/parts/1", 200, 200}, {"/captured/%s/parts/2", 404, 404}, {"/captured/%s/parts/0", 404, 404},
		{"/captured/%s/parts/x", 404, 404}, {"/captured?colour=red", 400, 400}, {"/captured/%s?colour=red", 400, 400}, {"/captured?older=red", 400, 400}, {"/captured?limit=9999", 400, 400},
	}
	for _, tt := range tests {
		path := tt.path
		if strings.Contains(path, "%s") {
			other := crm.ask(fmt.Sprintf(path, theirs), nil)
			if other.status != 404 && other.status != 400 {
				t.Errorf("the shop's %s: %d", path, other.status)
			}
			path = fmt.Sprintf(path, mine)
		}
		a, all := crm.ask(path, nil), operator.ask(path, nil)
		if a.status != tt.crm || all.status != tt.operator {
			t.Errorf("%s: %d and %d, want %d and %d", path, a.status, all.status, tt.crm, tt.operator)
		}
		if strings.Contains(a.body, "secret") {
			t.Errorf("%s shows mail of the shop: %s", path, a.body)
		}
	}
	if a := operator.ask("/captured", nil); !strings.Contains(a.body, "mine@example.net") || !strings.Contains(a.body, "secret@example.net") {
		t.Errorf("an operator sees %s", a.body)
	}
	wantPage(t, crm.ask("/captured", url.Values{"one": {"yes"}, "recipient": {"mine@example.net"}}), http.StatusForbidden, "this needs an operator&#39;s token")
	for _, path := range []string{"/captured", "/captured/" + mine.String()} {
		if a := crm.ask(path, nil); strings.Contains(a.body, `action="/captured"><`) || strings.Contains(a.body, "<button>Send") {
			t.Errorf("%s offers to send: %s", path, a.body)
		}
	}
}

func TestCapturedMailIsListedInPagesAndByFilters(t *testing.T) {
	w := open(t, nil)
	for i := range 5 {
		w.capture("crm", "Subject: x\n\nHello.\n", fmt.Sprintf("u%d@example.net", i))
	}
	w.mail(store.Message{}, "waits@example.net")
	b := w.signIn(serve(t, w.Network()), "")
	rows := regexp.MustCompile(`<td>(u\d)@example\.net<td>`)
	seen, next := "", "/captured?limit=2&application=crm"
	for pages := 0; next != "" && pages < 9; pages++ {
		a := b.ask(next, nil)
		wantPage(t, a, http.StatusOK, `<input name="application" value="crm"`)
		for _, m := range rows.FindAllStringSubmatch(a.body, -1) {
			seen += m[1] + " "
		}
		seen += "| "
		m := regexp.MustCompile(`<a href="([^"]+)">Next page</a>`).FindStringSubmatch(a.body)
		if next = ""; m != nil {
			next = strings.ReplaceAll(m[1], "&amp;", "&")
		}
	}
	if want := "u0 u1 | u2 u3 | u4 | "; seen != want {
		t.Errorf("the pages are %s, want %s", seen, want)
	}
	a := b.ask("/captured?recipient=u3@example.net", nil)
	wantPage(t, a, http.StatusOK, "u3@example.net", "/captured.mbox?recipient=u3%40example.net", "what these filters mean")
	if n := len(rows.FindAllString(a.body, -1)); n != 1 {
		t.Errorf("%d rows of one recipient", n)
	}
	wantPage(t, b.ask("/captured?recipient=waits@example.net", nil), http.StatusOK, "Nothing like that is captured.")
	mbox := b.ask("/captured.mbox?domain=example.net", nil)
	if n := strings.Count(mbox.body, "\nEnvelope-To: u"); n != 5 || mbox.head.Get("Content-Type") != "application/mbox" || !strings.HasPrefix(mbox.head.Get("Content-Disposition"), "attachment; filename=captured-") {
		t.Errorf("%d are exported: %v", n, mbox.head)
	}
}

func TestCapturedMailIsSentOneByOneOrByFilterAfterAQuestion(t *testing.T) {
	w := open(t, func(w *Web) { w.Renew = func(store.Message, store.Recipient) string { return "" } })
	for i := range 4 {
		w.capture("crm", "Subject: x\n\nHello.\n", fmt.Sprintf("u%d@example.net", i))
	}
	w.capture("shop", "Subject: x\n\nHello.\n", "eve@example.net")
	b := w.signIn(serve(t, w.Network()), "")
	state := func() (all string) {
		for _, to := range []string{"u0", "u1", "u2", "u3", "u4", "eve"} {
			page, err := w.store.Find(t.Context(), store.Query{Address: to + "@example.net"})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page.Rows {
				all += to + " " + r.Recipient.State.String() + ", "
			}
		}
		return strings.TrimSuffix(all, ", ")
	}
	fields := regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`)
	formOf := func(a answered) url.Values {
		form := url.Values{}
		for _, m := range fields.FindAllStringSubmatch(a.body, -1) {
			form.Set(m[1], strings.NewReplacer("&#43;", "+", "&amp;", "&").Replace(m[2]))
		}
		return form
	}

	one := b.ask("/captured/"+w.deliveryOf("u1@example.net").String(), nil)
	a := b.ask("/captured", formOf(one))
	if got := a.head.Get("Location"); a.status != http.StatusSeeOther || got != "/captured?sent=1" {
		t.Fatalf("one: %d to %q %s", a.status, got, a.body)
	}
	wantPage(t, b.ask("/captured?sent=1", nil), http.StatusOK, "1 of it is sent now.")
	if got, want := state(), "u0 captured, u1 waiting, u2 captured, u3 captured, eve captured"; got != want {
		t.Fatalf("now %s, want %s", got, want)
	}

	asked := b.ask("/captured", formOf(b.ask("/captured?application=crm", nil)))
	wantPage(t, asked, http.StatusOK, "3 messages will be sent now", "Application: crm", "u0@example.net", "Send 3 now")
	if got, want := state(), "u0 captured, u1 waiting, u2 captured, u3 captured, eve captured"; got != want {
		t.Fatalf("the question did something: %s", got)
	}
	w.capture("crm", "Subject: x\n\nHello.\n", "u4@example.net")
	a = b.ask("/captured", formOf(asked))
	if got := a.head.Get("Location"); a.status != http.StatusSeeOther || got != "/captured?application=crm&sent=3" {
		t.Fatalf("yes: %d to %q %s", a.status, got, a.body)
	}
	if got, want := state(), "u0 waiting, u1 waiting, u2 waiting, u3 waiting, u4 captured, eve captured"; got != want {
		t.Errorf("now %s, want %s: what came after the question was not meant", got, want)
	}

	all := b.ask("/captured", formOf(b.ask("/captured", nil)))
	wantPage(t, all, http.StatusOK, "2 messages will be sent now", "all that is captured")
	wantPage(t, b.ask("/captured", url.Values{"application": {"nobody"}}), http.StatusOK, "Nothing like that is captured.")
	wantPage(t, b.ask("/captured", url.Values{"message": {"x"}}), http.StatusUnprocessableEntity, "message: not an identifier of ours")
	wantPage(t, b.ask("/captured", url.Values{"older": {"x"}}), http.StatusBadRequest, "older: ")
	wantPage(t, b.ask("/captured", url.Values{"campaign": {strings.Repeat("x", maxRequest)}}), http.StatusRequestEntityTooLarge, "the form is too long")
	over := one.body[strings.Index(one.body, "/captured/"):]
	over = over[:strings.IndexByte(over, '"')]
	w.give("cancel", `{"recipient":"u1@example.net"}`)
	wantPage(t, b.ask(strings.TrimSuffix(over, "/source"), nil), http.StatusGone, "the message is kept no longer")
}
