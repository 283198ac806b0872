package tlsrpt

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// An Author is who reports.
type Author struct {
	Organization string
	Contact      string // an address for questions
	From         string // the author of mails, whose domain signs them; "": none are sent
	Submitter    string // the domain name of the reporting server
}

// A report is what one domain is told of one day, in the words of RFC 8460
// section 4.4.
type report struct {
	Organization string         `json:"organization-name"`
	Range        dateRange      `json:"date-range"`
	Contact      string         `json:"contact-info,omitempty"`
	ID           string         `json:"report-id"`
	Policies     []reportPolicy `json:"policies"`

	domain string
	author Author
}

type dateRange struct {
	Start time.Time `json:"start-datetime"`
	End   time.Time `json:"end-datetime"`
}

type reportPolicy struct {
	Policy struct {
		Type    Kind     `json:"policy-type"`
		Strings []string `json:"policy-string,omitempty"`
		Domain  string   `json:"policy-domain"`
		MXHosts []string `json:"mx-host,omitempty"`
	} `json:"policy"`
	Summary struct {
		Good int `json:"total-successful-session-count"`
		Bad  int `json:"total-failure-session-count"`
	} `json:"summary"`
	Failures []reportFailure `json:"failure-details,omitempty"`
}

type reportFailure struct {
	Type   ResultType `json:"result-type"`
	Local  string     `json:"sending-mta-ip,omitempty"`
	MX     string     `json:"receiving-mx-hostname,omitempty"`
	Remote string     `json:"receiving-ip,omitempty"`
	Count  int        `json:"failed-session-count"`
	Reason string     `json:"failure-reason-code,omitempty"`
}

// dayForm names a day.
const dayForm = "2006-01-02"

// newReport makes the report about a domain and the day that begins at start.
func newReport(domain string, start time.Time, tallies []tally, by Author) report {
	r := report{Organization: by.Organization, Contact: by.Contact, domain: domain, author: by,
		ID:    fmt.Sprintf("%s.%s@%s", start.Format(dayForm), domain, by.Submitter),
		Range: dateRange{start, start.Add(24*time.Hour - time.Second)}}
	for _, t := range tallies {
		var p reportPolicy
		p.Policy.Type, p.Policy.Strings, p.Policy.Domain, p.Policy.MXHosts = t.Policy.Kind, t.Policy.Lines, t.Policy.Domain, t.Policy.hosts()
		p.Summary.Good, p.Summary.Bad = t.Good, t.Bad
		for _, c := range t.Failures {
			f := reportFailure{Type: c.Type, MX: c.MX, Count: c.Count, Reason: c.Reason}
			if c.Local.IsValid() {
				f.Local = c.Local.String()
			}
			if c.Remote.IsValid() {
				f.Remote = c.Remote.String()
			}
			p.Failures = append(p.Failures, f)
		}
		r.Policies = append(r.Policies, p)
	}
	return r
}

// packed is the report as it travels.
func (r report) packed() ([]byte, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(text); err != nil {
		return nil, err
	}
	err = z.Close()
	return b.Bytes(), err
}

// file is the name of the report (RFC 8460 section 5.1).
func (r report) file() string {
	return fmt.Sprintf("%s!%s!%d!%d.json.gz", r.author.Submitter, r.domain, r.Range.Start.Unix(), r.Range.End.Unix())
}

// A Mail is a report on its way. It goes out under the null reverse-path, and
// whatever TLS the receiver asks for (RFC 8460 section 3).
type Mail struct {
	Key  string // the same for the same report
	To   string
	From string
	Head []byte // header block with its empty line
	Body []byte
}

const dateHeader = "Mon, 02 Jan 2006 15:04:05 -0700" // RFC 5322 section 3.3

// mail makes the mail to a receiver (RFC 8460 section 5.3).
func (r report) mail(to string, now time.Time) (Mail, error) {
	packed, err := r.packed()
	if err != nil {
		return Mail{}, err
	}
	boundary := "=_" + strings.NewReplacer(".", "_", "@", "_", "-", "_").Replace(r.Range.Start.Format(dayForm)) + "_tlsrpt"
	var h, b bytes.Buffer
	for _, f := range [][2]string{
		{"From", "<" + r.author.From + ">"},
		{"To", "<" + to + ">"},
		{"Date", now.Format(dateHeader)},
		{"Subject", fmt.Sprintf("Report Domain: %s\r\n Submitter: %s\r\n Report-ID: <%s>", r.domain, r.author.Submitter, r.ID)},
		{"Message-ID", "<" + r.ID + ">"},
		{"TLS-Report-Domain", r.domain},
		{"TLS-Report-Submitter", r.author.Submitter},
		{"TLS-Required", "No"},
		{"Auto-Submitted", "auto-generated"},
		{"MIME-Version", "1.0"},
		{"Content-Type", "multipart/report; report-type=\"tlsrpt\";\r\n boundary=\"" + boundary + "\""},
	} {
		fmt.Fprintf(&h, "%s: %s\r\n", f[0], f[1])
	}
	h.WriteString("\r\n")
	fmt.Fprintf(&b, "--%s\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n%s\r\n", boundary, r.words())
	fmt.Fprintf(&b, "--%s\r\nContent-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64\r\n"+
		"Content-Disposition: attachment;\r\n filename=\"%s\"\r\n\r\n", boundary, r.file())
	for text := base64.StdEncoding.EncodeToString(packed); text != ""; {
		n := min(len(text), 76)
		fmt.Fprintf(&b, "%s\r\n", text[:n])
		text = text[n:]
	}
	fmt.Fprintf(&b, "--%s--\r\n", boundary)
	return Mail{Key: "tlsrpt " + r.ID + " " + to, To: to, From: r.author.From, Head: h.Bytes(), Body: b.Bytes()}, nil
}

// words are the part for people.
func (r report) words() string {
	good, bad := 0, 0
	for _, p := range r.Policies {
		good, bad = good+p.Summary.Good, bad+p.Summary.Bad
	}
	return fmt.Sprintf("This is a report about TLS (RFC 8460) from %s.\r\nOn %s (UTC) it began %d sessions with the mail hosts of\r\n%s as it should, and %d failed. The attachment has the details.\r\n",
		r.author.Submitter, r.Range.Start.Format(dayForm), good, r.domain, bad)
}
