// Command homing is the mail server and everything that an operator does
// with it. Each subcommand is a file of its own with a function newX.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"homing/internal/terminal"
)

// version is stamped by the linker (-X main.version=…) and never assigned.
var version = "unknown"

func main() {
	if name, args, ok := asSendmail(os.Args); ok {
		os.Exit(streams{os.Stdin, os.Stdout, os.Stderr}.sendmail(context.Background(), name, "", args))
	}
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is main without the process: it gives the exit code. SIGINT and SIGTERM
// end the context of the command; a second one ends the process.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer obeySignals(cancel)()

	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	// Nothing that came from outside can do anything to a terminal.
	root.SetOut(&terminal.Writer{W: stdout})
	root.SetErr(&terminal.Writer{W: stderr})
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	code := exitFailed
	var e *exitError
	if errors.As(err, &e) {
		code = e.code
		err = e.cause
	}
	if err != nil {
		fmt.Fprintf(root.ErrOrStderr(), "homing: %v\n", err)
	}
	return code
}

// obeySignals calls cancel at the first SIGINT or SIGTERM. The second one ends
// the process as it would have without us. The function that it returns ends
// this, and waits for that.
func obeySignals(cancel func()) (end func()) {
	signals, ended := make(chan os.Signal, 2), make(chan struct{})
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	var watch sync.WaitGroup
	watch.Go(func() {
		for n := 0; ; n++ {
			select {
			case s := <-signals:
				if n > 0 {
					signal.Reset(s)
					syscall.Kill(os.Getpid(), s.(syscall.Signal)) // both are
				}
				cancel()
			case <-ended:
				return
			}
		}
	})
	return func() {
		signal.Stop(signals)
		close(ended)
		watch.Wait()
		cancel()
	}
}

// newRoot makes the whole command line.
func newRoot() *cobra.Command {
	root := group("homing", "A mail server for programs that send to many people and must hear back",
		newDemo(),
		newInit(),
		newServe(),
		newReload(),
		newStatus(),
		newCheck(),
		newConfig(),
		newDNS(),
		newApp(),
		newDomain(),
		newToken(),
		newSend(),
		newSendmail(),
		newQueue(), newCapture(), newReview(),
		newPlan(),
		newHold(),
		newErase(),
		newTrace(),
		newEvents(),
		newReports(),
		newClassify(),
		newDoctor(),
		newVersion(),
	)
	root.SilenceUsage, root.SilenceErrors = true, true
	root.Version = version
	root.SetVersionTemplate("homing {{.Version}}\n")
	root.PersistentFlags().String("config", "", "the configuration `FILE` (default: $HOMING_CONFIG, ./homing.toml, /etc/homing/homing.toml)")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usage(c, err) })
	usageErrors(root)
	return root
}

// The exit codes. Commands that answer a question with yes or no use
// exitFailed for no and exitUnable when they could not find out.
const (
	exitOK     = 0
	exitFailed = 1
	exitUnable = 2
)

// An exitError ends the process with a code of its own. A nil cause prints
// nothing: the command has said everything already.
type exitError struct {
	code  int
	cause error
}

func (e *exitError) Error() string {
	if e.cause == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.cause.Error()
}

func (e *exitError) Unwrap() error { return e.cause }

// usage is an error of whoever typed the command.
func usage(c *cobra.Command, err error) error {
	return &exitError{exitUnable, fmt.Errorf("%w; see `%s --help`", err, c.CommandPath())}
}

// usageErrors makes what the commands say about their arguments usage errors.
func usageErrors(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return usage(c, err)
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		usageErrors(sub)
	}
}

// group makes a command that only has subcommands. Alone it shows its help;
// a word it does not know is an error that names similar ones.
func group(name, short string, subs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: name, Short: short, SuggestionsMinimumDistance: 2}
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return c.Help()
		}
		unknown := fmt.Errorf("there is no command %q", c.CommandPath()+" "+args[0])
		if similar := c.SuggestionsFor(args[0]); len(similar) > 0 {
			unknown = fmt.Errorf("%w; did you mean %q?", unknown, c.CommandPath()+" "+similar[0])
		}
		return usage(c, unknown)
	}
	c.AddCommand(subs...)
	return c
}
