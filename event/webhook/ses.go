package webhook

import (
	"net/http"
	"strings"
	"time"

	"homing/event"
)

// ses is the form of a notification of Amazon SES in the envelope of Amazon
// SNS. Its signature is empty: only Amazon has the key whose certificate
// receivers fetch from Amazon.
type ses struct {
	plain
	topic string
}

type snsEnvelope struct {
	Type             string
	MessageID        string `json:"MessageId"`
	TopicArn         string
	Message          string
	Timestamp        sesTime
	SignatureVersion string
	Signature        string
	SigningCertURL   string
	UnsubscribeURL   string
}

type sesNotification struct {
	Type      string        `json:"notificationType"`
	Bounce    *sesBounce    `json:"bounce,omitempty"`
	Complaint *sesComplaint `json:"complaint,omitempty"`
	Delivery  *sesDelivery  `json:"delivery,omitempty"`
	Mail      sesMail       `json:"mail"`
}

type sesMail struct {
	Timestamp        sesTime  `json:"timestamp"`
	MessageID        string   `json:"messageId"`
	Source           string   `json:"source"`
	SendingAccountID string   `json:"sendingAccountId"`
	Destination      []string `json:"destination"`
}

type sesBounce struct {
	Type       string         `json:"bounceType"`
	SubType    string         `json:"bounceSubType"`
	Recipients []sesRecipient `json:"bouncedRecipients"`
	Timestamp  sesTime        `json:"timestamp"`
	FeedbackID string         `json:"feedbackId"`
	RemoteIP   string         `json:"remoteMtaIp,omitempty"`
}

type sesRecipient struct {
	Address    string `json:"emailAddress"`
	Action     string `json:"action,omitempty"`
	Status     string `json:"status,omitempty"`
	Diagnostic string `json:"diagnosticCode,omitempty"`
}

type sesComplaint struct {
	Recipients []sesRecipient `json:"complainedRecipients"`
	Timestamp  sesTime        `json:"timestamp"`
	FeedbackID string         `json:"feedbackId"`
	SubType    *string        `json:"complaintSubType"`
	Feedback   string         `json:"complaintFeedbackType"`
}

type sesDelivery struct {
	Timestamp  sesTime  `json:"timestamp"`
	Millis     int64    `json:"processingTimeMillis"`
	Recipients []string `json:"recipients"`
	Response   string   `json:"smtpResponse"`
	RemoteIP   string   `json:"remoteMtaIp,omitempty"`
}

// sesTime is written to the millisecond, as Amazon does.
type sesTime time.Time

func (t sesTime) MarshalText() ([]byte, error) {
	return []byte(time.Time(t).UTC().Format("2006-01-02T15:04:05.000Z")), nil
}

func (ses) wants(e event.Event) bool {
	return failed(e) || e.Type == event.Delivered || e.Type == event.Complained ||
		e.Type == event.Suppressed && heldFor(e) == heldForBounce && e.Class == hard
}

func (d ses) write(e event.Event, at time.Time, h http.Header) ([]byte, error) {
	if !d.wants(e) {
		return nil, errNoWord
	}
	message, err := compact(sesNotify(e, d.account()))
	if err != nil {
		return nil, err
	}
	envelope := snsEnvelope{Type: "Notification", MessageID: uuidOf(uint64(e.ID)), TopicArn: d.topic, Message: string(message),
		Timestamp: sesTime(at), SignatureVersion: "1"}
	h.Set("Content-Type", "text/plain; charset=UTF-8")
	h.Set("X-Amz-Sns-Message-Type", envelope.Type)
	h.Set("X-Amz-Sns-Message-Id", envelope.MessageID)
	h.Set("X-Amz-Sns-Topic-Arn", d.topic)
	return compact(envelope)
}

// account is the number of the account in "arn:aws:sns:REGION:ACCOUNT:TOPIC".
func (d ses) account() string {
	if parts := strings.Split(d.topic, ":"); len(parts) > 4 {
		return parts[4]
	}
	return ""
}

func sesNotify(e event.Event, account string) sesNotification {
	sent := e.Time
	if e.Message != 0 {
		sent = e.Message.Time()
	}
	n := sesNotification{Mail: sesMail{Timestamp: sesTime(sent), MessageID: messageOf(e), Source: e.From,
		SendingAccountID: account, Destination: []string{e.Recipient}}}
	switch e.Type {
	case event.Delivered:
		n.Type = "Delivery"
		n.Delivery = &sesDelivery{sesTime(e.Time), max(0, e.Time.Sub(sent).Milliseconds()), []string{e.Recipient}, detail(e), addressOf(e.RemoteMTA)}
	case event.Complained:
		n.Type = "Complaint"
		n.Complaint = &sesComplaint{Recipients: []sesRecipient{{Address: e.Recipient}}, Timestamp: sesTime(e.Time), FeedbackID: e.ID.String(), Feedback: "abuse"}
	default:
		n.Type = "Bounce"
		n.Bounce = sesBounced(e)
	}
	return n
}

func sesBounced(e event.Event) *sesBounce {
	b := &sesBounce{Type: "Transient", SubType: "General", Timestamp: sesTime(e.Time), FeedbackID: e.ID.String(), RemoteIP: addressOf(e.RemoteMTA),
		Recipients: []sesRecipient{{Address: e.Recipient, Action: "failed", Status: e.Status}}}
	if e.Diagnostic != "" {
		b.Recipients[0].Diagnostic = "smtp; " + e.Diagnostic
	}
	switch {
	case e.Type == event.Suppressed:
		b.Type, b.SubType = "Permanent", "OnAccountSuppressionList"
	case e.Class == hard:
		b.Type = "Permanent"
	case e.Reason == "mailbox_full":
		b.SubType = "MailboxFull"
	case e.Reason == "message_too_big":
		b.SubType = "MessageTooLarge"
	case e.Reason == "content" || e.Reason == "spam":
		b.SubType = "ContentRejected"
	}
	return b
}

// addressOf gives the address of a host in "mx.example.net[198.51.100.7]".
func addressOf(remote string) string {
	_, address, _ := strings.Cut(remote, "[")
	return strings.TrimSuffix(address, "]")
}
