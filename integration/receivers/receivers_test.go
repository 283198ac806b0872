// Package receivers has webhooks read by the libraries that hosted services
// give to their customers. It is a module of its own, so that the product does
// not depend on what only this test wants.
package receivers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/mailgun/mailgun-go/v4"
	"github.com/sendgrid/sendgrid-go/helpers/eventwebhook"

	"homing/event"
	"homing/event/webhook"
)

const mailgunKey = "7f4c2b1a9d8e6f504132a5b6c7d8e9f0"

// facts are one of each kind that these formats have words for.
func facts() (all []event.Event) {
	now := time.Now()
	of := func(kind event.Type, o event.Outcome) {
		all = append(all, event.Event{ID: event.FirstID(now) + event.ID(len(all)), Message: event.MessageID(event.FirstID(now)), Time: now, Type: kind,
			Recipient: "ann@example.net", Sender: "return@bounce.example.org", From: "news@example.org", Domain: "example.org", Campaign: "job:1", Attempt: 1, Outcome: o})
	}
	hard := event.Outcome{Class: "hard", Reason: "user_unknown", Code: 550, Status: "5.1.1", Diagnostic: "550 5.1.1 no such user", RemoteMTA: "mx.example.net[198.51.100.7]"}
	soft := event.Outcome{Class: "soft", Reason: "mailbox_full", Code: 452, Status: "4.2.2", Diagnostic: "452 4.2.2 full"}
	of(event.Accepted, event.Outcome{})
	of(event.Delivered, event.Outcome{Code: 250, Diagnostic: "250 2.0.0 queued"})
	of(event.Bounced, hard)
	of(event.Bounced, soft)
	of(event.Expired, soft)
	of(event.Deferred, soft)
	of(event.Suppressed, hard)
	of(event.Complained, event.Outcome{Reason: "complaint"})
	of(event.Unsubscribed, event.Outcome{})
	return all
}

// tell has a receiver told of every fact that its format has a word for.
func tell(t *testing.T, format webhook.Format, secret string, receive func(h http.Header, body []byte) error) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = receive(r.Header, body)
		}
		if err != nil {
			t.Errorf("%v: %s", err, body)
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	defer server.Close()
	c := webhook.Config{Name: "hooks", URL: server.URL, Format: format, AllowPrivate: true}
	if err := c.UseSecret(secret); err != nil {
		t.Fatal(err)
	}
	s, err := webhook.New(c)
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	for _, e := range facts() {
		if !s.Wants(e) {
			continue
		}
		told++
		if err := s.Tell(t.Context(), e); err != nil {
			t.Errorf("%s: %v", e.Type, err)
		}
	}
	if told < 8 {
		t.Errorf("only %d facts were told", told)
	}
}

func TestSendGridsLibraryVerifiesOurSignature(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	verification, err := eventwebhook.ConvertPublicKeyBase64ToECDSA(base64.StdEncoding.EncodeToString(public))
	if err != nil {
		t.Fatal(err)
	}
	verify := func(h http.Header, body []byte) error {
		ok, err := eventwebhook.VerifySignature(verification, body, h.Get(eventwebhook.VerificationHTTPHeader), h.Get(eventwebhook.TimestampHTTPHeader))
		if err == nil && !ok {
			err = fmt.Errorf("the signature is wrong")
		}
		return err
	}
	secret := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private})
	tell(t, webhook.SendGrid, string(secret), verify)
	tell(t, webhook.SendGrid, string(secret), func(h http.Header, body []byte) error {
		if verify(h, append(body, ' ')) == nil {
			return fmt.Errorf("a body that was changed passes")
		}
		return nil
	})
}

func TestMailgunsLibraryVerifiesAndReadsWhatItIsTold(t *testing.T) {
	verifier := mailgun.NewMailgun("example.org", "")
	verifier.SetWebhookSigningKey(mailgunKey)
	kinds := map[string]int{}
	tell(t, webhook.Mailgun, mailgunKey, func(_ http.Header, body []byte) error {
		var p mailgun.WebhookPayload
		if err := json.Unmarshal(body, &p); err != nil {
			return err
		}
		if ok, err := verifier.VerifyWebhookSignature(p.Signature); err != nil || !ok {
			return fmt.Errorf("the signature: %t, %v", ok, err)
		}
		e, err := mailgun.ParseEvent(p.EventData)
		if err != nil {
			return err
		}
		kinds[e.GetName()]++
		return nil
	})
	for _, kind := range []string{"accepted", "delivered", "failed", "complained", "unsubscribed"} {
		if kinds[kind] == 0 {
			t.Errorf("the library read no event %q of ours: %v", kind, kinds)
		}
	}
}
