package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/google/go-cmp/cmp"

	"homing/integration/harness"
	"homing/internal/reply"
	"homing/internal/toynet"
)

// passesOn is where the mailbox of the account passes reports on to.
const passesOn = "bounces@bounce.example.org"

// A rewriter is a smarthost that sends everything as from its account: what
// cannot be delivered is reported to the account, whose mailbox passes it on.
type rewriter struct {
	st     *stage
	at     net.Addr
	shapes map[string]toynet.Composer // how it reports of those who do not exist
	forge  func(field string) string  // changes the return address on its way; nil: not
	open   sync.WaitGroup
	taken  toynet.Journal[string] // recipients that it took, or has reported of
}

// newRewriter starts one at the address of relay.test.
func newRewriter(st *stage, shapes map[string]toynet.Composer) *rewriter {
	st.t.Helper()
	socket, err := net.Listen("tcp", st.Net.HostAddr("relay.test").String())
	if err != nil {
		st.t.Fatal(err)
	}
	r := &rewriter{st: st, at: &net.TCPAddr{IP: st.Net.HostAddr("relay.test").Addr().AsSlice()}, shapes: shapes}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &rewriting{rewriter: r}, nil }))
	server.Domain = "relay.test"
	harness.Run(st.t, func(ctx context.Context) error {
		defer context.AfterFunc(ctx, func() { server.Close() })()
		err := server.Serve(socket)
		r.open.Wait()
		if ctx.Err() != nil {
			return nil
		}
		return err
	})
	return r
}

// A rewriting is one dialogue with a rewriter.
type rewriting struct {
	*rewriter
	to string
}

func (s *rewriting) Mail(string, *smtp.MailOptions) error      { return nil }
func (s *rewriting) Rcpt(to string, _ *smtp.RcptOptions) error { s.to = to; return nil }
func (s *rewriting) Reset()                                    {}
func (s *rewriting) Logout() error                             { return nil }
func (s *rewriting) Data(r io.Reader) error {
	message, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	to := s.to // the next message of the dialogue has another
	s.open.Go(func() { s.pass(to, message) })
	return nil
}

// pass delivers a message, or reports that nobody has that address.
func (r *rewriter) pass(to string, message []byte) {
	defer r.taken.Add(to)
	shape, why := r.shapes[to], reply.Reply{Code: 550, Enhanced: reply.Enhanced{5, 1, 1}, Text: "user unknown"}
	if strings.HasSuffix(to, "@bounce.example.org") {
		var refused *smtp.SMTPError
		if err := r.deliver(to, message); !errors.As(err, &refused) {
			return
		}
		shape, why.Text = toynet.PostfixDSN, refused.Message
	}
	if shape == nil {
		return
	}
	r.heed(to)
	head, _, _ := bytes.Cut(message, []byte("\r\n\r\n"))
	if r.forge != nil && strings.HasSuffix(to, "@away.test") { // not the self-check's own
		at := bytes.Index(head, []byte("X-Homing-Return: ")) + len("X-Homing-Return: ")
		field, rest, _ := bytes.Cut(head[at:], []byte("\r\n"))
		head = fmt.Appendf(bytes.Clone(head[:at]), "%s\r\n%s", r.forge(string(field)), rest)
	}
	now := time.Now()
	report := shape(toynet.Original{Host: "relay.test", From: "account@provider.test", To: to, ID: "4A" + now.Format("150405.000000"), Arrived: now, Now: now,
		Header: append(head, "\r\n"...), Addr: r.st.Net.HostAddr("relay.test").Addr(), Peer: r.st.Net.ServerAddr().Addr(), Why: why})
	if strings.Contains(string(report.Message), "Return-Path: <return+") {
		r.st.t.Error("the report has the envelope sender that the smarthost never kept")
	}
	if err := r.deliver(passesOn, bytes.ReplaceAll(report.Message, []byte("\n"), []byte("\r\n"))); err != nil {
		r.st.t.Errorf("passing a report on: %v", err)
	}
}

// heed waits until the server knows that we took a message: a smarthost that has
// to ask others is not as quick as this one.
func (r *rewriter) heed(to string) {
	if !strings.HasSuffix(to, "@away.test") {
		return
	}
	if err := r.st.Net.Hook.Calls.Wait(within(r.st.t, 30*time.Second), func(all []toynet.Call) bool {
		return slices.ContainsFunc(all, func(c toynet.Call) bool { return c.Event.Type == "delivered" && c.Event.Recipient == to })
	}); err != nil {
		r.st.t.Errorf("waiting until the mail to %s is delivered: %v", to, err)
	}
}

// deliver hands a message to the MX of the server.
func (r *rewriter) deliver(to string, message []byte) error {
	conn, err := (&net.Dialer{LocalAddr: r.at, Timeout: wireWithin}).Dial("tcp", r.st.MX)
	if err != nil {
		return err
	}
	c := smtp.NewClient(conn)
	defer c.Close()
	if err := c.Hello("relay.test"); err != nil {
		return err
	}
	return c.SendMail("account@provider.test", []string{to}, bytes.NewReader(message))
}

// behindARewriter has all mail go through a rewriter.
func behindARewriter(t *testing.T, shapes map[string]toynet.Composer) (*stage, *rewriter) {
	t.Helper()
	st := newStage(t, settings{
		World: toynet.World{Domains: map[string]toynet.Domain{"relay.test": {MX: []string{"relay.test"}}}, Hosts: map[string]toynet.Host{"relay.test": {Dead: true}}},
		Tables: "[[route]]\naddress = \"" + passesOn + "\"\nas = \"bounce\"\nto = [\"hooks\"]\n" +
			"[delivery.smarthost]\naddress = \"relay.test:{{.Net.Port}}\"\ntls = \"none\"\nrewrites_sender = true\n",
	})
	return st, newRewriter(st, shapes)
}

func TestBouncesOfASmarthostThatRewritesTheSenderCount(t *testing.T) {
	t.Parallel()
	shapes := map[string]toynet.Composer{
		"ann@away.test": toynet.PostfixDSN,  // the header of the message
		"bob@away.test": toynet.ExchangeDSN, // the message
		"cid@away.test": toynet.EximBounce,  // a text that quotes the header
	}
	st, _ := behindARewriter(t, shapes)
	st.Mail(1, "ann@away.test", "bob@away.test", "cid@away.test", "well@away.test")
	for to := range shapes {
		st.heard("bounced", to, 1)
		st.heard("held", to, 1)
	}
	st.heard("delivered", "well@away.test", 1)
	if diff := cmp.Diff([]string{"ann@away.test", "bob@away.test", "cid@away.test"}, st.Held()); diff != "" {
		t.Errorf("on hold (-want +got):\n%s", diff)
	}
	for _, c := range st.Net.Hook.Calls.All() {
		if c.Event.Type == "bounced" && (c.Event.Application != "civicrm" || c.Event.Campaign != "civicrm:job:1" || c.Event.Sync == nil || *c.Event.Sync) {
			t.Errorf("told %+v", c.Event)
		}
	}
}

// TestForgedReturnAddressesInHeadersCountForNobody has the address changed on
// its way, and that of one recipient put into the report of another one beside
// his own.
func TestForgedReturnAddressesInHeadersCountForNobody(t *testing.T) {
	t.Parallel()
	shapes := map[string]toynet.Composer{"ann@away.test": toynet.PostfixDSN, "bob@away.test": toynet.ExchangeDSN, "cid@away.test": toynet.EximBounce, "dan@away.test": toynet.PostfixDSN}
	st, r := behindARewriter(t, shapes)
	var fields []string
	r.forge = func(field string) string {
		fields = append(fields, field)
		if before := len(fields) - 2; before >= 0 {
			return field + "\r\nX-Other: " + fields[before]
		}
		local, domain, _ := strings.Cut(field, "@")
		end, other := len(local)-1, "a"
		if local[end:] == other {
			other = "b"
		}
		return local[:end] + other + "@" + domain
	}
	for job, to := range []string{"ann@away.test", "bob@away.test", "cid@away.test", "dan@away.test"} {
		st.Mail(job+1, to)
		if err := r.taken.Wait(within(t, 30*time.Second), func(all []string) bool { return len(all) > job }); err != nil {
			t.Fatal(err)
		}
		st.heard("delivered", to, 1)
	}
	st.heard("bounced", passesOn, 4) // of nobody: told to those whom the route names
	for _, c := range st.Net.Hook.Calls.All() {
		if e := c.Event; e.Type == "held" || e.Type == "bounced" && e.Recipient != passesOn {
			t.Errorf("told %+v", e)
		}
	}
	if held := st.Held(); len(held) > 0 {
		t.Errorf("on hold: %q", held)
	}
}

// TestTheSelfCheckProvesThatReportsOfARewriterCome waits for the report of the
// message to nobody.
func TestTheSelfCheckProvesThatReportsOfARewriterCome(t *testing.T) {
	t.Parallel()
	st, _ := behindARewriter(t, nil)
	st.Restart() // which looks at once
	var got string
	until(t, 45*time.Second, "the report", func() bool {
		stdout, _, _ := st.Try("check", "--json", "--all")
		var said struct {
			Findings []struct{ Check, Subject, Verdict, Found string }
		}
		if err := json.Unmarshal([]byte(stdout), &said); err != nil {
			return false
		}
		for _, f := range said.Findings {
			if f.Check == "smarthost_return" {
				got = f.Verdict + " " + f.Subject + ": " + f.Found
			}
		}
		return strings.HasPrefix(got, "ok ")
	})
	if !strings.HasSuffix(got, "and was known by its header") {
		t.Errorf("found %q", got)
	}
}
