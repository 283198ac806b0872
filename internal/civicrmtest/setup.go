package civicrmtest

import (
	"cmp"
	"net"
	"strconv"
	"strings"
)

// A Setup is what stands in the screens of a site.
type Setup struct {
	Outbound Outbound
	Account  Account // the default one
	Settings map[string]any
	Jobs     map[string]bool // whether active, by API action
	From     []string        // FROM addresses: `"News" <news@example.org>`
	Office   string          // e-mail address of the organisation
	Types    []string        // of activities
}

// office is the contact, and its address, of the organisation itself.
const office = uint64(9_000_000)

// An Outbound is the screen Outbound Email.
type Outbound struct {
	Option   int // 0 SMTP, 1 sendmail, 2 disabled, 3 mail(), 5 to the database
	Server   string
	Port     string
	Auth     bool
	Username string
}

// An Account is a row of Mail Accounts.
type Account struct{ Domain, LocalPart, ReturnPath, Protocol, Source string }

// fresh is how the screens should stand for the API road.
func (s *Site) fresh() Setup {
	host, port, _ := net.SplitHostPort(s.Submission)
	return Setup{
		Outbound: Outbound{Server: host, Port: port},
		Account:  Account{Domain: s.Domain, LocalPart: s.Prefix, Protocol: "Maildir"},
		Settings: map[string]any{"mailerBatchLimit": 0, "mailThrottleTime": 0, "verpSeparator": cmp.Or(s.Separator, "."), "civimail_multiple_bulk_emails": 0},
		Jobs:     map[string]bool{"process_mailing": true, "fetch_bounces": false, "fetch_activities": false},
		From:     []string{s.From},
		Types:    []string{"Meeting", "Inbound Email"},
		Office:   s.From[strings.LastIndexByte(s.From, '<')+1 : len(s.From)-1],
	}
}

// Change changes what stands in the screens.
func (s *Site) Change(change func(*Setup)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.db.setup)
}

// yes is how PHP writes a checkbox.
func yes(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

func (u *Setup) rows(entity string) (rows []map[string]any) {
	switch entity {
	case "Setting":
		o := u.Outbound
		rows = append(rows, map[string]any{"name": "mailing_backend", "domain_id": 1, "value": map[string]any{"outBound_option": strconv.Itoa(o.Option),
			"smtpServer": o.Server, "smtpPort": o.Port, "smtpAuth": yes(o.Auth), "smtpUsername": o.Username, "smtpPassword": "encrypted"}})
		for name, v := range u.Settings {
			rows = append(rows, map[string]any{"name": name, "domain_id": 1, "value": v})
		}
	case "MailSettings":
		a := u.Account
		rows = append(rows, map[string]any{"id": 1, "name": "default", "is_default": true, "domain": a.Domain, "localpart": null(a.LocalPart),
			"return_path": null(a.ReturnPath), "protocol:name": a.Protocol, "source": null(a.Source)})
	case "Job":
		for action, active := range u.Jobs {
			rows = append(rows, map[string]any{"id": len(rows) + 1, "api_entity": "Job", "api_action": action, "is_active": active})
		}
	case "OptionValue":
		for _, from := range u.From {
			rows = append(rows, map[string]any{"id": len(rows) + 1, "option_group_id:name": "from_email_address", "label": from, "is_active": true})
		}
		for _, name := range u.Types {
			rows = append(rows, map[string]any{"id": len(rows) + 1, "option_group_id:name": "activity_type", "name": name, "is_active": true})
		}
	case "Domain":
		rows = append(rows, map[string]any{"id": 1, "name": "Default Domain", "contact_id": office})
	}
	return rows
}
