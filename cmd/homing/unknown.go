package main

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"homing/bounce"
	"homing/internal/terminal"
)

// unknown counts what is unknown in a message.
func (k *classifier) unknown(name string) error {
	report, err := k.read(name)
	for _, x := range report.Recipients {
		if x.Verdict.Reason == bounce.Unknown {
			k.unknowns.Add(bounce.Quote{Code: x.Code, Status: x.Status, Text: x.Diagnostic, Address: x.Address, Host: x.RemoteMTA})
		}
	}
	return err
}

// unknownToServer asks the server what no rule understands.
func (k *classify) unknownToServer(c *cobra.Command) error {
	server, err := dialControl(c)
	if err != nil {
		return err
	}
	var list bounce.UnknownList
	if err := server.call(c.Context(), http.MethodGet, "/api/v1/classify/unknown", asked(c, "since"), nil, &list); err != nil {
		return err
	}
	return printUnknown(c.OutOrStdout(), list, k.json)
}

func printUnknown(w io.Writer, list bounce.UnknownList, asJSON bool) error {
	if asJSON {
		return printJSON(w, list)
	}
	if len(list.Groups) == 0 {
		_, err := fmt.Fprintln(w, "There is nothing that no rule understands.")
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "No rule understands %s:\n\n", number(list.Replies, "reply", "replies"))
	timed := slices.ContainsFunc(list.Groups, func(g bounce.UnknownGroup) bool { return !g.Last.IsZero() })
	times := ""
	if timed {
		times = fmt.Sprintf("  %-19s  %-19s", "FIRST", "LAST")
	}
	fmt.Fprintf(&b, "%7s  %7s  %5s%s  SHAPE, AND AN EXAMPLE\n", "COUNT", "DOMAINS", "HOSTS", times)
	for _, g := range list.Groups {
		if timed {
			times = fmt.Sprintf("  %s  %s", clock(g.First), clock(g.Last))
		}
		fmt.Fprintf(&b, "%7d  %7s  %5s%s  %s\n", g.Count, atLeast(g.Domains), atLeast(g.Hosts), times, terminal.Clip(g.Shape, 200))
		fmt.Fprintf(&b, "%*s  %s\n", 23+len(times), "", terminal.Clip(g.Example, 200))
	}
	if list.Cut {
		fmt.Fprintln(&b, "\nThere are more, and counts of rare ones may be too low.")
	}
	b.WriteString("\nTo have one of them understood, write a rule into the file that bounce.rules_file names (docs/BOUNCES.md, \"Rules of your own\"),\n" +
		"and try it: homing classify --replay\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// mostCounted is as far as domains and hosts of a shape are counted.
const mostCounted = 250

func atLeast(n int) string {
	if n >= mostCounted {
		return fmt.Sprintf("%d+", n)
	}
	return fmt.Sprint(n)
}

// number is a number with its noun.
func number(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
