package civicrmtest

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Contact is a person or an organisation. Those whom a mailing goes to are
// Individuals without a name.
type Contact struct {
	ID          uint64
	Type        string // "Individual", "Organization"
	First, Last string
	Deleted     bool // in the trash
}

// An Activity is a row of civicrm_activity with what belongs to it.
type Activity struct {
	ID, Source         uint64
	Type, Status       string
	Subject, Details   string
	Time               string // as the database writes it
	Targets, Assignees []uint64
	Case               uint64
	Attachments        []Attachment
}

// An Attachment is a file of an activity.
type Attachment struct{ Name, Type, Content string }

// Activities gives the table of activities.
func (s *Site) Activities() []Activity {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.db.activities)
}

// Introduce adds a contact of a type with an address, and gives its number.
func (s *Site) Introduce(kind, address string) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := s.db.contact(address).Contact
	s.db.contacts[id] = Contact{ID: id, Type: kind}
	return id
}

// Delete puts a contact into the trash.
func (s *Site) Delete(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.db.who(id)
	c.Deleted = true
	s.db.contacts[id] = c
}

// Who gives the contacts with an address, oldest first.
func (s *Site) Who(address string) (all []Contact) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.db.emails {
		if strings.EqualFold(e.Address, address) {
			all = append(all, s.db.who(e.Contact))
		}
	}
	return all
}

func (d *tables) who(id uint64) Contact {
	if c, known := d.contacts[id]; known {
		return c
	}
	return Contact{ID: id, Type: "Individual"}
}

// OpenCase adds a case, and gives its number and the token that mails about it
// have in their subjects.
func (s *Site) OpenCase() (id uint64, token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id = s.db.next("case")
	sum := sha1.Sum([]byte(s.SiteKey + strconv.FormatUint(id, 10)))
	return id, "[case #" + hex.EncodeToString(sum[:])[:7] + "]"
}

// activityRows gives the tables of activities as APIv4 shows them.
func (d *tables) activityRows(entity string) (rows []map[string]any) {
	switch entity {
	case "Activity":
		for _, a := range d.activities {
			rows = append(rows, map[string]any{"id": a.ID, "activity_type_id:name": a.Type, "details": a.Details, "activity_date_time": a.Time})
		}
	case "Case":
		for id := d.last["case"]; id > 0; id-- {
			rows = append(rows, map[string]any{"id": id})
		}
	case "CaseActivity":
		for _, a := range d.activities {
			if a.Case != 0 {
				rows = append(rows, map[string]any{"id": a.ID, "case_id": a.Case, "activity_id": a.ID})
			}
		}
	}
	return rows
}

// createOf says which permission makes a row of an entity.
var createOf = map[string]string{"Activity": "view all activities", "Contact": "add contacts", "CaseActivity": "access all cases and activities"}

// create makes a row.
func (s *Site) create(c Call) ([]map[string]any, error) {
	if !s.may(createOf[c.Entity]) {
		return nil, errForbidden
	}
	values, _ := c.Params["values"].(map[string]any)
	if values == nil {
		return nil, &failure{status: http.StatusBadRequest, message: "Parameter \"values\" is required."}
	}
	row := Call{Params: values}
	switch c.Entity {
	case "Activity":
		return s.db.createActivity(row)
	case "CaseActivity":
		for i := range s.db.activities {
			if s.db.activities[i].ID == row.number("activity_id") {
				s.db.activities[i].Case = row.number("case_id")
				return []map[string]any{{"id": row.number("activity_id")}}, nil
			}
		}
		return nil, &failure{message: "DB Error: constraint violation"}
	}
	return s.createContact(c, row)
}

// createContact makes an Individual, and its address by a chain.
func (s *Site) createContact(c, row Call) ([]map[string]any, error) {
	if row.text("contact_type") != "Individual" {
		return nil, &failure{status: http.StatusBadRequest, message: "Mandatory values missing from Api4 Contact::create: contact_type"}
	}
	chain, _ := c.Params["chain"].(map[string]any)
	link, _ := chain["email"].([]any)
	if len(link) != 3 || link[0] != "Email" || link[1] != "create" {
		return nil, &failure{message: "no chain that is understood here"}
	}
	params, _ := link[2].(map[string]any)
	values, _ := params["values"].(map[string]any)
	email := Call{Params: values}
	if email.text("contact_id") != "$id" || email.text("email") == "" {
		return nil, &failure{message: "Mandatory values missing from Api4 Email::create: email"}
	}
	id := s.db.contact(email.text("email")).Contact
	s.db.contacts[id] = Contact{ID: id, Type: "Individual", First: row.text("first_name"), Last: row.text("last_name")}
	return []map[string]any{{"id": id}}, nil
}

// zoned is a time with its zone, as strtotime of PHP reads it.
const zoned = "2006-01-02 15:04:05 -0700"

func (d *tables) createActivity(row Call) ([]map[string]any, error) {
	at, err := time.Parse(zoned, row.text("activity_date_time"))
	switch {
	case row.text("activity_type_id:name") == "", err != nil:
		return nil, &failure{status: http.StatusBadRequest, message: fmt.Sprintf("Mandatory values missing from Api4 Activity::create: activity_type_id, or a wrong date: %v", err)}
	case len([]rune(row.text("subject"))) > 255, strings.ContainsFunc(row.text("subject")+row.text("details"), func(r rune) bool { return r > 0xffff }):
		return nil, &failure{message: "DB Error: unknown error"} // tables of three octets a character
	}
	a := Activity{ID: d.next("activity"), Source: row.number("source_contact_id"), Type: row.text("activity_type_id:name"), Status: row.text("status_id:name"),
		Subject: row.text("subject"), Details: row.text("details"), Time: at.Local().Format(time.DateTime),
		Targets: row.numbers("target_contact_id"), Assignees: row.numbers("assignee_contact_id")}
	if a.Source == 0 {
		a.Source = office // the contact that acts
	}
	d.activities = append(d.activities, a)
	return []map[string]any{{"id": a.ID}}, nil
}

func (c Call) numbers(name string) (all []uint64) {
	list, _ := c.Params[name].([]any)
	for _, v := range list {
		n, _ := strconv.ParseUint(fmt.Sprint(v), 10, 64)
		all = append(all, n)
	}
	return all
}

// attachment is a call of APIv3 about the files of an activity.
func (s *Site) attachment(c Call) ([]map[string]any, error) {
	if err := c.need("entity_table", "entity_id"); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(s.db.activities, func(a Activity) bool {
		return a.ID == c.number("entity_id") && c.text("entity_table") == "civicrm_activity"
	})
	if i < 0 {
		return nil, &failure{code: "unauthorized", message: "Authorization failed on (civicrm_activity," + c.text("entity_id") + ")"}
	}
	a := &s.db.activities[i]
	if c.Action == "create" {
		if err := c.need("name", "mime_type", "content"); err != nil {
			return nil, err
		}
		a.Attachments = append(a.Attachments, Attachment{c.text("name"), c.text("mime_type"), c.text("content")})
	}
	rows := []map[string]any{}
	for i, f := range a.Attachments {
		rows = append(rows, map[string]any{"id": strconv.Itoa(i + 1), "name": f.Name, "mime_type": f.Type})
	}
	return rows, nil
}
