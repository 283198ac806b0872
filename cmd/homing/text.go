package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"homing/internal/duration"
	"homing/internal/terminal"
)

// clock is a time as people read it, in their own zone.
func clock(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

// people is a number of recipients.
func people(n int) string {
	if n == 1 {
		return "1 recipient"
	}
	return fmt.Sprintf("%d recipients", n)
}

// recipients says that so many recipients do something, in words for many.
func recipients(n int, does string) string {
	if n != 1 {
		return people(n) + " " + does
	}
	verb, rest, _ := strings.Cut(does, " ")
	for _, v := range [][2]string{{"are", "is"}, {"go", "goes"}, {"wait", "waits"}, {"were", "was"}} {
		if verb == v[0] {
			verb = v[1]
			break
		}
	}
	return strings.TrimSpace(people(n) + " " + verb + " " + rest)
}

// jsonFlag adds the flag that every command has that prints something.
func jsonFlag(c *cobra.Command) *bool {
	return c.Flags().Bool("json", false, "print JSON for programs")
}

// printJSON prints one value, indented, so that people can read it too.
func printJSON(w io.Writer, v any) error {
	text, err := terminal.IndentedJSON(v)
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

// A period is a flag's value: a time as in the configuration, "2d" or "90m".
type period time.Duration

// periodFlag adds a flag for a period.
func periodFlag(c *cobra.Command, name, help string) *period {
	p := new(period)
	c.Flags().Var(p, name, help)
	return p
}

// String implements pflag.Value. The API reads it too.
func (p *period) String() string {
	if *p == 0 {
		return ""
	}
	return time.Duration(*p).String()
}

// Set implements pflag.Value.
func (p *period) Set(text string) error {
	d, err := duration.Parse(text)
	*p = period(d)
	return err
}

// Type implements pflag.Value.
func (p *period) Type() string { return "time" }
