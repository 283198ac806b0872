package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"homing/server/web"
)

func newQueue() *cobra.Command {
	return group("queue", "Mail that waits", newQueueList())
}

// filters are the flags by which rows are chosen.
type filters struct {
	domain, sender, application, campaign string
	older                                 time.Duration
	states                                []string
	limit                                 int
}

func (f *filters) add(c *cobra.Command) {
	c.Flags().StringVar(&f.domain, "domain", "", "only recipients in this `DOMAIN`")
	c.Flags().StringVar(&f.sender, "sender", "", "only mail with this envelope `SENDER`")
	c.Flags().StringVar(&f.application, "application", "", "only mail of this `APPLICATION`")
	c.Flags().StringVar(&f.campaign, "campaign", "", "only mail of this `CAMPAIGN`")
	c.Flags().DurationVar(&f.older, "older", 0, "only mail accepted longer ago than this, such as 90m")
	c.Flags().StringSliceVar(&f.states, "state", nil, "only these states: waiting, paused, captured, delivered, bounced, expired, cancelled, suppressed")
	c.Flags().IntVar(&f.limit, "limit", 100, "at most so many rows")
}

func (f *filters) query() url.Values {
	v := url.Values{}
	for name, value := range map[string]string{"domain": f.domain, "sender": f.sender, "application": f.application, "campaign": f.campaign} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if f.older > 0 {
		v.Set("older", f.older.String())
	}
	for _, s := range f.states {
		v.Add("state", s)
	}
	v.Set("limit", strconv.Itoa(min(max(f.limit, 1), 1000)))
	return v
}

func newQueueList() *cobra.Command {
	var f filters
	c := &cobra.Command{
		Use:   "list",
		Short: "List the recipients that wait, oldest first",
		Args:  cobra.NoArgs,
	}
	f.add(c)
	asJSON := asJSON(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		server, err := dialControl(c)
		if err != nil {
			return err
		}
		rows, err := server.recipients(c, "/api/v1/queue", f.query(), f.limit)
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(c.OutOrStdout(), rows)
		}
		return printQueue(c.OutOrStdout(), rows)
	}
	return c
}

// recipients reads pages until there are limit rows or no more.
func (s *control) recipients(c *cobra.Command, path string, query url.Values, limit int) (web.Recipients, error) {
	var all web.Recipients
	for {
		var page web.Recipients
		if err := s.call(c.Context(), http.MethodGet, path, query, nil, &page); err != nil {
			return all, err
		}
		if all.Hold == nil {
			all.Hold = page.Hold
		}
		all.Recipients = append(all.Recipients, page.Recipients...)
		all.Next = page.Next
		if page.Next == "" || len(all.Recipients) >= limit {
			return all, nil
		}
		query.Set("after", page.Next)
	}
}

func printQueue(w io.Writer, rows web.Recipients) error {
	if len(rows.Recipients) == 0 {
		_, err := fmt.Fprintln(w, "Nothing waits.")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "MESSAGE\tSTATE\tACCEPTED\tTRIES\tNEXT\tAPPLICATION\tRECIPIENT\tLAST ANSWER")
	for _, r := range rows.Recipients {
		next, last := "", ""
		if r.Next != nil {
			next = clock(*r.Next)
		}
		if r.Last != nil {
			last = clip(r.Last.Diagnostic, 60)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\n", r.Message, r.State, clock(r.Accepted), r.Attempts, next, r.Application, printable(r.Recipient), last)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if rows.Next != "" {
		fmt.Fprintf(w, "There are more: give a larger --limit (now %d).\n", len(rows.Recipients))
	}
	return nil
}
