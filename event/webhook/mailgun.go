package webhook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"time"

	"homing/event"
)

// ErrMailgunKey says that a text is no key for Mailgun's signatures.
var ErrMailgunKey = errors.New("not a key for Mailgun's signatures: want one line, 16 octets at least, without whsec_: make one with `openssl rand -hex 16`")

// parseMailgunKey reads the one key that signs, octet for octet what is
// entered at the receiver.
func parseMailgunKey(text string) ([]Secret, error) {
	key := strings.TrimSpace(text)
	if len(key) < minSecret || len(key) > maxSecret || strings.ContainsAny(key, "\r\n") || strings.HasPrefix(key, secretPrefix) {
		return nil, ErrMailgunKey
	}
	return []Secret{{[]byte(key)}}, nil
}

// mailgun is the form of Mailgun's webhooks, and of their signature.
type mailgun struct{ key Secret }

type mailgunHook struct {
	Signature mailgunSignature `json:"signature"`
	Data      mailgunData      `json:"event-data"`
}

type mailgunSignature struct {
	Token     string `json:"token"`
	Timestamp string `json:"timestamp"`
	Signature string `json:"signature"`
}

type mailgunData struct {
	ID              string            `json:"id"`
	Event           string            `json:"event"`
	Timestamp       float64           `json:"timestamp"`
	LogLevel        string            `json:"log-level"`
	Severity        string            `json:"severity,omitempty"`
	Reason          string            `json:"reason,omitempty"`
	Recipient       string            `json:"recipient"`
	RecipientDomain string            `json:"recipient-domain"`
	Status          *mailgunStatus    `json:"delivery-status,omitempty"`
	Envelope        mailgunEnvelope   `json:"envelope"`
	Message         mailgunMessage    `json:"message"`
	Flags           mailgunFlags      `json:"flags"`
	Tags            []string          `json:"tags"`
	Campaigns       []string          `json:"campaigns"`
	Variables       map[string]string `json:"user-variables"`
}

type mailgunStatus struct {
	Code        int    `json:"code"`
	Message     string `json:"message"`
	Description string `json:"description"`
	AttemptNo   int    `json:"attempt-no"`
	MXHost      string `json:"mx-host,omitempty"`
}

type mailgunEnvelope struct {
	Transport string `json:"transport"`
	Sender    string `json:"sender"`
	Targets   string `json:"targets"`
}

type mailgunMessage struct {
	Headers     map[string]string `json:"headers"`
	Attachments []string          `json:"attachments"`
}

type mailgunFlags struct {
	Routed        bool `json:"is-routed"`
	Authenticated bool `json:"is-authenticated"`
	SystemTest    bool `json:"is-system-test"`
	TestMode      bool `json:"is-test-mode"`
}

// mailgunWords are the names that Mailgun has for facts other than failures.
var mailgunWords = map[event.Type]string{
	event.Accepted: "accepted", event.Delivered: "delivered", event.Complained: "complained",
	event.Unsubscribed: "unsubscribed", event.OptedOut: "unsubscribed",
}

func (mailgun) wants(e event.Event) bool {
	return failed(e) || late(e) || e.Type == event.Suppressed && heldFor(e) != heldByOperator || mailgunWords[e.Type] != ""
}

// status knows 406, by which a receiver asks not to be told of a fact again.
func (mailgun) status(code int) event.Fault {
	if code == http.StatusNotAcceptable {
		return event.Refused
	}
	return event.Unclear
}

func (d mailgun) write(e event.Event, at time.Time, _ http.Header) ([]byte, error) {
	if !d.wants(e) {
		return nil, errNoWord
	}
	return compact(mailgunHook{d.sign(at), mailgunEvent(e)})
}

// sign makes a signature for one try: receivers take no token twice.
func (d mailgun) sign(at time.Time) mailgunSignature {
	var random [25]byte
	_, _ = rand.Read(random[:]) // never fails
	s := mailgunSignature{Token: hex.EncodeToString(random[:]), Timestamp: seconds(at)}
	mac := hmac.New(sha256.New, d.key.key)
	mac.Write([]byte(s.Timestamp + s.Token))
	s.Signature = hex.EncodeToString(mac.Sum(nil))
	return s
}

func mailgunEvent(e event.Event) mailgunData {
	m := mailgunData{ID: e.ID.String(), Event: mailgunWords[e.Type], Timestamp: float64(e.Time.UnixMilli()) / 1000, LogLevel: "info",
		Recipient: e.Recipient, RecipientDomain: e.Recipient[strings.LastIndexByte(e.Recipient, '@')+1:],
		Envelope: mailgunEnvelope{"smtp", e.Sender, e.Recipient},
		Message:  mailgunMessage{map[string]string{"to": e.Recipient, "from": e.From, "message-id": messageOf(e)}, []string{}},
		Flags:    mailgunFlags{Authenticated: true},
		Tags:     []string{}, Campaigns: []string{}, Variables: map[string]string{}}
	if e.Campaign != "" {
		m.Tags = append(m.Tags, e.Campaign)
	}
	for k, v := range given(e) {
		m.Variables[k] = v
	}
	switch e.Type {
	case event.Delivered:
		m.Status = &mailgunStatus{Code: 250, Message: detail(e), AttemptNo: e.Attempt, MXHost: hostOf(e.RemoteMTA)}
	case event.Bounced, event.Expired, event.Deferred, event.Suppressed:
		m.fail(e)
	}
	return m
}

// fail says why a message was not delivered. Only what is hard is permanent:
// receivers take that word as the end of the address.
func (m *mailgunData) fail(e event.Event) {
	m.Event, m.LogLevel, m.Severity, m.Reason = "failed", "warn", "temporary", "generic"
	m.Status = &mailgunStatus{Code: e.Code, Message: detail(e), AttemptNo: e.Attempt, MXHost: hostOf(e.RemoteMTA)}
	switch {
	case e.Type == event.Suppressed:
		why := heldFor(e)
		m.Severity, m.Reason = "permanent", "suppress-"+why
		m.Status = &mailgunStatus{
			Code:        map[string]int{heldForBounce: 605, heldForWish: 606, heldForComplaint: 607}[why],
			Description: map[string]string{heldForBounce: "Not delivering to previously bounced address", heldForWish: "Not delivering to unsubscribed address", heldForComplaint: "Not delivering to a user who marked your messages as spam"}[why],
		}
	case e.Type == event.Expired:
		m.Reason = "old"
	case e.Type == event.Bounced && e.Class == hard:
		m.Severity, m.Reason = "permanent", "bounce"
	}
	if m.Severity == "permanent" {
		m.LogLevel = "error"
	}
}

// hostOf gives the name of a host in "mx.example.net[198.51.100.7]".
func hostOf(remote string) string {
	name, _, _ := strings.Cut(remote, "[")
	return name
}
