package bounce

import (
	"bytes"
	"strconv"
	"strings"

	"homing/internal/message"
)

// maxRecipients is how many recipients of one report are told. More than a
// few hundred is somebody's experiment.
const maxRecipients = 1000

// A statusReport is a delivery-status part (RFC 3464 section 2).
type statusReport struct {
	reportingMTA, arrival, envelopeID string
	recipients                        []recipientFields
	more                              bool // there were more than maxRecipients
}

// recipientFields are the fields of one recipient (RFC 3464 section 2.3).
type recipientFields struct {
	final, original, actual   string
	action, status, remote    string
	diagnostic, statusComment string
	code                      int  // where the status field holds a reply code
	retried                   bool // the report says until when
}

// parseStatus reads delivery-status fields. Groups in any order, groups run
// together and groups torn apart by empty lines are understood.
func parseStatus(text string) statusReport {
	var r statusReport
	var common recipientFields
	for _, block := range groups(text) {
		fields := message.ParseFields(block)
		var cur recipientFields
		named := false
		for i := range fields.Len() {
			name, body := fields.At(i)
			if named && strings.EqualFold(name, "Final-Recipient") && cur.final != "" {
				r.add(cur)
				cur, named = recipientFields{}, false
			}
			if r.message(name, body) {
				continue
			}
			named = cur.set(name, body) || named
		}
		switch n := len(r.recipients); {
		case named:
			r.add(cur)
		case n > 0 && r.recipients[n-1].action == "" && r.recipients[n-1].status == "":
			r.recipients[n-1].fill(cur)
		case common == recipientFields{}:
			common = cur
		}
	}
	for i := range r.recipients {
		r.recipients[i].fill(common)
	}
	if len(r.recipients) == 0 && (common.action != "" || common.status != "") {
		r.add(common)
	}
	return r
}

// groups splits text at empty lines.
func groups(text string) [][]byte {
	var all [][]byte
	rest := []byte(text)
	for len(rest) > 0 && len(all) < 4*maxRecipients {
		rest = bytes.TrimLeft(rest, "\r\n")
		end := len(rest)
		for i := 0; i+1 < len(rest); i++ {
			if rest[i] != '\n' {
				continue
			}
			line, _, _ := bytes.Cut(rest[i+1:], []byte("\n"))
			if len(bytes.TrimSpace(line)) == 0 {
				end = i + 1
				break
			}
		}
		if end > 0 {
			all = append(all, rest[:end])
		}
		rest = rest[end:]
		if i := bytes.IndexByte(rest, '\n'); i >= 0 && len(bytes.TrimSpace(rest[:i])) == 0 {
			rest = rest[i+1:]
		}
	}
	return all
}

func (r *statusReport) add(f recipientFields) {
	if len(r.recipients) >= maxRecipients {
		r.more = true
		return
	}
	r.recipients = append(r.recipients, f)
}

// addresses gives all addresses of the recipients.
func (r *statusReport) addresses() []string {
	var all []string
	for _, f := range r.recipients {
		all = append(all, f.final, f.original)
	}
	return all
}

// message takes a per-message field (RFC 3464 section 2.2).
func (r *statusReport) message(name, body string) bool {
	switch strings.ToLower(name) {
	case "reporting-mta":
		r.reportingMTA = body
	case "arrival-date":
		r.arrival = body
	case "original-envelope-id":
		r.envelopeID = body
	default:
		return false
	}
	return true
}

// set takes a per-recipient field and reports whether it names the recipient.
func (f *recipientFields) set(name, body string) bool {
	switch strings.ToLower(name) {
	case "final-recipient":
		f.final = typedAddress(body)
		return true
	case "original-recipient":
		f.original = typedAddress(body)
		return true
	case "x-actual-recipient":
		f.actual = typedAddress(body)
		return true
	case "action":
		f.action = action(body)
	case "status":
		f.setStatus(body)
	case "will-retry-until": // given for what is delayed alone
		f.retried = true
	case "remote-mta":
		f.remote = mtaName(body)
	case "diagnostic-code":
		if d := diagnosticText(body); len(d) > len(f.diagnostic) {
			f.diagnostic = d
		}
	}
	return false
}

// fill takes what is missing from another group.
func (f *recipientFields) fill(from recipientFields) {
	if f.action == "" {
		f.action, f.retried = from.action, f.retried || from.retried
	}
	if f.status == "" {
		f.status, f.statusComment, f.code = from.status, from.statusComment, from.code
	}
	if f.remote == "" {
		f.remote = from.remote
	}
	if f.diagnostic == "" {
		f.diagnostic = from.diagnostic
	}
}

// outcome is the action, or what the other fields say that it must be.
func (f *recipientFields) outcome() string {
	switch {
	case f.action != "":
		return f.action
	case f.retried:
		return "delayed"
	case strings.HasPrefix(f.status, "2."):
		return "delivered"
	}
	return ""
}

// setStatus reads a Status field: a code, and perhaps words behind it.
func (f *recipientFields) setStatus(body string) {
	body = strings.TrimSpace(body)
	if n := statusLen(body); n > 0 {
		f.status, body = body[:n], body[n:]
	} else if len(body) > 3 && body[3] == ' ' {
		if code, err := strconv.Atoi(body[:3]); err == nil && code >= 400 && code < 600 {
			f.code, body = code, body[4:]
		}
	}
	f.statusComment = strings.Trim(strings.TrimSpace(body), "()")
}

// action gives the word for what happened (RFC 3464 section 2.3.3), "" for one
// that means nothing.
func action(body string) string {
	word, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(body)), " ")
	switch word = strings.Trim(word, `;,.()"'`); word {
	case "failed", "failure", "fail", "error", "expired", "bounced", "undeliverable":
		return "failed"
	case "delayed", "delay", "deferred", "retrying", "retry", "queued":
		return "delayed"
	case "delivered", "relayed", "expanded":
		return word
	case "deliverable":
		return "delivered"
	}
	return ""
}

// mtaName gives the host of an MTA name field (RFC 3464 section 2.1.2).
func mtaName(body string) string {
	if kind, name, ok := strings.Cut(body, ";"); ok && !strings.ContainsRune(kind, '.') {
		body = name
	}
	return clip(strings.TrimSpace(body), 255)
}

// diagnosticText takes the type off a Diagnostic-Code (RFC 3464 section
// 2.3.6).
func diagnosticText(body string) string {
	kind, text, ok := strings.Cut(body, ";")
	unix := strings.EqualFold(strings.TrimSpace(kind), "x-unix") // then the text may be a bare exit code
	if ok && !unix && len(kind) < 32 && !strings.ContainsAny(strings.TrimSpace(kind), " <@") {
		body = text
	}
	return strings.Join(strings.Fields(strings.ToValidUTF8(body, "?")), " ")
}

// statusText finds delivery-status fields in text for people, where a broken
// gateway put them: from the first field to the message that came back.
func statusText(text string) string {
	first := -1
	for _, name := range []string{"reporting-mta:", "final-recipient:", "original-recipient:", "action:"} {
		if i := lineStarts(text, name); i >= 0 && (first < 0 || i < first) {
			first = i
		}
	}
	if first < 0 || lineStarts(text[first:], "final-recipient:") < 0 && lineStarts(text[first:], "original-recipient:") < 0 {
		return ""
	}
	text = text[first:]
	if lineStarts(text, "action:") < 0 && lineStarts(text, "status:") < 0 && lineStarts(text, "diagnostic-code:") < 0 {
		return ""
	}
	return text
}
