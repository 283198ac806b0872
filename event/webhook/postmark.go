package webhook

import (
	"net/http"
	"time"

	"homing/event"
)

// postmark is the form of Postmark's webhooks about bounces, spam complaints,
// deliveries and changes of subscription.
type postmark struct{ plain }

// postmarkHead begins every record.
type postmarkHead struct {
	RecordType    string
	MessageStream string
	ServerID      int
	MessageID     string
	Tag           string
	Metadata      map[string]string
}

type postmarkBounce struct {
	postmarkHead
	ID            int64
	Type          string
	TypeCode      int
	Name          string
	Description   string
	Details       string
	Email         string
	From          string
	BouncedAt     time.Time
	DumpAvailable bool
	Inactive      bool // nothing more is sent there
	CanActivate   bool
	Subject       string
}

type postmarkDelivery struct {
	postmarkHead
	Recipient   string
	DeliveredAt time.Time
	Details     string
}

type postmarkSubscription struct {
	postmarkHead
	Recipient         string
	ChangedAt         time.Time
	Origin            string
	SuppressSending   bool
	SuppressionReason *string
}

func (postmark) wants(e event.Event) bool {
	switch e.Type {
	case event.Delivered, event.Complained, event.Unsubscribed, event.OptedOut, event.Resubscribed, event.Held:
		return true
	case event.Released:
		// The hold for a wish also ends when the application has heeded it.
		return e.Reason != heldForWish && (e.Hold == nil || e.Hold.State != "held")
	}
	return failed(e)
}

func (d postmark) write(e event.Event, _ time.Time, _ http.Header) ([]byte, error) {
	head := postmarkHead{MessageStream: "outbound", MessageID: uuidOf(uint64(e.Message)), Tag: e.Campaign,
		Metadata: map[string]string{"homing_event": e.ID.String()}}
	if id := messageOf(e); id != "" {
		head.Metadata["homing_message"] = id
	}
	for k, v := range given(e) {
		head.Metadata[k] = v
	}
	switch {
	case !d.wants(e):
		return nil, errNoWord
	case e.Type == event.Delivered:
		head.RecordType = "Delivery"
		return compact(postmarkDelivery{head, e.Recipient, e.Time.UTC(), detail(e)})
	case e.Type == event.Complained || failed(e):
		return compact(postmarkBounced(head, e))
	}
	return compact(postmarkChange(head, e))
}

func postmarkBounced(head postmarkHead, e event.Event) postmarkBounce {
	b := postmarkBounce{postmarkHead: head, ID: int64(e.ID), Details: detail(e), Email: e.Recipient, From: e.From, BouncedAt: e.Time.UTC(),
		Inactive: e.Hold != nil && e.Hold.State == "held", CanActivate: true}
	b.RecordType = "Bounce"
	switch {
	case e.Type == event.Complained:
		b.RecordType, b.Type, b.TypeCode, b.Name, b.CanActivate = "SpamComplaint", "SpamComplaint", 100001, "Spam complaint", false
		b.Description = "The subscriber explicitly marked this message as spam."
	case e.Class == hard:
		b.Type, b.TypeCode, b.Name = "HardBounce", 1, "Hard bounce"
		b.Description = "The server was unable to deliver your message (ex: unknown user, mailbox not found)."
	default:
		b.Type, b.TypeCode, b.Name = "SoftBounce", 4096, "Soft bounce"
		b.Description = "Unable to temporarily deliver message (i.e. mailbox full, account disabled, exceeds quota, out of disk space)."
	}
	return b
}

func postmarkChange(head postmarkHead, e event.Event) postmarkSubscription {
	head.RecordType = "SubscriptionChange"
	s := postmarkSubscription{postmarkHead: head, Recipient: e.Recipient, ChangedAt: e.Time.UTC(), Origin: "Recipient"}
	if e.Type == event.Resubscribed || e.Type == event.Released {
		if e.Type == event.Released {
			s.Origin = "Customer"
		}
		return s
	}
	reason := "ManualSuppression"
	if e.Type == event.Held {
		switch heldFor(e) {
		case heldForBounce:
			reason = "HardBounce"
		case heldForComplaint:
			reason = "SpamComplaint"
		case heldByOperator:
			s.Origin = "Customer"
		}
	}
	s.SuppressSending, s.SuppressionReason = true, &reason
	return s
}
