package peers

import (
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"homing/integration/harness"
	"homing/internal/toynet"
)

// A postfix is one with directories and addresses of its own.
type postfix struct {
	*daemon
	*tap
	dir string
}

// postfixConfig is main.cf: directories, where it listens and from where it
// speaks, where everything that it sends goes; then what a test wants.
const postfixConfig = `compatibility_level = 3.6
queue_directory = %[1]s/spool
data_directory = %[1]s/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = /dev/stdout
myhostname = %[2]s
inet_protocols = ipv4
inet_interfaces = 127.0.0.1
smtp_bind_address = %[3]s
relayhost = [%[4]s]:%[5]s
smtp_host_lookup = native
smtp_dns_support_level = disabled
smtpd_peername_lookup = no
mynetworks = 127.255.255.255/32
smtpd_relay_restrictions = reject_unauth_destination
alias_maps =
alias_database =
local_recipient_maps =
default_process_limit = 20
minimal_backoff_time = 1s
maximal_backoff_time = 2s
queue_run_delay = 1s
%[6]s
`

// service finds the lines of master.cf that name a service.
var service = regexp.MustCompile(`^[a-z0-9-]+\s+(inet|unix|unix-dgram|fifo)\s`)

// startPostfix starts one as MX at addresses of one port, which sends
// everything on to the MX of the server under test, through a tap.
func startPostfix(t *testing.T, st *harness.Stage, name string, at []string, config, services string) *postfix {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("Postfix runs as root only: sudo make test-peers")
	}
	p := &postfix{tap: newTap(t, st), dir: publicDir(t)}
	etc := filepath.Join(p.dir, "etc")
	for _, dir := range []string{etc, p.dir + "/spool", p.dir + "/data", p.dir + "/mail"} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	own(t, p.dir+"/data", "postfix")
	own(t, p.dir+"/mail", "nobody")
	if err := os.Chmod(p.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	from, _, err := net.SplitHostPort(at[0])
	if err != nil {
		t.Fatal(err)
	}
	toHost, toPort, err := net.SplitHostPort(tapAddr(st))
	if err != nil {
		t.Fatal(err)
	}
	main := fmt.Sprintf(postfixConfig, p.dir, name, from, toHost, toPort, strings.ReplaceAll(config, "$DIR", p.dir))
	p.write(t, "etc/main.cf", main)
	p.write(t, "etc/master.cf", masterOf(t, at)+strings.ReplaceAll(services, "$DIR", p.dir))
	p.daemon = serve(t, at[0], "postfix", "-c", etc, "start-fg")
	t.Cleanup(p.end)
	return p
}

// end asks Postfix's master to end, which start-fg only waits for, and waits
// until it has.
func (p *postfix) end() {
	text, err := os.ReadFile(filepath.Join(p.dir, "spool", "pid", "master.pid"))
	if err != nil {
		p.t.Errorf("finding Postfix's master: %v", err)
		return
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		p.t.Errorf("finding Postfix's master: %v", err)
		return
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		p.t.Errorf("ending Postfix's master: %v", err)
		return
	}
	deadline := time.NewTimer(openWithin)
	defer deadline.Stop()
	select {
	case <-p.exited:
	case <-deadline.C:
		p.t.Errorf("Postfix's master, %d, did not end when it was asked to", pid)
	}
}

// masterOf gives Debian's master.cf, with smtpd at other addresses, nothing in
// a chroot, and the log where we can read it.
func masterOf(t *testing.T, at []string) string {
	t.Helper()
	text, err := os.ReadFile("/usr/share/postfix/master.cf.dist")
	if err != nil {
		t.Fatalf("%v; %s", err, install)
	}
	var out strings.Builder
	for line := range strings.Lines(string(text)) {
		switch f := strings.Fields(line); {
		case len(f) > 7 && f[0] == "smtp" && f[1] == "inet":
			line = ""
			for _, a := range at {
				line += a + " inet n - n - - smtpd -o max_use=1\n"
			}
		case len(f) > 7 && service.MatchString(line):
			f[4] = "n"
			line = strings.Join(f, " ") + "\n"
		}
		out.WriteString(line)
	}
	if !regexp.MustCompile(`(?m)^postlog\s`).MatchString(out.String()) {
		out.WriteString("postlog unix-dgram n - n - 1 postlogd\n")
	}
	return out.String()
}

func (p *postfix) write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func own(t testing.TB, path, name string) {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatalf("%v; %s", err, install)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, uid, -1); err != nil {
		t.Fatal(err)
	}
}

// remote is what a Postfix that is the MX of a few domains is configured to
// do with their mail. Where a mailbox only turns out to be unusable behind the
// queue, Postfix itself writes the report.
const remote = `
mydestination = later.test, far.test
virtual_mailbox_domains = box.test, full.test, dead.test, slow.test
virtual_mailbox_base = $DIR/mail
virtual_mailbox_maps = inline:{ ann@box.test=ann, grey@box.test=grey, ann@full.test=full/ann, ann@dead.test=dead/ann, ann@slow.test=slow/ann }
virtual_alias_maps = inline:{ { team@box.test = ghost@later.test, ghost@far.test } }
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
transport_maps = inline:{ full.test=full:, dead.test=dead:, slow.test=slow: }
smtpd_recipient_restrictions = check_recipient_access texthash:$DIR/etc/access, permit
delay_warning_time = 1s
smtpd_timeout = 1s
`

// failing are transports that end as a delivery agent of others would.
const failing = `
full unix - n n - - pipe user=nobody argv=/bin/sh -c {echo "5.2.2 user over quota; cannot receive new mail"; exit 69}
dead unix - n n - - pipe user=nobody argv=/bin/sh -c {echo "5.2.1 account is disabled"; exit 69}
slow unix - n n - - pipe user=nobody argv=/bin/sh -c {echo "4.2.0 mail store is busy"; exit 75}
`

const access = `grey@box.test 450 4.7.1 Greylisted, see http://postgrey.example/help/box.test
blocked@box.test 554 5.7.1 Service unavailable; Client host [127.0.0.2] blocked using zen.example.test
`

func TestPostfixIsTheRemoteMX(t *testing.T) {
	begin(t)
	world := toynet.World{Domains: map[string]toynet.Domain{"later.test": elsewhere, "far.test": elsewhere}}
	for _, name := range []string{"box.test", "full.test", "dead.test", "slow.test", "other.test"} {
		world.Domains[name] = toynet.Domain{MX: []string{"mx.later.test"}}
	}
	st := harness.NewStage(t, harness.Settings{World: world})
	p := startPostfix(t, st, "mx.later.test", []string{mx(st, "later.test"), mx(st, "far.test")}, remote, failing)
	p.write(t, "etc/access", access)
	verdicts := []verdict{
		{"ann@box.test", "delivered", "  none ", ""},
		{"nobody@box.test", "bounced", "hard user_unknown now held", ""},
		{"blocked@box.test", "bounced", "sender blocked now free", ""},
		{"grey@box.test", "deferred", "none greylisted now ", ""},
		{"ann@other.test", "bounced", "soft relay_denied now counting", ""},
		{"ghost@later.test", "bounced", "hard user_unknown later held", "bounce rfc3464 ghost@later.test failed user_unknown"},
		{"ghost@far.test", "bounced", "hard user_unknown later provisional", "bounce rfc3464 ghost@far.test failed user_unknown"},
		{"team@box.test", "bounced", "hard user_unknown later held", "bounce rfc3464 ghost@far.test failed user_unknown ghost@later.test failed user_unknown"},
		{"ann@full.test", "bounced", "soft mailbox_full later counting", "bounce rfc3464 ann@full.test failed mailbox_full"},
		{"ann@dead.test", "bounced", "hard disabled later held", "bounce rfc3464 ann@dead.test failed disabled"},
		{"ann@slow.test", "deferred", "none system_error later ", "delayed rfc3464 ann@slow.test delayed system_error"},
	}
	send(t, st, verdicts, "Hello\n")
	check(t, st, p.tap, verdicts)
	if box, err := os.ReadFile(filepath.Join(p.dir, "mail", "ann")); err != nil || !strings.Contains(string(box), "Return-Path: <return+") {
		t.Errorf("ann's mailbox: %v\n%s\nwant the mail, with our return address", err, box)
	}
	// Whom greylisting put off is accepted the next time. Each connection has
	// an smtpd of its own, which reads the table; idle ones end after a second.
	p.write(t, "etc/access", "")
	heard(t, st, "grey@box.test", "delivered")
	if got := told(st, "ann@slow.test"); strings.Contains(got, "bounced") {
		t.Errorf("told %s, want no bounce for mail that is only late", got)
	}
	if holds := st.Run("hold", "list"); strings.Contains(holds, "slow.test") || strings.Contains(holds, "blocked@") {
		t.Errorf("on hold:\n%s\nwant nobody whose mail is only late or who blocks us", holds)
	}
}

func TestPostfixSaysThatAMessageIsTooBig(t *testing.T) {
	begin(t)
	st := harness.NewStage(t, harness.Settings{World: toynet.World{Domains: map[string]toynet.Domain{"box.test": elsewhere}}})
	startPostfix(t, st, "mx.box.test", []string{mx(st, "box.test")}, "mydestination = box.test\nmessage_size_limit = 50000\n", "")
	m := toynet.Mailing{Job: 1, FirstQueue: 1, Subject: "News", Text: strings.Repeat("0123456789 0123456789 0123456789\n", 3000), To: []string{"ann@box.test"}}
	if _, err := st.Client.Send(harness.Within(t, time.Minute), m); err != nil {
		t.Fatal(err)
	}
	e := heard(t, st, "ann@box.test", "bounced")
	if e.Class != "sender" || e.Reason != "message_too_big" || e.Hold == nil || e.Hold.State != "free" {
		t.Errorf("event %+v, want a bounce that is ours to mend", e)
	}
}

// tired is what a Postfix does that has no patience: what cannot be delivered
// is returned when it has waited for two seconds.
const tired = `
mydestination =
relay_domains = busy.test, down.test, front.test
relay_recipient_maps =
transport_maps = inline:{ busy.test=busy:, { down.test = smtp:[{{.Down}}]:{{.Port}} }, { front.test = smtp:[{{.Store}}]:{{.Port}} } }
maximal_queue_lifetime = 2s
bounce_queue_lifetime = 10s
smtp_tls_security_level = none
`

func TestPostfixGivesUp(t *testing.T) {
	begin(t)
	st := harness.NewStage(t, harness.Settings{World: peerWorld([]string{"busy.test", "down.test"}, []string{"front.test"})})
	config := siteOf(st).fill(t, tired)
	p := startPostfix(t, st, "mx.peer.test", []string{mx(st, "peer.test")}, config,
		"busy unix - n n - - pipe user=nobody argv=/bin/sh -c {echo \"4.2.0 mail store is busy\"; exit 75}\n")
	verdicts := []verdict{
		{"ann@busy.test", "bounced", "soft system_error later counting", "bounce rfc3464 ann@busy.test failed system_error"},
		{"ann@down.test", "bounced", "soft network_error later counting", "bounce rfc3464 ann@down.test failed network_error"},
		{"busy@front.test", "bounced", "soft system_error later counting", "bounce rfc3464 busy@front.test failed system_error"},
		{"unsure@front.test", "bounced", "soft system_error later counting", "bounce rfc3464 unsure@front.test failed system_error"},
		{"stuffed@front.test", "bounced", "soft mailbox_full later counting", "bounce rfc3464 stuffed@front.test failed mailbox_full"},
	}
	send(t, st, verdicts, "Hello\n")
	check(t, st, p.tap, verdicts)
}
