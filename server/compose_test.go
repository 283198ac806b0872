package server_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"strings"
	"testing"

	msgauth "github.com/emersion/go-msgauth/dkim"

	"homing/internal/dkim"
	"homing/server"
)

// signer signs as example.org with both kinds of keys; records are what a
// verifier finds in the DNS.
func signer(t *testing.T) (s *dkim.Signer, records map[string]string) {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	one, err := dkim.NewKey("one", private)
	if err != nil {
		t.Fatal(err)
	}
	two, err := dkim.NewKey("two", edwards)
	if err != nil {
		t.Fatal(err)
	}
	records = map[string]string{}
	for _, k := range []dkim.Key{one, two} {
		if records[k.Selector+"._domainkey.example.org"], err = k.Record(); err != nil {
			t.Fatal(err)
		}
	}
	return &dkim.Signer{Domain: "example.org", Keys: []dkim.Key{one, two}}, records
}

func TestWhatLeavesVerifiesWhateverTheApplicationWrote(t *testing.T) {
	s, records := signer(t)
	long := strings.Repeat("x", 1200)
	text := func(fields ...string) string { return strings.Join(fields, "\r\n") + "\r\n\r\n" }
	const plain = "Content-Type: text/plain; charset=utf-8"
	inner := "--b\r\n" + plain + "\r\n\r\nüber\r\n" + long + "\r\n--b--\r\n"
	tests := []struct {
		name     string
		params   string // of MAIL
		message  string
		eightBit bool // the next hop needs 8BITMIME
		utf8     bool // the next hop needs SMTPUTF8
		long     bool // lines over 998 octets are left
	}{
		{"ordinary mail", "", text("From: news@example.org", "To: ann@example.net", "Subject: hi") + "Hello.\r\n", false, false, false},
		{"nothing but a body", "", "\r\nHello.\r\n", false, false, false},
		{"no body", "", text("From: news@example.org"), false, false, false},
		{"lines that begin with dots", "", text("From: news@example.org") + "..\r\n..two\r\n", false, false, false},
		{"white space that a canonical form drops", "", text("From:   news@example.org  ", "Subject:\t a \t b  ") + "a \t b  \r\n\r\n\r\n", false, false, false},
		{"8-bit text that says so", "", text("From: news@example.org", "MIME-Version: 1.0", plain, "Content-Transfer-Encoding: 8bit") + "über\r\n", false, false, false},
		{"8-bit text that says nothing", "", text("From: Nüws <news@example.org>", "Subject: Grüße") + "über\r\n", false, false, false},
		{"a long line", "", text("From: news@example.org") + long + "\r\n", false, false, false},
		{"a long header field", "", text("From: news@example.org", "Subject: "+strings.Repeat("word ", 400)) + "Hello.\r\n", false, false, false},
		{"parts of many kinds", "BODY=8BITMIME", text("From: news@example.org", "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=b") +
			"--b\r\n" + plain + "\r\n\r\nüber\r\n--b\r\nContent-Type: application/octet-stream\r\n\r\n\xff" + long + "\r\n--b--\r\n", false, false, false},
		{"a part that is signed", "", text("From: news@example.org", "MIME-Version: 1.0", "Content-Type: multipart/signed; boundary=b; protocol=x") + inner, true, false, true},
		{"a message within", "", text("From: news@example.org", "MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=c") +
			"--c\r\nContent-Type: message/rfc822\r\n\r\n" + plain + "\r\n\r\nüber\r\n" + long + "\r\n--c--\r\n", true, false, true},
		{"SMTPUTF8 for nothing", "SMTPUTF8", text("From: news@example.org") + "Hello.\r\n", false, false, false},
		{"SMTPUTF8 for what encoded words can say", "SMTPUTF8", text("From: Nüws <news@example.org>", "Subject: Grüße") + "Hello.\r\n", false, false, false},
		{"SMTPUTF8 for an address", "SMTPUTF8", text("From: news@example.org", "To: jörg@example.net", "Subject: Grüße") + "über\r\n", true, true, false},
		{"SMTPUTF8 for an identifier", "SMTPUTF8", text("From: news@example.org", "Message-ID: <ü@example.org>") + "Hello.\r\n", true, true, false},
		{"SMTPUTF8 and a long line", "SMTPUTF8", text("From: news@example.org", "To: jörg@example.net") + "über\r\n" + long + "\r\n", true, true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := open(t, func(p *server.Policy) { p.Domains[0].Signer = s })
			c := w.dial(w.submit)
			stuffed := strings.ReplaceAll("\r\n"+tt.message, "\r\n.", "\r\n..")[2:]
			if got := c.talk("EHLO crm", "MAIL FROM:<news@example.org> "+tt.params, "RCPT TO:<ann@example.net>", "DATA", stuffed+"."); got != "250 250 250 354 250" {
				t.Fatalf("got %s", got)
			}
			row, sent := w.sent()
			if m := row.Message; m.EightBit != tt.eightBit || m.UTF8 != tt.utf8 {
				t.Errorf("needs 8BITMIME %v, SMTPUTF8 %v; want %v, %v", m.EightBit, m.UTF8, tt.eightBit, tt.utf8)
			}
			found, err := msgauth.VerifyWithOptions(strings.NewReader(sent), &msgauth.VerifyOptions{
				LookupTXT: func(name string) ([]string, error) { return []string{records[name]}, nil }})
			if err != nil || len(found) != 2 {
				t.Fatalf("%d signatures, %v; want 2", len(found), err)
			}
			for _, v := range found {
				if v.Err != nil || v.Domain != "example.org" {
					t.Errorf("the signature of %s: %v\n%s", v.Domain, v.Err, sent)
				}
			}
			wantFit(t, sent, tt.eightBit, tt.long)
			head, _, _ := strings.Cut(sent, "\r\n\r\n")
			for _, field := range []string{"\r\nDate: ", "\r\nMessage-ID: ", "\r\nFrom: "} {
				if strings.Count(strings.ReplaceAll(head, "From:  ", "From: "), field) != 1 {
					t.Errorf("the header has not one %q:\n%s", strings.TrimSpace(field), head)
				}
			}
		})
	}
}

// wantFit fails the test for what a next hop would not take.
func wantFit(t *testing.T, sent string, eightBit, long bool) {
	t.Helper()
	is8, isLong := false, false
	for _, line := range strings.SplitAfter(sent, "\r\n") {
		isLong = isLong || len(line) > 1000
		for i := range len(line) {
			is8 = is8 || line[i] >= 0x80
		}
		if bare := strings.TrimSuffix(line, "\r\n"); strings.ContainsAny(bare, "\r\n\x00") {
			t.Errorf("a bare line end in %q", line)
		}
	}
	if is8 != eightBit || isLong != long {
		t.Errorf("8-bit octets %v, long lines %v; want %v, %v:\n%s", is8, isLong, eightBit, long, sent)
	}
}

func TestEveryAuthorMustBeOneAsWhomTheApplicationSends(t *testing.T) {
	tests := []struct {
		name, from, want string
	}{
		{"one author", "news@example.org", "250"},
		{"two, both of the application", "News <news@example.org>, office@EXAMPLE.org", "250"},
		{"its return domain", "civi+r.1.2.0123456789abcdef@bounce.example.org", "250"},
		{"a second one of somebody else", "news@example.org, boss@bank.test", "451"},
		{"one of somebody else in a group", "news@example.org, staff: boss@bank.test;", "451"},
		{"a subdomain", "news@sub.example.org", "451"},
		{"a name that ends like it", "news@evilexample.org", "451"},
		{"a domain that is empty", "boss@.", "451"},
		{"an address of a thousand octets", strings.Repeat("a", 1000) + "@example.org", "554"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := open(t, func(p *server.Policy) {
				hollow := &server.Domain{Name: "example.net", Keep: true} // without a return path
				p.Domains = append(p.Domains, hollow)
				p.Applications[0].Domains = append(p.Applications[0].Domains, hollow)
			})
			for _, sender := range []string{"news@example.org", ""} {
				if got := w.send(sender, "ann@example.net", letter("From: "+tt.from)); got[:3] != tt.want {
					t.Errorf("from <%s>: %q, want %s", sender, got, tt.want)
				}
			}
		})
	}
}

func TestWhatIsKeptForPeopleHasNoControls(t *testing.T) {
	w := open(t, nil)
	w.send("news@example.org", "ann@example.net", letter("From: news@example.org", "Subject: =?utf-8?q?a=1B[2J=0D=0Ab?="))
	if row, _ := w.sent(); row.Message.Subject != "a [2J  b" {
		t.Errorf("subject %q", row.Message.Subject)
	}
}

func TestOneRecipientWhoNeedsSMTPUTF8DoesNotDecideForOthers(t *testing.T) {
	w := open(t, nil)
	if got := w.dial(w.submit).talk("EHLO crm", "MAIL FROM:<news@example.org> SMTPUTF8", "RCPT TO:<jörg@example.net>", "RCPT TO:<ann@bücher.example>", "DATA", news); got != "250 250 250 250 354 250" {
		t.Fatal(got)
	}
	for _, row := range w.rows() {
		if row.Message.UTF8 {
			t.Errorf("the message to %s needs SMTPUTF8 although its header is ASCII", row.Recipient.Address)
		}
	}
}

func TestWhoGoesFirst(t *testing.T) {
	tests := []struct {
		name   string
		fields []string
		lane   uint8
	}{
		{"a message to one recipient", nil, 0},
		{"not one with list fields", []string{"List-Unsubscribe: <mailto:x@example.org>"}, 1},
		{"but where the application says so", []string{"List-Id: <news.example.org>", "X-Priority-Lane: Transactional"}, 0},
		{"and not where it says otherwise", []string{"X-Priority-Lane: bulk"}, 1},
		{"a word that is none asks for nothing", []string{"X-Priority-Lane: now!"}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := open(t, nil)
			w.send("news@example.org", "ann@example.net", letter(append(tt.fields, "From: news@example.org", "Subject: hi")...))
			row, text := w.sent()
			if got := row.Recipient.Key.Lane; got != tt.lane {
				t.Errorf("lane %d, want %d", got, tt.lane)
			}
			if strings.Contains(text, "X-Priority-Lane") {
				t.Errorf("the field goes out:\n%s", text)
			}
		})
	}
}
