package integration

import (
	"fmt"
	"io"
	"net/http"
	"net/mail"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"homing/internal/toynet"
)

// poller is a program that fetches its mail by POP3.
type poller struct {
	t testing.TB
	*textproto.Conn
}

func poll(t testing.TB, address string) *poller {
	t.Helper()
	c, err := textproto.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	p := &poller{t, c}
	p.answer("+OK POP3 server mail.example.org ready")
	return p
}

func (p *poller) answer(want string) string {
	p.t.Helper()
	line, err := p.ReadLine()
	if err != nil || !strings.HasPrefix(line, want) {
		p.t.Fatalf("the server says %q, %v; want %q", line, err, want)
	}
	return line
}

func (p *poller) say(command, want string) string {
	p.t.Helper()
	if err := p.PrintfLine("%s", command); err != nil {
		p.t.Fatal(err)
	}
	return p.answer(want)
}

func (p *poller) enter(user, password string) *poller {
	p.t.Helper()
	p.say("USER "+user, "+OK")
	p.say("PASS "+password, "+OK")
	return p
}

// lines is the rest of an answer of many.
func (p *poller) lines() []string {
	p.t.Helper()
	lines, err := p.ReadDotLines()
	if err != nil {
		p.t.Fatal(err)
	}
	return lines
}

// fetched are the messages by their unique ids.
func (p *poller) fetched() map[string]*mail.Message {
	p.t.Helper()
	all := map[string]*mail.Message{}
	p.say("UIDL", "+OK")
	for _, row := range p.lines() {
		number, uid, _ := strings.Cut(row, " ")
		p.say("RETR "+number, "+OK")
		text, err := p.ReadDotBytes()
		if err != nil {
			p.t.Fatal(err)
		}
		m, err := mail.ReadMessage(strings.NewReader(string(text)))
		if err != nil {
			p.t.Fatalf("%v in\n%s", err, text)
		}
		all[uid] = m
	}
	return all
}

// popSettings are a stage with an application that has its reports in a Maildir.
func popSettings() settings {
	return settings{
		World: toynet.Everyday(50 * time.Millisecond), Delivery: `retry = ["300ms"]`,
		Listen: `pop3 = ["{{.At 2110}}"]`,
		App:    "sinks = [\"drop\", \"hooks\"]\npassword_file = \"app-password\"",
		Tables: "[[sink]]\nname = \"drop\"\ntype = \"maildir\"\npath = \"maildir\"\n",
		Files:  map[string]string{"app-password": "correct horse\n"},
	}
}

// TestAnApplicationPollsItsReportsByPOP3 plays a program that fetches, deletes
// and comes again, while the server is killed between.
func TestAnApplicationPollsItsReportsByPOP3(t *testing.T) {
	t.Parallel()
	st := newStage(t, popSettings())
	to := recipients("p", 4, "unknown.test", "later.test", "accepts.test", "blocks.test", "vacation.test", "delays.test")
	dead := func(address string) bool {
		return strings.HasSuffix(address, "@unknown.test") || strings.HasSuffix(address, "@later.test")
	}
	sent := st.Mail(1, to...)
	senders := map[string]bool{}
	for _, s := range sent {
		if dead(s.To) {
			senders[s.Sender] = true
		}
	}
	st.awaitMessages(len(senders))
	if err := st.Net.Settled(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}

	p := poll(t, st.At(2110)).enter("civicrm", "correct horse")
	first := p.fetched()
	if len(first) != len(senders) {
		t.Errorf("%d messages, want one for each of %d addresses that are dead, and nothing for the others", len(first), len(senders))
	}
	for uid, m := range first {
		to := m.Header.Get("To")
		if !senders[to] || m.Header.Get("Delivered-To") != to {
			t.Errorf("%s is for %q (Delivered-To %q), which is nobody's own address", uid, to, m.Header.Get("Delivered-To"))
		}
		delete(senders, to)
	}
	p.say("DELE 1", "+OK")
	st.Kill()
	st.Restart()
	p = poll(t, st.At(2110)).enter("civicrm/drop", "correct horse")
	again := p.fetched()
	if !slices.Equal(uids(again), uids(first)) {
		t.Errorf("after a crash before QUIT the messages are %q, want the same as before: %q", uids(again), uids(first))
	}
	p.say("DELE 1", "+OK")
	p.say("DELE 2", "+OK")
	p.say("QUIT", "+OK")
	st.Kill()
	st.Restart()
	p = poll(t, st.At(2110)).enter("civicrm", "correct horse")
	if got, want := uids(p.fetched()), uids(first)[2:]; !slices.Equal(got, want) {
		t.Errorf("after a crash after QUIT the messages are %q, want %q", got, want)
	}
	for n := range len(first) - 2 {
		p.say("DELE "+strconv.Itoa(n+1), "+OK")
	}
	p.say("QUIT", "+OK")
	st.Mail(2, "more@unknown.test")
	st.awaitMessages(1)
	st.Balanced()
}

// awaitMessages waits until the mailbox shows so many messages.
func (st *stage) awaitMessages(want int) {
	st.t.Helper()
	until(st.t, time.Minute, fmt.Sprintf("%d messages", want), func() bool {
		p := poll(st.t, st.At(2110)).enter("civicrm", "correct horse")
		defer p.Close()
		count := p.say("STAT", "+OK")
		p.say("QUIT", "+OK")
		return strings.HasPrefix(count, fmt.Sprintf("+OK %d ", want))
	})
}

func uids(m map[string]*mail.Message) (all []string) {
	for uid := range m {
		all = append(all, uid)
	}
	slices.Sort(all)
	return all
}

func TestPasswordsForPOP3CannotBeGuessedNorRead(t *testing.T) {
	t.Parallel()
	s := popSettings()
	s.Limits = "disk_reserve = \"64MiB\"\nauth_failures_per_minute = 3"
	st := newStage(t, s)
	p := poll(t, st.At(2110))
	for range 3 {
		p.say("USER civicrm", "+OK")
		p.say("PASS battery staple", "-ERR [AUTH]")
	}
	p.say("USER civicrm", "+OK")
	p.say("PASS correct horse", "-ERR [SYS/TEMP] too many failed logins")
	if _, err := p.ReadLine(); err == nil {
		t.Error("the connection stays open")
	}
	if log := st.Log(); strings.Contains(log, "battery staple") || strings.Contains(log, "correct horse") {
		t.Error("the log has a password")
	}
	metrics := st.metrics()
	for _, line := range []string{`homing_pop3d_logins_total{outcome="password"} 3`, `homing_pop3d_logins_total{outcome="blocked"} 1`, `homing_maildir_unread_reports{sink="drop"} 0`} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("the metrics lack %s", line)
		}
	}
}

// metrics are those of this moment.
func (st *stage) metrics() string {
	st.t.Helper()
	got, err := http.Get("http://" + st.HTTP + "/metrics")
	if err != nil {
		st.t.Fatal(err)
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		st.t.Fatal(err)
	}
	return string(text)
}
