package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"homing/bounce"
	"homing/config"
	"homing/delivery"
	"homing/event"
	"homing/internal/certs"
	"homing/internal/dnsx"
	"homing/queue"
	"homing/server"
	"homing/server/smtpd"
	"homing/store/bolt"
	"homing/verp"
)

// A house is the running server: every part, made of one configuration.
type house struct {
	path    string // of the configuration
	cfg     *config.Config
	log     *slog.Logger
	started time.Time
	metrics *prometheus.Registry

	keys      []verp.Key
	certs     *certs.Files // nil: no TLS
	store     *bolt.Store
	queue     *queue.Queue
	server    *server.Server
	teller    *event.Teller
	delivery  *delivery.Delivery
	reader    *bounce.Reader
	smtpd     *smtpd.Metrics
	listeners []listener
	open      chan struct{} // closed once everything listens
}

// build makes every part and opens every socket. What it opened is closed
// again when it fails.
func build(ctx context.Context, path string, cfg *config.Config, log *slog.Logger) (h *house, err error) {
	h = &house{path: path, cfg: cfg, log: log, started: time.Now(), metrics: prometheus.NewRegistry(), open: make(chan struct{})}
	h.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("making data_dir: %w", err)
	}
	if h.keys, err = verpKeys(cfg); err != nil {
		return nil, err
	}
	if cfg.TLS.CertFile != "" {
		if h.certs, err = certs.Load(cfg.TLS.CertFile, cfg.TLS.KeyFile, log); err != nil {
			return nil, err
		}
	}
	h.store, err = bolt.Open(ctx, bolt.Options{Dir: filepath.Join(cfg.DataDir, "store"), Log: log, Reserve: reserveOf(cfg.Limits.DiskReserve)})
	if err != nil {
		return nil, err
	}
	if err = h.furnish(ctx); err == nil {
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
	table := bounce.NewTable()
	h.reader = bounce.NewReader(table)
	h.queue = queue.New(queue.Config{Store: h.store, Table: table, Log: h.log, Metrics: queue.NewMetrics(h.metrics), Options: queueOptions(h.cfg)})
	if h.smtpd, err = smtpd.NewMetrics(h.metrics); err != nil {
		return err
	}
	policy, err := h.policy(h.cfg)
	if err != nil {
		return err
	}
	h.server, err = server.New(ctx, server.Config{
		Policy: policy, Queue: h.queue, Store: h.store, Reader: h.reader, Names: dns,
		Log: h.log, Now: time.Now, Metrics: server.NewMetrics(h.metrics),
	})
	if err != nil {
		return err
	}
	h.delivery = h.newDelivery(dns)
	h.teller = event.NewTeller(event.Config{
		Log: h.store, Wants: h.server.Wants, Logger: h.log, Metrics: event.NewMetrics(h.metrics),
		Report: func(ctx context.Context, e event.Event) error { return h.queue.Tell(ctx, nil, e) },
	})
	sinks, err := h.sinks(h.cfg)
	if err != nil {
		return err
	}
	return h.teller.Use(sinks...)
}

func (h *house) policy(cfg *config.Config) (*server.Policy, error) {
	codec, err := codecOf(cfg, h.keys)
	if err != nil {
		return nil, err
	}
	return policyOf(cfg, codec)
}

// run runs every part until ctx ends or one of them fails, and then waits for
// all. First the listeners close, so that what was taken in is also kept.
func (h *house) run(ctx context.Context, hup <-chan os.Signal, ready func()) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var parts tasks
	part := func(run func(context.Context) error) {
		parts.start(func() error { defer stop(); return run(ctx) })
	}
	part(h.queue.Run)
	part(h.server.Run)
	part(h.delivery.Run)
	part(h.teller.Run)
	if h.certs != nil {
		part(h.certs.Run)
	}
	for _, d := range h.listeners {
		part(d.serve)
	}
	part(func(ctx context.Context) error { return h.reloads(ctx, hup) })
	close(h.open)
	h.log.Info("ready", "version", version, "hostname", h.cfg.Hostname, "mode", h.cfg.Mode, "took", time.Since(h.started))
	ready()
	<-ctx.Done()
	h.log.Info("stopping: finishing what is under way")
	return parts.wait()
}

// reloads reads the configuration again at each SIGHUP.
func (h *house) reloads(ctx context.Context, hup <-chan os.Signal) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hup:
		}
		if err := h.server.Exclusively(func() error { return h.reload() }); err != nil {
			h.log.Error("the configuration was not reloaded; the old one stays", "err", err)
		}
	}
}

// reload swaps what is live. A mistake in the file changes nothing.
func (h *house) reload() error {
	cfg, err := config.Load(h.path)
	if err != nil {
		return err
	}
	policy, err := h.policy(cfg)
	if err != nil {
		return err
	}
	sinks, err := h.sinks(cfg)
	if err != nil {
		return err
	}
	if err := h.teller.Use(sinks...); err != nil {
		return err
	}
	h.server.SetPolicy(policy)
	h.queue.SetOptions(queueOptions(cfg))
	h.delivery.SetOptions(deliveryOptions(cfg))
	for _, key := range cfg.RestartFor(h.cfg) {
		h.log.Warn("this change takes effect at the next start", "key", key)
	}
	h.cfg = cfg
	h.log.Info("configuration reloaded")
	return nil
}

// verpKeys gives the keys of return addresses. Without any in the
// configuration, one is made in data_dir at the first start.
func verpKeys(cfg *config.Config) ([]verp.Key, error) {
	keys := cfg.VERP.Keys
	if len(keys) == 0 {
		path := filepath.Join(cfg.DataDir, "verp.key")
		if err := makeKey(path); err != nil {
			return nil, fmt.Errorf("making the key of return addresses: %w", err)
		}
		k, err := config.ReadVERPKey(path)
		if err != nil {
			return nil, err
		}
		keys = []config.VERPKey{k}
	}
	out := make([]verp.Key, 0, len(keys))
	for _, k := range keys {
		out = append(out, verp.Key{ID: k.ID, Secret: []byte(k.Secret.Reveal())})
	}
	return out, nil
}

// makeKey writes a new random key, unless there is one. The file has its name
// only once it is whole and durable: without it, no bounce of mail that was
// sent would be known again.
func makeKey(path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	var key [32]byte
	rand.Read(key[:]) // never fails (crypto/rand)
	_, err = f.WriteString(hex.EncodeToString(key[:]) + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func dnsOptions(cfg *config.Config) dnsx.Options {
	var o dnsx.Options
	if !cfg.DNS.Server.IsZero() {
		o.Servers = []string{cfg.DNS.Server.Address}
	}
	return o
}
