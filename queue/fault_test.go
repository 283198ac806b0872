package queue_test

import (
	"testing"

	"homing/internal/reply"
	"homing/queue"
)

func TestWhoseFaultItIs(t *testing.T) {
	ours := func(code int, status reply.Enhanced, text string) queue.Result {
		return queue.Result{Stage: reply.Connect, Ours: true, Reply: reply.Reply{Code: code, Enhanced: status, Text: text}}
	}
	smart := func(r queue.Result) queue.Result { r.Smarthost = true; return r }
	tests := []struct {
		name string
		r    queue.Result
		want string // class and reason
	}{
		{"a host that cannot be reached", ours(451, reply.Enhanced{4, 4, 1}, "connect to mx.example.net: connection refused"), "soft network_error"},
		{"a host with a name that sounds like a fault", ours(451, reply.Enhanced{4, 4, 1}, "connect to mx.blocked-spam.test: no such user"), "soft network_error"},
		{"a domain with a name that sounds like a fault", ours(550, reply.Enhanced{5, 1, 2}, "Host or domain name not found: mailbox-full.spam.test"), "soft host_unknown"},
		{"a null MX", ours(556, reply.Enhanced{5, 1, 10}, "example.net does not accept mail (null MX)"), "hard no_mail_host"},
		{"nobody of that name in a domain of our own", ours(550, reply.Enhanced{5, 1, 1}, "no such address here"), "hard user_unknown"},
		{"a message that we cannot read", ours(451, reply.Enhanced{4, 3, 0}, "the message cannot be read just now"), "sender system_error"},
		{"a full disk of ours", ours(452, reply.Enhanced{4, 3, 1}, "not enough room"), "sender system_full"},
		{"a dialogue that we did not understand", ours(451, reply.Enhanced{4, 5, 0}, "protocol error by mx.example.net"), "sender system_error"},
		{"an MX that is ourselves", ours(554, reply.Enhanced{5, 4, 6}, "mail for example.net loops back to ourselves"), "sender loop"},
		{"a smarthost that cannot be reached", smart(ours(451, reply.Enhanced{4, 4, 1}, "connection refused")), "sender network_error"},
		{"a smarthost that does not relay for us", smart(result("554 5.7.1 relay access denied")), "sender relay_denied"},
		{"an MX that does not relay", result("554 5.7.1 relay access denied"), "soft relay_denied"},
		{"a smarthost that is full", smart(result("452 4.3.1 insufficient system storage")), "sender system_full"},
		{"a smarthost that knows the mailbox to be full", smart(result("552 5.2.2 mailbox full")), "soft mailbox_full"},
		{"a smarthost that knows the address to be dead", smart(result("550 5.1.1 user unknown")), "hard user_unknown"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in(t, func(w *world) {
				w.submit("ann@example.net")
				job := w.next()
				defer w.queue.Finish(job)
				if err := w.queue.Done(w.ctx, job.Items[0], tt.r); err != nil {
					t.Fatal(err)
				}
				all := w.events()
				if got := all[1].Class + " " + all[1].Reason; got != tt.want {
					t.Errorf("%s: %s, want %s", all[1].Type, got, tt.want)
				}
			})
		})
	}
}

func TestASmarthostThatAnswersProvesNothingAboutOtherSites(t *testing.T) {
	in(t, func(w *world) {
		answer := func(address string, r queue.Result) {
			w.submit(address)
			job := w.next()
			defer w.queue.Finish(job)
			if err := w.queue.Done(w.ctx, job.Items[0], r); err != nil {
				t.Fatal(err)
			}
		}
		said := result("250 2.0.0 OK")
		said.Smarthost = true
		answer("bob@example.com", said)
		answer("ann@example.net", result("!550 5.1.2 no such domain"))
		all := w.events()
		if e := all[len(all)-1]; e.Hold == nil || e.Hold.State != "free" {
			t.Errorf("the last event is %+v, want no evidence", e)
		}
	})
}
