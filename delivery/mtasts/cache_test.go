package mtasts_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"homing/delivery/mtasts"
	"homing/internal/dnsx/dnstest"
	"homing/internal/memconn"
	"homing/internal/smtptest"
)

const domain, policyHost = "example.net", "mta-sts.example.net"

// A world has one domain and the host of its policy.
type world struct {
	t       *testing.T
	zone    *dnstest.Zone
	tls     *tls.Config
	roots   *x509.CertPool
	answer  http.HandlerFunc
	mu      sync.Mutex
	notes   map[string][]byte
	dialled []netip.AddrPort
	asked   int
	log     bytes.Buffer
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, notes: map[string][]byte{}, zone: &dnstest.Zone{
		TXTs:  map[string][]string{"_mta-sts.example.net": {"v=STSv1; id=1"}},
		Hosts: map[string][]netip.Addr{policyHost: dnstest.Addrs("93.184.215.14")},
	}}
	var err error
	if w.tls, w.roots, err = smtptest.Certificate(policyHost); err != nil {
		t.Fatal(err)
	}
	w.says("enforce", 24*7*time.Hour)
	return w
}

// says lets the policy host answer with a policy.
func (w *world) says(mode string, age time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer = func(rw http.ResponseWriter, r *http.Request) {
		if r.Host != policyHost || r.URL.Path != "/.well-known/mta-sts.txt" || r.Method != http.MethodGet {
			w.t.Errorf("asked for %s %s%s", r.Method, r.Host, r.URL.Path)
		}
		rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintf(rw, "version: STSv1\nmode: %s\nmx: mx.example.net\nmax_age: %d\n", mode, age/time.Second)
	}
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
	}
	return nil
}

// dial is the way to the policy host: a connection in memory to a web server
// that answers one request.
func (w *world) dial(_ context.Context, to netip.AddrPort) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dialled = append(w.dialled, to)
	if w.answer == nil {
		return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	}
	w.asked++
	near, far := memconn.Pipe(nil, nil)
	l := &oneConn{conn: tls.Server(far, w.tls), closed: make(chan struct{})}
	server := &http.Server{Handler: w.answer, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0),
		ConnState: func(_ net.Conn, s http.ConnState) {
			if s == http.StateClosed {
				l.Close()
			}
		}}
	go server.Serve(l)
	return near, nil
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

func (w *world) config() mtasts.Config {
	return mtasts.Config{Resolver: w.zone, Notes: w, Log: slog.New(slog.NewTextHandler(&w.log, nil)), Roots: w.roots, Dial: w.dial}
}

func (w *world) cache(c mtasts.Config) *mtasts.Cache {
	w.t.Helper()
	cache, err := mtasts.New(w.t.Context(), c)
	if err != nil {
		w.t.Fatal(err)
	}
	return cache
}

// show is what holds, as text.
func show(f mtasts.Found) string {
	text := string(f.Mode) + " " + f.ID
	if f.Mode == "" {
		text = "nothing"
	}
	if f.Err != nil {
		text += ": " + f.Err.Error()
	}
	return text
}

// find asks for the domain and checks the answer and how often the host was
// asked until now.
func (w *world) find(c *mtasts.Cache, want string, asked int) {
	w.t.Helper()
	got := show(c.Find(w.t.Context(), domain))
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !strings.HasPrefix(got, want) || want == "nothing" && got != want || w.asked != asked {
		w.t.Errorf("Find = %q and the host was asked %d times, want %q and %d", got, w.asked, want, asked)
	}
}

// in runs a test in virtual time.
func in(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(newWorld(t)) })
}

func TestAPolicyIsFetchedOnceAndSurvivesARestart(t *testing.T) {
	in(t, func(w *world) {
		c := w.cache(w.config())
		w.find(c, "enforce 1", 1)
		w.find(c, "enforce 1", 1)
		w.find(w.cache(w.config()), "enforce 1", 1)
	})
}

func TestADomainWithoutARecordIsNotAskedForAPolicy(t *testing.T) {
	in(t, func(w *world) {
		w.zone.TXTs = nil
		w.find(w.cache(w.config()), "nothing", 0)
	})
}

func TestANewIDBringsTheNewPolicy(t *testing.T) {
	in(t, func(w *world) {
		c := w.cache(w.config())
		w.find(c, "enforce 1", 1)
		w.says("testing", time.Hour)
		w.zone.TXTs["_mta-sts.example.net"] = []string{"v=STSv1; id=2"}
		w.find(c, "enforce 1", 1) // a moment after the last fetch
		<-time.After(time.Minute)
		w.find(c, "testing 2", 2)
	})
}

func TestAPolicyHoldsUntilItsEndWhateverBecomesOfItsSource(t *testing.T) {
	week := 7 * 24 * time.Hour
	tests := []struct {
		name   string
		breaks func(w *world)
		want   string
	}{
		{"the record is gone", func(w *world) { w.zone.TXTs = nil }, "enforce 1"},
		{"the DNS fails", func(w *world) { w.zone.Down = map[string]bool{"_mta-sts.example.net": true} }, "enforce 1"},
		{"a new one cannot be had", func(w *world) {
			w.zone.TXTs["_mta-sts.example.net"] = []string{"v=STSv1; id=2"}
			w.answer = nil
		}, "enforce 1: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in(t, func(w *world) {
				c := w.cache(w.config())
				w.find(c, "enforce 1", 1)
				tt.breaks(w)
				<-time.After(week - time.Second)
				w.find(c, tt.want, 1)
				<-time.After(time.Second)
				w.find(c, "nothing"+strings.TrimPrefix(tt.want, "enforce 1"), 1)
			})
		})
	}
}

func TestAPolicyThatCannotBeHadIsNone(t *testing.T) {
	plain := func(code int, kind, text string) http.HandlerFunc {
		return func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", kind)
			rw.Header().Set("Location", "https://www.example.net/")
			rw.WriteHeader(code)
			io.WriteString(rw, text)
		}
	}
	good := "version: STSv1\nmode: enforce\nmx: mx.example.net\nmax_age: 86400\n"
	tests := []struct {
		name  string
		setup func(w *world)
		want  string
		kind  error
	}{
		{"nobody listens", func(w *world) { w.answer = nil }, "connection refused", mtasts.ErrFetch},
		{"no address", func(w *world) { w.zone.Hosts = nil }, "no such domain name", mtasts.ErrFetch},
		{"a private address: nobody is asked", func(w *world) { w.zone.Hosts[policyHost] = dnstest.Addrs("127.0.0.1", "10.0.0.1") }, "not a public address", mtasts.ErrFetch},
		{"404", func(w *world) { w.answer = plain(404, "text/plain", good) }, "HTTP status 404", mtasts.ErrFetch},
		{"a redirect", func(w *world) { w.answer = plain(301, "text/plain", good) }, "HTTP status 301", mtasts.ErrFetch},
		{"another type", func(w *world) { w.answer = plain(200, "text/html", good) }, `"text/html" and not text/plain`, mtasts.ErrInvalid},
		{"no type", func(w *world) { w.answer = plain(200, "", good) }, "not text/plain", mtasts.ErrInvalid},
		{"too long", func(w *world) { w.answer = plain(200, "text/plain", good+strings.Repeat("x: y\n", 20_000)) }, "more than 65536 octets", mtasts.ErrInvalid},
		{"no policy", func(w *world) { w.answer = plain(200, "text/plain", "hello") }, "not a valid MTA-STS policy", mtasts.ErrInvalid},
		{"a certificate of nobody", func(w *world) { w.roots = x509.NewCertPool() }, "not valid: x509", mtasts.ErrCertificate},
		{"a certificate of another host", func(w *world) { w.tls, w.roots, _ = smtptest.Certificate("www.example.net") }, "not mta-sts.example.net", mtasts.ErrCertificate},
		{"silence", func(w *world) { w.answer = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() } }, "deadline exceeded", mtasts.ErrFetch},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in(t, func(w *world) {
				tt.setup(w)
				began := time.Now()
				f := w.cache(w.config()).Find(w.t.Context(), domain)
				if f.Mode != "" || f.Err == nil || !strings.Contains(f.Err.Error(), tt.want) || !errors.Is(f.Err, tt.kind) {
					t.Errorf("Find = %q, want nothing: %q, which is %v", show(f), tt.want, tt.kind)
				}
				if took := time.Since(began); took > time.Minute {
					t.Errorf("it took %v", took)
				}
				synctest.Wait()
			})
		})
	}
}

func TestAHostThatFailsIsLeftAloneForLongerAndLonger(t *testing.T) {
	in(t, func(w *world) {
		reg := prometheus.NewRegistry()
		good := w.answer
		w.answer = func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(500) }
		cfg := w.config()
		cfg.Metrics = mtasts.NewMetrics(reg)
		c := w.cache(cfg)
		w.find(c, "nothing: the policy could not be fetched: GET", 1)
		for i, pause := range []time.Duration{5, 10, 20, 40, 60, 60} {
			<-time.After(pause*time.Minute - time.Second)
			w.find(c, "nothing: the policy could not be fetched: GET", i+1)
			<-time.After(time.Second)
			w.find(c, "nothing: the policy could not be fetched: GET", i+2)
		}
		w.answer = good
		<-time.After(time.Hour)
		w.find(c, "enforce 1", 8)
		want := `# HELP homing_mtasts_fetches_total MTA-STS policies that were asked for, by outcome: fetched, invalid, certificate (of the policy host), failed.
# TYPE homing_mtasts_fetches_total counter
homing_mtasts_fetches_total{outcome="failed"} 7
homing_mtasts_fetches_total{outcome="fetched"} 1
`
		if err := testutil.GatherAndCompare(reg, strings.NewReader(want)); err != nil {
			t.Error(err)
		}
	})
}

func TestManyWhoAskAtOnceWaitForOneFetch(t *testing.T) {
	in(t, func(w *world) {
		good := w.answer
		w.answer = func(rw http.ResponseWriter, r *http.Request) {
			<-time.After(10 * time.Second)
			good(rw, r)
		}
		c := w.cache(w.config())
		var asking sync.WaitGroup
		for range 20 {
			asking.Go(func() {
				if f := c.Find(w.t.Context(), domain); f.Mode != mtasts.Enforce {
					t.Errorf("Find = %q", show(f))
				}
			})
		}
		asking.Wait()
		w.find(c, "enforce 1", 1)
	})
}

func TestWhoeverStopsWaitingLeavesTheFetchToTheOthers(t *testing.T) {
	in(t, func(w *world) {
		good := w.answer
		w.answer = func(rw http.ResponseWriter, r *http.Request) {
			<-time.After(10 * time.Second)
			good(rw, r)
		}
		c := w.cache(w.config())
		impatient, stop := context.WithTimeout(w.t.Context(), time.Second)
		defer stop()
		var asking sync.WaitGroup
		asking.Go(func() {
			if f := c.Find(impatient, domain); f.Mode != "" || f.Err != nil {
				t.Errorf("Find = %q", show(f))
			}
		})
		synctest.Wait()
		w.find(c, "enforce 1", 2)
		asking.Wait()
	})
}

// TestAPolicyOfNoAgeHoldsForAMinute: less would be a fetch for each message,
// and there is no moment between the old and the new one.
func TestAPolicyOfNoAgeHoldsForAMinute(t *testing.T) {
	in(t, func(w *world) {
		<-time.After(700 * time.Millisecond) // a clock seldom shows whole seconds
		w.says("enforce", 0)
		c := w.cache(w.config())
		w.find(c, "enforce 1", 1)
		<-time.After(time.Minute - 500*time.Millisecond)
		w.find(c, "enforce 1", 1)
		<-time.After(500 * time.Millisecond)
		w.find(c, "enforce 1", 2)
	})
}

func TestRunRefreshesAPolicyBeforeItEnds(t *testing.T) {
	tests := []struct {
		name  string
		age   time.Duration
		after time.Duration // until when it is not asked for again
	}{
		{"once a day", 30 * 24 * time.Hour, 24*time.Hour - time.Second},
		{"at half of a short age", 2 * time.Hour, time.Hour - time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in(t, func(w *world) {
				w.says("enforce", tt.age)
				c := w.cache(w.config())
				w.find(c, "enforce 1", 1)
				stop := running(w.t, c)
				defer stop()
				<-time.After(tt.after)
				w.find(c, "enforce 1", 1)
				w.says("testing", tt.age)
				<-time.After(time.Minute + time.Second)
				w.find(c, "testing 1", 2)
			})
		})
	}
}

func TestRunForgetsPoliciesThatHaveEnded(t *testing.T) {
	in(t, func(w *world) {
		w.says("enforce", time.Hour)
		c := w.cache(w.config())
		w.find(c, "enforce 1", 1)
		if len(w.notes) != 1 {
			t.Fatalf("%d notes, want one", len(w.notes))
		}
		w.notes["broken.example"] = []byte("{")
		w.zone.TXTs, w.answer = nil, nil
		stop := running(w.t, c)
		<-time.After(24 * time.Hour)
		stop()
		if len(w.notes) != 0 {
			t.Errorf("%d notes are left", len(w.notes))
		}
	})
}

func TestOfTooManyDomainsTheOnesUsedLastAreRemembered(t *testing.T) {
	in(t, func(w *world) {
		w.zone.TXTs["_mta-sts.other.example"] = []string{"v=STSv1; id=1"}
		cfg := w.config()
		cfg.Max = 1
		c := w.cache(cfg)
		w.find(c, "enforce 1", 1)
		c.Find(w.t.Context(), "other.example") // has no policy host
		w.find(c, "enforce 1", 2)
	})
}

// running runs a cache until the function it gives is called.
func running(t *testing.T, c *mtasts.Cache) func() {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v", err)
		}
	}
}
