package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"homing/config"
	"homing/dnscheck"
	"homing/event"
	"homing/event/maildir"
	dir "homing/internal/maildir"
	"homing/server/pop3d"
	"homing/server/selfcheck"
	"homing/server/smtpd"
)

// mailboxes are the Maildirs that applications read, and how they stand.
type mailboxes struct {
	waiting *prometheus.GaugeVec
	oldest  *prometheus.GaugeVec
	expired *prometheus.CounterVec
	again   chan struct{} // the sinks have changed

	mu     sync.Mutex
	sinks  []*maildir.Sink // in force
	states map[string]maildir.State
}

func newMailboxes(r prometheus.Registerer) *mailboxes {
	labels := []string{"sink"}
	m := &mailboxes{
		waiting: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "homing_maildir_unread_reports",
			Help: "Reports in a Maildir that nobody has looked at."}, labels),
		oldest: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "homing_maildir_oldest_unread_seconds",
			Help: "Age of the oldest report in a Maildir that nobody has looked at; 0 where there is none."}, labels),
		expired: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "homing_maildir_expired_reports_total",
			Help: "Reports that were removed from a Maildir because nobody had looked at them for as long as the sink keeps them."}, labels),
		again: make(chan struct{}, 1), states: map[string]maildir.State{},
	}
	r.MustRegister(m.waiting, m.oldest, m.expired)
	return m
}

// use makes these sinks the ones in force.
func (m *mailboxes) use(all []event.Sink) {
	m.mu.Lock()
	m.sinks = only[*maildir.Sink](all)
	m.mu.Unlock()
	select {
	case m.again <- struct{}{}:
	default: // it is there already
	}
}

// sweepEvery is how often Maildirs are looked at.
const sweepEvery = 5 * time.Minute

// sweeps removes what lies too long in Maildirs, until ctx ends.
func (h *house) sweeps(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		h.sweep(time.Now())
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-h.boxes.again:
		}
	}
}

// sweep looks at every Maildir once.
func (h *house) sweep(now time.Time) {
	m := h.boxes
	m.mu.Lock()
	sinks := slices.Clone(m.sinks)
	m.mu.Unlock()
	states := map[string]maildir.State{}
	m.waiting.Reset()
	m.oldest.Reset()
	for _, s := range sinks {
		st, err := s.Sweep(now)
		if err != nil {
			h.log.Warn("a Maildir could not be looked through", "sink", s.Name(), "err", err)
		}
		if st.Expired > 0 {
			h.log.Warn("reports were removed that nobody had read", "sink", s.Name(), "reports", st.Expired)
		}
		states[s.Name()] = st
		m.waiting.WithLabelValues(s.Name()).Set(float64(st.Unread))
		age := 0.0
		if !st.Oldest.IsZero() {
			age = max(0, now.Sub(st.Oldest).Seconds())
		}
		m.oldest.WithLabelValues(s.Name()).Set(age)
		m.expired.WithLabelValues(s.Name()).Add(float64(st.Expired))
	}
	m.mu.Lock()
	m.states = states
	m.mu.Unlock()
}

func (m *mailboxes) state(sink string) maildir.State {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.states[sink]
}

// Whoever polls does so every hour, or once a day. When nobody has for longer,
// something has stopped.
const unreadWarn = 3 * 24 * time.Hour

// mailboxChecks say whether somebody reads the Maildirs.
func (h *house) mailboxChecks(cfg *config.Config) (all []selfcheck.Check) {
	for _, s := range cfg.Sinks {
		if s.Type == config.SinkMaildir {
			all = append(all, one("mailbox "+s.Name, func(context.Context) dnscheck.Finding {
				h.sweep(time.Now())
				return mailboxFinding(cfg, s, h.boxes.state(s.Name), time.Now())
			}))
		}
	}
	return all
}

// mailboxFinding judges how a Maildir stands.
func mailboxFinding(cfg *config.Config, s config.Sink, st maildir.State, now time.Time) dnscheck.Finding {
	f := dnscheck.Finding{Check: "mailbox", Subject: s.Name, Verdict: dnscheck.OK, Wanted: "somebody who reads " + s.Path, Found: "nothing waits there for long"}
	what := fmt.Sprintf("%d reports lie in %s, %d of them unread", st.Reports, s.Path, st.Unread)
	age := time.Duration(0)
	if !st.Oldest.IsZero() {
		age = now.Sub(st.Oldest)
		what += ", the oldest since " + st.Oldest.Format(time.DateOnly)
	}
	switch {
	case st.Reports >= s.MaxMessages:
		f.Verdict, f.Found = dnscheck.Fail, fmt.Sprintf("%s: it is full (max_messages = %d), and the application hears of no more bounces until it deletes what it has read", what, s.MaxMessages)
	case age > s.Keep*3/4 && age > unreadWarn:
		f.Verdict, f.Found = dnscheck.Fail, fmt.Sprintf("%s; from %s on they are removed (keep), and the application never hears of those bounces", what, st.Oldest.Add(s.Keep).Format(time.DateOnly))
	case age > unreadWarn:
		f.Verdict, f.Found = dnscheck.Warn, what
	default:
		return f
	}
	f.Fix = "Whoever is dead stays on hold in Homing; but the application does not hear of it. " + pollAdvice(cfg, s)
	return f
}

// pollAdvice says what has to be running, by the applications that are told.
func pollAdvice(cfg *config.Config, s config.Sink) string {
	advice := map[config.Kind]string{
		config.CiviCRM:  `In CiviCRM: Administer, System Settings, Scheduled Jobs: "Fetch Bounces" must be enabled and cron must run (its log is on the same screen); Administer, CiviMail, Mail Accounts: the default one must read this mailbox.`,
		config.Listmonk: `In listmonk: Settings, Bounces: "Enable bounce mailbox" must be on, with the values of docs/APPLICATIONS.md; its log (Settings, Logs) says why it cannot read.`,
		config.PHPList:  `In phpList: cron must run "processbounces", with the values of docs/APPLICATIONS.md in config.php.`,
		config.Mautic:   `In Mautic: cron must run "mautic:email:fetch", and Settings, Configuration, Email Settings, Monitored Inbox must read this mailbox.`,
	}
	for _, a := range tellersOf(cfg, s.Name) {
		if text, known := advice[a.Kind]; known {
			return text
		}
	}
	return fmt.Sprintf("Let the application read %s, or take the sink %s out of the configuration if nobody is meant to.", s.Path, s.Name)
}

// pop3 serves Maildirs to the applications whose they are.
func (h *house) pop3(logins *smtpd.AuthLimiter) *pop3d.Server {
	return pop3d.New(pop3d.Options{
		Hostname: h.cfg.Hostname, Limiter: logins, MaxConnections: maxPollers, MaxPerAddress: h.cfg.Limits.ConnectionsPerAddress,
		Log: h.log, Metrics: pop3d.NewMetrics(h.metrics),
	}, readers{h.server, h.live.Load})
}

// maxPollers is how many connections read mailboxes at once: one would be
// enough for each application.
const maxPollers = 500

// readers are the applications, as those who read their Maildirs.
type readers struct {
	server interface {
		Authentic(application, password string) bool
	}
	cfg func() *config.Config
}

// Login implements pop3d.Backend. The user is the application's name or, where
// it has several Maildirs, that name, a slash, and the name of the sink.
func (r readers) Login(user, password string) (pop3d.Mailbox, error) {
	name, sink, _ := strings.Cut(user, "/")
	if !r.server.Authentic(name, password) {
		return pop3d.Mailbox{}, pop3d.ErrLogin
	}
	found := maildirsOf(r.cfg(), name)
	var names []string
	for _, s := range found {
		names = append(names, name+"/"+s.Name)
	}
	i := slices.IndexFunc(found, func(s config.Sink) bool { return s.Name == cmp.Or(sink, found[0].Name) })
	switch {
	case len(found) == 0:
		return pop3d.Mailbox{}, &pop3d.Refusal{Text: "this application has no sink of type maildir"}
	case i < 0 || sink == "" && len(found) > 1:
		return pop3d.Mailbox{}, &pop3d.Refusal{Text: "log in as " + strings.Join(names, " or ")}
	}
	return pop3d.Mailbox{Name: names[i], Dir: dir.Dir(found[i].Path), Keep: found[i].Keep, Settle: settleTime}, nil
}

// settleTime is longer than a crash can make the log forget that a sink was
// told: a report that was deleted by then does not come again.
const settleTime = 5 * time.Second

// maildirsOf are the Maildirs of an application.
func maildirsOf(cfg *config.Config, application string) (all []config.Sink) {
	for _, s := range cfg.Sinks {
		tells := func(a config.Application) bool { return a.Name == application }
		if s.Type == config.SinkMaildir && slices.ContainsFunc(tellersOf(cfg, s.Name), tells) {
			all = append(all, s)
		}
	}
	return all
}

// popAt serves a listener that is safe as submission is: passwords without TLS
// only over loopback.
func (h *house) popAt(s *pop3d.Server, a config.Address) func(context.Context, net.Listener) error {
	way := pop3d.Way{TLS: h.tlsAt(a), Safe: a.Loopback()}
	return func(ctx context.Context, l net.Listener) error { return s.Serve(ctx, l, way) }
}
