package selfcheck_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"homing/bounce"
	"homing/dnscheck"
	"homing/server/selfcheck"
)

// roads is how mail of ours comes back, or not.
type roads struct {
	*testing.T
	heard    chan selfcheck.Returned
	open     int                                      // trials that have not ended
	straight func(kind string) (string, string)       // by what was sent: what comes back ("": nothing), and why it was not taken ("": it was)
	through  func(address string) *selfcheck.Returned // what comes back through the smarthost; nil: nothing
	sent     []string
	to       string // of the last one
}

func (r *roads) loop() *selfcheck.Loop {
	return &selfcheck.Loop{
		Trial: func(domain string) (string, func(context.Context) (selfcheck.Returned, error), func(), error) {
			if domain == "odd.example" {
				return "", nil, nil, errors.New("odd.example has no return addresses")
			}
			r.open++
			heard := make(chan selfcheck.Returned, 8)
			r.heard = heard
			return "return+tag@bounce." + domain, func(ctx context.Context) (selfcheck.Returned, error) {
				select {
				case x := <-heard:
					return x, nil
				case <-ctx.Done():
					return selfcheck.Returned{}, ctx.Err()
				}
			}, func() { r.open-- }, nil
		},
		Send: func(_ context.Context, w selfcheck.Way, p selfcheck.Posting) (string, error) {
			message, address := p.Message, p.From
			report, err := bounce.NewReader(bounce.NewTable()).Read(bytes.NewReader(message))
			if err != nil {
				r.Error(err)
			}
			r.sent = append(r.sent, string(message))
			r.to = p.To
			if !p.Straight {
				if back := r.through(address); back != nil {
					back.At = time.Now().Add(2 * time.Second)
					heard := r.heard
					go func() { <-time.After(2 * time.Second); heard <- *back }()
				}
				return "smtp.provider.example", nil
			}
			kind, refused := r.straight(string(report.Kind))
			if refused != "" {
				return "", errors.New(refused)
			}
			if kind != "" {
				r.heard <- selfcheck.Returned{Kind: kind, From: address, At: time.Now()}
			}
			return "mail.example.org", nil
		},
		Sign: func(domain string, message []byte) ([]byte, error) {
			return append([]byte("DKIM-Signature: d="+domain+"\r\n"), message...), nil
		},
	}
}

func TestTheWayBackIsTriedWithWhatComesBack(t *testing.T) {
	same := func(kind string) (string, string) { return kind, "" }
	tests := []struct {
		name, domain string
		straight     func(kind string) (string, string)
		want         dnscheck.Verdict
		found        string
	}{
		{"all comes back and is understood", "example.org", same, dnscheck.OK, "came back over mail.example.org in 0 ms, and were understood"},
		{"nothing is taken", "example.org", func(string) (string, string) { return "", "550 5.7.1 no" }, dnscheck.Fail, "a message: it was not taken: 550 5.7.1 no"},
		{"another server takes it", "example.org", func(string) (string, string) { return "", "" }, dnscheck.Fail, "a message: mail.example.org took it, and it did not come back here"},
		{"bounces are filtered on the way", "example.org", func(kind string) (string, string) {
			if kind == "bounce" {
				return "", "550 spam"
			}
			return kind, ""
		}, dnscheck.Fail, "a bounce: it was not taken: 550 spam"},
		{"a complaint is not understood", "example.org", func(kind string) (string, string) {
			return strings.Replace(kind, "complaint", "message", 1), ""
		}, dnscheck.Fail, "a complaint came back, and was taken for message"},
		{"a domain without return addresses", "odd.example", same, dnscheck.Skipped, "odd.example has no return addresses"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &roads{T: t, straight: tt.straight}
				f := r.loop().Straight(t.Context(), selfcheck.Way{Domain: tt.domain, Returns: "bounce." + tt.domain})
				if f.Check != "return_path" || f.Subject != "bounce."+tt.domain {
					t.Fatalf("finding %+v", f)
				}
				wants(t, f, tt.want, tt.found)
				if r.open != 0 {
					t.Errorf("%d trials have not ended", r.open)
				}
				if tt.want == dnscheck.OK && (!strings.HasPrefix(r.sent[0], "DKIM-Signature: d=example.org\r\n") || strings.HasPrefix(r.sent[1], "DKIM")) {
					t.Errorf("signed are not our own messages alone: %.60q, %.60q", r.sent[0], r.sent[1])
				}
			})
		})
	}
}

func TestASmarthostThatIsKnownToRewriteIsTriedWithABounce(t *testing.T) {
	w := selfcheck.Way{Domain: "example.org", Returns: "bounce.example.org", Through: "smarthost", Rewrites: true}
	for _, tt := range []struct {
		name    string
		through func(address string) *selfcheck.Returned
		want    dnscheck.Verdict
		found   string
	}{
		{"the report comes here", func(string) *selfcheck.Returned {
			return &selfcheck.Returned{Kind: "bounce", From: "u@gmail.example", To: "bounces@bounce.example.org"}
		}, dnscheck.OK,
			"the report of a message to nobody came back through smtp.provider.example in 2 s, and was known by its header"},
		{"the report comes to the return address", func(a string) *selfcheck.Returned { return &selfcheck.Returned{Kind: "bounce", To: strings.ToUpper(a)} }, dnscheck.OK,
			"in 2 s, to its return address: this smarthost reports there all the same"},
		{"the report comes in a message", func(string) *selfcheck.Returned {
			return &selfcheck.Returned{Kind: "message", From: "u@gmail.example", To: "bounces@bounce.example.org"}
		}, dnscheck.Fail,
			"what came to bounces@bounce.example.org about a message to nobody was taken for message"},
		{"the report stays in the mailbox there", func(string) *selfcheck.Returned { return nil }, dnscheck.Fail, "no report of it has come here"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &roads{T: t, straight: func(kind string) (string, string) { return kind, "" }, through: tt.through}
				l := r.loop()
				wants(t, l.Relayed(t.Context(), w), dnscheck.Skipped, "it is not back yet")
				last := r.sent[len(r.sent)-1]
				if !strings.Contains(last, "X-Homing-Return: return+tag@bounce.example.org\r\n") || r.to != "return+taa@bounce.example.org" {
					t.Errorf("to %s went %.200q; want a message with the field, to nobody", r.to, last)
				}
				<-time.After(20 * time.Minute)
				got := l.Relayed(t.Context(), w)
				wants(t, got, tt.want, tt.found)
				if tt.want == dnscheck.Fail && (!strings.Contains(got.Fix, "passed on to bounces@bounce.example.org as it is") || !strings.HasSuffix(got.Fix, "after 01:00 UTC, and when the server is started again.")) {
					t.Errorf("the fix is %q", got.Fix)
				}
				<-time.After(10 * time.Second)
			})
		})
	}
}

// TestAFindingIsAboutTheWayThatMailGoesNow has rewrites_sender set while a
// message is known that came back without it.
func TestAFindingIsAboutTheWayThatMailGoesNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := selfcheck.Way{Domain: "example.org", Returns: "bounce.example.org", Through: "smarthost"}
		r := &roads{T: t, through: func(string) *selfcheck.Returned { return &selfcheck.Returned{Kind: "message", From: "u@gmail.example"} }}
		l := r.loop()
		l.Relayed(t.Context(), w)
		<-time.After(time.Minute)
		wants(t, l.Relayed(t.Context(), w), dnscheck.Fail, "another envelope sender")
		w.Rewrites = true
		r.through = func(string) *selfcheck.Returned { return nil }
		wants(t, l.Relayed(t.Context(), w), dnscheck.Skipped, "it is not back yet")
		<-time.After(20 * time.Minute)
		wants(t, l.Relayed(t.Context(), w), dnscheck.Fail, "no report of it has come here")
		if r.open != 1 || len(r.sent) != 2 {
			t.Errorf("%d trials are open, %d messages were sent; want one, and one by each way", r.open, len(r.sent))
		}
	})
}

// TestFewMessagesGoToNobody counts those of four days: each is a bounce, by
// which a provider judges its customer.
func TestFewMessagesGoToNobody(t *testing.T) {
	w := selfcheck.Way{Domain: "example.org", Returns: "bounce.example.org", Through: "smarthost", Rewrites: true}
	bounce := &selfcheck.Returned{Kind: "bounce", From: "u@gmail.example", To: "bounces@bounce.example.org"}
	for _, tt := range []struct {
		name string
		from time.Duration // when the first report comes
		most int
		last dnscheck.Verdict
	}{
		{"one a day where its report comes", 0, 4, dnscheck.OK},
		{"one a day, soon, where none comes", 1000 * time.Hour, 8, dnscheck.Fail},
		{"until one does", 5 * time.Hour, 7, dnscheck.OK},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				r := &roads{T: t, through: func(string) *selfcheck.Returned {
					if time.Since(began) < tt.from {
						return nil
					}
					back := *bounce
					return &back
				}}
				l := r.loop()
				var got dnscheck.Finding
				for time.Since(began) < 95*time.Hour {
					got = l.Relayed(t.Context(), w)
					<-time.After(20 * time.Minute)
				}
				if got.Verdict != tt.last || len(r.sent) < 3 || len(r.sent) > tt.most {
					t.Errorf("%d messages were sent and the last finding is %v; want at most %d and %v", len(r.sent), got, tt.most, tt.last)
				}
			})
		})
	}
}

func TestAReportCountsBehindSomethingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := selfcheck.Way{Domain: "example.org", Returns: "bounce.example.org", Through: "smarthost", Rewrites: true}
		r := &roads{T: t, through: func(string) *selfcheck.Returned {
			return &selfcheck.Returned{Kind: "delayed", To: "bounces@bounce.example.org"}
		}}
		l := r.loop()
		l.Relayed(t.Context(), w)
		<-time.After(time.Minute)
		wants(t, l.Relayed(t.Context(), w), dnscheck.Fail, "was taken for delayed")
		r.heard <- selfcheck.Returned{Kind: "bounce", To: "bounces@bounce.example.org", At: time.Now()}
		wants(t, l.Relayed(t.Context(), w), dnscheck.OK, "was known by its header")
	})
}

func TestTheWayThroughASmarthostIsTriedOnceAnHour(t *testing.T) {
	w := selfcheck.Way{Domain: "example.org", Returns: "bounce.example.org", Through: "smarthost"}
	tests := []struct {
		name    string
		through func(address string) *selfcheck.Returned
		want    dnscheck.Verdict
		found   string
	}{
		{"it comes back", func(a string) *selfcheck.Returned { return &selfcheck.Returned{Kind: "message", From: a} }, dnscheck.OK, "came back through smtp.provider.example in 2 s"},
		{"its envelope sender was rewritten", func(string) *selfcheck.Returned { return &selfcheck.Returned{Kind: "message", From: "u@gmail.example"} }, dnscheck.Fail, `another envelope sender, "u@gmail.example"`},
		{"it is lost", func(string) *selfcheck.Returned { return nil }, dnscheck.Fail, "took a message at 00:00 UTC, and it has not come back"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &roads{T: t, through: tt.through}
				l := r.loop()
				wants(t, l.Relayed(t.Context(), w), dnscheck.Skipped, "smtp.provider.example took a message 0 s ago, and it is not back yet")
				<-time.After(20 * time.Minute)
				wants(t, l.Relayed(t.Context(), w), tt.want, tt.found)
				if r.open != 1 || len(r.sent) != 1 {
					t.Errorf("%d trials are open, %d messages were sent; want one, and one through the smarthost", r.open, len(r.sent))
				}
				<-time.After(time.Hour)
				wants(t, l.Relayed(t.Context(), w), tt.want, tt.found) // what came of the last one
				if len(r.sent) != 2 {
					t.Errorf("%d messages were sent, want another one through the smarthost", len(r.sent))
				}
				<-time.After(10 * time.Second)
			})
		})
	}
}

func TestASmarthostThatWasMendedIsFoundOutSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := selfcheck.Way{Domain: "example.org", Returns: "bounce.example.org", Through: "smarthost"}
		from := "u@gmail.example"
		r := &roads{T: t, through: func(string) *selfcheck.Returned { return &selfcheck.Returned{Kind: "message", From: from} }}
		l := r.loop()
		l.Relayed(t.Context(), w)
		<-time.After(time.Minute)
		wants(t, l.Relayed(t.Context(), w), dnscheck.Fail, "another envelope sender")
		from = "return+tag@bounce.example.org"
		<-time.After(5 * time.Minute)
		wants(t, l.Relayed(t.Context(), w), dnscheck.Fail, "another envelope sender") // of the last one that came back
		<-time.After(time.Minute)
		wants(t, l.Relayed(t.Context(), w), dnscheck.OK, "came back through")
		if len(r.sent) != 2 {
			t.Errorf("%d messages were sent", len(r.sent))
		}
	})
}

func TestWhatThereWasNoTimeForIsNotBroken(t *testing.T) {
	for _, tt := range []struct {
		name  string
		err   error
		want  dnscheck.Verdict
		found string
	}{
		{"nobody knows how far it came", errors.New("451 no time"), dnscheck.Skipped, "time"},
		{"before that, nobody was reached", selfcheck.ErrNotReached, dnscheck.Fail, "no way to it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := (&roads{T: t}).loop()
			ctx, cancel := context.WithCancel(t.Context())
			l.Send = func(context.Context, selfcheck.Way, selfcheck.Posting) (string, error) {
				cancel()
				return "", tt.err
			}
			w := selfcheck.Way{Domain: "example.org", Returns: "bounce.example.org"}
			wants(t, l.Straight(ctx, w), tt.want, tt.found)
			w.Through = "smarthost"
			wants(t, l.Relayed(ctx, w), tt.want, tt.found)
		})
	}
}

// TestAWayThatCannotBeTriedIsNotBroken has one lost question to the DNS, and
// networks that let no machine call itself.
func TestAWayThatCannotBeTriedIsNotBroken(t *testing.T) {
	straight := selfcheck.Way{Domain: "example.org", Returns: "bounce.example.org"}
	relayed := straight
	relayed.Through = "smarthost"
	tests := []struct {
		name  string
		w     selfcheck.Way
		err   error
		want  dnscheck.Verdict
		found string
	}{
		{"the DNS does not answer", straight, selfcheck.ErrNotAsked, dnscheck.Skipped, "a message: it was not taken: the DNS did not answer: 451 x"},
		{"nobody is reached, by whom mail goes straight", straight, selfcheck.ErrNotReached, dnscheck.Fail, "there is no way to it from this machine: 451 x"},
		{"nobody is reached, by whom mail goes through a smarthost", relayed, selfcheck.ErrNotReached, dnscheck.Warn, "there is no way to it from this machine: 451 x"},
		{"somebody refuses, by whom mail goes through a smarthost", relayed, errors.New("550 no"), dnscheck.Fail, "550 no"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := (&roads{T: t}).loop()
			l.Send = func(context.Context, selfcheck.Way, selfcheck.Posting) (string, error) {
				if tt.err == selfcheck.ErrNotAsked || tt.err == selfcheck.ErrNotReached {
					return "", fmt.Errorf("%w: 451 x", tt.err)
				}
				return "", tt.err
			}
			wants(t, l.Straight(t.Context(), tt.w), tt.want, tt.found)
		})
	}
}
