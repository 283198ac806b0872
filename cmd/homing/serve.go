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
)

func newServe() *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long:  "Run the server. SIGHUP reads the configuration again; SIGTERM finishes what is under way and ends.",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			path, err := configPath(c)
			if err != nil {
				return err
			}
			cfg, err := config.Load(path)
			if err != nil {
				return err
			}
			return serve(c.Context(), path, newLogger(c.ErrOrStderr(), cfg.Log), func() {})
		},
	}
}

// serve runs the server of a configuration file until ctx ends. It calls ready
// once everything listens.
func serve(ctx context.Context, path string, log *slog.Logger, ready func()) error {
	cfg, err := config.Load(path)
	if err != nil {
		return err
	}
	for _, w := range cfg.Warnings {
		log.Warn("configuration", "problem", w.String())
	}
	h, err := build(ctx, path, cfg, log)
	if err != nil {
		return err
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	err = h.run(ctx, hup, ready)
	if closed := h.store.Close(); closed != nil {
		err = errors.Join(err, fmt.Errorf("closing the store: %w", closed))
	}
	return err
}
