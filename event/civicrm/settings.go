package civicrm

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"sync"

	"homing/internal/message"
)

// Settings are what stands in the screens of a site, as far as it matters for
// mail.
type Settings struct {
	Outbound  Outbound
	Account   Account
	Batch     int    // "Mailer Batch Limit"
	Throttle  int    // "Mailer Throttle Time", in microseconds
	Separator string // "VERP Separator"
	Jobs      Jobs
	From      []string // FROM addresses that are enabled
	Office    string   // e-mail address of the organisation; "": none
	// Contacts is whether the contact that acts sees addresses, and Edits
	// whether it may change them.
	Contacts, Edits bool
	// Files is whether it may file mail as activities, Introduces whether it may
	// make contacts, and Type whether the site has the type of activity.
	Files, Introduces, Type bool
	// Unread says why something could not be read, by what it is of: one of
	// the Of… below.
	Unread map[string]error
}

// What there is to be read.
const (
	OfOutbound = "outbound"
	OfAccount  = "account"
	OfMailer   = "mailer"
	OfJobs     = "jobs"
	OfFrom     = "from"
	OfContacts = "contacts"
	OfFiling   = "filing"
)

// Ways in which CiviCRM hands its mail over.
const (
	SMTP       = 0
	Sendmail   = 1
	Disabled   = 2
	PHPMail    = 3
	ToDatabase = 5
)

// Outbound is the screen "Outbound Email".
type Outbound struct {
	Option       int
	Server, Port string
	Auth         bool
	User         string
}

// An Account is the default one of "Mail Accounts". The zero Account: there is
// none.
type Account struct{ Name, Domain, LocalPart, ReturnPath string }

// Jobs are those scheduled jobs that are active.
type Jobs struct{ Send, Bounces, Activities bool }

// ErrDenied says that the contact that acts may not read something.
var ErrDenied = errors.New("civicrm: the contact may not read it")

// Reach finds out whether the site takes bounces of us: it tells one of an
// entry that no site has. The error says what to do.
func (s *Sink) Reach(ctx context.Context) error {
	_, err := s.api.v3(ctx, "Mailing", "event_bounce", map[string]any{"job_id": 1, "event_queue_id": 1<<31 - 1, "hash": "0000000000000000",
		"body": "a question whether this call is allowed", "bounce_type_id": types["Syntax"], "bounce_reason": "a question whether this call is allowed"})
	if err == nil || is(err, (*callError).unknown) {
		return nil
	}
	return allowed(err)
}

// Settings reads what stands in the screens, side by side.
func (s *Sink) Settings(ctx context.Context) Settings {
	var found Settings
	var mu sync.Mutex
	var all sync.WaitGroup
	for of, read := range map[string]func(context.Context, *Settings) error{
		OfOutbound: s.outbound, OfAccount: s.account, OfMailer: s.mailer, OfJobs: s.jobs, OfFrom: s.from, OfContacts: s.contacts, OfFiling: s.filing,
	} {
		all.Go(func() {
			err := read(ctx, &found) // each writes fields of its own
			if is(err, (*callError).denied) {
				err = ErrDenied
			}
			mu.Lock()
			defer mu.Unlock()
			if found.Unread == nil {
				found.Unread = map[string]error{}
			}
			if err != nil {
				found.Unread[of] = err
			}
		})
	}
	all.Wait()
	return found
}

func (s *Sink) outbound(ctx context.Context, to *Settings) error {
	rows, err := s.api.v4(ctx, "Setting", "get", map[string]any{"select": []string{"mailing_backend"}})
	for _, r := range rows {
		if r.text("name") != "mailing_backend" {
			continue
		}
		var v row // with more in it: a password
		if err := json.Unmarshal(r["value"], &v); err != nil {
			return errors.New("civicrm: the setting mailing_backend is not what it should be")
		}
		to.Outbound = Outbound{Option: int(v.number("outBound_option")), Server: v.text("smtpServer"), Port: v.word("smtpPort"),
			Auth: v.number("smtpAuth") == 1 || v.word("smtpAuth") == "true", User: v.text("smtpUsername")}
		return nil
	}
	return unless(err, "the site has no setting mailing_backend")
}

// unless gives an error, or one that says what is missing.
func unless(err error, missing string) error {
	if err != nil {
		return err
	}
	return errors.New("civicrm: " + missing)
}

func (s *Sink) account(ctx context.Context, to *Settings) error {
	rows, err := s.api.v4(ctx, "MailSettings", "get", map[string]any{"where": []any{where("is_default", true)}, "limit": 1,
		"select": []string{"id", "name", "domain", "localpart", "return_path"}})
	if len(rows) > 0 {
		r := rows[0]
		to.Account = Account{r.text("name"), r.text("domain"), r.text("localpart"), r.text("return_path")}
	}
	return err
}

func (s *Sink) mailer(ctx context.Context, to *Settings) error {
	rows, err := s.api.v4(ctx, "Setting", "get", map[string]any{"select": []string{"mailerBatchLimit", "mailThrottleTime", "verpSeparator"}})
	to.Separator = "."
	for _, r := range rows {
		switch r.text("name") {
		case "mailerBatchLimit":
			to.Batch = int(r.number("value"))
		case "mailThrottleTime":
			to.Throttle = int(r.number("value"))
		case "verpSeparator":
			if v := r.text("value"); v != "" {
				to.Separator = v
			}
		}
	}
	return err
}

func (s *Sink) jobs(ctx context.Context, to *Settings) error {
	rows, err := s.api.v4(ctx, "Job", "get", map[string]any{"select": []string{"id", "api_entity", "api_action", "is_active"}})
	for _, r := range rows {
		if active := r.word("is_active"); active != "true" && active != "1" {
			continue
		}
		switch r.text("api_action") {
		case "process_mailing":
			to.Jobs.Send = true
		case "fetch_bounces":
			to.Jobs.Bounces = true
		case "fetch_activities":
			to.Jobs.Activities = true
		}
	}
	return err
}

// from reads the FROM addresses: options until release 5, a table of their own
// later.
func (s *Sink) from(ctx context.Context, to *Settings) error {
	rows, err := s.api.v4(ctx, "OptionValue", "get", map[string]any{"select": []string{"id", "label"},
		"where": []any{where("option_group_id:name", "from_email_address"), where("is_active", true)}})
	if err == nil && len(rows) == 0 || is(err, (*callError).absent) {
		rows, err = s.api.v4(ctx, "SiteEmailAddress", "get", map[string]any{"select": []string{"id", "email"}, "where": []any{where("is_active", true)}})
		if is(err, (*callError).absent) {
			rows, err = nil, nil
		}
	}
	for _, r := range rows {
		if m, ok := message.FirstMailbox(r.text("label") + r.text("email")); ok {
			to.From = append(to.From, m.Address)
		}
	}
	if err != nil {
		return err
	}
	domains, err := s.api.v4(ctx, "Domain", "get", map[string]any{"select": []string{"id", "contact_id"}, "limit": 1})
	if err != nil || len(domains) == 0 {
		return err
	}
	office, err := s.api.v4(ctx, "Email", "get", map[string]any{"select": []string{"id", "email"}, "limit": 1,
		"where": []any{where("contact_id", domains[0].number("contact_id")), where("is_primary", true)}})
	if len(office) > 0 {
		to.Office = office[0].text("email")
	}
	return err
}

// contacts finds out what the contact that acts may do with addresses. Releases
// that cannot tell are believed.
func (s *Sink) contacts(ctx context.Context, to *Settings) error {
	rows, err := s.api.v4(ctx, "Email", "get", map[string]any{"select": []string{"id"}, "limit": 1})
	if err != nil || len(rows) == 0 {
		return err
	}
	to.Contacts = true
	access, err := s.api.v4(ctx, "Email", "checkAccess", map[string]any{"action": "update", "values": map[string]any{"id": rows[0].number("id")}})
	to.Edits = len(access) > 0 && access[0].word("access") == "true"
	if is(err, (*callError).absent) {
		to.Edits, err = true, nil
	}
	return err
}

// filing finds out whether mail can be filed. Releases that cannot tell what the
// contact may do are believed.
func (s *Sink) filing(ctx context.Context, to *Settings) error {
	types, err := s.api.v4(ctx, "OptionValue", "get", map[string]any{"select": []string{"id"}, "limit": 1,
		"where": []any{where("option_group_id:name", "activity_type"), where("name", s.c.Filing.Type), where("is_active", true)}})
	if err != nil {
		return err
	}
	to.Type = len(types) > 0
	if to.Files, err = s.mayCreate(ctx, "Activity", map[string]any{"activity_type_id:name": s.c.Filing.Type}); err != nil {
		return err
	}
	to.Introduces, err = s.mayCreate(ctx, "Contact", map[string]any{"contact_type": "Individual"})
	return err
}

// mayCreate asks whether the contact that acts may make something.
func (s *Sink) mayCreate(ctx context.Context, entity string, values map[string]any) (bool, error) {
	access, err := s.api.v4(ctx, entity, "checkAccess", map[string]any{"action": "create", "values": values})
	switch {
	case is(err, (*callError).absent):
		return true, nil
	case is(err, (*callError).denied):
		return false, nil
	}
	return len(access) > 0 && access[0].word("access") == "true", err
}

// word gives a field as it is written, without quotes.
func (r row) word(name string) string {
	text := strings.TrimSpace(string(r[name]))
	if s, err := strconv.Unquote(text); err == nil {
		return s
	}
	return text
}
