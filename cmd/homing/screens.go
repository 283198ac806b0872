package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"homing/config"
	"homing/internal/terminal"
)

// A screen is a place in an application where something is entered.
type screen struct {
	name   string
	fields []field
}

// A field is what it is called there, and what to enter.
type field struct{ name, value string }

// newcomerOf is an application that is there already. Nobody knows its
// password any more.
func newcomerOf(cfg *config.Config, a config.Application) *newcomer {
	n := &newcomer{Name: a.Name, Kind: string(a.Kind), Domains: a.Domains, Users: a.Users, VERPPrefix: a.VERPPrefix, Sinks: sinksOf(cfg, a), hasPassword: !a.Password.IsZero()}
	for _, network := range a.Networks {
		n.Networks = append(n.Networks, network.String())
	}
	n.door = doorFor(cfg, n)
	return n
}

// enter says what to enter in the application, in the words of its own screens.
func (n *newcomer) enter(w io.Writer, cfg *config.Config) error {
	var b strings.Builder
	if n.Password != "" {
		fmt.Fprintf(&b, "\nThe password of %s, shown this once: %s\n", n.Name, n.Password)
	}
	switch {
	case n.Password == "" && !n.hasPassword && len(n.Networks) == 0 && len(n.Users) == 0:
		fmt.Fprintf(&b, "\nIt sends over HTTP with a token, which this makes: homing token add %s --application %[1]s\n", shellWord(n.Name))
	case n.Server == "":
		fmt.Fprintf(&b, "\nThe application %s cannot hand over mail by SMTP: [listen] has no submission.\n", n.Name)
	case n.Password != "" || n.hasPassword || len(n.Networks) > 0:
		fmt.Fprintf(&b, "\nEnter in %s:\n", n.title())
		for _, s := range n.screens(cfg) {
			s.tell(&b)
		}
		if n.contained() {
			fmt.Fprintf(&b, "In a container 127.0.0.1 is the container itself: docs/APPLICATIONS.md, \"In a container\".\n")
		}
	}
	if len(n.Users) > 0 && !cfg.Listen.Local.IsZero() {
		fmt.Fprintf(&b, "\nRun by the local user %s, it may speak SMTP at the socket %s without a password.\n", strings.Join(n.Users, " or "), cfg.Listen.Local.Address)
	}
	_, err := io.WriteString(w, terminal.Lines(b.String()))
	return err
}

func (s screen) tell(b *strings.Builder) {
	const column = 16
	fmt.Fprintf(b, "  %s\n", s.name)
	width := column
	for _, f := range s.fields {
		width = max(width, len(f.name)+2)
	}
	for _, f := range s.fields {
		fmt.Fprintf(b, "    %-*s%s\n", width, f.name, f.value)
	}
}

// title is what the application is called by its makers.
func (n *newcomer) title() string {
	names := map[string]string{"civicrm": "CiviCRM", "mautic": "Mautic", "phplist": "phpList", "mailman": "Mailman"}
	title := cmp.Or(names[n.Kind], n.Kind)
	switch {
	case n.Kind == string(config.Generic):
		return "the application " + n.Name
	case n.Name != n.Kind:
		return title + " (the application " + n.Name + ")"
	}
	return title
}

// contained reports whether the application is one that mostly runs in a
// container.
func (n *newcomer) contained() bool {
	return (n.Kind == string(config.Listmonk) || n.Kind == string(config.Mautic)) && strings.HasPrefix(n.Server, "127.")
}

// screens are those of the application, by its kind.
func (n *newcomer) screens(cfg *config.Config) []screen {
	switch config.Kind(n.Kind) {
	case config.CiviCRM:
		return n.civicrm(cfg)
	case config.Listmonk:
		return n.listmonk(cfg)
	case config.Mautic:
		return n.mautic()
	case config.PHPList:
		return n.phplist(cfg)
	case config.Mailman:
		return n.mailman()
	}
	fields := []field{{"SMTP server", n.Server}, {"port", strconv.Itoa(n.Port)}, {"encryption", n.Encryption}}
	if !n.logsIn() {
		return []screen{{"Outgoing mail", append(fields, field{"authentication", "none"})}}
	}
	return []screen{{"Outgoing mail", append(fields, field{"user name", n.Name}, field{"password", n.secret()})}}
}

// logsIn reports whether the application needs its password where it hands
// over its mail.
func (n *newcomer) logsIn() bool {
	return (n.Password != "" || n.hasPassword) && (len(n.Networks) == 0 || n.Encryption != "none")
}

// secret is what to enter as the password.
func (n *newcomer) secret() string {
	if n.Password != "" {
		return "the one above"
	}
	return "the one that was shown when the application was added"
}

// home is a domain that the application sends as.
func (n *newcomer) home() string {
	if len(n.Domains) == 0 {
		return "a domain of yours"
	}
	return n.Domains[0]
}

func (n *newcomer) civicrm(cfg *config.Config) []screen {
	server := n.Server
	if n.Encryption == "TLS" {
		server = "ssl://" + server
	}
	smtp := []field{{"mailer", "SMTP"}, {"SMTP server", server}, {"SMTP port", strconv.Itoa(n.Port)}, {"authentication", "No"}}
	if n.logsIn() {
		smtp = append(smtp[:3], field{"authentication", "Yes"}, field{"SMTP username", n.Name}, field{"SMTP password", n.secret()})
	}
	account := []field{{"used for", "Bounce Processing"}}
	for _, d := range cfg.Domains {
		if d.Name == n.home() && d.ReturnPath != "" {
			account = append(account, field{"email domain", d.ReturnPath[strings.LastIndexByte(d.ReturnPath, '@')+1:]})
		}
	}
	account = append(account, field{"local part", n.VERPPrefix}, field{"return path", "leave empty"})
	jobs := field{"Fetch Bounces", "disable: nothing is put where it looks, because the application has no sink of type maildir"}
	path, box := n.maildir(cfg), n.postbox(cfg)
	switch {
	case box.Server != "" && !strings.HasPrefix(n.Server, "127."):
		ssl := map[bool]string{true: "Yes (port 995)", false: "No (port 110)"}[box.Encryption == "TLS"]
		account = append(account, field{"protocol", "POP3"}, field{"server", box.Server}, field{"username, password", n.Name + ", " + n.secret()}, field{"use SSL", ssl})
	case path != "":
		account = append(account, field{"protocol", "Maildir"}, field{"source", path})
	}
	if path != "" {
		jobs.value = "enable, hourly or more often, and cron with it"
	}
	return []screen{
		{"System Settings, Outbound Email", smtp},
		{"CiviMail, Mail Accounts, the default one", account},
		{"CiviMail, Component Settings", []field{{"track replies using VERP", "as you like"}}},
		{"Mailer Settings", []field{{"batch limit", "0: Homing does the pacing"}, {"throttle time", "0"}}},
		{"Scheduled Jobs", []field{{"Send Scheduled Mailings", "enable, and cron with it"}, jobs}},
		{"Domain information, FROM addresses", []field{{"addresses", "in " + strings.Join(n.Domains, ", ")}}},
	}
}

// maildir is where the application finds what bounced; "": nowhere.
func (n *newcomer) maildir(cfg *config.Config) string {
	for _, s := range cfg.Sinks {
		if s.Type == config.SinkMaildir && slices.Contains(n.Sinks, s.Name) {
			return s.Path
		}
	}
	return ""
}

// postbox is where the application fetches what bounced by POP3; zero: nowhere.
func (n *newcomer) postbox(cfg *config.Config) door {
	if n.maildir(cfg) == "" || n.Password == "" && !n.hasPassword {
		return door{}
	}
	l := cfg.Listen
	for _, a := range l.POP3 {
		if a.Loopback() && strings.HasPrefix(n.Server, "127.") {
			return door{a.Host(), a.Port(), "none"}
		}
	}
	switch {
	case len(l.POP3S) > 0:
		return door{cfg.Hostname, l.POP3S[0].Port(), "TLS"}
	case len(l.POP3) > 0 && !l.POP3[0].Loopback():
		return door{cfg.Hostname, l.POP3[0].Port(), "STARTTLS"}
	}
	return door{}
}

func (n *newcomer) listmonk(cfg *config.Config) []screen {
	tls := map[string]string{"none": "Off", "STARTTLS": "STARTTLS", "TLS": "SSL/TLS"}[n.Encryption]
	smtp := []field{{"Host", n.Server}, {"Port", strconv.Itoa(n.Port)}, {"Auth protocol", "None"}}
	if n.logsIn() {
		smtp = append(smtp[:2], field{"Auth protocol", "PLAIN"}, field{"Username", n.Name}, field{"Password", n.secret()})
	}
	header := field{"Custom headers", fmt.Sprintf(`[{"Return-Path": "MAILBOX@%s"}], a mailbox that listmonk can read: reports of bounces are mailed there`, n.home())}
	mailbox := field{"Enable bounce mailbox", "on: POP3, host, user name and password of that MAILBOX"}
	if box := n.postbox(cfg); box.Server != "" {
		header.value = "none are needed"
		mailbox.value = fmt.Sprintf("on: POP3, host %s, port %d, TLS %s, user name %s, password: %s", box.Server, box.Port,
			map[bool]string{true: "on", false: "off"}[box.Encryption == "TLS"], n.Name, n.secret())
	}
	return []screen{
		{"Settings, SMTP", append(smtp, field{"TLS", tls}, field{"Skip TLS verification", "off"}, field{"HELO hostname", "leave empty"}, header)},
		{"Settings, General", []field{{"Default `from` email", "an address in " + n.home()}}},
		{"Settings, Performance", []field{{"Message rate, concurrency", "as they are; sliding window limit off: Homing does the pacing"}}},
		{"Settings, Bounces", []field{{"Enable bounce processing", "on"}, mailbox,
			{"Enable bounce webhooks", "off, unless Homing tells by them (docs/APPLICATIONS.md)"}}},
	}
}

func (n *newcomer) mautic() []screen {
	scheme := "smtp"
	if n.Encryption == "TLS" {
		scheme = "smtps"
	}
	dsn := []field{{"Scheme", scheme}, {"Host", n.Server}, {"Port", strconv.Itoa(n.Port)}, {"Path", "leave empty"}}
	if n.logsIn() {
		dsn = append(dsn, field{"User", n.Name}, field{"Password", n.secret()})
	} else {
		dsn = append(dsn, field{"User, Password", "leave empty"})
	}
	if n.Encryption == "none" {
		dsn = append(dsn, field{"Options", "verify_peer = 0: no certificate is for " + n.Server})
	}
	return []screen{
		{"Settings, Configuration, Email Settings, Email DSN", dsn},
		{"Settings, Configuration, Email Settings, Mail Send Settings", []field{{"E-mail address to send mail from", "an address in " + n.home()},
			{"Custom return path (bounce) address", fmt.Sprintf("MAILBOX@%s, a mailbox that Mautic can read: reports of bounces are mailed there", n.home())}}},
		{"Settings, Configuration, Email Settings, Monitored Inbox Settings", []field{{"Default mailbox", "IMAP host, port, user name and password of that MAILBOX"},
			{"Bounces", "the folder INBOX"}}},
	}
}

func (n *newcomer) phplist(cfg *config.Config) []screen {
	secure := map[string]string{"none": "false", "STARTTLS": "'tls'", "TLS": "'ssl'"}[n.Encryption]
	lines := []field{{"define('PHPMAILERHOST', '" + n.Server + "');", ""}, {"define('PHPMAILERPORT', " + strconv.Itoa(n.Port) + ");", ""},
		{"define('PHPMAILER_SECURE', " + secure + ");", ""}}
	if n.logsIn() {
		lines = append(lines, field{"$phpmailer_smtpuser = '" + n.Name + "';", ""}, field{"$phpmailer_smtppassword = '…';  # " + n.secret(), ""})
	}
	if box := n.postbox(cfg); box.Server != "" {
		how := map[string]string{"none": "notls", "STARTTLS": "tls", "TLS": "ssl"}[box.Encryption]
		return []screen{{"config/config.php", append(lines, field{"$message_envelope = 'bounces@" + n.home() + "';  # any address of a domain of yours", ""},
			field{"$bounce_protocol = 'pop';", ""}, field{"$bounce_mailbox_host = '" + box.Server + "';", ""},
			field{fmt.Sprintf("$bounce_mailbox_port = '%d/pop3/%s';", box.Port, how), ""}, field{"$bounce_mailbox_user = '" + n.Name + "';", ""},
			field{"$bounce_mailbox_password = '…';  # " + n.secret(), ""}, field{"$bounce_mailbox_purge = 1;", ""})}}
	}
	return []screen{{"config/config.php", append(lines, field{"$message_envelope = 'MAILBOX@" + n.home() + "';  # that of \"process bounces\": reports of bounces are mailed there", ""})}}
}

func (n *newcomer) mailman() []screen {
	mode := map[string]string{"none": "smtp", "STARTTLS": "starttls", "TLS": "smtps"}[n.Encryption]
	lines := []field{{"smtp_host: " + n.Server, ""}, {"smtp_port: " + strconv.Itoa(n.Port), ""}, {"smtp_secure_mode: " + mode, ""}}
	if n.logsIn() {
		lines = append(lines, field{"smtp_user: " + n.Name, ""}, field{"smtp_pass: …  # " + n.secret(), ""})
	}
	return []screen{{"mailman.cfg, section [mta]", lines}}
}
