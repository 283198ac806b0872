package delivery

import (
	"slices"
	"time"

	"homing/internal/message"
	"homing/internal/smtpclient"
	"homing/queue"
)

// A supply is what a job has still to send.
type supply struct {
	waiting []queue.Item      // claimed and not begun
	begun   []*parcel         // opened, without an outcome: a window at most, and one more
	left    []*parcel         // of these, the ones to send over another connection
	more    chan []queue.Item // set while further items are asked for
	dry     bool              // there are no further items
	aside   []queue.Item      // claimed, and for connections of another kind
}

// A parcel is an item on its way through a dialogue.
type parcel struct {
	smtpclient.Transaction
	item  queue.Item
	body  message.Body
	began time.Time
}

// back takes transactions back that the client could not send. They go first.
func (s *supply) back(all []*smtpclient.Transaction) {
	for _, t := range all {
		for _, p := range s.begun {
			if &p.Transaction == t {
				s.left = append(s.left, p)
			}
		}
	}
}

// limit drops what was claimed beyond n items, first what is aside, and asks
// for no more.
func (s *supply) limit(n int) {
	s.waiting, s.dry = s.waiting[:min(n, len(s.waiting))], true
	s.aside = s.aside[:min(n-len(s.waiting), len(s.aside))]
}

// again gives the first one of these; nil when there is none.
func (s *supply) again() *parcel {
	if len(s.left) == 0 {
		return nil
	}
	p := s.left[0]
	s.left = s.left[1:]
	return p
}

// any makes sure that there is something to send, and reports whether there
// is. Mail for ourselves is delivered on the way.
func (w *worker) any() bool {
	s := &w.supply
	for w.begin.Err() == nil {
		switch {
		case len(s.left) > 0:
			return true
		case w.job.Yield():
			return false
		case len(s.waiting) == 0:
			if !w.fetch(true) {
				return false
			}
		case !w.Queue.Wanted(s.waiting[0]):
			// Finish gives it back, and it must not be claimed for this job
			// again.
			s.waiting, s.dry = s.waiting[1:], true
		case w.local(s.waiting[0]):
			it := s.waiting[0]
			s.waiting = s.waiting[1:]
			w.deliverLocal(it)
		default:
			return true
		}
	}
	return false
}

// next gives the next transaction; with ready, without waiting for the queue.
func (w *worker) next(ready bool) *smtpclient.Transaction {
	s := &w.supply
	for {
		if w.used(w.current) || ready && !w.ready() || !ready && !w.any() {
			return nil
		}
		w.current.carried++
		if p := s.again(); p != nil {
			return &p.Transaction
		}
		it := s.waiting[0]
		s.waiting = s.waiting[1:]
		if len(s.waiting) == 0 {
			w.ask()
		}
		body, err := w.Queue.OpenBody(w.work, it)
		if err != nil {
			w.unread(it, err)
			continue
		}
		return w.parcel(it, body)
	}
}

// ready reports whether there is something to send without waiting.
func (w *worker) ready() bool {
	s := &w.supply
	switch {
	case w.begin.Err() != nil:
		return false
	case len(s.left) > 0:
		return true
	case w.job.Yield():
		return false
	case len(s.waiting) == 0:
		w.fetch(false)
	}
	return len(s.waiting) > 0 && !w.local(s.waiting[0]) && w.Queue.Wanted(s.waiting[0])
}

// ask begins to ask for further items, so that they are there when the last
// one of these goes out and their envelope can ride behind it.
func (w *worker) ask() {
	s := &w.supply
	if s.more != nil || s.dry || w.begin.Err() != nil {
		return
	}
	more := make(chan []queue.Item, 1)
	s.more = more
	go func() {
		items, err := w.Queue.More(w.begin, w.job)
		if err != nil && w.begin.Err() == nil {
			w.Log.Error("asking for more mail failed", "err", err)
		}
		more <- items
	}()
}

// fetch takes the further items, and reports whether there can be any.
func (w *worker) fetch(wait bool) bool {
	w.ask()
	s := &w.supply
	if s.more == nil {
		return false
	}
	var items []queue.Item
	if wait {
		items = <-s.more
	} else {
		select {
		case items = <-s.more:
		default:
			return true
		}
	}
	s.more, s.dry = nil, len(items) == 0
	w.take(items)
	return !s.dry
}

// parcel opens a transaction for an item.
func (w *worker) parcel(it queue.Item, body message.Body) *smtpclient.Transaction {
	m, r := it.Message, it.Recipient
	p := &parcel{item: it, body: body, began: time.Now(), Transaction: smtpclient.Transaction{
		From:       r.ReturnPath,
		To:         []smtpclient.Recipient{{Address: r.Address, Notify: r.Notify, Original: r.Original}},
		Body:       body,
		EightBit:   m.EightBit,
		UTF8:       m.UTF8,
		EnvelopeID: m.EnvelopeID,
		Return:     m.ReturnContent,
		RequireTLS: m.RequireTLS,
	}}
	p.Done = func(o []smtpclient.Outcome) {
		w.answered = w.answered || !o[0].Ours && o[0].Reply.Code != 421
		w.end(p, queue.Result{Stage: o[0].Stage, Reply: o[0].Reply, Ours: o[0].Ours, Smarthost: w.smarthost != nil, DSN: w.current.Offers("DSN"), Cause: o[0].Cause,
			RemoteMTA: w.current.host, TLS: w.current.shown, Took: time.Since(p.began)})
	}
	w.supply.begun = append(w.supply.begun, p)
	return &p.Transaction
}

// end is the end of a parcel.
func (w *worker) end(p *parcel, r queue.Result) {
	w.close(p.body)
	w.supply.begun = slices.DeleteFunc(w.supply.begun, func(other *parcel) bool { return other == p })
	w.settle(p.item, r)
}

func (w *worker) close(b message.Body) {
	if err := b.Close(); err != nil {
		w.Log.Warn("closing a message failed", "err", err)
	}
}

// putDown lets go of what was begun and will not be sent. What More still
// brings is given back by Finish.
func (w *worker) putDown() {
	for _, p := range w.supply.begun {
		w.close(p.body)
	}
	if w.supply.more != nil {
		<-w.supply.more
	}
}
