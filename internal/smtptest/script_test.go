package smtptest_test

import (
	"fmt"
	"io"
	"net"
	"testing"

	"homing/internal/memconn"
	"homing/internal/smtptest"
)

func ExamplePlayer() {
	near, far := memconn.Pipe(&net.TCPAddr{}, &net.TCPAddr{})
	io.WriteString(near, "ehlo there\r\nDATA\r\nhello\r\n.\r\n")
	var p smtptest.Player
	err := p.Play(far, `
		S: 220 hi
		C: EHLO
		C: DATA
		C.
		S: 421 enough`)
	heard, _ := io.ReadAll(near)
	fmt.Printf("%v %q %q %v\n", err, p.Messages, heard, p.Clean())
	// Output: <nil> ["hello\r\n.\r\n"] "220 hi\r\n421 enough\r\n" <nil>
}

func TestPlay(t *testing.T) {
	tests := []struct {
		name, said string
		script     smtptest.Script
		play       bool // Play finds nothing wrong
		clean      bool
	}{
		{"what the script expects", "QUIT\r\n", "C: QUIT", true, true},
		{"something else", "NOOP\r\n", "C: QUIT", false, true},
		{"nothing", "", "C: QUIT", false, true},
		{"a message without an end", "x\r\n", "C.", false, true},
		{"a message in one chunk", "BDAT 4 LAST\r\na\r\nbQUIT\r\n", "chunk\nC: QUIT", true, true},
		{"a chunk that ends too soon", "BDAT 5 LAST\r\na\r\n", "chunk", false, true},
		{"a chunk that is not the last", "BDAT 3\r\na\r\n", "chunk", false, true},
		{"something where nothing should be", "MAIL\r\n", "quiet 1s", false, true},
		{"a step that is none", "", "say hello", false, true},
		{"bare CR", "a\rb\r\n", "C: a", true, false},
		{"bare LF", "a\n", "C: a", true, false},
		{"NUL", "a\x00\r\n", "C: a", true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			near, far := memconn.Pipe(&net.TCPAddr{}, &net.TCPAddr{})
			io.WriteString(near, tt.said)
			near.Close()
			var p smtptest.Player
			err := p.Play(far, tt.script)
			if (err == nil) != tt.play || (p.Clean() == nil) != tt.clean {
				t.Errorf("Play = %v, Clean = %v; want it well: %v, %v", err, p.Clean(), tt.play, tt.clean)
			}
		})
	}
}
