package toynet

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/google/go-cmp/cmp"
)

// transcript is a server that answers from a list, one line for each command,
// and writes down what it hears.
func transcript(t *testing.T, answers ...string) (address string, heard func() string) {
	t.Helper()
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	var served sync.WaitGroup
	served.Go(func() {
		c, err := socket.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		r := bufio.NewReader(c)
		data := false
		for _, a := range answers {
			fmt.Fprint(c, a+"\r\n")
			if data = strings.HasPrefix(a, "354"); data {
				for line := ""; line != ".\r\n"; text.WriteString(line) {
					if line, err = r.ReadString('\n'); err != nil {
						return
					}
				}
				continue
			}
			line, err := r.ReadString('\n')
			text.WriteString(line)
			if err != nil {
				return
			}
		}
	})
	return socket.Addr().String(), func() string {
		socket.Close()
		served.Wait()
		return text.String()
	}
}

var november = Mailing{Job: 7, FirstQueue: 41, Subject: "News", Text: "Grüße aus Köln.\n.a dot\n..two", To: []string{"ann@a.test", "bob@b.test", "cid@c.test"}}

func civi(address string) *CiviCRM {
	return &CiviCRM{Address: address, From: `"Example News" <news@example.org>`, Prefix: "civi+", Domain: "bounce.example.org"}
}

func TestTheWireLooksLikePEAR(t *testing.T) {
	address, heard := transcript(t, "220 mail.example.org", "250-hello\r\n250-PIPELINING\r\n250 SIZE",
		"250 2.0.0 Ok", "250 2.0.0 Ok", "354 go", "250 2.0.0 queued",
		"250 2.0.0 Ok", "550 5.1.1 no", "250 2.0.0 Ok",
		"451 4.3.0 busy", "250 2.0.0 Ok", "221 2.0.0 bye")
	c := civi(address)
	sent, err := c.Send(soon(t), november)
	if err != nil {
		t.Fatal(err)
	}
	got := heard()
	path := filepath.Join("testdata", "civicrm.golden")
	shown := strings.ReplaceAll(got, "\r\n", "\\r\\n\n") // so that bare line ends show
	if *update {
		if err := os.WriteFile(path, []byte(shown), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), shown); diff != "" {
		t.Errorf("wire differs (-want +got):\n%s", diff)
	}
	var results []string
	for _, s := range sent {
		results = append(results, fmt.Sprintf("%d %s %s %v %v", s.Queue, s.To, s.Stage, s.Reply, s.Acknowledged()))
	}
	if diff := cmp.Diff([]string{
		"41 ann@a.test dot 250 2.0.0 queued true",
		"42 bob@b.test rcpt 550 5.1.1 no false",
		"43 cid@c.test mail 451 4.3.0 busy false",
	}, results); diff != "" {
		t.Errorf("results differ (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(sent, c.Sent.All()); diff != "" {
		t.Errorf("journal differs (-want +got):\n%s", diff)
	}
}

func TestVERPAddressesAreCiviCRMs(t *testing.T) {
	c := civi("")
	if got, want := c.VERP("b", 2, 1), "civi+b.2.1."+Hash(2, 1)+"@bounce.example.org"; got != want {
		t.Errorf("VERP = %s, want %s", got, want)
	}
	seen := make(map[string]bool)
	for queue := range 10000 {
		h := Hash(1, queue)
		if len(h) != 16 || strings.Trim(h, "0123456789abcdefghijklmnopqrstuvwxyz") != "" || seen[h] {
			t.Fatalf("Hash(1, %d) = %q, want 16 characters of [0-9a-z], another each time", queue, h)
		}
		seen[h] = true
	}
}

// A submitter is a submission listener with AUTH, of another make than ours.
type submitter struct {
	mechanisms []string
	used       Journal[string]
}

type submission struct {
	smtp.Session
	s *submitter
}

func (s *submitter) NewSession(*smtp.Conn) (smtp.Session, error) {
	return &submission{Session: &listenerSession{l: new(listener)}, s: s}, nil
}
func (s *submission) AuthMechanisms() []string { return s.s.mechanisms }
func (s *submission) Auth(mech string) (sasl.Server, error) {
	check := func(user, password string) error {
		s.s.used.Add(mech)
		if user != "civicrm" || password != "geheim" {
			return smtp.ErrAuthFailed
		}
		return nil
	}
	if mech == "PLAIN" {
		return sasl.NewPlainServer(func(_, user, password string) error { return check(user, password) }), nil
	}
	return &loginServer{check: check}, nil
}

// loginServer is AUTH LOGIN, which was never standardised.
type loginServer struct {
	check func(user, password string) error
	step  int
	user  string
}

func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	l.step++
	switch l.step {
	case 1:
		return []byte("Username:"), false, nil
	case 2:
		l.user = string(response)
		return []byte("Password:"), false, nil
	}
	return nil, true, l.check(l.user, string(response))
}

func TestAuthAndTLSAreUsedAsPEARUsesThem(t *testing.T) {
	ca, err := newAuthority(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := ca.issue("mail.example.org")
	if err != nil {
		t.Fatal(err)
	}
	n := &Net{world: World{Now: time.Now}}
	n.hosts = map[string]*host{}
	if err := n.certify(); err != nil {
		t.Fatal(err)
	}
	trusted := n.roots.Clone()
	trusted.AddCert(ca.certificate)
	tests := []struct {
		name, user, password string
		tls                  *tls.Config
		mechanisms           []string
		want                 error
		used                 string
	}{
		{"without a user neither is", "", "", nil, []string{"PLAIN", "LOGIN"}, nil, ""},
		{"LOGIN before PLAIN", "civicrm", "geheim", &tls.Config{RootCAs: trusted, ServerName: "mail.example.org"}, []string{"PLAIN", "LOGIN"}, nil, "LOGIN"},
		{"PLAIN alone", "civicrm", "geheim", &tls.Config{RootCAs: trusted, ServerName: "mail.example.org"}, []string{"PLAIN"}, nil, "PLAIN"},
		{"a wrong password", "civicrm", "falsch", &tls.Config{RootCAs: trusted, ServerName: "mail.example.org"}, []string{"PLAIN"}, ErrAuth, "PLAIN"},
		{"a certificate for another name", "civicrm", "geheim", &tls.Config{RootCAs: trusted}, []string{"PLAIN"}, ErrGreeting, ""},
		{"a certificate that nobody knows", "civicrm", "geheim", &tls.Config{ServerName: "mail.example.org"}, []string{"PLAIN"}, ErrGreeting, ""},
		{"nothing that it knows", "civicrm", "geheim", &tls.Config{RootCAs: trusted, ServerName: "mail.example.org"}, []string{"XOAUTH2"}, ErrAuth, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &submitter{mechanisms: tt.mechanisms}
			server := smtp.NewServer(s)
			server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}}
			socket, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var served sync.WaitGroup
			served.Go(func() { server.Serve(socket) })
			defer served.Wait()
			defer server.Close()

			c := civi(socket.Addr().String())
			c.User, c.Password, c.TLS = tt.user, tt.password, tt.tls
			sent, err := c.Send(soon(t), november)
			if !errors.Is(err, tt.want) || (err == nil) != (len(sent) == 3) {
				t.Errorf("Send = %d recipients, %v, want %v", len(sent), err, tt.want)
			}
			if got := strings.Join(s.used.All(), " "); got != tt.used {
				t.Errorf("used %q, want %q", got, tt.used)
			}
		})
	}
}

func TestABrokenConnectionEndsTheMailing(t *testing.T) {
	t.Run("nobody listens", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		if sent, err := civi(l.Addr().String()).Send(soon(t), november); err == nil || sent != nil {
			t.Errorf("Send = %v, %v, want an error alone", sent, err)
		}
	})
	t.Run("the greeting is a refusal", func(t *testing.T) {
		address, heard := transcript(t, "421 4.3.2 busy")
		if _, err := civi(address).Send(soon(t), november); !errors.Is(err, ErrGreeting) {
			t.Errorf("Send = %v, want %v", err, ErrGreeting)
		}
		heard()
	})
	t.Run("the server goes away after the first recipient", func(t *testing.T) {
		address, heard := transcript(t, "220 hi", "250 hello", "250 ok", "250 ok", "354 go", "250 queued")
		sent, err := civi(address).Send(soon(t), november)
		heard()
		if err == nil || len(sent) != 2 || !sent[0].Acknowledged() || sent[1].Reply.Code != 0 {
			t.Errorf("Send = %+v, %v, want one acknowledged and one unknown", sent, err)
		}
	})
	t.Run("the context ends", func(t *testing.T) {
		n := start(t, Misbehaving(time.Hour))
		ctx, cancel := context.WithCancel(t.Context())
		c := civi(n.HostAddr("mx.silent.test").String())
		c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			defer cancel()
			return new(net.Dialer).DialContext(ctx, network, address)
		}
		if _, err := c.Send(ctx, november); err == nil {
			t.Error("Send = nil, want an error")
		}
	})
}

func TestEveryRecipientGetsAMessageOfItsOwn(t *testing.T) {
	n := start(t, World{Domains: map[string]Domain{"a.test": {}}, Keep: true})
	m := november
	m.To = []string{"ann@a.test", "bob@a.test"}
	sent, err := civi(n.HostAddr("mx.a.test").String()).Send(soon(t), m)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range n.Receipts.All() {
		if r.To != sent[i].To || r.From != sent[i].Sender || r.Digest != sent[i].Digest {
			t.Errorf("the MX has %s from %s, digest %x, want %+v", r.To, r.From, r.Digest, sent[i])
		}
		if b := string(r.Message); !strings.Contains(b, "\r\n.a dot\r\n..two\r\n") || !strings.Contains(b, "Grüße") || strings.Contains(b, "Message-ID:") {
			t.Errorf("message %q", b)
		}
	}
	if sent[0].Digest == sent[1].Digest {
		t.Error("both messages are the same")
	}
}
