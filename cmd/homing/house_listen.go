package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"homing/config"
	"homing/internal/certs"
	"homing/server"
	"homing/server/pop3d"
	"homing/server/smtpd"
	"homing/server/web"
	"homing/store"
)

// A listener is one address that is listened on, and what answers there.
type listener struct {
	what    string // as in the configuration
	address string // the real one, where the configuration says port 0
	http    bool
	serve   func(ctx context.Context) error
}

// at gives the first address that is listened on for something; "": none.
func (h *house) at(what string) string {
	i := slices.IndexFunc(h.listeners, func(l listener) bool { return l.what == what })
	if i < 0 {
		return ""
	}
	return h.listeners[i].address
}

// openListeners opens every socket of the configuration, but for those that
// were handed over. What is open is closed again when one of them fails.
func (h *house) openListeners() (err error) {
	var open []net.Listener
	for _, s := range h.sockets {
		open = append(open, s)
	}
	defer func() {
		if err != nil {
			for _, l := range open {
				l.Close()
			}
		}
	}()
	plans := h.plans()
	taken, err := take(plans, h.sockets)
	if err != nil {
		return err
	}
	for i, plan := range plans {
		l := taken[i]
		if l == nil {
			if l, err = listenAt(plan.address, plan.mode); err != nil {
				return explainListen(plan.what, plan.address, err)
			}
			open = append(open, l)
		} else {
			h.log.Info("the service manager has handed over a listener", "what", plan.what, "address", l.Addr())
		}
		address := plan.address
		if taken[i] != nil || address.Network == "tcp" {
			address = config.Address{Network: l.Addr().Network(), Address: l.Addr().String()}
		}
		h.listeners = append(h.listeners, listener{plan.what, address.String(), plan.http(), func(ctx context.Context) error { return plan.answer(ctx, l) }})
	}
	return nil
}

// A plan is a listener that is not open yet.
type plan struct {
	what    string
	address config.Address
	mode    fs.FileMode // of a socket file
	answer  func(ctx context.Context, l net.Listener) error
}

func (p plan) http() bool { return p.what == listenHTTP || p.what == listenControl }

// What listens without being SMTP.
const (
	listenHTTP    = "http"
	listenControl = "control"
)

// plans lists the listeners of the configuration.
func (h *house) plans() (all []plan) {
	add := func(what string, answer func(context.Context, net.Listener) error, mode fs.FileMode, at ...config.Address) {
		for _, a := range at {
			if !a.IsZero() {
				all = append(all, plan{what, a, mode, answer})
			}
		}
	}
	c := h.cfg.Listen
	logins := &smtpd.AuthLimiter{PerMinute: h.cfg.Limits.AuthFailuresPerMinute, PerDay: authFailuresPerDay}
	add("smtp", h.smtp(h.server.Inbound, h.mxOptions()), 0, c.SMTP...)
	for _, a := range c.Submission {
		add("submission", h.smtp(h.server.Outbound, h.submissionOptions(logins, h.tlsAt(a), a.Loopback())), 0o666, a)
	}
	implicit := h.submissionOptions(logins, h.trustedTLS(), false)
	implicit.ImplicitTLS = true
	add("submissions", h.smtp(h.server.Outbound, implicit), 0, c.Submissions...)
	lmtp := h.mxOptions()
	lmtp.Kind, lmtp.MaxPerAddress, lmtp.TLS = smtpd.LMTP, 0, h.trustedTLS()
	pop := h.pop3(logins)
	for _, a := range c.POP3 {
		add("pop3", h.popAt(pop, a), 0, a)
	}
	add("pop3s", func(ctx context.Context, l net.Listener) error {
		return pop.Serve(ctx, l, pop3d.Way{TLS: h.trustedTLS(), Implicit: true, Safe: true})
	}, 0, c.POP3S...)
	add("lmtp", h.smtp(h.server.LMTP, lmtp), 0o660, c.LMTP...)
	add("local", h.smtp(h.server.Outbound, h.submissionOptions(logins, nil, true)), 0o666, c.Local)
	w := h.web()
	add(listenHTTP, func(ctx context.Context, l net.Listener) error { return web.Serve(ctx, l, w.Network(), h.log) }, 0o660, c.HTTP...)
	public := certs.HTTPS(h.certs)
	add("https", func(ctx context.Context, l net.Listener) error {
		return web.ServePublic(ctx, l, public, w.Public(), h.log)
	}, 0, c.HTTPS...)
	add(listenControl, func(ctx context.Context, l net.Listener) error { return web.Serve(ctx, l, w.Control(), h.log) }, 0o600,
		config.Address{Network: "unix", Address: filepath.Join(h.cfg.DataDir, config.ControlSocket)})
	return all
}

// Limits of listeners that the configuration does not name.
const (
	authFailuresPerDay = 50
	maxConnections     = 10_000
)

func (h *house) mxOptions() smtpd.Options {
	return smtpd.Options{
		Hostname: h.cfg.Hostname, Kind: smtpd.SMTP, TLS: h.tls(), SMTPUTF8: true, Chunking: true, RequireTLS: true, AdvertiseSize: true,
		MaxMessage: int64(h.cfg.Limits.MessageIn), MaxRecipients: h.cfg.Limits.Recipients,
		MaxConnections: maxConnections, MaxPerAddress: h.cfg.Limits.ConnectionsPerAddress, Log: h.log, Metrics: h.smtpd,
	}
}

// submissionOptions are those of a listener for applications. On a safe way
// (loopback, a Unix socket) passwords may be sent without TLS.
func (h *house) submissionOptions(logins *smtpd.AuthLimiter, t *tls.Config, safe bool) smtpd.Options {
	return smtpd.Options{
		Hostname: h.cfg.Hostname, Kind: smtpd.Submission, TLS: t, Auth: true, AllowInsecureAuth: safe, AuthLimiter: logins,
		SMTPUTF8: true, DSN: true, Chunking: true, RequireTLS: true, MaxMessage: int64(h.cfg.Limits.MessageOut), MaxRecipients: h.cfg.Limits.Recipients,
		MaxConnections: maxConnections, Log: h.log, Metrics: h.smtpd,
	}
}

func (h *house) smtp(b smtpd.Backend, o smtpd.Options) func(context.Context, net.Listener) error {
	s := smtpd.New(o, b)
	return s.Serve
}

func (h *house) web() *web.Web {
	w := &web.Web{
		Store: h.store, Queue: h.queue, Reader: h.reader, Rules: h.rules.Table, Log: h.log, Now: time.Now,
		Ready: h.isReady, Status: h.status, Reload: func(context.Context) error { return h.reload() },
		Hosts:   h.delivery.Hosts,
		Checks:  h.checker,
		Reports: h.received,
		Reviews: h.reviews,
		Sinks: func(application string) []string {
			for _, a := range h.server.Policy().Applications {
				if a.Name == application {
					return a.Sinks
				}
			}
			return nil
		},
		Metrics: promhttp.HandlerFor(h.metrics, promhttp.HandlerOpts{}),
		Sends: func(domain string) bool {
			return slices.ContainsFunc(h.server.Policy().Domains, func(d *server.Domain) bool { return d.Name == domain })
		},
		Knows: func(application string) bool {
			return slices.ContainsFunc(h.server.Policy().Applications, func(a *server.Application) bool { return a.Name == application })
		},
		STS:   h.stsPolicy,
		Renew: h.server.ReturnPath, Passed: h.server.Passed, ForgetAuthor: h.server.ForgetAuthor,
		Link: h.server.Link, Unsubscribe: h.server.Unsubscribe,
		Tokens: h.tokens, Inject: h.server.Outbound, Counts: web.NewCounts(h.metrics),
		Limiter:  &smtpd.AuthLimiter{PerMinute: h.cfg.Limits.AuthFailuresPerMinute, PerDay: authFailuresPerDay},
		UserName: server.UserName,
	}
	if h.spool != nil {
		w.Spool = h.spool
	}
	if h.acme != nil {
		w.Challenges = h.acme
	}
	return w
}

// isReady is nil once everything listens, until the end begins, and while the
// store works.
func (h *house) isReady() error {
	select {
	case <-h.open:
	default:
		return errors.New("starting")
	}
	select {
	case <-h.stopping:
		return errors.New("stopping")
	default:
	}
	if err := h.store.Room(); errors.Is(err, store.ErrFailed) {
		return err
	}
	return nil
}

// listenAt opens a listener. The directory of a socket is made where it is
// missing: /run/homing is gone after each start of the machine, and only
// systemd makes it by itself.
func listenAt(a config.Address, mode fs.FileMode) (net.Listener, error) {
	if a.Network != "unix" {
		return net.Listen(a.Network, a.Address)
	}
	if err := os.Mkdir(filepath.Dir(a.Address), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return smtpd.ListenUnix(a.Address, mode)
}

// explainListen says what to do about an address that cannot be listened on.
func explainListen(what string, a config.Address, err error) error {
	if what == listenControl {
		return fmt.Errorf("data_dir: opening the control socket: %w", err)
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE), errors.Is(err, smtpd.ErrInUse):
		return fmt.Errorf("listen.%s: another program listens on %s: `ss -ltnp` shows which; stop it, or choose another address: %w", what, a, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("listen.%s: this user may not listen on %s: ports below 1024 need root or CAP_NET_BIND_SERVICE, a socket file needs a directory that may be written: %w", what, a, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("listen.%s: this machine has no address %s: `ip addr` shows those it has: %w", what, a, err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("listen.%s: the directory above that of %s does not exist: create it: %w", what, a, err)
	}
	return fmt.Errorf("listen.%s: %s: %w", what, a, err)
}
