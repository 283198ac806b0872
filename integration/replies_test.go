package integration

import (
	"bytes"
	"net/mail"
	"slices"
	"strings"
	"testing"
	"time"

	"homing/internal/message"
	"homing/internal/reply"
	"homing/internal/toynet"
)

// answering is a world in which people write back, and in which those who send
// mailings have their mailboxes elsewhere.
func answering() settings {
	world := toynet.Everyday(50 * time.Millisecond)
	world.Domains["example.org"] = toynet.Domain{Mailboxes: map[string]toynet.Behaviour{
		"gone": {RCPT: reply.Reply{Code: 550, Enhanced: reply.Enhanced{5, 1, 1}, Text: "user unknown"}},
		"desk": {Later: []toynet.Later{{After: 50 * time.Millisecond, Compose: ticket}}},
	}}
	return settings{World: world, App: `replies = "forward"`}
}

// ticket is the answer of a program that answers whoever a mail is from, as
// programs do that know no better: without a word that nobody has written it.
func ticket(o toynet.Original) toynet.Letter {
	m, _ := message.FirstMailbox(message.ParseHeader(o.Header).Get("From"))
	return toynet.Letter{From: o.To, To: m.Address, Message: []byte("From: Desk <" + o.To + ">\nSubject: Your ticket\n\nWe have it.\n")}
}

// to gives what an address got.
func (st *stage) to(address string) (all []toynet.Receipt) {
	for _, r := range st.Net.Receipts.All() {
		if r.To == address && r.Accepted() {
			all = append(all, r)
		}
	}
	return all
}

func TestRepliesGoOnToWhoeverSentTheMailing(t *testing.T) {
	t.Parallel()
	st := newStage(t, answering())
	sent := st.Mail(1, "ann@replies.test", "bob@vacation.test", "carl@unknown.test")
	st.Outcomes(sent)
	st.heard("replied", "ann@replies.test", 1)
	st.heard("auto_replied", "bob@vacation.test", 1)
	r := st.Arrived("news@example.org")
	m, err := mail.ReadMessage(bytes.NewReader(r.Message))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"From": `"ann via Example News" <return@bounce.example.org>`, "Reply-To": "<ann@replies.test>", "X-Original-From": "<ann@replies.test>", "Subject": "Re: News"} {
		if got := m.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if r.From != "" || !bytes.Contains(r.Message, []byte("\r\n\r\nThank you, I shall be there, and I bring my sister along – is that all right?\r\n")) {
		t.Errorf("it came from %q:\n%s", r.From, r.Message)
	}
	path := st.Arrived("ann@replies.test").From

	// The peer that had no answer comes again after a crash. What that finds
	// between the dot and its record is delivered twice, which is another test.
	until(t, 30*time.Second, "the forward to be recorded", func() bool { return strings.Contains(st.Run("trace", "news@example.org"), "It was delivered") })
	st.Kill()
	st.Restart()
	again := toynet.Letter{From: "ann@replies.test", To: path, Message: original(t, r.Message)}
	st.bringBack(again)
	st.bringBack(again)
	// At CiviCRM's own address it is another reply, behind which all is done.
	again.To = st.Client.VERP("r", 1, 10_001)
	again.Message = append([]byte("X-Second: yes\n"), again.Message...)
	st.bringBack(again)
	until(t, 30*time.Second, "the second reply", func() bool {
		return slices.ContainsFunc(st.to("news@example.org"), func(r toynet.Receipt) bool { return bytes.Contains(r.Message, []byte("X-Second: yes\r\n")) })
	})
	if got := st.to("news@example.org"); len(got) != 2 {
		t.Errorf("%d replies went on, want one of each", len(got))
	}
	st.says("A reply of ann@replies.test went on to news@example.org", "trace", "ann@replies.test")
	st.says("Homing passed on a reply of ann@replies.test", "trace", "news@example.org")
	if held := st.Held(); !slices.Equal(held, []string{"carl@unknown.test"}) {
		t.Errorf("held are %v", held)
	}
}

// original takes a reply as it went on back to what its writer sent.
func original(t *testing.T, message []byte) []byte {
	t.Helper()
	_, from, _ := bytes.Cut(message, []byte("\r\n\tby mail.example.org with "))
	_, from, ok := bytes.Cut(from, []byte("\r\n\t"))
	_, from, found := bytes.Cut(from, []byte("\r\n"))
	if !ok || !found {
		t.Fatalf("no Received field of ours is in\n%s", message)
	}
	text := strings.Replace(string(from), `From: "ann via Example News" <return@bounce.example.org>`, "From: <ann@replies.test>", 1)
	return []byte(strings.ReplaceAll(strings.TrimSuffix(strings.Replace(text, "Reply-To: <ann@replies.test>\r\n", "", 1), "\r\n"), "\r\n", "\n"))
}

func TestAReplyThatNobodyTakesIsNotedAndBouncesNowhere(t *testing.T) {
	t.Parallel()
	st := newStage(t, answering())
	st.Client.From = "Gone <gone@example.org>"
	st.Mail(1, "ann@replies.test")
	st.heard("replied", "ann@replies.test", 1)
	until(t, 30*time.Second, "the failure in the log", func() bool {
		return strings.Contains(st.Log(), "mail of the server itself could not be delivered")
	})
	st.says("A reply of ann@replies.test went on to gone@example.org", "trace", "ann@replies.test")
	st.says("It bounced", "trace", "gone@example.org")
	if held := st.Held(); len(held) > 0 {
		t.Errorf("held are %v", held)
	}
	if err := st.Net.Settled(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	if got := st.to("ann@replies.test"); len(got) != 1 {
		t.Errorf("whoever wrote the reply got %d mails, want the mailing alone", len(got))
	}
}

// TestAProgramThatAnswersRepliesEnds has the author of a mailing be a program
// that answers everything.
func TestAProgramThatAnswersRepliesEnds(t *testing.T) {
	t.Parallel()
	st := newStage(t, answering())
	st.Client.From = "Desk <desk@example.org>"
	st.Mail(1, "ann@replies.test")
	st.Arrived("desk@example.org")
	if err := st.Net.Settled(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	st.Mail(2, "last@replies.test")
	until(t, 30*time.Second, "the last reply", func() bool {
		return slices.ContainsFunc(st.to("desk@example.org"), func(r toynet.Receipt) bool { return bytes.Contains(r.Message, []byte("last@replies.test")) })
	})
	if got := st.to("desk@example.org"); len(got) != 2 {
		t.Errorf("%d replies went on, want one of each person", len(got))
	}
}

func TestRepliesAreCapturedWhereMailIs(t *testing.T) {
	t.Parallel()
	s := answering()
	st := newStage(t, s)
	st.Mail(1, "ann@accepts.test")
	path := st.Arrived("ann@accepts.test").From
	s.Top = `mode = "capture"`
	st.Reload(s)
	st.bringBack(toynet.Letter{From: "ann@accepts.test", To: path, Message: []byte("From: ann@accepts.test\nSubject: Re: News\n\nThanks.")})
	st.says("news@example.org", "capture", "list")
	st.Run("capture", "release", "--recipient", "news@example.org")
	st.Arrived("news@example.org")
}
