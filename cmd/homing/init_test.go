package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"homing/config"
	"homing/dnscheck"
	"homing/internal/dnsx/dnstest"
)

var (
	everywhere = []netip.Addr{netip.IPv4Unspecified()}
	loopback   = []netip.Addr{loopback4}
	public4    = netip.MustParseAddr("198.51.100.7")
	public6    = netip.MustParseAddr("2001:db8::7")
	inside4    = netip.MustParseAddr("10.0.0.5")
)

// begun is `homing init example.org` in some surroundings, all questions
// answered.
func begun(t *testing.T, around surroundings, change func(f *founding)) *founding {
	t.Helper()
	f := &founding{Domain: "example.org", App: newcomer{Name: "civicrm"}, path: filepath.Join(t.TempDir(), "etc", "homing.toml")}
	if change != nil {
		change(f)
	}
	f.complete(t.Context(), around)
	f.arrange()
	return f
}

func TestABusyPortComesWithAWayOut(t *testing.T) {
	tests := []struct {
		name string
		port busyPort
		far  bool
		want []string
		none string // what must not be said
	}{
		{"Exim for the world", busyPort{25, everywhere, "exim4", "exim4"}, false, []string{"Port 25 is taken by exim4", "systemctl disable --now exim4",
			`lmtp = ["unix:/run/homing/lmtp.sock"]`, "in place of the line `smtp = …`", "domains = bounce.example.org", "socket = /run/homing/lmtp.sock"}, ""},
		{"Exim for this machine", busyPort{25, loopback, "exim4", "exim4"}, false, []string{"Port 25 of this machine itself is taken by exim4, which may stay: Homing listens at 198.51.100.7:25."}, "disable"},
		{"Postfix", busyPort{25, everywhere, "postfix", "postfix"}, false, []string{"systemctl disable --now postfix", "bounce.example.org lmtp:unix:/run/homing/lmtp.sock"}, "Exim"},
		{"nobody knows whose", busyPort{25, everywhere, "", ""}, false, []string{"Port 25 is taken by another program", "sudo ss -ltnp", "Where another program has port 25"}, "systemctl"},
		{"submission", busyPort{587, everywhere, "postfix", "postfix"}, false, []string{"Port 587 is taken by postfix, so applications hand their mail over at 127.0.0.1:1587."}, ""},
		{"submission at another address", busyPort{587, []netip.Addr{public4}, "postfix", ""}, false, nil, "587"},
		{"submission for another machine", busyPort{587, everywhere, "postfix", "postfix"}, true, []string{"Port 587 is taken by postfix. Either stop that for good"}, ""},
		{"status", busyPort{8025, loopback, "mailpit", ""}, false, []string{"Port 8025 is taken by mailpit, so status and metrics are at 127.0.0.1:18025."}, ""},
		{"Apache", busyPort{443, everywhere, "apache2", "apache2"}, false, []string{"Port 443 is taken by apache2, which is fine", "ServerAlias mta-sts.bounce.example.org",
			"http://127.0.0.1:8025/.well-known/mta-sts.txt", `public_url = "https://mail.example.org"`}, "nginx"},
		{"nginx", busyPort{80, everywhere, "nginx", "nginx"}, false, []string{"server_name mail.example.org mta-sts.bounce.example.org;"}, "VirtualHost"},
		{"another web server", busyPort{443, everywhere, "caddy", "caddy"}, false, []string{"pass https://mail.example.org/u/ on to http://127.0.0.1:8025/u/", "https://mta-sts.bounce.example.org/.well-known/mta-sts.txt on to http://127.0.0.1:8025"}, "VirtualHost"},
		{"Apache, and a certificate is needed", busyPort{80, everywhere, "apache2", "apache2"}, true, []string{"Let's Encrypt", "Alias /.well-known/acme-challenge/ /var/lib/homing-acme/",
			"Certbot, or another program, has it"}, "nginx"},
		{"nginx, and a certificate is needed", busyPort{80, everywhere, "nginx", "nginx"}, true, []string{"root /var/lib/homing-acme;"}, ""},
		{"a Homing that runs already", busyPort{25, everywhere, "homing", "homing"}, false, []string{"taken by a Homing that runs here already", "systemctl disable --now homing"}, "lmtp"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := begun(t, surroundings{public: []netip.Addr{public4}, ports: []busyPort{tt.port}}, func(f *founding) { f.Far = tt.far })
			got := strings.Join(f.portWords(), "\n")
			for _, want := range tt.want {
				if !strings.Contains(got, want) {
					t.Errorf("%q has no %q", got, want)
				}
			}
			if tt.none != "" && strings.Contains(got, tt.none) {
				t.Errorf("%q speaks of %q", got, tt.none)
			}
		})
	}
}

func TestWhatIsWrittenFitsTheMachine(t *testing.T) {
	tests := []struct {
		name   string
		around surroundings
		change func(f *founding)
		want   []string
		none   string
	}{
		{"a public address of its own", surroundings{public: []netip.Addr{public4}}, nil, []string{`smtp = [":25"]`, `submission = ["127.0.0.1:587"]`, `http = ["127.0.0.1:8025"]`}, "[delivery]"},
		{"Exim at loopback", surroundings{public: []netip.Addr{public4, public6}, ports: []busyPort{{25, loopback, "exim4", "exim4"}}}, nil,
			[]string{`smtp = ["198.51.100.7:25", "[2001:db8::7]:25"]`}, ""},
		{"Exim at loopback, behind NAT", surroundings{hidden: inside4, leaving: []netip.Addr{inside4}, ports: []busyPort{{25, loopback, "exim4", "exim4"}}},
			func(f *founding) { f.Addresses = []netip.Addr{public4} }, []string{`smtp = ["10.0.0.5:25"]`}, ""},
		{"ports of ours are taken", surroundings{public: []netip.Addr{public4}, ports: []busyPort{{587, everywhere, "postfix", ""}, {8025, loopback, "mailpit", ""}}}, nil,
			[]string{`submission = ["127.0.0.1:1587"]`, `http = ["127.0.0.1:18025"]`}, ""},
		{"behind NAT", surroundings{hidden: inside4}, func(f *founding) { f.Addresses = []netip.Addr{public4} }, []string{`public_addresses = ["198.51.100.7"]`}, ""},
		{"behind NAT for IPv4 alone", surroundings{hidden: inside4, public: []netip.Addr{public6}}, func(f *founding) { f.Addresses = []netip.Addr{public4} },
			[]string{`public_addresses = ["198.51.100.7", "2001:db8::7"]`}, ""},
		{"one of several addresses", surroundings{public: []netip.Addr{public4, public6}}, func(f *founding) { f.Addresses = []netip.Addr{public4} },
			[]string{`source_addresses = ["198.51.100.7"]`}, "public_addresses"},
		{"an application elsewhere, Apache at port 80", surroundings{public: []netip.Addr{public4}, ports: []busyPort{{80, everywhere, "apache2", ""}}},
			func(f *founding) { f.Far, f.Postmaster = true, "it@example.org" },
			[]string{`submission = [":587"]`, "[tls.acme]\nemail = \"it@example.org\"\nwebroot = \"/var/lib/homing-acme\"", "password_hash = "}, "networks"},
		{"an application elsewhere", surroundings{public: []netip.Addr{public4}}, func(f *founding) { f.Far = true }, []string{"[tls.acme]\n"}, "webroot"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := begun(t, tt.around, tt.change)
			if err := f.write(); err != nil {
				t.Fatal(err)
			}
			if _, err := config.Load(f.path); err != nil {
				t.Errorf("the server cannot start with it: %v", err)
			}
			text, err := os.ReadFile(f.path)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range tt.want {
				if !strings.Contains(string(text), want) {
					t.Errorf("there is no %s in\n%s", want, text)
				}
			}
			if tt.none != "" && strings.Contains(string(text), tt.none) {
				t.Errorf("there is %s in\n%s", tt.none, text)
			}
		})
	}
}

func TestTheServerIsGivenANameThatMovesNobody(t *testing.T) {
	const domain = "example.org"
	elsewhere := dnstest.Addrs("203.0.113.99")
	tests := []struct {
		name  string
		own   string
		world map[string][]netip.Addr
		down  bool
		want  string
	}{
		{"its own, in the domain", "crm.example.org", nil, false, "crm.example.org"},
		{"its own, elsewhere, that leads here", "vps7.hoster.example", map[string][]netip.Addr{"vps7.hoster.example": {public4}}, false, "vps7.hoster.example"},
		{"one of the provider's, which does not", "vps7.hoster.example", nil, false, "mail.example.org"},
		{"none, and the domain's own mail comes to mail.", "", map[string][]netip.Addr{"mail.example.org": elsewhere}, false, "homing.example.org"},
		{"none, and mail. leads here already", "", map[string][]netip.Addr{"mail.example.org": {public4}}, false, "mail.example.org"},
		{"none, and both are taken", "", map[string][]netip.Addr{"mail.example.org": elsewhere, "homing.example.org": elsewhere}, false, "homing1.example.org"},
		{"none, and the DNS is silent", "", nil, true, "mail.example.org"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			zone := &dnstest.Zone{Hosts: tt.world, Down: map[string]bool{"mail.example.org": tt.down}}
			s := surroundings{name: tt.own, dns: zone}
			if got := s.nameFor(t.Context(), domain, []netip.Addr{public4}); got != tt.want {
				t.Errorf("it is called %s, want %s", got, tt.want)
			}
		})
	}
}

// answers is somebody at a terminal: what is said to a question that has some
// words in it, one after the other.
type answers struct {
	t     *testing.T
	to    map[string][]string
	asked []string
	said  []string
}

func (a *answers) ask(_ context.Context, words, otherwise string, secret bool) (string, error) {
	a.asked = append(a.asked, fmt.Sprintf("%s [%s]", words, otherwise))
	for part, all := range a.to {
		if strings.Contains(words, part) && len(all) > 0 {
			if strings.Contains(words, "password") != secret {
				a.t.Errorf("%q is typed hidden: %v", words, secret)
			}
			a.to[part] = all[1:]
			return all[0], nil
		}
	}
	return otherwise, nil
}

func (a *answers) say(words string) { a.said = append(a.said, words) }

func TestOnlyWhatNobodyElseKnowsIsAsked(t *testing.T) {
	shut := dnscheck.Finding{Verdict: dnscheck.Fail}
	tests := []struct {
		name   string
		around surroundings
		flags  []string
		to     map[string][]string
		want   []string // the beginnings of the questions
		text   []string // in the configuration
	}{
		{"an ordinary machine", surroundings{public: []netip.Addr{public4}}, nil, map[string][]string{"Who is told": {"it@example.org"}},
			[]string{"What is this machine called in the DNS? [mail.example.org]", "Who is told by mail when something breaks? []"}, []string{`postmaster = "it@example.org"`}},
		{"all is said with flags", surroundings{public: []netip.Addr{public4}}, []string{"hostname", "postmaster"}, nil, nil, nil},
		{"the resolver is silent about port 25", surroundings{public: []netip.Addr{public4}, outgoing: dnscheck.Finding{Verdict: dnscheck.Skipped}}, []string{"hostname", "postmaster"}, nil, nil, nil},
		{"behind NAT", surroundings{hidden: inside4}, []string{"hostname", "postmaster"}, map[string][]string{"This machine is 10.0.0.5": {"10.0.0.6", "198.51.100.7"}},
			[]string{"This machine is 10.0.0.5", "This machine is 10.0.0.5"}, []string{`public_addresses = ["198.51.100.7"]`}},
		{"behind NAT, with the name in the DNS already", surroundings{hidden: inside4, dns: &dnstest.Zone{Hosts: map[string][]netip.Addr{"mail.example.org": dnstest.Addrs("9.9.9.9")}}, name: "mail.example.org"},
			[]string{"hostname", "postmaster"}, nil, []string{"This machine is 10.0.0.5, which nobody out there can reach. Which public IPv4 address stands in front of it? [9.9.9.9]"}, []string{`public_addresses = ["9.9.9.9"]`}},
		{"port 25 is closed", surroundings{public: []netip.Addr{public4}, outgoing: shut}, []string{"hostname", "postmaster"},
			map[string][]string{"smarthost": {"smtp.provider.example"}, "Which name to log in": {"u"}, "the password of u": {"", "geheim"}},
			[]string{"Port 25 of other servers cannot be reached", "Which name to log in with at smtp.provider.example:587?", "And the password of u there?", "And the password of u there?"},
			[]string{`address = "smtp.provider.example:587"`, `username = "u"`, `password_file = "smarthost-password"`}},
		{"port 25 is closed, and there is no account yet", surroundings{public: []netip.Addr{public4}, outgoing: shut}, []string{"hostname", "postmaster"}, nil,
			[]string{"Port 25 of other servers cannot be reached"}, nil},
		{"mistakes are asked again", surroundings{public: []netip.Addr{public4}}, nil, map[string][]string{"called": {"mail", "MAIL.Example.ORG."}, "Who is told": {"it", "it@localhost", "it@example.org"}},
			[]string{"What is this machine called", "What is this machine called", "Who", "Who", "Who"}, []string{`hostname = "mail.example.org"`, `postmaster = "it@example.org"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := &answers{t: t, to: tt.to}
			f := begun(t, tt.around, nil)
			if err := f.ask(t.Context(), func(flag string) bool { return slices.Contains(tt.flags, flag) }, a); err != nil {
				t.Fatal(err)
			}
			if !slices.EqualFunc(a.asked, tt.want, strings.HasPrefix) {
				t.Errorf("asked was %q, want %q", a.asked, tt.want)
			}
			f.arrange()
			text, err := f.text()
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range tt.text {
				if !strings.Contains(string(text), want) {
					t.Errorf("there is no %s in\n%s", want, text)
				}
			}
		})
	}
}

func TestWithoutAWayOutTheLinesForASmarthostAreSaid(t *testing.T) {
	f := begun(t, surroundings{public: []netip.Addr{public4}, outgoing: dnscheck.Finding{Verdict: dnscheck.Fail}}, nil)
	got := strings.Join(f.wayWords(), "\n")
	for _, want := range []string{"Many providers open it", "[delivery.smarthost]\n", `password_file = "smarthost-password"`, "sudo install -m 0640 ", filepath.Join(filepath.Dir(f.path), "smarthost-password")} {
		if !strings.Contains(got, want) {
			t.Errorf("%q has no %q", got, want)
		}
	}
	if !strings.Contains(got, "Nobody is told by mail yet") {
		t.Errorf("%q does not say that nobody is told", got)
	}
	f.Smarthost, f.Postmaster = "smtp.provider.example:587", "it@example.org"
	if got := f.wayWords(); len(got) > 0 {
		t.Errorf("with a smarthost it still says %q", got)
	}
}

func TestAnInterruptedQuestionWritesNothing(t *testing.T) {
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer out.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("Ctrl-C"))
	if _, err := (keyboard{in, new(strings.Builder)}).line(ctx); err == nil || !strings.Contains(err.Error(), "nothing was written") {
		t.Errorf("an interrupted question gives %v", err)
	}
}

func TestADirectoryThatIsThereStaysAsItIs(t *testing.T) {
	f := begun(t, surroundings{public: []netip.Addr{public4}}, nil)
	dir := filepath.Dir(f.path)
	if err := os.MkdirAll(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	if err := f.write(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o711 {
		t.Errorf("the directory that was there has mode %o now", got)
	}
}

func TestTheNextStepsAreForThisMachine(t *testing.T) {
	tests := []struct {
		name   string
		change func(f *founding)
		want   []string
		none   string
	}{
		{"CiviCRM here", nil, []string{"sudo homing dns --watch", "sudo install -d -m 2770 -o homing -g www-data /var/mail/civi /var/mail/civi/new /var/mail/civi/cur /var/mail/civi/tmp", "sudo homing check"}, "acme"},
		{"listmonk here", func(f *founding) { f.App.Name = "listmonk" }, []string{"sudo homing dns --watch"}, "/var/mail"},
		{"CiviCRM elsewhere, Apache at port 80", func(f *founding) { f.Far = true }, []string{"let the other machine have it", "/var/lib/homing-acme/.well-known/acme-challenge"}, ""},
		{"another data_dir", func(f *founding) { f.DataDir = "/srv/homing" }, []string{"sudo install -d -m 0700 -o homing /srv/homing", `printf '[Service]\nReadWritePaths=%s\n' /srv/homing`}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := begun(t, surroundings{public: []netip.Addr{public4}, ports: []busyPort{{80, everywhere, "apache2", ""}}}, tt.change)
			f.path = systemConfig
			got := fmt.Sprintf("%s", f.steps())
			for _, want := range tt.want {
				if !strings.Contains(got, want) {
					t.Errorf("%s has no %q", got, want)
				}
			}
			if tt.none != "" && strings.Contains(got, tt.none) {
				t.Errorf("%s has %q", got, tt.none)
			}
		})
	}
}
