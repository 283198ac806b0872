package report_test

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-message"
	"github.com/emersion/go-message/textproto"
	"github.com/google/go-cmp/cmp"

	"homing/internal/report"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var at = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

// sample is a report with every field.
func sample() report.Report {
	return report.Report{
		First:   []report.Field{{Name: "Delivered-To", Value: "civi+b.1.2.0a1b2c3d4e5f6a7b@bounce.example.org"}},
		From:    "MAILER-DAEMON@mail.example.org",
		To:      "civi+b.1.2.0a1b2c3d4e5f6a7b@bounce.example.org",
		Subject: "Delivery Status Notification (Failure)", Date: at, MessageID: "01KAQ3V5Z8001.report@mail.example.org",
		Text:         "Your mail could not be delivered.\n\nNobody of that name is there.\n",
		ReportingMTA: "mail.example.org", EnvelopeID: "job 7", Arrived: at.Add(-time.Hour),
		Recipients: []report.Recipient{{
			Original: "rfc822;ann@example.net", Final: "ann@example.net", Action: "failed", Status: "5.1.1",
			RemoteMTA: "mx.example.net", Diagnostic: "smtp; 550 5.1.1 no such user", Last: at.Add(-time.Minute),
			Extra: []report.Field{{Name: "X-Homing-Rule", Value: "status-5.1.1"}},
		}},
		Original: report.Original{Octets: []byte("From: news@example.org\r\nSubject: News\r\n")},
	}
}

// golden compares a report with the file of that name.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s: %s", name, diff)
	}
}

func TestReportsAsTheyAre(t *testing.T) {
	for name, change := range map[string]func(*report.Report){
		"every-field.eml": func(*report.Report) {},
		"least.eml": func(r *report.Report) {
			*r = report.Report{From: r.From, To: "ann@example.org", Subject: "Success", Date: at, MessageID: "1@mail.example.org",
				Text: "It was delivered.", ReportingMTA: "mail.example.org",
				Recipients: []report.Recipient{{Final: "bob@example.net", Action: "delivered", Status: "2.0.0"}}}
		},
		"utf8.eml": func(r *report.Report) {
			r.Text = "Die Mail an zoë@bücher.example kam nicht an.\n"
			r.Recipients[0].Original, r.Recipients[0].Final = "utf-8;zoë+x@bücher.example", "zoë@bücher.example"
			r.Recipients[0].Diagnostic = "smtp; 550 5.1.1 Empfänger unbekannt"
			r.Original.Octets = []byte("From: news@example.org\r\nTo: zoë@bücher.example\r\n")
		},
		"latin1.eml": func(r *report.Report) {
			r.Original.Octets = []byte("From: news@example.org\r\nSubject: Gr\xfc\xdfe\r\n")
		},
		"full.eml": func(r *report.Report) {
			r.Original = report.Original{Full: true, Octets: []byte("Subject: News\r\n\r\nIn acht Bit: ä.\r\n")}
		},
		"full-utf8.eml": func(r *report.Report) {
			r.Original = report.Original{Full: true, Octets: []byte("To: zoë@bücher.example\r\n\r\nIn acht Bit: ä.\r\n")}
		},
		"long-lines.eml": func(r *report.Report) {
			r.Recipients[0].Diagnostic = "smtp; 550 " + strings.Repeat("no such user here and nowhere else ", 40)
			r.Original.Octets = []byte("Subject: " + strings.Repeat("x", 1200) + "\r\n")
		},
		"hostile.eml": func(r *report.Report) {
			r.Recipients[0].Diagnostic = "smtp; 550 no\r\nBcc: all@example.com\r\n\r\n--boundary\x00"
			r.EnvelopeID = "a\nb"
			r.Original.Octets = []byte("Subject: --=_01KAQ3V5Z8001.report.mail.example.org_0--\r\n")
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := sample()
			change(&r)
			got, err := r.Compose()
			if err != nil {
				t.Fatal(err)
			}
			checkWire(t, got)
			checkParses(t, r, got)
			golden(t, name, got)
		})
	}
}

// checkWire fails the test if some mail system could not take the octets.
func checkWire(t *testing.T, msg []byte) {
	t.Helper()
	for line := range bytes.Lines(msg) {
		content := bytes.TrimSuffix(line, []byte("\r\n"))
		if len(content) == len(line) {
			t.Errorf("a line does not end in CR LF: %q", line)
		}
		if bytes.ContainsAny(content, "\r\n\x00") {
			t.Errorf("bare CR, LF or NUL: %q", content)
		}
		if len(content) > 998 {
			t.Errorf("a line of %d octets", len(content))
		}
	}
}

// checkParses reads a report back with a library that is not ours.
func checkParses(t *testing.T, r report.Report, msg []byte) {
	t.Helper()
	e, err := message.Read(bytes.NewReader(msg))
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err := e.Header.ContentType()
	if err != nil || kind != "multipart/report" || params["report-type"] != "delivery-status" {
		t.Fatalf("Content-Type %q %v, %v", kind, params, err)
	}
	var kinds []string
	var status []byte
	for parts := e.MultipartReader(); ; {
		p, err := parts.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		kind, _, err := p.Header.ContentType()
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(p.Body)
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, kind)
		switch {
		case kind == "message/delivery-status":
			status = body
		case len(kinds) == 3 && !bytes.Equal(body, r.Original.Octets):
			t.Errorf("the original came back as %q, want %q", body, r.Original.Octets)
		}
	}
	if want := 3 - btoi(len(r.Original.Octets) == 0); len(kinds) != want {
		t.Errorf("parts %v, want %d", kinds, want)
	}
	checkStatus(t, r, status)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func checkStatus(t *testing.T, r report.Report, status []byte) {
	t.Helper()
	buf := bufio.NewReader(bytes.NewReader(append(status, "\r\n"...)))
	groups := 0
	for range 1 + len(r.Recipients) {
		h, err := textproto.ReadHeader(buf)
		if err != nil {
			t.Fatalf("group %d of %q: %v", groups, status, err)
		}
		if groups > 0 {
			want := r.Recipients[groups-1]
			if h.Get("Action") != want.Action || h.Get("Status") != want.Status || h.Get("Final-Recipient") == "" {
				t.Errorf("group %d: %v", groups, h.Map())
			}
			if h.Has("Bcc") {
				t.Error("a diagnostic made a field of its own")
			}
		} else if h.Get("Reporting-MTA") != "dns; "+r.ReportingMTA {
			t.Errorf("first group: %v", h.Map())
		}
		groups++
	}
	if rest, _ := io.ReadAll(buf); len(bytes.TrimSpace(rest)) > 0 {
		t.Errorf("more groups than recipients: %q", rest)
	}
}

func TestTheFirstFieldsAreFirstByteForByte(t *testing.T) {
	r := sample()
	r.First[0].Value = "civi+b.123456789.987654321.0a1b2c3d4e5f6a7b@a-very-long-name-of-a-return-domain.bounce.example.org"
	got, err := r.Compose()
	if err != nil {
		t.Fatal(err)
	}
	if want := "Delivered-To: " + r.First[0].Value + "\r\n"; !strings.HasPrefix(string(got), want) {
		t.Errorf("begins with %.120q, want %q", got, want)
	}
}

func TestAReportStartsNoLoop(t *testing.T) {
	got, err := sample().Compose()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(got), "\r\nAuto-Submitted: auto-replied\r\n") {
		t.Error("it does not say that nobody wrote it")
	}
}

func TestComposeRefusesWhatIsNoAddress(t *testing.T) {
	for _, bad := range []string{"", "ann", "@example.net", "ann@", "ann@example.net\r\nBcc: all@example.com", "an\x00n@example.net",
		"\xff@example.net", strings.Repeat("a", 1000) + "@example.net"} {
		for name, set := range map[string]func(*report.Report){
			"To":    func(r *report.Report) { r.To = bad },
			"From":  func(r *report.Report) { r.From = bad },
			"Final": func(r *report.Report) { r.Recipients[0].Final = bad },
		} {
			r := sample()
			set(&r)
			if _, err := r.Compose(); !errors.Is(err, report.ErrAddress) {
				t.Errorf("%s %.40q: %v, want ErrAddress", name, bad, err)
			}
		}
	}
}

func TestHead(t *testing.T) {
	const msg = "Return-Path: <a@example.org>\r\nTo: bob@example.net\r\nX-CiviMail-Bounce : long\r\n\tfolded\r\nSubject: News\r\n\r\nbody\r\n\r\nmore\r\n"
	for _, tt := range []struct {
		name, msg string
		limit     int64
		drop      []string
		want      string
	}{
		{"as it is", msg, 1000, nil, msg[:strings.Index(msg, "\r\n\r\n")+2]},
		{"without some fields, folds and all", msg, 1000, []string{"return-path", "X-CiviMail-Bounce"}, "To: bob@example.net\r\nSubject: News\r\n"},
		{"cut at the last whole line", msg, 40, nil, "Return-Path: <a@example.org>\r\n"},
		{"without an end", "To: bob@example.net\r\nSubj", 1000, nil, "To: bob@example.net\r\n"},
		{"nothing", "", 1000, nil, ""},
		{"no header", "\r\nbody\r\n\r\n", 1000, nil, "\r\nbody\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := report.Head(strings.NewReader(tt.msg), tt.limit, tt.drop...)
			if err != nil || string(got) != tt.want {
				t.Errorf("Head = %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

// FuzzCompose states that whatever mail systems and applications say, a
// report is one that others can read and that has the fields we gave it.
func FuzzCompose(f *testing.F) {
	f.Add("ann@example.net", "smtp; 550 5.1.1 no such user", "job 7", "rfc822;ann@example.net", []byte("Subject: News\r\n"), "text\n")
	f.Add("zoë@bücher.example", "x\r\n\r\ny", "\x00", ";", []byte("\xff\n--=_1_0--\n"), "--=_1_0\n")
	f.Fuzz(func(t *testing.T, final, diagnostic, envelope, original string, head []byte, text string) {
		r := sample()
		r.Recipients[0].Final, r.Recipients[0].Diagnostic, r.Recipients[0].Original = final, diagnostic, original
		r.EnvelopeID, r.Text, r.MessageID = envelope, text, "1"
		r.Original.Octets = nil
		got, err := r.Compose()
		if err != nil {
			if !errors.Is(err, report.ErrAddress) {
				t.Fatal(err)
			}
			return
		}
		checkWire(t, got)
		checkParses(t, r, got)

		r.Original.Octets = head
		if got, err = r.Compose(); err != nil {
			t.Fatal(err)
		}
		checkWire(t, got)
	})
}

func ExampleReport_Compose() {
	msg, err := report.Report{
		From: "MAILER-DAEMON@mail.example.org", To: "news@example.org", Subject: "Delivery Status Notification (Failure)",
		Date: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC), MessageID: "1@mail.example.org",
		Text: "Nobody of that name is there.\n", ReportingMTA: "mail.example.org",
		Recipients: []report.Recipient{{Final: "ann@example.net", Action: "failed", Status: "5.1.1"}},
	}.Compose()
	if err != nil {
		fmt.Println(err)
	}
	_, status, _ := strings.Cut(string(msg), "message/delivery-status\r\n\r\n")
	status, _, _ = strings.Cut(status, "\r\n--")
	fmt.Println(strings.ReplaceAll(status, "\r", ""))
	// Output:
	// Reporting-MTA: dns; mail.example.org
	//
	// Final-Recipient: rfc822; ann@example.net
	// Action: failed
	// Status: 5.1.1
}
