package peers

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"homing/integration/harness"
)

// dnsConfig is a configuration of two domains that share one for returns; the
// mail of example.org itself is elsewhere.
const dnsConfig = `hostname = "mail.example.org"
public_url = "https://mail.example.org"

[[domain]]
name = "example.org"
return_path = "return@bounce.example.org"
dkim = [ { selector = "homing1", key_file = "rsa.pem" }, { selector = "homing2", key_file = "ed25519.pem" } ]

[[domain]]
name = "example.net"
return_path = "return@bounce.example.org"
dkim = [ { selector = "homing1", key_file = "rsa.pem" } ]

[[application]]
name = "crm"
domains = ["example.org", "example.net"]
networks = ["127.0.0.1/32"]

[[route]]
address = "reports@bounce.example.org"
as = "report"

[tls]
cert_file = "cert.pem"
key_file = "key.pem"

[delivery]
public_addresses = ["203.0.113.10", "2001:db8::10"]

[dns]
server = "%s"
`

// givesWay finds the records of a zone that give way to ours.
var givesWay = regexp.MustCompile("(?m)^.*; gives way\n")

// worldOf gives the zones of a world by their names, as they are without us.
func worldOf(at string) map[string]string {
	host, _, _ := strings.Cut(at, ":")
	const head = "$TTL 60\n@ IN SOA ns.example.org. hostmaster.example.org. 1 3600 600 86400 60\n@ IN NS ns.example.org.\n"
	return map[string]string{
		"example.org": head + "ns IN A " + host + `
@ IN MX 10 elsewhere
@ IN A 192.0.2.80
elsewhere IN A 192.0.2.25
@ IN TXT "a-verification=x"
@ IN TXT "v=spf1 mx include:_spf.example.net ~all" ; gives way
_dmarc IN TXT "v=DMARC1; p=reject; rua=mailto:dmarc@example.org!10m" ; gives way
bounce IN MX 10 elsewhere ; gives way
`,
		"example.net":              head + "_spf IN TXT \"v=spf1 ip4:192.0.2.0/24 -all\"\n@ IN MX 10 elsewhere.example.org.\n",
		"113.0.203.in-addr.arpa":   head + "10 IN PTR mail.example.org.\n",
		"8.b.d.0.1.0.0.2.ip6.arpa": head + "0.1" + strings.Repeat(".0", 22) + " IN PTR mail.example.org.\n",
	}
}

// startNSD serves zones from a directory of its own, after NSD's and BIND's own
// checks of them.
func startNSD(t *testing.T, at string, zones map[string]string) {
	t.Helper()
	dir := publicDir(t)
	host, port, err := net.SplitHostPort(at)
	if err != nil {
		t.Fatal(err)
	}
	var conf strings.Builder
	fmt.Fprintf(&conf, "server:\n  ip-address: %s\n  port: %s\n  server-count: 1\n  username: \"\"\n  zonesdir: %q\n  database: \"\"\n"+
		"  pidfile: \"\"\n  xfrdfile: \"\"\n  xfrdir: %q\n  zonelistfile: %q\nremote-control:\n  control-enable: no\n", host, port, dir, dir, dir+"/zone.list")
	for _, name := range slices.Sorted(maps.Keys(zones)) {
		path := filepath.Join(dir, name+".zone")
		if err := os.WriteFile(path, []byte(zones[name]), 0o644); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&conf, "zone:\n  name: %q\n  zonefile: %q\n", name, path)
		for _, check := range [][]string{{"named-checkzone", "-i", "local", name, path}, {"nsd-checkzone", name, path}} {
			if got := call(t, nil, check[0], check[1:]...); got.code != 0 || strings.Contains(got.stdout+got.stderr, "ignoring") {
				t.Errorf("%s: %v\n%s", strings.Join(check, " "), got, zones[name])
			}
		}
	}
	path := filepath.Join(dir, "nsd.conf")
	if err := os.WriteFile(path, []byte(conf.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	serve(t, at, "nsd", "-d", "-c", path)
}

// TestANameServerServesWhatHomingPrintsAndHomingIsContentWithIt has Homing look
// at a name server that does not know it yet, and then at one that has loaded
// what it printed, also where it asks the servers of the zones themselves.
func TestANameServerServesWhatHomingPrintsAndHomingIsContentWithIt(t *testing.T) {
	begin(t)
	b := newBlock()
	before, after := b.at(server, 53), b.at(server+1, 53)
	startNSD(t, before, worldOf(before))
	config := dnsFiles(t, before, "")
	got := dnsOf(t, config, "--diff")
	for _, line := range []string{"add  +mail +AAAA ", "change +bounce +MX ", "change +@ +TXT +[0-9]+ +v=spf1 ip4:203.0.113.10 ip6:2001:db8::10 mx include:_spf.example.net ~all",
		"change +_dmarc +TXT .*p=reject; rua=mailto:dmarc@example.org!10m,mailto:reports@bounce.example.org", "ok +203.0.113.10 +PTR", "ok +2001:db8::10 +PTR"} {
		if got.code != 1 || !regexp.MustCompile("(?m)^  "+line).MatchString(got.stdout) {
			t.Errorf("no line %q: %v", line, got)
		}
	}

	zones := worldOf(after)
	for _, name := range []string{"example.org", "example.net"} {
		printed := dnsOf(t, config, "--zone", "--tlsa", name)
		if printed.code != 0 {
			t.Fatal(printed)
		}
		include := filepath.Join(publicDir(t), name+".homing")
		if err := os.WriteFile(include, []byte(printed.stdout), 0o644); err != nil {
			t.Fatal(err)
		}
		zones[name] = givesWay.ReplaceAllString(zones[name], "") + "$INCLUDE " + include + "\n"
	}
	startNSD(t, after, zones)
	config = dnsFiles(t, after, filepath.Dir(config))
	for _, flag := range []string{"--diff", "--watch"} {
		if got := dnsOf(t, config, flag); got.code != 0 || !strings.Contains(got.stdout, "\nAll is green: ") || !strings.Contains(got.stdout, "_25._tcp.mail") {
			t.Errorf("dns %s: %v", flag, got)
		}
	}
}

// dnsOf runs `homing dns`.
func dnsOf(t *testing.T, config string, args ...string) said {
	t.Helper()
	stdout, stderr, code := harness.Command(t, "", append([]string{"dns", "--config", config}, args...)...)
	return said{stdout, stderr, code}
}

// dnsFiles writes a configuration that asks at an address, with keys that are
// made, or come from another directory.
func dnsFiles(t *testing.T, at string, from string) (config string) {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{"homing.toml": fmt.Sprintf(dnsConfig, at)}
	names := []string{"rsa.pem", "ed25519.pem", "cert.pem", "key.pem"}
	if from == "" {
		long, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		_, short, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		files["rsa.pem"], files["ed25519.pem"] = privatePEM(t, long), privatePEM(t, short)
		made := certificates(t, at)
		files["cert.pem"], files["key.pem"] = made["cert.pem"], made["key.pem"]
		names = nil
	}
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(text)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "homing.toml")
}

func privatePEM(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return armour("PRIVATE KEY", der)
}
