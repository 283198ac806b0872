package sendmail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"homing/internal/reply"
	"homing/internal/smtpclient"
	"homing/internal/spool"
)

// perMessage is how many recipients one message has at the server.
const perMessage = 1000

// A parcel is a message for some of its recipients, with the ID by which it is
// known wherever it turns up.
type parcel struct {
	id string
	to []string
}

// A handover is one letter on its way to the server.
type handover struct {
	*Call
	letter  *letter
	options options
	left    []parcel
	answers []answer
}

// An answer is what the server said about some recipients.
type answer struct {
	parcel
	smtpclient.Outcome
	down bool // it was not there to answer
}

// hand hands a letter over, or leaves it in the spool.
func (c *Call) hand(ctx context.Context, l *letter, o options) int {
	h := &handover{Call: c, letter: l, options: o}
	if o.notify != "" && !validNotify(o.notify) {
		return c.fail(usagef("-N %q: want never, or a list of success, failure and delay", o.notify))
	}
	for to := range slices.Chunk(l.to, perMessage) {
		h.left = append(h.left, parcel{spool.NewID(), to})
	}
	h.dialogue(ctx)
	return h.settle()
}

func validNotify(list string) bool {
	words := strings.Split(list, ",")
	return list == "NEVER" || !slices.ContainsFunc(words, func(w string) bool { return w != "SUCCESS" && w != "FAILURE" && w != "DELAY" })
}

// dialTime is how long connecting may take: while the server has more
// connections than it takes, they wait.
const dialTime = 10 * time.Second

func (c *Call) dial(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTime}
	conn, err := d.DialContext(ctx, "unix", c.Socket)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("no server answers at %s", c.Socket)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("this user may not open %s", c.Socket)
	case err != nil:
		return nil, fmt.Errorf("calling the server at %s: %w", c.Socket, err)
	}
	return conn, nil
}

// dialogue hands over what is left, as far as the server takes it. What became
// of each recipient is in answers.
func (h *handover) dialogue(ctx context.Context) {
	conn, err := h.dial(ctx)
	if err != nil {
		h.absent(err.Error())
		return
	}
	defer conn.Close()
	client := smtpclient.New(conn, smtpclient.Options{Name: "localhost", Peer: h.Socket, Timeouts: patience})
	if failed := client.Hello(); failed != nil {
		h.absent(failed.Reply.String())
		return
	}
	_, failed := client.Deliver(h.next)
	if failed != nil {
		h.absent(failed.Reply.String())
		return
	}
	client.Quit()
}

// absent answers for what the server was never asked, or did not answer.
func (h *handover) absent(why string) {
	for _, p := range h.left {
		h.answers = append(h.answers, answer{p, smtpclient.Outcome{Ours: true, Reply: reply.Reply{Code: 451, Text: why}}, true})
	}
	h.left = nil
}

// next gives the next transaction; it stays in left until it is answered.
func (h *handover) next(ready bool) *smtpclient.Transaction {
	if ready || len(h.left) == 0 {
		return nil // the one before is not answered yet, or there is none
	}
	p := h.left[0]
	t := &smtpclient.Transaction{From: h.letter.from, EightBit: h.letter.eight, Return: h.options.ret, EnvelopeID: h.options.envid}
	t.Body = bytes.NewReader(h.letter.text(spool.Field + ": " + p.id + "\r\n"))
	for _, to := range p.to {
		t.To = append(t.To, smtpclient.Recipient{Address: to, Notify: h.options.notify})
	}
	t.Done = func(all []smtpclient.Outcome) { h.done(p, all) }
	return t
}

// done sorts what the server said of the recipients of a parcel.
func (h *handover) done(p parcel, all []smtpclient.Outcome) {
	h.left = h.left[1:]
	same := map[string]*answer{}
	var order []*answer
	taken := false
	for i, o := range all {
		a := same[o.Reply.String()]
		if a == nil {
			a = &answer{parcel{id: p.id}, o, false}
			same[o.Reply.String()] = a
			order = append(order, a)
		}
		a.to = append(a.to, p.to[i])
		taken = taken || o.Reply.Positive()
	}
	for _, a := range order {
		if taken && !a.Reply.Positive() {
			a.id = spool.NewID() // by the first one those are known who got it
		}
		if taken && a.Reply.Code == 452 && a.Reply.Enhanced == (reply.Enhanced{4, 5, 3}) {
			h.left = append(h.left, a.parcel) // too many for one message
			continue
		}
		h.answers = append(h.answers, *a)
	}
}

// settle says what there is to say, keeps what the server could not take, and
// gives the exit code.
func (h *handover) settle() int {
	code := OK
	for _, a := range h.answers {
		switch r := a.Reply; {
		case r.Positive():
			if h.options.verbose {
				h.say("%s: %s", people(a.to), r)
			}
		case r.Permanent():
			h.say("%s: %s", people(a.to), r)
			if code == OK {
				code = exitCode(a.Outcome)
			}
		default:
			if err := h.keep(a); err != nil {
				h.say("%s: neither sent nor kept for later: %s; and %v", people(a.to), a.why(), err)
				code = TempFail
			} else if !a.down || h.options.verbose {
				h.say("%s: kept in the spool until the server takes it: %s", people(a.to), a.why())
			}
		}
	}
	return code
}

// why words a temporary answer.
func (a answer) why() string {
	if a.down {
		return a.Reply.Text
	}
	return a.Reply.String()
}

// keep leaves a parcel in the spool.
func (h *handover) keep(a answer) error {
	return spool.Drop(h.Spool, spool.Envelope{ID: a.id, From: h.letter.from, To: a.to, EightBit: h.letter.eight, UTF8: h.letter.utf8(a.to),
		Notify: h.options.notify, Return: h.options.ret, EnvelopeID: h.options.envid}, h.letter.text(""))
}

// people names recipients, not all where there are many.
func people(to []string) string {
	if len(to) > 3 {
		return fmt.Sprintf("%s and %d more", strings.Join(to[:3], ", "), len(to)-3)
	}
	return strings.Join(to, ", ")
}

// exitCode says what a refusal means to whoever called.
func exitCode(o smtpclient.Outcome) int {
	e := o.Reply.Enhanced
	switch {
	case e == reply.Enhanced{5, 1, 2}:
		return NoHost
	case e[0] == 5 && e[1] == 1 && o.Stage == reply.RCPT:
		return NoUser
	case o.Stage == reply.MAIL && e[0] == 5 && e[1] == 7:
		return NoPerm
	case o.Stage == reply.DATA || o.Stage == reply.Dot || o.Reply.Code == 552 || e[0] == 5 && e[1] == 6:
		return DataErr
	}
	return Unavailable
}
