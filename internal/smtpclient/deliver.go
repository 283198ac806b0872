package smtpclient

import (
	"errors"
	"fmt"
	"time"

	"homing/internal/reply"
)

// Deliver sends one Transaction after another until next gives none. Where the
// peer offers PIPELINING (RFC 2920), MAIL, RCPT and DATA are one write, and
// the next transaction's ride behind the final dot, so that a message takes
// one round trip. For those, next is called with ready: then it must not wait,
// and may give nil although there is more.
//
// With a Window, small transactions go out whole instead, several at a time
// (see stream).
//
// When the dialogue ends before next ran dry, the Outcome says why. The
// Transactions that come with it, in the order in which next gave them, were
// begun, and their Done is not called: the peer has certainly not accepted
// them. MAIL was never answered on a connection that had worked before, or the
// peer seems not to do PIPELINING after all (Doubtful), or to want no whole
// transactions (Astray). They can be sent again over a fresh connection,
// without pipelining or Window in these cases; whoever does so makes progress,
// because the first transaction of such a connection always ends with Done.
func (c *Client) Deliver(next func(ready bool) *Transaction) ([]*Transaction, *Outcome) {
	var x *exchange
	for {
		if x == nil {
			if x = c.pick(next, false); x == nil {
				return nil, nil
			}
			var left []*Transaction
			var failed *Outcome
			if x, left, failed = c.begin(x, next); failed != nil {
				return left, failed
			}
			if x == nil {
				continue
			}
		}
		y, failed := c.transact(x, next)
		if failed != nil {
			if y != nil {
				return c.leave(y, failed), failed
			}
			return c.leave(x, failed), failed
		}
		x = y
	}
}

// begin sends x whole, and others behind it, or gives one whose dialogue is
// still to be had.
func (c *Client) begin(x *exchange, next func(bool) *Transaction) (*exchange, []*Transaction, *Outcome) {
	if c.window() > 0 {
		var left []*Transaction
		var failed *Outcome
		if x, left, failed = c.stream(x, next); x == nil || failed != nil {
			return nil, left, failed
		}
		if x.heard {
			return x, nil, nil
		}
	}
	if failed := c.quiet(reply.MAIL); failed != nil {
		return nil, c.leave(x, failed), failed
	}
	if c.pipelining() {
		x.said = true
		c.propose(x)
	}
	return x, nil, nil
}

// An exchange is a Transaction on the wire.
type exchange struct {
	*Transaction
	outcomes []Outcome // one for each recipient; without Stage: not decided yet
	said     bool      // its envelope is written ahead
	upcoming int       // the first command that was not written, where it is
	ahead    int       // commands that were written and not answered
	heard    bool      // its envelope was answered
	mail     bool      // MAIL was accepted
	taken    int       // recipients that were accepted
	data     bool      // 354: the peer waits for content
	done     bool
}

// fill decides what is not decided yet.
func (x *exchange) fill(o Outcome) {
	for i := range x.outcomes {
		if x.outcomes[i].Stage == "" {
			x.outcomes[i] = o
		}
	}
}

// distrust takes back what the peer seemed to have said.
func (x *exchange) distrust(o Outcome) {
	for i := range x.outcomes {
		if !x.outcomes[i].Ours {
			o.Stage = x.outcomes[i].Stage
			x.outcomes[i] = o
		}
	}
}

func (c *Client) pipelining() bool { return c.offers.pipelining && !c.o.NoPipelining }

// pick takes the next transaction that the peer can be asked about. Others
// end here.
func (c *Client) pick(next func(bool) *Transaction, ready bool) *exchange {
	for {
		t := next(ready)
		if t == nil {
			return nil
		}
		x := &exchange{Transaction: t, outcomes: make([]Outcome, len(t.To))}
		open := len(t.To)
		for i, to := range t.To {
			if to.Address == "" || !speakable(to.Address) {
				open--
				x.outcomes[i] = Outcome{Stage: reply.RCPT, Ours: true, Reply: reply.Reply{Code: 553, Enhanced: reply.Enhanced{5, 1, 3},
					Text: "the address cannot be said in SMTP"}}
			}
		}
		o := c.unfit(t)
		if o == nil && open > 0 {
			return x
		}
		if o != nil {
			x.fill(*o)
		}
		t.Done(x.outcomes)
	}
}

// leave ends a transaction in which the dialogue ended. It gives the
// Transaction back where another connection may do better.
func (c *Client) leave(x *exchange, failed *Outcome) []*Transaction {
	switch {
	case x.done:
		return nil
	case x.said && !x.data && failed.Ours:
		c.doubt = true
		return []*Transaction{x.Transaction}
	case !x.mail && c.begun > 0:
		return []*Transaction{x.Transaction}
	}
	x.fill(*failed)
	c.finish(x)
	return nil
}

func (c *Client) finish(x *exchange) {
	c.begun++
	x.done = true
	x.Done(x.outcomes)
}

// command buffers the k-th command of an envelope: MAIL, each RCPT, DATA.
func (c *Client) command(x *exchange, k int) {
	switch {
	case k == 0:
		c.putMail(x.Transaction)
	case k <= len(x.To):
		c.putRcpt(x.To[k-1])
	default:
		c.put("DATA")
	}
}

// skips reports whether the k-th command is left out.
func (x *exchange) skips(k int) bool {
	switch {
	case k >= 1 && k <= len(x.To) && x.outcomes[k-1].Ours:
		return true // we refused that recipient ourselves
	case x.said || k == 0:
		return false
	case k <= len(x.To):
		return !x.mail
	}
	return x.taken == 0
}

// mostAhead is how many commands wait for their answers at most. While we
// write we do not read, so that a peer whose answers fill all buffers would
// stop to take what we write (RFC 2920 section 3.1); this many fit into any.
const mostAhead = 50

// propose buffers an envelope, or as much of it as may be ahead.
func (c *Client) propose(x *exchange) {
	for ; x.upcoming < len(x.To)+2 && x.ahead < mostAhead; x.upcoming++ {
		if !x.skips(x.upcoming) {
			c.command(x, x.upcoming)
			x.ahead++
		}
	}
}

// transact takes a transaction from its envelope to its end. It gives the next
// one where its envelope was written already.
func (c *Client) transact(x *exchange, next func(bool) *Transaction) (*exchange, *Outcome) {
	if failed := c.envelope(x); failed != nil {
		return nil, failed
	}
	if x.data && x.taken > 0 {
		if failed := c.content(x); failed != nil {
			return nil, failed
		}
		y := c.ride(next)
		return y, c.verdict(x)
	}
	return c.abandon(x, next)
}

// envelope has MAIL, RCPT and DATA answered, where that has not happened yet.
func (c *Client) envelope(x *exchange) *Outcome {
	for k := 0; k < len(x.To)+2 && !x.heard; k++ {
		if x.skips(k) {
			continue
		}
		if failed := c.step(x, k); failed != nil {
			return failed
		}
	}
	x.heard = true
	return nil
}

// step has the k-th command answered.
func (c *Client) step(x *exchange, k int) *Outcome {
	stage, patience := c.stage(x, k)
	if !x.said {
		if failed := c.quiet(stage); failed != nil {
			return failed
		}
		c.command(x, k)
	}
	r, failed := c.read(stage, patience)
	if failed == nil && r.Code == 421 {
		failed = &Outcome{Stage: stage, Reply: r}
	}
	if failed != nil {
		return failed
	}
	if c.wholes > 0 && x.misplaces(k, r) {
		return c.broke(stage, fmt.Errorf("%w: %d behind a whole transaction", ErrProtocol, r.Code))
	}
	if what := x.hear(k, r); what != "" {
		return c.broke(stage, fmt.Errorf("%w: %s", ErrProtocol, what))
	}
	if x.said {
		if x.ahead--; x.ahead <= mostAhead/2 {
			c.propose(x)
		}
	}
	return nil
}

// stage says where the k-th command is, and how long its answer may take.
func (c *Client) stage(x *exchange, k int) (reply.Stage, time.Duration) {
	switch {
	case k == 0:
		return reply.MAIL, c.o.Timeouts.Mail
	case k <= len(x.To):
		return reply.RCPT, c.o.Timeouts.Rcpt
	}
	return reply.DATA, c.o.Timeouts.Data
}

// hear notes the answer to the k-th command. It says what is wrong with an
// answer that cannot be one: then replies and commands do not match.
func (x *exchange) hear(k int, r reply.Reply) string {
	refused := r.Temporary() || r.Permanent()
	switch {
	case k == 0 && r.Positive():
		x.mail = true
	case k == 0 && refused:
		x.fill(Outcome{Stage: reply.MAIL, Reply: r})
	case k == 0:
		return fmt.Sprintf("%d to MAIL", r.Code)
	case k <= len(x.To) && r.Positive() && x.mail:
		x.taken++
	case k <= len(x.To) && r.Positive():
		return "RCPT accepted after MAIL was refused"
	case k <= len(x.To) && refused:
		if x.mail {
			x.outcomes[k-1] = Outcome{Stage: reply.RCPT, Reply: r}
		}
	case k <= len(x.To):
		return fmt.Sprintf("%d to RCPT", r.Code)
	case r.Intermediate():
		x.data = true
	case refused:
		x.fill(Outcome{Stage: reply.DATA, Reply: r})
	default:
		return fmt.Sprintf("%d to DATA", r.Code)
	}
	return ""
}

// content buffers the message with its final dot. A message that we cannot
// read to its end is never ended: the connection is.
func (c *Client) content(x *exchange) *Outcome {
	if failed := c.opposed(); failed != nil {
		return failed
	}
	d := dotWriter{w: c.out}
	c.wire.hurry(x.Body.Size())
	_, err := x.Body.WriteTo(&d)
	c.wire.relax()
	switch {
	case d.err != nil:
		return c.lastWords(reply.DATA, d.err)
	case err == nil && d.taken != x.Body.Size():
		err = fmt.Errorf("the message has %d octets and not %d", d.taken, x.Body.Size())
	}
	if err != nil {
		c.over = true
		return unreadable(err)
	}
	if d.taken > bufferOut {
		if failed := c.early(); failed != nil {
			return failed
		}
	}
	d.Close() // its error comes back in read
	return nil
}

// unreadable is the outcome of a message that we cannot read to its end.
func unreadable(err error) *Outcome {
	return &Outcome{Stage: reply.DATA, Ours: true, Cause: err, Reply: reply.Reply{Code: 451, Enhanced: reply.Enhanced{4, 3, 0},
		Text: "the message could not be read"}}
}

// opposed looks whether the peer refused the content right behind its 354,
// before there was any. It will read none, and its 354 cannot be taken back:
// the dialogue ends.
func (c *Client) opposed() *Outcome {
	if !c.refusing() || c.wire.SetReadDeadline(time.Now().Add(c.o.Timeouts.Data)) != nil {
		return c.quiet(reply.DATA)
	}
	c.over = true
	r, err := readReply(c.in)
	switch {
	case errors.Is(err, ErrProtocol):
		return c.broke(reply.DATA, err)
	case err != nil:
		return c.lost(reply.DATA, err)
	}
	return &Outcome{Stage: reply.DATA, Reply: r}
}

// early looks whether the peer spoke during the content. A refusal is what
// the final dot will be answered with; anything else answers nothing we said.
func (c *Client) early() *Outcome {
	if c.refusing() {
		return nil
	}
	return c.quiet(reply.DATA)
}

// refusing reports whether what the peer said and was not read is a refusal.
func (c *Client) refusing() bool {
	line, _ := c.unasked()
	return len(line) > 0 && (line[0] == '4' || line[0] == '5')
}

// ride writes the envelope of the next transaction behind the end of this one.
func (c *Client) ride(next func(bool) *Transaction) *exchange {
	if !c.pipelining() || c.window() > 0 {
		return nil
	}
	y := c.pick(next, true)
	if y != nil {
		y.said = true
		c.propose(y)
	}
	return y
}

// verdict reads what became of the message: over LMTP one reply for each
// recipient that was accepted (RFC 2033 section 4.2).
func (c *Client) verdict(x *exchange) *Outcome {
	for i := range x.outcomes {
		if x.outcomes[i].Stage != "" {
			continue
		}
		r, failed := c.read(reply.Dot, c.o.Timeouts.Dot)
		if failed == nil && r.Intermediate() {
			failed = c.broke(reply.Dot, fmt.Errorf("%w: %d to the final dot", ErrProtocol, r.Code))
		}
		if failed == nil && r.Code == 421 {
			failed = &Outcome{Stage: reply.Dot, Reply: r}
		}
		if failed != nil {
			x.fill(*failed)
			c.finish(x)
			return failed
		}
		if c.o.LMTP {
			x.outcomes[i] = Outcome{Stage: reply.Dot, Reply: r}
		} else {
			x.fill(Outcome{Stage: reply.Dot, Reply: r})
		}
	}
	c.finish(x)
	return nil
}

// abandon ends a transaction that nobody accepted. The peer's refusals count
// once it has answered RSET as it must, or has gone: a peer that said one
// reply too many is noticed here, before its words are taken for something
// that they do not mean.
func (c *Client) abandon(x *exchange, next func(bool) *Transaction) (*exchange, *Outcome) {
	y, failed := c.retract(x, next)
	c.finish(x)
	return y, failed
}

// retract is abandon without its end.
func (c *Client) retract(x *exchange, next func(bool) *Transaction) (*exchange, *Outcome) {
	if x.data {
		c.put(".")
		if c.o.LMTP { // no recipient, no reply: nothing to wait for
			c.out.Flush()
			c.over = true
			return nil, c.broke(reply.DATA, fmt.Errorf("%w: %s", ErrProtocol, "354 with no recipient"))
		}
	}
	c.put("RSET")
	y := c.ride(next)
	failed := c.reset(x.data)
	if failed != nil && errors.Is(failed.Cause, ErrProtocol) {
		x.distrust(*failed)
	}
	return y, failed
}

const resetting reply.Stage = "rset"

// reset reads the replies to RSET, and to the dot before it if there was one,
// which is no outcome of anything.
func (c *Client) reset(dot bool) *Outcome {
	if dot {
		if _, failed := c.read(reply.Dot, c.o.Timeouts.Dot); failed != nil {
			return failed
		}
	}
	r, failed := c.read(resetting, c.o.Timeouts.Reset)
	switch {
	case failed != nil:
		return failed
	case r.Code == 421:
		return &Outcome{Stage: resetting, Reply: r}
	case !r.Positive():
		return c.broke(resetting, fmt.Errorf("%w: %d to RSET", ErrProtocol, r.Code))
	}
	return nil
}
