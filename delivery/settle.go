package delivery

import (
	"fmt"
	"time"

	"homing/internal/reply"
	"homing/queue"
)

// How many outcomes may be on their way to the disk while dialogues go on: of
// one job, and of all. Where more could be sent than can be written down, it
// is here that jobs wait, and leave the processors to whoever brings mail.
const (
	maxSettling    = 16
	maxSettlingAll = 32
)

// settle makes an outcome durable while the dialogue goes on. What was cut
// because the time to shut down had come is none: it is tried again.
func (w *worker) settle(it queue.Item, r queue.Result) {
	if r.Ours && !r.Reply.Positive() && w.work.Err() != nil {
		return
	}
	w.Metrics.report(w.commit, w.Log, it, r)
	w.room <- struct{}{}
	w.settlings <- struct{}{}
	w.settling.Go(func() {
		defer func() { <-w.settlings; <-w.room }()
		if err := w.Queue.Done(w.commit, it, r); err != nil {
			w.Log.Error("an outcome could not be stored; the message may be sent again", "item", it.Delivery,
				"code", r.Reply.Code, "err", err)
		}
	})
}

// failAll is the outcome for everything that was claimed when no host can be
// used.
func (w *worker) failAll(r *queue.Result) {
	out := w.smarthost.spare(*r)
	for p := w.supply.again(); p != nil; p = w.supply.again() {
		out.Took = time.Since(p.began)
		w.end(p, out)
	}
	out.Took = time.Since(w.began)
	for _, it := range w.supply.waiting {
		w.settle(it, out)
	}
	w.supply.waiting = nil
}

// unread is the outcome for a message that we cannot read: never a bounce.
func (w *worker) unread(it queue.Item, err error) {
	w.settle(it, queue.Result{Stage: reply.Resolve, Ours: true, Cause: fmt.Errorf("opening the message: %w", err),
		Reply: reply.Reply{Code: 451, Enhanced: reply.Enhanced{4, 3, 0}, Text: "the message cannot be read just now"}})
}

func (w *worker) local(it queue.Item) bool {
	return w.Local != nil && w.Local.Has(it.Recipient.Address)
}

// deliverLocal hands a message to the inbound side.
func (w *worker) deliverLocal(it queue.Item) {
	began := time.Now()
	body, err := w.Queue.OpenBody(w.work, it)
	if err != nil {
		w.unread(it, err)
		return
	}
	defer w.close(body)
	r := w.Local.Deliver(w.work, it.Recipient.ReturnPath, it.Recipient.Address, body)
	w.settle(it, queue.Result{Stage: reply.Dot, Reply: r, Ours: true, RemoteMTA: w.o.Hostname, Took: time.Since(began)})
}
