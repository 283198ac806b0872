package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"homing/internal/terminal"
	"homing/server/web"
)

func newErase() *cobra.Command {
	c := &cobra.Command{
		Use: "erase ADDRESS", Short: "Forget a person for good",
		Long: "Forget a person for good: mail to the address that waits is cancelled, and what is known of it is removed from the queue, the\n" +
			"event log and what was kept of reports and replies. A hold goes on under a hash in place of the address, so that somebody who\n" +
			"must not be mailed is not. Afterwards it says where else the address can be found.",
		Example: "  homing erase ann@example.net --dry-run", Args: cobra.ExactArgs(1),
	}
	dryRun := c.Flags().Bool("dry-run", false, "count what would be erased and erase nothing")
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := checkAddress(args[0]); err != nil {
			return err
		}
		server, err := dialControl(c)
		if err != nil {
			return err
		}
		query := url.Values{"by": {whoami()}}
		if *dryRun {
			query.Set("dry_run", "1")
		}
		var out web.Erasure
		if err := server.call(c.Context(), http.MethodDelete, "/api/v1/recipients/"+url.PathEscape(args[0]), query, nil, &out); err != nil {
			return err
		}
		if *asJSON {
			return printJSON(c.OutOrStdout(), out)
		}
		return printErasure(c.OutOrStdout(), args[0], out)
	}
	return c
}

func printErasure(w io.Writer, address string, e web.Erasure) error {
	var b strings.Builder
	would := func(would, did string) string {
		if e.DryRun {
			return would
		}
		return did
	}
	fmt.Fprintf(&b, "%s %s:\n", terminal.Line(address), would("would be erased", "is erased"))
	fmt.Fprintf(&b, "  %d %s", e.Deliveries, map[bool]string{true: "delivery", false: "deliveries"}[e.Deliveries == 1])
	if e.Deliveries > 0 {
		fmt.Fprintf(&b, " (%s)", count(e.States))
	}
	fmt.Fprintf(&b, "\n  %d facts in the event log, with what was kept of reports and replies\n", e.Events)
	if e.Untold > 0 {
		fmt.Fprintf(&b, "  of these, %d that some sink %s\n", e.Untold, would("has not heard so far", "had not heard, and does not hear any more"))
	}
	if e.Reviews > 0 {
		fmt.Fprintf(&b, "  %d mails that %s for review\n", e.Reviews, would("wait", "waited"))
	}
	if e.Hold != "" {
		fmt.Fprintf(&b, "A hold %s, as %s: `homing hold show` and `release` know it by the address and by this name.\n", would("would go on", "goes on"), e.Hold)
	}
	fmt.Fprintf(&b, "The address %s still be in:\n", would("would", "may"))
	for _, place := range e.Remains {
		fmt.Fprintf(&b, "  - %s\n", place)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
