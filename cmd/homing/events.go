package main

import (
	"bufio"
	"encoding/json"
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
		Args:  cobra.NoArgs,
	}
	follow := c.Flags().Bool("follow", false, "go on with what happens from now on (with --after: from there)")
	after := c.Flags().String("after", "", "only events after this `ID`")
	c.Flags().Bool("json", true, "accepted like everywhere; events are always JSON")
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
		if err := s.call(c.Context(), http.MethodGet, "/api/v1/events", url.Values{"after": {after}}, nil, &page); err != nil {
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
	lines := bufio.NewReader(resp.Body)
	for {
		line, err := lines.ReadString('\n')
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			if _, err := io.WriteString(c.OutOrStdout(), data); err != nil {
				return err
			}
		}
		switch {
		case err == nil:
		case c.Context().Err() != nil:
			return nil
		default:
			return fmt.Errorf("the server ended the stream of events: %w", err)
		}
	}
}
