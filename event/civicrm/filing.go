package civicrm

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"html"
	"strings"
	"time"

	"homing/event"
	"homing/internal/parsedmail"
)

// A Party is somebody whom a mail names.
type Party string

// The parties.
const (
	From Party = "from"
	To   Party = "to"
	CC   Party = "cc"
)

// A Filing says which activity a mail becomes that was filed.
type Filing struct {
	Type      string  // name of the type of activity; "": "Inbound Email"
	Targets   []Party // "With Contact"
	Assignees []Party
	Create    bool // make an Individual of whom nobody there knows
	// Ours reports whether mail to an address is filed here: it is nobody's at
	// the site. Nil: that of the fact alone.
	Ours func(address string) bool
}

// inbound is the type of activity that CiviCRM files mail as.
const inbound = "Inbound Email"

// filingTurn is that of whoever files. Two mails from one person would make two
// contacts of him, and one that comes twice two activities, if they were filed
// side by side.
const filingTurn = "a mail"

// file makes an activity of a mail, with what belongs to it, unless the site has
// one. Each step finds out what an earlier try has done, and does the rest.
func (s *Sink) file(ctx context.Context, e event.Event) error {
	done, err := s.c.Memory.turns.take(ctx, filingTurn)
	if err != nil {
		return err
	}
	defer done()
	t, known := s.c.Memory.call(e.ID)
	if known && t.Told {
		return nil
	}
	mark := markOf(e)
	id, err := s.activity(ctx, e, mark)
	if err != nil {
		return permitFiling(err)
	}
	if id != 0 {
		s.c.Metrics.fact(s.c.Name, found)
		s.c.Logger.Info("the site had this mail already", "event", e.ID, "activity", id)
	} else if id, err = s.makeActivity(ctx, e, mark); err != nil {
		return permitFiling(err)
	}
	if err := s.join(ctx, e, id); err != nil {
		return permitFiling(err)
	}
	if err := s.attach(ctx, e, id); err != nil {
		return permitFiling(err)
	}
	return s.c.Memory.noteCall(context.WithoutCancel(ctx), e.ID, tried{Told: true})
}

// permitFiling says what to do about a call for activities that the contact may
// not make: no reason to keep bounces from the site.
func permitFiling(err error) error {
	switch {
	case is(err, (*callError).absent):
		return fmt.Errorf("filing mail needs APIv4, which this site does not have at /civicrm/ajax/api4: %w", err)
	case is(err, (*callError).denied) && !is(err, (*callError).ofSite):
		return fmt.Errorf("%w: give the contact whose key it is \"view all contacts\", \"add contacts\" and \"view all activities\" "+
			"under Administer, Users and Permissions", err)
	}
	return err
}

// markOf names a mail in the text of its activity, so that it is known again,
// also after somebody has edited the text.
func markOf(e event.Event) string {
	sum := sha256.Sum256([]byte(cmp.Or(e.Mail.MessageID, "event "+e.ID.String())))
	return hex.EncodeToString(sum[:12])
}

// around is how far the time of an activity may be from the mail's: a time
// without a zone is in that of the site.
const around = 2 * 24 * time.Hour

// activity finds the activity that was made of a mail; 0: there is none. Where
// the mail names its time, that keeps the site from looking through all that
// it has.
func (s *Sink) activity(ctx context.Context, e event.Event, mark string) (uint64, error) {
	conditions := []any{where("activity_type_id:name", s.c.Filing.Type), []any{"details", "LIKE", "%" + mark + "%"}}
	if !e.Mail.Date.IsZero() {
		at := timeOf(e)
		conditions = append(conditions, []any{"activity_date_time", ">=", at.Add(-around).Format(time.DateTime)}, []any{"activity_date_time", "<=", at.Add(around).Format(time.DateTime)})
	}
	rows, err := s.api.v4(ctx, "Activity", "get", map[string]any{"select": []string{"id"}, "where": conditions, "orderBy": map[string]any{"id": "ASC"}, "limit": 1})
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	return rows[0].number("id"), nil
}

// timeOf is when a mail was written, as far as that can be true.
func timeOf(e event.Event) time.Time {
	if d := e.Mail.Date; !d.IsZero() && d.Before(e.Time.Add(around)) {
		return d.UTC()
	}
	return e.Time.UTC()
}

// makeActivity makes the activity, and contacts that it needs.
func (s *Sink) makeActivity(ctx context.Context, e event.Event, mark string) (uint64, error) {
	people, err := s.people(ctx, e)
	if err != nil {
		return 0, err
	}
	values := map[string]any{"activity_type_id:name": s.c.Filing.Type, "status_id:name": "Completed",
		"subject":            cmp.Or(clip(narrow(e.Mail.Subject), maxReason), "(no subject)"),
		"activity_date_time": timeOf(e).Format(time.DateTime) + " +0000",
		"details":            details(e.Mail, mark),
		"target_contact_id":  people.of(s.c.Filing.Targets), "assignee_contact_id": people.of(s.c.Filing.Assignees)}
	if source := people.of([]Party{From}); len(source) > 0 {
		values["source_contact_id"] = source[0] // else it is the contact that acts
	}
	rows, err := s.api.v4(ctx, "Activity", "create", map[string]any{"values": values})
	if err != nil {
		return 0, err
	}
	if len(rows) == 0 || rows[0].number("id") == 0 {
		return 0, &callError{failure: event.Failure{Err: errors.New("the answer to Activity.create does not say which activity was made")}}
	}
	id := rows[0].number("id")
	s.c.Metrics.fact(s.c.Name, filed)
	s.c.Logger.Info("a mail is an activity", "event", e.ID, "activity", id, "from", e.From)
	return id, nil
}

// details is the text of an activity, which CiviCRM shows as HTML.
func details(m *event.Mail, mark string) string {
	text := m.HTML
	if text == "" {
		text = "<p>" + strings.ReplaceAll(html.EscapeString(m.Text), "\n", "<br />\n") + "</p>"
	}
	var b strings.Builder
	b.WriteString(text)
	if m.Truncated {
		b.WriteString("\n<p>(The mail is longer than this.)</p>")
	}
	for _, a := range m.Attachments {
		if a.Size > maxAttached {
			fmt.Fprintf(&b, "\n<p>(The attachment %s has %d octets, which is too much to be passed on.)</p>", html.EscapeString(a.Name), a.Size)
		}
	}
	b.WriteString("\n<p><small>")
	if m.MessageID != "" {
		fmt.Fprintf(&b, "Message-ID: %s, ", html.EscapeString(m.MessageID))
	}
	fmt.Fprintf(&b, "Homing %s</small></p>", mark)
	return referred(b.String())
}

// referred writes characters beyond the first plane of Unicode, which older
// tables do not have, as references of HTML.
func referred(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r > 0xffff {
			fmt.Fprintf(&b, "&#%d;", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// narrow does without such characters, where there is no HTML.
func narrow(text string) string {
	return strings.Map(func(r rune) rune {
		if r > 0xffff {
			return '?'
		}
		return r
	}, text)
}

// parties gives those whom a mail names in a part.
func parties(m *event.Mail, p Party) []parsedmail.Mailbox {
	switch p {
	case From:
		return m.From
	case To:
		return m.To
	case CC:
		return m.CC
	}
	return nil
}
