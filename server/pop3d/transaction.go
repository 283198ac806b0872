package pop3d

import (
	"errors"
	"io/fs"
)

func (d *session) noop(command) error {
	d.ok("still here")
	return nil
}

func (d *session) stat(command) error {
	count, octets := d.box.total()
	d.ok("%d %d", count, octets)
	return nil
}

func (d *session) list(c command) error {
	return d.each(c, func(n int, e *entry) (string, []any) { return "%d %d", []any{n, e.octets} })
}

func (d *session) uidl(c command) error {
	return d.each(c, func(n int, e *entry) (string, []any) { return "%d %s", []any{n, e.uid()} })
}

// each says something of one message, or of all.
func (d *session) each(c command, row func(n int, e *entry) (format string, args []any)) error {
	numbers, ok := c.numbers(0, 1)
	if !ok {
		d.fail("", "a number of a message, or nothing, is wanted")
		return nil
	}
	if len(numbers) == 1 {
		if e := d.named(numbers[0]); e != nil {
			format, args := row(numbers[0], e)
			d.ok(format, args...)
		}
		return nil
	}
	count, octets := d.box.total()
	d.ok("%d messages, %d octets", count, octets)
	for i := range d.box.all {
		if e := d.box.at(i + 1); e != nil {
			format, args := row(i+1, e)
			d.say(format, args...)
		}
	}
	d.say(".")
	return nil
}

// named gives a message that a client names; nil: there is none, and it knows.
func (d *session) named(number int) *entry {
	e := d.box.at(number)
	if e == nil {
		d.fail("", "there is no such message, or it is deleted")
	}
	return e
}

func (d *session) retr(c command) error {
	numbers, ok := c.numbers(1, 1)
	if !ok {
		d.fail("", "RETR needs the number of a message")
		return nil
	}
	return d.send(numbers[0], -1)
}

func (d *session) top(c command) error {
	numbers, ok := c.numbers(2, 2)
	if !ok {
		d.fail("", "TOP needs the number of a message and a number of lines")
		return nil
	}
	return d.send(numbers[0], numbers[1])
}

// send sends a message, with so many lines of its body; -1: all.
func (d *session) send(number, lines int) error {
	e := d.named(number)
	if e == nil {
		return nil
	}
	f, err := d.box.Dir.Open(e.Message)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.fail("SYS/TEMP", "another program has taken this message meanwhile")
		return nil
	case err != nil:
		d.trouble("opening a message failed", err)
		return nil
	}
	defer f.Close()
	if lines < 0 {
		d.ok("%d octets", e.octets)
		d.o.Metrics.fetched()
		e.fetched = true
	} else {
		d.ok("the top of the message")
	}
	// Once it has begun there is no way to say that it failed, but to end.
	_, err = sendText(d.out, f, lines)
	return err
}

func (d *session) dele(c command) error {
	numbers, ok := c.numbers(1, 1)
	if !ok {
		d.fail("", "DELE needs the number of a message")
		return nil
	}
	if e := d.named(numbers[0]); e != nil {
		e.deleted = true
		d.ok("deleted, when you say QUIT")
	}
	return nil
}

func (d *session) rset(command) error {
	for i := range d.box.all {
		d.box.all[i].deleted = false
	}
	count, octets := d.box.total()
	d.ok("%d messages, %d octets", count, octets)
	return nil
}

// quit removes what is deleted, durably, and marks what was read as seen, before it says so: a client that
// counts each message once must not get it again.
func (d *session) quit(command) error {
	if d.box == nil {
		d.ok("bye")
		return errDone
	}
	defer d.leave() // before the answer goes out: whoever has it may come again at once
	deleted, seen := d.box.update()
	removed, err := d.box.Dir.Remove(deleted...)
	err = errors.Join(err, d.box.Dir.See(seen...))
	d.o.Metrics.removed(len(removed))
	if len(removed) > 0 {
		d.o.Log.Info("mailbox emptied", "listener", "pop3", "peer", d.conn.RemoteAddr(), "mailbox", d.box.Name, "messages", len(removed))
	}
	if err != nil {
		d.trouble("removing messages failed", err)
		return errDone
	}
	d.ok("bye")
	return errDone
}
