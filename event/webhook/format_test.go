package webhook_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/event"
	"homing/event/webhook"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const mailgunKey = "7f4c2b1a9d8e6f504132a5b6c7d8e9f0"

// A fact is an event with what it is called in the golden files.
type fact struct {
	name string
	event.Event
}

// facts are one of each kind that a format may have a word for, or must not
// tell.
func facts(t *testing.T) []fact {
	t.Helper()
	metadata, err := event.MetadataOf(map[string]string{"order": "4711", "email": "a trap"})
	if err != nil {
		t.Fatal(err)
	}
	base := bounced()
	base.Message, base.From, base.Campaign = event.MessageID(event.FirstID(now.Add(-2*time.Second))+3), "news@example.org", "listmonk:campaign:9f86b50d-5711-41c8-ab03-bc91c43d711b"
	base.Metadata, base.Attempt, base.RemoteMTA = metadata, 2, "mx.example.net[198.51.100.7]"
	base.Sync = nil
	of := func(name string, kind event.Type, o event.Outcome) fact {
		e := base
		e.Type = kind
		o.RemoteMTA = base.RemoteMTA
		e.Outcome = o
		return fact{name, e}
	}
	unknown := event.Outcome{Class: "hard", Reason: "user_unknown", Code: 550, Status: "5.1.1", Diagnostic: "550 5.1.1 <ann@example.net> & no such user"}
	full := event.Outcome{Class: "soft", Reason: "mailbox_full", Code: 452, Status: "4.2.2", Diagnostic: "452 4.2.2 mailbox full"}
	ours := event.Outcome{Class: "sender", Reason: "blocked", Code: 550, Status: "5.7.1", Diagnostic: "550 5.7.1 listed"}
	all := []fact{
		of("hard", event.Bounced, unknown), of("soft", event.Bounced, full), of("our own fault", event.Bounced, ours),
		of("expired", event.Expired, full), of("expired by our own fault", event.Expired, ours),
		of("deferred", event.Deferred, full), of("deferred by our own fault", event.Deferred, ours),
		of("accepted", event.Accepted, event.Outcome{}), of("delivered", event.Delivered, event.Outcome{Code: 250, Diagnostic: "250 2.0.0 queued"}),
		of("complained", event.Complained, event.Outcome{Class: "sender", Reason: "complaint"}),
		of("suppressed after a bounce", event.Suppressed, unknown), of("suppressed after a complaint", event.Suppressed, event.Outcome{Class: "sender", Reason: "complaint"}),
		of("suppressed by a wish", event.Suppressed, event.Outcome{Reason: "unsubscribe"}), of("suppressed by an operator", event.Suppressed, event.Outcome{}),
		of("unsubscribed", event.Unsubscribed, event.Outcome{}), of("opted out", event.OptedOut, event.Outcome{}), of("resubscribed", event.Resubscribed, event.Outcome{}),
		of("held after a bounce", event.Held, unknown), of("held after a complaint", event.Held, event.Outcome{Class: "sender", Reason: "complaint"}),
		of("held by an operator", event.Held, event.Outcome{Rule: "operator"}), of("released", event.Released, event.Outcome{}),
		of("replied", event.Replied, event.Outcome{}), of("auto-replied", event.AutoReplied, event.Outcome{Class: "none", Reason: "auto_reply"}), of("captured", event.Captured, event.Outcome{}),
		of("cancelled", event.Cancelled, event.Outcome{}), of("a check", event.CheckFailed, event.Outcome{}),
	}
	all[0].Hold = &event.HoldState{State: "held"}
	heeded := of("released because the application has heeded a wish", event.Released, event.Outcome{Reason: "unsubscribe"})
	nobody := of("a complaint that names nobody", event.Complained, event.Outcome{})
	nobody.Recipient = ""
	alien := of("a complaint about no message that we know", event.Complained, event.Outcome{})
	alien.Message, alien.Metadata, alien.Campaign = 0, "", "spring"
	return append(all, heeded, nobody, alien)
}

// signingKey is a key for SendGrid's signatures, in the form that openssl
// writes.
func signingKey(t *testing.T) (text string, public *ecdsa.PublicKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})), &key.PublicKey
}

// speaking makes a sink of a format, with whatever that needs.
func speaking(f webhook.Format, secret string) func(*webhook.Config) {
	return func(c *webhook.Config) {
		c.Format, c.Secrets = f, nil
		if secret != "" {
			if err := c.UseSecret(secret); err != nil {
				panic(err)
			}
		}
		if f == webhook.Listmonk {
			c.Username, c.Password = "homing", webhook.ParsePassword("geheim")
		}
	}
}

// TestEachFormatHasTheFieldsOfItsDocumentation compares what is posted with
// files that were checked against what the receivers' makers publish.
func TestEachFormatHasTheFieldsOfItsDocumentation(t *testing.T) {
	pemKey, public := signingKey(t)
	for _, tt := range []struct {
		format webhook.Format
		secret string
		check  func(t *testing.T, h http.Header, body []byte) []byte // the signature, which is left out
	}{
		{webhook.Listmonk, "", basic},
		{webhook.Postmark, "", nil},
		{webhook.SendGrid, pemKey, func(t *testing.T, h http.Header, body []byte) []byte { return sendgridSigned(t, h, body, public) }},
		{webhook.Mailgun, mailgunKey, func(t *testing.T, _ http.Header, body []byte) []byte { return mailgunSigned(t, body) }},
		{webhook.SES, "", unwrapped},
	} {
		t.Run(string(tt.format), func(t *testing.T) {
			var got bytes.Buffer
			var head http.Header
			var body []byte
			srv := server(t, func(_ http.ResponseWriter, r *http.Request) {
				head = r.Header
				body, _ = io.ReadAll(r.Body)
			})
			s := sink(t, srv.URL, speaking(tt.format, tt.secret))
			for _, f := range facts(t) {
				fmt.Fprintf(&got, "# %s\n", f.name)
				if !s.Wants(f.Event) {
					got.WriteString("not told\n\n")
					continue
				}
				if err := s.Tell(t.Context(), f.Event); err != nil {
					t.Fatalf("%s: %v", f.name, err)
				}
				if tt.check != nil {
					body = tt.check(t, head, body)
				}
				if err := json.Indent(&got, body, "", "  "); err != nil {
					t.Fatalf("%s: %v in %s", f.name, err, body)
				}
				got.WriteString("\n\n")
			}
			golden(t, string(tt.format)+".txt", got.Bytes())
		})
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func basic(t *testing.T, h http.Header, body []byte) []byte {
	t.Helper()
	if got, want := h.Get("Authorization"), "Basic "+base64.StdEncoding.EncodeToString([]byte("homing:geheim")); got != want {
		t.Errorf("Authorization: %s, want %s", got, want)
	}
	return body
}

// sendgridSigned verifies as SendGrid's libraries do: ECDSA over the SHA-256 of
// time and body, in ASN.1.
func sendgridSigned(t *testing.T, h http.Header, body []byte, public *ecdsa.PublicKey) []byte {
	t.Helper()
	stamp := h.Get("X-Twilio-Email-Event-Webhook-Timestamp")
	signature, err := base64.StdEncoding.DecodeString(h.Get("X-Twilio-Email-Event-Webhook-Signature"))
	digest := sha256.Sum256([]byte(stamp + string(body)))
	if err != nil || stamp != "1795428000" || !ecdsa.VerifyASN1(public, digest[:], signature) {
		t.Errorf("the signature of %s does not verify (time %s, %v)", body, stamp, err)
	}
	return body
}

// mailgunSigned verifies as Mailgun asks: hexadecimal HMAC-SHA256 over time
// and token.
func mailgunSigned(t *testing.T, body []byte) []byte {
	t.Helper()
	var hook struct {
		Signature struct{ Token, Timestamp, Signature string }
	}
	if err := json.Unmarshal(body, &hook); err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, []byte(mailgunKey))
	mac.Write([]byte(hook.Signature.Timestamp + hook.Signature.Token))
	if want := hex.EncodeToString(mac.Sum(nil)); hook.Signature.Signature != want || len(hook.Signature.Token) != 50 || hook.Signature.Timestamp != "1795428000" {
		t.Errorf("the signature is %+v, want %s", hook.Signature, want)
	}
	return []byte(strings.NewReplacer(hook.Signature.Token, "TOKEN", hook.Signature.Signature, "SIGNATURE").Replace(string(body)))
}

// unwrapped shows the message of an SNS envelope as the JSON that it is.
func unwrapped(t *testing.T, h http.Header, body []byte) []byte {
	t.Helper()
	var envelope map[string]any
	if err := json.Unmarshal(body, &envelope); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{"X-Amz-Sns-Message-Type": envelope["Type"], "X-Amz-Sns-Message-Id": envelope["MessageId"],
		"X-Amz-Sns-Topic-Arn": envelope["TopicArn"], "Content-Type": "text/plain; charset=UTF-8"} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: %s, want %v", name, got, want)
		}
	}
	envelope["Message"] = json.RawMessage(envelope["Message"].(string))
	text, err := json.Marshal(envelope)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestARepeatIsKnownButSignedAnew(t *testing.T) {
	var bodies []map[string]map[string]any
	srv := server(t, func(_ http.ResponseWriter, r *http.Request) {
		var body map[string]map[string]any
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		bodies = append(bodies, body)
	})
	s := sink(t, srv.URL, speaking(webhook.Mailgun, mailgunKey))
	for range 2 {
		if err := s.Tell(t.Context(), bounced()); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := bodies[0]["event-data"]["id"], bodies[1]["event-data"]["id"]; a != b {
		t.Errorf("the repeat has the id %v, want %v", b, a)
	}
	if a, b := bodies[0]["signature"]["token"], bodies[1]["signature"]["token"]; a == b {
		t.Errorf("both have the token %v, which receivers take once", a)
	}
}

func TestWhatAnAnswerMeansToAFormat(t *testing.T) {
	for _, tt := range []struct {
		name   string
		format webhook.Format
		status int
		fault  event.Fault
	}{
		{"a receiver of Mailgun's wants no repeat", webhook.Mailgun, 406, event.Refused},
		{"anybody else's may", webhook.Postmark, 406, event.Unclear},
		{"a wrong token is no fault of the fact", webhook.Listmonk, 401, event.Down},
		{"nor is a user who may not", webhook.Listmonk, 403, event.Down},
		{"without a user it may be", webhook.Postmark, 403, event.Unclear},
		{"what listmonk cannot read may be the fact's fault", webhook.Listmonk, 400, event.Unclear},
		{"gone is gone", webhook.Postmark, 410, event.Gone},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := server(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(tt.status) })
			secret := map[webhook.Format]string{webhook.Mailgun: mailgunKey}[tt.format]
			err := sink(t, srv.URL, speaking(tt.format, secret)).Tell(t.Context(), bounced())
			var f *event.Failure
			if !errors.As(err, &f) || f.Fault != tt.fault {
				t.Errorf("Tell = %v, want a failure with fault %d", err, tt.fault)
			}
			if err != nil && strings.Contains(err.Error(), "geheim") {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}

func TestSecretsOfFormats(t *testing.T) {
	good, _ := signingKey(t)
	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := x509.MarshalPKCS8PrivateKey(other)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(good))
	key, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	p256, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	parameters := string(pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7}}))
	for _, tt := range []struct {
		name   string
		format webhook.Format
		text   string
		want   error
	}{
		{"a key of openssl ecparam", webhook.SendGrid, good, nil},
		{"with its parameters before it", webhook.SendGrid, parameters + good, nil},
		{"a key in PKCS #8", webhook.SendGrid, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: p256})), nil},
		{"a key of another curve", webhook.SendGrid, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: p384})), webhook.ErrSigningKey},
		{"a secret of Standard Webhooks", webhook.SendGrid, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", webhook.ErrSigningKey},
		{"a key of Mailgun", webhook.Mailgun, mailgunKey + "\n", nil},
		{"two, of which only one could sign", webhook.Mailgun, mailgunKey + "\n" + mailgunKey, webhook.ErrMailgunKey},
		{"one in a form that no receiver of Mailgun's knows", webhook.Mailgun, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", webhook.ErrMailgunKey},
		{"too short", webhook.Mailgun, "fifteen octets!", webhook.ErrMailgunKey},
		{"the standard one", webhook.Standard, rawSecret, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := webhook.Config{Name: "hooks", URL: "https://crm.example.org/", Format: tt.format}
			err := c.UseSecret(tt.text)
			if !errors.Is(err, tt.want) {
				t.Fatalf("UseSecret = %v, want %v", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), strings.TrimSpace(tt.text)) {
				t.Errorf("the error shows the secret: %v", err)
			}
			if _, again := webhook.New(c); (again == nil) != (err == nil) {
				t.Errorf("New = %v after UseSecret = %v", again, err)
			}
		})
	}
	if _, err := webhook.New(webhook.Config{URL: "https://crm.example.org/", Format: "mandrill"}); err == nil {
		t.Error("New takes a format that there is none of")
	}
}
