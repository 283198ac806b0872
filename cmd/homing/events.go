package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

func newEvents() *cobra.Command {
	c := &cobra.Command{
		Use:   "events",
		Short: "Print the event log as JSON lines",
		Long: "Print the event log as JSON lines, oldest first: the same JSON that webhooks get.\n" +
			"With --follow it goes on with what happens, until it is ended or the server ends.",
		Args: cobra.NoArgs,
	}
	follow := c.Flags().Bool("follow", false, "go on with what happens from now on (with --after: from there)")
	after := c.Flags().String("after", "", "only events after this `ID`")
	c.Flags().Bool("json", true, "accepted as everywhere; events are always JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		server, err := dialControl(c)
		if err != nil {
			return err
		}
		if *follow {
			return server.follow(c, *after)
		}
		return server.log(c, *after)
	}
	return c
}

// log prints what there is, page by page.
func (s *control) log(c *cobra.Command, after string) error {
	for {
		var page struct {
			Events []json.RawMessage `json:"events"`
			Next   string            `json:"next"`
		}
		query := url.Values{"after": {after}, "limit": {"1000"}}
		if err := s.call(c.Context(), http.MethodGet, "/api/v1/events", query, nil, &page); err != nil {
			return err
		}
		for _, e := range page.Events {
			if _, err := fmt.Fprintf(c.OutOrStdout(), "%s\n", e); err != nil {
				return err
			}
		}
		if page.Next == "" {
			return nil
		}
		after = page.Next
	}
}

// follow prints events as they happen until the command is ended.
func (s *control) follow(c *cobra.Command, after string) error {
	query := url.Values{"from": {"now"}}
	if after != "" {
		query = url.Values{"after": {after}}
	}
	resp, err := s.open(c.Context(), http.MethodGet, "/api/v1/events", query, nil, "text/event-stream")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	last, err := copyEvents(c.OutOrStdout(), resp.Body)
	switch {
	case c.Context().Err() != nil:
		return nil
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("following the events: %w", err)
	case last == "":
		last = after
	}
	again := "homing events --follow"
	if last != "" {
		again += " --after " + last
	}
	return fmt.Errorf("the server ended the stream of events: when it runs again, go on with `%s`", again)
}

// copyEvents prints the data of a stream of events and gives the last id and
// the error that ended it.
func copyEvents(out io.Writer, stream io.Reader) (last string, err error) {
	lines := bufio.NewReader(stream)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return last, err
		}
		if id, ok := strings.CutPrefix(line, "id: "); ok {
			last = strings.TrimSpace(id)
		}
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			if _, err := io.WriteString(out, data); err != nil {
				return last, err
			}
		}
	}
}
