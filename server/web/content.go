package web

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"homing/internal/message"
	"homing/queue"
	"homing/store"
)

// releaseCaptured sends mail that was captured, with reverse-paths of today.
func (w *Web) releaseCaptured(q Queue, ctx context.Context, o queue.Order) (queue.Tally, error) {
	return q.ReleaseCaptured(ctx, o, w.Renew)
}

// errNotKept says that a message is over, so that only its row is known.
var errNotKept = errors.New("the message is kept no longer: that is for what waits, is paused or was captured")

// showContent gives a message as it goes to one recipient, octet for octet.
func (w *Web) showContent(rw http.ResponseWriter, r *http.Request) {
	row, ok := w.delivery(rw, r)
	if !ok {
		return
	}
	body, err := w.content(r.Context(), row.Recipient)
	if err != nil {
		w.failed(rw, r, err)
		return
	}
	defer body.Close()
	sendMail(rw, row.Recipient.ID.String(), body)
}

// content opens the message of a recipient who has no outcome yet. errNotKept.
func (w *Web) content(ctx context.Context, x store.Recipient) (message.Body, error) {
	if x.State.Terminal() || x.Body.IsZero() {
		return nil, errNotKept
	}
	body, err := w.Store.OpenBody(ctx, x.Body)
	if errors.Is(err, store.ErrNotFound) {
		return nil, errNotKept
	}
	return body, err
}

// exportQueue gives what a query of the queue lists as one mailbox file (RFC
// 4155, "From " quoted so that it can be undone). Envelope-To, first in each
// header, says for whom the copy is. What gets its outcome meanwhile is left
// out.
func (w *Web) exportQueue(rw http.ResponseWriter, r *http.Request) {
	q, wanted, ok := w.listing(rw, r, []store.State{store.Waiting, store.Paused, store.Captured})
	if ok {
		w.mailbox(rw, r, q, wanted)
	}
}

// mailbox writes what a query finds that is in states as we word them.
func (w *Web) mailbox(rw http.ResponseWriter, r *http.Request, q store.Query, wanted []store.State) {
	rw.Header().Set("Content-Type", "application/mbox")
	out := bufio.NewWriter(rw)
	for {
		page, err := w.Store.Find(r.Context(), q)
		for i := 0; err == nil && i < len(page.Rows); i++ {
			if w.meant(page.Rows[i], wanted) {
				err = w.export(r.Context(), out, page.Rows[i])
			}
		}
		if err == nil && page.Next == "" {
			err = out.Flush()
		}
		if err != nil {
			w.Log.Warn("an export ended early", "err", err)
			panic(http.ErrAbortHandler)
		}
		if q.After = page.Next; q.After == "" {
			return
		}
		w.patient(rw)
	}
}

// exportTime is how long a client may take for one page of an export.
const exportTime = time.Minute

// patient gives a client more time, which is as good as none for one that reads
// nothing.
func (w *Web) patient(rw http.ResponseWriter) {
	// What has no deadlines needs no more time.
	_ = http.NewResponseController(rw).SetWriteDeadline(time.Now().Add(exportTime))
}

// export writes one message.
func (w *Web) export(ctx context.Context, out *bufio.Writer, r store.Row) error {
	body, err := w.content(ctx, r.Recipient)
	if errors.Is(err, errNotKept) {
		return nil
	}
	if err != nil {
		return err
	}
	defer body.Close()
	from := r.Message.Sender
	if from == "" {
		from = "MAILER-DAEMON"
	}
	fmt.Fprintf(out, "From %s %s\nEnvelope-To: %s\n", from, r.Message.Accepted.UTC().Format(time.ANSIC), r.Recipient.Address)
	return mboxed(out, io.NewSectionReader(body, 0, body.Size()))
}

// mboxed writes a message into a mailbox file: lines end in LF, a line that
// looks like the beginning of the next message gets a ">", and so does one that
// has some already. Errors of out show when it is flushed.
func mboxed(out *bufio.Writer, in io.Reader) error {
	lines := bufio.NewReader(in)
	begins := true // of a line
	for {
		piece, err := lines.ReadSlice('\n')
		if begins && bytes.HasPrefix(bytes.TrimLeft(piece, ">"), []byte("From ")) {
			out.WriteByte('>')
		}
		if len(piece) > 0 {
			begins = bytes.HasSuffix(piece, []byte("\n"))
		}
		if whole, cut := bytes.CutSuffix(piece, []byte("\r\n")); cut {
			out.Write(whole)
			out.WriteByte('\n')
		} else {
			out.Write(piece)
		}
		switch {
		case errors.Is(err, io.EOF):
			if !begins {
				out.WriteByte('\n')
			}
			return out.WriteByte('\n')
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
}
