package config_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"homing/config"
	"homing/internal/password"
)

// smallest is the smallest file that works, without a warning.
const smallest = `hostname = "mail.example.org"
[[domain]]
name = "example.org"
return_path = "return@bounce.example.org"
[[application]]
name = "civicrm"
domains = ["example.org"]
networks = ["127.0.0.1/32"]
`

// mustParse gives the Config of a file in which nothing is wrong.
func mustParse(t testing.TB, text, dir string) *config.Config {
	t.Helper()
	c, problems := config.Parse([]byte(text), dir)
	if len(problems) > 0 {
		t.Fatalf("Parse finds something wrong:\n%v", problems)
	}
	return c
}

func ExampleParse() {
	_, problems := config.Parse([]byte(`hostname = "mail.example.org"
[listen]
submision = ["127.0.0.1:587"]

[[domain]]
name = "example.org"
return_path = "return@bounce.example.org"

[[application]]
name = "civicrm"
domains = ["example.com"]
users = ["www-data"]
`), "/etc/homing")
	fmt.Println(problems)
	// Output:
	// homing.toml:3: listen.submision: there is no such key; did you mean "submission"?
	// homing.toml:11: application.domains: "example.com" has no [[domain]]; did you mean "example.org"?
	// homing.toml:12: warning: application.users: sendmail hands mail over at the local socket, which is off; write local = "unix:/run/homing/submit.sock" in [listen]
}

func TestTheSmallestFileHasEveryDefault(t *testing.T) {
	const day = 24 * time.Hour
	want := &config.Config{
		Hostname: "mail.example.org",
		DataDir:  "/var/lib/homing",
		SpoolDir: "/var/spool/homing",
		Mode:     config.Deliver,
		Listen: config.Listen{
			SMTP:       []config.Address{{Network: "tcp", Address: ":25"}},
			Submission: []config.Address{{Network: "tcp", Address: "127.0.0.1:587"}},
			Local:      config.Address{Network: "unix", Address: "/run/homing/submit.sock"},
			HTTP:       []config.Address{{Network: "tcp", Address: "127.0.0.1:8025"}},
		},
		Domains: []config.Domain{{
			Name: "example.org", ReturnPath: "return@bounce.example.org", Separator: "+",
			VERP: config.Sign, ListUnsubscribe: config.UnsubscribeAuto, Sinks: []string{"dsn"},
		}},
		Applications: []config.Application{{
			Name: "civicrm", Kind: config.Generic, Domains: []string{"example.org"},
			Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
			Mode:     config.Deliver, Held: config.Suppress, Replies: config.RepliesTell,
		}},
		Sinks: []config.Sink{{Name: "dsn", Type: config.SinkDSN}},
		Hold:  config.Hold{Thresholds: map[string]int{"Dns": 3, "Host": 3, "Loop": 3, "Quota": 3, "Relay": 3, "Syntax": 3}},
		Delivery: config.Delivery{
			Port: 25, Lifetime: 5 * day,
			Retry:  []time.Duration{5 * time.Minute, 15 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour},
			Warmup: config.WarmupOff, Breaker: config.BreakerAuto,
			Window: 4, TLSReports: true,
		},
		Check:  config.Check{Interval: time.Hour},
		Notify: config.Notify{Digest: config.Weekly},
		Limits: config.Limits{
			DiskReserve: config.Reserve{Percent: 5}, MessageOut: 25 << 20, MessageIn: 10 << 20,
			Recipients: 1000, ConnectionsPerAddress: 30, AuthFailuresPerMinute: 10,
		},
		TLS:       config.TLS{MTASTS: config.MTASTSTesting},
		Retention: config.Retention{Events: 90 * day, Bounces: 30 * day, Captured: 30 * day, Index: 30 * day},
		Log:       config.Log{Format: config.LogAuto, Addresses: config.LogFull},
		Store:     config.Store{Engine: config.Embedded},
	}
	got := mustParse(t, smallest, "/etc/homing")
	if len(got.Delivery.Providers) < 20 {
		t.Errorf("%d providers ship", len(got.Delivery.Providers))
	}
	got.Delivery.Providers = nil // what they are is in providers.toml
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Errorf("the smallest file (-want +got):\n%s", diff)
	}
}

func TestAFileForABenchLoads(t *testing.T) {
	c := mustParse(t, `hostname = "relay.bench.test"
data_dir = "/var/tmp/bench/data"
[listen]
submission = ["127.0.0.1:2525"]
[[application]]
name = "bench"
networks = ["127.0.0.0/8"]
domains = ["src.test"]
[[domain]]
name = "src.test"
return_path = "return@bounce.src.test"
[delivery.smarthost]
address = "127.0.0.1:2600"
tls = "none"
`, "/etc/homing")
	want := config.Listen{Submission: []config.Address{{Network: "tcp", Address: "127.0.0.1:2525"}}}
	if diff := cmp.Diff(want, c.Listen); diff != "" {
		t.Errorf("what is left out of [listen] is off (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(&config.Smarthost{Address: config.Address{Network: "tcp", Address: "127.0.0.1:2600"}, TLS: config.TLSNone}, c.Delivery.Smarthost); diff != "" {
		t.Errorf("smarthost (-want +got):\n%s", diff)
	}
}

func TestValues(t *testing.T) {
	c := mustParse(t, smallest+`users = ["www-data"]
allow_rate = "20/s"
daily_limit = 50_000
[listen]
smtp = ["[::]:25"]
submission = ["127.0.0.1:0"]
lmtp = ["unix:lmtp.sock"]
local = "unix:/run/s.sock"
http = []
[hold]
thresholds = { Host = 5, Quota = 0 }
[delivery]
lifetime = "1d12h"
retry = ["90s"]
source_addresses = ["203.0.113.10", "2001:db8::10", "::ffff:203.0.113.11"]
allow_networks = ["10.0.0.0/8", "fd00::/8", "192.0.2.1"]
window_sites = ["Example.NET", "müller.example"]
[limits]
disk_reserve = "8MiB"
message_in = "65536B"
`, "/etc/homing")
	checks := []struct {
		name      string
		got, want any
	}{
		{"a rate", c.Applications[0].AllowRate.PerSecond(), 20.0},
		{"a number with an underscore", c.Applications[0].DailyLimit, 50000},
		{"all addresses", c.Listen.SMTP[0].String(), "[::]:25"},
		{"a relative socket", c.Listen.LMTP[0].String(), "unix:/etc/homing/lmtp.sock"},
		{"an empty list is off", len(c.Listen.HTTP), 0},
		{"thresholds merge with the defaults", fmt.Sprint(c.Hold.Thresholds), "map[Dns:3 Host:5 Loop:3 Quota:0 Relay:3 Syntax:3]"},
		{"days and hours", c.Delivery.Lifetime, 36 * time.Hour},
		{"a list replaces its default", len(c.Delivery.Retry), 1},
		{"a mapped address", c.Delivery.SourceAddresses[2].String(), "203.0.113.11"},
		{"one address is a network", c.Delivery.AllowNetworks[2].String(), "192.0.2.1/32"},
		{"domain names in lower case and A-labels", fmt.Sprint(c.Delivery.WindowSites), "[example.net xn--mller-kva.example]"},
		{"a size as it is", c.Limits.DiskReserve.Of(1 << 30), uint64(8 << 20)},
		{"octets", c.Limits.MessageIn, config.Size(64 << 10)},
	}
	for _, tt := range checks {
		if diff := cmp.Diff(tt.want, tt.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestNamesAreWrittenAsTheyAreCompared(t *testing.T) {
	c := mustParse(t, `hostname = "Mail.Example.ORG"
public_url = "https://mail.example.org/"
postmaster = "It@EXAMPLE.org"
[[domain]]
name = "Bücher.example"
return_path = "Return@Bounce.Bücher.example"
[[application]]
name = "civicrm"
domains = ["BÜCHER.example"]
networks = ["127.0.0.1"]
[[route]]
address = "Office@Bounce.Example.org"
as = "bounce"
`, "/etc/homing")
	got := []string{c.Hostname, c.PublicURL, c.Postmaster, c.Notify.To[0], c.Domains[0].Name, c.Domains[0].ReturnPath, c.Applications[0].Domains[0], c.Routes[0].Address}
	want := []string{"mail.example.org", "https://mail.example.org", "It@example.org", "It@example.org", "xn--bcher-kva.example",
		"return@bounce.xn--bcher-kva.example", "xn--bcher-kva.example", "office@bounce.example.org"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

func TestReserve(t *testing.T) {
	tests := []struct {
		name    string
		reserve config.Reserve
		disk    uint64
		want    uint64
	}{
		{"a share of a large disk", config.Reserve{Percent: 5}, 100 << 30, 5 << 30},
		{"never less than 256 MiB", config.Reserve{Percent: 5}, 1 << 30, 256 << 20},
		{"a size is taken as it is", config.Reserve{Octets: 8 << 20}, 64 << 20, 8 << 20},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.reserve.Of(tt.disk); got != tt.want {
				t.Errorf("Of(%d) = %d, want %d", tt.disk, got, tt.want)
			}
		})
	}
}

func TestAddress(t *testing.T) {
	tests := []struct {
		address           config.Address
		host              string
		port              int
		private, loopback bool
	}{
		{config.Address{Network: "tcp", Address: ":25"}, "", 25, false, false},
		{config.Address{Network: "tcp", Address: "127.0.0.1:587"}, "127.0.0.1", 587, true, true},
		{config.Address{Network: "tcp", Address: "[::1]:587"}, "::1", 587, true, true},
		{config.Address{Network: "tcp", Address: "10.0.0.5:587"}, "10.0.0.5", 587, true, false},
		{config.Address{Network: "tcp", Address: "[fd00::5]:587"}, "fd00::5", 587, true, false},
		{config.Address{Network: "tcp", Address: "203.0.113.5:587"}, "203.0.113.5", 587, false, false},
		{config.Address{Network: "tcp", Address: "smtp.example.org:587"}, "smtp.example.org", 587, false, false},
		{config.Address{Network: "unix", Address: "/run/x.sock"}, "", 0, true, true},
	}
	for _, tt := range tests {
		t.Run(tt.address.String(), func(t *testing.T) {
			a := tt.address
			if a.Host() != tt.host || a.Port() != tt.port || a.Private() != tt.private || a.Loopback() != tt.loopback {
				t.Errorf("host %q, port %d, private %v, loopback %v; want %q, %d, %v, %v",
					a.Host(), a.Port(), a.Private(), a.Loopback(), tt.host, tt.port, tt.private, tt.loopback)
			}
		})
	}
}

func TestSecrets(t *testing.T) {
	const sinks = `[[sink]]
name = "hooks"
type = "webhook"
url = "https://crm.example.org/hook"
secret_file = "hook-secret"
`
	tests := []struct {
		name, next, handed string // what stands next to the file, and in $CREDENTIALS_DIRECTORY
		mode               os.FileMode
		want, problem      string
	}{
		{"the line end does not belong to it", "s3cret-of-the-hook\n", "", 0o600, "s3cret-of-the-hook", ""},
		{"nor does that of another system", "s3cret-of-the-hook\r\n", "", 0o600, "s3cret-of-the-hook", ""},
		{"blanks do", " s3cret-of-the-hook \n", "", 0o600, " s3cret-of-the-hook ", ""},
		{"its group may read it", "s3cret-of-the-hook", "", 0o640, "s3cret-of-the-hook", ""},
		{"what the service manager hands over comes first", "an old one of the hook", "a new one of the hook", 0o600, "a new one of the hook", ""},
		{"too short to be one", "s3cret", "", 0o600, "",
			"homing.toml:13: sink.secret_file: the secret has 6 octets, which anybody could guess; make one with `echo whsec_$(openssl rand -base64 32)`"},
		{"everybody may read it", "s3cret-of-the-hook", "", 0o644, "s3cret-of-the-hook",
			"homing.toml:13: warning: sink.secret_file: DIR/hook-secret can be read or changed by others (mode 0644); run `chmod 600 DIR/hook-secret`, or 640 with the server's group"},
		{"it is longer than any secret", strings.Repeat("x", 65537), "", 0o600, "",
			"homing.toml:13: sink.secret_file: DIR/hook-secret is longer than 64 KiB; name the right file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir, credentials := t.TempDir(), t.TempDir()
			t.Setenv("CREDENTIALS_DIRECTORY", credentials)
			write(t, filepath.Join(dir, "hook-secret"), []byte(tt.next))
			if err := os.Chmod(filepath.Join(dir, "hook-secret"), tt.mode); err != nil {
				t.Fatal(err)
			}
			if tt.handed != "" {
				write(t, filepath.Join(credentials, "hook-secret"), []byte(tt.handed))
			}
			c, problems := config.Parse([]byte(smallest+sinks), dir)
			if got := strings.ReplaceAll(problems.Error(), dir, "DIR"); got != tt.problem {
				t.Errorf("problems %q, want %q", got, tt.problem)
			}
			if c != nil && c.Sink("hooks").Secret.Reveal() != tt.want {
				t.Errorf("the secret is %q, want %q", c.Sink("hooks").Secret.Reveal(), tt.want)
			}
		})
	}
}

func TestNothingPrintsASecret(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "canary"), []byte("c4nary-in-the-mine-of-32-octets!"))
	c := mustParse(t, strings.Replace(smallest, "networks", "password_file = \"canary\"\nnetworks", 1)+`
[[sink]]
name = "hooks"
type = "webhook"
url = "https://crm.example.org/hook"
secret_file = "canary"
[delivery.smarthost]
address = "smtp.example.org:587"
username = "u"
password_file = "canary"
[verp]
key_files = ["canary"]
`, dir)
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{string(asJSON), fmt.Sprintf("%v", c), fmt.Sprintf("%+v", *c), fmt.Sprintf("%#v", *c), fmt.Sprintf("%+v", *c.Delivery.Smarthost), fmt.Sprintf("%x", c.Sinks[0].Secret)} {
		for _, leak := range []string{"c4nary", "63346e617279", "YzRuYXJ5"} { // as it is, in hexadecimal, in base64
			if strings.Contains(text, leak) {
				t.Errorf("the secret shows in %s", text)
			}
		}
	}
}

func TestTheNumberOfAKeyComesFromTheKey(t *testing.T) {
	dir := t.TempDir()
	read := func(name, text string) config.VERPKey {
		t.Helper()
		write(t, filepath.Join(dir, name), []byte(text))
		k, err := config.ReadVERPKey(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	const key = "0123456789abcdef0123456789abcdef"
	a, b := read("a", key+"\n"), read("b", key)
	if a.ID != b.ID || a.Secret != b.Secret || a.ID > 15 {
		t.Errorf("one key in two files has the numbers %d and %d", a.ID, b.ID)
	}
	raw := read("raw", "\xff123456789abcdef0123456789abcde\n")
	if got := len(raw.Secret.Reveal()); got != 32 {
		t.Errorf("a key that is no text has %d octets, want all 32", got)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "homing.toml")
	t.Run("a file that is not there", func(t *testing.T) {
		if _, err := config.Load(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("Load = %v, want an error that names %s", err, path)
		}
	})
	t.Run("problems name the file", func(t *testing.T) {
		write(t, path, []byte("mode = 1\n"))
		if _, err := config.Load(path); err == nil || !strings.HasPrefix(err.Error(), path+":1: ") {
			t.Errorf("Load = %v, want it to begin with %s:1:", err, path)
		}
	})
	t.Run("HTTP that others can read is a warning", func(t *testing.T) {
		for address, want := range map[string]int{"127.0.0.1:8025": 0, "[::1]:8025": 0, "unix:/run/homing/http.sock": 0, "192.168.1.5:8025": 1, ":8025": 1} {
			_, problems := config.Parse([]byte(smallest+"[listen]\nsubmission = [\"127.0.0.1:587\"]\nhttp = [\""+address+"\"]\n"), t.TempDir())
			if len(problems) != want || want == 1 && !(problems[0].Warning && strings.Contains(problems[0].Message, "without TLS")) {
				t.Errorf("http = %q: %v, want %d warnings", address, problems, want)
			}
		}
	})
	t.Run("warnings come with the configuration", func(t *testing.T) {
		write(t, path, []byte(strings.Replace(smallest, "networks", "#", 1)))
		c, err := config.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Warnings) != 1 || c.Warnings.Fatal() || c.Warnings[0].File != path || c.Warnings[0].Line != 5 {
			t.Errorf("warnings %+v, want one about line 5", c.Warnings)
		}
	})
	t.Run("a file that cannot be a configuration", func(t *testing.T) {
		write(t, path, []byte(strings.Repeat("#\n", 1<<20)))
		if _, err := config.Load(path); err == nil || !strings.Contains(err.Error(), "longer than 1 MiB") {
			t.Errorf("Load = %v, want it to refuse the length", err)
		}
	})
}

func TestKeepingTakesWhatNeedsARestartFromTheOldOne(t *testing.T) {
	old := mustParse(t, smallest, "/etc/homing")
	now := mustParse(t, "mode = \"capture\"\n"+strings.Replace(smallest, "mail.", "mx.", 1)+
		"[delivery]\nport = 2525\nlifetime = \"1d\"\n[delivery.smarthost]\naddress = \"smtp.example.org:587\"\n[limits]\nrecipients = 500\n", "/etc/homing")
	kept := now.Keeping(old)
	if got := kept.RestartFor(old); len(got) > 0 {
		t.Errorf("what is kept differs in %v", got)
	}
	if kept.Hostname != old.Hostname || kept.Delivery.Port != 25 || kept.Limits.Recipients != 1000 {
		t.Errorf("kept %q, port %d, %d recipients, want all as before", kept.Hostname, kept.Delivery.Port, kept.Limits.Recipients)
	}
	if kept.Mode != config.Capture || kept.Delivery.Lifetime != 24*time.Hour || kept.Delivery.Smarthost == nil {
		t.Errorf("mode %q, lifetime %v and smarthost %v, want the new ones", kept.Mode, kept.Delivery.Lifetime, kept.Delivery.Smarthost)
	}
	if now.Hostname != "mx.example.org" || now.Delivery.Port != 2525 {
		t.Error("Keeping changed the new configuration")
	}
}

func TestFindDataDir(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "homing.toml")
	tests := []struct{ name, text, want string }{
		{"an absolute one", `data_dir = "/srv/homing"`, "/srv/homing"},
		{"one beside the file", `data_dir = "data"`, filepath.Join(dir, "data")},
		{"none", "", "/var/lib/homing"},
		{"in a file that is wrong otherwise", "data_dir = \"/srv/homing\"\nmode = 7\nhostnam = \"x\"", "/srv/homing"},
		{"one that is no text", "data_dir = 7", "/var/lib/homing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			write(t, path, []byte(tt.text))
			if got, err := config.FindDataDir(path); got != tt.want || err != nil {
				t.Errorf("FindDataDir = %q, %v, want %q", got, err, tt.want)
			}
		})
	}
	write(t, path, []byte("data_dir ="))
	if got, err := config.FindDataDir(path); err == nil || !strings.HasPrefix(err.Error(), path+":1: ") {
		t.Errorf("of a file that is no TOML: %q, %v, want an error that names %s:1:", got, err, path)
	}
}

func TestFindLocal(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "homing.toml")
	tests := []struct{ name, text, socket, spool string }{
		{"what the file says", "spool_dir = \"/srv/spool\"\n[listen]\nlocal = \"unix:/srv/s\"", "/srv/s", "/srv/spool"},
		{"a spool beside the file", `spool_dir = "spool"`, "/run/homing/submit.sock", filepath.Join(dir, "spool")},
		{"nothing", "", "/run/homing/submit.sock", "/var/spool/homing"},
		{"a [listen] without it", "[listen]\nsmtp = []", "", "/var/spool/homing"},
		{"in a file that is wrong otherwise", "mode = 7\n[listen]\nlocal = \"unix:/srv/s\"\nsmtp = 7", "/srv/s", "/var/spool/homing"},
		{"no text", "spool_dir = 7\n[listen]\nlocal = 7", "", "/var/spool/homing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			write(t, path, []byte(tt.text))
			if socket, spool, err := config.FindLocal(path); socket != tt.socket || spool != tt.spool || err != nil {
				t.Errorf("FindLocal = %q, %q, %v, want %q, %q", socket, spool, err, tt.socket, tt.spool)
			}
		})
	}
	if _, _, err := config.FindLocal(path + "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of no file: %v", err)
	}
}

func TestFindRulesFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "homing.toml")
	tests := []struct{ name, text, want string }{
		{"an absolute one", "[bounce]\nrules_file = '/etc/rules.toml'", "/etc/rules.toml"},
		{"one beside the file", "bounce.rules_file = 'rules.toml'", filepath.Join(dir, "rules.toml")},
		{"none", "[bounce]\n", ""},
		{"no table", "bounce = 7", ""},
		{"in a file that is wrong otherwise", "mode = 7\n[bounce]\nrules_file = '/etc/rules.toml'\nrule = 1", "/etc/rules.toml"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			write(t, path, []byte(tt.text))
			if got, err := config.FindRulesFile(path); got != tt.want || err != nil {
				t.Errorf("FindRulesFile = %q, %v, want %q", got, err, tt.want)
			}
		})
	}
}

func TestRestartFor(t *testing.T) {
	old := mustParse(t, smallest, "/etc/homing")
	tests := []struct {
		name, text string
		want       []string
	}{
		{"nothing changed", smallest, nil},
		{"a live key", "mode = \"capture\"\n" + smallest, nil},
		{"keys for the next start, in the order of the reference", smallest + "[store]\n[listen]\nsubmission = [\"127.0.0.1:1587\"]\n[limits]\nrecipients = 500\n",
			[]string{"listen.smtp", "listen.submission", "listen.local", "listen.http", "limits.recipients"}},
		{"a smarthost that was not there", smallest + "[delivery.smarthost]\naddress = \"smtp.example.org:587\"\n",
			nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, mustParse(t, tt.text, "/etc/homing").RestartFor(old)); diff != "" {
				t.Errorf("RestartFor (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzParse promises of any text that Parse does not panic, that it gives
// either a Config or an error, that every problem has a line of the file and a
// message, and that a file that loads twice gives equal configurations.
func FuzzParse(f *testing.F) {
	f.Add(smallest)
	f.Add(config.ExampleFile())
	f.Add("a.b.c = 1\n[a.d]\n[[e]]\nf = [{}, {g = 1}]\n[e.h]\n")
	f.Add("[[domain]]\n[[domain.dkim]]\nselector = 1\n[domain.dkim.x]\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, problems := config.Parse([]byte(text), "/nonexistent")
		if (c == nil) != problems.Fatal() {
			t.Errorf("a configuration: %v; an error: %v", c != nil, problems.Fatal())
		}
		lines := strings.Count(text, "\n") + 1
		for _, p := range problems {
			if p.Line < 1 || p.Line > lines || p.Message == "" {
				t.Errorf("%q is about no line of %d", p, lines)
			}
		}
		again, same := config.Parse([]byte(text), "/nonexistent")
		if diff := cmp.Diff(c, again, cmpopts.EquateComparable(netip.Prefix{}, netip.Addr{}), cmp.Comparer(password.Hash.Equal), cmpopts.EquateNaNs()); diff != "" {
			t.Errorf("loaded twice:\n%s", diff)
		}
		if problems.Error() != same.Error() {
			t.Errorf("problems of one file: %v, then %v", problems, same)
		}
	})
}
