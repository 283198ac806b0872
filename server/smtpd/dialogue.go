package smtpd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"time"

	"github.com/emersion/go-smtp"

	"homing/internal/reply"
)

// maxSkip is how much of a message that was answered already is read, to reach
// its end. More ends the connection.
const maxSkip = 1 << 30

// talk is what is known of a dialogue.
type talk struct {
	sess    Session
	state   state
	since   time.Time // when it came to be connected
	authed  bool
	tainted bool   // a bare LF came, and no CR LF since
	errors  int    // since the last message that was accepted
	verb    string // that is carried out: one of commands, or "other"

	// Arguments of the command that go-smtp is told of.
	from        string
	mailOptions MailOptions
	to          string
	rcptOptions RcptOptions
	chunks      *chunks // the message comes by BDAT

	accepted int         // recipients of the transaction
	refused  reply.Reply // what the last refused recipient was told
}

// open begins the connection, on the goroutine that carries it from now on.
func (e *edge) open() {
	e.opened, e.expect = true, '2'
	e.since = e.o.Now()
	if e.o.ImplicitTLS {
		if e.armHandshake() != nil {
			e.hangUp(nil) // TLS has no way to say that we are stopping
			return
		}
		if e.handshake() != nil {
			return
		}
	}
	if err := e.begin(); err != nil {
		e.o.Metrics.connection(e.o.Kind, "refused")
		e.hangUp(err)
		return
	}
	e.o.Metrics.connection(e.o.Kind, "admitted")
	e.out = append(e.out, "220 "+e.o.Hostname+" "+e.o.Kind.protocol()+"\r\n"...)
}

// begin makes a Session for a new dialogue. The error is what to say instead of
// a greeting.
func (e *edge) begin() error {
	e.talk = talk{state: connected, since: e.o.Now(), errors: e.errors, verb: e.verb}
	err := e.call("NewSession", func() (err error) {
		e.sess, err = e.run.backend.NewSession(e.ctx, e.who)
		return err
	})
	if err == nil {
		return nil
	}
	e.sess = nil
	r := e.verdict(err)
	if !r.Permanent() {
		r.Code = 421 // no other temporary answer is understood here
	}
	return &reply.Error{Reply: r}
}

// endSession is called once for each Session.
func (e *edge) endSession() {
	if e.sess == nil {
		return
	}
	_ = e.call("Close", func() error { e.sess.Close(); return nil }) // a panic is logged, and all that there is
	e.sess = nil
}

// call runs one method of the Session. A panic in it is our mistake: it ends
// this dialogue and nothing else.
func (e *edge) call(method string, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			e.o.Metrics.fault(e.o.Kind)
			e.o.Log.Error("session panicked", "listener", e.o.Kind, "peer", e.who.Remote,
				"method", method, "err", fmt.Sprintf("%v\n%s", p, debug.Stack()))
			err = errFault
		}
	}()
	return f()
}

// verdict gives what to say for an error of a Session, and logs what must not
// be said.
func (e *edge) verdict(err error) reply.Reply {
	r := reply.Of(err)
	if err == nil {
		return r
	}
	known, ok := errors.AsType[*reply.Error](err)
	switch {
	case ok && known.Cause == nil, errors.Is(err, context.Canceled):
	case ok:
		e.o.Log.Info("refused", "listener", e.o.Kind, "peer", e.who.Remote, "command", e.verb,
			"code", r.Code, "status", r.Enhanced, "err", known.Cause)
	default:
		e.o.Log.Warn("session failed", "listener", e.o.Kind, "peer", e.who.Remote, "command", e.verb,
			"code", r.Code, "status", r.Enhanced, "err", err)
	}
	if r.Code < 200 || r.Code > 599 || r.Intermediate() {
		return reply.Of(errors.New("no such answer")) // temporary
	}
	return r
}

// decline says a refusal of the Session. A stranger who collects many of them
// is guessing addresses; an application is not.
func (e *edge) decline(r reply.Reply) {
	e.o.Metrics.refused(e.o.Kind, e.verb)
	e.say(r)
	if e.o.Kind == SMTP && r.Permanent() {
		e.countError()
	}
}

// dialogue is the edge as go-smtp's backend and session see it: what go-smtp
// calls for the lines that the edge gave it to read.
type dialogue struct{ *edge }

// goBackend is go-smtp's way to the edge of a connection.
type goBackend struct{}

func (goBackend) NewSession(c *smtp.Conn) (smtp.Session, error) {
	e, ok := c.Conn().(*edge)
	if !ok {
		return nil, errors.New("smtpd: connection without an edge")
	}
	return dialogue{e}, nil
}

// What go-smtp is told of a refusal; what the peer is told the edge has said.
var (
	errDeclined4 = &smtp.SMTPError{Code: 451, Message: "declined"}
	errDeclined5 = &smtp.SMTPError{Code: 550, Message: "declined"}
)

// Mail is called for toMail.
func (d dialogue) Mail(string, *smtp.MailOptions) error {
	e := d.edge
	r := e.answer(reply.Enhanced{2, 1, 0}, e.call("Mail", func() error {
		return e.sess.Mail(e.ctx, e.from, e.mailOptions)
	}))
	if r.Positive() {
		e.state, e.accepted, e.refused = mailing, 0, reply.Reply{}
	}
	return e.tell(r)
}

// Rcpt is called for toRcpt.
func (d dialogue) Rcpt(string, *smtp.RcptOptions) error {
	e := d.edge
	r := e.answer(reply.Enhanced{2, 1, 5}, e.call("Rcpt", func() error {
		return e.sess.Rcpt(e.ctx, e.to, e.rcptOptions)
	}))
	switch {
	case r.Positive():
		e.state = addressed
		e.accepted++
	case !e.refused.Temporary():
		e.refused = r
	}
	return e.tell(r)
}

// answer says what the Session said to a command: 250 with enhanced for nil.
func (e *edge) answer(enhanced reply.Enhanced, err error) reply.Reply {
	r := reply.Reply{Code: 250, Enhanced: enhanced, Text: "OK"}
	if err != nil {
		r = e.verdict(err)
	}
	if r.Positive() {
		e.say(r)
	} else {
		e.decline(r)
	}
	return r
}

// tell gives go-smtp a reply that was said.
func (e *edge) tell(r reply.Reply) error {
	switch {
	case r.Positive():
		e.expect = '2'
		return nil
	case r.Temporary():
		e.expect = '4'
		return errDeclined4
	}
	e.expect = '5'
	return errDeclined5
}

// Reset is called for toRset, after a message, and at a new EHLO.
func (d dialogue) Reset() {
	e := d.edge
	if e.sess != nil {
		if err := e.call("Reset", func() error { e.sess.Reset(); return nil }); err != nil {
			e.hangUp(err)
		}
	}
	e.accepted, e.refused, e.chunks = 0, reply.Reply{}, nil
	if e.state != connected {
		e.state = ready
	}
}

// Logout is called when go-smtp closes the edge, which ends the Session.
func (d dialogue) Logout() error { return nil }

// receive makes go-smtp ask for the message.
func (e *edge) receive(c *chunks) (to string) {
	e.chunks = c
	e.pace = pace{}
	e.expect = '3'
	return toData
}

// Data is called for toData. It leaves the reader of go-smtp alone, which will
// see toDot, and reads the message straight from the edge.
func (d dialogue) Data(io.Reader) error {
	e := d.edge
	e.pend = toDot
	// The Session may take its time, and somebody may wait for what was said.
	if err := e.speak(); err != nil {
		e.o.Metrics.message(e.o.Kind, "lost")
		e.hangUp(err)
		return nil
	}
	c := &Content{scan: scanner{src: e, dots: true, bol: true, max: e.o.MaxMessage}}
	if e.chunks != nil {
		c.scan.src, c.scan.dots = e.chunks, false
	}
	var answers []error
	err := e.call("Data", func() error {
		answers = e.sess.Data(e.ctx, c)
		return nil
	})
	switch ignored := c.scan.err; {
	case err != nil: // it panicked
		answers = []error{err}
	case len(answers) == 0 && (ignored == ErrBare || ignored == ErrTooBig):
		answers = []error{ignored}
	}
	e.expect = '2'
	e.conclude(c, answers)
	return nil
}

// conclude reads the message to its end, without which nothing counts, and says
// what the Session answered.
func (e *edge) conclude(c *Content, answers []error) {
	if e.chunks != nil && allFail(answers) {
		e.chunks.last = true // the answer is to this chunk
	}
	err := c.skip(maxSkip)
	if errors.Is(err, errReset) {
		e.o.Metrics.message(e.o.Kind, "lost")
		return // the command that ended it has its answer
	}
	if err != nil {
		e.o.Metrics.message(e.o.Kind, "lost")
		e.hangUp(err)
		return
	}
	e.messageEnds()
	replies := e.replies(answers)
	e.o.Metrics.message(e.o.Kind, outcome(replies))
	for _, r := range replies {
		if r.Positive() {
			e.errors = 0
		}
		e.out = appendReply(e.out, r)
	}
	for _, r := range replies {
		if r.Code == 421 {
			e.hangUp(nil)
		}
	}
}
