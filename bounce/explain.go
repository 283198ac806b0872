package bounce

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"strings"
)

// kindWords say what each Kind is.
var kindWords = map[Kind]string{
	Bounce:      "a bounce: mail could not be delivered",
	Delayed:     "a notice of delay: the other system keeps trying; not a failure",
	Delivered:   "a delivery receipt",
	Complaint:   "a complaint: somebody called our mail unwanted",
	AutoReply:   "an automatic reply",
	Challenge:   "a challenge: a system asks the sender to prove himself",
	Disposition: "a disposition notification: what became of the mail when it was opened",
	Unsubscribe: "a request to get no more mail",
	Message:     "an ordinary message",
}

// classWords say what each Class does.
var classWords = map[Class]string{
	Hard:   "the address cannot receive mail",
	Soft:   "something at the recipient's side failed this time",
	Sender: "it is us; nothing counts against the person",
	None:   "not a failure",
}

// Explain writes for people what a Report says: which rule decided, what it
// matched, and which others would have. An error is one of w.
func (rd *Reader) Explain(w io.Writer, r Report) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "This is %s", cmp.Or(kindWords[r.Kind], string(r.Kind)))
	if r.Format != "" {
		fmt.Fprintf(&b, " (%s)", r.Format)
	}
	b.WriteString(".\n")
	if r.Unparsed {
		b.WriteString("It passes our limits, so only its beginning was read.\n")
	}
	for _, x := range r.Recipients {
		rd.explainRecipient(&b, x)
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (rd *Reader) explainRecipient(b *bytes.Buffer, x Recipient) {
	v := x.Verdict
	fmt.Fprintf(b, "\n  %s\n", printable(cmp.Or(x.Address, "(a recipient that is not named)")))
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(b, "    %-11s %s\n", name, printable(value))
		}
	}
	if !strings.EqualFold(x.Original, x.Address) {
		line("originally", x.Original)
	}
	line("action", x.Action)
	line("status", x.Status)
	line("they said", x.Diagnostic)
	line("at", x.RemoteMTA)
	line("class", string(v.Class)+": "+classWords[v.Class])
	line("reason", strings.TrimSpace(string(v.Reason)+civiWords(v.CiviCRM)))
	switch v.Rule {
	case "":
	case NoRule:
		line("because", "no rule matched")
	default:
		line("because", fmt.Sprintf("rule %s matched %q", v.Rule, v.Matched))
	}
	if x.judged == (Evidence{}) {
		return
	}
	for _, m := range rd.Table.Explain(x.judged) {
		if m.Rule != v.Rule {
			line("also", fmt.Sprintf("rule %s would say %s, %s: %q", m.Rule, m.Class, m.Reason, m.Matched))
		}
	}
}

func civiWords(kind string) string {
	if kind == "" {
		return ""
	}
	return " (CiviCRM: " + kind + ")"
}

// printable keeps control characters of strangers off a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}
