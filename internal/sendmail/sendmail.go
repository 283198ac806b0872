// Package sendmail is sendmail(1): what PHP's mail(), cron and scripts call to
// have mail sent. It hands it to the server over the socket for local users
// and, while the server cannot take it, leaves it in the spool. Whose mail it is
// says the kernel; nothing that is written here counts for that.
package sendmail

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"homing/internal/smtpclient"
)

// Exit codes (sysexits.h). OK says that the mail is the server's: in its queue,
// or in the spool.
const (
	OK          = 0
	Usage       = 64 // the arguments are wrong
	DataErr     = 65 // the message is wrong
	NoUser      = 67 // nobody has a recipient's address
	NoHost      = 68 // nobody has its domain
	Unavailable = 69 // refused
	IOErr       = 74 // reading or writing failed
	TempFail    = 75 // neither sent nor kept: try again later
	NoPerm      = 77 // this user may not
	Config      = 78 // the configuration does not say where the server is
)

// homeDomain stands behind people at this machine. The server knows who reads
// their mail.
const homeDomain = "localhost"

// A Call is one call of the program.
type Call struct {
	Name   string // by which it was called: "sendmail", "mailq", "newaliases"
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer

	Socket string // where the server listens for local users
	Spool  string // the directory of the spool
	Lost   error  // why it is not known where these are; nil: it is
	Host   string // the name of this machine
	User   User   // who calls

	List  func(ctx context.Context, to io.Writer) error // lists what waits
	Flush func(ctx context.Context, to io.Writer) error // has the spool taken over
	Now   func() time.Time
}

// A User is who calls.
type User struct{ Name, FullName string }

// Run does what the arguments say, and gives the exit code. What went wrong is
// said on Stderr.
func (c *Call) Run(ctx context.Context, args []string) int {
	o, err := parse(c.Name, args)
	if err != nil {
		return c.fail(err)
	}
	switch o.task {
	case list:
		return c.ask(ctx, c.List)
	case flush:
		return c.ask(ctx, c.Flush)
	case nothing:
		return OK
	}
	if c.Lost != nil {
		c.say("%v", c.Lost)
		return Config
	}
	switch o.task {
	case talk:
		return c.talk(ctx)
	case verify:
		return c.verify(ctx, o)
	}
	l, err := c.compose(o)
	if err != nil {
		return c.fail(err)
	}
	for _, words := range l.passed {
		c.say("%q in the header is no address and was passed over", words)
	}
	return c.hand(ctx, l, o)
}

// say writes a line for whoever called.
func (c *Call) say(format string, args ...any) {
	fmt.Fprintf(c.Stderr, "sendmail: %s\n", oneLine(fmt.Sprintf(format, args...)))
}

// oneLine keeps what came from elsewhere from being taken for lines of ours.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

// fail says what is wrong and gives its code.
func (c *Call) fail(err error) int {
	switch {
	case errors.Is(err, errUsage):
		c.say("%s; see `homing sendmail --help`", strings.TrimPrefix(err.Error(), errUsage.Error()+": "))
		return Usage
	case errors.Is(err, errData):
		c.say("%v", err)
		return DataErr
	}
	c.say("reading the message: %v", err)
	return IOErr
}

// ask has the server do something that only who runs it may ask for.
func (c *Call) ask(ctx context.Context, f func(context.Context, io.Writer) error) int {
	err := f(ctx, c.Stdout)
	if err == nil {
		return OK
	}
	c.say("%v", err)
	var code interface{ ExitCode() int }
	if errors.As(err, &code) {
		return code.ExitCode()
	}
	return Unavailable
}

// patience is how long a web page or a cron job is kept waiting for a server
// that is there and says nothing.
var patience = smtpclient.Timeouts{Greeting: 30 * time.Second, Hello: 30 * time.Second, Mail: time.Minute, Rcpt: time.Minute, Data: time.Minute,
	Block: time.Minute, Dot: 2 * time.Minute, Reset: 10 * time.Second}
