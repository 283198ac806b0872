package pop3d

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"homing/internal/maildir"
	"homing/internal/memconn"
)

// FuzzParse states what parse promises of any line: what it gives for a
// command is one, and it says the same of it written again.
func FuzzParse(f *testing.F) {
	for _, line := range []string{"QUIT", "retr 1", "PASS  two words ", "TOP 1 10", "USER \xff", "", " ", "LONGER", "A\tB", "USER a\x00b"} {
		f.Add([]byte(line))
	}
	verb := regexp.MustCompile(`^[A-Z]{1,4}$`)
	f.Fuzz(func(t *testing.T, line []byte) {
		c, err := parse(line)
		if err != nil {
			return
		}
		if !verb.MatchString(c.verb) || strings.ContainsAny(c.arg, "\x00\r\n\x7f") {
			t.Errorf("parse(%q) = %+v", line, c)
		}
		if again, err := parse([]byte(c.verb + " " + c.arg)); err != nil || again != c {
			t.Errorf("parse(%q) = %+v, and written again %+v, %v", line, c, again, err)
		}
		if numbers, ok := c.numbers(0, 2); ok && slices.ContainsFunc(numbers, func(n int) bool { return n < 0 || n > 999_999_999 }) {
			t.Errorf("the numbers of %q are %v", line, numbers)
		}
	})
}

// FuzzSession states what a client may rely on and we may, whatever it says:
// every answer begins as one, and nothing is deleted without a QUIT.
func FuzzSession(f *testing.F) {
	for _, say := range []string{"LIST\r\nQUIT\r\n", "DELE 1\r\nQUIT\r\n", "RETR 1\r\nTOP 2 0\r\nUIDL\r\n", "DELE 1\nDELE 2\n", "\r\n\r\n", "CAPA\r\nRSET\r\nquit\r\n"} {
		f.Add([]byte(say))
	}
	answer := regexp.MustCompile(`^(\+OK|-ERR) [ -~]+\r\n$`)
	f.Fuzz(func(t *testing.T, say []byte) {
		if len(say) > memconn.Buffer/2 {
			return
		}
		dir := t.TempDir()
		fill(t, dir, messages)
		s := New(Options{Hostname: "mail.test"}, one{"crm": {Name: "crm", Dir: maildir.Dir(dir)}})
		client, server := memconn.Pipe(nil, nil)
		go func() {
			_, _ = client.Write(append([]byte("USER crm\r\nPASS secret\r\n"), say...))
			_ = client.CloseWrite()
		}()
		served := make(chan struct{})
		go func() { defer close(served); s.serve(context.Background(), server, safe) }()
		r := bufio.NewReader(client)
		for range 3 {
			if line, err := r.ReadString('\n'); err != nil || !answer.MatchString(line) {
				t.Fatalf("answer %q, %v", line, err)
			}
		}
		rest, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		<-served
		if i := bytes.IndexByte(rest, '\n'); i >= 0 && !answer.Match(rest[:i+1]) {
			t.Errorf("after %q the answer is %q", say, rest[:i+1])
		}
		if len(left(t, dir)) < len(messages) && !bytes.Contains(bytes.ToUpper(say), []byte("QUIT")) {
			t.Errorf("%q deleted something", say)
		}
	})
}

func ExampleServer() {
	s := New(Options{Hostname: "mail.example.org"}, one{"listmonk": {Name: "listmonk", Dir: "../../internal/maildir/testdata/example"}})
	client, server := memconn.Pipe(nil, nil)
	go s.serve(context.Background(), server, Way{Safe: true})
	_, _ = io.WriteString(client, "USER listmonk\r\nPASS secret\r\nUIDL\r\nQUIT\r\n")
	said, _ := io.ReadAll(client)
	fmt.Print(strings.ReplaceAll(string(said), "\r\n", "\n"))
	// Output:
	// +OK POP3 server mail.example.org ready
	// +OK now the password
	// +OK 1 messages, 7 octets
	// +OK 1 messages, 7 octets
	// 1 1.first
	// .
	// +OK bye
}
