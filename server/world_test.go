package server_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"homing/bounce"
	"homing/event"
	"homing/hold"
	"homing/internal/dnsx"
	"homing/internal/dnsx/dnstest"
	"homing/internal/mailauth"
	"homing/internal/password"
	"homing/queue"
	"homing/queue/shape"
	"homing/server"
	"homing/server/review"
	"homing/server/smtpd"
	"homing/store"
	"homing/store/bolt"
	"homing/verp"
)

// A world is a server over a real store, with a listener of each kind on
// loopback. Nothing is delivered: delivery is another package.
type world struct {
	*testing.T
	ctx   context.Context
	queue *queue.Queue
	store *disk
	*server.Server
	policy server.Policy
	codec  *verp.Codec
	submit string // address of the submission listener
	mx     string
	lmtp   string
	names  *names
	claims *claims
	counts *prometheus.Registry
	waits  *review.Keeper
}

// claims are the mails that came to an address for reports.
type claims struct {
	mu      sync.Mutex
	taken   []string
	refuses error
}

func (c *claims) Take(_ context.Context, r io.Reader) error {
	text, err := io.ReadAll(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taken = append(c.taken, string(text))
	return errors.Join(err, c.refuses)
}

// refuse makes Take fail, and gives what was taken until then.
func (c *claims) refuse(err error) (taken []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken, c.taken, c.refuses = c.taken, nil, err
	return taken
}

// names counts what is asked of the DNS.
type names struct {
	dnsx.Resolver
	asked atomic.Int32 // who a peer is
	texts atomic.Int32 // what a domain publishes
}

func (n *names) TXT(ctx context.Context, name string) ([]string, error) {
	n.texts.Add(1)
	return n.Resolver.TXT(ctx, name)
}

func (n *names) PTR(ctx context.Context, ip netip.Addr) ([]string, error) {
	n.asked.Add(1)
	return n.Resolver.PTR(ctx, ip)
}

// A disk is a store whose disk can be made to refuse what it is given.
type disk struct {
	*bolt.Store
	mu      sync.Mutex
	refuses error // with which Apply and Enqueue fail
	reports bool  // it refuses changes of deliveries alone
}

func (d *disk) refuse(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refuses = err
}

func (d *disk) fault() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.refuses
}

func (d *disk) Room() error {
	if err := d.fault(); errors.Is(err, store.ErrFailed) {
		return err
	}
	return d.Store.Room()
}

func (d *disk) Apply(ctx context.Context, changes ...store.Change) error {
	if err := d.fault(); err != nil && (!d.reports || changes[0].Delivery != 0) {
		return err
	}
	return d.Store.Apply(ctx, changes...)
}

func (d *disk) Enqueue(ctx context.Context, s store.Submission) (event.MessageID, error) {
	if err := d.fault(); err != nil && !d.reports {
		return 0, err
	}
	return d.Store.Enqueue(ctx, s)
}

const tagDomain = "bounce.example.org"

// open starts a world; change may change the policy before.
func open(t *testing.T, change func(p *server.Policy)) *world {
	t.Helper()
	return openOn(t, change, func(s server.Store) server.Store { return s })
}

// openOn starts a world whose sessions see the store as wrap has it.
func openOn(t *testing.T, change func(p *server.Policy), wrap func(server.Store) server.Store) *world {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := &world{T: t, ctx: ctx, policy: policy(t)}
	w.codec = w.policy.Verp
	if change != nil {
		change(&w.policy)
	}
	log := slog.New(slog.DiscardHandler)
	engine, err := bolt.Open(ctx, bolt.Options{Dir: t.TempDir(), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	w.store = &disk{Store: engine}
	w.queue = queue.New(queue.Config{Store: w.store, Table: bounce.NewTable(), Log: log, Options: queue.Options{
		Retry: []time.Duration{time.Hour}, Lifetime: 5 * 24 * time.Hour, Limits: shape.Limits{Total: 1, PerSite: 1, Batch: 100}}})
	zone := &dnstest.Zone{
		PTRs:  map[netip.Addr][]string{netip.MustParseAddr("127.0.0.1"): {"mx.example.net"}},
		Hosts: map[string][]netip.Addr{"mx.example.net": dnstest.Addrs("127.0.0.1")},
		TXTs: map[string][]string{
			"member.test": {"v=spf1 ip4:127.0.0.1 -all"}, "_dmarc.member.test": {"v=DMARC1; p=reject"},
			"forged.test": {"v=spf1 -all"}, "_dmarc.forged.test": {"v=DMARC1; p=none"},
			"strict.test": {"v=spf1 -all"}, "_dmarc.strict.test": {"v=DMARC1; p=quarantine"},
			"aligned.test": {"v=spf1 ip4:127.0.0.1 -all"},
			"denied.test":  {"v=spf1 ip4:192.0.2.1 -all"}, "doubtful.test": {"v=spf1 ip4:192.0.2.1 ~all"},
		},
		Down: map[string]bool{"down.test": true, "_dmarc.down.test": true},
	}
	w.names = &names{Resolver: zone}
	w.claims = &claims{}
	w.counts = prometheus.NewRegistry()
	w.waits, err = review.New(ctx, review.Config{Notes: w.store, Teller: w.queue, OpenBody: w.store.OpenBody, Log: log, Now: time.Now,
		Keep: func() time.Duration { return time.Hour }})
	if err != nil {
		t.Fatal(err)
	}
	w.Server, err = server.New(ctx, server.Config{Policy: &w.policy, Claims: w.claims, Reviews: w.waits, Queue: w.queue, Store: wrap(w.store),
		Reader: bounce.NewReader(bounce.NewTable()), Names: w.names, Origins: &mailauth.Checker{Resolver: w.names},
		Log: log, Now: time.Now, Metrics: server.NewMetrics(w.counts)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 5)
	run := func(f func(context.Context) error) { go func() { done <- f(ctx) }() }
	run(w.queue.Run)
	run(w.Server.Run)
	w.submit = listen(t, run, smtpd.Options{Hostname: "mail.example.org", Kind: smtpd.Submission, Auth: true, AllowInsecureAuth: true, DSN: true, SMTPUTF8: true}, w.Outbound)
	w.mx = listen(t, run, smtpd.Options{Hostname: "mail.example.org", SMTPUTF8: true}, w.Inbound)
	w.lmtp = listen(t, run, smtpd.Options{Hostname: "mail.example.org", Kind: smtpd.LMTP}, w.LMTP)
	t.Cleanup(func() {
		cancel()
		for range cap(done) {
			if err := <-done; err != nil {
				t.Errorf("a part failed: %v", err)
			}
		}
		if err := w.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func listen(t *testing.T, run func(func(context.Context) error), o smtpd.Options, b smtpd.Backend) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	run(func(ctx context.Context) error { return smtpd.New(o, b).Serve(ctx, l) })
	return l.Addr().String()
}

// listener opens another submission listener for the time of the test, and
// gives its port.
func (w *world) listener(at string, o smtpd.Options) (port string) {
	w.Helper()
	l, err := net.Listen("tcp", at)
	if err != nil {
		w.Fatal(err)
	}
	w.serveOn(l, o)
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port
}

// serveOn takes mail of applications on l for the time of the test.
func (w *world) serveOn(l net.Listener, o smtpd.Options) {
	o.Hostname, o.Kind = "mail.example.org", smtpd.Submission
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(w.ctx)
	go func() {
		done <- smtpd.New(o, w.Outbound).Serve(ctx, l)
	}()
	w.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.Errorf("listener on %s: %v", l.Addr(), err)
		}
	})
}

// policy is that of an association with a CRM and a shop.
func policy(t *testing.T) server.Policy {
	t.Helper()
	codec, err := verp.New(verp.Options{Keys: []verp.Key{{ID: 1, Secret: []byte(strings.Repeat("k", 32))}}, MaxAge: 30 * 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	org := &server.Domain{Name: "example.org", Path: verp.Path{Local: "return", Domain: tagDomain, Separator: '+'}, Sinks: []string{"mail"}}
	shop := &server.Domain{Name: "example.com", Path: verp.Path{Local: "return", Domain: "bounce.example.com", Separator: '-'}, Keep: true, Sinks: []string{"mail"}}
	return server.Policy{
		Hostname: "mail.example.org", Mode: server.Deliver, Verp: codec, Domains: []*server.Domain{org, shop}, Postmaster: "it@example.net",
		Applications: []*server.Application{
			{Name: "crm", Domains: []*server.Domain{org}, Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
				Grammar: &verp.Grammar{Kind: verp.CiviCRM, Prefix: "civi+"}, Sinks: []string{"hooks"}, Mode: server.Deliver},
			{Name: "shop", Domains: []*server.Domain{shop}, Password: password.Plain("open sesame"), Mode: server.Deliver},
		},
		Routes: []server.Route{
			{Local: "civimail", Domain: tagDomain, As: server.RouteReply, To: []string{"crm"}},
			{Local: "civimail+vip", Domain: tagDomain, As: server.RouteReply, To: []string{"vip"}},
			{Local: "*", Domain: tagDomain, As: server.RouteForward, To: []string{"rest"}},
			{Local: "office", Domain: "example.org", As: server.RouteForward, To: []string{"rest"}},
		},
	}
}

// A client talks to a listener, one command at a time.
type client struct {
	*testing.T
	conn net.Conn
	in   *bufio.Reader
}

func (w *world) dial(address string) *client {
	w.Helper()
	return w.dialOn("tcp", address)
}

func (w *world) dialOn(network, address string) *client {
	w.Helper()
	conn, err := net.Dial(network, address)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	c := &client{w.T, conn, bufio.NewReader(conn)}
	if got := c.reply(); !strings.HasPrefix(got, "220 ") {
		w.Fatalf("greeting %q", got)
	}
	return c
}

// reply reads a whole reply and gives its last line.
func (c *client) reply() string {
	c.Helper()
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			c.Fatalf("reading a reply: %v", err)
		}
		if len(line) > 3 && line[3] == ' ' {
			return strings.TrimRight(line, "\r\n")
		}
	}
}

// say sends one line (or a message) and gives the reply.
func (c *client) say(line string) string {
	c.Helper()
	if _, err := io.WriteString(c.conn, line+"\r\n"); err != nil {
		c.Fatal(err)
	}
	return c.reply()
}

// talk says each line and gives the codes of the replies; a line of its own
// that is "." ends a message, whose text goes before it.
func (c *client) talk(lines ...string) string {
	c.Helper()
	var codes []string
	for _, line := range lines {
		codes = append(codes, c.say(line)[:3])
	}
	return strings.Join(codes, " ")
}

// letter is a message that ends with its dot.
func letter(head ...string) string { return strings.Join(head, "\r\n") + "\r\n\r\nHello.\r\n." }

var news = letter("From: News <news@example.org>", "To: ann@example.net", "Subject: Hello")

// send submits a message as the CRM and gives the last reply.
func (w *world) send(from, to, message string) string {
	w.Helper()
	c := w.dial(w.submit)
	for _, line := range []string{"EHLO crm", "MAIL FROM:<" + from + ">", "RCPT TO:<" + to + ">", "DATA"} {
		if got := c.say(line); got[0] > '3' {
			return got
		}
	}
	return c.say(message)
}

// rows gives every recipient, oldest first.
func (w *world) rows() []store.Row {
	w.Helper()
	page, err := w.store.Find(w.ctx, store.Query{})
	if err != nil {
		w.Fatal(err)
	}
	return page.Rows
}

// sent gives the only recipient there is, and its message as it would leave.
func (w *world) sent() (store.Row, string) {
	w.Helper()
	rows := w.rows()
	if len(rows) != 1 {
		w.Fatalf("%d recipients, want 1", len(rows))
	}
	body, err := w.store.OpenBody(w.ctx, rows[0].Recipient.Body)
	if err != nil {
		w.Fatal(err)
	}
	defer body.Close()
	var b strings.Builder
	if _, err := body.WriteTo(&b); err != nil {
		w.Fatal(err)
	}
	return rows[0], b.String()
}

// told gives the events so far, each as its type and whom it is about.
func (w *world) told() string {
	w.Helper()
	var words []string
	for _, e := range w.events() {
		words = append(words, string(e.Type)+" "+e.Recipient)
	}
	return strings.Join(words, ", ")
}

func (w *world) events() []event.Event {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, 200*time.Millisecond)
	defer cancel()
	all, err := w.store.Events(ctx, 0, 1000)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		w.Fatal(err)
	}
	return all
}

// delivered makes mail that waits delivered, as package delivery would say it
// of mx.example.net.
func (w *world) delivered() store.Recipient {
	w.Helper()
	job, err := w.queue.Next(w.ctx)
	if err != nil {
		w.Fatal(err)
	}
	defer w.queue.Finish(job)
	for _, it := range job.Items {
		if err := w.queue.Done(w.ctx, it, accepted); err != nil {
			w.Fatal(err)
		}
	}
	return job.Items[0].Recipient
}

func (w *world) held(address string) bool {
	w.Helper()
	_, held, err := w.queue.Held(w.ctx, address, "crm", "example.org", true)
	if err != nil {
		w.Fatal(err)
	}
	return held
}

func (w *world) hold(address string) {
	w.Helper()
	if err := w.queue.AddHold(w.ctx, address, "", hold.Hold{By: "test", Reason: "test"}); err != nil {
		w.Fatal(err)
	}
}

// bounced is a report that names somebody else than the delivery it is sent to.
const bounced = "From: MAILER-DAEMON@mx.example.net\r\nSubject: Undelivered Mail Returned to Sender\r\nMIME-Version: 1.0\r\n" +
	"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n" +
	"--b\r\nContent-Type: text/plain\r\n\r\nIt could not be delivered.\r\n" +
	"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.net\r\n\r\n" +
	"Final-Recipient: rfc822; somebody.else@example.com\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.1.1 user unknown\r\n" +
	"--b--\r\n."

// report sends a message to an address of the MX, under the null reverse-path,
// and gives the last reply.
func (w *world) report(to, message string) string {
	w.Helper()
	return w.comes("", to, message)
}

// comes is the same from somebody.
func (w *world) comes(from, to, message string) string {
	w.Helper()
	c := w.dial(w.mx)
	for _, line := range []string{"EHLO mx.example.net", "MAIL FROM:<" + from + ">", "RCPT TO:<" + to + ">", "DATA"} {
		if got := c.say(line); got[0] > '3' {
			return got
		}
	}
	return c.say(message)
}
