package integration

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"homing/internal/toynet"
)

// password is that of the application on the stages here.
const password = "a canary sings at dawn"

// plain is the response of AUTH PLAIN.
func plain(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password))
}

// certificate makes a key and a certificate, as files.
func certificate(t testing.TB) map[string]string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail.example.org"}, DNSNames: []string{"mail.example.org"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(crand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"cert.pem": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		"key.pem":  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
	}
}

// newDoor starts a server with every kind of listener and an application that
// has a password. open is a listener that is not bound to loopback.
func newDoor(t *testing.T) (st *stage, open string) {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // its port is free now
	port := l.Addr().(*net.TCPAddr).Port
	files := certificate(t)
	files["password"] = password
	st = newStage(t, settings{
		World:    toynet.World{Domains: map[string]toynet.Domain{"accepts.test": {}, "stranger.test": {}}},
		Submit:   []string{fmt.Sprintf(":%d", port)},
		Listen:   `lmtp = ["{{.LMTP}}"]`,
		Networks: `password_file = "password"`,
		Limits:   "disk_reserve = \"64MiB\"\nmessage_in = \"100KiB\"",
		Tables:   "[tls]\ncert_file = \"cert.pem\"\nkey_file = \"key.pem\"",
		Files:    files,
	})
	return st, st.At(port)
}

// nobodyWasMailed fails the test when the server has anything to send, or has
// connected to an MX.
func (st *stage) nobodyWasMailed(t *testing.T) {
	t.Helper()
	if waits := st.Waiting(); len(waits) > 0 {
		t.Errorf("in the queue: %+v, want nothing", waits)
	}
	if seen := st.Net.Connections.All(); len(seen) > 0 {
		t.Errorf("connections to MXs: %+v, want none", seen)
	}
}

func TestStrangersCannotRelay(t *testing.T) {
	t.Parallel()
	st, open := newDoor(t)
	victims := []struct{ name, path string }{
		{"somebody's address", "victim@accepts.test"},
		{"the percent hack", "victim%accepts.test@bounce.example.org"},
		{"the percent hack in our own name", "victim%accepts.test@mail.example.org"},
		{"the percent hack in our sender's name", "victim%accepts.test@example.org"},
		{"a quoted address", `"victim@accepts.test"@bounce.example.org`},
		{"a quoted address of our host", `"victim@accepts.test"@mail.example.org`},
		{"two at signs", "victim@accepts.test@bounce.example.org"},
		{"a source route through us", "@bounce.example.org:victim@accepts.test"},
		{"a source route through many", "@mail.example.org,@bounce.example.org:victim@accepts.test"},
		{"a bang path", "accepts.test!victim@bounce.example.org"},
		{"a bang path alone", "bounce.example.org!accepts.test!victim"},
		{"an address literal", "victim@[127.0.0.1]"},
		{"our own address as a literal", "victim@[" + st.Net.ServerAddr().Addr().String() + "]"},
		{"our sender domain", "victim@example.org"},
		{"a tag in somebody else's domain", tagPrefix + strings.Repeat("a", 31) + "@accepts.test"},
		{"a tag with the percent hack", tagPrefix + strings.Repeat("a", 31) + "%accepts.test@bounce.example.org"},
		{"a domain that ends like ours", "victim@evilbounce.example.org"},
		{"a domain within ours", "victim@sub.bounce.example.org"},
		{"no domain", "victim"},
		{"a line end in the address", "victim@accepts.test>\rRCPT TO:<postmaster"},
	}
	doors := []struct {
		name string
		dial func() *wire
	}{
		{"the MX", func() *wire { return dialSMTP(t, st.MX) }},
		{"LMTP", func() *wire { return dialLMTP(t, st.LMTP) }},
	}
	for _, door := range doors {
		for _, from := range []string{"", "news@example.org", "anybody@stranger.test"} {
			for _, v := range victims {
				t.Run(fmt.Sprintf("%s from <%s> at %s", v.name, from, door.name), func(t *testing.T) {
					w := door.dial()
					defer w.conn.Close()
					w.must("MAIL FROM:<"+from+">", "250")
					if got := w.ask("RCPT TO:<" + v.path + ">"); got[0] != '5' {
						t.Errorf("RCPT TO:<%s>: %q, want 5xx", v.path, got)
					}
					if got := w.ask("DATA"); got[0] != '5' {
						t.Errorf("DATA without a recipient: %q, want 5xx", got)
					}
				})
			}
		}
	}
	for _, listener := range []struct{ name, address string }{{"on loopback", st.Submission}, {"on every address", open}} {
		t.Run("submission "+listener.name+" without a password", func(t *testing.T) {
			for _, from := range []string{"", "news@example.org", "anybody@stranger.test"} {
				w := dialSMTP(t, listener.address)
				w.must("MAIL FROM:<"+from+">", "530 5.7.0")
				w.must("RCPT TO:<victim@accepts.test>", "503")
				w.must("DATA", "503")
			}
		})
	}
	t.Run("with a wrong password", func(t *testing.T) {
		w := dialSMTP(t, st.Submission)
		for _, response := range []string{plain("civicrm", "wrong"), plain("civicrm", ""), plain("", ""), plain("nobody", password),
			base64.StdEncoding.EncodeToString([]byte("root\x00civicrm\x00" + password))} {
			w.must("AUTH PLAIN "+response, "535")
		}
		w.must("MAIL FROM:<news@example.org>", "530")
	})
	t.Run("the password is not taken before TLS", func(t *testing.T) {
		w := dial(t, open)
		if offers := w.ask("EHLO client.test"); strings.Contains(offers, "AUTH") {
			t.Errorf("EHLO offers AUTH before TLS: %q", offers)
		}
		w.must("AUTH PLAIN "+plain("civicrm", password), "538")
		w.must("AUTH LOGIN", "538")
		w.must("MAIL FROM:<news@example.org>", "530")
	})
	t.Run("what follows STARTTLS in its packet is not carried out", func(t *testing.T) {
		w := dialSMTP(t, open)
		w.put("STARTTLS\r\nEHLO injected.test\r\nAUTH PLAIN " + plain("civicrm", password) + "\r\nMAIL FROM:<news@example.org>\r\n")
		w.expect("554")
		w.silent(wireWithin) // the connection is closed
	})
	t.Run("a password lets nobody send as somebody else", func(t *testing.T) {
		w := dialSMTP(t, open)
		w.secure()
		w.must("EHLO client.test", "250")
		w.must("AUTH PLAIN "+plain("civicrm", password), "235")
		for _, from := range []string{"anybody@stranger.test", "news@sub.example.org", "news@evilexample.org", "news"} {
			if got := w.ask("MAIL FROM:<" + from + ">"); got[0] == '2' {
				t.Errorf("MAIL FROM:<%s>: %q, want a refusal", from, got)
			}
		}
		w.begin("news@example.org", "victim@accepts.test")
		w.put("From: anybody@stranger.test\r\nSubject: x\r\n\r\nx\r\n")
		w.must(".", "451")
		w.begin("", "victim@accepts.test")
		w.put("From: anybody@stranger.test\r\nSubject: x\r\n\r\nx\r\n")
		w.must(".", "451")
	})
	st.nobodyWasMailed(t)
	t.Run("with the password, within TLS, mail goes out", func(t *testing.T) {
		w := dialSMTP(t, open)
		w.secure()
		w.must("EHLO client.test", "250")
		w.must("AUTH PLAIN "+plain("civicrm", password), "235")
		w.begin("news@example.org", "victim@accepts.test")
		w.put("From: news@example.org\r\nSubject: x\r\n\r\nx\r\n")
		w.must(".", "250")
		st.Arrived("victim@accepts.test")
	})
	t.Run("passwords cannot be guessed", func(t *testing.T) {
		w := dialSMTP(t, st.Submission)
		for n := 0; ; n++ {
			got := w.ask("AUTH PLAIN " + plain("civicrm", fmt.Sprintf("guess %d", n)))
			if strings.HasPrefix(got, "421") {
				break
			}
			if n > 10 {
				t.Fatalf("guess %d: %q, want 421", n, got)
			}
		}
		w = dialSMTP(t, st.Submission)
		w.must("AUTH PLAIN "+plain("civicrm", password), "421")
	})
}

func TestNobodyIsMailedAboutMailThatWasRefused(t *testing.T) {
	t.Parallel()
	st, _ := newDoor(t)
	const header = "From: victim@stranger.test\r\nSubject: x\r\nMessage-ID: <1@stranger.test>\r\n"
	tests := []struct{ name, to, message, want string }{
		{"to nobody", "nobody@bounce.example.org", "", "550"},
		{"to a forged tag", tagPrefix + strings.Repeat("a", 31) + tagSuffix, "", "550"},
		{"to another domain", "ann@accepts.test", "", "550"},
		{"that is too big", "postmaster@bounce.example.org", header + "\r\n" + strings.Repeat(strings.Repeat("x", 98)+"\r\n", 2000), "552"},
		{"that is in a loop", "postmaster@bounce.example.org", strings.Repeat("Received: from a by b; Mon, 23 Nov 2026 10:00:00 +0000\r\n", 51) + header + "\r\nx\r\n", "554"},
		{"that was here before", "postmaster@bounce.example.org", "Delivered-To: postmaster@bounce.example.org\r\n" + header + "\r\nx\r\n", "554"},
		{"with a bare CR", "postmaster@bounce.example.org", header + "\r\nx\ry\r\n", "550 5.6.11"},
		{"with a NUL", "postmaster@bounce.example.org", header + "\r\nx\x00y\r\n", "550 5.6.11"},
	}
	for _, tt := range tests {
		t.Run("mail "+tt.name, func(t *testing.T) {
			w := dialSMTP(t, st.MX)
			w.must("MAIL FROM:<victim@stranger.test>", "250")
			got := w.ask("RCPT TO:<" + tt.to + ">")
			if tt.message != "" {
				w.must("DATA", "354")
				w.put(tt.message)
				got = w.ask(".")
			}
			if !strings.HasPrefix(got, tt.want) {
				t.Errorf("answered %q, want %s", got, tt.want)
			}
		})
	}
	st.nobodyWasMailed(t)
}
