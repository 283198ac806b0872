package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"homing/event"
)

// Reasons of Mautic for not writing to somebody ("do not contact").
const (
	mauticUnsubscribed = 1
	mauticBounced      = 2
)

const (
	maxContacts = 30      // with one address
	maxFound    = 4 << 20 // octets of an answer about them
)

// mautic calls the REST API of Mautic: it looks for the contacts with the
// address, and marks each as not to be written to. Marking twice is no harm.
type mautic struct{ plain }

func (mautic) wants(e event.Event) bool {
	return failed(e) && e.Class == hard || e.Type == event.Complained || leaves(e) || e.Type == event.Resubscribed
}

func (mautic) write(event.Event, time.Time, http.Header) ([]byte, error) { return nil, errNoWord }

// call implements caller.
func (d mautic) call(ctx context.Context, s *Sink, e event.Event) error {
	if !d.wants(e) {
		return errNoWord
	}
	contacts, err := d.contacts(ctx, s, e.Recipient)
	if err != nil {
		return fmt.Errorf("looking for the contact: %w", err)
	}
	action, body, err := mauticMark(e)
	if err != nil {
		return err
	}
	for _, id := range contacts {
		req, err := s.request(ctx, http.MethodPost, s.under("api", "contacts", strconv.FormatUint(id, 10), "dnc", "email", action), body)
		if err != nil {
			return err
		}
		if _, err := s.do(req, 0); err != nil {
			return fmt.Errorf("marking contact %d: %w", id, err)
		}
	}
	return nil
}

// contacts gives the contacts that have an address, least number first.
func (mautic) contacts(ctx context.Context, s *Sink, address string) ([]uint64, error) {
	query := url.Values{"search": {"email:" + address}, "limit": {strconv.Itoa(maxContacts)}, "orderBy": {"id"}}
	req, err := s.request(ctx, http.MethodGet, s.under("api", "contacts")+"?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	answer, err := s.do(req, maxFound)
	if err != nil {
		return nil, err
	}
	return contactsWith(answer, address)
}

// errNoContacts says that an answer is none of Mautic's API.
var errNoContacts = errors.New("the answer is no list of contacts: name the address of Mautic itself as the url, and see that its API is enabled")

// contactsWith reads an answer to a search for contacts: an object by number,
// or an empty list where there is none. Mautic also finds addresses that only
// look like it; only those that have the address, in any case, are given.
func contactsWith(answer []byte, address string) ([]uint64, error) {
	var found struct {
		Contacts json.RawMessage `json:"contacts"`
	}
	if err := json.Unmarshal(answer, &found); err != nil || len(found.Contacts) == 0 {
		return nil, errNoContacts
	}
	if bytes.Equal(bytes.TrimSpace(found.Contacts), []byte("[]")) {
		return nil, nil
	}
	var contacts map[uint64]struct {
		Fields struct {
			All struct {
				Email string `json:"email"`
			} `json:"all"`
		} `json:"fields"`
	}
	if err := json.Unmarshal(found.Contacts, &contacts); err != nil {
		return nil, errNoContacts
	}
	var ids []uint64
	for id, c := range contacts {
		if strings.EqualFold(c.Fields.All.Email, address) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// mauticMark gives what is done to a contact: the last part of the path and
// the body.
func mauticMark(e event.Event) (action string, body []byte, err error) {
	if e.Type == event.Resubscribed {
		return "remove", []byte("{}"), nil
	}
	mark := struct {
		Reason   int    `json:"reason"`
		Comments string `json:"comments"`
	}{mauticUnsubscribed, ""}
	switch {
	case e.Type == event.Complained:
		mark.Comments = "Called the mail unwanted (spam complaint)"
	case leaves(e):
		mark.Comments = "Asked to get no more mail"
	default:
		mark.Reason, mark.Comments = mauticBounced, detail(e)
	}
	body, err = compact(mark)
	return "add", body, err
}

// under gives the URL of a path below the sink's.
func (s *Sink) under(parts ...string) string {
	u := s.base.JoinPath(parts...)
	u.RawQuery = ""
	return u.String()
}
