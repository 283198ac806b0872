package web

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/bounce"
	"homing/event"
	"homing/internal/dnsx/dnstest"
	"homing/queue"
	"homing/queue/shape"
	"homing/server"
	"homing/server/reports"
	"homing/server/review"
	"homing/server/token"
	"homing/store"
	"homing/store/bolt"
	"homing/verp"
)

// A world is a Web over a real store, and its control listener.
type world struct {
	testing.TB
	*Web
	store  *bolt.Store
	queue  *queue.Queue
	tokens *token.Keeper
	waits  *review.Keeper
	server *server.Server
	policy *server.Policy
	url    string
	log    *journal
}

// A journal is a log that tests read.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// open starts a world; change may change the Web before.
func open(t testing.TB, change func(w *Web)) *world {
	t.Helper()
	w := &world{TB: t, log: &journal{}}
	quiet := slog.New(slog.DiscardHandler)
	var err error
	if w.store, err = bolt.Open(t.Context(), bolt.Options{Dir: t.TempDir(), Log: quiet}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.store.Close(); err != nil {
			t.Error(err)
		}
	})
	table := bounce.NewTable()
	w.queue = queue.New(queue.Config{Store: w.store, Table: table, Log: quiet, Options: queue.Options{
		Retry: []time.Duration{time.Hour}, Lifetime: 24 * time.Hour, Limits: shape.Limits{Total: 1, PerSite: 1, Batch: 1}}})
	w.Web = &Web{
		Store: w.store, Queue: w.queue, Reader: bounce.NewReader(table), Rules: bounce.NewLive(table).Table,
		Log: slog.New(slog.NewTextHandler(w.log, nil)), Now: time.Now,
		Metrics: http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { io.WriteString(rw, "homing_up 1\n") }),
		Ready:   func() error { return nil },
		Reload:  func(context.Context) error { return nil },
		Status:  func(context.Context) (Status, error) { return Status{Version: "v1", Listen: []Listening{}}, nil },
		Checks:  checked{},
		Knows:   func(name string) bool { return name == "crm" || name == "shop" },
		Link:    func(string) (verp.Link, error) { return verp.Link{}, verp.ErrNotVERP },
	}
	w.Web.Reports, err = reports.New(t.Context(), reports.Config{Notes: w.store, Resolver: &dnstest.Zone{}, Log: quiet, Now: time.Now,
		Names: reports.Names{Senders: []string{"example.org", "xn--mller-kva.example"}, Keep: 90 * 24 * time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	if w.tokens, err = token.New(t.Context(), w.store, time.Now); err != nil {
		t.Fatal(err)
	}
	w.waits, err = review.New(t.Context(), review.Config{Notes: w.store, Teller: w.queue, OpenBody: w.store.OpenBody, Log: quiet, Now: time.Now,
		Keep: func() time.Duration { return time.Hour }})
	if err != nil {
		t.Fatal(err)
	}
	w.Web.Reviews = w.waits
	w.policy = policy(t)
	w.server, err = server.New(t.Context(), server.Config{Policy: w.policy, Queue: w.queue, Store: w.store, Reader: bounce.NewReader(table), Log: quiet, Now: time.Now, Metrics: server.NewMetrics(nil)})
	if err != nil {
		t.Fatal(err)
	}
	w.Web.Tokens, w.Web.Inject = w.tokens, w.server.Outbound
	if change != nil {
		change(w.Web)
	}
	w.url = serve(t, w.Control())
	return w
}

var verpKeys = []verp.Key{{ID: 1, Secret: []byte(strings.Repeat("k", 32))}}

// policy is that of an association with a CRM and a shop.
func policy(t testing.TB) *server.Policy {
	t.Helper()
	codec, err := verp.New(verp.Options{Keys: verpKeys, MaxAge: 30 * 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	org := &server.Domain{Name: "example.org", Path: verp.Path{Local: "return", Domain: "bounce.example.org", Separator: '+'}}
	com := &server.Domain{Name: "example.com", Path: verp.Path{Local: "return", Domain: "bounce.example.com", Separator: '+'}}
	return &server.Policy{Hostname: "mail.example.org", Mode: server.Deliver, MaxOut: 1 << 20, Verp: codec, Domains: []*server.Domain{org, com},
		Applications: []*server.Application{{Name: "crm", Domains: []*server.Domain{org}}, {Name: "shop", Domains: []*server.Domain{com}}}}
}

// token makes a token of an application, or with "" of an operator.
func (w *world) token(application string) http.Header {
	w.Helper()
	secret, err := w.tokens.Add(w.Context(), token.Token{Name: "t" + application, Application: application, Operator: application == ""})
	if err != nil {
		w.Fatal(err)
	}
	return http.Header{"Authorization": {"Bearer " + secret}, "Content-Type": {"application/json"}}
}

// serve answers on loopback until the end of the test.
func serve(t testing.TB, h http.Handler) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, l, h, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Errorf("Serve = %v", err)
		}
	})
	return "http://" + l.Addr().String()
}

// A request is what a test asks.
type request struct {
	method, path string
	body         string
	head         http.Header
}

// An answer is what came of it.
type answered struct {
	status int
	head   http.Header
	body   string
}

// client follows no redirect and keeps no connection.
var client = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true, DisableCompression: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Timeout:       20 * time.Second,
}

// do asks and reads the whole answer.
func do(t testing.TB, url string, r request) answered {
	t.Helper()
	if r.method == "" {
		r.method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(t.Context(), r.method, url+r.path, strings.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	if r.head != nil {
		req.Header = r.head
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("reading the answer to %s %s: %v", r.method, r.path, err)
	}
	return answered{resp.StatusCode, resp.Header, string(body)}
}

// get asks for a path of the control listener and reads its JSON.
func (w *world) get(path string, into any) {
	w.Helper()
	a := do(w.TB, w.url, request{path: path})
	if a.status != http.StatusOK {
		w.Fatalf("GET %s = %d %s", path, a.status, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), into); err != nil {
		w.Fatalf("GET %s = %q: %v", path, a.body, err)
	}
}

// wantProblem checks that an answer is a problem with a status, whose detail
// holds a text.
func wantProblem(t testing.TB, a answered, status int, detail string) {
	t.Helper()
	var p Problem
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Fatalf("the body is %q: %v", a.body, err)
	}
	if got := a.head.Get("Content-Type"); got != "application/problem+json" || a.status != status || p.Status != status ||
		p.Title != http.StatusText(status) || !strings.Contains(p.Detail, detail) || p.Detail == "" {
		t.Errorf("%d %s %s, want a problem %d with %q", a.status, got, a.body, status, detail)
	}
}

// mail puts a message to some people into the queue.
func (w *world) mail(m store.Message, to ...string) event.MessageID {
	w.Helper()
	return w.submit(queue.Submission{Message: m}, to...)
}

func (w *world) submit(s queue.Submission, to ...string) event.MessageID {
	w.Helper()
	body, err := w.store.NewBody(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	defer body.Discard()
	if _, err := io.WriteString(body, "Hello.\r\n"); err != nil {
		w.Fatal(err)
	}
	s.Body, s.Heads = body, [][]byte{[]byte("Subject: x\r\n\r\n")}
	if s.Message.Application == "" {
		s.Message.Application = "crm"
	}
	s.Message.Domain, s.Message.From, s.Message.Sender = "example.org", "news@example.org", "civi+b.1.2.0a1b2c3d4e5f6a7b@bounce.example.org"
	s.ReturnPath = func(id event.DeliveryID, _ string) string { return "return+x@bounce.example.org" }
	for _, a := range to {
		s.Recipients = append(s.Recipients, queue.Recipient{Address: a})
	}
	id, err := w.queue.Submit(w.Context(), s)
	if err != nil {
		w.Fatal(err)
	}
	return id
}

// deliveryOf gives the number of the only delivery to an address.
func (w *world) deliveryOf(address string) event.DeliveryID {
	w.Helper()
	page, err := w.store.Find(w.Context(), store.Query{Address: address})
	if err != nil || len(page.Rows) != 1 {
		w.Fatalf("Find(%q) = %d rows, %v, want one", address, len(page.Rows), err)
	}
	return page.Rows[0].Recipient.ID
}

// dsn is a report that an address is dead.
func dsn(address, said string) string {
	return "From: MAILER-DAEMON@mx.example.net\r\nSubject: Undelivered Mail Returned to Sender\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nNo.\r\n" +
		"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.net\r\n\r\n" +
		"Final-Recipient: rfc822; " + address + "\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; " + said + "\r\n--b--\r\n"
}

// bounce lets a related mail server report that an address is dead.
func (w *world) bounce(address, said string) {
	w.Helper()
	report, err := w.Reader.ReadAny(strings.NewReader(dsn(address, said)))
	if err != nil {
		w.Fatal(err)
	}
	err = w.queue.Observe(w.Context(), queue.Observation{Delivery: w.deliveryOf(address), Report: report, Peer: "mx.example.net[198.51.100.7]", Related: true})
	if err != nil {
		w.Fatal(err)
	}
}

// hold puts an address on hold as the API does.
func (w *world) hold(address string) answered {
	w.Helper()
	return do(w.TB, w.url, request{"POST", "/api/v1/holds", fmt.Sprintf(`{"address":%q}`, address), jsonBody})
}

var jsonBody = http.Header{"Content-Type": {"application/json; charset=utf-8"}}

// changing is what differs in every run: identifiers and times.
var changing = regexp.MustCompile(`"(0[0-9A-HJKMNP-TV-Z]{12})"|"(20\d\d-\d\d-\d\dT[0-9:.]+Z)"`)

// scrub puts a word where a run has its own identifier or time.
func scrub(text string) string {
	return changing.ReplaceAllStringFunc(text, func(s string) string {
		if strings.Contains(s, ":") {
			return `"TIME"`
		}
		return `"ID"`
	})
}

// wantJSON compares JSON but for identifiers and times.
func wantJSON(t *testing.T, got, want string) {
	t.Helper()
	indent := func(s string) string {
		var b bytes.Buffer
		if err := json.Indent(&b, []byte(scrub(s)), "", " "); err != nil {
			t.Fatalf("%q is no JSON: %v", s, err)
		}
		return strings.TrimSpace(b.String())
	}
	if diff := cmp.Diff(indent(want), indent(got)); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
}
