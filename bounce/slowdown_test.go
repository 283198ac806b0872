package bounce_test

import (
	"testing"
	"time"

	"homing/bounce"
	"homing/internal/reply"
)

func TestWhatAReplyAsksOfTheSender(t *testing.T) {
	const asked, crowd = true, true
	tests := []struct {
		said string
		want bounce.Slowdown
	}{
		{"421 4.7.0 Too many connections from your host", bounce.Slowdown{Asked: asked, Crowd: crowd}},
		{"421 4.7.28 Our system has detected an unusual rate of unsolicited mail originating from your IP address. To protect our users", bounce.Slowdown{Asked: asked}},
		{"421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1; see https://postmaster.example", bounce.Slowdown{Asked: asked}},
		{"450 4.7.1 You are sending too many messages, retry in 15 minutes", bounce.Slowdown{Asked: asked, After: 15 * time.Minute}},
		{"554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org", bounce.Slowdown{Asked: asked}},
		{"550 5.7.25 The IP address sending this message does not have a PTR record", bounce.Slowdown{Asked: asked}},
		{"450 4.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages from being delivered", bounce.Slowdown{}},
		{"452 4.5.3 Too many recipients", bounce.Slowdown{}},
		{"550 5.1.1 User unknown", bounce.Slowdown{}},
		{"554 5.7.1 Message rejected as spam", bounce.Slowdown{}},
		{"450 4.2.0 <ann@example.net>: Recipient address rejected: Greylisted, see http://postgrey.example/help/example.net.html", bounce.Slowdown{}},
		{"450 4.7.1 Greylisted, please try again in 300 seconds", bounce.Slowdown{After: 300 * time.Second}},
		{"451 4.7.1 Greylisting in action, please come back in 00:04:59", bounce.Slowdown{After: 4*time.Minute + 59*time.Second}},
		{"451 4.7.1 Please try again later (wait 05:00)", bounce.Slowdown{After: 5 * time.Minute}},
		{"450 4.7.1 Greylisted for 5 minutes", bounce.Slowdown{After: 5 * time.Minute}},
		{"451 4.7.1 Bitte versuchen Sie es in 10 Minuten erneut; graylisted", bounce.Slowdown{}},
		{"451 4.7.1 Greylisted, erneut in 10 Minuten", bounce.Slowdown{After: 10 * time.Minute}},
		{"451 4.7.1 Greylisted, try again in 2 hours", bounce.Slowdown{After: 2 * time.Hour}},
		{"451 4.7.1 Greylisted, try again in 999999 hours", bounce.Slowdown{}},
		{"451 4.7.1 Try again later, id 4711", bounce.Slowdown{}},
		{"421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to user complaints - 4.16.55.1; see https://help.example", bounce.Slowdown{Asked: asked}},
		{"450 4.7.1 Too many messages, blocked [198.51.100.12] for now", bounce.Slowdown{Asked: asked}},
		{"450 4.7.1 Too many messages, blocked 10.12.34.56", bounce.Slowdown{Asked: asked}},
		{"450 4.7.1 Too many messages, retry in 15 min.", bounce.Slowdown{Asked: asked, After: 15 * time.Minute}},
		{"450 4.7.1 Too many messages, retry in 0 seconds", bounce.Slowdown{Asked: asked}},
		{"450 4.7.1 Too many messages, retry in 3650 days", bounce.Slowdown{Asked: asked}},
		{"450 4.7.1 Too many messages, retry in 1.5 hours", bounce.Slowdown{Asked: asked}},
		{"450 4.7.1 Too many messages, retry after 2031-01-01 10:00:00", bounce.Slowdown{Asked: asked}},
		{"450 4.7.1 Too many messages, blocked until 2026-11-23 05:30", bounce.Slowdown{Asked: asked}},
		{"421 4.7.0 Try again later: 2001:db8::25 is rate limited", bounce.Slowdown{Asked: asked}},
		{"452 4.2.2 The mailbox is full: too many messages, try again later", bounce.Slowdown{}},
		{"452 4.2.2 Over quota, you have sent too many messages to this mailbox", bounce.Slowdown{}},
		{"452 4.2.2 Mailbox has too many messages", bounce.Slowdown{}},
		{"452 4.2.2 Too many mails in this mailbox", bounce.Slowdown{}},
		{"450 4.7.1 Too many messages for this recipient", bounce.Slowdown{}},
		{"450 4.7.1 Hourly limit for recipient ann@example.net reached, try later", bounce.Slowdown{}},
		{"450 4.7.1 Too many messages to recipients of ours", bounce.Slowdown{Asked: asked}},
		{"450 4.7.1 Greylisted, retry at 10:35:00", bounce.Slowdown{}},
		{"450 4.7.1 Greylisted, try again in at least 5 minutes", bounce.Slowdown{After: 5 * time.Minute}},
		{"450 4.3.2 Greylisted until 10:35:00, try again", bounce.Slowdown{}},
	}
	table := bounce.NewTable()
	for _, tt := range tests {
		t.Run(tt.said, func(t *testing.T) {
			v := table.Classify(bounce.Evidence{Stage: reply.RCPT, Text: tt.said})
			if got := v.Slowdown(tt.said); got != tt.want {
				t.Errorf("%s %s: got %+v, want %+v", v.Class, v.Reason, got, tt.want)
			}
		})
	}
}

// FuzzSlowdown promises that no reply makes us wait for longer than a day, or
// for less than a second.
func FuzzSlowdown(f *testing.F) {
	f.Add("try again in 300 seconds")
	f.Add("come back in 00:05:00 or 99:99:99")
	f.Fuzz(func(t *testing.T, text string) {
		s := bounce.Verdict{Class: bounce.None, Reason: bounce.Greylisted}.Slowdown(text)
		if s.After != 0 && (s.After < time.Second || s.After > 24*time.Hour) {
			t.Errorf("%q asks to wait %v", text, s.After)
		}
	})
}
