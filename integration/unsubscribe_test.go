package integration

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"homing/internal/message"
	"homing/internal/toynet"
)

// TestOneClickUnsubscribes sends a mailing of a CiviCRM that knows nothing of it
// and follows the link, as a scanner, a person and a mail program do.
func TestOneClickUnsubscribes(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	st := newStage(t, settings{
		World: toynet.World{Domains: map[string]toynet.Domain{"accepts.test": {}}},
		Top:   `public_url = "https://mail.example.org/mail"`, Domain: `dkim = [ { selector = "s1", key_file = "dkim.pem" } ]`,
		Files: map[string]string{"dkim.pem": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))},
	})
	sent := st.Mail(7, "ann@accepts.test", "bob@accepts.test")
	mail := st.Arrived("ann@accepts.test").Message
	header := message.ParseHeader(mail)

	// Both fields are signed: without that no mail program offers the button.
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	checks, err := dkim.VerifyWithOptions(bytes.NewReader(mail), &dkim.VerifyOptions{LookupTXT: func(string) ([]string, error) {
		return []string{"v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(public)}, nil
	}})
	if err != nil || len(checks) != 1 || checks[0].Err != nil ||
		!slices.Contains(checks[0].HeaderKeys, "List-Unsubscribe") || !slices.Contains(checks[0].HeaderKeys, "List-Unsubscribe-Post") {
		t.Errorf("signatures: %+v, %v; want one that covers both fields", checks, err)
	}
	ways := header.Get("List-Unsubscribe")
	link := regexp.MustCompile(`^<https://mail\.example\.org/mail(/u/[A-Za-z0-9_-]+)>, <mailto:civi\+u\.7\.`).FindStringSubmatch(ways)
	if link == nil || header.Get("List-Unsubscribe-Post") != "List-Unsubscribe=One-Click" {
		t.Fatalf("List-Unsubscribe: %s", ways)
	}

	status, page := st.get(link[1])
	if status != http.StatusOK || !strings.Contains(page, "an…@accepts.test") || len(st.Held()) > 0 {
		t.Errorf("looking at it is %d %q, held %v; want that nothing changes", status, page, st.Held())
	}
	post := func(path string) (int, string) {
		resp, err := http.Post("http://"+st.HTTP+path, "application/x-www-form-urlencoded", strings.NewReader("List-Unsubscribe=One-Click"))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body)
	}
	for range 2 {
		if status, page := post(link[1]); status != http.StatusOK || !strings.Contains(page, "gets no more mailings of example.org") {
			t.Errorf("the click is answered %d %q", status, page)
		}
	}
	if status, _ := post("/u/AAAA" + link[1][3:]); status != http.StatusNotFound {
		t.Errorf("a forged link is answered %d", status)
	}
	st.heard("unsubscribed", "ann@accepts.test", 1)
	call := st.Net.Hook.Calls.All()[slices.IndexFunc(st.Net.Hook.Calls.All(), func(c toynet.Call) bool { return c.Event.Type == "unsubscribed" })]
	if call.Event.Sender != sent[0].Sender || call.Event.Application != "civicrm" || call.Event.Campaign != "civicrm:job:7" {
		t.Errorf("the application was told %+v; want its own address %s", call.Event, sent[0].Sender)
	}
	if got := st.Held(); !slices.Equal(got, []string{"ann@accepts.test"}) {
		t.Errorf("held %v, want ann alone", got)
	}

	// The next mailing passes her over; a receipt does not.
	st.Mail(8, "ann@accepts.test", "bob@accepts.test")
	st.heard("suppressed", "ann@accepts.test", 1)
	if n := st.Metrics()[`homing_server_unsubscribes_total{way="link"}`]; n != 2 {
		t.Errorf("%v clicks are counted, want 2", n)
	}
}

// heard waits until the application has heard of a fact so many times.
func (st *stage) heard(kind, recipient string, times int) {
	st.t.Helper()
	count := func() (n int) {
		for _, c := range st.Net.Hook.Calls.All() {
			if string(c.Event.Type) == kind && c.Event.Recipient == recipient {
				n++
			}
		}
		return n
	}
	until(st.t, 20*time.Second, kind+" of "+recipient, func() bool { return count() >= times })
	if n := count(); n != times {
		st.t.Errorf("%s of %s was told %d times, want %d", kind, recipient, n, times)
	}
}
