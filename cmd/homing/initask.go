package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"homing/hold"
)

// An asker asks whoever sits at the terminal, and gives the answer, or
// otherwise where there is none. A secret is not shown while it is typed.
type asker interface {
	ask(ctx context.Context, words, otherwise string, secret bool) (string, error)
	say(words string)
}

// ask asks for what nobody else can know; given reports whether a flag has said
// it. An answer that the configuration could not have is asked for again.
func (f *founding) ask(ctx context.Context, given func(flag string) bool, t asker) error {
	for _, q := range f.questions(ctx, given) {
		for {
			words, otherwise := q.words()
			if words == "" {
				break // it does not matter any more
			}
			answer, err := t.ask(ctx, words, otherwise, q.secret)
			if err != nil {
				return err
			}
			before := *f
			if err = q.take(answer); err == nil {
				err = f.mistakes()
			}
			if err == nil {
				break
			}
			*f = before
			t.say(err.Error())
		}
	}
	return nil
}

// A question is one that is asked when its turn comes.
type question struct {
	words  func() (words, otherwise string) // "": it is not asked
	take   func(answer string) error
	secret bool
}

func (f *founding) questions(ctx context.Context, given func(flag string) bool) []question {
	return []question{
		{words: func() (string, string) {
			if given("hostname") {
				return "", ""
			}
			return "What is this machine called in the DNS?", f.Hostname
		}, take: func(answer string) error { f.Hostname = hold.CanonicalDomain(answer); return nil }},
		{words: func() (string, string) { return f.addressQuestion(ctx) }, take: f.takeAddress},
		{words: func() (string, string) {
			if given("postmaster") {
				return "", ""
			}
			return "Who is told by mail when something breaks?", f.Postmaster
		}, take: func(answer string) error { f.Postmaster = answer; return nil }},
		{words: func() (string, string) {
			if !f.around.blocked() || given("smarthost") {
				return "", ""
			}
			return "Port 25 of other servers cannot be reached from here; many providers open it when asked. Else mail goes through a smarthost:\n" +
				"a server that takes it on, where you have an account. Which one (SERVER:PORT)?", f.Smarthost
		}, take: f.takeSmarthost},
		{words: func() (string, string) {
			if f.Smarthost == "" || f.Username != "" {
				return "", ""
			}
			return "Which name to log in with at " + f.Smarthost + "?", ""
		}, take: func(answer string) error { f.Username = answer; return nil }},
		{words: func() (string, string) {
			if f.Smarthost == "" || f.Username == "" || f.Password != "" || f.hasSecret() {
				return "", ""
			}
			return "And the password of " + f.Username + " there?", ""
		}, take: func(answer string) error {
			if f.Password = answer; answer == "" {
				return fmt.Errorf("without a password nobody can log in; Ctrl-C ends this, and nothing is written")
			}
			return nil
		}, secret: true},
	}
}

// addressQuestion asks how the world knows this machine, where that cannot be
// seen here. What the DNS has for its name is a good guess.
func (f *founding) addressQuestion(ctx context.Context) (words, otherwise string) {
	if f.Hidden || f.Chosen {
		return "", ""
	}
	guess := ""
	if a := f.around.addressOf(ctx, f.Hostname); a.IsValid() {
		guess = a.String()
	}
	switch {
	case f.around.hidden.IsValid():
		return fmt.Sprintf("This machine is %s, which nobody out there can reach. Which public IPv4 address stands in front of it?", f.around.hidden), guess
	case len(f.Addresses) == 0:
		return "No public address was found here. Which one does the world know this machine by?", guess
	}
	return "", ""
}

func (f *founding) takeAddress(answer string) error {
	if answer == "" {
		return nil
	}
	a, err := netip.ParseAddr(answer)
	if err != nil {
		return fmt.Errorf("%q is not an address like 203.0.113.10", answer)
	}
	if err := unreachable(a); err != nil {
		return err
	}
	f.Addresses = []netip.Addr{a.Unmap()}
	f.addressed()
	return nil
}

// unreachable says so of an address that cannot be that of a machine in the
// world.
func unreachable(a netip.Addr) error {
	if a.IsPrivate() || !a.IsGlobalUnicast() || a.Zone() != "" {
		return fmt.Errorf("%s means something in its own network only: write the address that the world sees, as the panel of the provider shows it", a)
	}
	return nil
}

// takeSmarthost takes a server; where people leave the port out, they mean that
// of submission.
func (f *founding) takeSmarthost(answer string) error {
	if _, _, err := net.SplitHostPort(answer); err != nil && answer != "" && !strings.Contains(answer, ":") {
		answer = net.JoinHostPort(answer, "587")
	}
	f.Smarthost = answer
	return nil
}

// A keyboard asks at a terminal. It reads octet by octet, so that nothing that
// was typed ahead is lost between one question and the next.
type keyboard struct {
	in  *os.File
	out io.Writer
}

// terminalOf gives the terminal that somebody sits at.
func terminalOf(c *cobra.Command) (asker, bool) {
	in, ok := c.InOrStdin().(*os.File)
	if !ok || !isTerminal(in) {
		return nil, false
	}
	return keyboard{in, c.OutOrStdout()}, true
}

func (k keyboard) say(words string) { fmt.Fprintln(k.out, words) }

func (k keyboard) ask(ctx context.Context, words, otherwise string, secret bool) (string, error) {
	if fmt.Fprint(k.out, words+" "); !secret {
		fmt.Fprintf(k.out, "[%s] ", cmp.Or(otherwise, "none"))
	}
	if secret {
		show, err := hideTyping(int(k.in.Fd()))
		if err != nil {
			return "", fmt.Errorf("hiding what is typed: %w", err)
		}
		defer func() { show(); fmt.Fprintln(k.out) }()
	}
	line, err := k.line(ctx)
	if !secret {
		line = strings.TrimSpace(line)
	}
	return cmp.Or(line, otherwise), err
}

// line reads a line. An end of the context, as by Ctrl-C, ends it.
func (k keyboard) line(ctx context.Context) (string, error) {
	const look = 100 // milliseconds
	var line []byte
	for octet := make([]byte, 1); ; {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(k.in.Fd()), Events: unix.POLLIN}}, look)
		switch {
		case ctx.Err() != nil:
			return "", errors.New("interrupted: nothing was written")
		case err != nil && !errors.Is(err, unix.EINTR):
			return "", fmt.Errorf("reading the terminal: %w", err)
		case n == 0 || err != nil:
			continue
		}
		switch n, err := k.in.Read(octet); {
		case n == 0 && errors.Is(err, io.EOF): // Ctrl-D
			return string(line), nil
		case err != nil:
			return "", fmt.Errorf("reading the terminal: %w", err)
		case octet[0] == '\n':
			return strings.TrimRight(string(line), "\r"), nil
		default:
			line = append(line, octet[0])
		}
	}
}

// hideTyping has a terminal not show what is typed, until show is called.
func hideTyping(fd int) (show func(), err error) {
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, err
	}
	hidden := *before
	hidden.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &hidden); err != nil {
		return nil, err
	}
	return func() { unix.IoctlSetTermios(fd, unix.TCSETS, before) }, nil
}
