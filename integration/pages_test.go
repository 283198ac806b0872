package integration

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/internal/toynet"
)

// A browser keeps cookies and follows redirects, as one of a person does.
type browser struct {
	*stage
	client *http.Client
}

func newBrowser(st *stage) *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		st.t.Fatal(err)
	}
	b := &browser{st, &http.Client{Jar: jar, Timeout: 30 * time.Second, Transport: &http.Transport{}}}
	st.t.Cleanup(b.client.CloseIdleConnections)
	return b
}

// page asks for one; a form is sent as the button of a page of ours does.
func (b *browser) page(path string, form url.Values) (*http.Response, string) {
	b.t.Helper()
	method, body := http.MethodGet, ""
	if form != nil {
		method, body = http.MethodPost, form.Encode()
	}
	req, err := http.NewRequestWithContext(b.t.Context(), method, "http://"+b.HTTP+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html")
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", "http://"+b.HTTP)
	}
	resp, err := b.client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp, string(text)
}

// hiddenFields gives what the form of a page that sends mail would send.
func hiddenFields(page string) url.Values {
	form := url.Values{}
	for _, m := range regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`).FindAllStringSubmatch(page, -1) {
		form.Set(m[1], strings.ReplaceAll(m[2], "&#43;", "+"))
	}
	return form
}

func TestCapturedMailIsReadAndSentWithABrowser(t *testing.T) {
	t.Parallel()
	st := newStage(t, settings{World: toynet.World{Domains: map[string]toynet.Domain{"accepts.test": {}}}, App: `mode = "capture"`})
	st.Mail(1, "ann@accepts.test", "bob@accepts.test", "eve@accepts.test")
	b := newBrowser(st)
	if resp, text := b.page("/captured", nil); resp.Request.URL.Path != "/login" || !strings.Contains(text, `name="token"`) {
		t.Fatalf("without a token: %s\n%s", resp.Request.URL, text)
	}
	if resp, _ := b.page("/login", url.Values{"token": {"homing_wrong"}}); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a wrong token: %s", resp.Status)
	}
	token := strings.TrimSpace(st.Run("token", "add", "olga", "--operator"))
	resp, list := b.page("/login", url.Values{"token": {token}, "next": {"/captured"}})
	if resp.StatusCode != http.StatusOK || strings.Count(list, "@accepts.test<td>") != 3 {
		t.Fatalf("%s at %s\n%s", resp.Status, resp.Request.URL, list)
	}

	link := regexp.MustCompile(`<td>bob@accepts\.test<td><a href="([^"]+)">`).FindStringSubmatch(list)
	if link == nil {
		t.Fatalf("no link to bob's copy in\n%s", list)
	}
	_, letter := b.page(link[1], nil)
	if !strings.Contains(letter, "Send it now to bob@accepts.test") {
		t.Fatalf("bob's copy is\n%s", letter)
	}
	if resp, _ := b.page(link[1]+"/html", nil); resp.StatusCode == http.StatusOK && !strings.HasPrefix(resp.Header.Get("Content-Security-Policy"), "sandbox;") {
		t.Errorf("its HTML is served with %v", resp.Header)
	}
	if resp, text := b.page(link[1]+"/source", nil); resp.Header.Get("Content-Type") != "text/plain; charset=utf-8" || !strings.Contains(text, "\r\n\r\n") {
		t.Errorf("its source is %v\n%s", resp.Header, text)
	}
	if resp, text := b.page("/captured", hiddenFields(letter)); resp.StatusCode != http.StatusOK || !strings.Contains(text, "1 of it is sent now.") {
		t.Fatalf("sending it: %s\n%s", resp.Status, text)
	}
	st.Arrived("bob@accepts.test")

	_, filtered := b.page("/captured?domain=accepts.test", nil)
	_, ask := b.page("/captured", hiddenFields(filtered))
	if !strings.Contains(ask, "Send 2 now") {
		t.Fatalf("asked about the rest:\n%s", ask)
	}
	if _, text := b.page("/captured", hiddenFields(ask)); !strings.Contains(text, "2 of it are sent now.") || !strings.Contains(text, "Nothing like that is captured.") {
		t.Errorf("after the rest:\n%s", text)
	}
	st.Arrived("ann@accepts.test")
	st.Arrived("eve@accepts.test")
	st.quiet()
	if diff := cmp.Diff(map[string]int{"ann@accepts.test": 1, "bob@accepts.test": 1, "eve@accepts.test": 1}, st.arrived("accepts.test")); diff != "" {
		t.Errorf("arrived (-want +got):\n%s", diff)
	}
}
