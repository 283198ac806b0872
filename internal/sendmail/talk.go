package sendmail

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"time"
)

// talk joins standard input and output to the server, which speaks SMTP. It
// ends when the server does.
func (c *Call) talk(ctx context.Context) int {
	conn, err := c.dial(ctx)
	if err != nil {
		fmt.Fprintf(c.Stdout, "421 4.3.2 %s; try again later\r\n", oneLine(err.Error()))
		c.say("%v", err)
		return TempFail
	}
	defer conn.Close()
	go func() { // ends with the connection, or with the process
		io.Copy(conn, c.Stdin)
		if half, ok := conn.(*net.UnixConn); ok {
			half.CloseWrite() // what was asked is still answered
		}
	}()
	if _, err := io.Copy(c.Stdout, conn); err != nil {
		c.say("%v", err)
		return IOErr
	}
	return OK
}

// verify asks the server whether it would take mail for the recipients, and
// prints its answers.
func (c *Call) verify(ctx context.Context, o options) int {
	to, err := o.recipients()
	if err == nil && len(to) == 0 {
		err = errNobody
	}
	from := c.User.Name + "@" + c.Host
	if err == nil && o.from != nil {
		from, err = o.sender(c.Host)
	}
	if err != nil {
		return c.fail(err)
	}
	conn, err := c.dial(ctx)
	if err != nil {
		c.say("%v", err)
		return TempFail
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience.Dot)); err != nil {
		c.say("%v", err)
		return TempFail
	}
	q := &questions{t: textproto.NewConn(conn)}
	q.hear(220)
	q.ask(250, "EHLO localhost")
	if words := q.ask(250, "MAIL FROM:<%s>", from); q.err != nil {
		c.say("%s", words)
		return q.code(NoPerm)
	}
	code := OK
	for _, a := range to {
		q.err = nil
		words := q.ask(25, "RCPT TO:<%s>", a)
		if q.err != nil {
			code = q.code(NoUser)
		}
		fmt.Fprintf(c.Stdout, "%s: %s\n", a, oneLine(words))
	}
	q.err = nil
	q.ask(221, "QUIT")
	return code
}

// questions is a dialogue that stops at the first error.
type questions struct {
	t   *textproto.Conn
	err error
}

func (q *questions) ask(want int, format string, args ...any) string {
	if q.err == nil {
		q.err = q.t.PrintfLine(format, args...)
	}
	return q.hear(want)
}

func (q *questions) hear(want int) string {
	if q.err != nil {
		return q.err.Error()
	}
	code, text, err := q.t.ReadResponse(want)
	q.err = err
	if code == 0 {
		return fmt.Sprint(err) // nothing was said
	}
	return fmt.Sprintf("%d %s", code, text)
}

// code is that of the error: refused for what the server does not want at all.
func (q *questions) code(refused int) int {
	var said *textproto.Error
	if errors.As(q.err, &said) && said.Code >= 500 {
		return refused
	}
	return TempFail
}
