package queue_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"homing/bounce"
	"homing/event"
	"homing/queue"
)

// campaign hands over mail of a campaign to so many people.
func (w *world) campaign(name string, people int) {
	w.Helper()
	for n := range people {
		w.send(func(s *queue.Submission) { s.Message.Campaign = name }, fmt.Sprintf("%s%d@example.net", name, n))
	}
}

// mailing sends until nothing is left; what becomes of the n-th recipient of a
// campaign answers says.
func (w *world) mailing(answer func(campaign string, n int) string) map[string]int {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, time.Hour)
	defer cancel()
	tried := map[string]int{}
	for {
		job, err := w.queue.Next(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			return tried
		}
		if err != nil {
			w.Fatal(err)
		}
		for _, it := range job.Items {
			if job.Yield() {
				break
			}
			c := it.Message.Campaign
			if err := w.queue.Done(w.ctx, it, result(answer(c, tried[c]))); err != nil {
				w.Fatal(err)
			}
			tried[c]++
		}
		w.queue.Finish(job)
	}
}

func (w *world) incidents() (all []string) {
	w.Helper()
	for _, e := range w.events() {
		if e.Type == event.IncidentOpened || e.Type == event.IncidentClosed {
			all = append(all, string(e.Type)+" "+e.Text)
		}
	}
	return all
}

func TestACampaignThatGoesWrongIsPausedAndNoOther(t *testing.T) {
	const people = 240
	tests := []struct {
		name string
		bad  func(n int) string
		why  string // "": it goes on
	}{
		{"an old list", func(n int) string { return []string{"250 2.0.0 OK", "550 5.1.1 user unknown"}[n%2] }, "addresses do not exist"},
		{"one that is taken for spam", func(n int) string { return []string{"250 2.0.0 OK", "554 5.7.1 rejected as spam"}[n%2] }, "refused for what they are"},
		{"one with a few dead addresses goes on", func(n int) string {
			if n%8 == 0 {
				return "550 5.1.1 user unknown"
			}
			return "250 2.0.0 OK"
		}, ""},
		{"one with full mailboxes goes on", func(n int) string { return "552 5.2.2 mailbox full" }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in(t, func(w *world) {
				o := options
				o.Breaker = true
				w.queue.SetOptions(o)
				w.campaign("old", people)
				w.campaign("good", people)
				tried := w.mailing(func(campaign string, n int) string {
					if campaign == "good" {
						return "250 2.0.0 OK"
					}
					return tt.bad(n)
				})
				if tried["good"] != people {
					t.Errorf("of the other campaign %d were sent, want all", tried["good"])
				}
				if tt.why == "" {
					if tried["old"] != people || len(w.incidents()) > 0 {
						t.Errorf("%d sent, incidents %q; want all, none", tried["old"], w.incidents())
					}
					return
				}
				if tried["old"] < 200 || tried["old"] >= people {
					t.Errorf("%d sent, want it to stop after 200", tried["old"])
				}
				if told := w.incidents(); len(told) != 1 || !strings.Contains(told[0], tt.why) || !strings.Contains(told[0], "homing queue resume --application crm --campaign old") {
					t.Errorf("incidents %q, want one that says %q", told, tt.why)
				}
				if _, err := w.queue.Resume(w.ctx, queue.Order{Filter: queue.Filter{Application: "crm", Campaign: "old"}, By: "eve"}); err != nil {
					t.Fatal(err)
				}
				again := w.mailing(func(string, int) string { return "250 2.0.0 OK" })
				if told := w.incidents(); again["old"] != people-tried["old"] || len(told) != 2 || !strings.HasPrefix(told[1], "incident_closed") {
					t.Errorf("after it was let go on %d sent, incidents %q; want the rest, and the incident closed", again["old"], told)
				}
			})
		})
	}
}

func TestAProviderThatFailsEverybodyHoldsNobody(t *testing.T) {
	const people = 60
	in(t, func(w *world) {
		w.campaign("news", people)
		w.mailing(func(string, int) string { return "250 2.0.0 OK" })
		after(2 * time.Hour)
		w.campaign("news", people) // all of them took mail two hours ago
		var troubles []queue.Trouble
		w.mailing(func(string, int) string { troubles = w.queue.Troubles(); return "550 5.1.1 user unknown" })
		if len(troubles) != 1 || troubles[0].Site != "example.net" || troubles[0].Kind != queue.TroubleSurge {
			t.Errorf("meanwhile the troubles are %+v, want the surge", troubles)
		}
		held := 0
		for n := range people {
			if _, is, err := w.queue.Held(w.ctx, fmt.Sprintf("news%d@example.net", n), "crm", "example.org", true); err != nil {
				t.Fatal(err)
			} else if is {
				held++
			}
		}
		if held != 19 {
			t.Errorf("%d are on hold, want those 19 before it was noticed", held)
		}
		after(time.Hour) // nothing goes there
		told := w.incidents()
		if len(told) != 2 || !strings.Contains(told[0], "homing hold release --provider example.net") || !strings.HasPrefix(told[1], "incident_closed example.net no longer fails") {
			t.Errorf("incidents %q, want one that was closed", told)
		}
		if troubles = w.queue.Troubles(); len(troubles) > 0 {
			t.Errorf("an hour later the troubles are %+v, want none", troubles)
		}
	})
}

func TestAddressesThatNeverAcceptedMailAreNoSurge(t *testing.T) {
	in(t, func(w *world) {
		w.campaign("old", 60)
		w.mailing(func(string, int) string { return "550 5.1.1 user unknown" })
		if told := w.incidents(); len(told) > 0 {
			t.Errorf("incidents %q, want none", told)
		}
	})
}

func TestACampaignThatWasStoppedIsKnownAfterARestart(t *testing.T) {
	o := options
	o.Breaker = true
	dead := func(string, int) string { return "550 5.1.1 user unknown" }
	restarted(t, o, func(w *world) {
		w.campaign("old", 480)
		if tried := w.mailing(dead); tried["old"] >= 220 {
			t.Errorf("%d sent, want it to stop after 200", tried["old"])
		}
	}, func() {}, func(w *world) {
		w.idle()
		w.do(w.queue.Resume, order(queue.Filter{Campaign: "old"}))
		if told := w.incidents(); len(told) != 2 || told[1] != "incident_closed The campaign old of crm is paused no more." {
			t.Errorf("incidents %q, want it closed", told)
		}
		w.mailing(dead)
		if told := w.incidents(); len(told) != 2 || w.queue.Waiting() > 0 {
			t.Errorf("incidents %q, %d wait; want it to go on to its end, as somebody decided", told, w.queue.Waiting())
		}
	})
}

func TestACampaignThatSomebodyHasPausedIsNotStoppedOnceMore(t *testing.T) {
	in(t, func(w *world) {
		o := options
		o.Breaker, o.Limits.PerSite = true, 10
		w.queue.SetOptions(o)
		w.campaign("old", 240)
		paused := false
		w.mailing(func(_ string, n int) string {
			if n == 199 && !paused {
				w.do(w.queue.Pause, order(queue.Filter{Application: "crm", Campaign: "old"}))
				paused = true
			}
			return "550 5.1.1 user unknown"
		})
		if told := w.incidents(); !paused || len(told) > 0 {
			t.Errorf("incidents %q, want none", told)
		}
	})
}

func TestComplaintsPauseACampaignHoweverLateTheyCome(t *testing.T) {
	const people = 1400
	tests := []struct {
		name           string
		after, callers int // so many complain after so many were sent
		paused         bool
	}{
		{"four of 250 are chance", 250, 4, false},
		{"five of 250 are not", 250, 5, true},
		{"six of 1,300 are fewer than half a per cent", 1300, 6, false},
		{"seven of 1,300 are more", 1300, 7, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in(t, func(w *world) {
				o := options
				o.Breaker = true
				w.queue.SetOptions(o)
				w.campaign("old", people)
				complained := false
				tried := w.mailing(func(_ string, n int) string {
					if n == tt.after && !complained {
						complained = true
						for _, e := range w.events()[:tt.callers] {
							if err := w.report(e.Delivery, bounce.Report{Kind: bounce.Complaint, Digest: uint64(e.Delivery)}); err != nil {
								t.Fatal(err)
							}
						}
					}
					return "250 2.0.0 OK"
				})
				told := w.incidents()
				if !tt.paused {
					if tried["old"] != people || len(told) > 0 {
						t.Errorf("%d sent, incidents %q; want all, none", tried["old"], told)
					}
					return
				}
				want := fmt.Sprintf("%d recipients of ", tt.callers)
				if tried["old"] >= people || len(told) != 1 || !strings.Contains(told[0], want) || !strings.Contains(told[0], "have called it spam") {
					t.Errorf("%d sent, incidents %q; want it to stop with one that says %q", tried["old"], told, want)
				}
			})
		})
	}
}
