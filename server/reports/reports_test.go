package reports

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/internal/aggregate"
)

var ours = told{from: "203.0.113.10", count: 100, dkim: true, spf: true}

func TestAReportCountsOnceHoweverOftenItComes(t *testing.T) {
	w := open(t)
	r := report{org: "google.com", id: "1", domain: "example.org", policy: "none", rows: []told{ours, {from: "198.51.100.9", count: 20}}}
	w.take(r.mail())
	w.take(r.mail())
	w.again()
	w.take(r.mail())
	if got := w.of("example.org"); got.Reports != 1 || got.Messages != 120 || got.Pass != 100 {
		t.Errorf("got %d reports, %+v, want one of 120 messages, 100 of which pass", got.Reports, got.Figures)
	}
	for _, other := range []report{
		{org: "google.com", id: "2", domain: "example.org", policy: "none", rows: r.rows},
		{org: "yahoo.com", id: "1", domain: "example.org", policy: "none", rows: r.rows},
		{org: "google.com", id: "1", domain: "example.org", policy: "none", rows: r.rows, begin: noon.Add(-35 * time.Hour)},
		{org: "google.com", id: "1", domain: "sub.example.org", policy: "none", rows: r.rows},
		{org: "google.com", domain: "example.org", policy: "none", rows: r.rows},
		{org: "google.com", domain: "example.org", policy: "none", rows: []told{ours}},
	} {
		w.take(other.mail())
	}
	if got := w.of("example.org"); got.Reports != 7 {
		t.Errorf("got %d reports, want 7: by another number, reporter, time, domain, and without a number by what they say", got.Reports)
	}
}

func TestWhatBecomesOfReports(t *testing.T) {
	day := 24 * time.Hour
	tests := []struct {
		name string
		mail string
		want string // metrics
	}{
		{"about a domain that mail is sent as", report{org: "a", id: "1", domain: "example.org", rows: []told{ours}}.mail(),
			"dmarc_messages_total example.org,pass,own 100\nreceived_total dmarc,kept 1"},
		{"from somebody else", report{org: "a", id: "1", domain: "example.org", rows: []told{{from: "198.51.100.9", count: 20}}}.mail(),
			"dmarc_messages_total example.org,fail,other 20\nreceived_total dmarc,kept 1"},
		{"from somebody else, with our signature", report{org: "a", id: "1", domain: "example.org", rows: []told{{from: "198.51.100.9", count: 20, dkim: true,
			more: "<auth_results><dkim><domain>example.org</domain><selector>Homing1</selector><result>pass</result></dkim></auth_results>"}}}.mail(),
			"dmarc_messages_total example.org,pass,own 20\nreceived_total dmarc,kept 1"},
		{"with a signature under our name that does not hold", report{org: "a", id: "1", domain: "example.org", rows: []told{{from: "198.51.100.9", count: 20,
			more: "<auth_results><dkim><domain>example.org</domain><selector>homing1</selector><result>fail</result></dkim></auth_results>"}}}.mail(),
			"dmarc_messages_total example.org,fail,other 20\nreceived_total dmarc,kept 1"},
		{"about a domain below one of ours", report{org: "a", id: "1", domain: "made-up.by.somebody.example.org", rows: []told{ours}}.mail(),
			"dmarc_messages_total example.org,pass,own 100\nreceived_total dmarc,kept 1"},
		{"about the domain of return addresses", report{org: "a", id: "1", domain: "bounce.example.org", rows: []told{ours}}.mail(),
			"dmarc_messages_total bounce.example.org,pass,own 100\nreceived_total dmarc,kept 1"},
		{"about a domain of others", report{org: "a", id: "1", domain: "example.com", rows: []told{ours}}.mail(), "received_total dmarc,foreign 1"},
		{"about everybody in a zone", report{org: "a", id: "1", domain: "org", rows: []told{ours}}.mail(), "received_total dmarc,foreign 1"},
		{"about a time that is forgotten", report{org: "a", id: "1", domain: "example.org", begin: noon.Add(-95 * day), rows: []told{ours}}.mail(), "received_total dmarc,dated 1"},
		{"about the future", report{org: "a", id: "1", domain: "example.org", begin: noon.Add(2 * day), rows: []told{ours}}.mail(), "received_total dmarc,dated 1"},
		{"about TLS", tlsMail("1", "bounce.example.org", "sts", 7, 2, "certificate-expired"),
			"received_total tls,kept 1\ntls_sessions_total bounce.example.org,failed 2\ntls_sessions_total bounce.example.org,good 7"},
		{"about TLS of others", tlsMail("1", "example.com", "sts", 7, 2, "certificate-expired"), "received_total tls,foreign 1"},
		{"that is none", "Subject: Hello\r\n\r\nHello!\r\n", "unread_total none 1"},
		{"that is damaged", "Content-Type: application/gzip\r\n\r\nHello!\r\n", "unread_total damaged 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := open(t)
			w.take(tt.mail)
			if diff := cmp.Diff(tt.want, w.counted()); diff != "" {
				t.Errorf("metrics (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAReportIsOfTheDayOfItsMiddle(t *testing.T) {
	tests := []struct {
		name, begin string
		want        string
	}{
		{"from midnight on", "2026-11-22T00:00:00Z", "2026-11-22"},
		{"from midnight in Berlin on", "2026-11-21T23:00:00Z", "2026-11-22"},
		{"from midnight in California on", "2026-11-22T08:00:00Z", "2026-11-22"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := open(t)
			begin, err := time.Parse(time.RFC3339, tt.begin)
			if err != nil {
				t.Fatal(err)
			}
			w.take(report{org: "a", id: "1", domain: "example.org", begin: begin, rows: []told{ours}}.mail())
			if got := w.of("example.org"); got.Since != tt.want || got.Until != tt.want {
				t.Errorf("it is of %s to %s, want %s", got.Since, got.Until, tt.want)
			}
		})
	}
}

func TestWhatCouldNotBeNotedCountsWhenItComesAgain(t *testing.T) {
	w := open(t)
	full := errors.New("the disk is full")
	w.notes.refuses = full
	mail := report{org: "a", id: "1", domain: "example.org", rows: []told{ours}}.mail()
	if err := w.Take(t.Context(), strings.NewReader(mail)); !errors.Is(err, full) {
		t.Errorf("Take = %v, want %v", err, full)
	}
	if got := w.of("example.org"); got.Messages != 0 || w.counted() != "" {
		t.Errorf("%d messages and %q count although they were not noted", got.Messages, w.counted())
	}
	w.notes.refuses = nil
	w.take(mail)
	if got := w.of("example.org"); got.Messages != 100 {
		t.Errorf("%d messages count, want 100", got.Messages)
	}
}

func TestErrorsOfReadingAreKept(t *testing.T) {
	w := open(t)
	broken := errors.New("the disk broke")
	if err := w.Take(t.Context(), iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("Take = %v, want %v", err, broken)
	}
}

// address gives the n-th address of somebody.
func address(n int) string {
	return fmt.Sprintf("2001:db8:ffff:ffff:ffff:ffff:%x:%x", n>>16+0x1000, n&0xffff|0x1000)
}

func TestOfManySourcesThoseWithTheMostMessagesAreKeptAndOurs(t *testing.T) {
	w := open(t)
	rows := []told{{from: "203.0.113.10", count: 1, dkim: true}, {from: "nobody", count: 5}}
	for n := range 300 {
		rows = append(rows, told{from: address(n), count: n + 2})
	}
	w.take(report{org: "a", id: "1", domain: "example.org", rows: rows}.mail())
	d := w.noted()["2026-11-22 example.org"]
	if len(d.Sources) != maxSources || !d.Sources[0].Own || d.Sources[1].Messages != 301 || d.Sources[maxSources-1].Messages != 203 {
		t.Errorf("kept are %d, %+v, …, %+v", len(d.Sources), d.Sources[:2], d.Sources[len(d.Sources)-1])
	}
	all := 1 + 5 + 300*303/2
	if got := w.of("example.org"); got.Messages != all || len(got.Sources) != mostSources {
		t.Errorf("%d messages from %d sources, want %d from %d: nothing is lost", got.Messages, len(got.Sources), all, mostSources)
	}
}

func TestADayIsOneNoteHoweverMuchIsReported(t *testing.T) {
	var d day
	huge := Figures{math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxInt64}
	for n := range 1000 {
		d.Sources = append(d.Sources, source{netip.MustParseAddr(address(n)), true, strings.Repeat("a", maxAs), huge})
		r := d.reporter(fmt.Sprintf("%04d", n) + strings.Repeat(`"`, 200))
		r.Reports, r.Figures, r.Sessions = math.MaxInt64, huge, math.MaxInt64
	}
	for _, kind := range aggregate.PolicyTypes {
		for _, failure := range aggregate.FailureTypes {
			d.TLS.add(sessionsOf(&aggregate.Policy{Type: kind, Good: math.MaxInt32, Failed: math.MaxInt32, Failures: []aggregate.Failure{{Type: failure, Count: math.MaxInt64}}}), "")
		}
	}
	d.fold(maxSources)
	d.Rest = huge
	for n := range maxReports {
		d.Seen = append(d.Seen, mark("dmarc", fmt.Sprint(n), &aggregate.Head{}, nil))
	}
	text, err := d.note()
	if err != nil || len(text) > 64<<10 {
		t.Errorf("a day is a note of %d octets, %v, want at most 64 KiB", len(text), err)
	}
	if len(d.Sources) != maxSources || len(d.Reporters) != maxReporters {
		t.Errorf("it has %d sources and %d reporters", len(d.Sources), len(d.Reporters))
	}
}

func TestAfterSoManyReportsOfADayNoMoreCount(t *testing.T) {
	w := open(t)
	for n := range maxReports + 3 {
		w.take(report{org: fmt.Sprintf("org%d.example", n), id: "1", domain: "example.org", rows: []told{{from: "203.0.113.10", count: 1}}}.mail())
	}
	got := w.of("example.org")
	if got.Reports != maxReports || got.Messages != maxReports || len(got.Reporters) != maxReporters {
		t.Errorf("%d reports of %d reporters and %d messages count, want %d, %d, %[4]d", got.Reports, len(got.Reporters), got.Messages, maxReports, maxReporters)
	}
	if !strings.Contains(w.counted(), "received_total dmarc,crowded 3\n") {
		t.Errorf("metrics:\n%s", w.counted())
	}
}

func TestTheOldestDaysKeepSumsAloneWhenThereIsTooMuch(t *testing.T) {
	w := open(t)
	for date := range 60 {
		for _, domain := range []string{"example.org", "bounce.example.org"} {
			d := &day{Seen: []string{"x"}}
			for n := range 450 { // as if a day kept more
				d.Sources = append(d.Sources, source{Address: netip.MustParseAddr(address(n)), Figures: Figures{Messages: 1}})
			}
			w.days[key{noon.AddDate(0, 0, -date).Format(dateForm), domain}] = d
		}
	}
	w.take(report{org: "a", id: "1", domain: "example.org", rows: []told{ours}}.mail())
	sources, messages := 0, 0
	for _, d := range w.days {
		sources += len(d.Sources)
		messages += d.Rest.Messages
		for _, s := range d.Sources {
			messages += s.Messages
		}
	}
	if sources > maxAll || sources < maxAll-450 || messages != 120*450+100 {
		t.Errorf("%d sources and %d messages are kept, want about %d and %d", sources, messages, maxAll, 120*450+100)
	}
	if d := w.days[key{noon.AddDate(0, 0, -59).Format(dateForm), "example.org"}]; len(d.Sources) != 0 || d.Rest.Messages != 450 {
		t.Errorf("the oldest day has %d sources and a rest of %d", len(d.Sources), d.Rest.Messages)
	}
}

func TestWhatIsOldIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t)
		w.take(report{org: "a", id: "1", domain: "example.org", begin: noon.AddDate(0, 0, -80), rows: []told{ours}}.mail())
		w.take(report{org: "a", id: "2", domain: "example.org", rows: []told{ours}}.mail())
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.Keeper.Run(ctx) }()
		synctest.Wait()
		if got := len(w.noted()); got != 2 {
			t.Errorf("%d days are kept, want 2", got)
		}
		w.turn <- struct{}{} // or the clock of the test would be read while it is set
		w.now = noon.AddDate(0, 0, 12)
		<-w.turn
		<-time.After(tickTime)
		synctest.Wait()
		if got := w.noted(); len(got) != 1 || len(got["2026-11-22 example.org"].Seen) != 1 {
			t.Errorf("%d days are kept, want the last", len(got))
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestTheAddressesOfOurNameAreOurs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.Keeper.Run(ctx) }()
		synctest.Wait()
		w.take(report{org: "a", id: "1", domain: "example.org", rows: []told{{from: "2001:db8::10", count: 3}}}.mail())
		w.SetNames(Names{Senders: []string{"example.org"}, Keep: association.Keep})
		w.take(report{org: "a", id: "2", domain: "example.org", rows: []told{ours}}.mail())
		if got, want := w.counted(), "dmarc_messages_total example.org,fail,own 3\ndmarc_messages_total example.org,pass,own 100\nreceived_total dmarc,kept 2"; got != want {
			t.Errorf("metrics:\n%s\nwant\n%s", got, want)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A stuck reader gives nothing until it is let go.
type stuck chan struct{}

func (s stuck) Read([]byte) (int, error) {
	<-s
	return 0, io.EOF
}

func TestMailThatWaitsTooLongIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t)
		let := make(stuck)
		done := make(chan error, 1)
		go func() { done <- w.Take(t.Context(), let) }()
		synctest.Wait()
		w.take(report{org: "a", id: "1", domain: "example.org", rows: []told{ours}}.mail())
		if got := w.counted(); got != "unread_total busy 1" {
			t.Errorf("metrics: %s", got)
		}
		ctx, stop := context.WithCancel(t.Context())
		stop()
		if err := w.Take(ctx, strings.NewReader("")); !errors.Is(err, context.Canceled) {
			t.Errorf("Take = %v after its context ended", err)
		}
		close(let)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestReportsThatComeAtOnceAllCount(t *testing.T) {
	w := open(t)
	var all sync.WaitGroup
	for n := range 20 {
		all.Go(func() {
			mail := report{org: "a", id: fmt.Sprint(n % 10), domain: "example.org", rows: []told{ours}}.mail()
			if err := w.Take(context.Background(), strings.NewReader(mail)); err != nil {
				t.Error(err)
			}
			w.Answer(context.Background(), "", time.Time{})
		})
	}
	all.Wait()
	if got := w.of("example.org"); got.Reports != 10 || got.Messages != 1000 {
		t.Errorf("%d reports and %d messages count, want 10 and 1000", got.Reports, got.Messages)
	}
}

func TestANoteThatCannotBeReadIsForgottenAlone(t *testing.T) {
	w := open(t)
	w.take(report{org: "a", id: "1", domain: "example.org", rows: []told{ours}}.mail())
	w.notes.values["2026-11-21 example.org"] = []byte("{")
	w.notes.values["nonsense"] = []byte("{}")
	w.again()
	if got := w.of("example.org"); got.Messages != 100 || got.Since != "2026-11-22" {
		t.Errorf("got %d messages since %s", got.Messages, got.Since)
	}
}
