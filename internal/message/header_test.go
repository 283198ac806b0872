package message_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/internal/message"
)

// read reads a header from a message and gives what is left as well.
func read(t *testing.T, r io.Reader) (*message.Header, string) {
	t.Helper()
	in := bufio.NewReaderSize(r, 512)
	h, err := message.ReadHeader(in, message.MaxHeader)
	if err != nil {
		t.Fatalf("ReadHeader: %v", err)
	}
	body, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	return h, string(body)
}

func TestReadHeaderEndsWhereTheBodyBegins(t *testing.T) {
	tests := []struct{ name, message, head, body string }{
		{"at the empty line", "A: 1\r\nB: 2\r\n\r\nbody\r\n", "A: 1\r\nB: 2\r\n", "body\r\n"},
		{"at the end", "A: 1\r\n", "A: 1\r\n", ""},
		{"at the end of an unfinished line", "A: 1", "A: 1\r\n", ""},
		{"folds belong to their field", "A: 1\r\n 2\r\n\t3\r\n\r\n", "A: 1\r\n 2\r\n\t3\r\n", ""},
		{"a folded line of white space is a fold", "A: 1\r\n \r\nB: 2\r\n\r\n", "A: 1\r\n \r\nB: 2\r\n", ""},
		{"no field at all", "\r\nbody", "", "body"},
		{"nothing", "", "", ""},
		{"a line that is no field is the body's first", "A: 1\r\nhello world\r\nB: 2\r\n\r\nx", "A: 1\r\n", "hello world\r\nB: 2\r\n\r\nx"},
		{"a fold of nothing is the body's first", " hello\r\nA: 1\r\n\r\n", "", " hello\r\nA: 1\r\n\r\n"},
		{"a name without a colon at the end", "A: 1\r\nBcc", "A: 1\r\n", "Bcc"},
		{"a colon without a name", "A: 1\r\n: x\r\n\r\n", "A: 1\r\n", ": x\r\n\r\n"},
		{"8-bit octets in a name", "A: 1\r\nB\xfc: x\r\n\r\n", "A: 1\r\n", "B\xfc: x\r\n\r\n"},
		{"white space before the colon is old but allowed", "A \t: 1\r\n\r\n", "A \t: 1\r\n", ""},
		{"an mbox line at the beginning is passed over", "From ann@example.net Mon Nov 23\r\nA: 1\r\n\r\nx", "A: 1\r\n", "x"},
		{"an mbox line later is not", "A: 1\r\nFrom ann@example.net Mon\r\n\r\n", "A: 1\r\n", "From ann@example.net Mon\r\n\r\n"},
		{"a From field with a space", "From : ann@example.net\r\n\r\n", "From : ann@example.net\r\n", ""},
		{"LF alone is read as CR LF", "A: 1\nB: 2\n 3\n\nx\n", "A: 1\r\nB: 2\r\n 3\r\n", "x\n"},
		{"a bare CR is no end", "A: 1\r\n\rx\r\n", "A: 1\r\n", "\rx\r\n"},
		{"a very long line", "A: " + strings.Repeat("x", 5000) + "\r\n\r\ny", "A: " + strings.Repeat("x", 5000) + "\r\n", "y"},
		{"a name of 300 octets is none", strings.Repeat("x", 300) + ": 1\r\n", "", strings.Repeat("x", 300) + ": 1\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for how, r := range map[string]io.Reader{
				"at once":        strings.NewReader(tt.message),
				"octet by octet": iotest.OneByteReader(strings.NewReader(tt.message)),
			} {
				h, body := read(t, r)
				if head := string(h.AppendTo(nil)); head != tt.head || body != tt.body {
					t.Errorf("%s: header %q, body %q, want %q and %q", how, head, body, tt.head, tt.body)
				}
				if got, want := string(h.Block()), tt.head+"\r\n"; got != want || h.Size() != len(tt.head) {
					t.Errorf("%s: block %q of %d octets, want %q", how, got, h.Size(), want)
				}
			}
		})
	}
}

func TestAHeaderOverTheLimitIsRefused(t *testing.T) {
	block := "A: 1\r\nB: 2\r\n\r\n"
	for _, tt := range []struct {
		limit int
		want  error
	}{{12, nil}, {11, message.ErrHeaderTooBig}} {
		if _, err := message.ReadHeader(bufio.NewReader(strings.NewReader(block)), tt.limit); !errors.Is(err, tt.want) {
			t.Errorf("with limit %d: %v, want %v", tt.limit, err, tt.want)
		}
	}
	endless := io.MultiReader(strings.NewReader("A: "), neverEnding('x'))
	if _, err := message.ReadHeader(bufio.NewReader(endless), message.MaxHeader); !errors.Is(err, message.ErrHeaderTooBig) {
		t.Errorf("an endless line: %v, want ErrHeaderTooBig", err)
	}
}

type neverEnding byte

func (b neverEnding) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(b)
	}
	return len(p), nil
}

func TestErrorsOfTheReaderAreKept(t *testing.T) {
	for _, text := range []string{"", "A", "A: 1", "A: 1\r\n"} {
		broken := io.MultiReader(strings.NewReader(text), iotest.ErrReader(io.ErrClosedPipe))
		if _, err := message.ReadHeader(bufio.NewReader(broken), 1000); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("after %q: %v, want %v", text, err, io.ErrClosedPipe)
		}
	}
}

const sample = "Received: one\r\nSubject: A\r\n long\r\n\tsubject \r\nTO : ann@example.net\r\nReceived: two\r\nX-Empty:\r\n"

func TestFieldsAreFoundByName(t *testing.T) {
	h := message.ParseHeader([]byte(sample + "\r\nReceived: in the body\r\n"))
	tests := []struct {
		name  string
		first string
		all   []string
	}{
		{"Received", "one", []string{"one", "two"}},
		{"RECEIVED", "one", []string{"one", "two"}},
		{"subject", "A long\tsubject", []string{"A long\tsubject"}},
		{"to", "ann@example.net", []string{"ann@example.net"}},
		{"X-Empty", "", []string{""}},
		{"Receive", "", nil},
		{"Received-SPF", "", nil},
	}
	for _, tt := range tests {
		if got := h.Get(tt.name); got != tt.first {
			t.Errorf("Get(%q) = %q, want %q", tt.name, got, tt.first)
		}
		if diff := cmp.Diff(tt.all, h.Values(tt.name)); diff != "" {
			t.Errorf("Values(%q) (-want +got):\n%s", tt.name, diff)
		}
		if h.Count(tt.name) != len(tt.all) || h.Has(tt.name) != (len(tt.all) > 0) {
			t.Errorf("Count(%q) = %d, Has %v, want %d", tt.name, h.Count(tt.name), h.Has(tt.name), len(tt.all))
		}
	}
	var names []string
	for f := range h.All() {
		names = append(names, f.Name())
	}
	if diff := cmp.Diff([]string{"Received", "Subject", "TO", "Received", "X-Empty"}, names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

func TestEditsLeaveEveryOtherFieldAlone(t *testing.T) {
	rest := strings.ReplaceAll(sample, "Received: two\r\n", "")
	tests := []struct {
		name string
		edit func(h *message.Header)
		want string
	}{
		{"nothing", func(h *message.Header) {}, sample},
		{"remove all of a name", func(h *message.Header) { h.Remove("received") }, strings.TrimPrefix(rest, "Received: one\r\n")},
		{"remove what is not there", func(h *message.Header) { h.Remove("Bcc") }, sample},
		{"prepend", func(h *message.Header) { h.Prepend("Received", "three") }, "Received: three\r\n" + sample},
		{"append", func(h *message.Header) { h.Append("Date", "now") }, sample + "Date: now\r\n"},
		{"set what is there twice", func(h *message.Header) { h.Set("Received", "x") }, strings.Replace(rest, "Received: one", "Received: x", 1)},
		{"set what is not there", func(h *message.Header) { h.Set("Date", "now") }, sample + "Date: now\r\n"},
		{"prepend whole fields", func(h *message.Header) { h.PrependBlock([]byte("A: 1\r\n 2\r\nB:3\r\n")) }, "A: 1\r\n 2\r\nB:3\r\n" + sample},
		{"an empty value", func(h *message.Header) { h.Append("A", "") }, sample + "A:\r\n"},
		{"a value with line ends makes no field of its own", func(h *message.Header) { h.Append("A", "x\r\nBcc: eve\x00") }, sample + "A: x  Bcc: eve\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := message.ParseHeader([]byte(sample))
			before := h.Clone()
			tt.edit(h)
			if got := string(h.AppendTo(nil)); got != tt.want {
				t.Errorf("got\n%q, want\n%q", got, tt.want)
			}
			if got := string(before.AppendTo(nil)); got != sample {
				t.Errorf("the clone became\n%q", got)
			}
		})
	}
}

func TestLongGeneratedFieldsAreFolded(t *testing.T) {
	url := "<https://mail.example.org/u/" + strings.Repeat("x", 60) + ">"
	tests := []struct{ name, value, want string }{
		{"short", "a b", "List-X: a b\r\n"},
		{"at white space", url + ", <mailto:u@example.org>", "List-X: " + url + ",\r\n <mailto:u@example.org>\r\n"},
		{"a tab is white space too", strings.Repeat("a", 60) + "\t" + strings.Repeat("b", 60), "List-X: " + strings.Repeat("a", 60) + "\r\n\t" + strings.Repeat("b", 60) + "\r\n"},
		{"white space is kept", strings.Repeat("a", 66) + "   b  c", "List-X: " + strings.Repeat("a", 66) + "   b\r\n  c\r\n"},
		{"not where there is none", strings.Repeat("a", 990), "List-X: " + strings.Repeat("a", 990) + "\r\n"},
		{"before a word that fits no line with the name", strings.Repeat("a", 995), "List-X:\r\n " + strings.Repeat("a", 995) + "\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var h message.Header
			h.Append("List-X", tt.value)
			got := string(h.AppendTo(nil))
			if got != tt.want {
				t.Errorf("got\n%q, want\n%q", got, tt.want)
			}
			if back := h.Get("List-X"); back != tt.value {
				t.Errorf("unfolded\n%q, want\n%q", back, tt.value)
			}
		})
	}
}

func TestCompleteAddsOnlyWhatIsMissing(t *testing.T) {
	now := time.Date(2026, 11, 3, 10, 0, 0, 0, time.FixedZone("", 3600))
	tests := []struct{ name, head, want string }{
		{"both", "Subject: x\r\n", "Subject: x\r\nDate: Tue, 3 Nov 2026 10:00:00 +0100\r\nMessage-ID: <1@example.org>\r\n"},
		{"the date", "message-id: <2@example.com>\r\n", "message-id: <2@example.com>\r\nDate: Tue, 3 Nov 2026 10:00:00 +0100\r\n"},
		{"nothing", "DATE: x\r\nMessage-Id: y\r\n", "DATE: x\r\nMessage-Id: y\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := message.ParseHeader([]byte(tt.head))
			h.Complete(now, "<1@example.org>")
			if got := string(h.AppendTo(nil)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// FuzzReadHeader promises that a header and its body are the message again,
// but for line ends, the empty line and an mbox line, and that each field
// begins with its name.
func FuzzReadHeader(f *testing.F) {
	f.Add([]byte(sample + "\r\nbody\r\n"))
	f.Add([]byte("From x y\nA: 1\n\n"))
	f.Add([]byte("A : 1\r\n \r\nB"))
	f.Fuzz(func(t *testing.T, text []byte) {
		in := bufio.NewReaderSize(strings.NewReader(string(text)), 512)
		h, err := message.ReadHeader(in, message.MaxHeader)
		if err != nil {
			if !errors.Is(err, message.ErrHeaderTooBig) || len(text) < message.MaxHeader/2 {
				t.Errorf("ReadHeader: %v", err)
			}
			return
		}
		body, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(string(text), string(body)) {
			t.Errorf("body %q is no end of %q", body, text)
		}
		head := text[:len(text)-len(body)]
		if n := len(head); h.Size() > n+strings.Count(string(head), "\n")+2 {
			t.Errorf("a header of %d octets came from %d", h.Size(), n)
		}
		for field := range h.All() {
			raw := string(field.Raw())
			if field.Name() == "" || !strings.HasPrefix(raw, field.Name()) || !strings.HasSuffix(raw, "\r\n") || strings.ContainsAny(field.Value(), "\r\n") {
				t.Errorf("field %q with name %q, value %q", raw, field.Name(), field.Value())
			}
		}
		again := message.ParseHeader(h.Block())
		if string(again.Block()) != string(h.Block()) {
			t.Errorf("header %q reads as %q", h.Block(), again.Block())
		}
	})
}

func ExampleHeader() {
	mail := "Return-Path: <civi+b.2.1.789b7abdf5bfdc1a@bounce.example.org>\r\nSubject: Hello\r\n\r\nHello.\r\n"
	h, err := message.ReadHeader(bufio.NewReader(strings.NewReader(mail)), message.MaxHeader)
	if err != nil {
		fmt.Println(err)
		return
	}
	h.Remove("Return-Path")
	h.Complete(time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC), "<1@example.org>")
	h.Prepend("Received", "from [127.0.0.1] by mail.example.org with ESMTP; Mon, 23 Nov 2026 10:00:00 +0000")
	fmt.Print(strings.ReplaceAll(string(h.Block()), "\r\n", "\n"))
	// Output:
	// Received: from [127.0.0.1] by mail.example.org with ESMTP; Mon, 23 Nov 2026
	//  10:00:00 +0000
	// Subject: Hello
	// Date: Mon, 23 Nov 2026 10:00:00 +0000
	// Message-ID: <1@example.org>
}

func BenchmarkReadHeader(b *testing.B) {
	mail := strings.Repeat(sample, 5) + "\r\nbody"
	var src strings.Reader
	in := bufio.NewReader(&src)
	b.ReportAllocs()
	b.SetBytes(int64(len(mail)))
	for b.Loop() {
		src.Reset(mail)
		in.Reset(&src)
		if _, err := message.ReadHeader(in, message.MaxHeader); err != nil {
			b.Fatal(err)
		}
	}
}
