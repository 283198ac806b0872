package aggregate_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"homing/internal/aggregate"
)

var update = flag.Bool("update", false, "write what is understood into the golden files")

// form changes a file before it is packed, as its reporter writes it.
var forms = map[string]func(text []byte) ([]byte, error){
	"":       func(text []byte) ([]byte, error) { return text, nil },
	"crlf":   func(text []byte) ([]byte, error) { return bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n")), nil },
	"bom":    func(text []byte) ([]byte, error) { return append([]byte("\ufeff"), text...), nil },
	"latin1": charmap.ISO8859_1.NewEncoder().Bytes,
	"utf16":  unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().Bytes,
}

// compose gives the mail of an archive: a line "@gzip FILE", "@zip FILE…" with
// a form after a hyphen stands for the packed files in base64.
func compose(t testing.TB, a *txtar.Archive) string {
	t.Helper()
	files := map[string][]byte{}
	for _, f := range a.Files {
		files[f.Name] = f.Data
		if f.Name == "inner.zip" {
			files[f.Name] = zipped(t, map[string][]byte{"x": []byte("x")}, "x")
		}
	}
	var out strings.Builder
	for line := range strings.Lines(string(files["mail"])) {
		line = strings.TrimRight(line, "\n")
		if words := strings.Fields(line); len(words) > 0 && words[0][0] == '@' {
			line = wrap(packed(t, files, words))
		}
		out.WriteString(line + "\r\n")
	}
	return out.String()
}

func packed(t testing.TB, files map[string][]byte, words []string) []byte {
	t.Helper()
	how, form, _ := strings.Cut(words[0][1:], "-")
	formed := map[string][]byte{}
	for _, name := range words[1:] {
		text, err := forms[form](files[name])
		if err != nil {
			t.Fatal(err)
		}
		formed[name] = text
	}
	if how == "zip" {
		return zipped(t, formed, words[1:]...)
	}
	return gzipped(t, formed[words[1]])
}

func zipped(t testing.TB, files map[string][]byte, names ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range names {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write(files[name])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipped(t testing.TB, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// wrap gives octets in lines of base64.
func wrap(octets []byte) string {
	text := base64.StdEncoding.EncodeToString(octets)
	var lines []string
	for len(text) > 76 {
		lines, text = append(lines, text[:76]), text[76:]
	}
	return strings.Join(append(lines, text), "\r\n")
}

// TestReportsAreUnderstood compares what is understood of each mail in
// testdata with what stands beside it.
func TestReportsAreUnderstood(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) < 10 {
		t.Fatalf("%d files, %v", len(paths), err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".txtar")
		t.Run(name, func(t *testing.T) {
			a, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got, err := aggregate.Read(strings.NewReader(compose(t, a)))
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.MarshalIndent(got, "", " ")
			if err != nil {
				t.Fatal(err)
			}
			golden := "testdata/" + name + ".golden"
			if *update {
				if err := os.WriteFile(golden, append(text, '\n'), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(text)+"\n"); diff != "" {
				t.Errorf("understood (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAGzipOfSeveralMembersIsOneText is what programs write that pack in
// parallel, or add to a file (RFC 1952 section 2.2).
func TestAGzipOfSeveralMembersIsOneText(t *testing.T) {
	text := []byte(begin + row + "</feedback>")
	all := slices.Concat(gzipped(t, text[:100]), gzipped(t, nil), gzipped(t, text[100:]), []byte("\r\n"))
	got, err := aggregate.Read(strings.NewReader(attached("application/gzip", all)))
	if err != nil || len(got.DMARC) != 1 || len(got.DMARC[0].Rows) != 1 {
		t.Errorf("%d reports, %v, %v", len(got.DMARC), got.Faults, err)
	}
}

func TestErrorsOfTheReaderAreKept(t *testing.T) {
	broken := errors.New("the disk broke")
	if _, err := aggregate.Read(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("Read = %v, want %v", err, broken)
	}
}

func ExampleRead() {
	mail := "Content-Type: text/xml\r\n\r\n<feedback><report_metadata><org_name>example.net</org_name><date_range><begin>1795305600</begin></date_range></report_metadata>" +
		"<policy_published><domain>example.org</domain></policy_published><record><row><source_ip>203.0.113.9</source_ip><count>120</count>" +
		"<policy_evaluated><dkim>fail</dkim><spf>fail</spf></policy_evaluated></row></record></feedback>\r\n"
	got, err := aggregate.Read(strings.NewReader(mail))
	for _, r := range got.DMARC {
		fmt.Println(r.Org, "says of", r.Domain, r.Begin.Format("2006-01-02"))
		for _, row := range r.Rows {
			fmt.Println(row.Count, "from", row.Source, row.Passes())
		}
	}
	fmt.Println(err)
	// Output:
	// example.net says of example.org 2026-11-22
	// 120 from 203.0.113.9 false
	// <nil>
}
