package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"homing/bounce"
	"homing/config"
	"homing/delivery"
	"homing/delivery/mtasts"
	"homing/delivery/tlsrpt"
	"homing/event"
	"homing/event/civicrm"
	"homing/internal/certs"
	"homing/internal/dnsx"
	"homing/internal/mailauth"
	"homing/internal/spool"
	"homing/queue"
	"homing/server"
	"homing/server/reports"
	"homing/server/review"
	"homing/server/selfcheck"
	"homing/server/smtpd"
	"homing/server/source"
	"homing/server/token"
	"homing/store/bolt"
	"homing/verp"
)

// A house is the running server: every part, made of one configuration.
type house struct {
	job      // its cfg is the one that the server started with, also after reloads
	started  time.Time
	metrics  *prometheus.Registry
	open     chan struct{} // closed once everything listens
	stopping chan struct{} // closed when the end has begun

	keys      []verp.Key
	certs     certs.Source
	acme      *certs.ACME // nil: no authority is asked
	store     *bolt.Store
	queue     *queue.Queue
	server    *server.Server
	teller    *event.Teller
	delivery  *delivery.Delivery
	policies  *mtasts.Cache
	tokens    *token.Keeper
	reports   *tlsrpt.Collector // that we write
	received  *reports.Keeper   // that others write
	reviews   *review.Keeper
	crms      *crms
	boxes     *mailboxes
	sources   *sources
	spool     *spool.Taker // nil: no local user hands mail over
	dns       *dnsx.Client
	checker   *selfcheck.Checker
	loop      *selfcheck.Loop
	live      atomic.Pointer[config.Config] // what is in force
	rules     *bounce.Live
	reader    *bounce.Reader
	smtpd     *smtpd.Metrics
	listeners []listener

	reloading sync.Mutex  // one at a time
	stale     atomic.Bool // the file was read again and had a mistake
}

// build makes every part and opens every socket. What it opened is closed
// again when it fails.
func build(ctx context.Context, j job) (h *house, err error) {
	h = &house{job: j, started: time.Now(), metrics: prometheus.NewRegistry(), open: make(chan struct{}), stopping: make(chan struct{})}
	h.live.Store(h.cfg)
	h.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	table, err := tableOf(h.cfg)
	if err != nil {
		return nil, explainConfig(err)
	}
	h.rules = bounce.NewLive(table)
	if err := makeDataDir(h.cfg.DataDir, h.log); err != nil {
		return nil, err
	}
	h.store, err = bolt.Open(ctx, bolt.Options{Dir: filepath.Join(h.cfg.DataDir, "store"), Log: h.log, Reserve: reserveOf(h.cfg.Limits.DiskReserve)})
	if err != nil {
		return nil, err
	}
	// From here on data_dir is ours: no other process has the store.
	if h.keys, err = verpKeys(h.cfg); err == nil {
		err = h.furnish(ctx)
	}
	if err == nil {
		err = h.openListeners()
	}
	if err != nil {
		return nil, errors.Join(err, h.store.Close())
	}
	return h, nil
}

// reserveOf is the disk space to leave free: a size as it is, a share never
// less than 256 MiB.
func reserveOf(r config.Reserve) bolt.Reserve {
	return bolt.Reserve{Percent: r.Percent, Octets: r.Of(0)}
}

// furnish makes the parts that work on the store.
func (h *house) furnish(ctx context.Context) error {
	dns, err := dnsx.New(dnsOptions(h.cfg))
	if err != nil {
		return fmt.Errorf("dns.server: %w", err)
	}
	h.reader = bounce.NewReader(h.rules)
	h.queue = queue.New(queue.Config{Store: h.store, Table: h.rules, Log: h.log, Metrics: queue.NewMetrics(h.metrics), Options: queueOptions(h.cfg)})
	if h.smtpd, err = smtpd.NewMetrics(h.metrics); err != nil {
		return err
	}
	policy, err := h.policy(h.cfg)
	if err != nil {
		return err
	}
	h.received, err = reports.New(ctx, reports.Config{Notes: h.store, Resolver: dns, Names: reportedNames(h.cfg), Log: h.log, Now: time.Now, Metrics: h.metrics})
	if err != nil {
		return err
	}
	if err := h.openReviews(ctx); err != nil {
		return err
	}
	h.server, err = server.New(ctx, server.Config{
		Policy: policy, Queue: h.queue, Store: h.store, Reader: h.reader, Names: dns, Claims: h.received,
		Reviews: h.reviews, Origins: &mailauth.Checker{Resolver: dns, Trusted: h.cfg.TrustedResults}, Log: h.log, Now: time.Now, Metrics: server.NewMetrics(h.metrics),
	})
	if err != nil {
		return err
	}
	if h.tokens, err = token.New(ctx, h.store, time.Now); err != nil {
		return err
	}
	h.openSpool()
	h.dns = dns
	if err := h.certificates(dns); err != nil {
		return err
	}
	if err := h.sendOut(ctx, dns); err != nil {
		return err
	}
	if err := h.lookAfter(ctx); err != nil {
		return err
	}
	h.teller = event.NewTeller(event.Config{
		Log: h.store, Wants: h.wants, Logger: h.log, Metrics: event.NewMetrics(h.metrics),
		Report: func(ctx context.Context, e event.Event) error { return h.queue.Tell(ctx, nil, e) },
	})
	h.crms = newCRMs(civicrm.NewMetrics(h.metrics))
	h.boxes = newMailboxes(h.metrics)
	h.sources = newSources(source.NewMetrics(h.metrics))
	return h.useSinks(h.cfg)
}

func (h *house) policy(cfg *config.Config) (*server.Policy, error) {
	codec, err := codecOf(cfg, h.keys)
	if err != nil {
		return nil, err
	}
	return policyOf(cfg, codec)
}

func dnsOptions(cfg *config.Config) dnsx.Options {
	o := dnsx.Options{TrustAD: cfg.DNS.TrustAD}
	if !cfg.DNS.Server.IsZero() {
		o.Servers = []string{cfg.DNS.Server.Address}
	}
	return o
}
