package webhook

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"homing/event"
)

// A Format is the tongue that a receiver understands.
type Format string

// The formats.
const (
	Standard Format = "standard" // Standard Webhooks: the event as it is
	Listmonk Format = "listmonk" // POST /webhooks/bounce of listmonk
	Postmark Format = "postmark" // the webhooks of Postmark
	SendGrid Format = "sendgrid" // the Event Webhook of SendGrid, signed
	Mailgun  Format = "mailgun"  // the webhooks of Mailgun, signed
	SES      Format = "ses"      // notifications of Amazon SES over SNS, not signed
	Mautic   Format = "mautic"   // the REST API of Mautic
)

// A dialect words facts for one kind of receiver.
type dialect interface {
	// wants reports whether the dialect has a word for a fact.
	wants(e event.Event) bool
	// write words a fact for a try at a time. Of the header it sets what is
	// not the same for every webhook.
	write(e event.Event, at time.Time, h http.Header) ([]byte, error)
	// status gives the fault that an answer names; Unclear: what it means
	// anywhere.
	status(code int) event.Fault
}

// dialect makes the dialect of a Config.
func (c *Config) dialect() (dialect, error) {
	switch c.Format {
	case "", Standard:
		if len(c.Secrets) == 0 {
			return nil, fmt.Errorf("webhook: sink %q has no secret to sign with", c.Name)
		}
		return standard{secrets: c.Secrets}, nil
	case Listmonk:
		return listmonk{}, nil
	case Postmark:
		return postmark{}, nil
	case SendGrid:
		if c.SigningKey == nil {
			return nil, fmt.Errorf("webhook: sink %q has no key to sign with", c.Name)
		}
		return sendgrid{key: c.SigningKey}, nil
	case Mailgun:
		if len(c.Secrets) != 1 {
			return nil, fmt.Errorf("webhook: sink %q needs one key to sign with", c.Name)
		}
		return mailgun{key: c.Secrets[0]}, nil
	case SES:
		return ses{topic: cmp.Or(c.Topic, "arn:aws:sns:us-east-1:000000000000:"+c.Name)}, nil
	case Mautic:
		return mautic{}, nil
	}
	return nil, fmt.Errorf("webhook: sink %q has the format %q, which there is none of", c.Name, c.Format)
}

// UseSecret reads what a secret file holds as the Format takes it. The error
// never shows it.
func (c *Config) UseSecret(text string) (err error) {
	switch c.Format {
	case SendGrid:
		c.SigningKey, err = parseSigningKey(text)
	case Mailgun:
		c.Secrets, err = parseMailgunKey(text)
	default:
		c.Secrets, err = ParseSecrets(text)
	}
	return err
}

// standard is what Standard Webhooks have: everything, as it is.
type standard struct {
	plain
	secrets []Secret
}

func (standard) wants(event.Event) bool { return true }

func (d standard) write(e event.Event, at time.Time, h http.Header) ([]byte, error) {
	body, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	id := e.ID.String()
	h.Set("webhook-id", id)
	h.Set("webhook-timestamp", seconds(at))
	h.Set("webhook-signature", sign(d.secrets, id, at, body))
	return body, nil
}

// plain is a dialect whose receivers answer as any other.
type plain struct{}

func (plain) status(int) event.Fault { return event.Unclear }

// errNoWord says that a dialect was given what it does not want.
var errNoWord = errors.New("the format has no word for this fact")

// compact writes JSON without HTML escapes and without a line end.
func compact(v any) ([]byte, error) {
	var b bytes.Buffer
	w := json.NewEncoder(&b)
	w.SetEscapeHTML(false)
	if err := w.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Verdict classes of package bounce.
const (
	hard = "hard"
	soft = "soft"
)

// failed reports whether a fact is a failure that says something about the
// recipient: what is our own fault says nothing.
func failed(e event.Event) bool {
	return (e.Type == event.Bounced || e.Type == event.Expired) && (e.Class == hard || e.Class == soft)
}

// late reports whether a fact is a delay that is not our own fault.
func late(e event.Event) bool { return e.Type == event.Deferred && e.Class != "sender" }

// detail is what the other side said, in one line that is never empty.
func detail(e event.Event) string {
	switch {
	case e.Diagnostic != "":
		return e.Diagnostic
	case e.Type == event.Delivered:
		return "250 OK"
	case e.Reason != "":
		return e.Reason
	}
	return string(e.Type)
}

// Why an address is on hold.
const (
	heldForBounce    = "bounce"
	heldForComplaint = "complaint"
	heldForWish      = "unsubscribe"
	heldByOperator   = "operator"
)

// heldFor gives why nothing was sent to a recipient, or why he is on hold.
func heldFor(e event.Event) string {
	switch {
	case e.Reason == heldForComplaint, e.Reason == heldForWish:
		return e.Reason
	case e.Class == hard || e.Class == soft:
		return heldForBounce
	}
	return heldByOperator
}

// messageOf names the message of a fact; "" where it is about none.
func messageOf(e event.Event) string {
	if e.Message == 0 {
		return ""
	}
	return e.Message.String()
}

// leaves reports whether a fact is the wish of a recipient to get no more.
func leaves(e event.Event) bool { return e.Type == event.Unsubscribed || e.Type == event.OptedOut }

// uuidOf gives one of our numbers in the form of a UUID (RFC 9562 section 5.8),
// for receivers that take no other.
func uuidOf(n uint64) string {
	return fmt.Sprintf("%08x-%04x-8000-8000-0000000000%02x", n>>24, n>>8&0xffff, n&0xff)
}

// given is what the application gave with its message, for itself.
func given(e event.Event) (texts map[string]string) {
	// What is there was checked when it was taken.
	_ = json.Unmarshal([]byte(e.Metadata), &texts)
	return texts
}
