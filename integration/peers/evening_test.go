package peers

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// commands are those of the first block of the README's chapter on running the
// server: at most five.
func commands(t *testing.T, readme string) []string {
	t.Helper()
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	_, chapter, _ := strings.Cut(string(text), "\n## Run it in earnest\n")
	block := regexp.MustCompile("(?s)```sh\n(.*?)```").FindStringSubmatch(chapter)
	if block == nil {
		t.Fatal("the README says no commands")
	}
	lines := strings.Split(strings.TrimSpace(block[1]), "\n")
	if len(lines) > 5 || strings.ContainsAny(block[1], ";&|\\") {
		t.Errorf("that is more than five commands:\n%s", block[1])
	}
	return lines
}

// systemctl stands in for systemd, which cannot run here: of the unit it heeds
// the user, the capabilities, the directories and what is run (as root, where
// the line begins with "+"), and it waits as
// Type=notify does, by asking.
const systemctl = `#!/bin/bash
set -euo pipefail
[ "$*" = "enable --now homing" ] || { echo "systemctl: $*?" >&2; exit 1; }
unit=/etc/systemd/system/homing.service
of() { sed -n "s/^$1=//p" $unit; }
install -d -o "$(of User)" -g "$(of Group)" -m "$(of StateDirectoryMode)" "/var/lib/$(of StateDirectory)"
install -d -o "$(of User)" -g "$(of Group)" -m 0755 "/run/$(of RuntimeDirectory)"
cap=$(of AmbientCapabilities); cap=${cap#CAP_}; cap=${cap,,}
as="setpriv --reuid=$(of User) --regid=$(of Group) --init-groups --no-new-privs --bounding-set=-all,+$cap --inh-caps=+$cap --ambient-caps=+$cap"
umask "$(of UMask)"
of ExecStartPre | while read -r line; do
  case $line in +*) ${line#+} ;; *) $as $line ;; esac
done
$as $(of ExecStart) >>"$LOG" 2>&1 &
echo $! >"$LOG.pid"
for i in $(seq 300); do
  $as /usr/local/bin/homing status >/dev/null 2>&1 && exit 0
  sleep 0.1
done
cat "$LOG" >&2
exit 1
`

// TestFromAFreshCloneToAGreenCheckInFiveCommands follows the README on a machine
// in the usual world: the domain's own mail is at Google, Apache has the ports
// of the web, and only bounce.example.org is to be ours.
func TestFromAFreshCloneToAGreenCheckInFiveCommands(t *testing.T) {
	begin(t)
	w := newWorld(t)
	clone := filepath.Join(w.dir, "homing")
	call(t, nil, "git", "clone", "--quiet", "../..", clone)
	w.write("tools/sudo", "#!/bin/sh\nexec \"$@\"\n")
	w.write("tools/systemctl", systemctl)
	w.sh("chmod 755 tools/*")
	w.startApache()
	t.Cleanup(func() { w.sh(`test ! -e log.pid || kill "$(cat log.pid)"`) })

	said := map[string]said{}
	for _, line := range commands(t, filepath.Join(clone, "README.md")) {
		said[line] = w.types(clone, line)
		if said[line].code != 0 {
			t.Fatalf("%s: %v", line, said[line])
		}
		if strings.HasPrefix(line, "sudo homing init") {
			w.enter(said[line].stdout)
		}
	}
	if found := said["sudo homing init example.org"].stdout; !strings.Contains(found, "Ports 80 and 443 are taken by apache2, which is fine") {
		t.Errorf("init does not say who has the ports of the web:\n%s", found)
	}
	w.wantGreen()

	// Mail goes out, and nothing of it was a stranger's.
	mail := call(t, nil, "nsenter", w.machine.args(program(t, "swaks"), "--server", "127.0.0.1:587", "--from", "news@example.org", "--to", "somebody@gmail.com", "--helo", "crm")...)
	if mail.code != 0 {
		t.Fatal(mail)
	}
	until(t, 20*time.Second, func() bool {
		return strings.Contains(w.types("/", "sudo homing trace somebody@gmail.com").stdout, "delivered")
	})

	// The same records as a file for BIND.
	zone := w.types("/", "sudo homing dns --zone example.org")
	w.write("homing.include", zone.stdout)
	w.publish("example.org", givesWay.ReplaceAllString(usual, "")+"$INCLUDE "+filepath.Join(w.dir, "homing.include")+"\n")
	if got := w.types("/", "sudo homing dns --diff"); zone.code != 0 || got.code != 0 {
		t.Errorf("%v\n%v", zone, got)
	}
	w.wantGreen()
}

// wantGreen has the server check itself, and wants nothing amiss but what is
// not its own: whether something keeps the clock of this machine right.
func (w *world) wantGreen() {
	w.t.Helper()
	var check struct {
		Time     time.Time
		Findings []struct{ Check, Subject, Verdict, Found, Fix string }
	}
	asked := time.Now()
	until(w.t, time.Minute, func() bool { // whoever asks again soon gets the last result
		got := w.types("/", "sudo homing check --json")
		if err := json.Unmarshal([]byte(got.stdout), &check); err != nil {
			w.t.Fatal(err, got)
		}
		return check.Time.After(asked)
	})
	seen := map[string]string{}
	for _, f := range check.Findings {
		seen[f.Check] = f.Verdict
		if f.Verdict != "ok" && f.Verdict != "skipped" && f.Check != "clock" {
			w.t.Errorf("%+v", f)
		}
	}
	for _, name := range []string{"resolver", "dnssec", "spf", "ptr", "mx", "dkim_key", "dmarc", "blocklist", "incoming_port", "outgoing_port", "open_relay", "return_path"} {
		if seen[name] != "ok" {
			w.t.Errorf("%s is %q", name, seen[name])
		}
	}
	if w.t.Failed() {
		w.t.Logf("%v", w.types("/", "sudo homing check --all"))
	}
}

// types runs a line as somebody would who sits at the machine, in a directory.
func (w *world) types(dir, line string) said {
	w.t.Helper()
	return call(w.t, nil, "nsenter", w.machine.args("bash", "-c", fmt.Sprintf("cd %s; export PATH=%s/tools:$PATH LOG=%[2]s/log GOPROXY=off; %s", dir, w.dir, line))...)
}

// entry is a line of the table that `homing init` and `homing dns` print.
var entry = regexp.MustCompile(`(?m)^  (\S+) +(A|AAAA|MX|TXT|PTR|CNAME) +\d+ +(.*)\n(?: +instead of: (.*)\n)?`)

// enter does what the owner of the domain and the provider of the address do in
// their web pages with what is printed: each line becomes a record, and what it
// says it is instead of goes.
func (w *world) enter(printed string) {
	w.t.Helper()
	zones := map[string]string{"example.org": usual, v4Reverse: zoneHead, v6Reverse: zoneHead}
	for _, e := range entry.FindAllStringSubmatch(printed, -1) {
		name, kind, value, instead := e[1], e[2], e[3], e[4]
		zone := "example.org"
		switch {
		case kind == "PTR" && name == ourAddress:
			zone, name = v4Reverse, "10.100.45.5.in-addr.arpa."
		case kind == "PTR" && name == ourAddress6:
			zone, name = v6Reverse, nibbles(ourAddress6)+".ip6.arpa."
		case kind == "TXT":
			value = quoted(value)
		}
		if instead != "" && !strings.Contains(zones[zone], quoted(instead)) {
			w.t.Errorf("%q is instead of %q, which was not there", value, instead)
		}
		if instead != "" {
			zones[zone] = regexp.MustCompile("(?m)^.*"+regexp.QuoteMeta(quoted(instead))+".*\n").ReplaceAllString(zones[zone], "")
		}
		zones[zone] += fmt.Sprintf("%s IN %s %s\n", name, kind, value)
	}
	for name, text := range zones {
		w.publish(name, text)
	}
	until(w.t, openWithin, func() bool { return w.types("/", "sudo homing dns --diff").code == 0 })
}

// until asks again and again for something to become true.
func until(t testing.TB, within time.Duration, done func() bool) {
	t.Helper()
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(within); !done(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v", within)
		}
	}
}

// quoted is a text as a zone file has it, in strings of at most 255 octets.
func quoted(text string) string {
	var parts []string
	for len(text) > 255 {
		parts, text = append(parts, `"`+text[:255]+`"`), text[255:]
	}
	return strings.Join(append(parts, `"`+text+`"`), " ")
}

// startApache has Apache at the ports of the web.
func (w *world) startApache() {
	w.t.Helper()
	modules := "/usr/lib/apache2/modules"
	if _, err := os.Stat(modules); err != nil {
		modules = filepath.Join(unpacked(), modules)
	}
	w.write("apache/conf", fmt.Sprintf(`ServerRoot %s/apache
ServerName www.example.org
PidFile pid
ErrorLog /dev/stderr
Mutex pthread
Listen 80
Listen 443
LoadModule mpm_event_module %[2]s/mod_mpm_event.so
LoadModule authz_core_module %[2]s/mod_authz_core.so
User nobody
Group nogroup
`, w.dir, modules))
	w.machine.serve("*:80", "apache2", "-D", "FOREGROUND", "-f", w.dir+"/apache/conf")
}
