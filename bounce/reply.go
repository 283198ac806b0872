package bounce

import (
	"bufio"
	"bytes"
	"io"
	"strings"
)

// maxReply is the longest text that is taken for a bare reply, in octets.
const maxReply = 4 << 10

// ReadAny says what people paste or pipe in means: a message, as Read does, or
// a bare reply ("550 5.1.1 …", over several lines or not), or one line of a log
// that quotes a reply. An error is one of r.
//
// Mail that comes in is for Read: whoever writes us a reply code has refused
// nothing.
func (rd *Reader) ReadAny(r io.Reader) (Report, error) {
	in := bufio.NewReaderSize(r, maxReply+1)
	// An error of Peek comes back from Read.
	if head, err := in.Peek(maxReply + 1); err == io.EOF && isReply(head) {
		return rd.reply(string(head)), nil
	}
	return rd.Read(in)
}

// isReply reports whether a whole text is a reply and no message.
func isReply(text []byte) bool {
	text = bytes.TrimSpace(text)
	if len(text) >= 3 && (text[0] == '4' || text[0] == '5') && digit(text[1]) && digit(text[2]) && (len(text) == 3 || text[3] == ' ' || text[3] == '-') {
		return true
	}
	// What a log says of an outcome may have no code.
	if code, _ := findReply(string(text)); code == 0 && !logOutcome.Match(text) || !hasWords(string(text)) {
		return false
	}
	name, _, field := bytes.Cut(text, []byte(":"))
	// A date may go before a log's first colon, and that is no field's name.
	field = field && !bytes.ContainsAny(name, " \t[") && !digit(text[0])
	return !field && !bytes.ContainsRune(text, '\n')
}

// reply makes the Report of a bare reply: what the delivery that got it would
// have been told.
func (rd *Reader) reply(text string) Report {
	line, logged := readLogLine(text)
	if logged {
		text = line.text
	}
	r := Recipient{Action: "failed", Address: line.address, Status: line.status, RemoteMTA: line.host, Diagnostic: strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " ")}
	if _, rest, ok := strings.Cut(text, "<"); ok && r.Address == "" { // the recipient, in a reply to RCPT and in logs
		if a := firstAddress(rest); strings.HasPrefix(rest, a+">") {
			r.Address = a
		}
	}
	rd.judge(&letter{}, &r, text)
	report := Report{Kind: Bounce, Format: "reply"}
	if r.Code/100 == 4 || line.delayed {
		report.Kind, r.Action = Delayed, "delayed"
	}
	report.Recipients = []Recipient{r}
	return report
}
