package bounce_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/rogpeppe/go-internal/txtar"

	"homing/bounce"
	"homing/internal/reply"
)

// hostile are messages made to be expensive.
func hostile() map[string]string {
	var deep, flat, many, plain strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&deep, "Content-Type: multipart/report; boundary=b%d\n\n--b%d\n", i, i)
	}
	flat.WriteString("Return-Path: <>\nContent-Type: multipart/report; boundary=b\n\n")
	for range 100_000 {
		flat.WriteString("--b\nContent-Type: message/delivery-status\n\nFinal-Recipient: rfc822; ann@example.net\n")
	}
	many.WriteString("Content-Type: multipart/report; boundary=b\n\n--b\n\nfailed\n--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.net\n\n")
	plain.WriteString("From: MAILER-DAEMON@mx.example.net\nReturn-Path: <>\nSubject: failure notice\n\nUnable to deliver to:\n\n")
	for i := range 100_000 {
		n := strconv.Itoa(i)
		many.WriteString("Final-Recipient: rfc822; r" + n + "@example.net\nAction: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; 550 no " + n + "\n\n")
		plain.WriteString("<r" + n + "@example.net>:\n550 no\n\n")
	}
	words := strings.Repeat("user mailbox account address recipient ", 16) + "\n\n"
	torn := "Return-Path: <>\nFrom: MAILER-DAEMON\nContent-Type: multipart/report; boundary=b\n\n--b\n\n<a@e.example>: nothing\n\n" + strings.Repeat(words, 8)
	for range 8 {
		torn += "--b\nContent-Type: message/delivery-status\n\n"
		for i := range 1000 {
			torn += "Final-Recipient: rfc822; a" + strconv.Itoa(i%7) + "@e.example\nAction: failed\n\n"
		}
	}
	crowd := "Return-Path: <>\nFrom: MAILER-DAEMON\nSubject: failure notice\n\n" + strings.Repeat(strings.Repeat("user a@e.example, ", 100)+"\n", 5) + strings.Repeat(words, 8)
	subject := func(piece string) string {
		return "Return-Path: <>\nFrom: ann@example.net\nSubject: " + strings.Repeat(piece, 200_000/len(piece)) + "\n\nx\n"
	}
	parts := func(text string) string {
		part := "--b\nContent-Type: text/plain\n\n" + text + "\n"
		return "Return-Path: <>\nFrom: MAILER-DAEMON\nSubject: failure notice\nContent-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat(part, 4)
	}
	return map[string]string{
		"texts of reasons":                           parts(strings.Repeat("ok: 1\n\n", 9000)),
		"texts of at signs below a long line":        parts(strings.Repeat("not ", 480) + "\n" + strings.Repeat("@\n", 31_000)),
		"texts of words for mail and what failed":    parts(strings.Repeat("mail not delivered to ", 3000)),
		"reports torn into parts about words":        torn,
		"a crowd of addresses before words":          crowd,
		"a subject of answers":                       subject("re: "),
		"a subject of brackets":                      subject("(re:"),
		"10,000 multiparts inside each other":        deep.String(),
		"100,000 parts":                              flat.String(),
		"100,000 header fields":                      strings.Repeat("X-Failed-Recipients: ann@example.net\n", 100_000) + "\nbody\n",
		"one line of 10 MB":                          "Return-Path: <>\nFrom: MAILER-DAEMON\nSubject: failure notice\n\n" + strings.Repeat("<a@b ", 2<<20),
		"one delivery-status field of 10 MB":         "Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\nFinal-Recipient: rfc822; a@b\nDiagnostic-Code: smtp; 550 " + strings.Repeat("5.1.1 ", 2<<20),
		"a report of 100,000 recipients":             many.String(),
		"a report for people of 100,000 recipients":  plain.String(),
		"a report of 10 MB of empty lines":           "Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\nFinal-Recipient: rfc822; a@b\n" + strings.Repeat("\n \n", 3<<20),
		"a text of 10 MB of at signs":                "Return-Path: <>\nFrom: MAILER-DAEMON\nSubject: failure notice\n\n" + strings.Repeat("@@@@@@@@@@\n", 1<<20),
		"a text of one quoted local part in another": "Return-Path: <>\nFrom: MAILER-DAEMON\nSubject: failure notice\n\n" + strings.Repeat("\"@", 5<<20),
		"a page of 10 MB of tags":                    "Return-Path: <>\nFrom: MAILER-DAEMON\nSubject: failure notice\nContent-Type: text/html\n\n" + strings.Repeat("<style><p>", 1<<20),
	}
}

func TestReadIsBounded(t *testing.T) {
	rd := bounce.NewReader(bounce.NewTable())
	for name, text := range hostile() {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			r, err := rd.Read(strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			runtime.ReadMemStats(&after)
			if got := after.TotalAlloc - before.TotalAlloc; got > 32<<20 {
				t.Errorf("it allocated %d octets, want at most 32 MiB", got)
			}
			if len(r.Recipients) > 1000 {
				t.Errorf("%d recipients, want at most 1000", len(r.Recipients))
			}
			if r.Kind == bounce.Bounce && len(r.Recipients) == 0 {
				t.Error("a bounce of nobody")
			}
		})
	}
}

func TestReadReturnsErrorsOfItsReader(t *testing.T) {
	broken := errors.New("broken")
	_, err := bounce.NewReader(bounce.NewTable()).Read(iotest.ErrReader(broken))
	if !errors.Is(err, broken) {
		t.Errorf("Read = %v, want %v", err, broken)
	}
}

// consistent states what holds of every Report.
func consistent(t *testing.T, rd *bounce.Reader, r bounce.Report) {
	t.Helper()
	if (r.Kind == bounce.Message) != (len(r.Recipients) == 0) {
		t.Errorf("a %s has %d recipients", r.Kind, len(r.Recipients))
	}
	if r.Digest == 0 {
		t.Error("the digest is zero")
	}
	for _, x := range r.Recipients {
		v := x.Verdict
		if v.Class == "" {
			t.Errorf("%q has no class", x.Address)
		}
		if v.Class == bounce.Hard && (r.Kind != bounce.Bounce || x.Code/100 == 4) {
			t.Errorf("%s, code %d is called hard", r.Kind, x.Code)
		}
		if r.Kind != bounce.Bounce && (v.Class == bounce.Soft || v.Class == bounce.Hard) {
			t.Errorf("a %s counts against %q: %s", r.Kind, x.Address, v.Class)
		}
		if r.Kind == bounce.Bounce && x.Action == "failed" && v.Rule == "" {
			t.Errorf("no rule decided about %q", x.Address)
		}
	}
	line, err := json.Marshal(r.JSON("x"))
	if err != nil || !json.Valid(line) || bytes.Contains(line, []byte("null")) && len(r.Recipients) == 0 {
		t.Errorf("JSON: %v: %s", err, line)
	}
	var b strings.Builder
	if err := rd.Explain(&b, r); err != nil || b.Len() == 0 {
		t.Errorf("Explain wrote %d octets, %v", b.Len(), err)
	}
}

// FuzzRead states what Read promises of any message.
func FuzzRead(f *testing.F) {
	rd := bounce.NewReader(bounce.NewTable())
	f.Add([]byte("From: MAILER-DAEMON@mx.example.net\nReturn-Path: <>\nSubject: Undeliverable: ȺȺȺȺ@a.example\n\nȺȺȺsmtp=Ⱥ@b.example: unknown\n"))
	f.Add([]byte("From: MAILER-DAEMON@mx.example.net\nList-Id: <x>\nSubject: Undeliverable\n\nnot delivered\n\nFinal-Recipient: rfc822; ann@example.net\nAction: failed\n"))
	f.Add([]byte("From: MAILER-DAEMON@mx.example.net\nReturn-Path: <>\nSubject: failure notice\n\n<ann@example.net>:\n550 user unknown\n\n--- Below this line is a copy of the message.\n\nReturn-Path: <x@example.org>\n"))
	f.Add([]byte("Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; x\n\nFinal-Recipient: utf-8; \\x{1F408}@example.net\nAction: delayed\nStatus: 4.2.2\n--b--\n"))
	f.Add([]byte("Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\nOriginal-Rcpt-To: ann@example.net\n--b--\n"))
	f.Add([]byte("Return-Path: <>\nSubject: Out of office\n\nback soon\n"))
	f.Add([]byte("From: no-reply@sns.amazonaws.com\n\n{\"notificationType\":\"Bounce\",\"mail\":{},\"bounce\":{\"bouncedRecipients\":[{\"emailAddress\":\"a@b\"}]}}\n"))
	f.Add([]byte("Subject: unsubscribe\n\n"))
	archive, err := txtar.ParseFile("testdata/mail.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, mail := range archive.Files {
		f.Add(mail.Data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := rd.Read(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		consistent(t, rd, r)
		if again, _ := rd.Read(bytes.NewReader(data)); again.Digest != r.Digest {
			t.Error("the same message has two digests")
		}
	})
}

// FuzzClassify states what Classify promises of any evidence: nobody is held
// for what was said before RCPT, nor for what is temporary; the winner is the
// first that Explain names.
func FuzzClassify(f *testing.F) {
	table := bounce.NewTable()
	f.Add("rcpt", 550, "5.1.1", "user unknown", "mx.example.net")
	f.Add("mail", 450, "4.7.1", "try again later", "")
	f.Add("dsn", 0, "", "host mx.example.net said: 554 5.7.1 blocked (in reply to MAIL FROM command)", "")
	for _, text := range examples(table) {
		f.Add("rcpt", 0, "", text, "")
	}
	early := map[reply.Stage]bool{reply.Connect: true, reply.EHLO: true, reply.STARTTLS: true, reply.AUTH: true, reply.MAIL: true}
	f.Fuzz(func(t *testing.T, stage string, code int, status, text, mta string) {
		e := bounce.Evidence{Stage: reply.Stage(stage), Code: code, Status: status, Text: text, RemoteMTA: mta}
		v := table.Classify(e)
		if v.Class == "" || v.Reason == "" || v.Rule == "" {
			t.Errorf("no verdict: %+v", v)
		}
		if v.Class == bounce.Hard && (early[e.Stage] || code/100 == 4) {
			t.Errorf("%s at %s with %d", v.Class, stage, code)
		}
		if all := table.Explain(e); len(all) > 0 && all[0].Rule != v.Rule || len(all) == 0 && v.Rule != "unknown" {
			t.Errorf("rule %s won, Explain says %v", v.Rule, all)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	rd := bounce.NewReader(bounce.NewTable())
	back := "Received: from mx.example.org by mx.example.net; Thu, 29 Apr 2010 23:34:45 +0000\nMessage-ID: <1@example.org>\nTo: ann@example.net\n\n" + strings.Repeat("Dear friends, here is the news.\n", 100)
	for name, text := range map[string]string{
		"rfc3464": "From: MAILER-DAEMON@mx.example.net\nReturn-Path: <>\nSubject: Undelivered Mail Returned to Sender\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\nThis is the mail system at host mx.example.net.\n\n<ann@example.net>: host mx.example.com[192.0.2.1] said: 550 5.1.1 user unknown\n--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.net\nArrival-Date: Thu, 29 Apr 2010 23:34:45 +0000\n\nFinal-Recipient: rfc822; ann@example.net\nAction: failed\nStatus: 5.1.1\nRemote-MTA: dns; mx.example.com\nDiagnostic-Code: smtp; 550 5.1.1 user unknown\n--b\nContent-Type: message/rfc822\n\n" + back + "--b--\n",
		"plain":   "From: MAILER-DAEMON@mx.example.net\nReturn-Path: <>\nSubject: failure notice\n\nHi. This is the qmail-send program at mx.example.net.\nI'm afraid I wasn't able to deliver your message to the following addresses.\n\n<ann@example.net>:\n192.0.2.1 does not like recipient.\nRemote host said: 550 5.1.1 user unknown\nGiving up on 192.0.2.1.\n\n--- Below this line is a copy of the message.\n\nReturn-Path: <news@example.org>\n" + back,
		"message": "From: Ann <ann@example.net>\nSubject: Re: news\n\n" + strings.Repeat("Thank you, that was a pleasure to read.\n", 50),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := rd.Read(strings.NewReader(text)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkClassify(b *testing.B) {
	table := bounce.NewTable()
	e := bounce.Evidence{Stage: reply.RCPT, Code: 550, Status: "5.7.1", RemoteMTA: "mx.example.net",
		Text: "Service unavailable; Client host [192.0.2.4] blocked using bl.example; please see https://bl.example/lookup?192.0.2.4"}
	b.ReportAllocs()
	for b.Loop() {
		table.Classify(e)
	}
}
