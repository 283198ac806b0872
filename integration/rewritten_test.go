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

// TestBouncesOfASmarthostThatRewritesTheSenderCount has mail go through a
// smarthost that reports to its own account, whose mailbox forwards what comes
// there to an address of ours.
func TestBouncesOfASmarthostThatRewritesTheSenderCount(t *testing.T) {
	t.Parallel()
	s := settings{
		World:  toynet.World{Domains: map[string]toynet.Domain{"away.test": {MX: []string{"relay.test"}}}, Hosts: map[string]toynet.Host{"relay.test": {}}},
		Tables: "[[route]]\naddress = \"bounces@bounce.example.org\"\nas = \"bounce\"\nto = [\"hooks\"]\n",
	}
	st := newStage(t, s)
	s.Tables += fmt.Sprintf("[delivery.smarthost]\naddress = %q\ntls = \"none\"\nrewrites_sender = true\n", st.Net.HostAddr("relay.test"))
	st.Reload(s)
	people := recipients("ann", 3, "away.test")
	st.Mail(1, append(people, "well@away.test")...)
	shapes := []toynet.Composer{toynet.PostfixDSN, toynet.EximBounce, toynet.ExchangeDSN}
	for i, to := range people {
		r := st.Arrived(to)
		head, _, _ := bytes.Cut(r.Message, []byte("\r\n\r\n"))
		o := toynet.Original{Host: r.Host, From: "account@provider.test", To: to, ID: r.ID, Arrived: r.Time, Now: time.Now(), Header: append(head, "\r\n"...),
			Addr: st.Net.HostAddr("relay.test").Addr(), Peer: st.Net.ServerAddr().Addr(),
			Why: reply.Reply{Code: 550, Enhanced: reply.Enhanced{5, 1, 1}, Text: "user unknown"}}
		l := shapes[i](o)
		l.To = "bounces@bounce.example.org"
		if strings.Contains(string(l.Message), "Return-Path: <return+") {
			t.Fatal("the report has the envelope sender that the smarthost never kept")
		}
		st.bringBack(l)
		st.heard("bounced", to, 1)
	}
	if got := st.Held(); len(got) > len(people) || slices.Contains(got, "well@away.test") {
		t.Errorf("held are %v", got)
	}
	for _, c := range st.Net.Hook.Calls.All() {
		if c.Event.Type == "bounced" && (c.Event.Application != "civicrm" || c.Event.Campaign != "civicrm:job:1" || c.Event.Sync == nil || *c.Event.Sync) {
			t.Errorf("told %+v", c.Event)
		}
	}
}
