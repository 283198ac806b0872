package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"homing/config"
	"homing/internal/systemd"
)

func newServe() *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long:  "Run the server. SIGHUP reads the configuration again; SIGTERM finishes what is under way and ends, a second one ends at once.",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			// From the first moment on: the default is to die of it.
			hup := make(chan os.Signal, 1)
			signal.Notify(hup, syscall.SIGHUP)
			defer signal.Stop(hup)
			cfg, path, err := loadConfig(c)
			if err != nil {
				return err
			}
			defer giveHeapRoom()()
			log := newLogger(c.ErrOrStderr(), cfg.Log)
			for _, w := range cfg.Warnings {
				log.Warn("configuration", "problem", w.String())
			}
			j := job{path: path, cfg: cfg, log: log, hup: hup, ready: func(*house) {}}
			if j.notify, err = systemd.NewNotifier(log); err != nil {
				return err
			}
			if j.sockets, err = systemd.Inherit(); err != nil {
				return err
			}
			return serve(c.Context(), j)
		},
	}
}

// A job is what serve runs.
type job struct {
	path    string // of the configuration, for reloads
	cfg     *config.Config
	log     *slog.Logger
	hup     <-chan os.Signal  // each one reloads; nil: none comes
	ready   func(*house)      // called once everything listens
	notify  *systemd.Notifier // nil: there is no service manager
	sockets []systemd.Socket  // that the service manager hands over
}

// serve runs the server of a configuration until ctx ends or a part of it
// fails. What was acknowledged is durable when it returns.
func serve(ctx context.Context, j job) error {
	h, err := build(ctx, j)
	if err != nil {
		return err
	}
	err = h.run(ctx)
	if closed := h.store.Close(); closed != nil {
		err = errors.Join(err, fmt.Errorf("closing the store: %w", closed))
	}
	return err
}
