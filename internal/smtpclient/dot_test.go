package smtpclient

import (
	"bufio"
	"bytes"
	"io"
	"net/textproto"
	"strings"
	"testing"
)

// sent gives what a dotWriter makes of content that it gets in pieces.
func sent(t testing.TB, pieces ...string) string {
	t.Helper()
	var b bytes.Buffer
	w := bufio.NewWriterSize(&b, 16)
	d := dotWriter{w: w}
	for _, p := range pieces {
		if n, err := d.Write([]byte(p)); n != len(p) || err != nil {
			t.Errorf("Write(%q) = %d, %v", p, n, err)
		}
	}
	if err := d.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
	w.Flush()
	return b.String()
}

func TestDotWriter(t *testing.T) {
	tests := []struct {
		name   string
		pieces []string
		want   string
	}{
		{"nothing", nil, ".\r\n"},
		{"a line", []string{"a\r\n"}, "a\r\n.\r\n"},
		{"a line without its end", []string{"a"}, "a\r\n.\r\n"},
		{"a dot at the beginning", []string{".a\r\n"}, "..a\r\n.\r\n"},
		{"a dot alone", []string{"a\r\n.\r\nb\r\n"}, "a\r\n..\r\nb\r\n.\r\n"},
		{"dots in a row", []string{"\r\n.\r\n.\r\n"}, "\r\n..\r\n..\r\n.\r\n"},
		{"a dot in the middle of a line", []string{"a.b\r\n"}, "a.b\r\n.\r\n"},
		{"a dot that begins a piece and a line", []string{"a\r\n", ".b\r\n"}, "a\r\n..b\r\n.\r\n"},
		{"a dot that begins a piece alone", []string{"a", ".b\r\n"}, "a.b\r\n.\r\n"},
		{"CR and LF in two pieces", []string{"a\r", "\n.b\r\n"}, "a\r\n..b\r\n.\r\n"},
		{"a piece that is CR, one that is LF", []string{"a", "\r", "\n", "."}, "a\r\n..\r\n.\r\n"},
		{"an empty piece after CR", []string{"a\r", "", "\n"}, "a\r\n.\r\n"},
		{"bare LF becomes CR LF", []string{"a\n.\nb"}, "a\r\n..\r\nb\r\n.\r\n"},
		{"bare CR becomes a space", []string{"a\r.\rb\r\n"}, "a . b\r\n.\r\n"},
		{"bare CR at the end of a piece", []string{"a\r", ".b\r\n"}, "a .b\r\n.\r\n"},
		{"bare CR at the end", []string{"a\r"}, "a \r\n.\r\n"},
		{"CR CR LF", []string{"a\r\r\n.\r\r\n"}, "a \r\n.. \r\n.\r\n"},
		{"CR CR LF in pieces", []string{"a\r", "\r", "\n"}, "a \r\n.\r\n"},
		{"LF CR", []string{"a\n\r.\n\r"}, "a\r\n .\r\n \r\n.\r\n"},
		{"NUL becomes a space", []string{"a\x00b\r\n.\x00\r\n"}, "a b\r\n.. \r\n.\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := sent(t, tt.pieces...); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// FuzzDotWriter states what is promised of any content, in any pieces: the
// wire carries no bare CR, bare LF or NUL, ends the data once and at its end,
// and gives a receiver the canonical content back as it was.
func FuzzDotWriter(f *testing.F) {
	f.Add("a\r\n.\r\nb", 3)
	f.Add("\r\r\n.\n\x00.", 1)
	f.Add(".\r\n..", 2)
	f.Fuzz(func(t *testing.T, content string, size int) {
		var pieces []string
		for rest := content; rest != ""; {
			n := min(len(rest), max(1, size%16))
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		wire := sent(t, pieces...)
		if bare := strings.NewReplacer("\r\n", "").Replace(wire); strings.ContainsAny(bare, "\r\n\x00") {
			t.Errorf("%q is sent as %q", content, wire)
		}
		if at := strings.Index("\r\n"+wire, "\r\n.\r\n"); at+len(".\r\n") != len(wire) {
			t.Errorf("%q is sent as %q, which ends at %d", content, wire, at)
		}
		if !canonical([]byte(content)) {
			return
		}
		got, err := io.ReadAll(textproto.NewReader(bufio.NewReader(strings.NewReader(wire))).DotReader())
		want := strings.ReplaceAll(content, "\r\n", "\n")
		if want != "" && !strings.HasSuffix(want, "\n") {
			want += "\n"
		}
		if err != nil || string(got) != want {
			t.Errorf("%q arrives as %q, %v", content, got, err)
		}
	})
}

func BenchmarkDotWriter(b *testing.B) {
	body := bytes.Repeat([]byte(strings.Repeat("x", 70)+"\r\n"), 50<<10/72)
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	w := bufio.NewWriterSize(io.Discard, bufferOut)
	for b.Loop() {
		d := dotWriter{w: w}
		d.Write(body)
		d.Close()
	}
}
