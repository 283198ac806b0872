package main

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

func newReload() *cobra.Command {
	return &cobra.Command{
		Use:   "reload",
		Short: "Have the server read its configuration again",
		Long: "Have the server that runs read its configuration again, as `systemctl reload homing` and SIGHUP do, and wait until it is in force. With a\n" +
			"mistake in the file the old configuration stays; every mistake is named, and the exit code is 1. The log names what waits for a restart.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			server, err := dialControl(c)
			if err != nil {
				return err
			}
			err = server.call(c.Context(), http.MethodPost, "/api/v1/reload", nil, nil, nil)
			var p errProblem
			if errors.As(err, &p) && p.Status == http.StatusUnprocessableEntity {
				return fmt.Errorf("the configuration was not reloaded, the old one stays:\n%w", err)
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), "The configuration is in force.")
			return err
		},
	}
}
