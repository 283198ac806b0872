package peers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"homing/integration/harness"
)

// opensmtpdConfig is what an OpenSMTPD that is the MX of a few domains does
// with their mail: filters refuse at once; where a delivery or a relay fails,
// OpenSMTPD itself writes the report.
const opensmtpdConfig = `
queue ttl 3s
bounce warn-interval 1s
smtp max-message-size 50000
mta max-deferred 1
mta limit session-keepalive 0
mta limit conn-delay-connector 0
mta limit conn-delay-relay 0
mta limit conn-delay-source 0
mta limit conn-delay-host 0
mta limit conn-delay-domain 0
mta limit session-transaction-delay 0

table box { "ann@box.test" = "nobody", "grey@box.test" = "nobody", "spam@box.test" = "nobody", "putoff@box.test" = "nobody", \
  "big@box.test" = "nobody", "team@box.test" = "ghost@front.test,ghost@back.test" }
table anybody { "@" = "nobody" }

filter grey phase rcpt-to match rcpt-to { "grey@box.test" } reject "451 4.7.1 Greylisting in effect, please come back later"
filter blocked phase rcpt-to match rcpt-to { "blocked@box.test" } reject "554 5.7.1 Service refused; client host is listed in zen.example.test"
filter packed phase rcpt-to match rcpt-to { "packed@box.test" } reject "552 5.2.2 Mailbox is over quota"
filter words proc-exec "/usr/bin/python3 {{.Dir}}/filter.py"
filter all chain { grey, blocked, packed, words }

listen on {{.Host}} port {{.Port}} hostname mx.peer.test filter all

action home relay host smtp+notls://{{.HomeHost}}:{{.HomePort}} src {{.Host}} helo mx.peer.test
action store relay host smtp+notls://{{.Store}}:{{.Port}} src {{.Host}} helo mx.peer.test
action down relay host smtp+notls://{{.Down}}:{{.Port}} src {{.Host}} helo mx.peer.test
action box mda "/bin/cat >>{{.Dir}}/mail/ann" user nobody virtual <box>
action full mda "/bin/sh -c 'echo maildrop: maildir over quota.; exit 77'" user nobody virtual <anybody>
action sys maildir
action gone mda "/bin/sh -c 'echo 5.2.1 account is disabled; exit 69'" user nobody virtual <anybody>
action busy mda "/bin/sh -c 'echo 4.2.0 mail store is busy; exit 75'" user nobody virtual <anybody>

match from any for domain "box.test" action box
match from any for domain "sys.test" action sys
match from any for rcpt-to "full@later.test" action full
match from any for rcpt-to "gone@later.test" action gone
match from any for rcpt-to "busy@later.test" action busy
match from any for domain { "front.test", "back.test" } action store
match from any for domain "down.test" action down
match from any for domain "bounce.example.org" action home
`

// startOpenSMTPD starts one as mx.peer.test.
func startOpenSMTPD(t *testing.T, st *harness.Stage) *tap {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("OpenSMTPD runs as root only: sudo make test-peers")
	}
	p, r := newTap(t, st), newRoom(t)
	path := program(t, "smtpd")
	r.binds = append(r.binds, filepath.Join(filepath.Dir(path), "../libexec"), "/usr/libexec")
	r.mkdir("lib/opensmtpd/empty", "root", 0o755)
	r.mkdir("spool/smtpd", "root", 0o711)
	r.mkdir("mail", "nobody", 0o755)
	filter, err := os.ReadFile(filepath.Join("testdata", "smtpd_filter.py"))
	if err != nil {
		t.Fatal(err)
	}
	r.write("filter.py", string(filter))
	s := siteOf(st)
	s.Dir = r.dir
	r.write("smtpd.conf", s.fill(t, opensmtpdConfig))
	r.serve(mx(st, "peer.test"), "smtpd", "-dv", "-f", r.path("smtpd.conf"))
	return p
}

func TestOpenSMTPDIsTheRemoteMX(t *testing.T) {
	begin(t)
	st := harness.NewStage(t, harness.Settings{World: peerWorld([]string{"box.test", "later.test", "down.test", "sys.test"}, []string{"front.test", "back.test"})})
	p := startOpenSMTPD(t, st)
	verdicts := []verdict{
		{"ann@box.test", "delivered", "  none ", ""},
		// "524 5.2.4 Mailing list expansion problem": not in the virtual table.
		{"nobody@box.test", "bounced", "hard user_unknown now held", ""},
		{"nobody-of-that-name@sys.test", "bounced", "hard user_unknown now held", ""},
		{"blocked@box.test", "bounced", "sender blocked now free", ""},
		{"grey@box.test", "deferred", "none greylisted now ", ""},
		{"packed@box.test", "bounced", "soft mailbox_full now counting", ""},
		{"spam@box.test", "bounced", "sender policy now free", ""},
		{"putoff@box.test", "deferred", "none greylisted now ", ""},
		{"full@later.test", "bounced", "soft mailbox_full later counting", "bounce rfc3464 full@later.test failed mailbox_full"},
		{"gone@later.test", "bounced", "hard disabled later held", "bounce rfc3464 gone@later.test failed disabled"},
		{"busy@later.test", "deferred", "none system_error later ", "delayed rfc3464 busy@later.test delayed system_error"},
		// The report that OpenSMTPD sends when it gives up says "Action: delayed",
		// which is no failure (RFC 3464 section 2.3.3), and "only a temporary
		// failure report" to people; only the reason tells what has happened.
		{"busy@later.test", "deferred", "none expired later ", "delayed rfc3464 busy@later.test delayed expired"},
		{"team@box.test", "bounced", "hard user_unknown later held", "bounce rfc3464 ghost@back.test failed user_unknown ghost@front.test failed user_unknown"},
		{"ghost@front.test", "bounced", "hard user_unknown later held", "bounce rfc3464 ghost@front.test failed user_unknown"},
		{"gone@front.test", "bounced", "hard disabled later held", "bounce rfc3464 gone@front.test failed disabled"},
		{"full@front.test", "bounced", "soft mailbox_full later counting", "bounce rfc3464 full@front.test failed mailbox_full"},
		{"junk@front.test", "bounced", "sender spam later free", "bounce rfc3464 junk@front.test failed spam"},
		{"busy@front.test", "deferred", "none system_error later ", "delayed rfc3464 busy@front.test delayed system_error"},
		{"busy@front.test", "deferred", "none expired later ", "delayed rfc3464 busy@front.test delayed expired"},
		{"ann@down.test", "deferred", "none network_error later ", "delayed rfc3464 ann@down.test delayed network_error"},
		{"ann@down.test", "deferred", "none expired later ", "delayed rfc3464 ann@down.test delayed expired"},
	}
	send(t, st, verdicts, "Hello\n")
	check(t, st, p, verdicts)
	big := []verdict{{"big@box.test", "bounced", "sender message_too_big now free", ""}}
	send(t, st, big, strings.Repeat("0123456789 0123456789 0123456789\n", 3000))
	check(t, st, p, big)
}
