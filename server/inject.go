package server

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"homing/event"
	"homing/internal/reply"
	"homing/queue"
	"homing/server/smtpd"
	"homing/store"
)

// An Injection is a message that an application hands over by another road
// than a dialogue. What is done with it is the same.
type Injection struct {
	Application string
	From        string    // envelope sender, as smtpd.Mailbox gives it
	To          []string  // recipients, as smtpd.Mailbox gives them; at least one
	UTF8        bool      // the header may be UTF-8 (RFC 6531)
	Content     []byte    // the message
	SendAt      time.Time // zero: at once
	Campaign    string    // "": it is found in the message
	Metadata    event.Metadata
	Key         string   // says that it is the same when it comes again; "": nothing does
	Digest      [32]byte // of all that makes it the same
	Peer        net.Addr
	TLS         bool
}

// An Injected is what became of an Injection.
type Injected struct {
	Message    event.MessageID
	Recipients []Taken
	Repeated   bool // it was taken before
}

// A Taken is what became of one recipient.
type Taken struct {
	Address string
	Result  Result
	Why     Why // of one that was not simply accepted
}

// A Result is what was done with a recipient.
type Result string

// The results. Only who is refused has no place in the queue.
const (
	ResultAccepted   Result = "accepted"
	ResultCaptured   Result = "captured"
	ResultSuppressed Result = "suppressed"
	ResultRefused    Result = "refused"
)

// A Why is the reason of a Result.
type Why string

// The reasons.
const (
	WhyHeld  Why = "on_hold"
	WhyDaily Why = "daily_limit"
)

// Why nothing of an Injection was taken: what callers tell apart. The words
// for whoever asked are in the reply.Error around it. Others are those of the
// store, and that of the message itself, which is a permanent reply.Error.
var (
	ErrNoApplication = errors.New("server: no such application")
	ErrSender        = errors.New("server: a sender that the application may not use")
	ErrOff           = errors.New("server: sending is switched off")
	ErrDaily         = errors.New("server: the daily limit is used up")
	ErrRate          = errors.New("server: faster than allowed")
	ErrAllHeld       = errors.New("server: every recipient is on hold")
	ErrInFlight      = errors.New("server: the same key is at work")
	ErrKeyUsed       = errors.New("server: the key was used for something else")
	ErrPast          = errors.New("server: the time to send at is past")
)

var (
	errTakenOut = reply.Errorf(451, reply.Enhanced{4, 7, 0}, "this application was taken out of the configuration").With(ErrNoApplication)
	errAllHeld  = reply.Errorf(550, reply.Enhanced{5, 2, 1}, "every recipient is on hold, and this application wants such mail refused (held = \"reject\")").With(ErrAllHeld)
	errInFlight = reply.Errorf(451, reply.Enhanced{4, 5, 0}, "a request with this idempotency key is under way; ask again in a moment").With(ErrInFlight)
	errKeyUsed  = reply.Errorf(550, reply.Enhanced{5, 5, 0}, "this idempotency key was used for another request; use a new key for each message").With(ErrKeyUsed)
	errPast     = reply.Errorf(550, reply.Enhanced{5, 6, 0}, "want a time that is still to come; without one it is sent at once").With(ErrPast)
)

// Inject takes a message into the queue. It is durable when the error is nil,
// together with what is answered for its Key: the same Injection again gives
// the same answer, also after a restart, as long as the message is known. Where
// no recipient was accepted the error says why, and Injected what each of them.
func (o *Outbound) Inject(ctx context.Context, in Injection) (Injected, error) {
	out, err := o.inject(ctx, in)
	outcome := "accepted"
	switch {
	case err != nil && reply.Of(err).Temporary():
		outcome = "failed"
	case err != nil:
		outcome = "refused"
	case out.Repeated:
		outcome = "repeated"
	}
	o.metrics.injected.WithLabelValues(outcome).Inc()
	return out, err
}

func (o *Outbound) inject(ctx context.Context, in Injection) (Injected, error) {
	p := o.policy.Load()
	a := p.byName(in.Application)
	if a == nil {
		return Injected{}, errTakenOut
	}
	in.To = distinct(in.To)
	key := ""
	if in.Key != "" {
		key = "http " + a.Name + " " + in.Key
		if !o.keys.take(key) {
			return Injected{}, errInFlight
		}
		defer o.keys.leave(key)
		before, err := o.before(ctx, key, in)
		if err != nil || before.Repeated {
			return before, err
		}
	}
	// Only now: what comes again was in time when it first came.
	if in.Past(o.now()) {
		return Injected{}, errPast
	}
	tx := outTransaction{policy: p, application: a, from: in.From, options: smtpd.MailOptions{UTF8: in.UTF8},
		sendAt: in.SendAt, campaign: in.Campaign, metadata: in.Metadata, key: key, origin: in.origin(a)}
	if err := o.admit(ctx, p, a, in.From); err != nil {
		return Injected{}, err
	}
	tx.places = 1
	defer o.giveBack(&tx)
	return o.hand(ctx, &tx, in)
}

// behind is how far a time to send at may be past: clocks differ.
const behind = time.Hour

// Past reports whether the time to send at is past.
func (in Injection) Past(now time.Time) bool {
	return !in.SendAt.IsZero() && in.SendAt.Before(now.Add(-behind))
}

// Senders names the applications that there are.
func (o *Outbound) Senders() (names []string) {
	for _, a := range o.policy.Load().Applications {
		names = append(names, a.Name)
	}
	return names
}

// MaxMessage is how many octets a message may have; 0: no limit.
func (o *Outbound) MaxMessage() int64 { return o.policy.Load().MaxOut }

// distinct leaves out who is named twice: that is one copy.
func distinct(to []string) []string {
	seen := make(map[string]bool, len(to))
	return slices.DeleteFunc(slices.Clone(to), func(a string) bool {
		twice := seen[a]
		seen[a] = true
		return twice
	})
}

// origin is what the Received field says of an Injection.
func (in Injection) origin(a *Application) origin {
	protocol := "HTTP"
	if in.TLS {
		protocol = "HTTPS"
	}
	return origin{protocol, a.Name, in.Peer}
}

// hand hands over the recipients and the message of an Injection.
func (o *Outbound) hand(ctx context.Context, tx *outTransaction, in Injection) (Injected, error) {
	var out Injected
	refused := map[string]Why{}
	for _, to := range in.To {
		err := o.add(ctx, tx, queue.Recipient{Address: to})
		switch {
		case err == nil:
		case errors.Is(err, errHeld):
			refused[to] = WhyHeld
		case errors.Is(err, errNoMore):
			refused[to] = WhyDaily
		default:
			return out, err
		}
	}
	if len(tx.recipients) == 0 { // the first one that is not has a place in the day
		out.Recipients = tx.results(in.To, refused)
		return out, errAllHeld
	}
	tx.receipt = func() ([]byte, error) { return receiptOf(in, tx.results(in.To, refused)) }
	id, err := o.take(ctx, tx, smtpd.NewContent(bytes.NewReader(in.Content), tx.policy.MaxOut))
	if err != nil {
		return out, err
	}
	out.Message, out.Recipients = id, tx.results(in.To, refused)
	return out, nil
}

// results says what becomes of each recipient, in the order in which they were
// given.
func (tx *outTransaction) results(to []string, refused map[string]Why) []Taken {
	held := map[string]bool{}
	for _, r := range tx.recipients {
		held[r.Address] = r.Held != nil
	}
	taken := ResultAccepted
	if tx.policy.effective(tx.application) == Capture {
		taken = ResultCaptured
	}
	out := make([]Taken, 0, len(to))
	for _, address := range to {
		t := Taken{Address: address, Result: taken}
		if why, no := refused[address]; no {
			t.Result, t.Why = ResultRefused, why
		} else if held[address] {
			t.Result, t.Why = ResultSuppressed, WhyHeld
		}
		out = append(out, t)
	}
	return out
}

// A receipt is what is kept of an answer: with the Injection, which comes
// again, it gives the answer.
type receipt struct {
	Digest  string   `json:"digest"`
	Results []string `json:"results"` // "accepted", "refused on_hold", …
}

func receiptOf(in Injection, all []Taken) ([]byte, error) {
	r := receipt{Digest: digestText(in.Digest), Results: make([]string, 0, len(all))}
	for _, t := range all {
		r.Results = append(r.Results, strings.TrimSpace(string(t.Result)+" "+string(t.Why)))
	}
	return json.Marshal(r)
}

func digestText(d [32]byte) string { return base64.RawStdEncoding.EncodeToString(d[:]) }

// before gives what was answered when the same came before, if it did.
func (o *Outbound) before(ctx context.Context, key string, in Injection) (Injected, error) {
	id, text, err := o.store.Receipt(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return Injected{}, nil
	}
	if err != nil {
		return Injected{}, fmt.Errorf("looking for an idempotency key: %w", err)
	}
	var r receipt
	if err := json.Unmarshal(text, &r); err != nil {
		return Injected{}, fmt.Errorf("reading what was answered before: %w", err)
	}
	if r.Digest != digestText(in.Digest) || len(r.Results) != len(in.To) {
		return Injected{}, errKeyUsed
	}
	out := Injected{Message: id, Repeated: true}
	for i, words := range r.Results {
		result, why, _ := strings.Cut(words, " ")
		out.Recipients = append(out.Recipients, Taken{in.To[i], Result(result), Why(why)})
	}
	return out, nil
}

// keys are the idempotency keys that are at work. The zero keys is ready.
type keys struct {
	mu   sync.Mutex
	busy map[string]bool
}

// take reports whether nobody else has the key, and takes it.
func (k *keys) take(key string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.busy[key] {
		return false
	}
	if k.busy == nil {
		k.busy = map[string]bool{}
	}
	k.busy[key] = true
	return true
}

func (k *keys) leave(key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.busy, key)
}
