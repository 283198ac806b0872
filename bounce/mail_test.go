package bounce_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"homing/bounce"
)

var update = flag.Bool("update", false, "write the golden files anew")

// summary is a Report on a few lines.
func summary(r bounce.Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "    %s (%s)\n", r.Kind, r.Format)
	for _, x := range r.Recipients {
		v := x.Verdict
		fmt.Fprintf(&b, "    %s %s %s %d: %s %s %s, %s %q\n", x.Address, x.Action, x.Status, x.Code, v.Class, v.Reason, v.CiviCRM, v.Rule, v.Matched)
	}
	return b.String()
}

func TestMail(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/mail.txtar")
	if err != nil {
		t.Fatal(err)
	}
	rd := bounce.NewReader(bounce.NewTable())
	var got strings.Builder
	for _, f := range archive.Files {
		r, err := rd.Read(strings.NewReader(string(f.Data)))
		if err != nil {
			t.Fatal(err)
		}
		t.Run(f.Name, func(t *testing.T) { consistent(t, rd, r) })
		fmt.Fprintf(&got, "%s\n%s", f.Name, summary(r))
	}
	if *update {
		if err := os.WriteFile("testdata/mail.golden", []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/mail.golden")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("what the messages mean differs from testdata/mail.golden (-want +got):\n%s", diff)
	}
}

const failure = `Received: from somewhere
Date: Thu, 29 Apr 2010 23:34:45 +0900
Message-ID: <report@mx.example.net>
From: MAILER-DAEMON@mx.example.net
Return-Path: <>
Subject: Undelivered Mail Returned to Sender
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net
Arrival-Date: Thu, 29 Apr 2010 23:34:45 +0900

Final-Recipient: rfc822; ann@example.com
Action: failed
Status: 5.1.1

--b
Content-Type: message/rfc822

Message-ID: <1@example.org>
To: ann@example.com

x
--b--
`

const qmailFailure = `Received: from somewhere
Date: Thu, 29 Apr 2010 23:34:45 +0900
From: MAILER-DAEMON@mx.example.net
Return-Path: <>
Subject: failure notice

<ann@example.com>:
550 user unknown

--- Below this line is a copy of the message.

Return-Path: <news@example.org>
Message-ID: <1@example.org>
`

func TestDigestIsThatOfTheReportNotOfItsWay(t *testing.T) {
	rd := bounce.NewReader(bounce.NewTable())
	digest := func(text string) uint64 {
		r, err := rd.Read(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		return r.Digest
	}
	tests := []struct {
		name     string
		old, new string
		same     bool
	}{
		{"another way", "Received: from somewhere", "Received: from elsewhere\nReceived: from somewhere", true},
		{"another date", "\nDate: Thu", "\nDate: Fri", true},
		{"CR LF", "\n", "\r\n", true},
		{"another recipient", "ann@example.com", "bob@example.com", false},
		{"another message", "<1@example.org>", "<2@example.org>", false},
	}
	for _, original := range []string{failure, qmailFailure} {
		for _, tt := range tests {
			changed := strings.ReplaceAll(original, tt.old, tt.new)
			if tt.same != (digest(original) == digest(changed)) {
				t.Errorf("%s: the same digest is %v, want %v", tt.name, !tt.same, tt.same)
			}
		}
	}
	if digest(failure) == digest(strings.ReplaceAll(failure, "Action: failed", "Action: delayed")) {
		t.Error("a delay has the digest of the failure")
	}
}

func TestReturnedIsTheHeaderOfWhatCameBack(t *testing.T) {
	rd := bounce.NewReader(bounce.NewTable())
	for name, text := range map[string]string{"in a part": failure, "in the text": qmailFailure} {
		r, err := rd.Read(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, f := range r.Returned {
			found = found || f.Name == "Message-ID" && f.Body == "<1@example.org>"
		}
		if !found {
			t.Errorf("%s: Returned is %v, want the Message-ID of what came back", name, r.Returned)
		}
	}
}

func TestExplainSaysWhyAndWhatElse(t *testing.T) {
	rd := bounce.NewReader(bounce.NewTable())
	r, err := rd.Read(strings.NewReader(strings.ReplaceAll(failure, "Status: 5.1.1", "Status: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 user unknown\x1b[2J")))
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	if err := rd.Explain(&got, r); err != nil {
		t.Fatal(err)
	}
	const want = `This is a bounce: mail could not be delivered (rfc3464).

  ann@example.com
    action      failed
    status      5.1.1
    they said   550 5.1.1 user unknown [2J
    class       hard: the address cannot receive mail
    reason      user_unknown (CiviCRM: Invalid)
    because     rule status-5.1.1 matched "5.1.1"
    also        rule words-user would say hard, user_unknown: "user unknown"
    also        rule near-user would say hard, user_unknown: "user unknown"
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("explanation differs (-want +got):\n%s", diff)
	}
}
