package integration

import (
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
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"homing/internal/toynet"
)

const (
	formatPassword = "canary of the receivers"
	formatKey      = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
)

// A receiver is software that is told in a tongue of its own, and takes only
// what is genuine.
type receiver struct {
	name  string
	down  bool                                                                 // answers 503
	judge func(h http.Header, path string, body []byte) (said string, ok bool) // one line for a fact; ok: it is genuine

	mu     sync.Mutex
	said   []string
	forged int
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	said, ok := r.judge(req.Header, req.Method+" "+req.URL.Path+"?"+req.URL.Query().Get("search"), body)
	if !ok {
		r.forged++
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if strings.HasPrefix(said, "{") { // an answer
		_, _ = io.WriteString(w, said)
		return
	}
	r.said = append(r.said, said)
}

// up lets the receiver answer from now on.
func (r *receiver) up() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = false
}

func (r *receiver) heard() (said []string, forged int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(slices.Values(r.said)), r.forged
}

// field finds a text in JSON by the names that lead to it.
func field(body []byte, names ...string) string {
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		return err.Error()
	}
	for _, name := range names {
		if list, ok := v.([]any); ok && len(list) == 1 {
			v = list[0]
		}
		object, _ := v.(map[string]any)
		v = object[name]
	}
	if list, ok := v.([]any); ok && len(list) == 1 {
		v = list[0]
	}
	return fmt.Sprint(v)
}

// logsIn reports whether a request has the name and the password.
func logsIn(h http.Header) bool {
	return h.Get("Authorization") == "Basic "+base64.StdEncoding.EncodeToString([]byte("homing:"+formatPassword))
}

func listmonkHears(h http.Header, path string, body []byte) (string, bool) {
	return field(body, "email") + " " + field(body, "type"), logsIn(h) && path == "POST /webhooks/bounce?"
}

func postmarkHears(h http.Header, _ string, body []byte) (string, bool) {
	switch kind := field(body, "RecordType"); kind {
	case "Bounce":
		return field(body, "Email") + " " + field(body, "Type"), logsIn(h)
	case "SpamComplaint":
		return field(body, "Email") + " " + kind, logsIn(h)
	default:
		return field(body, "Recipient") + " " + kind, logsIn(h)
	}
}

func sendgridHears(public *ecdsa.PublicKey) func(http.Header, string, []byte) (string, bool) {
	return func(h http.Header, _ string, body []byte) (string, bool) {
		digest := sha256.Sum256([]byte(h.Get("X-Twilio-Email-Event-Webhook-Timestamp") + string(body)))
		signature, err := base64.StdEncoding.DecodeString(h.Get("X-Twilio-Email-Event-Webhook-Signature"))
		return field(body, "email") + " " + field(body, "event"), err == nil && ecdsa.VerifyASN1(public, digest[:], signature)
	}
}

func mailgunHears(_ http.Header, _ string, body []byte) (string, bool) {
	mac := hmac.New(sha256.New, []byte(formatKey))
	mac.Write([]byte(field(body, "signature", "timestamp") + field(body, "signature", "token")))
	said := field(body, "event-data", "recipient") + " " + field(body, "event-data", "event")
	if severity := field(body, "event-data", "severity"); severity != "<nil>" {
		said += " " + severity
	}
	return said, field(body, "signature", "signature") == hex.EncodeToString(mac.Sum(nil))
}

func sesHears(h http.Header, _ string, body []byte) (string, bool) {
	message := []byte(field(body, "Message"))
	said := field(message, "mail", "destination") + " " + field(message, "notificationType")
	if kind := field(message, "bounce", "bounceType"); kind != "<nil>" {
		said += " " + kind
	}
	return said, field(body, "Type") == h.Get("X-Amz-Sns-Message-Type") && field(body, "TopicArn") == "arn:aws:sns:eu-central-1:123456789012:bounces" && logsIn(h)
}

// mauticHears knows each recipient as a contact whose number is the length of
// the address.
func mauticHears(h http.Header, path string, body []byte) (string, bool) {
	if address, search := strings.CutPrefix(path, "GET /crm/api/contacts?email:"); search {
		return fmt.Sprintf(`{"total":"1","contacts":{"%d":{"fields":{"all":{"email":%q}}}}}`, len(address), address), logsIn(h)
	}
	return strings.TrimSuffix(path, "?") + " " + field(body, "reason"), logsIn(h)
}

// formatOutcomes are the recipients of the mailing, and what each receiver is
// to hear of them.
var formatOutcomes = map[string]map[string][]string{
	"ann@accepts.test": {"postmark": {"Delivery"}, "sendgrid": {"processed", "delivered"}, "mailgun": {"accepted", "delivered"}, "ses": {"Delivery"}},
	"bob@unknown.test": {"listmonk": {"hard"}, "postmark": {"HardBounce", "SubscriptionChange"}, "sendgrid": {"processed", "bounce"},
		"mailgun": {"accepted", "failed permanent"}, "ses": {"Bounce Permanent"}, "mautic": {"2"}},
	"cem@blocks.test": {"sendgrid": {"processed"}, "mailgun": {"accepted"}}, // our own fault
	"dan.d@complains.test": {"listmonk": {"complaint"}, "postmark": {"Delivery", "SpamComplaint", "SubscriptionChange"}, "sendgrid": {"processed", "delivered", "spamreport"},
		"mailgun": {"accepted", "delivered", "complained"}, "ses": {"Delivery", "Complaint"}, "mautic": {"1"}},
}

// wanted gives what a receiver is to hear.
func wanted(name string) (all []string) {
	for address, by := range formatOutcomes {
		for _, word := range by[name] {
			if name == "mautic" {
				all = append(all, fmt.Sprintf("POST /crm/api/contacts/%d/dnc/email/add %s", len(address), word))
				continue
			}
			all = append(all, address+" "+word)
		}
	}
	slices.Sort(all)
	return all
}

// TestReceiversOfOtherSoftwareAreToldInTheirOwnTongue sends a mailing to all
// kinds of recipients while every receiver is down, and compares what each of
// them has taken at the end.
func TestReceiversOfOtherSoftwareAreToldInTheirOwnTongue(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	login := "username = \"homing\"\npassword_file = \"receiver-password\"\n"
	receivers := []*receiver{
		{name: "listmonk", judge: listmonkHears}, {name: "postmark", judge: postmarkHears}, {name: "sendgrid", judge: sendgridHears(&key.PublicKey)},
		{name: "mailgun", judge: mailgunHears}, {name: "ses", judge: sesHears}, {name: "mautic", judge: mauticHears},
	}
	paths := map[string]string{"listmonk": "/webhooks/bounce", "mautic": "/crm"}
	keys := map[string]string{"listmonk": login, "postmark": login, "sendgrid": "secret_file = \"sendgrid.pem\"\n", "mailgun": "secret_file = \"mailgun-key\"\n",
		"ses": login + "topic = \"arn:aws:sns:eu-central-1:123456789012:bounces\"\n", "mautic": login}
	var tables, names strings.Builder
	for _, r := range receivers {
		r.down = true
		srv := httptest.NewServer(r)
		t.Cleanup(srv.Close)
		fmt.Fprintf(&tables, "[[sink]]\nname = %q\ntype = \"webhook\"\nformat = %q\nurl = %q\nallow_private = true\n%s", r.name, r.name, srv.URL+paths[r.name], keys[r.name])
		fmt.Fprintf(&names, ", %q", r.name)
	}
	st := newStage(t, settings{
		World: toynet.Everyday(20 * time.Millisecond), App: `sinks = ["hooks"` + names.String() + `]`, Tables: tables.String(),
		Delivery: "retry = [\"200ms\"]\nlifetime = \"2s\"",
		Files: map[string]string{"receiver-password": formatPassword + "\n", "mailgun-key": formatKey + "\n",
			"sendgrid.pem": string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))},
	})
	var to []string
	for address := range formatOutcomes {
		to = append(to, address)
	}
	slices.Sort(to)
	st.Outcomes(st.Mail(1, to...))
	if err := st.Net.Settled(within(t, 30*time.Second)); err != nil {
		t.Fatalf("waiting for what comes back: %v", err)
	}
	if err := st.Net.Hook.Calls.Wait(within(t, 30*time.Second), heeded(st.Net.Notes.All())); err != nil {
		t.Fatalf("waiting for the complaint: %v", err)
	}
	for _, r := range receivers {
		r.up()
	}
	for _, r := range receivers {
		want := wanted(r.name)
		until(t, 30*time.Second, "what "+r.name+" is told", func() bool {
			said, forged := r.heard()
			return len(said) >= len(want) || forged > 0
		})
		if said, forged := r.heard(); forged > 0 || !slices.Equal(said, want) {
			t.Errorf("%s heard %q and %d that are not genuine, want %q", r.name, said, forged, want)
		}
	}
	t.Run("a key that cannot sign is found before the start", func(t *testing.T) {
		st.Write("sendgrid.pem", "whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0")
		stdout, stderr, code := st.Try("config", "check")
		if code == 0 || !strings.Contains(stdout+stderr, "not a private key for ECDSA") || strings.Contains(stdout+stderr, "c2Vj") {
			t.Errorf("config check says %q %q (%d)", stdout, stderr, code)
		}
	})
	if log := st.Log(); strings.Contains(log, formatPassword) || strings.Contains(log, formatKey) {
		t.Error("the log has a secret of a receiver")
	}
}
