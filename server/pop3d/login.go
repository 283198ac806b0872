package pop3d

import (
	"encoding/base64"
	"errors"
	"strings"
	"time"
)

// authMechanism is the one that AUTH offers.
const authMechanism = "PLAIN"

func (d *session) userCommand(c command) error {
	switch {
	case !d.mayLogIn():
		d.needsTLS()
	case c.arg == "":
		d.fail("", "USER needs a name")
	default:
		d.user = c.arg
		d.ok("now the password")
	}
	return nil
}

// pass takes the whole rest of the line for the password, with its spaces (RFC
// 1939 section 7).
func (d *session) pass(c command) error {
	user := d.user
	d.user = ""
	switch {
	case !d.mayLogIn():
		d.needsTLS()
	case user == "":
		d.fail("", "say USER first")
	default:
		return d.login(user, c.arg)
	}
	return nil
}

func (d *session) needsTLS() {
	if d.way.TLS == nil {
		d.fail("SYS/PERM", "this server takes passwords only inside TLS, and has no certificate that could be trusted")
		return
	}
	d.fail("SYS/PERM", "say STLS first: passwords come inside TLS only")
}

// auth carries out AUTH PLAIN (RFC 5034, RFC 4616). Without a mechanism it
// lists the one that there is, as some clients ask.
func (d *session) auth(c command) error {
	mechanism, initial, given := strings.Cut(c.arg, " ")
	switch {
	case !d.mayLogIn():
		d.needsTLS()
		return nil
	case mechanism == "":
		d.ok("mechanisms")
		d.say(authMechanism)
		d.say(".")
		return nil
	case !strings.EqualFold(mechanism, authMechanism):
		d.fail("", "this mechanism is not offered")
		return nil
	}
	if !given {
		d.say("+ ")
		line, err := d.line()
		if err != nil {
			return err
		}
		if initial = string(line); initial == "*" {
			d.fail("", "cancelled")
			return nil
		}
	}
	message, err := base64.StdEncoding.DecodeString(initial)
	if err != nil {
		d.fail("", "that is not base64")
		return nil
	}
	// Nobody acts for somebody else here.
	parts := strings.Split(string(message), "\x00")
	if len(parts) != 3 || parts[0] != "" && parts[0] != parts[1] {
		return d.login("", "")
	}
	return d.login(parts[1], parts[2])
}

// login opens the mailbox of somebody who gives the right password.
func (d *session) login(user, password string) error {
	if d.o.Limiter.Blocked(d.conn.RemoteAddr()) {
		d.o.Metrics.login("blocked")
		d.fail("SYS/TEMP", "too many failed logins, please try again later")
		return errDone
	}
	mailbox, err := d.backend.Login(user, password)
	var refusal *Refusal
	switch {
	case errors.Is(err, ErrLogin):
		d.o.Limiter.Failed(d.conn.RemoteAddr())
		d.o.Metrics.login("password")
		d.o.Log.Info("login failed", "listener", "pop3", "peer", d.conn.RemoteAddr())
		d.fail("AUTH", "user name or password is wrong")
	case errors.As(err, &refusal):
		d.o.Metrics.login("refused")
		d.fail("AUTH", refusal.Text)
	case err != nil:
		d.trouble("opening a mailbox failed", err)
	case !d.take(mailbox.Dir):
		d.o.Metrics.login("in_use")
		d.fail("IN-USE", "somebody reads this mailbox already, please try again later")
	default:
		d.enter(mailbox)
	}
	return nil
}

// enter opens a mailbox that was taken.
func (d *session) enter(m Mailbox) {
	b, err := openBox(m, time.Now())
	if err != nil {
		d.giveBack(m.Dir)
		d.trouble("opening a mailbox failed", err)
		return
	}
	d.box = b
	d.o.Metrics.login("opened")
	count, octets := b.total()
	d.o.Log.Info("mailbox opened", "listener", "pop3", "peer", d.conn.RemoteAddr(), "mailbox", m.Name, "messages", count)
	d.ok("%d messages, %d octets", count, octets)
}

// trouble says that we failed, and only the log says how.
func (d *session) trouble(what string, err error) {
	d.o.Log.Warn(what, "listener", "pop3", "peer", d.conn.RemoteAddr(), "err", err)
	d.fail("SYS/TEMP", "the server has a problem, please try again later")
}
