package smtpclient

import (
	"bytes"
	"errors"
	"fmt"
	"sync/atomic"

	"homing/internal/reply"
)

// maxWhole is the largest message that goes out whole, in octets. A larger one
// takes longer to send than the round trips that this would spare it.
const maxWhole = 128 << 10

// window says how many transactions may be in flight whole; 0: none. It takes
// PIPELINING (RFC 2920) and CHUNKING (RFC 3030), and LMTP has no use for it.
func (c *Client) window() int {
	if c.o.LMTP || !c.pipelining() || !c.offers.has("CHUNKING") {
		return 0
	}
	return c.o.Window
}

// A stream sends whole transactions, which are MAIL, RCPT, BDAT LAST and the
// message, without waiting for any answer. Its replies are matched strictly in
// order, and the first one that does not fit ends the dialogue: a peer that
// runs the lines of a refused message as commands is seen here. One goroutine
// writes while this one reads, so that neither side ever waits for the other
// with all buffers full.
//
// A peer that says one 250 too many cannot be seen among answers that are all
// 250, and its 250 must not be taken for one to BDAT. So each connection is
// proven first: behind one whole transaction goes the envelope of a plain one,
// and what became of the first counts only when DATA has its 354.
type stream struct {
	*Client
	flying  []*whole // oldest first
	spare   [][]byte // of those that have landed
	posted  int64    // octets of all that have flown
	written atomic.Int64
	letters chan []byte
	ended   chan struct{} // closed when the writer has
}

// A whole is an exchange that goes out whole.
type whole struct {
	*exchange
	octets  []byte
	content int   // where the message begins in octets
	end     int64 // of octets, in all that the stream writes
}

// stream sends x and what next gives behind it, as long as it can go whole. It
// gives back the one that cannot, or whose envelope was answered already. When
// the dialogue ends, what comes back has certainly not been accepted; what was
// written to its end and not answered has the outcome of a message that the
// peer may have accepted.
func (c *Client) stream(x *exchange, next func(bool) *Transaction) (*exchange, []*Transaction, *Outcome) {
	s := &stream{Client: c, letters: make(chan []byte, c.window()), ended: make(chan struct{})}
	x, failed := s.prove(x, next)
	if x != nil && failed == nil && !x.heard && c.sound {
		go s.write()
		x, failed = s.run(x, next)
		if failed != nil {
			c.Cut() // the writer may be in the middle of something
		}
		close(s.letters)
		<-s.ended
	}
	c.wire.relax()
	if failed == nil {
		return x, nil, nil
	}
	ahead := len(s.flying) > 0
	left := s.sort(failed)
	switch {
	case x != nil && x.heard:
		s.finish(x)
	case x != nil && ahead:
		left = append(left, x.Transaction)
	case x != nil:
		left = c.leave(x, failed)
	}
	return nil, left, failed
}

// prove makes sure that the connection is sound: it sends x whole and the
// envelope of another one behind it. It gives back the one that is to be sent
// next: x where nothing was to prove, where it is alone or cannot go whole; the
// other one, whose envelope was answered; or none.
func (s *stream) prove(x *exchange, next func(bool) *Transaction) (*exchange, *Outcome) {
	if s.sound {
		return x, nil
	}
	w, fits := s.compose(x)
	switch {
	case w == nil && fits:
		return nil, nil
	case w == nil:
		return x, nil
	}
	if failed := s.quiet(reply.MAIL); failed != nil {
		w.again()
		return x, failed
	}
	y := s.pick(next, true)
	if y == nil {
		w.again()
		return x, nil
	}
	s.launch(w)
	if err := s.send(w.octets); err != nil {
		return y, s.lastWords(reply.DATA, err)
	}
	y.said = true
	s.propose(y)
	if failed := s.answer(w); failed != nil {
		return y, failed
	}
	if failed := s.envelope(y); failed != nil {
		return y, failed
	}
	if y.data && y.taken > 0 {
		s.sound = true
		s.land()
		return y, nil
	}
	if _, failed := s.retract(y, next); failed != nil {
		return y, failed
	}
	s.sound = true
	s.land()
	s.finish(y)
	return nil, nil
}

// run gives an exchange that cannot go whole, or none when next gave none. All
// others have been answered, unless the dialogue ended.
func (s *stream) run(x *exchange, next func(bool) *Transaction) (*exchange, *Outcome) {
	for plainly := false; ; {
		if x == nil && len(s.flying) < s.window() {
			x = s.pick(next, true)
		}
		if x != nil && !plainly && len(s.flying) < s.window() {
			w, fits := s.compose(x)
			if w != nil {
				if failed := s.post(w); failed != nil {
					return x, failed
				}
			}
			if plainly = !fits; fits {
				x = nil
				continue
			}
		}
		if len(s.flying) == 0 {
			return x, nil
		}
		if failed := s.answer(s.flying[0]); failed != nil {
			return x, failed
		}
		if len(s.flying) == 1 {
			if failed := s.beyond(); failed != nil {
				return x, failed
			}
		}
		s.land()
	}
}

// compose makes the octets of a transaction. Where it cannot go whole, it
// leaves it able to go plainly, and reports so. One whose message cannot be
// read has ended.
func (s *stream) compose(x *exchange) (w *whole, fits bool) {
	if x.Body.Size() > maxWhole {
		return nil, false
	}
	w = &whole{exchange: x}
	b := bytes.NewBuffer(s.buffer())
	b.Grow(int(x.Body.Size()) + 512)
	s.out.Reset(b)
	defer s.out.Reset(s.to)
	x.said = true
	for k := range len(x.To) + 1 {
		if !x.skips(k) {
			s.command(x, k)
		}
	}
	fmt.Fprintf(s.out, "BDAT %d LAST\r\n", x.Body.Size())
	s.out.Flush()
	w.content = b.Len()
	n, err := x.Body.WriteTo(b)
	if err == nil && int64(b.Len()-w.content) != x.Body.Size() {
		err = fmt.Errorf("the message has %d octets and not %d", n, x.Body.Size())
	}
	if err != nil {
		x.fill(*unreadable(err))
		s.finish(x)
		return nil, true
	}
	w.octets = b.Bytes()
	if message := w.octets[w.content:]; !canonical(message) || !bytes.HasSuffix(message, []byte("\r\n")) {
		w.again()
		return nil, false
	}
	return w, true
}

func (s *stream) buffer() []byte {
	if n := len(s.spare); n > 0 {
		b := s.spare[n-1]
		s.spare = s.spare[:n-1]
		return b[:0]
	}
	return nil
}

// again makes a transaction as it was: its Body may have been read.
func (w *whole) again() *Transaction {
	w.said = false
	w.Body = bytes.NewReader(w.octets[w.content:])
	return w.Transaction
}

// launch counts a transaction among those that are in flight.
func (s *stream) launch(w *whole) {
	s.wholes++
	s.posted += int64(len(w.octets))
	w.end = s.posted
	s.flying = append(s.flying, w)
}

// post lets a transaction fly. When that fails it has not begun.
func (s *stream) post(w *whole) *Outcome {
	if len(s.flying) == 0 {
		if failed := s.quiet(reply.MAIL); failed != nil {
			w.again()
			return failed
		}
	}
	s.launch(w)
	s.letters <- w.octets // there is room for a window
	return nil
}

// write is the goroutine that writes.
func (s *stream) write() {
	defer close(s.ended)
	for octets := range s.letters {
		if s.send(octets) != nil {
			s.wire.deafened(s.o.Timeouts.Quit)
			for range s.letters { // nothing more is written
			}
		}
	}
}

func (s *stream) send(octets []byte) error {
	s.wire.hurry(int64(len(octets)))
	n, err := s.to.Write(octets)
	s.written.Add(int64(n))
	return err
}

// answer has the commands of a transaction answered.
func (s *stream) answer(w *whole) *Outcome {
	for k := range len(w.To) + 2 {
		if w.skips(k) {
			continue
		}
		stage, patience := s.stage(w.exchange, k)
		if k > len(w.To) {
			stage, patience = reply.Dot, s.o.Timeouts.Dot
		}
		r, failed := s.read(stage, patience)
		if failed == nil && r.Code == 421 {
			failed = &Outcome{Stage: stage, Reply: r}
		}
		if failed != nil {
			return failed
		}
		if what := w.told(k, r); what != "" {
			return s.broke(stage, fmt.Errorf("%w: %s", ErrProtocol, what))
		}
	}
	return nil
}

// land ends the oldest transaction, which was answered.
func (s *stream) land() {
	w := s.flying[0]
	s.flying = s.flying[1:]
	if s.written.Load() >= w.end {
		s.spare = append(s.spare, w.octets) // else the writer may still want it
	}
	s.finish(w.exchange)
}

// told notes the answer to the k-th command of a whole transaction. It says
// what is wrong with one that cannot be: replies and commands do not match, or
// the peer took the message for commands.
func (w *whole) told(k int, r reply.Reply) string {
	if w.misplaces(k, r) {
		return fmt.Sprintf("%d to a whole transaction", r.Code)
	}
	if k <= len(w.To) {
		return w.hear(k, r)
	}
	switch refused := r.Temporary() || r.Permanent(); {
	case r.Positive() && w.taken == 0:
		return "a message taken for nobody"
	case refused && w.taken == 0:
		// It answers nothing but that nobody was accepted.
	case r.Positive() || refused:
		w.fill(Outcome{Stage: reply.Dot, Reply: r})
	default:
		return fmt.Sprintf("%d to BDAT", r.Code)
	}
	return ""
}

// misplaces reports whether the reply to the k-th command says that it was not
// understood or came at the wrong time (RFC 5321 section 4.2.2). Ours are
// well-formed and in order, so that it answers something else, such as a line
// of the message before. One about the syntax of an address is a refusal like
// others, and one behind a refusal follows from that.
func (x *exchange) misplaces(k int, r reply.Reply) bool {
	switch {
	case k > 0 && !x.mail, k > len(x.To) && x.taken == 0:
		return false
	case r.Code == 501, r.Code == 555:
		return r.Enhanced[1] != 1
	}
	return r.Code >= 500 && r.Code <= 504
}

// beyond looks whether the peer says more than was asked, when all has been
// answered. A farewell is none of that.
func (s *stream) beyond() *Outcome {
	line, _ := s.unasked()
	if len(line) == 0 || bytes.HasPrefix(line, []byte("421")) {
		return nil
	}
	return s.broke(reply.Dot, fmt.Errorf("%w: unasked: %q", ErrProtocol, line))
}

// sort ends what was in flight when the dialogue ended, and gives what the
// peer has certainly not accepted. Nobody writes any more.
func (s *stream) sort(failed *Outcome) (left []*Transaction) {
	if failed.Ours && len(s.flying) > 0 && s.astray == nil {
		s.astray = failed.Cause
	}
	for i, w := range s.flying {
		switch {
		case !failed.Ours && w.decided():
			s.finish(w.exchange)
		case !failed.Ours && (i > 0 || !w.mail && s.begun > 0):
			// The peer said 421, and what it did not answer it did not do.
			left = append(left, w.again())
		case !failed.Ours:
			w.fill(*failed)
			s.finish(w.exchange)
		case w.end > s.written.Load():
			left = append(left, w.again())
		default:
			s.doubtful(w, failed.Cause)
		}
	}
	s.flying = nil
	return left
}

// decided reports whether it is known what becomes of all recipients.
func (x *exchange) decided() bool {
	for i := range x.outcomes {
		if x.outcomes[i].Stage == "" {
			return false
		}
	}
	return true
}

// doubtful ends a transaction that was sent to its end, where the dialogue
// ended before it counted. What a peer said before it went away counts, unless
// it seems to have answered something else.
func (s *stream) doubtful(w *whole, cause error) {
	o := s.lost(reply.Dot, cause)
	if errors.Is(cause, ErrProtocol) {
		o = s.broke(reply.Dot, cause)
		for i := range w.outcomes {
			if !w.outcomes[i].Ours {
				w.outcomes[i] = *o
			}
		}
	}
	w.fill(*o)
	s.finish(w.exchange)
}
