package config

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestReferenceNamesEveryKey compares docs/CONFIGURATION.md with what the
// parser knows: every key has a row, and the row says truly whether a reload
// is enough.
func TestReferenceNamesEveryKey(t *testing.T) {
	doc, err := os.ReadFile("../docs/CONFIGURATION.md")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z0-9_.]+)` \\|.*\\| (live|restart) \\|$").FindAllStringSubmatch(string(doc), -1) {
		if _, twice := got[row[1]]; twice {
			t.Errorf("%s has two rows", row[1])
		}
		got[row[1]] = row[2]
	}
	want := map[string]string{}
	for _, k := range allKeys {
		switch {
		case k.table:
		case k.restart:
			want[k.name] = "restart"
		default:
			want[k.name] = "live"
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/CONFIGURATION.md (-keys +rows):\n%s", diff)
	}
}

// TestReferenceMarksWhatIsNotBuilt compares docs/CONFIGURATION.md with the
// gaps: a key, or a table whose keys all say so.
func TestReferenceMarksWhatIsNotBuilt(t *testing.T) {
	doc, err := os.ReadFile("../docs/CONFIGURATION.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range gaps {
		word := "error"
		if g.warning {
			word = "warning"
		}
		for line := range strings.Lines(string(doc)) {
			if strings.HasPrefix(line, "| `"+g.key) && !regexp.MustCompile(`(?i)not built yet\*\*: `+word).MatchString(line) {
				t.Errorf("%s is not built yet (%s), and its row does not say so: %s", g.key, word, line)
			}
		}
	}
}

func TestSwitchedOffIsNotAskedFor(t *testing.T) {
	_, problems := Parse([]byte(`hostname = "mail.example.org"
[listen]
smtp = [":25"]
submission = ["127.0.0.1:587"]
https = []
[[domain]]
name = "example.org"
return_path = "return@bounce.example.org"
list_unsubscribe = "off"
[[application]]
name = "civicrm"
domains = ["example.org"]
networks = ["127.0.0.1"]
[[sink]]
name = "mail"
type = "dsn"
[delivery.smarthost]
address = "smtp.provider.example:587"
max_per_hour = 0
rewrites_sender = false
[store]
engine = "embedded"
`), t.TempDir())
	if len(problems) > 0 {
		t.Error(problems)
	}
}

func TestExampleFileShowsEveryKey(t *testing.T) {
	for _, k := range allKeys {
		last := k.name[strings.LastIndexByte(k.name, '.')+1:]
		form := `(?m)(^|[#{,] *)` + last + ` = `
		if k.table {
			form = `(?m)^(# )?\[\[?` + regexp.QuoteMeta(k.name) + `\]|(?m)^` + last + ` = `
		}
		if !regexp.MustCompile(form).MatchString(example) {
			t.Errorf("homing.example.toml does not show %s", k.name)
		}
	}
}

func TestExampleFileLoads(t *testing.T) {
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	dir := t.TempDir()
	for name, data := range exampleFiles(t) {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "homing.toml")
	if err := os.WriteFile(path, []byte(example), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Warnings) > 0 {
		t.Error(c.Warnings)
	}
	if got := c.Domains[0].DKIM; got[0].Key.(*rsa.PrivateKey).N.BitLen() != 2048 || len(got[1].Key.(ed25519.PrivateKey)) == 0 {
		t.Errorf("the DKIM keys are %v", got)
	}
	if got, want := c.Delivery.Smarthost.Password.Reveal(), "smarthost-password"; got != want {
		t.Errorf("the smarthost's password is %q, want %q", got, want)
	}
	if !c.Applications[0].Password.Verify("civicrm-password") {
		t.Error("the application's password is not recognised")
	}
	if got := c.VERP.Keys; len(got) != 2 || got[0].File != filepath.Join(dir, "verp-2.key") {
		t.Errorf("the keys of return addresses are %+v", got)
	}
}

// exampleFiles are the files that the example names.
func exampleFiles(t *testing.T) map[string][]byte {
	t.Helper()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail.example.org"}, NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, public, edKey)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(edKey)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	}
	files := map[string][]byte{
		"fullchain.pem":     encode("CERTIFICATE", cert),
		"privkey.pem":       encode("PRIVATE KEY", pkcs8),
		"dkim-rsa.pem":      encode("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey)),
		"dkim-ed25519.pem":  encode("PRIVATE KEY", pkcs8),
		"verp-1.key":        []byte("0123456789abcdef0123456789abcdef\n"),
		"verp-2.key":        []byte("another key of thirty-two octets!\n"),
		"bounce-rules.toml": nil,
	}
	for _, name := range []string{"civicrm-password", "smarthost-password", "civi-api-key", "civi-site-key", "listmonk-token", "imap-password"} {
		files[name] = []byte(name + "\n")
	}
	files["hook-secret"] = []byte("whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0\n")
	return files
}

func TestKeysAreKnownByTheirWholeName(t *testing.T) {
	var names []string
	for _, k := range allKeys {
		names = append(names, k.name)
	}
	for _, want := range []string{"hostname", "listen.smtp", "tls.acme.webroot", "domain.dkim.key_file", "delivery.smarthost.tls", "hold.thresholds"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is not among the keys", want)
		}
	}
	sorted := slices.Sorted(slices.Values(names))
	if len(slices.Compact(sorted)) != len(names) {
		t.Error("a key is there twice")
	}
	tables := map[string]bool{}
	for _, k := range allKeys {
		if k.repeated {
			tables[k.name] = true
		}
	}
	want := map[string]bool{"domain": true, "domain.dkim": true, "application": true, "route": true, "source": true, "sink": true, "delivery.provider": true}
	if !maps.Equal(tables, want) {
		t.Errorf("tables that there can be several of: %v, want %v", tables, want)
	}
}

// minimal is a file that works, of eight lines.
const minimal = `hostname = "mail.example.org"
[[domain]]
name = "example.org"
return_path = "return@bounce.example.org"
[[application]]
name = "civicrm"
domains = ["example.org"]
networks = ["127.0.0.1"]
`

func TestARenamedKeyWarnsAndWorks(t *testing.T) {
	old := map[string]string{"application.quota": "daily_limit", "limits.max_out": "message_out"}
	c, problems := parse([]byte(minimal+"quota = 7\n[limits]\nmax_out = \"1MiB\"\n"), t.TempDir(), old)
	want := `homing.toml:9: warning: application.quota: is now called "daily_limit"; rename it, the old name will stop working
homing.toml:11: warning: limits.max_out: is now called "message_out"; rename it, the old name will stop working`
	if diff := cmp.Diff(want, problems.Error()); diff != "" {
		t.Fatalf("problems (-want +got):\n%s", diff)
	}
	if c.Applications[0].DailyLimit != 7 || c.Limits.MessageOut != 1<<20 {
		t.Errorf("the old names gave %d and %d", c.Applications[0].DailyLimit, c.Limits.MessageOut)
	}

	_, problems = parse([]byte(minimal+"quota = 7\ndaily_limit = 8\n"), t.TempDir(), old)
	if want := `homing.toml:9: application.quota: is now called "daily_limit", which is here too; remove "quota"`; problems.Error() != want {
		t.Errorf("both names: %v, want %v", problems, want)
	}
}
