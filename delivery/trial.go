package delivery

import (
	"bytes"
	"context"
	"time"

	"homing/internal/reply"
	"homing/internal/smtpclient"
	"homing/queue"
)

// A Trial is a message by which a way is tried. It is in no queue, and nobody
// is told what becomes of it.
type Trial struct {
	Domain   string // where it goes
	Via      string // which of Options.Smarthosts it goes through; "": straight there
	From, To string
	Message  []byte // CR LF line ends

	Patience time.Duration // of every step of the dialogue; 0: as with mail
}

// trialConnect is how long a trial waits for a connection: it is to say where
// it stopped, before the time for all of it is over.
const trialConnect = 3 * time.Second

// Try sends a Trial as mail goes, also where that is to ourselves: by its MXs,
// with the TLS that is due, from one of our addresses. It gives the outcome of
// the last host that was tried, and ends with ctx.
func (d *Delivery) Try(ctx context.Context, t Trial) queue.Result {
	o := *d.options.Load()
	o.OwnPort, o.Reports, o.trial = 0, nil, true // no loop, and no session that anybody must hear of
	o.Timeouts.Connect = trialConnect
	if p := t.Patience; p > 0 {
		o.Timeouts.Timeouts = smtpclient.Timeouts{Greeting: p, Hello: p, TLS: p, Mail: p, Rcpt: p, Data: p, Block: p, Dot: p, Reset: p}
	}
	if t.Via != "" && o.Smarthosts[t.Via] == nil {
		return *ours(reply.Resolve, 451, reply.Enhanced{4, 3, 5}, "%s is no smarthost any more: the configuration has just changed", t.Via)
	}
	job := &queue.Job{Domain: t.Domain, Via: t.Via}
	if sources := Pairs(o.Sources); len(sources) > 0 {
		job.Source = sources[0]
	}
	w := &worker{Delivery: d, times: times{begin: ctx, work: ctx, commit: ctx}, o: &o, job: job, smarthost: o.Smarthosts[t.Via], began: time.Now(), located: true}
	if failed := w.resolve(); failed != nil {
		return *failed
	}
	for ctx.Err() == nil && w.refill() {
		h := w.hops[0]
		h.source = job.Source
		w.hops = w.hops[1:]
		if r := w.try(ctx, h, t); r != nil {
			return *r
		}
	}
	if r := w.nowhere(); r != nil {
		return *r
	}
	return *ours("", 451, [3]int{4, 4, 1}, "there was no time to reach %s", t.Domain)
}

// try sends a Trial to one host; nil: the next one may be better.
func (w *worker) try(ctx context.Context, h hop, t Trial) *queue.Result {
	c, failed := w.dial(ctx, w.o, h)
	if failed != nil {
		w.fault(ctx, failed)
		return nil
	}
	s, failed := w.open(ctx, w.o, h, c, false)
	if failed != nil {
		w.fault(ctx, failed)
		return nil
	}
	defer s.quit()
	var r *queue.Result
	tx := &smtpclient.Transaction{From: t.From, To: []smtpclient.Recipient{{Address: t.To}}, Body: octets{bytes.NewReader(t.Message)},
		Done: func(all []smtpclient.Outcome) {
			r = &queue.Result{Stage: all[0].Stage, Reply: all[0].Reply, Ours: all[0].Ours, Cause: all[0].Cause, RemoteMTA: s.host, TLS: s.shown}
		}}
	_, why := s.Deliver(func(bool) *smtpclient.Transaction {
		one := tx
		tx = nil
		return one
	})
	if r == nil && why != nil {
		w.blame(&queue.Result{Stage: why.Stage, Reply: why.Reply, Ours: why.Ours, Cause: why.Cause, RemoteMTA: s.host, TLS: s.shown})
	}
	return r
}

// fault blames a host, unless it is our own time that is up.
func (w *worker) fault(ctx context.Context, failed *queue.Result) {
	if ctx.Err() == nil {
		w.blame(failed)
	}
}

// octets are a message in memory.
type octets struct{ *bytes.Reader }

// Close implements message.Body.
func (octets) Close() error { return nil }
