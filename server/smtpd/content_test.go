package smtpd

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// pieces is a source that gives raw in windows that grow by step octets.
type pieces struct {
	raw      []byte
	at, size int
	step     int
}

func (p *pieces) window(n int) ([]byte, error) {
	for p.size < n {
		if p.at+p.size == len(p.raw) {
			return nil, io.ErrUnexpectedEOF
		}
		p.size = min(p.size+p.step, len(p.raw)-p.at)
	}
	return p.raw[p.at : p.at+p.size], nil
}

func (p *pieces) advance(n int) { p.at, p.size = p.at+n, p.size-n }

func dotted(src source) *Content {
	return &Content{scan: scanner{src: src, dots: true, bol: true}}
}

// plain says by the shortest road what a DATA stream means: the message, the
// octets behind it, and whether it held a bare CR or NUL (now spaces). ok is
// false where the end is missing.
func plain(raw string) (message, rest string, bare, ok bool) {
	body, rest, ok := strings.Cut("\r\n"+raw, "\r\n.\r\n")
	if !ok {
		return "", "", false, false
	}
	body = strings.ReplaceAll(body+"\r\n", "\r\n.", "\r\n")[2:]
	var out strings.Builder
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case c == '\r' && body[i+1:] != "" && body[i+1] == '\n':
			out.WriteString("\r\n")
			i++
		case c == '\n':
			out.WriteString("\r\n")
		case c == '\r' || c == 0:
			out.WriteByte(' ')
			bare = true
		default:
			out.WriteByte(c)
		}
	}
	return out.String(), rest, bare, true
}

func TestContent(t *testing.T) {
	tests := []struct {
		name string
		raw  string
		want string
		err  error // without Forgive
	}{
		{"empty message", ".\r\n", "", nil},
		{"lines", "a\r\nb\r\n.\r\n", "a\r\nb\r\n", nil},
		{"stuffed dots", "..\r\n...a\r\n.b\r\n.\r\n", ".\r\n..a\r\nb\r\n", nil},
		{"bare LF becomes CR LF", "a\nb\r\n.\r\n", "a\r\nb\r\n", nil},
		{"LF LF", "a\n\n\r\n.\r\n", "a\r\n\r\n\r\n", nil},
		{"LF . LF does not end", "a\n.\nb\r\n.\r\n", "a\r\n.\r\nb\r\n", nil},
		{"LF . CR LF does not end", "a\n.\r\nb\r\n.\r\n", "a\r\n.\r\nb\r\n", nil},
		{"CR LF . LF does not end", "a\r\n.\nb\r\n.\r\n", "a\r\n\r\nb\r\n", nil},
		{"CR . CR does not end", "a\r.\rb\r\n.\r\n", "a . b\r\n", ErrBare},
		{"CR . CR LF does not end", "a\r.\r\nb\r\n.\r\n", "a .\r\nb\r\n", ErrBare},
		{"CR LF . CR does not end", "a\r\n.\rb\r\n.\r\n", "a\r\n b\r\n", ErrBare},
		{"CR CR LF . CR CR LF does not end", "a\r\r\n.\r\r\nb\r\n.\r\n", "a \r\n \r\nb\r\n", ErrBare},
		{"CR CR LF . CR LF ends", "a\r\r\n.\r\n", "a \r\n", ErrBare},
		{"NUL between the lines does not hide the end", "a\x00\r\n.\r\n", "a \r\n", ErrBare},
		{"NUL before the dot does", "a\r\n\x00.\r\nb\r\n.\r\n", "a\r\n .\r\nb\r\n", ErrBare},
		{"NUL behind the dot does", "a\r\n.\x00\r\nb\r\n.\r\n", "a\r\n \r\nb\r\n", ErrBare},
		{"8-bit octets stay", "\xff\x80\xc3\xa4\r\n.\r\n", "\xff\x80\xc3\xa4\r\n", nil},
		{"line of 998", strings.Repeat("x", 998) + "\r\n.\r\n", strings.Repeat("x", 998) + "\r\n", nil},
		{"line of 65536", strings.Repeat("x", 65536) + "\r\n.\r\n", strings.Repeat("x", 65536) + "\r\n", nil},
	}
	const behind = "NOOP\r\n"
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if message, rest, bare, ok := plain(tt.raw + behind); !ok || rest != behind || message != tt.want || bare != (tt.err != nil) {
				t.Fatalf("the model says %q, %q, %v, %v", message, rest, bare, ok)
			}
			for _, step := range []int{1, 2, 3, 7, 1 << 20} {
				src := &pieces{raw: []byte(tt.raw + behind), step: step}
				c := dotted(src)
				c.Forgive()
				got, err := io.ReadAll(c)
				if diff := cmp.Diff(tt.want, string(got)); diff != "" || err != nil {
					t.Errorf("step %d: err %v, diff -want +got:\n%s", step, err, diff)
				}
				if rest := string(src.raw[src.at:]); rest != behind {
					t.Errorf("step %d: left %q behind the message", step, rest)
				}
				if _, err := io.Copy(io.Discard, dotted(&pieces{raw: src.raw, step: step})); !errors.Is(err, tt.err) {
					t.Errorf("step %d: without Forgive: got error %v, want %v", step, err, tt.err)
				}
			}
		})
	}
}

func TestContentWithoutEndIsNeverEOF(t *testing.T) {
	for _, raw := range []string{"", "a", "a\r\n", "a\r\n.", "a\r\n.\r", "a\n.\n", "a\r", "..\r\n"} {
		if got, err := io.ReadAll(dotted(&pieces{raw: []byte(raw), step: 1})); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: read %q, error %v, want %v", raw, got, err, io.ErrUnexpectedEOF)
		}
	}
}

func TestContentTooBig(t *testing.T) {
	raw := []byte("123456\n8\r\n.\r\n") // eleven octets as it is stored
	for max, want := range map[int64]error{0: nil, 10: ErrTooBig, 11: nil, 12: nil} {
		c := dotted(&pieces{raw: raw, step: 4})
		c.scan.max = max
		_, err := io.Copy(io.Discard, c)
		if !errors.Is(err, want) {
			t.Errorf("limit %d: got %v, want %v", max, err, want)
		}
		if _, again := c.Read(make([]byte, 1)); err != nil && !errors.Is(again, err) {
			t.Errorf("limit %d: second read says %v, want %v", max, again, err)
		}
	}
}

func TestSkipGoesToTheEndWhateverTheMessageHolds(t *testing.T) {
	raw := []byte("a\x00\r\nb\rc\r\n" + strings.Repeat("d", 100) + "\r\n.\r\nNOOP\r\n")
	for read := range 20 {
		src := &pieces{raw: raw, step: 5}
		c := dotted(src)
		c.scan.max = 10
		_, _ = io.ReadFull(c, make([]byte, read)) // an error is part of the case
		if err := c.skip(1000); err != nil || string(src.raw[src.at:]) != "NOOP\r\n" {
			t.Errorf("after %d octets: skip says %v and leaves %q", read, err, src.raw[src.at:])
		}
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, errRead) {
			t.Errorf("after skip, Read says %v, want %v", err, errRead)
		}
	}
}

func TestNewContentOfAFile(t *testing.T) {
	tests := []struct{ name, raw, want string }{
		{"a dot is a dot", "..a\r\n.\r\nb\r\n", "..a\r\n.\r\nb\r\n"},
		{"Unix lines", "a\nb\n", "a\r\nb\r\n"},
		{"last line without an end", "a\r\nb", "a\r\nb\r\n"},
		{"last LF is missing", "a\r", "a \r\n"},
		{"nothing", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(tt.raw), iotest.OneByteReader(strings.NewReader(tt.raw))} {
				c := NewContent(r, 0)
				c.Forgive()
				if got, err := io.ReadAll(c); err != nil || string(got) != tt.want {
					t.Errorf("got %q, %v, want %q", got, err, tt.want)
				}
			}
		})
	}
}

// FuzzContent states what a message is, whatever comes and however it is cut:
// what the shortest model says, and never a bare CR, LF or NUL.
func FuzzContent(f *testing.F) {
	for _, s := range []string{".\r\n", "a\r\n.\r\n", "a\n.\nb\r\n.\r\n", "\r.\r\n\r\n..\r\n.\r\n", "\r\r\n.\r\r\n.\r\n\x00\r\n.\r\n"} {
		f.Add([]byte(s), uint8(1))
		f.Add([]byte(s), uint8(5))
	}
	f.Fuzz(func(t *testing.T, raw []byte, step uint8) {
		src := &pieces{raw: raw, step: int(step) + 1}
		c := dotted(src)
		c.Forgive()
		got, err := io.ReadAll(c)
		want, rest, bare, ok := plain(string(raw))
		if ok != (err == nil) {
			t.Fatalf("error %v, want an end: %v", err, ok)
		}
		if bytes.ContainsRune(got, 0) || strings.ContainsAny(strings.ReplaceAll(string(got), "\r\n", ""), "\r\n") {
			t.Errorf("gives %q", got)
		}
		if !ok {
			return
		}
		if string(got) != want || string(src.raw[src.at:]) != rest {
			t.Errorf("read %q and left %q, want %q and %q", got, src.raw[src.at:], want, rest)
		}
		if _, err := io.Copy(io.Discard, dotted(&pieces{raw: raw, step: int(step) + 1})); errors.Is(err, ErrBare) != bare {
			t.Errorf("without Forgive: %v, want a bare CR or NUL: %v", err, bare)
		}
	})
}

func BenchmarkContent(b *testing.B) {
	line := strings.Repeat("x", 76) + "\r\n"
	raw := []byte(strings.Repeat(line, 50<<10/len(line)) + ".\r\n")
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := io.Copy(io.Discard, dotted(&pieces{raw: raw, step: 32 << 10})); err != nil {
			b.Fatal(err)
		}
	}
}
