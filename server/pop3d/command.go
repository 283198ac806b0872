package pop3d

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
)

// A command is a line of a client, taken apart.
type command struct {
	verb string // in upper case
	arg  string // what follows the space behind it, as it is
}

// Errors of parse.
var (
	errNoCommand = errors.New("that is no command")
	errControl   = errors.New("control characters have no place in a command")
)

// maxVerb is the length of the longest keyword (RFC 1939 section 3).
const maxVerb = 4

// parse takes a line apart that has no line end any more.
func parse(line []byte) (command, error) {
	if bytes.ContainsFunc(line, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return command{}, errControl
	}
	verb, arg, _ := strings.Cut(string(line), " ")
	if verb == "" || len(verb) > maxVerb {
		return command{}, errNoCommand
	}
	for i := range len(verb) {
		if c := verb[i] | 0x20; c < 'a' || c > 'z' {
			return command{}, errNoCommand
		}
	}
	return command{strings.ToUpper(verb), arg}, nil
}

// numbers reads the arguments of a command: at least least of them, at most
// most. No number is greater than nine digits have room for.
func (c command) numbers(least, most int) ([]int, bool) {
	fields := strings.Fields(c.arg)
	if len(fields) < least || len(fields) > most {
		return nil, false
	}
	all := make([]int, 0, len(fields))
	for _, f := range fields {
		n, err := strconv.Atoi(f)
		if err != nil || len(f) > 9 || f[0] < '0' || f[0] > '9' {
			return nil, false
		}
		all = append(all, n)
	}
	return all, true
}
