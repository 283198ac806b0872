package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"homing/bounce"
	"homing/config"
	"homing/internal/terminal"
	"homing/queue"
)

// checkLog says which flags do not go together where the server's log is asked
// for.
func (k *classify) checkLog(c *cobra.Command, files []string) error {
	ofServer := k.unknown && len(files) == 0
	switch {
	case k.replay && k.unknown:
		return errors.New("--replay and --unknown are two questions: ask one")
	case k.replay && len(files) > 0:
		return errors.New("--replay goes through the failures in the server's event log, and takes no files")
	case c.Flag("since").Changed && !ofServer:
		return errors.New("--since goes with --unknown and no files: only the server knows when something was said")
	case k.rules != "" && ofServer:
		return errors.New("--unknown asks the server, which goes by its own rules: leave --rules out, or name files")
	}
	return nil
}

// replayRules asks the server what rules would make of what it was told.
func (k *classify) replayRules(c *cobra.Command) error {
	file, err := fileToTry(c, k.rules)
	if err != nil {
		return &exitError{exitUnable, err}
	}
	var text []byte // none: the shipped rules alone
	if file != "" {
		if text, _, err = readRules(file); err != nil {
			return &exitError{exitUnable, explainRules(err)}
		}
	}
	server, err := dialControl(c)
	if err != nil {
		return err
	}
	var r queue.Replay
	if err := server.call(c.Context(), http.MethodPost, "/api/v1/classify/replay", nil, tomlBody(text), &r); err != nil {
		return err
	}
	if k.json {
		return printJSON(c.OutOrStdout(), r)
	}
	if file == "" {
		fmt.Fprintln(c.OutOrStdout(), "No file of rules is named, so this is a replay with the shipped rules alone.")
	}
	return printReplay(c.OutOrStdout(), r)
}

// fileToTry gives the file of rules that was named, else that of the
// configuration; "": there is none.
func fileToTry(c *cobra.Command, named string) (string, error) {
	if named != "" {
		return named, nil
	}
	path, err := configPath(c)
	if err != nil {
		return "", err
	}
	file, err := config.FindRulesFile(path)
	return file, explainConfig(err)
}

func printReplay(w io.Writer, r queue.Replay) error {
	var b strings.Builder
	if r.Failures == 0 {
		_, err := fmt.Fprintln(w, "There is no failure in the event log. Nothing was changed.")
		return err
	}
	fmt.Fprintf(&b, "The event log has %s from %s to %s.\n", number(r.Failures, "failure", "failures"), clock(r.From), clock(r.To))
	if r.Unjudged > 0 {
		fmt.Fprintf(&b, "An earlier version did not keep what it takes to judge %d of them again.\n", r.Unjudged)
	}
	if r.Changed == 0 {
		b.WriteString("By these rules none of them means anything else. Nothing was changed.\n")
		_, err := io.WriteString(w, b.String())
		return err
	}
	fmt.Fprintf(&b, "By these rules %d of them would mean something else:\n\n", r.Changed)
	printTurns(&b, r.Changes)
	printHeld(&b, fmt.Sprintf("These rules would put on hold what is not (%d):", len(r.WouldHold)), r.WouldHold)
	printHeld(&b, fmt.Sprintf("These rules give no reason to hold what is on hold (%d):", len(r.WouldRelease)), r.WouldRelease)
	if r.Cut {
		b.WriteString("\nThere are more addresses than could be looked at or listed.\n")
	}
	printAdvice(&b, r)
	_, err := io.WriteString(w, b.String())
	return err
}

func printTurns(b *strings.Builder, turns []queue.Turn) {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "COUNT\tNOW\tTHEN\tEXAMPLE")
	for _, x := range turns {
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\n", x.Count, meaning(x.Now), meaning(x.Then), terminal.Clip(x.Example.Diagnostic, 100))
	}
	t.Flush() // a strings.Builder takes everything
}

// meaning is a verdict in a few words.
func meaning(m queue.Meaning) string {
	if m.Rule == bounce.NoRule {
		return fmt.Sprintf("%s %s (no rule)", m.Class, m.Reason)
	}
	return fmt.Sprintf("%s %s (rule %s)", m.Class, m.Reason, terminal.Clip(m.Rule, 40))
}

func printHeld(b *strings.Builder, heading string, held []queue.HeldTurn) {
	if len(held) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n\n", heading)
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ADDRESS\tAPPLICATION\tSINCE\tRULE\tREASON\tNOW\tTHEN\tWHAT WAS SAID")
	for _, x := range held {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", terminal.Line(x.Address), scopeName(x.Application), clock(x.Since), x.Rule, terminal.Clip(x.Reason, 40),
			x.Why.Now.Reason, x.Why.Then.Reason, terminal.Clip(x.Why.Example.Diagnostic, 60))
	}
	t.Flush() // a strings.Builder takes everything
}

// mostAdvised is how many addresses a command is spelled out for.
const mostAdvised = 20

// printAdvice says what to do: a replay itself does nothing.
func printAdvice(b *strings.Builder, r queue.Replay) {
	b.WriteString("\nNothing was changed. New mail is judged by the file that bounce.rules_file names after `systemctl reload homing`, or SIGHUP.\n")
	if len(r.WouldHold) > 0 {
		b.WriteString("That puts nobody on hold for what was said before; the next failure does, or `homing hold add`.\n")
	}
	if len(r.WouldRelease) == 0 {
		return
	}
	b.WriteString("That releases nobody either. To mail those again that are on hold for no reason:\n")
	if len(r.WouldRelease) > mostAdvised {
		b.WriteString("  homing hold release --application APPLICATION ADDRESS…\n")
		return
	}
	for _, application := range applicationsOf(r.WouldRelease) {
		fmt.Fprintf(b, "  homing hold release --application %s", shellWord(terminal.Line(application)))
		for _, x := range r.WouldRelease {
			if x.Application == application {
				b.WriteString(" " + shellWord(terminal.Line(x.Address)))
			}
		}
		b.WriteString("\n")
	}
}

func applicationsOf(held []queue.HeldTurn) []string {
	names := map[string]bool{}
	for _, x := range held {
		names[x.Application] = true
	}
	return slices.Sorted(maps.Keys(names))
}
