package tlsrpt_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/mail"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"homing/delivery/tlsrpt"
	"homing/internal/dnsx/dnstest"
	"homing/internal/memconn"
	"homing/internal/smtptest"
)

var author = tlsrpt.Author{Organization: "mail.example.org", Contact: "it@example.org", From: "it@example.org", Submitter: "mail.example.org"}

// A world is the DNS, the queue, the disk, and a receiver of posted reports.
type world struct {
	t     *testing.T
	zone  *dnstest.Zone
	tls   *tls.Config
	roots *x509.CertPool

	mu     sync.Mutex
	notes  map[string][]byte
	mails  []tlsrpt.Mail
	fail   error // of Submit
	status int   // of the receiver; 0: it does not listen
	posts  [][]byte
	tried  int
	log    bytes.Buffer
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, notes: map[string][]byte{}, zone: &dnstest.Zone{
		TXTs:  map[string][]string{"_smtp._tls.example.net": {"v=TLSRPTv1; rua=mailto:tls@example.net"}},
		Hosts: map[string][]netip.Addr{"reports.example.net": dnstest.Addrs("93.184.215.14")},
	}}
	var err error
	if w.tls, w.roots, err = smtptest.Certificate("reports.example.net"); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) Notes(context.Context, string) (map[string][]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.notes), nil
}

func (w *world) Note(_ context.Context, _ string, values map[string][]byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, value := range values {
		if w.notes[name] = value; value == nil {
			delete(w.notes, name)
		}
		if len(value) > 64<<10 {
			w.t.Errorf("a note of %d octets", len(value))
		}
	}
	return nil
}

func (w *world) submit(_ context.Context, m tlsrpt.Mail) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tried++
	if w.fail == nil {
		w.mails = append(w.mails, m)
	}
	return w.fail
}

// dial is the way to the receiver, which answers one request.
func (w *world) dial(context.Context, netip.AddrPort) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tried++
	if w.status == 0 {
		return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	}
	near, far := memconn.Pipe(nil, nil)
	l := &oneConn{conn: tls.Server(far, w.tls), closed: make(chan struct{})}
	server := &http.Server{Handler: http.HandlerFunc(w.receive), ConnState: func(_ net.Conn, s http.ConnState) {
		if s == http.StateClosed {
			l.Close()
		}
	}}
	go server.Serve(l)
	return near, nil
}

func (w *world) receive(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/tlsrpt+gzip" || r.URL.Path != "/v1" {
		w.t.Errorf("%s %s of %s: %v", r.Method, r.URL, r.Header.Get("Content-Type"), err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if rw.WriteHeader(w.status); w.status/100 == 2 {
		w.posts = append(w.posts, body)
	}
}

// A oneConn is a listener to which one client comes.
type oneConn struct {
	once, end sync.Once
	conn      net.Conn
	closed    chan struct{}
}

func (l *oneConn) Accept() (c net.Conn, err error) {
	l.once.Do(func() { c = l.conn })
	if c != nil {
		return c, nil
	}
	<-l.closed
	return nil, io.EOF
}

func (l *oneConn) Close() error   { l.end.Do(func() { close(l.closed) }); return nil }
func (l *oneConn) Addr() net.Addr { return memconn.Addr{} }

// run runs a collector for a while; before, it does what it is told.
func (w *world) run(d time.Duration, before func(c *tlsrpt.Collector)) {
	w.t.Helper()
	c, err := tlsrpt.New(w.t.Context(), tlsrpt.Config{Resolver: w.zone, Notes: w, Submit: w.submit, Dial: w.dial, Roots: w.roots,
		Log: slog.New(slog.NewTextHandler(&w.log, nil))})
	if err != nil {
		w.t.Fatal(err)
	}
	c.SetAuthor(author)
	before(c)
	ctx, cancel := context.WithTimeout(w.t.Context(), d)
	defer cancel()
	if err := c.Run(ctx); err != nil {
		w.t.Errorf("Run = %v", err)
	}
}

func nothing(*tlsrpt.Collector) {}

// in runs a test in virtual time, which begins at a midnight.
func in(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(newWorld(t)) })
}

var (
	sts    = tlsrpt.Policy{Kind: tlsrpt.STS, Domain: "example.net", Lines: []string{"version: STSv1", "mode: enforce", "mx: *.example.net", "max_age: 86400"}}
	record = tlsrpt.Policy{Kind: tlsrpt.TLSA, Domain: "mx.example.net", Lines: []string{"3 1 1 ab"}}
	none   = tlsrpt.Policy{Kind: tlsrpt.NoPolicy, Domain: "example.com"}
)

// some is a day's work.
func some(c *tlsrpt.Collector) {
	expired := &tlsrpt.Failure{Type: tlsrpt.CertExpired, MX: "mx.example.net", Local: netip.MustParseAddr("203.0.113.10"), Remote: netip.MustParseAddr("198.51.100.7")}
	for _, s := range []tlsrpt.Session{
		{Domain: "example.net", Policy: sts}, {Domain: "example.net", Policy: sts}, {Domain: "example.net", Policy: sts, Failure: expired},
		{Domain: "example.net", Policy: sts, Failure: expired}, {Domain: "example.net", Policy: record, Failure: &tlsrpt.Failure{Type: tlsrpt.ValidationFailure, Reason: "tlsa-mismatch"}},
		{Domain: "example.com", Policy: none},
	} {
		c.Add(s)
	}
}

const want = `{"organization-name":"mail.example.org",
"date-range":{"start-datetime":"2000-01-01T00:00:00Z","end-datetime":"2000-01-01T23:59:59Z"},
"contact-info":"it@example.org","report-id":"2000-01-01.example.net@mail.example.org","policies":[
{"policy":{"policy-type":"sts","policy-string":["version: STSv1","mode: enforce","mx: *.example.net","max_age: 86400"],"policy-domain":"example.net","mx-host":["*.example.net"]},
 "summary":{"total-successful-session-count":2,"total-failure-session-count":2},
 "failure-details":[{"result-type":"certificate-expired","sending-mta-ip":"203.0.113.10","receiving-mx-hostname":"mx.example.net","receiving-ip":"198.51.100.7","failed-session-count":2}]},
{"policy":{"policy-type":"tlsa","policy-string":["3 1 1 ab"],"policy-domain":"mx.example.net","mx-host":["mx.example.net"]},
 "summary":{"total-successful-session-count":0,"total-failure-session-count":1},
 "failure-details":[{"result-type":"validation-failure","failed-session-count":1,"failure-reason-code":"tlsa-mismatch"}]}]}`

// compare holds a packed report against the JSON that it should be.
func compare(t *testing.T, packed []byte) {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	var gotJSON, wantJSON any
	if err := errors.Join(json.Unmarshal(text, &gotJSON), json.Unmarshal([]byte(want), &wantJSON)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wantJSON, gotJSON); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

func TestADayIsReportedByMailToWhoeverAsksForIt(t *testing.T) {
	in(t, func(w *world) {
		w.run(29*time.Hour, some)
		if len(w.mails) != 1 || len(w.notes) != 0 {
			t.Fatalf("%d mails and %d notes left, want one and none", len(w.mails), len(w.notes))
		}
		m := w.mails[0]
		if m.To != "tls@example.net" || m.From != "it@example.org" || m.Key == "" {
			t.Errorf("mail %q from %s to %s", m.Key, m.From, m.To)
		}
		whole := append(slices.Clone(m.Head), m.Body...)
		if i := bytes.IndexFunc(whole, func(r rune) bool { return r >= 0x80 }); i >= 0 || bytes.Contains(bytes.ReplaceAll(whole, []byte("\r\n"), nil), []byte("\n")) {
			t.Errorf("the mail is not plain ASCII in lines that end in CR LF")
		}
		msg, err := mail.ReadMessage(bytes.NewReader(whole))
		if err != nil {
			t.Fatal(err)
		}
		for field, want := range map[string]string{
			"From": "<it@example.org>", "To": "<tls@example.net>", "Date": "Sun, 02 Jan 2000", "TLS-Report-Domain": "example.net", "TLS-Report-Submitter": "mail.example.org",
			"TLS-Required": "No", "Subject": "Report Domain: example.net Submitter: mail.example.org Report-ID: <2000-01-01.example.net@mail.example.org>",
		} {
			if got := msg.Header.Get(field); !strings.HasPrefix(got, want) {
				t.Errorf("%s: %q, want %q", field, got, want)
			}
		}
		kind, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
		if err != nil || kind != "multipart/report" || params["report-type"] != "tlsrpt" {
			t.Errorf("%s, %v, %v", kind, params, err)
		}
		parts := multipart.NewReader(msg.Body, params["boundary"])
		text, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		if words, _ := io.ReadAll(text); !strings.Contains(string(words), "it began 2 sessions") || !strings.Contains(string(words), "and 3 failed") {
			t.Errorf("for people: %q", words)
		}
		attached, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		if got := attached.Header.Get("Content-Type") + " " + attached.FileName(); got != "application/tlsrpt+gzip mail.example.org!example.net!946684800!946771199.json.gz" {
			t.Errorf("attached %q", got)
		}
		packed, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, attached))
		if err != nil {
			t.Fatal(err)
		}
		compare(t, packed)
		if _, err := parts.NextPart(); err != io.EOF {
			t.Errorf("after two parts: %v, want the end", err)
		}
	})
}

func TestADayIsReportedOverHTTPS(t *testing.T) {
	tests := []struct {
		name   string
		change func(w *world)
		posts  int
		tried  int
	}{
		{"which is taken", func(w *world) { w.status = 201 }, 1, 1},
		{"which nobody takes in a day", func(w *world) { w.status = 500 }, 0, 10},
		{"where nobody listens", func(w *world) {}, 0, 10},
		{"at a certificate of nobody", func(w *world) { w.status, w.roots = 200, x509.NewCertPool() }, 0, 10},
		{"at an address that is not public: nobody is connected to", func(w *world) {
			w.status = 200
			w.zone.Hosts["reports.example.net"] = dnstest.Addrs("127.0.0.1")
		}, 0, 0},
		{"a redirect is not followed", func(w *world) { w.status = 302 }, 0, 10},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in(t, func(w *world) {
				w.zone.TXTs["_smtp._tls.example.net"] = []string{"v=TLSRPTv1; rua=https://reports.example.net/v1"}
				tt.change(w)
				w.run(60*time.Hour, some)
				synctest.Wait()
				if len(w.posts) != tt.posts || w.tried != tt.tried || len(w.notes) != 0 {
					t.Errorf("%d reports taken of %d tried, %d notes left, want %d of %d and none", len(w.posts), w.tried, len(w.notes), tt.posts, tt.tried)
				}
				for _, packed := range w.posts {
					compare(t, packed)
				}
			})
		})
	}
}

func TestWhoHasTheReportGetsItNoSecondTime(t *testing.T) {
	in(t, func(w *world) {
		w.zone.TXTs["_smtp._tls.example.net"] = []string{"v=TLSRPTv1; rua=mailto:tls@example.net,https://reports.example.net/v1"}
		w.run(60*time.Hour, some)
		if len(w.mails) != 1 || w.tried < 5 {
			t.Errorf("%d mails, %d tries, want one and many", len(w.mails), w.tried)
		}
	})
}

func TestWhatWasCountedSurvivesARestart(t *testing.T) {
	in(t, func(w *world) {
		w.run(12*time.Hour, some)
		if len(w.notes) != 3 {
			t.Errorf("%d notes, want one for each policy", len(w.notes))
		}
		w.notes["broken"], w.notes["2000-01-01 example.org 0"] = nil, []byte("{")
		w.run(17*time.Hour, nothing)
		if len(w.mails) != 1 || !bytes.Contains(w.mails[0].Body, []byte("it began 2 sessions")) {
			t.Errorf("%d mails, want one about both runs", len(w.mails))
		}
	})
}

func TestReportsAreSpreadOverSomeHours(t *testing.T) {
	in(t, func(w *world) {
		w.run(30*time.Hour, func(c *tlsrpt.Collector) {
			for i := range 200 {
				domain := fmt.Sprintf("d%d.example", i)
				w.zone.TXTs["_smtp._tls."+domain] = []string{"v=TLSRPTv1; rua=mailto:tls@" + domain}
				c.Add(tlsrpt.Session{Domain: domain, Policy: none})
			}
		})
		hours := map[string]int{}
		for _, m := range w.mails {
			msg, err := mail.ReadMessage(bytes.NewReader(m.Head))
			if err != nil {
				t.Fatal(err)
			}
			at, err := msg.Header.Date()
			if err != nil {
				t.Fatal(err)
			}
			hours[at.UTC().Format("02 15")]++
		}
		for _, hour := range []string{"02 00", "02 01", "02 02", "02 03"} {
			if hours[hour] < 25 {
				t.Errorf("%d reports at %s, want about 50: %v", hours[hour], hour, hours)
			}
		}
		if len(w.mails) != 200 {
			t.Errorf("%d reports, want 200", len(w.mails))
		}
	})
}

func TestWhatGoesWrongIsTriedAgain(t *testing.T) {
	tests := []struct {
		name   string
		breaks func(w *world)
		mends  func(w *world)
	}{
		{"the DNS", func(w *world) { w.zone.Down = map[string]bool{"_smtp._tls.example.net": true} }, func(w *world) { w.zone.Down = nil }},
		{"the queue", func(w *world) { w.fail = errors.New("disk full") }, func(w *world) { w.fail = nil }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in(t, func(w *world) {
				tt.breaks(w)
				time.AfterFunc(34*time.Hour, func() {
					w.mu.Lock()
					defer w.mu.Unlock()
					tt.mends(w)
				})
				w.run(47*time.Hour, some)
				if len(w.mails) != 1 {
					t.Errorf("%d mails, want one", len(w.mails))
				}
			})
		})
	}
}

func TestNothingIsCountedWhereNobodyReports(t *testing.T) {
	in(t, func(w *world) {
		w.run(30*time.Hour, func(c *tlsrpt.Collector) {
			c.SetAuthor(tlsrpt.Author{})
			some(c)
		})
		if len(w.mails)+len(w.notes) != 0 {
			t.Errorf("%d mails, %d notes, want none", len(w.mails), len(w.notes))
		}
	})
}

func TestNobodyIsMailedWhereNoDomainSigns(t *testing.T) {
	in(t, func(w *world) {
		w.run(30*time.Hour, func(c *tlsrpt.Collector) {
			a := author
			a.From = ""
			c.SetAuthor(a)
			some(c)
		})
		if len(w.mails)+len(w.notes) != 0 {
			t.Errorf("%d mails, %d notes left, want none", len(w.mails), len(w.notes))
		}
	})
}

func TestCountsAreBounded(t *testing.T) {
	in(t, func(w *world) {
		long := strings.Repeat("\x01<", 1000)
		w.run(10*time.Minute, func(c *tlsrpt.Collector) {
			for i := range 200 {
				p := sts
				p.Domain = fmt.Sprint(i)
				for range 200 {
					p.Lines = append(p.Lines, "mx: "+strings.Repeat("a", 250))
				}
				c.Add(tlsrpt.Session{Domain: "example.net", Policy: p})
				p.Domain = "0"
				c.Add(tlsrpt.Session{Domain: "example.net", Policy: p, Failure: &tlsrpt.Failure{Type: tlsrpt.ValidationFailure, Reason: fmt.Sprint(i, long), MX: strings.Repeat("m", 253)}})
			}
			for i := range 11_000 {
				c.Add(tlsrpt.Session{Domain: fmt.Sprintf("d%d.example", i), Policy: none})
			}
		})
		if len(w.notes) != 9_999+8 {
			t.Errorf("%d notes, want 10,000 domains, of which one has 8 policies", len(w.notes))
		}
		var tally struct {
			Bad      int
			Failures []struct{ Count int }
		}
		if err := json.Unmarshal(w.notes["2000-01-01 example.net 0"], &tally); err != nil {
			t.Fatal(err)
		}
		sum := 0
		for _, f := range tally.Failures {
			sum += f.Count
		}
		if tally.Bad != 200 || sum != 200 || len(tally.Failures) > 30 {
			t.Errorf("%d failures in %d kinds, %d in all, want 200 in few", sum, len(tally.Failures), tally.Bad)
		}
	})
}

func TestReportsAreMeasured(t *testing.T) {
	in(t, func(w *world) {
		reg := prometheus.NewRegistry()
		w.zone.TXTs["_smtp._tls.example.net"] = []string{"v=TLSRPTv1; rua=mailto:tls@example.net,https://reports.example.net/v1"}
		c, err := tlsrpt.New(t.Context(), tlsrpt.Config{Resolver: w.zone, Notes: w, Submit: w.submit, Dial: w.dial, Roots: w.roots,
			Log: slog.New(slog.DiscardHandler), Metrics: reg})
		if err != nil {
			t.Fatal(err)
		}
		c.SetAuthor(author)
		some(c)
		ctx, cancel := context.WithTimeout(w.t.Context(), 60*time.Hour)
		defer cancel()
		if err := c.Run(ctx); err != nil {
			t.Error(err)
		}
		want := `# HELP homing_tlsrpt_reports_total Reports about TLS, by way (mail, https) and outcome: sent, failed (it is tried again for a day).
# TYPE homing_tlsrpt_reports_total counter
homing_tlsrpt_reports_total{outcome="failed",way="https"} 10
homing_tlsrpt_reports_total{outcome="sent",way="mail"} 1
`
		if err := testutil.GatherAndCompare(reg, strings.NewReader(want)); err != nil {
			t.Error(err)
		}
	})
}
