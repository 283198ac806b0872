package civicrmtest

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"net/textproto"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// FetchBounces is the scheduled job of that name: the Email Processor reads
// every file in cur and new of a Maildir and puts it into a folder of what it
// understood, or of the rest. It gives how many it understood.
func (s *Site) FetchBounces(dir string) (processed int, err error) {
	for _, in := range []string{"cur", "new"} {
		files, err := os.ReadDir(filepath.Join(dir, in))
		if err != nil {
			return processed, fmt.Errorf("civicrmtest: both cur and new have to be there: %w", err)
		}
		for _, f := range files {
			path := filepath.Join(dir, in, f.Name())
			octets, err := os.ReadFile(path)
			if err != nil {
				return processed, err
			}
			to := "CiviMail.ignored"
			if s.process(octets) {
				processed++
				to = "CiviMail.processed"
			}
			if err := os.MkdirAll(filepath.Join(dir, to), 0o700); err != nil {
				return processed, err
			}
			if err := os.Rename(path, filepath.Join(dir, to, f.Name())); err != nil {
				return processed, err
			}
		}
	}
	return processed, nil
}

// process does what a mail asks for; it reports whether it was understood.
func (s *Site) process(octets []byte) bool {
	m, err := mail.ReadMessage(bytes.NewReader(octets))
	if err != nil {
		return false
	}
	body, err := io.ReadAll(m.Body)
	if err != nil {
		return false
	}
	action, job, queue, hash := s.match(m.Header, body)
	call := Call{Params: map[string]any{"job_id": job, "event_queue_id": queue, "hash": hash, "body": said(m.Header, body), "bounce_reason": "", "replyTo": "x"}}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch action {
	case "b":
		return s.eventBounce(call) == nil
	case "r":
		return s.eventReply(call) == nil
	case "u", "o":
		call.Params["org_unsubscribe"] = action == "o"
		return s.unsubscribe(call) == nil
	case "e":
		return s.resubscribe(call) == nil
	}
	return false
}

// match looks for an address of the site, in CiviCRM's order: the recipients,
// then two fields in the text of the body, then the topmost Delivered-To.
func (s *Site) match(h mail.Header, body []byte) (action, job, queue, hash string) {
	sep := regexp.QuoteMeta(cmp.Or(s.Separator, "."))
	address := regexp.QuoteMeta(s.Prefix) + `([bceoru])` + sep + `(\d+)` + sep + `(\d+)` + sep + `([0-9a-z]{16})@` + regexp.QuoteMeta(s.Domain)
	var found []string
	to, _ := h.AddressList("To")
	for _, a := range to {
		if m := regexp.MustCompile("^" + address + "$").FindStringSubmatch(a.Address); m != nil && found == nil {
			found = m
		}
	}
	for _, field := range []string{"Return-Path", "X-CiviMail-Bounce"} {
		if found == nil {
			found = regexp.MustCompile(field + `:\s*` + address).FindStringSubmatch(string(body))
		}
	}
	if all := h[textproto.CanonicalMIMEHeaderKey("Delivered-To")]; found == nil && len(all) > 0 {
		found = regexp.MustCompile("^" + address + "$").FindStringSubmatch(strings.TrimSpace(all[0]))
	}
	if found == nil {
		return "", "", "", ""
	}
	return found[1], found[2], found[3], found[4]
}

// said is the text that the patterns are tried on: Diagnostic-Code of a report,
// else the whole body. Nobody looks at Action.
func said(h mail.Header, body []byte) string {
	kind, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || !strings.HasPrefix(kind, "multipart/") {
		return string(body)
	}
	parts := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	for {
		p, err := parts.NextPart()
		if err != nil {
			return string(body)
		}
		text, _ := io.ReadAll(p)
		if p.Header.Get("Content-Type") != "message/delivery-status" {
			continue
		}
		lines := strings.Split(strings.ReplaceAll(string(text), "\r\n ", " "), "\r\n")
		if i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "Diagnostic-Code:") }); i >= 0 {
			return lines[i]
		}
	}
}
