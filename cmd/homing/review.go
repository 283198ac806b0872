package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"homing/event"
	"homing/internal/terminal"
	"homing/server/web"
)

func newReview() *cobra.Command {
	return group("review", "Mail for activities whose sender nothing proves", newReviewList(), newReviewShow(),
		newReviewDecision(fileReview), newReviewDecision(discardReview))
}

func newReviewList() *cobra.Command {
	c := &cobra.Command{
		Use: "list", Short: "List the mail that waits for review, oldest first",
		Long: "List the mail that came to a [[route]] with as = \"activity\" and was not filed, because nothing proves who wrote it and the sender\n" +
			"is not listed there. It waits for retention.bounces, then it is forgotten.", Args: cobra.NoArgs,
	}
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return show(c, "/api/v1/review", nil, *asJSON, printReview)
	}
	return c
}

func printReview(w io.Writer, all web.Waiting) error {
	if len(all.Waiting) == 0 {
		_, err := fmt.Fprintln(w, "Nothing waits for review.")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "MAIL\tARRIVED\tFROM\tTO\tSUBJECT\tWHY")
	for _, m := range all.Waiting {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", m.ID, clock(m.Arrived), terminal.Clip(m.From, 60), terminal.Clip(placesOf(m), 60),
			terminal.Clip(m.Subject, 60), terminal.Clip(m.Why, 160))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, "`homing review show MAIL` reads one, `homing review file MAIL` has it filed, `homing review discard MAIL` forgets it.")
	return err
}

// placesOf gives the addresses that a mail came to.
func placesOf(m web.WaitingMail) string {
	var all []string
	for _, p := range m.Places {
		all = append(all, p.Recipient)
	}
	return strings.Join(all, ", ")
}

func newReviewShow() *cobra.Command {
	c := &cobra.Command{
		Use: "show MAIL", Short: "Read a mail that waits for review",
		Long: "Read a mail that waits for review: why it waits, and what it says. What it says cannot do anything to your terminal.",
		Args: cobra.ExactArgs(1),
	}
	raw := c.Flags().Bool("raw", false, "print it octet for octet, for a file or another program")
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		path, err := reviewPath(c, args[0], "")
		if err != nil {
			return err
		}
		server, err := dialControl(c)
		if err != nil {
			return err
		}
		if *raw {
			return server.copyRaw(c, path+"/content")
		}
		var m web.WaitingMail
		if err := server.call(c.Context(), http.MethodGet, path, nil, nil, &m); err != nil {
			return err
		}
		if *asJSON {
			return printJSON(c.OutOrStdout(), m)
		}
		fmt.Fprintf(c.OutOrStdout(), "It waits until %s. %s\nIt came to %s, with the envelope sender %s.\nSPF says %s, DKIM %s, DMARC %s.\n\n", clock(m.Until), terminal.Line(m.Why),
			terminal.Line(placesOf(m)), terminal.Line("<"+m.Sender+">"), m.Authentication.SPF, m.Authentication.DKIM, m.Authentication.DMARC)
		return server.tellContent(c.Context(), c.OutOrStdout(), path+"/content")
	}
	return c
}

// copyRaw prints a mail octet for octet.
func (s *control) copyRaw(c *cobra.Command, path string) error {
	out, err := octets(c)
	if err != nil {
		return err
	}
	resp, err := s.open(c.Context(), http.MethodGet, path, nil, nil, "message/rfc822")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(out, resp.Body)
	return err
}

// tellContent shows a mail to people.
func (s *control) tellContent(ctx context.Context, w io.Writer, path string) error {
	resp, err := s.open(ctx, http.MethodGet, path, nil, nil, "message/rfc822")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return tellMessage(w, resp.Body)
}

// reviewPath is where the API has a mail that waits.
func reviewPath(c *cobra.Command, name, action string) (string, error) {
	var id event.MessageID
	if id.UnmarshalText([]byte(name)) != nil {
		return "", usage(c, fmt.Errorf("%q is not an identifier such as 01KAQ3V5Z8001, as `homing review list` shows it", name))
	}
	return "/api/v1/review/" + url.PathEscape(id.String()) + action, nil
}

// A decision is what can be decided about mail that waits.
type decision struct{ name, short, long, done string }

var fileReview = decision{"file", "Have mail filed that waits for review",
	"Have mail filed that waits for review: the sinks of its route are told of it, as if it had not been doubted. To have all mail of a\nsender filed in future, list it in from of the [[route]].", "is filed"}

var discardReview = decision{"discard", "Forget mail that waits for review",
	"Forget mail that waits for review. Nobody is told, and it cannot be had back.", "is discarded"}

func newReviewDecision(d decision) *cobra.Command {
	c := &cobra.Command{Use: d.name + " MAIL…", Short: d.short, Long: d.long, Args: cobra.MinimumNArgs(1)}
	c.RunE = func(c *cobra.Command, args []string) error {
		var paths []string
		for _, name := range args {
			path, err := reviewPath(c, name, "/"+d.name)
			if err != nil {
				return err
			}
			paths = append(paths, path)
		}
		server, err := dialControl(c)
		if err != nil {
			return err
		}
		for i, path := range paths {
			if err := server.call(c.Context(), http.MethodPost, path, nil, web.Deciding{By: whoami()}, nil); err != nil {
				return fmt.Errorf("%s: %w", args[i], err)
			}
			fmt.Fprintf(c.OutOrStdout(), "%s %s.\n", args[i], d.done)
		}
		return nil
	}
	return c
}
