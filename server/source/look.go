package source

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"homing/internal/reply"
)

// maxTroubles is after how many mails in a row that could not be taken, or
// moved, the others are left for later: it is not the mails.
const maxTroubles = 3

// look takes every mail that is in the folder and due. It says when the next
// one is due that could not be taken or moved now; zero: there is none. Its
// error is that of the connection.
func (x *session) look() (next time.Time, err error) {
	select {
	case <-x.news: // they are found here
	default:
	}
	uids, err := x.list()
	if err != nil {
		return next, err
	}
	if err := x.recall(uids); err != nil {
		x.trouble = &Failure{Taking, err}
		return time.Now().Add(firstRetry), nil
	}
	x.trouble, x.busy = nil, !x.looked
	x.looked = true
	troubles := 0
	for _, uid := range uids {
		m := mark{x.validity, uid}
		if r, put := x.later[m]; put && time.Now().Before(r.next) || troubles >= maxTroubles {
			continue
		}
		x.busy = true
		f, err := x.handle(uid)
		if err != nil {
			return next, err
		}
		if f == nil {
			delete(x.later, m)
			troubles = 0
			continue
		}
		x.putOff(m, f)
		troubles++
	}
	return x.next(troubles >= maxTroubles), nil
}

// next says when the first of the mails is due that stay for now. Others were
// not tried, if more is set.
func (x *session) next(more bool) (next time.Time) {
	if more {
		next = time.Now().Add(firstRetry)
	}
	for _, r := range x.later {
		if next.IsZero() || r.next.Before(next) {
			next = r.next
		}
		if x.trouble == nil {
			x.trouble = r.why
		}
	}
	return next
}

// putOff has a mail tried again later.
func (x *session) putOff(m mark, f *Failure) {
	r := x.later[m]
	r.wait = min(max(2*r.wait, firstRetry), lastRetry)
	r.next, r.why = time.Now().Add(jittered(r.wait)), f
	x.later[m], x.trouble = r, f
	x.c.Metrics.mail(x.c.Name, "deferred")
	x.c.Log.Warn("a mail stays in its folder for now", "uid", m.uid, "step", f.Step, "err", f.Err, "retry", r.wait)
}

// list gives the mails that are in the folder. What somebody has marked as
// deleted is gone.
func (x *session) list() (uids []imap.UID, err error) {
	err = x.within(stepTime, func() error {
		data, err := x.client.UIDSearch(&imap.SearchCriteria{NotFlag: []imap.Flag{imap.FlagDeleted}}, nil).Wait()
		if err == nil {
			uids = data.AllUIDs()
		}
		return err
	})
	slices.Sort(uids)
	for m := range x.later {
		if m.validity != x.validity || !slices.Contains(uids, m.uid) {
			delete(x.later, m)
		}
	}
	return uids, err
}

// recall reads what was taken before, when the session begins, and forgets what
// is not in the folder any more.
func (x *session) recall(uids []imap.UID) error {
	if x.recalled {
		return nil
	}
	names, err := x.c.Taker.Taken(x.ctx)
	if err != nil {
		return err
	}
	var gone []string
	for _, name := range names {
		validity, uid, _ := strings.Cut(name, ".")
		v, errV := strconv.ParseUint(validity, 10, 32)
		u, errU := strconv.ParseUint(uid, 10, 32)
		if errV != nil || errU != nil || uint32(v) != x.validity || !slices.Contains(uids, imap.UID(u)) {
			gone = append(gone, name)
			continue
		}
		x.taken[name] = true
	}
	if len(gone) > 0 {
		if err := x.c.Taker.Forget(x.ctx, gone...); err != nil {
			return err
		}
	}
	x.recalled = true
	return nil
}

// handle takes a mail and moves it. f says why it stays for now; err is that of
// the connection.
func (x *session) handle(uid imap.UID) (f *Failure, err error) {
	name := fmt.Sprintf("%d.%d", x.validity, uid)
	where, outcome := x.c.Done, "taken"
	if !x.taken[name] {
		refused, err := x.take(uid, name)
		switch {
		case err != nil:
			return nil, err
		case errors.Is(refused, errGone):
			return nil, nil
		case refused == nil:
			x.taken[name] = true
		case reply.Of(refused).Permanent():
			x.c.Log.Warn("a mail is not taken", "uid", uid, "err", refused, "folder", x.c.Ignored)
			where, outcome = x.c.Ignored, "ignored"
		default:
			return &Failure{Taking, refused}, nil
		}
	}
	if err := x.within(stepTime, func() error { return x.move(uid, where) }); err != nil {
		var said *imap.Error
		if errors.As(err, &said) {
			return &Failure{Moving, fmt.Errorf("to %s: %w", where, err)}, nil
		}
		return nil, err
	}
	x.moved(outcome)
	if x.taken[name] {
		// What stays noted is forgotten when the next session begins.
		if err := x.c.Taker.Forget(x.ctx, name); err != nil {
			x.c.Log.Warn("a note about a mail that was moved stays", "uid", uid, "err", err)
		}
		delete(x.taken, name)
	}
	return nil, nil
}

// errGone says that somebody has taken a mail out of the folder meanwhile.
var errGone = errors.New("source: the mail is gone")

// errTooBig refuses mail for good.
var errTooBig = reply.Errorf(552, reply.Enhanced{5, 3, 4}, "message is too big")

// take hands a mail over. refused is the answer of who takes it, err that of the
// connection.
func (x *session) take(uid imap.UID, name string) (refused, err error) {
	err = x.within(fetchTime, func() error {
		set := imap.UIDSetNum(uid)
		sizes, err := x.client.Fetch(set, &imap.FetchOptions{UID: true, RFC822Size: true}).Collect()
		switch {
		case err != nil:
			return err
		case len(sizes) == 0:
			refused = errGone
			return nil
		case x.c.MaxSize > 0 && sizes[0].RFC822Size > x.c.MaxSize:
			refused = errTooBig
			return nil
		}
		cmd := x.client.Fetch(set, &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{{Peek: true}}})
		refused, err = x.hand(cmd, name)
		return errors.Join(err, cmd.Close())
	})
	var said *imap.Error
	if errors.As(err, &said) {
		return err, nil // of this mail the server gives nothing, now
	}
	return refused, err
}

// hand reads the one mail of a FETCH.
func (x *session) hand(cmd *imapclient.FetchCommand, name string) (refused, err error) {
	refused = errGone
	for msg := cmd.Next(); msg != nil; msg = cmd.Next() {
		for item := msg.Next(); item != nil; item = msg.Next() {
			body, ok := item.(imapclient.FetchItemDataBodySection)
			if !ok || body.Literal == nil {
				continue
			}
			r := &whole{r: body.Literal, left: body.Literal.Size()}
			if refused = x.c.Taker.Take(x.ctx, name, r); r.err != nil {
				return nil, r.err
			}
		}
	}
	return refused, nil
}

// whole is a reader that does not take a lost connection for the end.
type whole struct {
	r    io.Reader
	left int64
	err  error // other than io.EOF
}

func (w *whole) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	w.left -= int64(n)
	if errors.Is(err, io.EOF) && w.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && !errors.Is(err, io.EOF) {
		w.err = err
	}
	return n, err
}

// move moves a mail (RFC 6851), or copies it and removes what was copied. Where
// the server cannot remove one alone, it stays marked as deleted: an EXPUNGE
// would remove what somebody else has marked, too.
func (x *session) move(uid imap.UID, where string) error {
	set := imap.UIDSetNum(uid)
	if x.caps.Has(imap.CapMove) {
		_, err := x.client.Move(set, where).Wait()
		return err
	}
	if _, err := x.client.Copy(set, where).Wait(); err != nil {
		return err
	}
	deleted := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}
	if err := x.client.Store(set, deleted, nil).Close(); err != nil {
		return err
	}
	if x.caps.Has(imap.CapUIDPlus) {
		return x.client.UIDExpunge(set).Close()
	}
	return nil
}
