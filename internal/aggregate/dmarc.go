package aggregate

import (
	"bufio"
	"io"
	"slices"
	"strings"
	"time"

	"homing/internal/dnsx"
)

// dmarc reads a DMARC aggregate report (RFC 7489 appendix C), to the end of
// its archive, so that the checksum counts.
func (x *reading) dmarc(in *bufio.Reader) error {
	r := &dmarcReader{row: x.row}
	if err := elements(in, "feedback", r); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, in); err != nil {
		return err
	}
	out, err := r.finish()
	if err == nil {
		x.out.DMARC = append(x.out.DMARC, out)
	}
	return err
}

// A dmarcReader puts a report together from its elements.
type dmarcReader struct {
	row   func() error // asks whether there may be one more
	out   DMARC
	email string
	now   record
	adkim string
	aspf  string
}

// A record is one row of a report while it is read.
type record struct {
	Row
	result    Result // the one being read
	scope     string
	counted   bool // there was a count
	dkim, spf string
}

func (r *dmarcReader) open(path string) error {
	switch path {
	case "feedback/record":
		r.now = record{}
		return r.row()
	case "auth_results/dkim", "auth_results/spf":
		r.now.result, r.now.scope = Result{}, ""
	}
	return nil
}

// dmarcFields says what the text of an element is. Identities is what early
// drafts call identifiers.
var dmarcFields = map[string]func(r *dmarcReader, text string){
	"report_metadata/org_name":     func(r *dmarcReader, s string) { r.out.Org = clip(s) },
	"report_metadata/email":        func(r *dmarcReader, s string) { r.email = domainOf(s) },
	"report_metadata/report_id":    func(r *dmarcReader, s string) { r.out.ID = clip(s) },
	"date_range/begin":             func(r *dmarcReader, s string) { r.out.Begin = timeOf(s) },
	"date_range/end":               func(r *dmarcReader, s string) { r.out.End = timeOf(s) },
	"policy_published/domain":      func(r *dmarcReader, s string) { r.out.Domain = domainOf(s) },
	"policy_published/p":           func(r *dmarcReader, s string) { r.out.Policy = oneOf(s, "none", "quarantine", "reject") },
	"policy_published/adkim":       func(r *dmarcReader, s string) { r.adkim = oneOf(s, "r", "s") },
	"policy_published/aspf":        func(r *dmarcReader, s string) { r.aspf = oneOf(s, "r", "s") },
	"row/source_ip":                func(r *dmarcReader, s string) { r.now.Source = addressOf(s) },
	"row/count":                    func(r *dmarcReader, s string) { r.now.Count, _ = countOf(s); r.now.counted = true },
	"policy_evaluated/disposition": func(r *dmarcReader, s string) { r.now.Disposition = dispositionOf(s) },
	"policy_evaluated/dkim":        func(r *dmarcReader, s string) { r.now.dkim = word(s) },
	"policy_evaluated/spf":         func(r *dmarcReader, s string) { r.now.spf = word(s) },
	"reason/type":                  func(r *dmarcReader, s string) { r.now.forwarded(word(s)) },
	"identifiers/header_from":      func(r *dmarcReader, s string) { r.now.From = domainOf(s) },
	"identities/header_from":       func(r *dmarcReader, s string) { r.now.From = domainOf(s) },
	"dkim/domain":                  func(r *dmarcReader, s string) { r.now.result.Domain = domainOf(s) },
	"dkim/selector":                func(r *dmarcReader, s string) { r.now.result.Selector = strings.ToLower(clip(s)) },
	"dkim/result":                  func(r *dmarcReader, s string) { r.now.result.Pass = word(s) == "pass" },
	"spf/domain":                   func(r *dmarcReader, s string) { r.now.result.Domain = domainOf(s) },
	"spf/scope":                    func(r *dmarcReader, s string) { r.now.scope = word(s) },
	"spf/result":                   func(r *dmarcReader, s string) { r.now.result.Pass = word(s) == "pass" },
	"auth_results/dkim":            func(r *dmarcReader, _ string) { r.now.Signatures = add(r.now.Signatures, r.now.result) },
	"auth_results/spf":             func(r *dmarcReader, _ string) { r.now.Senders = add(r.now.Senders, r.now.result) },
	"feedback/record":              func(r *dmarcReader, _ string) { r.keep() },
}

func (r *dmarcReader) close(path, text string) error {
	if take := dmarcFields[path]; take != nil {
		take(r, text)
	}
	return nil
}

func word(s string) string { return strings.ToLower(clip(s)) }

// oneOf gives a word if it is one of those that there are.
func oneOf(s string, words ...string) string {
	if s = word(s); slices.Contains(words, s) {
		return s
	}
	return ""
}

// dispositionOf reads what became of a message; "pass" is RFC 9990's word for
// one that passes.
func dispositionOf(s string) string {
	if word(s) == "pass" {
		return "none"
	}
	return oneOf(s, "none", "quarantine", "reject")
}

func (n *record) forwarded(why string) {
	n.Forwarded = n.Forwarded || slices.Contains([]string{"forwarded", "mailing_list", "trusted_forwarder"}, why)
}

func add(all []Result, r Result) []Result {
	if r.Domain == "" || len(all) >= maxResults {
		return all
	}
	return append(all, r)
}

// keep takes a row. Where the reporter does not say how it judged, its results
// do. One without a count is one message; one of no message is none.
func (r *dmarcReader) keep() {
	n := &r.now
	if !n.counted {
		n.Count = 1
	}
	if n.Count == 0 {
		return
	}
	n.DKIM, n.SPF = n.dkim == "pass", n.spf == "pass"
	from := n.From
	if from == "" {
		from = r.out.Domain
	}
	if n.dkim == "" {
		n.DKIM = aligned(n.Signatures, from, r.adkim)
	}
	if n.spf == "" {
		n.SPF = aligned(n.Senders, from, r.aspf)
	}
	r.out.Rows = append(r.out.Rows, n.Row)
}

// aligned reports whether a result passes for the author's domain (RFC 7489
// section 3.1).
func aligned(all []Result, from, mode string) bool {
	return slices.ContainsFunc(all, func(r Result) bool {
		return r.Pass && from != "" && (r.Domain == from || mode != "s" && dnsx.Organisation(r.Domain) == dnsx.Organisation(from))
	})
}

// maxSpan is the longest time that a report is about.
const maxSpan = 32 * 24 * time.Hour

// finish gives the report, if it says what one must say.
func (r *dmarcReader) finish() (DMARC, error) {
	out := r.out
	if out.Org == "" {
		out.Org = r.email
	}
	if out.Domain == "" && len(out.Rows) > 0 {
		out.Domain = out.Rows[0].From
	}
	if out.Domain == "" {
		return out, faultf(Incomplete, "the report does not say which domain it is about")
	}
	return out, out.Head.check()
}

// check completes a head, or says what it lacks.
func (h *Head) check() error {
	if h.Begin.IsZero() {
		return faultf(Incomplete, "the report does not say which time it is about")
	}
	h.spanOf()
	if h.End.Sub(h.Begin) > maxSpan {
		return faultf(Incomplete, "the report is about more than a month, which cannot be told apart by day")
	}
	return nil
}
