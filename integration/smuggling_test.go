package integration

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"homing/internal/reply"
	"homing/internal/toynet"
)

// ends are what is no end of a message, though somebody may take it for one.
var ends = []struct{ name, octets string }{
	{"LF . LF", "\n.\n"},
	{"LF . CR LF", "\n.\r\n"},
	{"CR LF . LF", "\r\n.\n"},
	{"CR . CR", "\r.\r"},
	{"CR . CR LF", "\r.\r\n"},
	{"CR LF . CR", "\r\n.\r"},
	{"CR . LF", "\r.\n"},
	{"LF . CR", "\n.\r"},
	{"CR CR LF . CR CR LF", "\r\r\n.\r\r\n"},
	{"CR LF . CR CR LF", "\r\n.\r\r\n"},
	{"CR CR LF . CR LF", "\r\r\n.\r\r\n"},
	{"CR LF NUL . CR LF", "\r\n\x00.\r\n"},
	{"CR LF . NUL CR LF", "\r\n.\x00\r\n"},
}

// clean fails the test where a message has an octet that must never leave.
func clean(t *testing.T, where string, message []byte) {
	t.Helper()
	rest := bytes.ReplaceAll(message, []byte("\r\n"), nil)
	if i := bytes.IndexAny(rest, "\r\n\x00"); i >= 0 {
		t.Errorf("%s has a bare CR, a bare LF or a NUL: …%q…", where, rest[max(0, i-30):min(len(rest), i+30)])
	}
}

// sneak is a second message, as it would have to follow the first.
func sneak(from string) string {
	return "MAIL FROM:<" + from + ">\r\nRCPT TO:<victim@accepts.test>\r\nDATA\r\nFrom: news@example.org\r\nSubject: smuggled\r\n\r\nsmuggled\r\n"
}

func TestOnlyCRLFDotCRLFEndsASubmission(t *testing.T) {
	t.Parallel()
	st := newStage(t, settings{World: toynet.World{Domains: map[string]toynet.Domain{"accepts.test": {}}}})
	for i, end := range ends {
		for _, place := range []string{"text", "header"} {
			t.Run(end.name+" in the "+place, func(t *testing.T) {
				to := fmt.Sprintf("s%d-%s@accepts.test", i, place)
				w := dialSMTP(t, st.Submission)
				w.begin("news@example.org", to)
				head := "From: news@example.org\r\nTo: <" + to + ">\r\nSubject: first\r\n"
				if place == "header" {
					w.put(head + "X-Odd: a" + end.octets + sneak("news@example.org"))
				} else {
					w.put(head + "\r\ntext" + end.octets + sneak("news@example.org"))
				}
				answer := w.ask(".")
				// Nothing else was understood as a command.
				w.must("NOOP", "250")
				w.must("QUIT", "221")
				if bareCR := strings.ContainsAny(strings.ReplaceAll(end.octets, "\r\n", ""), "\r\x00"); bareCR != strings.HasPrefix(answer, "550 5.6.11") {
					t.Errorf("answered %q", answer)
				}
				if strings.HasPrefix(answer, "250") {
					r := st.Arrived(to)
					clean(t, "what arrived", r.Message)
					if !bytes.Contains(r.Message, []byte("\r\nsmuggled")) {
						t.Errorf("the message is cut short: %q", r.Message)
					}
				}
			})
		}
	}
	t.Run("CR LF . CR LF in a chunk", func(t *testing.T) {
		// With BDAT a lone dot is text like any other (RFC 3030).
		w := dialSMTP(t, st.Submission)
		w.must("MAIL FROM:<news@example.org>", "250")
		w.must("RCPT TO:<chunk@accepts.test>", "250")
		message := "From: news@example.org\r\nSubject: first\r\n\r\ntext\r\n.\r\n" + sneak("news@example.org")
		w.put(fmt.Sprintf("BDAT %d LAST\r\n%s", len(message), message))
		w.expect("250")
		w.must("NOOP", "250")
		r := st.Arrived("chunk@accepts.test")
		if want := "text\r\n.\r\n" + sneak("news@example.org"); !bytes.HasSuffix(r.Message, []byte(want)) {
			t.Errorf("what arrived is %q, want it to end with %q", r.Message, want)
		}
	})
	st.Outcomes(st.Mail(1, "last@accepts.test"))
	for _, r := range st.Net.Receipts.All() {
		if r.To == "victim@accepts.test" {
			t.Errorf("a message was smuggled: %q", r.Message)
		}
		clean(t, r.To, r.Message)
	}
}

func TestOnlyCRLFDotCRLFEndsAReport(t *testing.T) {
	t.Parallel()
	st := newStage(t, settings{World: toynet.World{Domains: map[string]toynet.Domain{"accepts.test": {}, "example.org": {}}},
		Listen: `lmtp = ["{{.LMTP}}"]`})
	st.Mail(1, "bob@accepts.test")
	bob := st.Arrived("bob@accepts.test").From
	doors := []struct {
		name string
		dial func() *wire
	}{
		{"the MX", func() *wire { return dialSMTP(t, st.MX) }},
		{"LMTP", func() *wire { return dialLMTP(t, st.LMTP) }},
	}
	var told []toynet.Sent
	for i, end := range ends {
		for _, door := range doors {
			t.Run(end.name+" at "+door.name, func(t *testing.T) {
				to := fmt.Sprintf("r%d-%d@accepts.test", i, len(told))
				sent := st.Mail(10+len(told), to)
				told = append(told, sent...)
				w := door.dial()
				w.begin("", st.Arrived(to).From)
				w.put("From: MAILER-DAEMON@mx.accepts.test\r\nSubject: Undelivered\r\nX-Failed-Recipients: " + to + "\r\n\r\n550 5.1.1 no such user" + end.octets +
					"MAIL FROM:<>\r\nRCPT TO:<" + bob + ">\r\nDATA\r\nSubject: Undelivered\r\nX-Failed-Recipients: bob@accepts.test\r\n\r\n550 5.1.1 no such user\r\n")
				// No bounce is lost for its line ends.
				w.must(".", "250")
				w.must("NOOP", "250")
			})
		}
	}
	if err := st.Net.Hook.Calls.Wait(within(t, 30*time.Second), func(calls []toynet.Call) bool {
		return !slices.ContainsFunc(told, func(s toynet.Sent) bool {
			return !slices.ContainsFunc(calls, func(c toynet.Call) bool { return c.Taken() && c.Event.Recipient == s.To && tellsOfReport(c.Event) })
		})
	}); err != nil {
		t.Errorf("waiting for the reports to be told: %v", err)
	}
	for _, c := range st.Net.Hook.Calls.All() {
		if c.Event.Recipient == "bob@accepts.test" && tellsOfReport(c.Event) {
			t.Errorf("a report was smuggled: %s", c.Body)
		}
	}
	st.Balanced()
}

func TestMailThatGoesOnHasCleanLineEnds(t *testing.T) {
	t.Parallel()
	st := newStage(t, settings{World: toynet.World{Domains: map[string]toynet.Domain{"accepts.test": {}, "example.org": {}}}})
	w := dialSMTP(t, st.MX)
	w.begin("anybody@stranger.test", "postmaster@bounce.example.org")
	w.put("Subject: odd\nX-Odd: b\n\nline\n.\nMAIL FROM:<>\n\r\n.dot\r\n..\r\nend")
	w.must("\r\n.", "250")
	r := st.Arrived("it@example.org")
	clean(t, "what went on", r.Message)
	if _, body, _ := bytes.Cut(r.Message, []byte("\r\n\r\n")); string(body) != "line\r\n.\r\nMAIL FROM:<>\r\n\r\ndot\r\n.\r\nend\r\n" {
		t.Errorf("the body is %q", body)
	}
}

func TestLongLinesArriveWhole(t *testing.T) {
	t.Parallel()
	st := newStage(t, settings{World: toynet.World{Domains: map[string]toynet.Domain{"accepts.test": {}}}})
	for i, octets := range []int{1, 78, 997, 998, 999, 1000, 1001, 4096, 65536, 1 << 20} {
		for j, fill := range []string{"x", ".", "é"} {
			t.Run(fmt.Sprintf("%d octets of %s", octets, fill), func(t *testing.T) {
				to := fmt.Sprintf("long%d-%d@accepts.test", i, j)
				line := strings.Repeat(fill, (octets+len(fill)-1)/len(fill))
				message := "From: news@example.org\r\nTo: <" + to + ">\r\nSubject: long\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nbefore\r\n" + line + "\r\nafter\r\n"
				w := dialSMTP(t, st.Submission)
				w.begin("news@example.org", to)
				w.put(strings.ReplaceAll(message, "\r\n.", "\r\n.."))
				w.must(".", "250")
				r := st.Arrived(to)
				clean(t, "what arrived", r.Message)
				if got, want := r.Digest, toynet.Digest([]byte(message)); got != want {
					t.Errorf("the text is another one: %.300q", r.Message)
				}
				for l := range bytes.SplitSeq(r.Message, []byte("\r\n")) {
					if len(l) > 998 {
						t.Errorf("a line of %d octets arrived, want at most 998 (RFC 5322 section 2.1.1)", len(l))
					}
				}
				if r.Stage != reply.Dot {
					t.Errorf("it ended at %s", r.Stage)
				}
			})
		}
	}
}
