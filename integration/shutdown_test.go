package integration

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"homing/internal/reply"
	"homing/internal/toynet"
)

// load sends mailings until they end, whatever happens to the server, and
// gives what became of their recipients.
func (st *stage) load(mailings, each int) (wait func() []toynet.Sent) {
	var sending sync.WaitGroup
	results := make([][]toynet.Sent, mailings)
	for i := range mailings {
		m := toynet.Mailing{Job: i + 1, FirstQueue: i*each + 1, Subject: "News", Text: "Hello\n",
			To: recipients(fmt.Sprintf("m%d-", i), each/4, "accepts.test", "unknown.test", "later.test", "greylist.test")}
		sending.Go(func() {
			// The error is that of a server that goes away.
			results[i], _ = st.Client.Send(within(st.t, time.Minute), m)
		})
	}
	return func() (all []toynet.Sent) {
		sending.Wait()
		for _, r := range results {
			all = append(all, r...)
		}
		return all
	}
}

// await waits until an application has heard of so many recipients in all.
func (st *stage) await(sent int) {
	st.t.Helper()
	if err := st.Client.Sent.Wait(within(st.t, time.Minute), func(s []toynet.Sent) bool { return len(s) >= sent }); err != nil {
		st.t.Fatal(err)
	}
}

func TestAShutdownUnderLoadLosesAndRepeatsNothing(t *testing.T) {
	t.Parallel()
	const mailings, each, most = 3, 120, 15 * time.Second
	st := newStage(t, settings{World: toynet.Everyday(50 * time.Millisecond), Delivery: `retry = ["200ms"]`})
	ended := st.load(mailings, each)
	st.await(mailings * each / 3)
	idle := map[string]*wire{
		"an MX dialogue before EHLO":         dial(t, st.MX),
		"an MX dialogue after EHLO":          dialSMTP(t, st.MX),
		"a submission after EHLO":            dialSMTP(t, st.Submission),
		"a submission in a transaction":      dialSMTP(t, st.Submission),
		"an MX dialogue within a command":    dialSMTP(t, st.MX),
		"a submission that was refused once": dialSMTP(t, st.Submission),
	}
	idle["a submission in a transaction"].must("MAIL FROM:<news@example.org>", "250")
	idle["an MX dialogue within a command"].put("MAIL FR")
	idle["a submission that was refused once"].must("MAIL FROM:<news@elsewhere.test>", "451")
	half := st.halfAMessage("half@accepts.test")

	began := time.Now()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		st.Stop()
	}()
	for name, w := range idle {
		if got := w.hear(); !strings.HasPrefix(got, "421 4.3.2") {
			t.Errorf("%s heard %q at the shutdown, want 421 4.3.2", name, got)
		}
	}
	half.finish()
	<-stopped
	if took := time.Since(began); took > most {
		t.Errorf("the server needed %s to stop, want at most %s", took, most)
	}
	sent := append(ended(), half.sent)

	st.Restart()
	st.Outcomes(sent)
	if err := st.Net.Settled(within(t, time.Minute)); err != nil {
		t.Errorf("waiting for what comes back: %v", err)
	}
	st.Balanced()
}

// A halfMessage is a message of which the server has only the beginning.
type halfMessage struct {
	*wire
	stage *stage
	rest  string
	sent  toynet.Sent
}

// halfAMessage submits the first half of a message.
func (st *stage) halfAMessage(to string) *halfMessage {
	st.t.Helper()
	const job, queue = 99, 99_999
	text := strings.ReplaceAll(string(st.Client.Compose(toynet.Mailing{Job: job, Subject: "Slow", Text: "Hello\n"}, queue, to)), "\n", "\r\n")
	h := &halfMessage{wire: dialSMTP(st.t, st.Submission), stage: st, rest: text[len(text)/2:], sent: toynet.Sent{
		To: to, Job: job, Queue: queue, Sender: st.Client.VERP("b", job, queue), Digest: toynet.Digest([]byte(text)), Stage: reply.Dot}}
	h.begin(h.sent.Sender, to)
	h.put(text[:len(text)/2])
	return h
}

// finish submits the other half, which has to be accepted.
func (h *halfMessage) finish() {
	h.t.Helper()
	h.put(h.rest + ".\r\n")
	h.expect("250")
	h.sent.Reply = reply.Reply{Code: 250}
	h.stage.Client.Sent.Add(h.sent)
}

func TestAReloadUnderLoadDisturbsNobody(t *testing.T) {
	t.Parallel()
	const mailings, each, reloads = 2, 200, 10
	s := settings{World: toynet.Everyday(50 * time.Millisecond), Delivery: `retry = ["200ms"]`}
	st := newStage(t, s)
	ended := st.load(mailings, each)
	for n := range reloads {
		st.await(min(mailings*each, (n+1)*mailings*each/(reloads+2)))
		s.App = fmt.Sprintf("daily_limit = %d", 100_000+n)
		st.Reload(s)
	}
	sent := ended()
	if len(sent) != mailings*each {
		t.Errorf("%d recipients were offered, want %d: somebody was cut off", len(sent), mailings*each)
	}
	for _, one := range sent {
		if !one.Acknowledged() {
			t.Errorf("%s was answered %v at %s, want 250", one.To, one.Reply, one.Stage)
		}
	}

	t.Run("a mistake in the file changes nothing", func(t *testing.T) {
		broken := s
		broken.App = `daily_limit = "many"`
		st.Reconfigure(broken)
		st.hangUp("the configuration was not reloaded")
		w := dialSMTP(t, st.Submission)
		w.must("MAIL FROM:<news@example.org>", "250")
	})
	t.Run("what was reloaded counts in the next transaction", func(t *testing.T) {
		w := dialSMTP(t, st.Submission)
		w.must("MAIL FROM:<news@example.org>", "250")
		refusing := s
		refusing.Top = `mode = "refuse"`
		st.Reload(refusing)
		w.must("RCPT TO:<ann@accepts.test>", "250") // this one began before
		w.must("RSET", "250")
		w.must("MAIL FROM:<news@example.org>", "451")
	})
	st.Outcomes(sent)
	if err := st.Net.Settled(within(t, time.Minute)); err != nil {
		t.Errorf("waiting for what comes back: %v", err)
	}
	st.Balanced()
}
