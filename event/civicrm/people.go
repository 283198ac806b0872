package civicrm

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"homing/event"
	"homing/internal/parsedmail"
)

// people are the contacts whom a mail names, by address in lower case.
type people struct {
	mail  *event.Mail
	known map[string]uint64
}

// of gives the contacts in parts of the mail, each once.
func (p people) of(parts []Party) []uint64 {
	ids := []uint64{}
	for _, part := range parts {
		for _, m := range parties(p.mail, part) {
			if id := p.known[strings.ToLower(m.Address)]; id != 0 && !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// maxPeople is the most people of one mail who are looked for. Who writes to
// more writes to nobody in particular.
const maxPeople = 100

// people finds the contacts that an activity needs, and makes those that are
// missing where that is wanted.
func (s *Sink) people(ctx context.Context, e event.Event) (people, error) {
	p := people{mail: e.Mail, known: map[string]uint64{}}
	var wanted []parsedmail.Mailbox
	for _, part := range []Party{From, To, CC} {
		if part != From && !slices.Contains(s.c.Filing.Targets, part) && !slices.Contains(s.c.Filing.Assignees, part) {
			continue
		}
		for _, m := range parties(e.Mail, part) {
			same := func(o parsedmail.Mailbox) bool { return strings.EqualFold(o.Address, m.Address) }
			if storable(m.Address) && (part == From || !s.nobodys(e, m.Address)) && !slices.ContainsFunc(wanted, same) && len(wanted) < maxPeople {
				wanted = append(wanted, m)
			}
		}
	}
	if len(wanted) == 0 {
		return p, nil
	}
	found, err := s.contactsWith(ctx, wanted)
	if err != nil {
		return p, err
	}
	for _, m := range wanted {
		c := found[strings.ToLower(m.Address)]
		if s.c.Filing.Create && !c.individual {
			if c.id, err = s.makeContact(ctx, m); err != nil {
				return p, err
			}
		}
		p.known[strings.ToLower(m.Address)] = c.id
	}
	return p, nil
}

// maxAddress is the most octets of an address that is one (RFC 5321 section
// 4.5.3.1.3) and fits into CiviCRM's table.
const maxAddress = 254

// storable reports whether CiviCRM can keep an address. One that it cannot would
// keep the mail from everybody else in it.
func storable(address string) bool {
	return len(address) <= maxAddress && narrow(address) == address
}

// nobodys reports whether an address is that of the route and not of a person.
func (s *Sink) nobodys(e event.Event, address string) bool {
	return strings.EqualFold(address, e.Recipient) || s.c.Filing.Ours != nil && s.c.Filing.Ours(address)
}

// A contact has an address.
type contact struct {
	id         uint64
	individual bool
	primary    bool // the address is the first of several
}

// before reports whether a contact is meant rather than another one with the
// same address.
func (c contact) before(o contact) bool {
	switch {
	case o.id == 0, c.individual != o.individual:
		return o.id == 0 || c.individual
	case c.primary != o.primary:
		return c.primary
	}
	return c.id < o.id
}

// contactsWith finds the contacts with some addresses, by address. Several have the
// same one in many a database: an Individual is meant rather than an
// organisation, and the oldest rather than what came later.
func (s *Sink) contactsWith(ctx context.Context, wanted []parsedmail.Mailbox) (map[string]contact, error) {
	var addresses []string
	for _, m := range wanted {
		addresses = append(addresses, m.Address)
	}
	rows, err := s.api.v4(ctx, "Email", "get", map[string]any{
		"select": []string{"id", "email", "contact_id", "is_primary", "contact_id.contact_type"},
		"where":  []any{[]any{"email", "IN", addresses}, where("contact_id.is_deleted", false)}, "limit": 0})
	if err != nil {
		return nil, err
	}
	found := map[string]contact{}
	for _, r := range rows {
		name := strings.ToLower(r.text("email"))
		primary := r.word("is_primary")
		c := contact{r.number("contact_id"), r.text("contact_id.contact_type") == "Individual", primary == "true" || primary == "1"}
		if c.id != 0 && c.before(found[name]) {
			found[name] = c
		}
	}
	return found, nil
}

// makeContact makes an Individual with an address, in one call.
func (s *Sink) makeContact(ctx context.Context, m parsedmail.Mailbox) (uint64, error) {
	first, last := nameOf(m)
	values := map[string]any{"contact_type": "Individual", "source": inbound}
	if first != "" {
		values["first_name"] = first
	}
	if last != "" {
		values["last_name"] = last
	}
	rows, err := s.api.v4(ctx, "Contact", "create", map[string]any{"values": values, "chain": map[string]any{
		"email": []any{"Email", "create", map[string]any{"values": map[string]any{"contact_id": "$id", "email": m.Address, "is_primary": true}}}}})
	if err != nil {
		return 0, err
	}
	if len(rows) == 0 || rows[0].number("id") == 0 {
		return 0, &callError{failure: event.Failure{Err: errors.New("the answer to Contact.create does not say which contact was made")}}
	}
	id := rows[0].number("id")
	s.c.Metrics.fact(s.c.Name, introduced)
	s.c.Logger.Info("somebody became a contact", "contact", id, "from", m.Address)
	return id, nil
}

// maxNamePart is the most characters of a first or last name that CiviCRM keeps.
const maxNamePart = 64

// nameOf takes the name beside an address apart as people write it: "Ann Lee",
// "Lee, Ann". A name that is an address says nothing.
func nameOf(m parsedmail.Mailbox) (first, last string) {
	name := strings.Join(strings.Fields(narrow(m.Name)), " ")
	if strings.Contains(name, "@") {
		return "", ""
	}
	if l, f, ok := strings.Cut(name, ", "); ok {
		first, last = f, l
	} else if i := strings.LastIndexByte(name, ' '); i >= 0 {
		first, last = name[:i], name[i+1:]
	} else {
		first = name
	}
	return clip(first, maxNamePart), clip(last, maxNamePart)
}

// join puts an activity into the case that the subject of the mail names. A
// token that means no case is none: anybody can write one.
func (s *Sink) join(ctx context.Context, e event.Event, activity uint64) error {
	if e.Mail.Case == "" {
		return nil
	}
	id, err := s.caseOf(ctx, e.Mail.Case)
	if err == nil && id != 0 {
		err = s.link(ctx, activity, id)
	}
	if is(err, (*callError).absent) || is(err, (*callError).denied) && !is(err, (*callError).ofSite) {
		s.c.Logger.Warn("a mail is not put into its case: CiviCase is not enabled, or the contact whose key it is lacks \"access all cases and activities\"",
			"event", e.ID, "activity", activity, "case", e.Mail.Case, "err", err)
		return nil
	}
	return err
}

func (s *Sink) link(ctx context.Context, activity, id uint64) error {
	pair := []any{where("case_id", id), where("activity_id", activity)}
	rows, err := s.api.v4(ctx, "CaseActivity", "get", map[string]any{"select": []string{"id"}, "where": pair, "limit": 1})
	if err != nil || len(rows) > 0 {
		return err
	}
	_, err = s.api.v4(ctx, "CaseActivity", "create", map[string]any{"values": map[string]any{"case_id": id, "activity_id": activity}})
	return err
}

// caseOf finds the case that a token means; 0: none. Seven digits are the
// beginning of a hash over the site key and the number of the case, if one
// fits, and else a number.
func (s *Sink) caseOf(ctx context.Context, token string) (uint64, error) {
	if len(token) == hashLength && s.c.SiteKey != "" {
		rows, err := s.api.v4(ctx, "Case", "get", map[string]any{"select": []string{"id"}, "orderBy": map[string]any{"id": "DESC"}, "limit": 0})
		if err != nil {
			return 0, err
		}
		for _, r := range rows {
			if id := r.number("id"); caseHash(s.c.SiteKey, id) == token {
				return id, nil
			}
		}
	}
	var id uint64
	if json.Unmarshal([]byte(token), &id) != nil {
		return 0, nil
	}
	rows, err := s.api.v4(ctx, "Case", "get", map[string]any{"select": []string{"id"}, "where": []any{where("id", id)}, "limit": 1})
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	return rows[0].number("id"), nil
}
