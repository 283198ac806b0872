package peers

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"homing/integration/harness"
	"homing/internal/toynet"
)

// shop is a second application, which says its password; what is sent as
// example.net can only be its own.
const shop = `
[[domain]]
name = "example.net"
return_path = "return@bounce.example.net"
sinks = ["hooks"]

[[application]]
name = "shop"
domains = ["example.net"]
password_file = "shop-password"

[tls]
cert_file = "cert.pem"
key_file = "key.pem"
`

const shopPassword = "correct horse battery staple"

// newShop starts the server with a certificate, both applications and every
// kind of listener. Port 2465 has implicit TLS, 2424 is LMTP.
func newShop(t *testing.T) (*harness.Stage, block) {
	t.Helper()
	b := newBlock()
	files := certificates(t, b.at(server, 0))
	files["shop-password"] = shopPassword
	st := harness.NewStage(t, harness.Settings{
		World:  toynet.World{Block: b.Prefix, Domains: map[string]toynet.Domain{"accepts.test": {}}},
		Submit: []string{fmt.Sprintf(":%d", b.openPort())},
		Listen: `submissions = ["{{.At 2465}}"]` + "\n" + `lmtp = ["unix:lmtp.sock", "{{.LMTP}}"]`,
		Tables: shop, Files: files,
	})
	return st, b
}

// openPort is the port of the one listener that is not bound to loopback: a
// test of how such a listener behaves cannot do without. It lets nobody in
// who does not know the password.
func (b block) openPort() int {
	a := b.Addr().As4()
	return 20000 + int(a[1])<<5 + int(a[2])>>3
}

// swaks sends one mail.
func swaks(t *testing.T, args ...string) said {
	t.Helper()
	return call(t, strings.NewReader(""), "swaks", append([]string{"--helo", "shop.example.net", "--timeout", "20"}, args...)...)
}

// arrived waits for the mail to a recipient.
func arrived(t *testing.T, st *harness.Stage, to string) toynet.Receipt {
	t.Helper()
	var got toynet.Receipt
	err := st.Net.Receipts.Wait(harness.Within(t, 20*time.Second), func(all []toynet.Receipt) bool {
		for _, r := range all {
			if r.To == to && r.Accepted() {
				got = r
				return true
			}
		}
		return false
	})
	if err != nil {
		t.Fatalf("waiting for the mail to %s: %v", to, err)
	}
	return got
}

func TestSwaksSubmits(t *testing.T) {
	begin(t)
	st, b := newShop(t)
	verified := []string{"--tls-verify", "--tls-ca-path", filepath.Join(st.Dir, "ca.pem")}
	login := []string{"--auth-user", "shop", "--auth-password", shopPassword}
	plain, implicit := []string{"--server", st.Submission}, []string{"--server", st.At(2465), "--tls-on-connect"}
	tests := []struct {
		name string
		args [][]string
		from string
		want string // in the Received field
	}{
		{"in the clear, known by its network", [][]string{plain}, "news@example.org", "with ESMTP;"},
		{"pipelined", [][]string{plain, {"--pipeline"}}, "news@example.org", "with ESMTP;"},
		{"by HELO", [][]string{plain, {"--protocol", "SMTP"}}, "news@example.org", "with "},
		{"STARTTLS", [][]string{plain, {"--tls"}, verified}, "news@example.org", "with ESMTPS;"},
		{"STARTTLS and AUTH PLAIN", [][]string{plain, {"--tls", "--auth", "PLAIN"}, verified, login}, "shop@example.net", "with ESMTPSA;"},
		{"STARTTLS and AUTH LOGIN", [][]string{plain, {"--tls", "--auth", "LOGIN"}, verified, login}, "shop@example.net", "with ESMTPSA;"},
		{"STARTTLS, AUTH and pipelining", [][]string{plain, {"--tls", "--auth", "--pipeline"}, verified, login}, "shop@example.net", "with ESMTPSA;"},
		{"implicit TLS and AUTH PLAIN", [][]string{implicit, {"--auth", "PLAIN"}, verified, login}, "shop@example.net", "with ESMTPSA;"},
		{"implicit TLS and AUTH LOGIN", [][]string{implicit, {"--auth", "LOGIN"}, verified, login}, "shop@example.net", "with ESMTPSA;"},
		{"STARTTLS and AUTH on a listener that is open to the network", [][]string{{"--server", st.At(b.openPort())}, {"--tls", "--auth"}, verified, login}, "shop@example.net", "with ESMTPSA;"},
		{"a password in the clear on loopback", [][]string{plain, {"--auth", "PLAIN"}, login}, "shop@example.net", "with ESMTPA;"},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			to := fmt.Sprintf("u%d@accepts.test", i)
			args := []string{"--from", tt.from, "--to", to, "--header", "Subject: " + tt.name}
			for _, a := range tt.args {
				args = append(args, a...)
			}
			if got := swaks(t, args...); got.code != 0 {
				t.Fatalf("swaks %q: %v", args, got)
			}
			got := arrived(t, st, to)
			head, _, _ := bytes.Cut(got.Message, []byte("\r\n\r\n"))
			if !strings.Contains(string(head), tt.want) || !strings.Contains(string(head), "Subject: "+tt.name) {
				t.Errorf("header\n%s\nwant %q in it, and the subject", head, tt.want)
			}
		})
	}
}

func TestSwaksIsRefused(t *testing.T) {
	begin(t)
	st, b := newShop(t)
	plain, implicit := []string{"--server", st.Submission}, []string{"--server", st.At(2465), "--tls-on-connect"}
	tests := []struct {
		name string
		args [][]string
		code int    // exit code of swaks
		want string // in what it heard
	}{
		{"a wrong password", [][]string{plain, {"--tls", "--auth", "PLAIN", "--auth-user", "shop", "--auth-password", "guess", "--from", "shop@example.net"}}, 28, " 535 5.7.8"},
		{"an unknown name", [][]string{implicit, {"--auth", "LOGIN", "--auth-user", "shap", "--auth-password", shopPassword, "--from", "shop@example.net"}}, 28, " 535 5.7.8"},
		{"no password over implicit TLS, as a sender of the one who has one", [][]string{implicit, {"--from", "shop@example.net"}}, 23, " 451 4.7.1"},
		{"a sender that the application may not use", [][]string{plain, {"--from", "boss@example.com"}}, 23, " 451 4.7.1"},
		{"a From field that it may not use", [][]string{plain, {"--from", "news@example.org", "--header", "From: boss@example.com"}}, 26, " 451 4.7.1"},
		{"mechanisms that are not offered", [][]string{plain, {"--tls", "--auth", "CRAM-MD5,DIGEST-MD5", "--auth-user", "shop", "--auth-password", shopPassword, "--from", "shop@example.net"}}, 28, "AUTH PLAIN LOGIN"},
		{"a password in the clear, on a listener that is open to the network",
			[][]string{{"--server", st.At(b.openPort()), "--auth", "--auth-user", "shop", "--auth-password", shopPassword, "--from", "shop@example.net"}}, 28, "did not advertise authentication"},
		{"no mail but over TLS, by a client that insists on another authority", [][]string{plain, {"--tls", "--from", "news@example.org", "--tls-verify"}}, 29, "TLS startup failed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			args := []string{"--to", "u@accepts.test"}
			for _, a := range tt.args {
				args = append(args, a...)
			}
			if got := swaks(t, args...); got.code != tt.code || !strings.Contains(got.stdout+got.stderr, tt.want) {
				t.Errorf("swaks %q: %v\nwant exit code %d and %q", args, got, tt.code, tt.want)
			}
		})
	}
	if got := st.Net.Receipts.Len(); got != 0 {
		t.Errorf("%d mails arrived, want none", got)
	}
}

func TestSwaksSendsWhatIsHardToCarry(t *testing.T) {
	begin(t)
	st, _ := newShop(t)
	var big strings.Builder
	for i := 0; big.Len() < 10_000_000; i++ {
		fmt.Fprintf(&big, "%09d .Zeile, so lang wie üblich, mit Umlauten und einem Punkt am Ende.\n", i)
	}
	tests := []struct{ name, mime, body string }{
		{"eight bits", "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit", "Grüße aus Köln – 你好\n"},
		{"dots", "Content-Type: text/plain", ".\n..\n...\n.end\n"},
		{"a line of 5,000 octets", "Content-Type: text/plain", strings.Repeat("x", 5000) + "\n"},
		{"an empty body", "Content-Type: text/plain", "\n"},
		{"ten megabytes", "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit", big.String()},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			to := fmt.Sprintf("u%d@accepts.test", i)
			message := "From: news@example.org\nSubject: Gr\xc3\xb6\xc3\x9fe\nMIME-Version: 1.0\n" + strings.ReplaceAll(tt.mime, "\r\n", "\n") + "\n\n" + tt.body
			file := filepath.Join(t.TempDir(), "message")
			if err := os.WriteFile(file, []byte(message), 0o600); err != nil {
				t.Fatal(err)
			}
			got := swaks(t, "--server", st.Submission, "--from", "news@example.org", "--to", to, "--data", "@"+file, "--suppress-data")
			if got.code != 0 {
				t.Fatalf("swaks: %v", got)
			}
			r := arrived(t, st, to)
			if want := toynet.Digest([]byte(strings.ReplaceAll(message, "\n", "\r\n"))); r.Digest != want {
				t.Errorf("the body of %d octets is not the one that was sent: %.2000q", len(r.Message), r.Message)
			}
			for _, c := range r.Message {
				if c >= 0x80 {
					t.Errorf("octets of eight bits left, though no next hop may be asked to take them: %.2000q", r.Message)
					break
				}
			}
		})
	}
}

// aReport is what a mail system says about a mail that it could not deliver.
const aReport = `From: MAILER-DAEMON@mx.accepts.test
To: return
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: text/plain

It could not be delivered.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.accepts.test

Final-Recipient: rfc822; %s
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 user unknown

--b--
`

func TestSwaksHandsReportsOverLMTP(t *testing.T) {
	begin(t)
	st, _ := newShop(t)
	tests := []struct {
		name string
		args []string
	}{
		{"TCP", []string{"--server", st.LMTP}},
		{"a Unix socket", []string{"--socket", filepath.Join(st.Dir, "lmtp.sock")}},
		{"pipelined", []string{"--server", st.LMTP, "--pipeline"}},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			to := fmt.Sprintf("u%d@accepts.test", i)
			if got := swaks(t, "--server", st.Submission, "--from", "news@example.org", "--to", to); got.code != 0 {
				t.Fatalf("swaks: %v", got)
			}
			tag := arrived(t, st, to).From
			file := filepath.Join(t.TempDir(), "report")
			if err := os.WriteFile(file, fmt.Appendf(nil, aReport, to), 0o600); err != nil {
				t.Fatal(err)
			}
			// The second recipient is nobody: LMTP answers for each.
			got := swaks(t, append(tt.args, "--protocol", "LMTP", "--from", "", "--to", tag+",return+nobody@bounce.example.org", "--data", "@"+file)...)
			if got.code != 0 || !strings.Contains(got.stdout, " 550 5.1.1") {
				t.Fatalf("swaks: %v\nwant exit code 0, and 550 for the address that nobody has", got)
			}
			e := heard(t, st, to, "bounced")
			if e.Class != "hard" || e.Reason != "user_unknown" || e.Sync == nil || *e.Sync || e.Hold == nil || e.Hold.State != "provisional" {
				t.Errorf("event %+v, want a late hard bounce, provisional because the front end says nothing of who reported it", e)
			}
		})
	}
}
