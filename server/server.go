package server

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"homing/event"
	"homing/queue"
)

// A Server is both flows and what they share. Its methods may be called from
// many goroutines.
type Server struct {
	Outbound *Outbound // for submission listeners
	Inbound  *Inbound  // for the MX
	LMTP     *Inbound  // the same over LMTP: an answer for each recipient

	policy    atomic.Pointer[Policy]
	quotas    *quotas
	incidents *incidents
}

// Config is what a Server is made of.
type Config struct {
	Policy  *Policy
	Queue   *queue.Queue
	Store   Store
	Reader  Reader
	Names   Names
	Claims  Claims        // nil: mail to addresses for reports is only told
	Origins Authenticator // who mail that is to be filed is from; nil: nobody is proven
	Reviews Reviewer
	Log     *slog.Logger
	Now     func() time.Time
	Metrics *Metrics
}

// New makes a Server. It asks the store how much each application has sent
// today.
func New(ctx context.Context, c Config) (*Server, error) {
	sent, err := c.Store.Accepted(ctx, c.Now().UTC().Truncate(24*time.Hour))
	if err != nil {
		return nil, fmt.Errorf("counting what was sent today: %w", err)
	}
	known, err := newAuthors(ctx, c.Store, c.Log, c.Now)
	if err != nil {
		return nil, err
	}
	s := &Server{quotas: newQuotas(c.Now, sent)}
	s.policy.Store(c.Policy)
	s.incidents = newIncidents(c.Now, func(ctx context.Context, e event.Event) error { return c.Queue.Tell(ctx, nil, e) })
	shared := core{policy: &s.policy, queue: c.Queue, store: c.Store, log: c.Log, now: c.Now, metrics: c.Metrics}
	s.Outbound = &Outbound{core: shared, quotas: s.quotas, incidents: s.incidents, authors: known}
	s.Inbound = &Inbound{core: shared, reader: c.Reader, names: c.Names, claims: c.Claims, origins: c.Origins, mirror: &mirror{}, postponed: newPostponed(), authors: known, reviews: c.Reviews}
	lmtp := *s.Inbound
	lmtp.each = true
	s.LMTP = &lmtp
	return s, nil
}

// Run looks after incidents until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	s.incidents.run(ctx)
	return nil
}

// SetPolicy replaces the policy. Transactions under way keep the one they
// began with.
func (s *Server) SetPolicy(p *Policy) { s.policy.Store(p) }

// Policy gives the policy in force.
func (s *Server) Policy() *Policy { return s.policy.Load() }

// Authentic reports whether an application has this name and password.
func (s *Server) Authentic(application, password string) bool {
	return s.policy.Load().authentic(application, password)
}

// SentToday gives the recipients that an application has sent today.
func (s *Server) SentToday(application string) int { return s.quotas.today(application) }

// everybodys are the facts that concern all applications where they name none.
var everybodys = []event.Type{event.Held, event.Released, event.IncidentOpened, event.IncidentClosed, event.CheckFailed, event.CheckRecovered}

// Wants reports whether a sink hears of a fact: those that the fact names,
// else those of the application, else those of the domain. Of what concerns
// all applications every sink hears: that an operator holds or releases an
// address for all, that a site refuses us, that a check of the server fails.
func (s *Server) Wants(sink string, e event.Event) bool {
	if e.Application == "" && e.Domain == "" && len(e.To) == 0 && slices.Contains(everybodys, e.Type) {
		return true
	}
	to := e.To
	if len(to) == 0 {
		to = s.policy.Load().sinksOf(e.Application, e.Domain)
	}
	return slices.Contains(to, sink)
}
