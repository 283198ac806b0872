package main

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"homing/config"
)

// entryOf is what is printed for an application of a kind.
func entryOf(t *testing.T, n *newcomer) string {
	t.Helper()
	tcp := func(address string) config.Address { return config.Address{Network: "tcp", Address: address} }
	cfg := &config.Config{Hostname: "mail.example.org", Domains: []config.Domain{{Name: "example.org", ReturnPath: "return@bounce.example.org"}},
		Sinks:  []config.Sink{{Name: "bounces", Type: config.SinkMaildir, Path: "/var/mail/civi"}},
		Listen: config.Listen{Submission: []config.Address{tcp("127.0.0.1:587"), tcp(":587")}, POP3: []config.Address{tcp("127.0.0.1:110")}, POP3S: []config.Address{tcp(":995")}}}
	if n.Password != "" && len(n.Networks) == 0 { // it is elsewhere
		cfg.Listen.Submission = cfg.Listen.Submission[1:]
	}
	n.door = doorFor(cfg, n)
	var b strings.Builder
	if err := n.enter(&b, cfg); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWhatToEnterInEachApplication(t *testing.T) {
	near, far := []string{"127.0.0.1/32"}, "ABCDEFGH"
	tests := []struct {
		name string
		app  newcomer
		want []string // lines, but for the spaces between
		none string
	}{
		{"CiviCRM on this machine", newcomer{Kind: "civicrm", Networks: near, VERPPrefix: "civi+", Sinks: []string{"bounces"}}, []string{"mailer SMTP", "SMTP server 127.0.0.1", "SMTP port 587",
			"authentication No", "used for Bounce Processing", "email domain bounce.example.org", "local part civi+", "return path leave empty", "protocol Maildir", "source /var/mail/civi",
			"batch limit 0: Homing does the pacing", "throttle time 0", "Fetch Bounces enable, hourly or more often, and cron with it", "addresses in example.org"}, "encryption"},
		{"CiviCRM elsewhere", newcomer{Kind: "civicrm", Password: far, VERPPrefix: "civi+"}, []string{"SMTP server mail.example.org", "authentication Yes", "SMTP username crm", "SMTP password the one above"}, "Maildir"},
		{"listmonk on this machine", newcomer{Kind: "listmonk", Networks: near}, []string{"Host 127.0.0.1", "Port 587", "Auth protocol None", "TLS Off", "Enable bounce mailbox on: POP3, host, user name and password of that MAILBOX"}, "Username"},
		{"listmonk elsewhere", newcomer{Kind: "listmonk", Password: far}, []string{"Host mail.example.org", "Auth protocol PLAIN", "Username crm", "Password the one above", "TLS STARTTLS"}, "container"},
		{"listmonk that fetches its bounces here", newcomer{Kind: "listmonk", Networks: near, Password: far, Sinks: []string{"bounces"}}, []string{"Custom headers none are needed",
			"Enable bounce mailbox on: POP3, host 127.0.0.1, port 110, TLS off, user name crm, password: the one above"}, "MAILBOX"},
		{"listmonk elsewhere that fetches its bounces here", newcomer{Kind: "listmonk", Password: far, Sinks: []string{"bounces"}}, []string{
			"Enable bounce mailbox on: POP3, host mail.example.org, port 995, TLS on, user name crm, password: the one above"}, "MAILBOX"},
		{"phpList that fetches its bounces here", newcomer{Kind: "phplist", Networks: near, Password: far, Sinks: []string{"bounces"}}, []string{"$bounce_protocol = 'pop';",
			"$bounce_mailbox_host = '127.0.0.1';", "$bounce_mailbox_port = '110/pop3/notls';", "$bounce_mailbox_user = 'crm';"}, "MAILBOX"},
		{"CiviCRM elsewhere that fetches its bounces here", newcomer{Kind: "civicrm", Password: far, VERPPrefix: "civi+", Sinks: []string{"bounces"}}, []string{"protocol POP3", "server mail.example.org",
			"username, password crm, the one above", "use SSL Yes (port 995)", "Fetch Bounces enable, hourly or more often, and cron with it"}, "Maildir"},
		{"Mautic on this machine", newcomer{Kind: "mautic", Networks: near}, []string{"Scheme smtp", "Host 127.0.0.1", "Port 587", "User, Password leave empty", "Options verify_peer = 0: no certificate is for 127.0.0.1"}, ""},
		{"Mautic elsewhere", newcomer{Kind: "mautic", Password: far}, []string{"Host mail.example.org", "User crm", "Password the one above"}, "verify_peer"},
		{"phpList", newcomer{Kind: "phplist", Networks: near}, []string{"define('PHPMAILERHOST', '127.0.0.1');", "define('PHPMAILER_SECURE', false);"}, "smtpuser"},
		{"Mailman elsewhere", newcomer{Kind: "mailman", Password: far}, []string{"smtp_host: mail.example.org", "smtp_secure_mode: starttls", "smtp_user: crm"}, ""},
		{"a script", newcomer{Kind: "generic", Networks: near}, []string{"SMTP server 127.0.0.1", "encryption none", "authentication none"}, "password"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.app.Name, tt.app.Domains = "crm", []string{"example.org"}
			got := entryOf(t, &tt.app)
			var lines []string
			for line := range strings.Lines(got) {
				lines = append(lines, strings.Join(strings.Fields(line), " "))
			}
			for _, want := range tt.want {
				if !slices.Contains(lines, want) {
					t.Errorf("there is no line %q in\n%s", want, got)
				}
			}
			if tt.none != "" && strings.Contains(got, tt.none) {
				t.Errorf("there is %q in\n%s", tt.none, got)
			}
		})
	}
}

// TestTheDocumentsHaveEveryFieldThatIsPrinted keeps the tables of the documents
// and what is printed from drifting apart.
func TestTheDocumentsHaveEveryFieldThatIsPrinted(t *testing.T) {
	documents := map[string]string{"civicrm": "docs/CIVICRM.md", "listmonk": "docs/APPLICATIONS.md", "mautic": "docs/APPLICATIONS.md", "phplist": "docs/APPLICATIONS.md", "mailman": "docs/APPLICATIONS.md"}
	cfg := &config.Config{Domains: []config.Domain{{Name: "example.org", ReturnPath: "return@bounce.example.org"}},
		Sinks:  []config.Sink{{Name: "bounces", Type: config.SinkMaildir, Path: "/var/mail/civi"}},
		Listen: config.Listen{POP3S: []config.Address{{Network: "tcp", Address: ":995"}}}}
	for kind, name := range documents {
		text := document(t, name)
		for _, n := range []*newcomer{{Name: kind, Kind: kind, Domains: []string{"example.org"}, Networks: []string{"127.0.0.1"}, door: door{"127.0.0.1", 587, "none"}},
			{Name: kind, Kind: kind, Domains: []string{"example.org"}, Password: "x", door: door{"mail.example.org", 465, "TLS"}},
			{Name: kind, Kind: kind, Domains: []string{"example.org"}, Password: "x", Sinks: []string{"bounces"}, door: door{"mail.example.org", 465, "TLS"}}} {
			for _, s := range n.screens(cfg) {
				for _, place := range append(regexp.MustCompile(`, section `).Split(s.name, -1), fieldNames(s)...) {
					if !strings.Contains(text, place) {
						t.Errorf("%s has no %q", name, place)
					}
				}
			}
		}
	}
}

// fieldNames gives what is to be looked for: of a line of code, what it sets.
func fieldNames(s screen) (all []string) {
	for _, f := range s.fields {
		for _, name := range strings.Split(f.name, ", ") {
			if strings.HasSuffix(name, ");") {
				continue // the value of a define
			}
			name, _, _ = strings.Cut(name, "=")
			name, _, _ = strings.Cut(strings.TrimPrefix(name, "define("), ": ")
			all = append(all, strings.TrimSpace(name))
		}
	}
	return all
}

// TestTheDocumentsHaveTheLinesForNeighbours keeps what `homing init` prints for
// other programs and what the document says the same.
func TestTheDocumentsHaveTheLinesForNeighbours(t *testing.T) {
	text := document(t, "docs/OPERATING.md")
	n := webNames{Host: "mail.example.org", Return: "bounce.example.org", HTTP: "127.0.0.1:8025", Webroot: acmeWebroot}
	for name, lines := range map[string]string{"Exim": eximLines(n.Return), "Postfix": postfixLines(n.Return),
		"Apache, webroot": n.lines("apache2", "webroot"), "Apache, public": n.lines("apache2", "public"), "nginx, webroot": n.lines("nginx", "webroot"), "nginx, public": n.lines("nginx", "public")} {
		if !strings.Contains(text, "\n"+lines+"```") {
			t.Errorf("%s: the document has no\n%s", name, lines)
		}
	}
	if !strings.Contains(text, "\n"+lmtpLine+"\n") {
		t.Errorf("the document has no %s", lmtpLine)
	}
}

// TestListmonkHearsOfBounces has the sink of the document in a server that has
// a bounce, and a stand-in for listmonk.
func TestListmonkHearsOfBounces(t *testing.T) {
	sink := blocks(document(t, "docs/APPLICATIONS.md"), "toml", "listmonk")
	if len(sink) != 1 {
		t.Fatalf("there are %d sinks, want one", len(sink))
	}
	bounces := make(chan map[string]any, 10)
	listmonk := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		name, token, _ := r.BasicAuth()
		got := map[string]any{"path": r.URL.Path, "user": name + ":" + token}
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		delete(got, "created_at")
		delete(got, "meta")
		bounces <- got
	}))
	t.Cleanup(listmonk.Close)
	s := newStandWith(t, strings.Replace(sink[0], "http://127.0.0.1:9000", listmonk.URL, 1), func(s *stand) {
		s.change(t, `sinks = ["hooks"]`, `sinks = ["hooks", "listmonk"]`)
		if err := os.WriteFile(filepath.Join(filepath.Dir(s.config), "listmonk-token"), []byte("geheim\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	})
	if err := s.mail(1, "ann@accepts.test", "bob@unknown.test"); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"path": "/webhooks/bounce", "user": "homing:geheim", "email": "bob@unknown.test", "type": "hard", "source": "homing"}
	if got := <-bounces; !maps.Equal(got, want) {
		t.Errorf("listmonk heard %v, want %v", got, want)
	}
}
