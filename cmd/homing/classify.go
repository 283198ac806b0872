package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"homing/bounce"
	"homing/internal/terminal"
)

// newClassify makes `homing classify`: what a message means, without a server.
// Of a configuration it wants no more than the name of the rules.
func newClassify() *cobra.Command {
	var asJSON bool
	var rules string
	c := &cobra.Command{
		Use:   "classify [FILE…]",
		Short: "Say what a message (a bounce, a reply, anything) means and why",
		Long: "Says what each message means: what kind it is, of whom it speaks, and which rule decided.\n" +
			"A bare reply (\"550 5.1.1 …\"), or a line of a log that quotes one, is understood as well.\n" +
			"\"-\" or no file reads a message from standard input. The exit code is 2 when a file could not be read.\n\n" +
			"Where there is a configuration that names rules of your own, they decide as they do in the server;\n" +
			"--rules tries others.",
		RunE: func(c *cobra.Command, files []string) error {
			if len(files) == 0 {
				files = []string{"-"}
			}
			table, err := tableFor(c, rules)
			if err != nil {
				return &exitError{exitUnable, err}
			}
			k := classifier{reader: bounce.NewReader(table), stdin: c.InOrStdin(), out: c.OutOrStdout(), json: asJSON, many: len(files) > 1}
			failed := false
			for _, name := range files {
				if err := c.Context().Err(); err != nil {
					return err
				}
				if err := k.file(name); err != nil {
					fmt.Fprintf(c.ErrOrStderr(), "homing: cannot classify %s: %v\n", name, err)
					failed = true
				}
			}
			if failed {
				return &exitError{code: exitUnable}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line")
	c.Flags().StringVar(&rules, "rules", "", "the `FILE` with rules of your own (default: bounce.rules_file of the configuration)")
	return c
}

// A classifier classifies one file after the other.
type classifier struct {
	reader *bounce.Reader
	stdin  io.Reader
	out    io.Writer
	json   bool
	many   bool // several files: each needs a heading
}

func (k *classifier) file(name string) error {
	in := k.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	report, err := k.reader.ReadAny(in)
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
