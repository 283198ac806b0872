package peers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"homing/integration/harness"
	"homing/internal/toynet"
)

// dovecotConfig is a Dovecot 2.3 with mailboxes for whoever has the password: it
// takes mail over LMTP and shows it over IMAP.
const dovecotConfig = `
protocols = imap lmtp
base_dir = {{.Dir}}/run/dovecot
state_dir = {{.Dir}}/lib/dovecot
log_path = /dev/stderr
listen = {{.Host}}
ssl = required
ssl_cert = <{{.Dir}}/cert.pem
ssl_key = <{{.Dir}}/key.pem
mail_location = maildir:{{.Dir}}/mail/%u
first_valid_uid = 1
auth_mechanisms = plain
passdb {
  driver = static
  args = password=battery-staple
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home={{.Dir}}/mail/%u allow_all_users=yes
}
namespace inbox {
  inbox = yes
}
service imap-login {
  inet_listener imap {
    port = 0
  }
  inet_listener imaps {
    port = 2993
    ssl = yes
  }
}
service lmtp {
  user = nobody
  inet_listener lmtp {
    port = 2424
  }
}
`

// A dovecot is a Dovecot with the mailbox of office@bounce.example.org.
type dovecot struct {
	*room
	imap, lmtp string // addresses
}

// startDovecot starts one at an address of the test's own.
func startDovecot(t *testing.T, b block, files map[string]string) *dovecot {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("Dovecot runs as root only: sudo make test-peers")
	}
	d := &dovecot{room: newRoom(t), imap: b.at(201, 2993), lmtp: b.at(201, 2424)}
	d.binds = append(d.binds, filepath.Join(unpacked(), "usr/lib/dovecot"), "/usr/lib/dovecot")
	d.mkdir("run/dovecot", "root", 0o755)
	d.mkdir("lib/dovecot", "root", 0o755)
	d.mkdir("mail", "nobody", 0o700)
	for name, text := range files {
		d.write(name, text)
	}
	host, _, _ := strings.Cut(d.imap, ":")
	d.write("dovecot.conf", site{Host: host, Dir: d.dir}.fill(t, dovecotConfig))
	// dovecot itself would look for doveconf where it is installed.
	conf, doveconf := d.path("dovecot.conf"), filepath.Join(unpacked(), "usr/bin/doveconf")
	d.serve(d.imap, doveconf, "-f", "service=master", "-c", conf, "-m", "master", "-e", program(t, "dovecot"), "-F", "-c", conf)
	return d
}

// holds says how many mails a folder of a mailbox has, read or not.
func (d *dovecot) holds(mailbox, folder string) (n int) {
	for _, sub := range []string{"new", "cur"} {
		entries, _ := os.ReadDir(filepath.Join(d.dir, "mail", mailbox, folder, sub))
		n += len(entries)
	}
	return n
}

// TestDovecotTakesMailByLMTPAndGivesItBackByIMAP sends mail in a circle: it comes
// to a route, goes on by LMTP to a mailbox of Dovecot, and is taken out of that
// by IMAP, at once.
func TestDovecotTakesMailByLMTPAndGivesItBackByIMAP(t *testing.T) {
	begin(t)
	b := newBlock()
	d := startDovecot(t, b, certificates(t, b.at(201, 0)))
	st := harness.NewStage(t, harness.Settings{
		World: toynet.World{Block: b.Prefix, Domains: map[string]toynet.Domain{"accepts.test": {}}},
		Tables: fmt.Sprintf(`
[[route]]
address = "office@bounce.example.org"
as = "reply"
to = ["next"]

[[sink]]
name = "next"
type = "lmtp"
address = %q

[[source]]
type = "imap"
address = %q
username = "office@bounce.example.org"
password_file = "imap-password"
as = "reply"
to = ["hooks"]
`, d.lmtp, d.imap),
		Files: map[string]string{"imap-password": "battery-staple\n"},
		Env:   []string{"SSL_CERT_FILE=" + d.path("ca.pem")},
	})
	post := func(n int) {
		t.Helper()
		got := swaks(t, "--server", st.MX, "--from", "ann@accepts.test", "--to", "office@bounce.example.org", "--header", fmt.Sprintf("Subject: mail %d", n), "--body", "Hello")
		if got.code != 0 {
			t.Fatalf("the mail is not taken: %v", got)
		}
	}
	taken := func(n int) func() bool {
		return func() bool {
			return d.holds("office@bounce.example.org", "") == 0 && d.holds("office@bounce.example.org", ".INBOX.processed") == n
		}
	}
	for n := 1; n <= 3; n++ {
		post(n)
		until(t, 20*time.Second, taken(n)) // each of them at once: IDLE
	}
	heard(t, st, "office@bounce.example.org", "replied")
	if log := st.Log(); strings.Contains(log, "battery-staple") {
		t.Error("the log has the password")
	}
	until(t, 30*time.Second, func() bool {
		found, _, _ := st.Try("check", "--json", "--all")
		return strings.Contains(found, "it is watched; the last mail came")
	})
}
