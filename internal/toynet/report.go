package toynet

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"html"
	"io"
	"mime/quotedprintable"
	"strings"
	"time"

	"homing/internal/reply"
)

// userUnknown is what a last hop says when a Later does not say otherwise.
var userUnknown = reply.Reply{Code: 550, Enhanced: reply.Enhanced{5, 1, 1}, Text: "<{rcpt}>: Recipient address rejected: User unknown"}

// PostfixDSN is a report of a failure as Postfix writes it: a multipart/report
// with the headers of the message (RFC 3464).
func PostfixDSN(o Original) Letter {
	return postfix(o, "failed", "Undelivered Mail Returned to Sender", `I'm sorry to have to inform you that your message could not
be delivered to one or more recipients. It's attached below.
`)
}

// PostfixDelay is a report as Postfix writes it while it goes on trying.
func PostfixDelay(o Original) Letter {
	return postfix(o, "delayed", "Delayed Mail (still being retried)", `####################################################################
# THIS IS A WARNING ONLY.  YOU DO NOT NEED TO RESEND YOUR MESSAGE. #
####################################################################

Your message could not be delivered for more than 4 hour(s).
It will be retried until it is 5 day(s) old.
`)
}

func postfix(o Original, action, subject, opening string) Letter {
	why, store := o.why(), "store."+o.domain()
	boundary := fmt.Sprintf("%s.%d/%s", o.ID, o.Now.Unix(), o.Host)
	b := o.begin(fmt.Sprintf("MAILER-DAEMON@%s (Mail Delivery System)", o.Host), o.From, subject)
	fmt.Fprintf(b, `Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
	boundary="%[1]s"

This is a MIME-encapsulated message.

--%[1]s
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

This is the mail system at host %[2]s.

%[3]s
For further assistance, please send mail to postmaster.

                   The mail system

<%[4]s>: host %[5]s[%[6]s] said: %[7]s (in reply to
    RCPT TO command)

--%[1]s
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; %[2]s
X-Postfix-Queue-ID: %[8]s
X-Postfix-Sender: rfc822; %[9]s
Arrival-Date: %[10]s

Final-Recipient: rfc822; %[4]s
Original-Recipient: rfc822;%[4]s
Action: %[11]s
Status: %[12]s
Remote-MTA: dns; %[5]s
Diagnostic-Code: smtp; %[7]s

--%[1]s
Content-Description: Undelivered Message Headers
Content-Type: text/rfc822-headers

%[13]s
--%[1]s--
`, boundary, o.Host, opening, o.To, store, o.Addr, why, o.ID, o.From, date(o.Arrived), action, why.Enhanced, returned(o))
	return Letter{To: o.From, Message: b.Bytes()}
}

// EximBounce is a bounce as Exim writes it without its DSN option: plain text,
// a copy of the message, and one header field of its own.
func EximBounce(o Original) Letter {
	b := o.begin("Mail Delivery System <Mailer-Daemon@"+o.Host+">", o.From, "Mail delivery failed: returning message to sender")
	fmt.Fprintf(b, `X-Failed-Recipients: %[1]s
Auto-Submitted: auto-replied

This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  %[1]s
    host store.%[2]s [%[3]s]
    SMTP error from remote mail server after RCPT TO:<%[1]s>:
    %[4]s

------ This is a copy of the message's headers. ------

%[5]s`, o.To, o.domain(), o.Addr, o.why(), returned(o))
	return Letter{To: o.From, Message: b.Bytes()}
}

// ExchangeDSN is a report as Microsoft Exchange writes it: text and HTML in
// transfer encodings, then the machine-readable part.
func ExchangeDSN(o Original) Letter {
	why := o.why()
	text := fmt.Sprintf(`Delivery has failed to these recipients or groups:

%[1]s<mailto:%[1]s>
The email address you entered couldn't be found. Please check the recipient's
email address and try to resend the message. If the problem continues, please
contact your helpdesk.


Diagnostic information for administrators:

Generating server: %[2]s

%[1]s
Remote Server returned '%[3]s'

Original message headers:

%[4]s`, o.To, o.Host, why, returned(o))
	b := o.begin("<postmaster@"+o.domain()+">", "<"+o.From+">", "Undeliverable: "+o.subject())
	fmt.Fprintf(b, `MIME-Version: 1.0
X-MS-Exchange-Message-Is-Ndr:
Auto-Submitted: auto-replied
Content-Language: en-US
Content-Type: multipart/report; report-type=delivery-status;
	boundary="_%[1]s_report_"

--_%[1]s_report_
Content-Type: multipart/alternative; differences=Content-Type;
	boundary="_%[1]s_text_"

--_%[1]s_text_
Content-Type: text/plain; charset="us-ascii"
Content-Transfer-Encoding: quoted-printable

%[2]s
--_%[1]s_text_
Content-Type: text/html; charset="us-ascii"
Content-Transfer-Encoding: base64

%[3]s
--_%[1]s_text_--

--_%[1]s_report_
Content-Type: message/delivery-status

Reporting-MTA: dns;%[4]s
Arrival-Date: %[5]s

Final-Recipient: rfc822;%[6]s
Action: failed
Status: %[7]s
Diagnostic-Code: smtp;%[8]s

--_%[1]s_report_
Content-Type: message/rfc822

%[9]s

--_%[1]s_report_--
`, o.ID, quoted(text), wrapped64("<html><body><pre>"+html.EscapeString(text)+"</pre></body></html>"),
		o.Host, date(o.Arrived), o.To, why.Enhanced, why, returned(o))
	return Letter{To: o.From, Message: b.Bytes()}
}

// Complaint is a feedback report of type abuse (ARF, RFC 5965), as a provider
// sends it when somebody presses "this is spam".
func Complaint(o Original) Letter {
	b := o.begin("feedback@"+o.domain(), o.From, "Abuse report: "+o.subject())
	fmt.Fprintf(b, `MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report;
	boundary="arf_%[1]s"

--arf_%[1]s
Content-Type: text/plain; charset="US-ASCII"
Content-Transfer-Encoding: 7bit

This is an email abuse report for an email message received from
%[2]s on %[3]s.

--arf_%[1]s
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: ToyFeedback/1.0
Version: 1
Original-Mail-From: <%[4]s>
Original-Rcpt-To: <%[5]s>
Arrival-Date: %[3]s
Source-IP: %[2]s
Reporting-MTA: dns; %[6]s

--arf_%[1]s
Content-Type: message/rfc822
Content-Disposition: inline

%[7]s

--arf_%[1]s--
`, o.ID, o.Peer, date(o.Arrived), o.From, o.To, o.Host, returned(o))
	return Letter{To: o.From, Message: b.Bytes()}
}

// begin writes the first fields of a message from a mail system.
func (o Original) begin(from, to, subject string) *bytes.Buffer {
	b := new(bytes.Buffer)
	fmt.Fprintf(b, "Date: %s\nFrom: %s\nTo: %s\nSubject: %s\nMessage-ID: <%s.%d@%s>\n",
		date(o.Now), from, to, subject, o.ID, o.Now.UnixNano(), o.Host)
	return b
}

// why is what the last hop said, with the recipient put in.
func (o Original) why() reply.Reply { return filled(o.Why, o.Peer.String(), o.To) }

func (o Original) domain() string {
	_, domain := cutAddress(o.To)
	return domain
}

// field gives one field of the header; "" when it is absent or cannot be read.
func (o Original) field(name string) string {
	fields, _ := split(append(bytes.Clone(o.Header), "\r\n"...))
	return fields.Get(name)
}

func (o Original) subject() string { return o.field("Subject") }

// returned is the header of the message as reports quote it.
func returned(o Original) string {
	return strings.ReplaceAll(string(o.Header), "\r\n", "\n")
}

// date is a date and time as RFC 5322 section 3.3 wants it.
func date(t time.Time) string { return t.Format("Mon, 02 Jan 2006 15:04:05 -0700") }

// quoted is text in quoted-printable (RFC 2045 section 6.7).
func quoted(text string) string {
	var b strings.Builder
	w := quotedprintable.NewWriter(&b)
	io.WriteString(w, text) // a strings.Builder never fails
	w.Close()
	return strings.ReplaceAll(b.String(), "\r\n", "\n") // its soft line breaks
}

// wrapped64 is text in base64 (RFC 2045 section 6.8), 76 characters a line.
func wrapped64(text string) string {
	code := base64.StdEncoding.EncodeToString([]byte(text))
	var b strings.Builder
	for len(code) > 76 {
		b.WriteString(code[:76] + "\n")
		code = code[76:]
	}
	return b.String() + code
}
