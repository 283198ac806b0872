package peers

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"homing/dnscheck"
	"homing/integration/harness"
)

// Addresses of the world in two namespaces. All are ones of the Internet, so
// that nothing takes them for those of a test; no packet leaves the namespaces.
const (
	rootServer  = "198.41.0.4" // has every zone
	googleMX    = "142.250.102.27"
	gateway     = "5.45.100.1"
	ourAddress  = "5.45.100.10"
	gateway6    = "2a0e:97c0:100::1"
	ourAddress6 = "2a0e:97c0:100::10"
)

// A world is two network namespaces with a cable between: the Internet, where
// BIND serves the DNS from its root on, signed, and Google takes mail; and a
// machine with public addresses, an /etc, /run and /var/lib of its own, and a
// resolver that validates.
type world struct {
	t        testing.TB
	dir      string
	internet *place
	machine  *place
	ip6      bool
	zones    map[string]string // by name; the root has no name
	names    *daemon
}

// A place is a namespace, held by a process.
type place struct {
	t      testing.TB
	holder *exec.Cmd
}

// newPlace makes a network namespace and runs a shell script in it, which ends
// with a sleep that keeps it.
func newPlace(t testing.TB, script string, flags ...string) *place {
	t.Helper()
	cmd := exec.Command("unshare", append(flags, "--net", "bash", "-euc", script+"\necho made; exec sleep infinity")...)
	cmd.SysProcAttr = harness.DieWithParent()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatalf("making a namespace: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // by that signal
	})
	if line := make([]byte, 5); !readWhole(out, line) || string(line) != "made\n" {
		t.Fatalf("a namespace cannot be made: %q", line)
	}
	return &place{t, cmd}
}

func readWhole(r interface{ Read([]byte) (int, error) }, b []byte) bool {
	for len(b) > 0 {
		n, err := r.Read(b)
		if b = b[n:]; err != nil {
			return false
		}
	}
	return true
}

// args are those with which nsenter has a program run here.
func (p *place) args(more ...string) []string {
	return append([]string{"--target", fmt.Sprint(p.holder.Process.Pid), "--net", "--mount", "--uts", "--"}, more...)
}

// sh runs a script here, which must work.
func (p *place) sh(script string) string {
	p.t.Helper()
	got := call(p.t, nil, "nsenter", p.args("bash", "-euc", script)...)
	if got.code != 0 {
		p.t.Fatalf("%s: %v", script, got)
	}
	return got.stdout
}

// serve runs a server here until the test ends, and waits until it listens.
func (p *place) serve(at string, name string, args ...string) *daemon {
	p.t.Helper()
	d := launch(p.t, "nsenter", p.args(append([]string{program(p.t, name)}, args...)...)...)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(openWithin); !strings.Contains(p.sh("ss -Hltn"), " "+at+" "); <-tick.C {
		if time.Now().After(deadline) {
			p.t.Fatalf("%s does not listen:\n%s", name, d.said())
		}
	}
	return d
}

// newWorld makes one in which nobody knows of us yet.
func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, dir: publicDir(t)}
	_, err := os.Stat("/proc/sys/net/ipv6")
	w.ip6 = err == nil
	w.internet = newPlace(t, fmt.Sprintf("ip link set lo up; ip addr add %s/32 dev lo; ip addr add %s/32 dev lo", rootServer, googleMX))
	w.write("resolv.conf", "nameserver 127.0.0.1\n")
	// What the commands of the README write to is the machine's own.
	w.machine = newPlace(t, fmt.Sprintf(`ip link set lo up
hostname mail.example.org
mkdir %[1]s/machine; mount -t tmpfs none %[1]s/machine; cd %[1]s/machine
cp -a /etc etc; mount --bind etc /etc
cp -a /usr/local/bin bin; mount --bind bin /usr/local/bin
mkdir -p /etc/systemd/system; rm -f /etc/resolv.conf; cp ../resolv.conf /etc/resolv.conf
echo mail.example.org >/etc/hostname
mount -t tmpfs none /run; mount -t tmpfs none /var/lib`, w.dir), "--mount", "--uts")
	w.internet.sh(fmt.Sprintf("ip link add machine type veth peer name eth0 netns %d; ip addr add %s/24 dev machine; ip link set machine up", w.machine.holder.Process.Pid, gateway))
	w.machine.sh(fmt.Sprintf("ip addr add %s/24 dev eth0; ip link set eth0 up; ip route add default via %s", ourAddress, gateway))
	if w.ip6 {
		w.internet.sh(fmt.Sprintf("ip addr add %s/64 dev machine nodad", gateway6))
		w.machine.sh(fmt.Sprintf("ip addr add %s/64 dev eth0 nodad; ip route add default via %s", ourAddress6, gateway6))
	}
	w.zones = map[string]string{"example.org": usual, v4Reverse: zoneHead, v6Reverse: zoneHead}
	w.startNames()
	w.internet.serve(googleMX+":25", "smtp-sink", "-u", "nobody", "inet:"+googleMX+":25", "10")
	return w
}

// What everything stands behind in a zone. Nothing is kept for long.
const zoneHead = "$TTL 1\n@ IN SOA a.root-servers.net. hostmaster.example.org. 1 3600 600 86400 1\n@ IN NS a.root-servers.net.\n"

const (
	v4Reverse = "100.45.5.in-addr.arpa"
	v6Reverse = "0.0.1.0.0.c.7.9.e.0.a.2.ip6.arpa"
)

// usual is a domain whose mail is at Google, as it is before us.
const usual = zoneHead + `@ IN MX 1 smtp.google.com.
@ IN A 192.0.2.80
@ IN TXT "v=spf1 include:_spf.google.com ~all" ; gives way
`

// rootZone is the root with the names of the world that are in no zone of their
// own: mail hosts that answer everybody, and block lists with their test entries.
func (w *world) rootZone() string {
	var b strings.Builder
	b.WriteString(strings.ReplaceAll(zoneHead, "@", "."))
	fmt.Fprintf(&b, "a.root-servers.net. IN A %s\niana.org. IN A 192.0.43.8\nsmtp.google.com. IN A %s\n", rootServer, googleMX)
	fmt.Fprintf(&b, "_spf.google.com. IN TXT \"v=spf1 ip4:142.250.0.0/15 ~all\"\n")
	for _, domain := range []string{"gmail.com", "outlook.com", "yahoo.com", "icloud.com"} {
		fmt.Fprintf(&b, "%s. IN MX 5 smtp.google.com.\n", domain)
	}
	fmt.Fprintf(&b, "gmail-smtp-in.l.google.com. IN A %s\n", googleMX)
	for name := range w.zones {
		fmt.Fprintf(&b, "%s. IN NS a.root-servers.net.\n", name)
	}
	lists, err := dnscheck.Lists(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, l := range lists {
		entries := append([]string{"2.0.0.127", "test", nibbles("::ffff:7f00:2")}, l.Test...)
		for _, e := range slices.Compact(entries) {
			fmt.Fprintf(&b, "%s.%s. IN A 127.0.0.2\n", e, l.Zone)
		}
	}
	return b.String()
}

// nibbles is an IPv6 address as names under ip6.arpa begin.
func nibbles(address string) string {
	b := netip.MustParseAddr(address).As16()
	digits := strings.Split(hex.EncodeToString(b[:]), "")
	slices.Reverse(digits)
	return strings.Join(digits, ".")
}

// startNames signs the root, and has BIND serve it and the zones, and on the
// machine resolve from the root on with its key.
func (w *world) startNames() {
	w.t.Helper()
	w.write("root.zone", w.rootZone())
	key := w.sh("dnssec-keygen -q -a ECDSAP256SHA256 -f KSK .")
	w.sh("dnssec-keygen -q -a ECDSAP256SHA256 .")
	w.sh("cat K*.key >>root.zone; dnssec-signzone -q -o . root.zone")
	var conf strings.Builder
	const options = "options { directory %q; listen-on { %s; }; listen-on-v6 { none; }; pid-file none; session-keyfile none; empty-zones-enable no; dnssec-validation yes; %s };\ncontrols { };\n"
	fmt.Fprintf(&conf, options+"zone \".\" { type primary; file \"root.zone.signed\"; };\n", w.dir, rootServer, "recursion no;")
	for name, text := range w.zones {
		w.write(name+".zone", text)
		fmt.Fprintf(&conf, "zone %q { type primary; file \"%s.zone\"; };\n", name, name)
	}
	w.write("named.conf", conf.String())
	public, err := os.ReadFile(filepath.Join(w.dir, strings.TrimSpace(key)+".key"))
	if err != nil {
		w.t.Fatal(err)
	}
	fields := strings.Fields(regexp.MustCompile("(?m)^;.*\n").ReplaceAllString(string(public), ""))
	w.write("resolver/hints", fmt.Sprintf(". 1 IN NS a.root-servers.net.\na.root-servers.net. 1 IN A %s\n", rootServer))
	w.write("resolver/named.conf", fmt.Sprintf(options, w.dir+"/resolver", "127.0.0.1", "recursion yes;")+
		fmt.Sprintf("trust-anchors { \".\" static-key %s %s %s %q; };\nzone \".\" { type hint; file \"hints\"; };\n", fields[3], fields[4], fields[5], strings.Join(fields[6:], "")))
	w.names = w.internet.serve(rootServer+":53", "named", "-g", "-c", w.dir+"/named.conf")
	w.machine.serve("127.0.0.1:53", "named", "-g", "-c", w.dir+"/resolver/named.conf")
}

// publish replaces a zone.
func (w *world) publish(name, text string) {
	w.t.Helper()
	w.zones[name] = text
	w.write(name+".zone", text)
	if got := call(w.t, nil, "named-checkzone", "-i", "local", name, filepath.Join(w.dir, name+".zone")); got.code != 0 || strings.Contains(got.stdout+got.stderr, "ignoring") {
		w.t.Errorf("%v\n%s", got, text)
	}
	if err := w.names.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) sh(script string) string {
	w.t.Helper()
	got := call(w.t, nil, "bash", "-euc", "cd "+w.dir+"; "+script)
	if got.code != 0 {
		w.t.Fatalf("%s: %v", script, got)
	}
	return got.stdout
}

func (w *world) write(name, text string) {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}
