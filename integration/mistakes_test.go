package integration

import (
	"slices"
	"strings"
	"testing"
	"time"

	"homing/internal/reply"
	"homing/internal/toynet"
)

// recorded gives the recipients for whom CiviCRM records a bounce because of
// what it was told when it handed mail over: everything but a 4xx within the
// transaction.
func recorded(sent []toynet.Sent) (all []toynet.Sent) {
	for _, s := range sent {
		if !s.Acknowledged() && !s.Reply.Temporary() {
			all = append(all, s)
		}
	}
	return all
}

// offer sends a mailing. When the connection cannot be opened or breaks,
// CiviCRM records a bounce for everybody, so that fails the test.
func (st *stage) offer(t *testing.T, c *toynet.CiviCRM, job int, to ...string) []toynet.Sent {
	t.Helper()
	sent, err := c.Send(within(t, time.Minute), toynet.Mailing{Job: job, FirstQueue: 10_000 * job, Subject: "News", Text: "Hello\n", To: to})
	if err != nil {
		t.Errorf("the mailing broke off, which is a bounce for everybody: %v", err)
	}
	for _, s := range recorded(sent) {
		t.Errorf("a bounce of %s was recorded, because of %v at %s", s.To, s.Reply, s.Stage)
	}
	return sent
}

// incidents gives the texts of the incidents that the application was told of.
func (st *stage) incidents() (texts []string) {
	for line := range strings.Lines(st.Run("events")) {
		if strings.Contains(line, `"type":"incident_opened"`) {
			texts = append(texts, line)
		}
	}
	return texts
}

func TestMistakesOfTheOperatorAreNoBounces(t *testing.T) {
	t.Parallel()
	world := toynet.World{Domains: map[string]toynet.Domain{"accepts.test": {}}}
	to := recipients("m", 4, "accepts.test")
	tests := []struct {
		name    string
		mistake settings
		client  func(*toynet.CiviCRM) // changes what the application does
		accepts int                   // how many of four are taken all the same
		stage   reply.Stage           // where the others are put off
		told    string                // what the incident names; "": nothing is wrong
		mended  settings
	}{
		{name: "the daily limit is used up", mistake: settings{App: "daily_limit = 2"}, accepts: 2, stage: reply.MAIL, told: "daily_limit",
			mended: settings{App: "daily_limit = 100"}},
		{name: "the envelope sender is of an unknown domain", stage: reply.MAIL, told: "elsewhere.test",
			client: func(c *toynet.CiviCRM) { c.Domain = "elsewhere.test" }},
		{name: "the From field is of an unknown domain", stage: reply.Dot, told: "elsewhere.test",
			client: func(c *toynet.CiviCRM) { c.From = "<news@elsewhere.test>" }},
		{name: "everything is switched off", mistake: settings{Top: `mode = "refuse"`}, stage: reply.MAIL},
		{name: "the application is switched off", mistake: settings{App: `mode = "refuse"`}, stage: reply.MAIL},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.mistake.World, tt.mended.World = world, world
			st := newStage(t, tt.mistake)
			c := &toynet.CiviCRM{Address: st.Client.Address, From: st.Client.From, Prefix: st.Client.Prefix, Domain: st.Client.Domain}
			if tt.client != nil {
				tt.client(c)
			}
			check := func(sent []toynet.Sent, accepts int) {
				t.Helper()
				for i, s := range sent {
					if s.Acknowledged() != (i < accepts) || i >= accepts && (s.Reply.Code != 451 || s.Stage != tt.stage) {
						t.Errorf("recipient %d was answered %v at %s, want %d accepted and 451 at %s for the rest", i, s.Reply, s.Stage, accepts, tt.stage)
					}
				}
			}
			check(st.offer(t, c, 1, to...), tt.accepts)
			st.Restart()
			check(st.offer(t, c, 2, to...), 0)
			if got := st.incidents(); tt.told != "" && (len(got) == 0 || !strings.Contains(got[0], tt.told)) {
				t.Errorf("incidents: %q, want one that names %s", got, tt.told)
			}
			st.Reload(tt.mended)
			check(st.offer(t, st.Client, 3, to...), 4)
		})
	}
}

func TestApplicationsAreNeverRefusedAtTheDoor(t *testing.T) {
	t.Parallel()
	st, open := newDoor(t)
	t.Run("many connections from one address are welcome", func(t *testing.T) {
		for range 100 {
			dialSMTP(t, st.Submission)
		}
	})
	t.Run("a certificate that was broken is not shown", func(t *testing.T) {
		st.Write("cert.pem", "this is no certificate")
		st.hangUp("reloaded")
		w := dialSMTP(t, open)
		w.secure()
		w.must("EHLO client.test", "250")
		w.must("AUTH PLAIN "+plain("civicrm", password), "235")
		w.must("MAIL FROM:<news@example.org>", "250")
	})
	t.Run("the size of messages is not advertised", func(t *testing.T) {
		w := dial(t, st.Submission)
		if offers := strings.Split(w.ask("EHLO client.test"), "\n"); !slices.ContainsFunc(offers, func(l string) bool { return strings.TrimRight(l[4:], " ") == "SIZE" }) {
			t.Errorf("EHLO offers %q, want SIZE without a number", offers)
		}
	})
}
