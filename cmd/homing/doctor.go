package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"homing/config"
	"homing/internal/terminal"
	"homing/store"
	"homing/store/bolt"
)

func newDoctor() *cobra.Command {
	c := &cobra.Command{
		Use:   "doctor [DIRECTORY]",
		Short: "Read a store offline, say what it holds and whether it is sound",
		Long: "Read the store of a server that does not run: every frame, row and body is compared with its checksum and\n" +
			"with what else speaks of it. Nothing is changed. Without a DIRECTORY it is the store in data_dir of the\n" +
			"configuration. The exit code is 0 when the store is sound, 1 when something is damaged, with its place, and 2\n" +
			"when the doctor could not look.",
		Args: cobra.MaximumNArgs(1),
	}
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		dir, err := storeDir(c, args)
		if err != nil {
			return &exitError{exitUnable, err}
		}
		x, err := bolt.Examine(c.Context(), dir)
		if err != nil {
			return &exitError{exitUnable, err}
		}
		if *asJSON {
			err = writeExamination(c.OutOrStdout(), x)
		} else {
			_, err = io.WriteString(c.OutOrStdout(), tellExamination(x))
		}
		if err == nil && len(x.Faults) > 0 {
			err = &exitError{exitFailed, nil}
		}
		return err
	}
	return c
}

// storeDir is the directory that was named, or that of the configuration.
func storeDir(c *cobra.Command, args []string) (string, error) {
	if len(args) > 0 {
		return args[0], nil
	}
	path, err := configPath(c)
	if err != nil {
		return "", err
	}
	dir, err := config.FindDataDir(path)
	if err != nil {
		return "", explainConfig(err)
	}
	return filepath.Join(dir, "store"), nil
}

// A damage is one fault for programs.
type damage struct {
	File string `json:"file,omitempty"`
	What string `json:"what"`
}

func damages(x *bolt.Examination) []damage {
	list := []damage{}
	for _, err := range x.Faults {
		var d *bolt.Damage
		if errors.As(err, &d) {
			list = append(list, damage{d.File, d.What})
		} else {
			list = append(list, damage{What: err.Error()})
		}
	}
	return list
}

// byState gives how many recipients are in each state, in the order of their
// lives.
func byState(x *bolt.Examination) (names []string, counts map[string]int) {
	counts = map[string]int{}
	for s := store.Waiting; s <= store.Suppressed; s++ {
		if n := x.Recipients[s]; n > 0 {
			names, counts[s.String()] = append(names, s.String()), n
		}
	}
	return names, counts
}

func writeExamination(w io.Writer, x *bolt.Examination) error {
	_, recipients := byState(x)
	return printJSON(w, struct {
		Directory   string         `json:"directory"`
		Sound       bool           `json:"sound"`
		Starts      bool           `json:"starts"`
		Messages    int            `json:"messages"`
		Recipients  map[string]int `json:"recipients"`
		Bodies      int            `json:"bodies"`
		Reports     int            `json:"reports"`
		Events      int            `json:"events"`
		Holds       int            `json:"holds"`
		Segments    int            `json:"segments"`
		Frames      int            `json:"frames"`
		LogOctets   int64          `json:"log_octets"`
		IndexOctets int64          `json:"index_octets"`
		Loose       []string       `json:"loose"`
		Damage      []damage       `json:"damage"`
	}{x.Dir, len(x.Faults) == 0, x.Starts, x.Messages, recipients, x.Bodies, x.Reports, x.Events, x.Holds,
		x.Segments, x.Frames, x.LogOctets, x.IndexOctets, append([]string{}, x.Loose...), damages(x)})
}

// tellExamination says the same for people, and what to do.
func tellExamination(x *bolt.Examination) string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	say("The store in %s holds", x.Dir)
	say("  %d messages with %d bodies, %d reports and replies, %d events, %d addresses with a hold record", x.Messages, x.Bodies, x.Reports, x.Events, x.Holds)
	names, counts := byState(x)
	for _, name := range names {
		say("  %d recipients %s", counts[name], name)
	}
	say("  a log of %d segments with %d frames (%.1f MB), and an index (%.1f MB) that lags %d frames behind",
		x.Segments, x.Frames, float64(x.LogOctets)/1e6, float64(x.IndexOctets)/1e6, x.Behind)
	if len(x.Loose) > 0 {
		say("Left behind by a crash; the next start clears it away, and nothing of it was acknowledged:")
		for _, l := range x.Loose {
			say("  %s", terminal.Line(l))
		}
	}
	if len(x.Faults) == 0 {
		say("The store is sound: every frame, row and body is as it was written.")
		return b.String()
	}
	say("DAMAGED:")
	for _, d := range damages(x) {
		say("  %s", terminal.Line(strings.Join(slices.DeleteFunc([]string{d.File, d.What}, func(s string) bool { return s == "" }), ": ")))
	}
	say("")
	if x.Starts {
		say("The server starts on this store. Mail whose body is damaged is not sent but tried again until it expires.")
	} else {
		say("The server does not start on this store, so that nothing is lost or sent twice without your knowing.")
	}
	say("What to do: 1. Keep a copy of the whole directory. 2. Look at the disk: its SMART values, and what the kernel says")
	say("(dmesg). 3. Restore a backup of the directory. What was accepted after it is in the copy alone.")
	say("The doctor repairs nothing here: what it cannot read it would have to make up.")
	return b.String()
}
