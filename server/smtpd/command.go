package smtpd

import (
	"bytes"
	"strconv"
	"strings"

	"homing/internal/reply"
)

// What go-smtp is given to read. It sees nothing else.
const (
	toEhlo = "EHLO edge.invalid\r\n"
	toLhlo = "LHLO edge.invalid\r\n"
	toMail = "MAIL FROM:<>\r\n"
	toRcpt = "RCPT TO:<r@edge.invalid>\r\n"
	toData = "DATA\r\n"
	toDot  = ".\r\n"
	toRset = "RSET\r\n"
)

// A state is how far a dialogue has come. They are bits, so that a command can
// name all those in which it may be given.
type state uint8

const (
	connected state = 1 << iota // since the greeting, or since STARTTLS
	ready                       // after EHLO
	mailing                     // after MAIL
	addressed                   // after a RCPT that was accepted
	anytime   = connected | ready | mailing | addressed
)

// A command is what a verb means.
type command struct {
	verb string
	in   state                                 // where it may be given; elsewhere it is 503
	run  func(e *edge, arg string) (to string) // what go-smtp is to read; "" where all is said
}

// commands holds every verb that we know. Session methods are called by
// go-smtp, for what run returns, except where go-smtp would stand in the way.
var commands = byVerb(
	command{"HELO", anytime, (*edge).helo},
	command{"EHLO", anytime, (*edge).ehlo},
	command{"LHLO", anytime, (*edge).lhlo},
	command{"STARTTLS", ready, (*edge).starttls},
	command{"AUTH", ready, (*edge).auth},
	command{"MAIL", ready, (*edge).mail},
	command{"RCPT", mailing | addressed, (*edge).rcpt},
	command{"DATA", addressed, (*edge).data},
	command{"BDAT", anytime, (*edge).bdat}, // octets follow it even where it is refused
	command{"RSET", anytime, (*edge).rset},
	command{"NOOP", anytime, (*edge).noop},
	command{"HELP", anytime, (*edge).help},
	command{"VRFY", anytime, (*edge).vrfy},
	command{"QUIT", anytime, (*edge).quit},
	command{"EXPN", anytime, (*edge).notImplemented},
	command{"ETRN", anytime, (*edge).notImplemented},
	command{"TURN", anytime, (*edge).notImplemented},
	command{"SEND", anytime, (*edge).notImplemented},
	command{"SOML", anytime, (*edge).notImplemented},
	command{"SAML", anytime, (*edge).notImplemented},
	// A web page can make its reader's browser send these to loopback, with
	// SMTP commands in the body.
	command{"GET", anytime, (*edge).browser},
	command{"POST", anytime, (*edge).browser},
	command{"PUT", anytime, (*edge).browser},
	command{"OPTIONS", anytime, (*edge).browser},
	command{"CONNECT", anytime, (*edge).browser},
)

// unknown is the verb of lines that are no command, where verbs are counted.
const unknown = "other"

const longestVerb = len("STARTTLS")

func byVerb(list ...command) map[string]command {
	m := make(map[string]command, len(list))
	for _, c := range list {
		m[c.verb] = c
	}
	return m
}

// nextCommand carries out the next command, and gives what go-smtp is to read
// for it.
func (e *edge) nextCommand() (to string) {
	line, err := e.line(false, false)
	if err == errLong || err == errLine {
		e.verb = unknown
		e.refuse(err)
		return ""
	}
	if err != nil {
		e.hangUp(err)
		return ""
	}
	name, arg := cutVerb(line)
	var upper [longestVerb]byte
	c, known := commands[string(upper[:copyUpper(upper[:], name)])]
	if !known || len(name) != len(c.verb) {
		e.verb = unknown
		e.refuse(reply.Errorf(500, reply.Enhanced{5, 5, 2}, "command is not known"))
		return ""
	}
	e.verb = c.verb
	if e.state&c.in == 0 {
		e.refuse(e.outOfOrder(c))
		return ""
	}
	return c.run(e, string(arg))
}

// copyUpper copies as much of src as fits, in upper case, without asking for
// memory.
func copyUpper(dst, src []byte) int {
	n := copy(dst, src)
	for i, c := range dst[:n] {
		if c >= 'a' && c <= 'z' {
			dst[i] = c - 'a' + 'A'
		}
	}
	return n
}

// cutVerb splits a line at its first space.
func cutVerb(line []byte) (name, arg []byte) {
	name, arg, _ = bytes.Cut(bytes.TrimRight(line, " \t"), space)
	return name, bytes.TrimLeft(arg, " ")
}

// outOfOrder says what is missing before a command.
func (e *edge) outOfOrder(c command) error {
	text := "not within a transaction"
	switch {
	case e.state == connected && e.o.Kind == LMTP:
		text = "LHLO comes first"
	case e.state == connected:
		text = "EHLO comes first"
	case e.state == ready:
		text = "MAIL comes first"
	case e.state == mailing && c.in == addressed && e.refused.Temporary():
		// Not 5xx: some clients take it for the fate of the recipient.
		return reply.Errorf(451, reply.Enhanced{4, 5, 1}, "no recipient was accepted")
	case e.state == mailing && c.in == addressed && e.refused.Code != 0:
		return reply.Errorf(554, reply.Enhanced{5, 5, 1}, "no recipient was accepted")
	case e.state == mailing && c.in == addressed:
		text = "RCPT comes first"
	}
	return reply.Errorf(503, reply.Enhanced{5, 5, 1}, "%s", text)
}

// refuse says a reply to a command that smtpd itself does not accept. Too many
// of them end the dialogue.
func (e *edge) refuse(err error) {
	e.o.Metrics.refused(e.o.Kind, e.verb)
	e.say(reply.Of(err))
	e.countError()
}

func (e *edge) countError() {
	if e.errors++; e.errors >= e.o.MaxErrors {
		e.hangUp(errErrors)
	}
}

func (e *edge) ok(code int, enhanced reply.Enhanced, text string) {
	e.say(reply.Reply{Code: code, Enhanced: enhanced, Text: text})
}

func (e *edge) helo(arg string) string {
	if e.o.Kind == LMTP {
		return e.wrongProtocol("this is LMTP: say LHLO")
	}
	return e.hello(toEhlo, arg, false)
}

func (e *edge) ehlo(arg string) string {
	if e.o.Kind == LMTP {
		return e.wrongProtocol("this is LMTP: say LHLO")
	}
	return e.hello(toEhlo, arg, true)
}

func (e *edge) lhlo(arg string) string {
	if e.o.Kind != LMTP {
		return e.wrongProtocol("this is not LMTP: say EHLO")
	}
	return e.hello(toLhlo, arg, true)
}

func (e *edge) wrongProtocol(text string) string {
	e.refuse(reply.Errorf(500, reply.Enhanced{5, 5, 1}, "%s", text))
	return ""
}

// hello asks the Session itself, because go-smtp asks only the first time.
func (e *edge) hello(to, arg string, extended bool) string {
	name, _, _ := strings.Cut(arg, " ")
	if name == "" || len(name) > maxDomain || checkText(name, false) != nil {
		e.refuse(reply.Errorf(501, reply.Enhanced{5, 5, 4}, "a host name must follow"))
		return ""
	}
	if err := e.call("Hello", func() error { return e.sess.Hello(e.ctx, name) }); err != nil {
		if r := e.verdict(err); !r.Positive() {
			e.decline(r)
			return ""
		}
	}
	e.state = ready
	if extended {
		e.out = appendHello(e.out, e.o.Hostname, e.keywords())
	} else {
		e.out = appendHello(e.out, e.o.Hostname, nil)
	}
	e.expect = '2'
	return to
}

// keywords lists what EHLO offers now.
func (e *edge) keywords() []string {
	k := []string{"PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES"}
	offer := func(word string, offered bool) {
		if offered {
			k = append(k, word)
		}
	}
	size := "SIZE"
	if e.o.AdvertiseSize && e.o.MaxMessage > 0 {
		size += " " + strconv.FormatInt(e.o.MaxMessage, 10)
	}
	offer(size, true)
	offer("STARTTLS", e.o.TLS != nil && !e.secure())
	offer("AUTH PLAIN LOGIN", e.authOffered())
	offer("DSN", e.o.DSN)
	offer("SMTPUTF8", e.o.SMTPUTF8)
	offer("REQUIRETLS", e.o.RequireTLS && e.secure())
	offer("CHUNKING", e.o.Chunking)
	return k
}

func (e *edge) secure() bool { return e.who.TLS != nil }

func (e *edge) mail(arg string) string {
	path, params, err := cutArgument(arg, "FROM:")
	if err == nil {
		e.mailOptions, err = parseMailParams(params, e.o, e.secure())
	}
	if err == nil && path == "" {
		e.from = ""
	} else if err == nil {
		e.from, err = parseMailbox(path, e.mailOptions.UTF8)
	}
	if err == ErrTooBig {
		e.decline(ErrTooBig.Reply) // it is no mistake of the peer
		return ""
	}
	if err != nil {
		e.refuse(pathError(err, "MAIL FROM:<address>", reply.Enhanced{5, 1, 7}))
		return ""
	}
	return toMail
}

func (e *edge) rcpt(arg string) string {
	path, params, err := cutArgument(arg, "TO:")
	if err == nil {
		e.rcptOptions, err = parseRcptParams(params, e.o, e.mailOptions.UTF8)
	}
	if err == nil && strings.EqualFold(path, "postmaster") {
		e.to = "postmaster"
	} else if err == nil {
		e.to, err = parseMailbox(path, e.mailOptions.UTF8)
	}
	if err == nil && e.accepted >= e.o.MaxRecipients {
		// RFC 5321 section 4.5.3.1.10.
		e.decline(reply.Reply{Code: 452, Enhanced: reply.Enhanced{4, 5, 3}, Text: "too many recipients"})
		return ""
	}
	if err != nil {
		e.refuse(pathError(err, "RCPT TO:<address>", reply.Enhanced{5, 1, 3}))
		return ""
	}
	return toRcpt
}

// cutArgument splits "FROM:<path> parameters".
func cutArgument(arg, prefix string) (path, params string, err error) {
	if len(arg) < len(prefix) || !strings.EqualFold(arg[:len(prefix)], prefix) {
		return "", "", errSyntax
	}
	return cutPath(arg[len(prefix):])
}

// pathError gives the reply for an error of parsing; invalid is the status of a
// malformed mailbox.
func pathError(err error, form string, invalid reply.Enhanced) error {
	switch err {
	case errSyntax:
		return reply.Errorf(501, reply.Enhanced{5, 5, 4}, "write %s", form)
	case errMailbox:
		return reply.Errorf(501, invalid, "address is not valid")
	case errNotASCII:
		// RFC 6531 section 3.5.
		return reply.Errorf(553, reply.Enhanced{5, 6, 7}, "address is not ASCII: SMTPUTF8 is needed")
	}
	return err
}

func (e *edge) data(arg string) string {
	if arg != "" {
		return e.noArgument()
	}
	e.say(reply.Reply{Code: 354, Text: "go ahead, end with a dot on a line of its own"})
	return e.receive(nil)
}

func (e *edge) rset(arg string) string {
	if arg != "" {
		return e.noArgument()
	}
	e.ok(250, reply.Enhanced{2, 0, 0}, "OK")
	e.expect = '2'
	return toRset
}

func (e *edge) noArgument() string {
	e.refuse(reply.Errorf(501, reply.Enhanced{5, 5, 4}, "no argument is allowed"))
	return ""
}

func (e *edge) noop(string) string {
	e.ok(250, reply.Enhanced{2, 0, 0}, "OK")
	return ""
}

func (e *edge) help(string) string {
	e.ok(214, reply.Enhanced{2, 0, 0}, "see RFC 5321")
	return ""
}

func (e *edge) vrfy(string) string {
	e.ok(252, reply.Enhanced{2, 5, 0}, "cannot say, but RCPT will")
	return ""
}

func (e *edge) quit(string) string {
	e.ok(221, reply.Enhanced{2, 0, 0}, "bye")
	e.hangUp(nil)
	return ""
}

func (e *edge) notImplemented(string) string {
	e.refuse(reply.Errorf(502, reply.Enhanced{5, 5, 1}, "command is not implemented"))
	return ""
}

func (e *edge) browser(string) string {
	e.refuse(reply.Errorf(421, reply.Enhanced{4, 7, 0}, "this is not a web server"))
	return ""
}
