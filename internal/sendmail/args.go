package sendmail

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"homing/internal/message"
)

// A task is what the program is to do.
type task int

const (
	send    task = iota // a message from standard input
	talk                // SMTP on standard input and output
	list                // what waits
	flush               // what lies in the spool
	verify              // would the recipients be taken?
	nothing             // there is no table of aliases to build
)

// options are what the arguments say.
type options struct {
	task    task
	extract bool    // recipients from the header, too
	dots    bool    // a line that is a dot ends the message
	from    *string // the envelope sender; nil: not said
	name    string  // of the author
	eight   bool    // BODY=8BITMIME
	notify  string  // as in RFC 3461
	ret     string
	envid   string
	verbose bool
	to      []string // as written
}

// errUsage is a mistake in the arguments.
var errUsage = errors.New("usage")

func usagef(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errUsage, fmt.Sprintf(format, args...))
}

// Options of one letter, as Sendmail, Postfix and Exim know them. A value
// stands in the same argument or in the next one; what may only stand in the
// same one can be missing.
const (
	flags    = "cEGIimnstUvwx"
	valued   = "ABbCDeFfhLMNOopRrVX"
	attached = "dq"
)

// separate are options of Exim of several letters whose value is the next
// argument.
var separate = map[string]bool{"oMa": true, "oMaa": true, "oMai": true, "oMas": true, "oMi": true, "oMm": true, "oMr": true, "oMs": true, "oMt": true,
	"oP": true, "oX": true}

// parse reads the arguments of a program that was called by a name. Options end
// at the first argument that is none; what is about how an MTA works inside is
// read and means nothing here.
func parse(name string, args []string) (options, error) {
	o := options{dots: true}
	switch filepath.Base(name) {
	case "mailq":
		o.task = list
	case "newaliases":
		o.task = nothing
	}
	for len(args) > 0 {
		arg := args[0]
		if arg == "--" {
			args = args[1:]
			break
		}
		if len(arg) < 2 || arg[0] != '-' {
			break
		}
		rest, err := o.letters(arg[1:], args[1:])
		if err != nil {
			return o, err
		}
		args = rest
	}
	for _, a := range args {
		if strings.HasPrefix(a, "-") {
			return o, usagef("%q stands behind a recipient: options come first", a)
		}
	}
	o.to = args
	return o, nil
}

// letters reads one argument of options, without its hyphen, and gives the
// arguments that are left.
func (o *options) letters(arg string, rest []string) ([]string, error) {
	if separate[arg] {
		if len(rest) == 0 {
			return nil, usagef("-%s needs a value", arg)
		}
		return rest[1:], nil
	}
	for i := range len(arg) {
		c, value := arg[i], arg[i+1:]
		switch {
		case strings.IndexByte(flags, c) >= 0:
			o.flag(c)
		case strings.IndexByte(attached, c) >= 0:
			if c == 'q' {
				o.task = flush
			}
			return rest, nil
		case strings.IndexByte(valued, c) < 0:
			return nil, usagef("there is no option -%c", c)
		case value != "":
			return rest, o.value(c, value)
		case len(rest) == 0:
			return nil, usagef("-%c needs a value", c)
		default:
			return rest[1:], o.value(c, rest[0])
		}
	}
	return rest, nil
}

func (o *options) flag(c byte) {
	switch c {
	case 'i':
		o.dots = false
	case 't':
		o.extract = true
	case 'v':
		o.verbose = true
	case 'I':
		o.task = nothing
	}
}

// value takes an option with a value.
func (o *options) value(c byte, v string) error {
	switch c {
	case 'b':
		return o.mode(v)
	case 'f', 'r':
		o.from = &v
	case 'F':
		o.name = v
	case 'B':
		o.eight = strings.EqualFold(v, "8BITMIME")
		if !o.eight && !strings.EqualFold(v, "7BIT") {
			return usagef("-B %q: want 7BIT or 8BITMIME", v)
		}
	case 'N':
		o.notify = strings.ToUpper(v)
	case 'R':
		o.ret = strings.ToUpper(v)
		if o.ret != "FULL" && o.ret != "HDRS" {
			return usagef("-R %q: want full or hdrs", v)
		}
	case 'V':
		o.envid = v
	case 'o':
		o.dots = o.dots && !strings.HasPrefix(v, "i")
	case 'O':
		if name, value, _ := strings.Cut(v, "="); strings.EqualFold(name, "IgnoreDots") && !strings.HasPrefix(strings.ToLower(value), "f") {
			o.dots = false
		}
	}
	return nil
}

// mode takes -b.
func (o *options) mode(v string) error {
	tasks := map[string]task{"m": send, "s": talk, "p": list, "v": verify, "i": nothing}
	t, ok := tasks[v]
	switch {
	case ok:
		o.task = t
	case v == "d" || v == "D" || v == "l":
		return usagef("-b%s: the server is started with `homing serve`", v)
	default:
		return usagef("-b%s is not known here: want -bm, -bs, -bp, -bv or -bi", v)
	}
	return nil
}

// recipients reads those among the arguments.
func (o *options) recipients() (all []string, err error) {
	for _, a := range o.to {
		people, wrong := message.People(a, homeDomain)
		if len(wrong) > 0 {
			return nil, usagef("%q is no address", wrong[0])
		}
		for _, p := range people {
			all = append(all, p.Address)
		}
	}
	return all, nil
}

// sender reads the envelope sender that was given: "" is the null one.
func (o *options) sender(host string) (string, error) {
	v := strings.TrimSpace(*o.from)
	if v == "" || v == "<>" {
		return "", nil
	}
	people, wrong := message.People(v, host)
	if len(people) != 1 || len(wrong) > 0 {
		return "", usagef("the sender %q is no address", v)
	}
	return people[0].Address, nil
}
