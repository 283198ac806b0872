package aggregate_test

import (
	"archive/zip"
	"bytes"
	"cmp"
	"compress/flate"
	"compress/gzip"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/txtar"

	"homing/internal/aggregate"
	"homing/internal/dnsx"
)

// A repeat gives a text again and again, as often as n says, and then an end.
type repeat struct {
	text string
	n    int
	end  string
}

func (r repeat) WriteTo(w io.Writer) (all int64, err error) {
	piece := strings.Repeat(r.text, 1000)
	for range r.n / 1000 {
		if _, err := io.WriteString(w, piece); err != nil {
			return all, err
		}
	}
	_, err = io.WriteString(w, r.end)
	return all, err
}

const (
	begin = "<feedback><report_metadata><date_range><begin>1795305600</begin></date_range></report_metadata><policy_published><domain>example.org</domain></policy_published>"
	row   = "<record><row><source_ip>203.0.113.9</source_ip><count>1</count></row></record>"
)

// inGzip packs something that may be far too large to have in memory.
func inGzip(t testing.TB, from io.WriterTo) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := from.WriteTo(z); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// overlapping is a zip whose files are all the same octets, as David Fifield's
// are: each entry of the directory names one content.
func overlapping(t testing.TB, entries int) []byte {
	t.Helper()
	one := zipped(t, map[string][]byte{"a.xml": bytes.Repeat([]byte(" "), 100<<10)}, "a.xml")
	at := bytes.Index(one, []byte("PK\x01\x02"))
	end := bytes.Index(one, []byte("PK\x05\x06"))
	listing := bytes.Repeat(one[at:end], entries)
	tail := bytes.Clone(one[end:])
	tail[8], tail[10] = byte(entries), byte(entries)
	size := len(listing)
	tail[12], tail[13], tail[14], tail[15] = byte(size), byte(size>>8), byte(size>>16), byte(size>>24)
	out := slices.Concat(one[:at], listing, tail)
	if z, err := zip.NewReader(bytes.NewReader(out), int64(len(out))); err != nil || len(z.File) != entries {
		t.Fatalf("the zip is not as it should be: %v", err)
	}
	return out
}

func attached(kind string, content []byte) string {
	return "Content-Type: " + kind + "\r\nContent-Transfer-Encoding: base64\r\n\r\n" + wrap(content) + "\r\n"
}

func manyParts(n int, kind, text string) string {
	return "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\nContent-Type: "+kind+"\r\n\r\n"+text+"\r\n", n) + "--b--\r\n"
}

// TestWhatIsTooMuchEndsWithAnErrorAndLittleMemory gives what is made to fill
// memory or to take for ever.
func TestWhatIsTooMuchEndsWithAnErrorAndLittleMemory(t *testing.T) {
	const zip = "application/zip"
	tests := []struct {
		name, mail string
		want       string // of the first fault
		most       uint64 // MiB that are allocated, one after the other; 0: 16
	}{
		{"a small gzip that becomes large", attached("application/gzip", inGzip(t, repeat{strings.Repeat(" ", 1000), 20_000, ""})), "made to fill memory", 0},
		{"a large gzip that becomes larger", attached("application/gzip", append(inGzip(t, repeat{strings.Repeat(" ", 1000), 20_000, ""}), make([]byte, 100<<10)...)), "more than 16777216 octets", 0},
		{"a gzip of what is no report", attached("application/gzip", inGzip(t, repeat{strings.Repeat("x", 1000), 20_000, ""})), "neither a DMARC report", 0},
		{"a name without end", attached("application/gzip", gzipped(t, []byte("<"+strings.Repeat("a", 100_000)))), "a piece of the XML", 0},
		{"a tag of many attributes", attached("text/xml", []byte("<feedback "+strings.Repeat("a='' ", 20_000)+">")), "a piece of the XML", 0},
		{"a comment that is too long", attached("text/xml", []byte("<feedback><!--"+strings.Repeat("x", 100_000)+"-->")), "a piece of the XML", 0},
		{"too many rows", attached("text/xml", []byte(begin+strings.Repeat(row, 20_001)+"</feedback>")), "more than 20000 rows", 64},
		{"too many elements", attached("text/xml", []byte(begin+strings.Repeat("<a/>", 600_000)+"</feedback>")), "more than 500000 elements", 128},
		{"too many elements inside each other", attached("text/xml", []byte("<feedback>"+strings.Repeat("<a>", 100_000))), "more than 20 elements inside", 0},
		{"entities that grow", attached("text/xml", []byte(`<!DOCTYPE feedback [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]><feedback>&b;</feedback>`)), "document type", 0},
		{"a zip of too many files", attached(zip, overlapping(t, 11)), "11 files", 0},
		{"a zip whose files are one", attached(zip, overlapping(t, 10)), "it is empty", 0},
		{"a gzip in a gzip", attached("application/gzip", gzipped(t, gzipped(t, []byte(begin)))), "archive in the archive", 0},
		{"a zip in a gzip", attached("application/gzip", gzipped(t, overlapping(t, 1))), "archive in the archive", 0},
		{"an attachment past what is kept", attached("application/gzip", append(gzipped(t, []byte(begin)), make([]byte, 4<<20)...)), "of which at most", 64},
		{"JSON that is too long", attached("application/tlsrpt+gzip", inGzip(t, repeat{`{"report-id":"1","x":"` + strings.Repeat("x", 1000), 10_000, `"}`})), "the JSON has more", 32},
		{"JSON of too many objects", attached("application/tlsrpt+json", []byte(`{"policies":[`+strings.Repeat("{},", 30_000)+`{}]}`)), "the JSON has more", 0},
		{"JSON of too many lists inside each other", attached("application/tlsrpt+json", []byte(`{"policies":`+strings.Repeat("[", 100_000))), "no JSON", 0},
		{"too many failures", attached("application/tlsrpt+json", []byte(`{"report-id":"1","policies":[`+strings.Repeat(`{"failure-details":null},`, 19_900)+
			`{"policy":{"policy-domain":"a.example"},"failure-details":[`+strings.TrimSuffix(strings.Repeat(`0,`, 60), ",")+`]}]}`)), "failure-details is a number", 0},
		{"many attachments that are no reports", manyParts(100, "text/plain", "hello"), "first 20 parts", 0},
		{"many attachments that are wrong", manyParts(150, "text/xml", "<feedback>"), "ends too early", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := strings.NewReader(tt.mail)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got, err := aggregate.Read(in)
			runtime.ReadMemStats(&after)
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Faults) == 0 || !strings.Contains(got.Faults[0].Detail, tt.want) || len(got.DMARC)+len(got.TLS) > 0 {
				t.Errorf("got %d and %d reports, faults %v, want one with %q", len(got.DMARC), len(got.TLS), got.Faults, tt.want)
			}
			// All that was allocated, collected or not: what is in use at once is less.
			if used := after.TotalAlloc - before.TotalAlloc; used > cmp.Or(tt.most, 16)<<20 {
				t.Errorf("%d octets were allocated, want at most %d MiB", used, cmp.Or(tt.most, 16))
			}
		})
	}
}

// TestAllReportsOfAMailTogetherAreBounded gives as many reports as there may
// be attachments, each of which alone is within the bounds.
func TestAllReportsOfAMailTogetherAreBounded(t *testing.T) {
	rows := gzipped(t, []byte(begin+strings.Repeat(row, 3000)+"</feedback>"))
	var mail strings.Builder
	mail.WriteString("Content-Type: multipart/mixed; boundary=b\r\n\r\n")
	for range 20 {
		mail.WriteString("--b\r\n" + attached("application/gzip", rows))
	}
	mail.WriteString("--b--\r\n")
	got, err := aggregate.Read(strings.NewReader(mail.String()))
	if err != nil || len(got.DMARC) != 6 || len(got.Faults) != 14 || got.Faults[0].Reason != aggregate.TooBig {
		t.Errorf("%d reports and %d faults, %v, want 6 and 14", len(got.DMARC), len(got.Faults), err)
	}
}

// TestALargeReportIsUnderstood is what a large receiver sends of a domain that
// everybody forges.
func TestALargeReportIsUnderstood(t *testing.T) {
	var text strings.Builder
	text.WriteString(begin)
	for i := range 8000 {
		fmt.Fprintf(&text, "<record><row><source_ip>198.51.%d.%d</source_ip><count>%d</count><policy_evaluated><disposition>none</disposition><dkim>fail</dkim><spf>fail</spf></policy_evaluated></row>"+
			"<identifiers><header_from>example.org</header_from></identifiers><auth_results><spf><domain>spam%d.example</domain><result>softfail</result></spf></auth_results></record>\n", i>>8&255, i&255, i%7+1, i)
	}
	text.WriteString("</feedback>")
	got, err := aggregate.Read(strings.NewReader(attached("application/gzip", gzipped(t, []byte(text.String())))))
	if err != nil || len(got.DMARC) != 1 || len(got.DMARC[0].Rows) != 8000 {
		t.Fatalf("%d reports, %v, %v, want one of 8,000 rows", len(got.DMARC), got.Faults, err)
	}
}

// within checks what Read promises of all that it gives.
func within(t *testing.T, got aggregate.Reports) {
	t.Helper()
	rows := 0
	for _, r := range got.DMARC {
		rows += len(r.Rows)
		headWithin(t, r.Head)
		nameWithin(t, r.Domain, false)
		for _, row := range r.Rows {
			if row.Count < 1 || row.Count > aggregate.MaxCount || row.Source.Is4In6() || row.Source.Zone() != "" || len(row.Signatures)+len(row.Senders) > 16 {
				t.Errorf("a row is out of bounds: %+v", row)
			}
			nameWithin(t, row.From, true)
			for _, s := range slices.Concat(row.Signatures, row.Senders) {
				nameWithin(t, s.Domain, false)
				textWithin(t, s.Selector)
			}
		}
	}
	for _, r := range got.TLS {
		headWithin(t, r.Head)
		for _, p := range r.Policies {
			rows += 1 + len(p.Failures)
			nameWithin(t, p.Domain, false)
			if !slices.Contains(aggregate.PolicyTypes, p.Type) || p.Good < 0 || p.Good > aggregate.MaxCount || p.Failed < 0 || p.Failed > aggregate.MaxCount {
				t.Errorf("a policy is out of bounds: %+v", p)
			}
			for _, f := range p.Failures {
				if !slices.Contains(aggregate.FailureTypes, f.Type) || f.Count < 1 || f.Count > aggregate.MaxCount {
					t.Errorf("a failure is out of bounds: %+v", f)
				}
			}
		}
	}
	if rows > aggregate.MaxRows {
		t.Errorf("there are %d rows", rows)
	}
	for _, f := range got.Faults {
		if !slices.Contains(aggregate.Reasons, f.Reason) || f.Detail == "" {
			t.Errorf("a fault has no reason: %+v", f)
		}
	}
	if len(got.DMARC)+len(got.TLS)+len(got.Faults) == 0 {
		t.Error("there is neither a report nor a fault")
	}
}

func headWithin(t *testing.T, h aggregate.Head) {
	t.Helper()
	textWithin(t, h.Org)
	textWithin(t, h.ID)
	if h.Begin.IsZero() || h.End.Before(h.Begin) || h.Begin.Year() < 2010 || h.End.Year() > 2201 {
		t.Errorf("a report is about %v to %v", h.Begin, h.End)
	}
}

func textWithin(t *testing.T, s string) {
	t.Helper()
	if len(s) > aggregate.MaxText || !utf8.ValidString(s) || strings.ContainsAny(s, "\r\n\x00\x1b") {
		t.Errorf("a text is out of bounds: %q", s)
	}
}

func nameWithin(t *testing.T, s string, empty bool) {
	t.Helper()
	if c, err := dnsx.Canonical(s); (err != nil || c != s) && !(empty && s == "") {
		t.Errorf("%q is not the one spelling of a domain: %q, %v", s, c, err)
	}
}

// FuzzRead states what Read promises of any mail: it does not panic, it gives
// a report or says why not, and what it gives is within bounds.
func FuzzRead(f *testing.F) {
	for _, path := range []string{"google", "microsoft", "plain", "several", "tls-microsoft", "wrong", "none"} {
		a, err := txtar.ParseFile("testdata/" + path + ".txtar")
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(compose(f, a)))
	}
	f.Fuzz(func(t *testing.T, mail []byte) {
		got, err := aggregate.Read(bytes.NewReader(mail))
		if err != nil {
			t.Fatalf("Read = %v, and the reader has no error", err)
		}
		within(t, got)
	})
}

// FuzzText states the same of what is in an archive, which chance does not
// find through a checksum, and that packing it changes nothing.
func FuzzText(f *testing.F) {
	for _, path := range []string{"google", "mailru", "webde", "rfc9990", "several", "tls-google", "utf16"} {
		a, err := txtar.ParseFile("testdata/" + path + ".txtar")
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range a.Files[1:] {
			f.Add(file.Data)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		packed, err := aggregate.Read(strings.NewReader(attached("application/gzip", gzipped(t, text))))
		if err != nil {
			t.Fatal(err)
		}
		within(t, packed)
		plain, err := aggregate.Read(strings.NewReader(attached("text/xml", text)))
		if err != nil {
			t.Fatal(err)
		}
		within(t, plain)
		archive := bytes.HasPrefix(text, []byte("\x1f\x8b")) || bytes.HasPrefix(text, []byte("PK"))
		if len(text) < 1<<20 && !archive && len(plain.DMARC)+len(plain.TLS) != len(packed.DMARC)+len(packed.TLS) {
			t.Errorf("packed it gives %d reports (%v), as it is %d (%v)", len(packed.DMARC)+len(packed.TLS), packed.Faults, len(plain.DMARC)+len(plain.TLS), plain.Faults)
		}
	})
}
