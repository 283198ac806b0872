package webhook

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"homing/event"
)

// ErrSigningKey says that a text is no key for SendGrid's signatures.
var ErrSigningKey = errors.New("not a private key for ECDSA with P-256 in PEM: make one with `openssl ecparam -name prime256v1 -genkey -noout`")

// parseSigningKey reads a private key for ECDSA in PEM, as openssl writes it
// (RFC 5915, or PKCS #8).
func parseSigningKey(text string) (*ecdsa.PrivateKey, error) {
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, ErrSigningKey
		}
		if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
			return onP256(key)
		}
		if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			return onP256(key)
		}
	}
}

func onP256(key any) (*ecdsa.PrivateKey, error) {
	k, ok := key.(*ecdsa.PrivateKey)
	if !ok || k.Curve != elliptic.P256() {
		return nil, ErrSigningKey
	}
	return k, nil
}

// sendgrid is the form of SendGrid's Event Webhook, a batch of one, and of its
// signature.
type sendgrid struct {
	plain
	key *ecdsa.PrivateKey
}

// sendgridWords are the names that SendGrid has for facts other than failures.
var sendgridWords = map[event.Type]string{
	event.Accepted: "processed", event.Delivered: "delivered", event.Deferred: "deferred", event.Suppressed: "dropped",
	event.Complained: "spamreport", event.Unsubscribed: "unsubscribe", event.OptedOut: "unsubscribe",
}

func (sendgrid) wants(e event.Event) bool {
	if e.Type == event.Deferred {
		return late(e)
	}
	return failed(e) || sendgridWords[e.Type] != ""
}

func (d sendgrid) write(e event.Event, at time.Time, h http.Header) ([]byte, error) {
	if !d.wants(e) {
		return nil, errNoWord
	}
	body, err := compact([]map[string]any{sendgridEvent(e)})
	if err != nil {
		return nil, err
	}
	stamp := seconds(at)
	digest := sha256.Sum256(append([]byte(stamp), body...))
	signature, err := ecdsa.SignASN1(rand.Reader, d.key, digest[:])
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	h.Set("X-Twilio-Email-Event-Webhook-Signature", base64.StdEncoding.EncodeToString(signature))
	h.Set("X-Twilio-Email-Event-Webhook-Timestamp", stamp)
	return body, nil
}

// sendgridEvent words a fact. What the application gave with its message
// stands among the fields, as SendGrid's custom arguments do, and replaces none.
func sendgridEvent(e event.Event) map[string]any {
	m := map[string]any{"email": e.Recipient, "timestamp": e.Time.Unix(), "event": sendgridWords[e.Type],
		"sg_event_id": e.ID.String(), "sg_message_id": messageOf(e)}
	if e.Campaign != "" {
		m["category"] = []string{e.Campaign}
	}
	switch {
	case failed(e):
		m["event"], m["type"] = "bounce", "blocked"
		if e.Class == hard {
			m["type"] = "bounce"
		}
		m["reason"], m["bounce_classification"] = detail(e), sendgridClass(e)
		if e.Status != "" {
			m["status"] = e.Status
		}
	case e.Type == event.Delivered:
		m["response"] = detail(e)
	case e.Type == event.Deferred:
		m["response"], m["attempt"] = detail(e), strconv.Itoa(e.Attempt)
	case e.Type == event.Suppressed:
		m["reason"] = map[string]string{heldForBounce: "Bounced Address", heldForComplaint: "Spam Reporting Address",
			heldForWish: "Unsubscribed Address", heldByOperator: "On hold by the operator"}[heldFor(e)]
	}
	for k, v := range given(e) {
		if _, taken := m[k]; !taken {
			m[k] = v
		}
	}
	return m
}

// sendgridClass gives SendGrid's classification of a failure.
func sendgridClass(e event.Event) string {
	switch e.Reason {
	case "user_unknown", "moved", "disabled", "no_mail_host", "host_unknown":
		return "Invalid Address"
	case "mailbox_full":
		return "Mailbox Unavailable"
	case "system_full", "system_error", "network_error", "expired", "loop", "relay_denied", "protocol_error":
		return "Technical"
	case "message_too_big", "content", "spam", "virus":
		return "Content"
	case "rate_limited":
		return "Frequency or Volume"
	}
	return "Unclassified"
}
