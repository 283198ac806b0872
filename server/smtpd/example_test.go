package smtpd_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"

	"homing/internal/reply"
	"homing/server/smtpd"
)

// onlyAnn takes mail for Ann and for nobody else.
type onlyAnn struct{}

func (onlyAnn) NewSession(context.Context, smtpd.Conn) (smtpd.Session, error) { return onlyAnn{}, nil }
func (onlyAnn) Hello(context.Context, string) error                           { return nil }
func (onlyAnn) Auth(context.Context, string, string) error                    { return nil }
func (onlyAnn) Mail(context.Context, string, smtpd.MailOptions) error         { return nil }
func (onlyAnn) Reset()                                                        {}
func (onlyAnn) Close()                                                        {}

func (onlyAnn) Rcpt(_ context.Context, to string, _ smtpd.RcptOptions) error {
	if strings.EqualFold(to, "ann@example.net") {
		return nil
	}
	return reply.Errorf(550, reply.Enhanced{5, 1, 1}, "nobody is called so")
}

func (onlyAnn) Data(_ context.Context, c *smtpd.Content) []error {
	n, err := io.Copy(io.Discard, c)
	if err != nil {
		return []error{err}
	}
	return []error{reply.Errorf(250, reply.Enhanced{2, 0, 0}, "%d octets for Ann", n)}
}

func ExampleServer() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	done := make(chan error)
	go func() { done <- smtpd.New(smtpd.Options{Hostname: "mx.test"}, onlyAnn{}).Serve(ctx, l) }()

	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Fprint(c, "HELO me\r\nMAIL FROM:<>\r\nRCPT TO:<bob@example.net>\r\nRCPT TO:<ann@example.net>\r\n"+
		"DATA\r\nSubject: hello\r\n\r\n..\r\n.\r\nQUIT\r\n")
	for answers := bufio.NewScanner(c); answers.Scan(); {
		fmt.Println(answers.Text())
	}
	stop()
	fmt.Println(<-done)
	// Output:
	// 220 mx.test ESMTP
	// 250 mx.test
	// 250 2.1.0 OK
	// 550 5.1.1 nobody is called so
	// 250 2.1.5 OK
	// 354 go ahead, end with a dot on a line of its own
	// 250 2.0.0 21 octets for Ann
	// 221 2.0.0 bye
	// <nil>
}
