package toynet

import (
	"bytes"
	"flag"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/internal/reply"
)

var update = flag.Bool("update", false, "write the golden files anew")

// example is a message that was accepted and comes back.
func example() Original {
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	return Original{
		Host: "mx.later.test", Addr: netip.MustParseAddr("127.1.2.10"), Peer: netip.MustParseAddr("127.1.2.2"),
		From: "return+tag@bounce.example.org", To: "ann@later.test", ID: "4000000001", Arrived: at, Now: at.Add(time.Hour),
		Header: []byte("From: news@example.org\r\nTo: ann@later.test\r\nSubject: News of\r\n November\r\nMessage-ID: <1@example.org>\r\n" +
			"List-Unsubscribe: <mailto:civi+u.1.2.abc@bounce.example.org>\r\n"),
		Why: reply.Reply{Code: 550, Enhanced: reply.Enhanced{5, 1, 1}, Text: "<{rcpt}>: User unknown"},
	}
}

// composers are all there are, by the name of their golden file.
var composers = map[string]Composer{
	"postfix": PostfixDSN, "postfix-delay": PostfixDelay, "exim": EximBounce, "exchange": ExchangeDSN,
	"complaint": Complaint, "vacation": Vacation, "reply": Reply, "unsubscribe": Unsubscribe,
}

func TestLettersLookLikeTheirOriginals(t *testing.T) {
	for name, compose := range composers {
		t.Run(name, func(t *testing.T) {
			l := compose(example())
			got := "MAIL FROM:<" + l.From + ">\nRCPT TO:<" + l.To + ">\n\n" + string(l.Message)
			path := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("letter differs (-want +got):\n%s", diff)
			}
		})
	}
}

// types gives the content types of a message, depth first, and fails when its
// structure cannot be read.
func types(t *testing.T, contentType string, body io.Reader) (all []string) {
	t.Helper()
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		t.Fatalf("Content-Type %q: %v", contentType, err)
	}
	all = append(all, kind)
	if !strings.HasPrefix(kind, "multipart/") {
		return all
	}
	for r := multipart.NewReader(body, params["boundary"]); ; {
		p, err := r.NextPart()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatalf("part of %s: %v", kind, err)
		}
		all = append(all, types(t, p.Header.Get("Content-Type"), p)...)
	}
}

func TestLettersAreWellFormed(t *testing.T) {
	tests := map[string]string{
		"postfix":       "multipart/report text/plain message/delivery-status text/rfc822-headers",
		"postfix-delay": "multipart/report text/plain message/delivery-status text/rfc822-headers",
		"exim":          "text/plain",
		"exchange":      "multipart/report multipart/alternative text/plain text/html message/delivery-status message/rfc822",
		"complaint":     "multipart/report text/plain message/feedback-report message/rfc822",
		"vacation":      "text/plain",
		"reply":         "text/plain",
		"unsubscribe":   "text/plain",
	}
	for name, compose := range composers {
		t.Run(name, func(t *testing.T) {
			m, err := mail.ReadMessage(bytes.NewReader(compose(example()).Message))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := m.Header.Date(); err != nil {
				t.Errorf("Date: %v", err)
			}
			for _, field := range []string{"From", "To"} {
				if _, err := m.Header.AddressList(field); err != nil && name != "postfix" && name != "postfix-delay" {
					t.Errorf("%s %q: %v", field, m.Header.Get(field), err)
				}
			}
			kind := m.Header.Get("Content-Type")
			if kind == "" {
				kind = "text/plain" // RFC 2045 section 5.2
			}
			if got := strings.Join(types(t, kind, m.Body), " "); got != tests[name] {
				t.Errorf("parts %s, want %s", got, tests[name])
			}
		})
	}
}
