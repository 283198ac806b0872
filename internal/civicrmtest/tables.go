package civicrmtest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// entities says which permission an entity of APIv4 needs.
var entities = map[string]string{
	"Email": "view all contacts", "MailingEventBounce": "access CiviMail", "MailingEventUnsubscribe": "access CiviMail", "MailingEventReply": "access CiviMail",
	"Setting": "administer CiviCRM", "MailSettings": "administer CiviCRM", "Job": "administer CiviCRM", "Domain": "access CiviCRM",
	"OptionValue": "access CiviCRM", "Contact": "view all contacts", "Activity": "view all activities", "Case": "access all cases and activities",
	"CaseActivity": "access all cases and activities",
}

func absent(c Call) error {
	return &failure{status: http.StatusInternalServerError, message: fmt.Sprintf("API (%s, %s) does not exist (join the API team and implement it!)", c.Entity, c.Action)}
}

var errForbidden = &failure{status: http.StatusForbidden, message: "Authorization failed"}

// v4 carries out a call of APIv4. The lock is held.
func (s *Site) v4(c Call) ([]map[string]any, error) {
	permission, known := entities[c.Entity]
	switch {
	case !known || s.Old && strings.HasPrefix(c.Entity, "MailingEvent"):
		return nil, absent(c)
	case !s.may("access CiviCRM"):
		return nil, errForbidden
	case c.Entity == "Email" && c.Action == "checkAccess":
		return []map[string]any{{"access": s.may("edit all contacts")}}, nil
	case c.Action == "checkAccess":
		return []map[string]any{{"access": s.may(createOf[c.Entity])}}, nil
	case c.Action == "create" && createOf[c.Entity] != "":
		return s.create(c)
	case !s.may(permission) && c.Entity == "Email" && c.Action == "get":
		return []map[string]any{}, nil // of what one may not see there is nothing
	case !s.may(permission):
		return nil, errForbidden
	case c.Entity == "Setting" && c.Action == "get":
		return c.settings(s.rows(c.Entity)), nil
	case c.Action == "get":
		return c.choose(s.rows(c.Entity))
	case c.Entity == "Email" && c.Action == "update":
		return s.updateEmails(c)
	}
	return nil, absent(c)
}

// settings gives those settings that a call selects.
func (c Call) settings(rows []map[string]any) []map[string]any {
	selected, _ := c.Params["select"].([]any)
	return slices.DeleteFunc(rows, func(r map[string]any) bool { return !slices.Contains(selected, r["name"]) })
}

// rows gives a table as APIv4 shows it.
func (s *Site) rows(entity string) (rows []map[string]any) {
	switch entity {
	case "Email":
		for _, e := range s.db.emails {
			rows = append(rows, map[string]any{"id": e.ID, "contact_id": e.Contact, "email": e.Address, "on_hold": e.OnHold,
				"hold_date": null(e.HoldDate), "reset_date": null(e.ResetDate), "is_primary": true,
				"contact_id.contact_type": s.db.who(e.Contact).Type, "contact_id.is_deleted": s.db.who(e.Contact).Deleted})
		}
		if address := s.db.setup.Office; address != "" {
			rows = append(rows, map[string]any{"id": office, "contact_id": office, "email": address, "on_hold": 0, "is_primary": true})
		}
	case "MailingEventBounce":
		for _, b := range s.db.bounces {
			rows = append(rows, map[string]any{"id": b.ID, "event_queue_id": b.Queue, "bounce_type_id": b.Type, "bounce_reason": b.Reason})
		}
	case "MailingEventUnsubscribe":
		for _, u := range s.db.unsubs {
			rows = append(rows, map[string]any{"id": u.ID, "event_queue_id": u.Queue, "org_unsubscribe": u.Org})
		}
	case "MailingEventReply":
		for _, r := range s.db.replies {
			rows = append(rows, map[string]any{"id": r.ID, "event_queue_id": r.Queue})
		}
	case "Activity", "Case", "CaseActivity":
		return s.db.activityRows(entity)
	default:
		return s.db.setup.rows(entity)
	}
	return rows
}

func null(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// choose gives the rows that the call's conditions let through, with the fields
// that it selects.
func (c Call) choose(rows []map[string]any) ([]map[string]any, error) {
	chosen := []map[string]any{}
	selected, _ := c.Params["select"].([]any)
	limit := int(c.number("limit"))
	for _, r := range rows {
		ok, err := c.passes(r)
		if err != nil {
			return nil, err
		}
		if !ok || limit > 0 && len(chosen) == limit {
			continue
		}
		shown := map[string]any{"id": r["id"]}
		for name, v := range r {
			if len(selected) == 0 || slices.Contains(selected, any(name)) {
				shown[name] = v
			}
		}
		chosen = append(chosen, shown)
	}
	return chosen, nil
}

// passes reports whether a row meets all conditions of a call.
func (c Call) passes(r map[string]any) (bool, error) {
	conditions, _ := c.Params["where"].([]any)
	for _, x := range conditions {
		condition, _ := x.([]any)
		if len(condition) != 3 {
			return false, &failure{status: http.StatusBadRequest, message: fmt.Sprintf("Invalid where clause %v", x)}
		}
		is, want := strings.ToLower(fmt.Sprint(r[fmt.Sprint(condition[0])])), condition[2]
		equal := func(v any) bool { return is == strings.ToLower(fmt.Sprint(v)) }
		ok := false
		switch condition[1] {
		case "=":
			ok = equal(want)
		case "!=":
			ok = !equal(want)
		case "LIKE":
			ok = strings.Contains(is, strings.ToLower(strings.Trim(fmt.Sprint(want), "%")))
		case ">=":
			ok = is >= fmt.Sprint(want)
		case "<=":
			ok = is <= fmt.Sprint(want)
		case "IN":
			list, _ := want.([]any)
			ok = slices.ContainsFunc(list, equal)
		default:
			return false, &failure{status: http.StatusBadRequest, message: fmt.Sprintf("Illegal operator %v", condition[1])}
		}
		if !ok {
			return false, nil
		}
	}
	return true, nil
}

func (s *Site) updateEmails(c Call) ([]map[string]any, error) {
	if !s.may("edit all contacts") {
		return nil, errForbidden
	}
	values, _ := c.Params["values"].(map[string]any)
	level, err := strconv.Atoi(fmt.Sprint(values["on_hold"]))
	if err != nil || len(values) != 1 || c.Params["where"] == nil {
		return nil, &failure{status: http.StatusBadRequest, message: "Parameter \"values\" is required."}
	}
	rows, err := c.choose(s.rows("Email"))
	for _, r := range rows {
		s.db.set(s.db.byID(r["id"].(uint64)), level)
	}
	return rows, err
}
