package toynet

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"net"
	"strings"
	"time"

	"homing/internal/reply"
)

// A CiviCRM sends mailings as CiviCRM does through PHP's PEAR Net_SMTP: one
// connection, one recipient a transaction, its own VERP address as envelope
// sender and as a Return-Path field that stays in the message, no Message-ID,
// 8-bit text whatever was offered. Its methods may be called from many
// goroutines; each mailing has a connection of its own.
type CiviCRM struct {
	Address string // of the submission listener, "127.0.0.1:587"
	Hello   string // "": localhost, as PHP says on a command line
	From    string // the From field: `"Example News" <news@example.org>`
	Prefix  string // of its addresses: "civi+"
	Domain  string // of its addresses: "bounce.example.org"
	// Separator stands between the parts of its addresses, as its setting
	// verpSeparator says; "": "."
	Separator string

	// User and Password are used when User is set. As Net_SMTP does, TLS is
	// begun only then, and only when it is offered; TLS nil trusts the
	// system's authorities for the host in Address.
	User, Password string
	TLS            *tls.Config

	Timeout time.Duration // for each answer; 0: 30 s, CiviCRM's own
	Dial    func(ctx context.Context, network, address string) (net.Conn, error)
	Now     func() time.Time // nil: time.Now

	Sent Journal[Sent]
}

// A Mailing is what one scheduled job sends.
type Mailing struct {
	Job        int
	FirstQueue int // queue ids count up from here, one a recipient
	Subject    string
	Text       string // UTF-8; a line that says for whom it is follows
	To         []string
}

// Sent is what became of one recipient of a mailing, as CiviCRM learns it.
type Sent struct {
	Time   time.Time
	To     string
	Job    int
	Queue  int
	Hash   string
	Sender string            // the VERP address
	Digest [sha256.Size]byte // of the message, see Digest
	Stage  reply.Stage       // of the last answer
	Reply  reply.Reply       // zero: no answer came
}

// Acknowledged reports whether the server took responsibility.
func (s Sent) Acknowledged() bool { return s.Stage == reply.Dot && s.Reply.Positive() }

// Errors of CiviCRM.Send. CiviCRM records a bounce for every recipient left.
var (
	ErrGreeting = errors.New("toynet: the server does not let us begin")
	ErrAuth     = errors.New("toynet: the server does not accept the password")
)

// civiTimeout is the timeout that CiviCRM gives PEAR.
const civiTimeout = 30 * time.Second

// Send sends a mailing and journals every recipient that was offered to the
// server. A refusal is no error. When the connection cannot be opened or
// breaks, it returns an error, and what came of the recipients so far; of the
// last of these it may be unknown whether the server has it.
func (c *CiviCRM) Send(ctx context.Context, m Mailing) ([]Sent, error) {
	d, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { d.conn.Close() })()
	var all []Sent
	for i, to := range m.To {
		one, err := c.offer(d, m, m.FirstQueue+i, to)
		c.Sent.Add(one)
		all = append(all, one)
		if err != nil {
			d.conn.Close()
			return all, fmt.Errorf("toynet: sending to %s: %w", to, err)
		}
	}
	if err := d.quit(); err != nil {
		return all, fmt.Errorf("toynet: ending the connection: %w", err)
	}
	return all, nil
}

// offer is one transaction, and RSET when it was refused.
func (c *CiviCRM) offer(d *dialogue, m Mailing, queue int, to string) (Sent, error) {
	message := c.Compose(m, queue, to)
	one := Sent{To: to, Job: m.Job, Queue: queue, Hash: Hash(m.Job, queue),
		Sender: c.VERP("b", m.Job, queue), Digest: Digest(crlf(message))}
	var err error
	one.Stage, one.Reply, err = d.transact(one.Sender, to, message)
	one.Time = c.now()
	if err == nil && !one.Acknowledged() {
		_, err = d.ask("RSET")
	}
	return one, err
}

func (c *CiviCRM) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

// connect opens the connection, with TLS and AUTH where they are wanted.
func (c *CiviCRM) connect(ctx context.Context) (*dialogue, error) {
	dial, timeout := c.Dial, c.Timeout
	if timeout == 0 {
		timeout = civiTimeout
	}
	if dial == nil {
		dial = (&net.Dialer{Timeout: timeout}).DialContext
	}
	conn, err := dial(ctx, "tcp", c.Address)
	if err != nil {
		return nil, fmt.Errorf("toynet: connecting: %w", err)
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	d := newDialogue(conn, timeout)
	if err := c.greet(ctx, d); err != nil {
		d.conn.Close()
		return nil, err
	}
	return d, nil
}

// greet goes through everything before the first MAIL.
func (c *CiviCRM) greet(ctx context.Context, d *dialogue) error {
	if r, err := d.heard(); err != nil || r.Code != 220 {
		return unexpected(ErrGreeting, r, err)
	}
	if err := c.hello(d); err != nil {
		return err
	}
	if c.User == "" {
		return nil
	}
	if _, ok := d.offers["STARTTLS"]; ok {
		if r, err := d.startTLS(ctx, c.tls()); err != nil || !r.Positive() {
			return unexpected(ErrGreeting, r, err)
		}
		if err := c.hello(d); err != nil {
			return err
		}
	}
	return c.auth(d)
}

// tls is the configuration for STARTTLS: PHP checks the certificate for the
// name that the administrator entered.
func (c *CiviCRM) tls() *tls.Config {
	config := c.TLS.Clone() // nil gives nil
	if config == nil {
		config = new(tls.Config)
	}
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(c.Address)
	}
	return config
}

func (c *CiviCRM) hello(d *dialogue) error {
	name := c.Hello
	if name == "" {
		name = "localhost"
	}
	if r, err := d.hello(name); err != nil || r.Code != 250 {
		return unexpected(ErrGreeting, r, err)
	}
	return nil
}

// unexpected says what came instead of the answer that was hoped for.
func unexpected(what error, r reply.Reply, err error) error {
	if err != nil {
		return fmt.Errorf("%w: %w", what, err)
	}
	return fmt.Errorf("%w: it says %v", what, r)
}

// auth uses the first mechanism of PEAR's list that is offered, and that we
// speak. Both are sent without an initial response.
func (c *CiviCRM) auth(d *dialogue) error {
	b64 := base64.StdEncoding.EncodeToString
	var lines []string
	switch offered := " " + d.offers["AUTH"] + " "; {
	case strings.Contains(offered, " LOGIN "):
		lines = []string{"AUTH LOGIN", b64([]byte(c.User)), b64([]byte(c.Password))}
	case strings.Contains(offered, " PLAIN "):
		lines = []string{"AUTH PLAIN", b64([]byte("\x00" + c.User + "\x00" + c.Password))}
	default:
		return fmt.Errorf("%w: it offers %q", ErrAuth, d.offers["AUTH"])
	}
	for i, line := range lines {
		want := 334
		if i == len(lines)-1 {
			want = 235
		}
		if r, err := d.ask(line); err != nil || r.Code != want {
			return unexpected(ErrAuth, r, err)
		}
	}
	return nil
}

// VERP is CiviCRM's own address for an action ("b", "u", "o", "r") of a queue
// entry.
func (c *CiviCRM) VERP(action string, job, queue int) string {
	sep := cmp.Or(c.Separator, ".")
	return fmt.Sprintf("%s%s%s%d%s%d%s%s@%s", c.Prefix, action, sep, job, sep, queue, sep, Hash(job, queue), c.Domain)
}

// Hash is the secret of a queue entry: 16 characters of [0-9a-z]. Here it
// follows from the two numbers, so that a run can be repeated.
func Hash(job, queue int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d.%d", job, queue))
	text := new(big.Int).SetBytes(sum[:12]).Text(36)
	return fmt.Sprintf("%016s", text)[:16]
}

// Compose writes the message to one recipient. Line ends are LF, as in PHP's
// strings; on the wire they are CR LF.
func (c *CiviCRM) Compose(m Mailing, queue int, to string) []byte {
	boundary := "=_" + Hash(m.Job, -queue)
	var b bytes.Buffer
	fmt.Fprintf(&b, `Return-Path: %[1]s
From: %[2]s
Subject: %[3]s
List-Unsubscribe: <mailto:%[4]s>
Precedence: bulk
job_id: %[5]d
To: <%[6]s>
X-CiviMail-Bounce: %[1]s
Reply-To: %[2]s
MIME-Version: 1.0
Content-Type: multipart/alternative;
 boundary="%[7]s"

--%[7]s
Content-Transfer-Encoding: 8bit
Content-Type: text/plain; charset=utf-8

%[8]s

For %[6]s, number %[9]d – to opt out, write to %[10]s
--%[7]s
Content-Transfer-Encoding: 8bit
Content-Type: text/html; charset=utf-8

<html><body><p>%[8]s</p><p>For %[6]s, number %[9]d – <a href="mailto:%[4]s">unsubscribe</a></p></body></html>

--%[7]s--
`, c.VERP("b", m.Job, queue), c.From, m.Subject, c.VERP("u", m.Job, queue), m.Job, to, boundary,
		m.Text, queue, c.VERP("o", m.Job, queue))
	return b.Bytes()
}
