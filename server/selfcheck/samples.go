package selfcheck

// A sample is a mail by which the way back is tried. In its text, {address} is
// where it goes, {domain} the sending domain, {date} the time.
type sample struct {
	words  string // what it is, for people
	kind   string // as what it must be understood: a bounce.Kind
	signed bool
	text   string
}

var samples = []sample{
	{words: "a message", kind: "message", signed: true, text: `From: Homing <postmaster@{domain}>
To: <{address}>
Date: {date}
Subject: Does the way back work?
Message-ID: <trial.{address}>
MIME-Version: 1.0
Content-Type: text/plain; charset=us-ascii

This mail server tries whether mail to its return addresses comes back to it.
`},
	{words: "a bounce", kind: "bounce", text: `From: Mail Delivery System <MAILER-DAEMON@{domain}>
To: <{address}>
Date: {date}
Subject: Undelivered Mail Returned to Sender
Message-ID: <trial.bounce.{address}>
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="=_trial"

--=_trial
Content-Type: text/plain; charset=us-ascii

<nobody@example.net>: 550 5.1.1 no such user here
--=_trial
Content-Type: message/delivery-status

Reporting-MTA: dns; trial.{domain}

Final-Recipient: rfc822; nobody@example.net
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 no such user here
--=_trial--
`},
	{words: "a complaint", kind: "complaint", text: `From: Feedback Loop <postmaster@{domain}>
To: <{address}>
Date: {date}
Subject: Complaint about a message
Message-ID: <trial.complaint.{address}>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="=_trial"

--=_trial
Content-Type: text/plain; charset=us-ascii

A person called this message spam.
--=_trial
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: Trial/1.0
Version: 1
--=_trial
Content-Type: message/rfc822

From: news@{domain}
To: nobody@example.net
Subject: News

News.
--=_trial--
`},
	{words: "an automatic answer", kind: "auto_reply", text: `From: Ann <nobody@example.net>
To: <{address}>
Date: {date}
Subject: Out of office: News
Message-ID: <trial.answer.{address}>
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: text/plain; charset=us-ascii

I am away until Monday and will answer then.
`},
}
