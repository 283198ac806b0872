package webhook

import (
	"net/http"
	"regexp"
	"strings"
	"time"

	"homing/event"
)

// listmonk is the form of POST /webhooks/bounce: a bounce for each failure and
// each complaint.
type listmonk struct{ plain }

// A listmonkBounce names a subscriber by the address, for facts know no other
// name.
type listmonkBounce struct {
	Email        string       `json:"email"`
	CampaignUUID string       `json:"campaign_uuid,omitempty"`
	Source       string       `json:"source"`
	Type         string       `json:"type"` // "hard", "soft", "complaint"
	Meta         listmonkMeta `json:"meta"`
	CreatedAt    time.Time    `json:"created_at"`
}

// listmonkMeta is what listmonk shows beside a bounce.
type listmonkMeta struct {
	Event      event.ID `json:"event"`
	Reason     string   `json:"reason,omitempty"`
	Status     string   `json:"status,omitempty"`
	Diagnostic string   `json:"diagnostic,omitempty"`
	RemoteMTA  string   `json:"remote_mta,omitempty"`
}

func (listmonk) wants(e event.Event) bool { return failed(e) || e.Type == event.Complained }

func (d listmonk) write(e event.Event, _ time.Time, _ http.Header) ([]byte, error) {
	b := listmonkBounce{Email: e.Recipient, Source: "homing", Type: e.Class, CreatedAt: e.Time.UTC(),
		Meta: listmonkMeta{Event: e.ID, Reason: e.Reason, Status: e.Status, Diagnostic: e.Diagnostic, RemoteMTA: e.RemoteMTA}}
	switch {
	case !d.wants(e):
		return nil, errNoWord
	case e.Type == event.Complained:
		b.Type = "complaint"
	}
	if id := strings.TrimPrefix(e.Campaign, "listmonk:campaign:"); uuid.MatchString(id) {
		b.CampaignUUID = id
	}
	return compact(b)
}

// uuid is the text of a UUID (RFC 9562 section 4).
var uuid = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
