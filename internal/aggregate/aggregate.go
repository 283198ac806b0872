// Package aggregate understands the reports that receivers of mail send about
// a domain: DMARC aggregate reports (RFC 7489 section 7.2 and appendix C, and
// their later form of RFC 9990) and reports about TLS (RFC 8460). It is pure.
//
// Whoever knows the address for reports can write one. What a report says is
// what somebody claims, and who that is nothing proves.
package aggregate

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"time"

	"homing/internal/message"
)

// Bounds of what is read of one mail. Whoever sends it chooses its shape;
// these bound what it can cost, and what it gives.
const (
	MaxAttachments = 20       // parts that are looked at, those of messages in the mail as well
	MaxEntries     = 10       // files in a zip
	MaxOutput      = 16 << 20 // octets of all reports, their compression undone
	MaxRatio       = 200      // how often larger a report is than its archive, over 1 MiB
	MaxRows        = 20_000   // rows, policies and failures of all reports
	MaxText        = 255      // octets of any text in a report
	MaxCount       = 1_000_000_000

	maxWalk     = 10 * time.Second // computing; few mails are read at a time
	maxJSON     = 4 << 20
	maxElements = 500_000
	maxDepth    = 20
	maxToken    = 64 << 10
	maxResults  = 8     // signatures of a row that are kept
	maxMembers  = 1_000 // of a gzip
)

// Reports is what a mail brings.
type Reports struct {
	DMARC  []DMARC
	TLS    []TLS
	Faults []Fault // one for each attachment that is not understood, or that there is no report
}

// A Head is what all reports begin with. Org and ID are as the sender wrote
// them, on one line, and may be empty.
type Head struct {
	Org        string
	ID         string
	Begin, End time.Time // UTC; End is not before Begin
}

// A DMARC is a DMARC aggregate report about one domain.
type DMARC struct {
	Head
	Domain string // that has the policy: lower case, A-labels
	Policy string // "none", "quarantine", "reject"; "": not said
	Rows   []Row
}

// A Row is messages from one source that were treated alike.
type Row struct {
	Source      netip.Addr // not valid: the report does not say
	Count       int        // 1 to MaxCount
	Disposition string     // "none", "quarantine", "reject"; "": not said
	DKIM, SPF   bool       // passes, for a domain that is aligned with the author's
	Forwarded   bool       // the reporter takes it for forwarded mail, or a list's
	From        string     // domain of the author; "": not said
	Signatures  []Result   // DKIM
	Senders     []Result   // SPF: of the envelope sender or HELO
}

// Passes reports whether the messages pass DMARC (RFC 7489 section 6.6.2).
func (r *Row) Passes() bool { return r.DKIM || r.SPF }

// A Result is what DKIM or SPF said of one domain.
type Result struct {
	Domain   string
	Selector string // of DKIM
	Pass     bool
}

// A TLS is a report about TLS with the mail hosts of some domains.
type TLS struct {
	Head
	Policies []Policy
}

// A Policy is how TLS went under one policy of a domain.
type Policy struct {
	Domain       string // lower case, A-labels
	Type         string // one of PolicyTypes
	Good, Failed int    // sessions, at most MaxCount
	Failures     []Failure
}

// A Failure is sessions that failed for one reason.
type Failure struct {
	Type  string // one of FailureTypes
	Count int    // 1 to MaxCount
}

// Other stands for a type that no RFC names.
const Other = "other"

// PolicyTypes are those of RFC 8460 section 4.4, and Other.
var PolicyTypes = []string{"tlsa", "sts", "no-policy-found", Other}

// FailureTypes are those of RFC 8460 section 4.3, and Other.
var FailureTypes = []string{
	"starttls-not-supported", "certificate-host-mismatch", "certificate-expired", "certificate-not-trusted", "validation-failure",
	"tlsa-invalid", "dnssec-invalid", "dane-required", "sts-policy-fetch-error", "sts-policy-invalid", "sts-webpki-invalid", Other,
}

// A Reason is why something is not understood.
type Reason string

// The reasons, a closed set.
const (
	None       Reason = "none"       // there is no report in the mail
	Damaged    Reason = "damaged"    // compression or encoding cannot be undone
	TooBig     Reason = "too_big"    // it passes a bound
	Nested     Reason = "nested"     // an archive in an archive
	Syntax     Reason = "syntax"     // it is no XML, or no JSON
	Incomplete Reason = "incomplete" // it does not say about whom or when
)

// Reasons are all of them.
var Reasons = []Reason{None, Damaged, TooBig, Nested, Syntax, Incomplete}

// A Fault is why an attachment, or all of a mail, is not understood.
type Fault struct {
	Reason Reason
	Detail string // for people
}

func (f Fault) Error() string { return f.Detail }

func faultf(r Reason, format string, args ...any) Fault {
	return Fault{r, fmt.Sprintf(format, args...)}
}

// Read reads a mail to its end and gives the reports in it, whatever their
// types and names say: zip, gzip, XML or JSON, in attachments or as the whole
// content, also of a message that somebody passes on. What it cannot understand is a Fault; an error is one of r. Memory
// is bounded by the constants, whatever comes.
func Read(r io.Reader) (Reports, error) {
	x := &reading{output: MaxOutput, rows: MaxRows, parts: MaxAttachments}
	limited, err := x.mail(r, true)
	if err != nil {
		return Reports{}, fmt.Errorf("reading a report: %w", err)
	}
	switch found := len(x.out.DMARC) + len(x.out.TLS) + len(x.out.Faults); {
	case found > 0:
	case limited || x.parts < 0:
		x.fault(faultf(TooBig, "no report is in the first %d parts of the mail", MaxAttachments))
	default:
		x.fault(faultf(None, "there is no report in the mail"))
	}
	return x.out, nil
}

// A reading is one mail being read.
type reading struct {
	out    Reports
	output int64 // octets that may still be unpacked
	rows   int   // rows that may still be kept
	parts  int   // parts that may still be looked at
}

// mail reads the parts of a mail, and where it is the outer one those of
// messages in it. limited says that there is more.
func (x *reading) mail(r io.Reader, outer bool) (limited bool, err error) {
	mail, err := message.Walker{Keep: message.MaxKept, Limit: maxWalk}.Walk(r)
	if err != nil {
		return false, err
	}
	limited = mail.Limited
	for i := range mail.Parts {
		if x.parts--; x.parts < 0 {
			break
		}
		p := &mail.Parts[i]
		if !outer || p.Type != "message/rfc822" {
			x.part(p)
			continue
		}
		inner, err := x.mail(bytes.NewReader(p.Bytes()), false)
		if err != nil {
			return false, err
		}
		limited = limited || inner || p.Cut()
	}
	return limited, nil
}

func (x *reading) fault(f Fault) { x.out.Faults = append(x.out.Faults, f) }

// row takes a row from those that there may be.
func (x *reading) row() error {
	if x.rows--; x.rows < 0 {
		return faultf(TooBig, "there are more than %d rows", MaxRows)
	}
	return nil
}
