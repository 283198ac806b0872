package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"homing/config"
	"homing/internal/sendmail"
	"homing/internal/spool"
	"homing/internal/terminal"
	"homing/server/web"
)

// sendmailNames are the names under which the program is sendmail(1).
var sendmailNames = []string{"sendmail", "mailq", "newaliases"}

const sendmailHelp = `Hand mail over to the server: sendmail(1) for PHP's mail(), cron and scripts

Usage:
  homing sendmail [options] [recipient…] < message
  sendmail, mailq, newaliases    the same, as links to this program

The server knows who calls, and takes mail of those who stand in users of an
[[application]]. While it cannot take mail, that is kept in the spool and sent
later.

  -t            recipients from To, Cc and Bcc, besides those that are named
  -i, -oi       a line that is a dot does not end the message
  -f, -r ADDR   the envelope sender (default: the author in the From field)
  -F NAME       the name of the author, where there is no From field
  -B 8BITMIME   the text has 8-bit characters; -B 7BIT
  -N WHEN       reports wanted: never, or a list of success, failure, delay
  -R PART       what reports contain: full or hdrs
  -V ID         the envelope ID that reports repeat
  -v            say what becomes of the mail
  -bs           SMTP on standard input and output
  -bv           ask whether the recipients would be taken
  -bp, mailq    list the spool and the queue
  -q            have the spool taken over now, also what was refused
  -bi           does nothing: there are no aliases

Options that are about how another MTA works inside (-o…, -A, -C, -d, -G, -h,
-L, -m, -n, -O, -p, -U, -X …) are read and mean nothing.

Exit codes are those of sysexits.h: 0 when the mail is in the queue or in the
spool, 75 when it is neither (try again), 64 and 65 for mistakes in the
arguments and the message, 67 to 69 for recipients that are refused, 77 for a
user who may not send.
`

func newSendmail() *cobra.Command {
	c := &cobra.Command{
		Use:                "sendmail",
		Short:              "Hand mail over as sendmail(1) does",
		DisableFlagParsing: true,
		RunE: func(c *cobra.Command, args []string) error {
			path := ""
			if len(args) > 1 && args[0] == "--config" {
				path, args = args[1], args[2:]
			} else if len(args) > 0 && strings.HasPrefix(args[0], "--config=") {
				path, args = strings.TrimPrefix(args[0], "--config="), args[1:]
			}
			// Octets of a dialogue must reach the caller as they are.
			p := streams{c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr()}
			if w, ok := p.out.(*terminal.Writer); ok && slices.Contains(args, "-bs") {
				p.out = w.W
			}
			if code := p.sendmail(c.Context(), "sendmail", path, args); code != 0 {
				return &exitError{code: code}
			}
			return nil
		},
	}
	c.SetHelpFunc(func(c *cobra.Command, _ []string) { io.WriteString(c.OutOrStdout(), sendmailHelp) })
	return c
}

// streams are what a program reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// asSendmail reports whether the program was called as sendmail(1), and gives
// the name and the arguments. Then it is to start fast: a page of PHP waits.
func asSendmail(args []string) (name string, rest []string, ok bool) {
	name = filepath.Base(args[0])
	switch {
	case slices.Contains(sendmailNames, name):
		return name, args[1:], true
	case len(args) > 1 && args[1] == "sendmail":
		return "sendmail", args[2:], true
	}
	return "", nil, false
}

// sendmail is sendmail(1). path is a configuration that was named; "": none.
func (p streams) sendmail(ctx context.Context, name, path string, args []string) int {
	if slices.Contains(args, "--help") {
		io.WriteString(p.out, sendmailHelp)
		return sendmail.OK
	}
	c := sendmail.Call{Name: name, Stdin: p.in, Stdout: p.out, Stderr: p.err, Host: mailHost(), User: caller(), Now: time.Now}
	c.Socket, c.Spool, c.Lost = localDoor(path)
	shown := &terminal.Writer{W: p.out}
	c.List = func(ctx context.Context, _ io.Writer) error { return listMail(ctx, shown, path, c.Spool) }
	c.Flush = func(ctx context.Context, _ io.Writer) error { return flushSpool(ctx, shown, path) }
	return c.Run(ctx, args)
}

// localDoor gives the socket for local users and the spool. The configuration
// is usually closed to whoever calls sendmail; then they are where they are by
// default. A homing.toml in the working directory does not count: that may be
// anybody's.
func localDoor(path string) (socket, dir string, err error) {
	file := path
	if file == "" {
		file = os.Getenv("HOMING_CONFIG")
	}
	named := file != ""
	if !named {
		file = systemConfig
	}
	socket, dir, err = config.FindLocal(file)
	switch {
	case err == nil && socket == "":
		return "", "", fmt.Errorf("%s has no socket for local users: write local = \"unix:/run/homing/submit.sock\" in [listen], and start the server again", file)
	case err == nil:
		return socket, dir, nil
	case errors.Is(err, fs.ErrPermission) && path == "", !named:
		return config.DefaultLocal, spool.DefaultDir, nil
	}
	return "", "", err
}

// caller is who calls.
func caller() sendmail.User {
	id := fmt.Sprintf("uid%d", os.Getuid())
	u, err := user.Current()
	if err != nil {
		return sendmail.User{Name: id}
	}
	me := sendmail.User{Name: u.Username, FullName: u.Name}
	if strings.Trim(strings.ToLower(me.Name), "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" || me.Name == "" {
		me.Name = id // a name of a directory, such as DOMAIN\ann
	}
	if me.FullName == me.Name {
		me.FullName = ""
	}
	return me
}

// mailHost is the name of this machine, as far as it can stand in an address.
func mailHost() string {
	name, err := os.Hostname()
	if err != nil || name == "" || strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" || strings.Contains(name, "..") ||
		strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".") {
		return "localhost"
	}
	return name
}

// A deniedError says that only who runs the server may ask for something.
type deniedError struct{ error }

// ExitCode is EX_NOPERM.
func (deniedError) ExitCode() int { return sendmail.NoPerm }

// operate finds the control socket for what only who runs the server may do.
func operate(path string) (*control, error) {
	c, err := dialControlOf(cmp.Or(path, os.Getenv("HOMING_CONFIG"), systemConfig))
	if errors.Is(err, fs.ErrPermission) {
		err = deniedError{fmt.Errorf("this is for %w", errOtherUser)}
	}
	return c, err
}

// refusedTo marks an error of a server that this user may not ask.
func refusedTo(err error) error {
	if errors.Is(err, errOtherUser) {
		return deniedError{err}
	}
	return err
}

// listMail lists the spool and the queue.
func listMail(ctx context.Context, to io.Writer, path, dir string) error {
	server, err := operate(path)
	if err != nil {
		return err
	}
	var s web.Spooled
	if err := server.call(ctx, http.MethodGet, "/api/v1/spool", nil, nil, &s); err != nil {
		if n, e := spool.Count(dir); e == nil && n > 0 && errors.Is(err, errNoServer) {
			fmt.Fprintf(to, "%d mails lie in the spool %s.\n", n, dir)
		}
		return refusedTo(err)
	}
	if err := printSpool(to, s); err != nil {
		return err
	}
	rows, err := server.recipients(ctx, "/api/v1/queue", url.Values{}, pageRows)
	if err != nil {
		return err
	}
	return printQueue(to, rows, false)
}

// printSpool prints what lies in the spool, if anything does.
func printSpool(w io.Writer, s web.Spooled) error {
	if s.Fault != "" {
		fmt.Fprintf(w, "No mail is taken from the spool: %s.\n", terminal.Line(s.Fault))
	}
	if len(s.Files) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SPOOLED\tSTATE\tNEXT\tUSER\tSENDER\tRECIPIENTS\tWHY")
	for _, f := range s.Files {
		next, to := "", ""
		if f.Next != nil {
			next = attemptAt(*f.Next)
		}
		if len(f.Recipients) > 0 {
			to = terminal.Clip(f.Recipients[0], 60)
		}
		if more := len(f.Recipients) - 1; more > 0 {
			to += fmt.Sprintf(" +%d", more)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", clock(f.Spooled), f.State, next, terminal.Clip(f.User, 30), terminal.Clip(f.Sender, 60), to, terminal.Clip(f.Reason, 200))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w)
	return err
}

// flushSpool has the spool taken over.
func flushSpool(ctx context.Context, to io.Writer, path string) error {
	server, err := operate(path)
	if err != nil {
		return err
	}
	if err := server.call(ctx, http.MethodPost, "/api/v1/spool/flush", nil, nil, nil); err != nil {
		return refusedTo(err)
	}
	_, err = fmt.Fprintln(to, "The spool is being taken over. `homing sendmail -bp` says what the server does not take.")
	return err
}
