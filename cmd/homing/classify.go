package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"homing/bounce"
	"homing/bounce/civicrm"
	"homing/internal/terminal"
)

// A classify is what was typed behind `homing classify`.
type classify struct {
	json    bool
	rules   string
	unknown bool
	replay  bool
	export  string // of CiviCRM's patterns
	place   string
}

// newClassify makes `homing classify`: what a message means, without a server.
// Of a configuration it wants no more than the name of the rules. About what
// the server has been told it asks the server.
func newClassify() *cobra.Command {
	var typed classify
	c := &cobra.Command{
		Use:   "classify [FILE…]",
		Short: "Say what a message (a bounce, a reply, anything) means and why",
		Long: "Says what each message means: what kind it is, of whom it speaks, and which rule decided.\n" +
			"A bare reply (\"550 5.1.1 …\"), or a line of a log that quotes one, is understood as well.\n" +
			"\"-\" or no file reads a message from standard input. The exit code is 2 when a file could not be read.\n\n" +
			"Where there is a configuration that names rules of your own, they decide as they do in the server;\n" +
			"--rules tries others.\n\n" +
			"--unknown groups what no rule understands by its shape: of the files, or else of the running server's event log.\n" +
			"--replay says what the rules, as they are in the file now, would make of the failures in the running server's\n" +
			"event log: which verdicts they change, whom they would hold and whom not. It changes nothing.\n\n" +
			"--import-civicrm reads no message. It prints rules made from an export of CiviCRM's table\n" +
			"civicrm_mailing_bounce_pattern; the exit code is 1 when a pattern had to be left out.",
		Example: "  homing classify bounce.eml\n  homing classify --unknown --since 7d\n  homing classify --replay --rules bounce-rules.toml",
		RunE: func(c *cobra.Command, files []string) error {
			switch {
			case typed.export != "" && (len(files) > 0 || typed.json || typed.rules != "" || typed.unknown || typed.replay):
				return usage(c, errors.New("--import-civicrm stands alone, or with --place"))
			case typed.place != "first" && typed.place != "last":
				return usage(c, fmt.Errorf("--place is first or last, not %q", typed.place))
			case typed.export != "":
				return importCiviCRM(c, typed.export, typed.place == "last")
			case c.Flags().Changed("place"):
				return usage(c, errors.New("--place belongs to --import-civicrm"))
			}
			if err := typed.checkLog(c, files); err != nil {
				return usage(c, err)
			}
			switch {
			case typed.replay:
				return typed.replayRules(c)
			case typed.unknown && len(files) == 0:
				return typed.unknownToServer(c)
			}
			return typed.run(c, files)
		},
	}
	c.Flags().BoolVar(&typed.json, "json", false, "print JSON for programs: of messages, one object a line")
	c.Flags().StringVar(&typed.rules, "rules", "", "the `FILE` with rules of your own (default: bounce.rules_file of the configuration)")
	c.Flags().BoolVar(&typed.unknown, "unknown", false, "group by its shape what no rule understands")
	c.Flags().BoolVar(&typed.replay, "replay", false, "say what the rules would make of the failures in the server's event log")
	periodFlag(c, "since", "with --unknown, of the server: only what is not older than this, such as 12h or 7d")
	c.Flags().StringVar(&typed.export, "import-civicrm", "", "print rules made from this `FILE.csv` of CiviCRM's bounce patterns")
	c.Flags().StringVar(&typed.place, "place", "last", "where the imported rules stand: first, before the shipped ones, or last")
	return c
}

func (k *classify) run(c *cobra.Command, files []string) error {
	if len(files) == 0 {
		files = []string{"-"}
	}
	table, err := tableFor(c, k.rules)
	if err != nil {
		return &exitError{exitUnable, err}
	}
	one := classifier{reader: bounce.NewReader(table), stdin: c.InOrStdin(), out: c.OutOrStdout(), json: k.json, many: len(files) > 1}
	do, failed := one.file, false
	if k.unknown {
		do = one.unknown
	}
	for _, name := range files {
		if err := c.Context().Err(); err != nil {
			return err
		}
		if err := do(name); err != nil {
			fmt.Fprintf(c.ErrOrStderr(), "homing: cannot classify %s: %v\n", name, err)
			failed = true
		}
	}
	if k.unknown {
		err = printUnknown(one.out, one.unknowns.List(), k.json)
	}
	if failed && err == nil {
		err = &exitError{code: exitUnable}
	}
	return err
}

// importCiviCRM prints the rules that an export of CiviCRM makes, and says what
// it had to leave out.
func importCiviCRM(c *cobra.Command, name string, last bool) error {
	export, err := readStart(name, civicrm.MaxOctets+1)
	if name == "-" {
		export, err = io.ReadAll(io.LimitReader(c.InOrStdin(), civicrm.MaxOctets+1))
	}
	if err != nil {
		return &exitError{exitUnable, fmt.Errorf("reading the patterns: %w", err)}
	}
	file, err := civicrm.Import(export, last)
	if err != nil {
		return &exitError{exitUnable, fmt.Errorf("%s: %w", name, err)}
	}
	if _, err := c.OutOrStdout().Write(file.Text); err != nil {
		return err
	}
	for _, l := range file.LeftOut {
		fmt.Fprintf(c.ErrOrStderr(), "homing: %s:%d: left out: %s\n", name, l.Line, l.Why)
	}
	if len(file.LeftOut) > 0 {
		return &exitError{code: exitFailed}
	}
	return nil
}

// readStart reads at most so many octets of a file.
func readStart(name string, octets int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, octets))
}

// A classifier classifies one file after the other.
type classifier struct {
	reader *bounce.Reader
	stdin  io.Reader
	out    io.Writer
	json   bool
	many   bool // several files: each needs a heading

	unknowns bounce.Unknowns
}

func (k *classifier) read(name string) (bounce.Report, error) {
	if name == "-" {
		return k.reader.ReadAny(k.stdin)
	}
	f, err := os.Open(name)
	if err != nil {
		return bounce.Report{}, err
	}
	defer f.Close()
	return k.reader.ReadAny(f)
}

func (k *classifier) file(name string) error {
	report, err := k.read(name)
	if err != nil {
		return err
	}
	if k.json {
		line, err := terminal.JSON(report.JSON(name))
		if err != nil {
			return err
		}
		_, err = k.out.Write(line)
		return err
	}
	if k.many {
		if _, err := fmt.Fprintf(k.out, "%s\n", name); err != nil {
			return err
		}
	}
	if err := k.reader.Explain(k.out, report); err != nil {
		return err
	}
	_, err = fmt.Fprintln(k.out)
	return err
}
