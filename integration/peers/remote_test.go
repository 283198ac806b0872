package peers

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"text/template"
	"time"

	"homing/integration/harness"
	"homing/internal/dnsx"
	"homing/internal/dnsx/dnstest"
	"homing/internal/reply"
	"homing/internal/toynet"
)

// store is how the mail system behind the MXs of peer.test treats its mailboxes.
var store = map[string]toynet.Behaviour{
	"ghost":   {RCPT: reply.Reply{Code: 550, Enhanced: reply.Enhanced{5, 1, 1}, Text: "<{rcpt}>: Recipient address rejected: User unknown in virtual mailbox table"}},
	"gone":    {RCPT: reply.Reply{Code: 550, Enhanced: reply.Enhanced{5, 2, 1}, Text: "The email account that you tried to reach is disabled."}},
	"full":    {Dot: reply.Reply{Code: 552, Enhanced: reply.Enhanced{5, 2, 2}, Text: "<{rcpt}> Quota exceeded (mailbox for user is full)"}},
	"stuffed": {RCPT: reply.Reply{Code: 452, Enhanced: reply.Enhanced{4, 2, 2}, Text: "The email account that you tried to reach is over quota."}},
	"busy":    {RCPT: reply.Reply{Code: 451, Enhanced: reply.Enhanced{4, 3, 0}, Text: "Error: queue file write error"}},
	"unsure":  {RCPT: reply.Reply{Code: 451, Enhanced: reply.Enhanced{4, 3, 0}, Text: "<{rcpt}>: Temporary lookup failure"}},
	"junk":    {Dot: reply.Reply{Code: 554, Enhanced: reply.Enhanced{5, 7, 1}, Text: "Message rejected as spam by Content Filtering."}},
}

// peerWorld has mx.peer.test, played by software of others, as the MX of
// domains. Behind it, where the DNS does not say so, is the store.
func peerWorld(domains, stored []string) toynet.World {
	w := toynet.World{
		Domains: map[string]toynet.Domain{"peer.test": elsewhere, "down.peer.test": {MX: []string{"down.peer.test"}}},
		Hosts:   map[string]toynet.Host{"store.peer.test": {NoTLS: true}, "down.peer.test": {Dead: true}},
	}
	for _, name := range domains {
		w.Domains[name] = toynet.Domain{MX: []string{"mx.peer.test"}}
	}
	w.Records.MXs = map[string][]dnsx.MX{}
	for _, name := range stored {
		w.Domains[name] = toynet.Domain{MX: []string{"store.peer.test"}, Mailboxes: store}
		w.Records.MXs[name] = dnstest.MXs("mx.peer.test")
	}
	return w
}

// A site is what the configuration of mx.peer.test may name: {{.Host}}.
type site struct {
	Host, Port         string // where it listens; the hosts of the toy internet have the same port
	HomeHost, HomePort string // where what it sends to us goes
	Store, Down        string // the addresses behind it; at Down nobody listens
	Program, Dir       string // the path of the server, and its directory
}

// siteOf gives the site for a stage that is made of a peerWorld.
func siteOf(st *harness.Stage) site {
	var s site
	s.Host, s.Port, _ = net.SplitHostPort(mx(st, "peer.test"))
	s.HomeHost, s.HomePort, _ = net.SplitHostPort(tapAddr(st))
	s.Store = st.Net.HostAddr("store.peer.test").Addr().String()
	s.Down = st.Net.HostAddr("down.peer.test").Addr().String()
	return s
}

// fill puts a site into a configuration.
func (s site) fill(t testing.TB, config string) string {
	t.Helper()
	var text strings.Builder
	given, err := template.New("configuration").Parse(config)
	if err == nil {
		err = given.Execute(&text, s)
	}
	if err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// A verdict is what the application has to be told about a recipient, and what
// has to be understood of the report that a peer sent for him.
type verdict struct {
	to     string
	kind   string // of event
	want   string // class, reason, "now" or "later", state of the hold
	report string // kind, format, and address, action and reason of each recipient; "": none is sent
}

// send sends one mailing to the recipients of all verdicts.
func send(t testing.TB, st *harness.Stage, verdicts []verdict, text string) {
	t.Helper()
	m := toynet.Mailing{Job: 1, FirstQueue: 1 + st.Client.Sent.Len(), Subject: "Grüße", Text: text}
	for _, v := range verdicts {
		if !slices.Contains(m.To, v.to) {
			m.To = append(m.To, v.to)
		}
	}
	if _, err := st.Client.Send(harness.Within(t, time.Minute), m); err != nil {
		t.Fatal(err)
	}
}

// check waits for the event and the report of each verdict.
func check(t *testing.T, st *harness.Stage, p *tap, verdicts []verdict) {
	until := harness.Within(t, 30*time.Second) // for all of them, which go on at once
	for _, v := range verdicts {
		t.Run(v.to, func(t *testing.T) {
			e := heardUntil(until, t, st, v.to, v.kind, func(e toynet.Event) bool { return verdictOf(e) == v.want })
			if v.report != "" {
				p.reported(t, e.ReturnPath, v.report)
			}
		})
	}
}

// verdictOf puts an event as verdicts do.
func verdictOf(e toynet.Event) string {
	when, hold := "none", ""
	if e.Sync != nil && *e.Sync {
		when = "now"
	} else if e.Sync != nil {
		when = "later"
	}
	if e.Hold != nil {
		hold = e.Hold.State
	}
	return fmt.Sprintf("%s %s %s %s", e.Class, e.Reason, when, hold)
}
