package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"homing/internal/terminal"
	"homing/server/web"
)

func newQueue() *cobra.Command {
	return group("queue", "Mail that waits", newQueueList(), newQueueShow(), newQueueExplain(), newQueueCampaigns(), newQueueOperation(retryQueue),
		newQueueOperation(pauseQueue), newQueueOperation(resumeQueue), newQueueOperation(cancelQueue))
}

// errLimit says that a --limit is none.
var errLimit = errors.New("--limit: want a number from 1 on")

// pageRows is how many rows one request asks for at most.
const pageRows = 1000

func newQueueList() *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List the recipients that wait, oldest first",
		Long: "List the recipients that wait, are paused or were captured, oldest first. With --state it lists others too,\n" +
			"for as long as they are remembered (retention.index).",
		Args: cobra.NoArgs,
	}
	f := c.Flags()
	var in web.Order
	older := filterFlags(c, &in)
	states := f.StringSlice("state", nil, "only these `STATES`: waiting, paused, captured, delivered, bounced, expired, cancelled, suppressed")
	limit := f.Int("limit", 100, "at most so many rows")
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if *limit < 1 {
			return usage(c, errLimit)
		}
		query := filterQuery(c, *older)
		for _, s := range *states {
			query.Add("state", s)
		}
		filtered := len(query) > 0
		server, err := dialControl(c)
		if err != nil {
			return err
		}
		rows, err := server.recipients(c.Context(), "/api/v1/queue", query, *limit)
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(c.OutOrStdout(), rows)
		}
		return printQueue(c.OutOrStdout(), rows, filtered)
	}
	return c
}

// asked gives those flags that were given as the parameters of their names.
func asked(c *cobra.Command, names ...string) url.Values {
	v := url.Values{}
	for _, name := range names {
		if f := c.Flag(name); f.Changed {
			v.Set(name, f.Value.String())
		}
	}
	return v
}

// filterQuery gives the flags of filterFlags as parameters.
func filterQuery(c *cobra.Command, older period) url.Values {
	v := asked(c, orderFilters...)
	if older > 0 {
		v.Set("older", older.String())
	}
	return v
}

// recipients reads the first limit rows, page by page.
func (s *control) recipients(ctx context.Context, path string, query url.Values, limit int) (web.Recipients, error) {
	all := web.Recipients{Recipients: []web.Recipient{}}
	for {
		query.Set("limit", strconv.Itoa(min(limit-len(all.Recipients), pageRows)))
		var page web.Recipients
		if err := s.call(ctx, http.MethodGet, path, query, nil, &page); err != nil {
			return all, err
		}
		all.Recipients = append(all.Recipients, page.Recipients...)
		all.Next = page.Next
		if page.Next == "" || len(all.Recipients) >= limit {
			return all, nil
		}
		query.Set("after", page.Next)
	}
}

// attemptAt is when there is an attempt. One that time has come for waits for its
// turn, or for something that `homing queue explain` knows.
func attemptAt(next time.Time) string {
	if next.After(time.Now()) {
		return clock(next)
	}
	return "due"
}

func printQueue(w io.Writer, rows web.Recipients, filtered bool) error {
	if len(rows.Recipients) == 0 {
		words := "Nothing waits."
		if filtered {
			words = "There is nothing like that."
		}
		_, err := fmt.Fprintln(w, words)
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "MESSAGE\tSTATE\tACCEPTED\tTRIES\tNEXT\tAPPLICATION\tRECIPIENT\tLAST ANSWER")
	for _, r := range rows.Recipients {
		next, last := "", ""
		if r.Next != nil {
			next = attemptAt(*r.Next)
		}
		switch {
		case r.Pause != nil:
			last = "paused " + decided(*r.Pause)
		case r.SendAt != nil && r.SendAt.After(time.Now()):
			last = "to be sent then"
		case r.Last != nil:
			last = terminal.Clip(r.Last.Diagnostic, 60)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\n", r.Message, r.State, clock(r.Accepted), r.Attempts, next, r.Application, terminal.Line(r.Recipient), last)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if rows.Next != "" {
		if _, err := fmt.Fprintf(w, "There are more: give a larger --limit (now %d).\n", len(rows.Recipients)); err != nil {
			return err
		}
	}
	return nil
}
