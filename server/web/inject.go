package web

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/sync/semaphore"

	"homing/event"
	"homing/internal/reply"
	"homing/server"
	"homing/store"
)

// An Injector takes messages of applications. *server.Outbound is one.
type Injector interface {
	Inject(ctx context.Context, in server.Injection) (server.Injected, error)
	Senders() (applications []string) // that there are
	MaxMessage() int64                // octets of a message; 0: no limit
}

// Injected is what became of a message, as the API words it.
type Injected struct {
	Message    event.MessageID `json:"message"`
	SendAt     *time.Time      `json:"send_at,omitempty"`
	Recipients []Taken         `json:"recipients"`
}

// A Taken is what became of one recipient.
type Taken struct {
	Recipient string `json:"recipient"`
	Result    string `json:"result"` // "accepted", "captured", "suppressed", "refused"
	Reason    string `json:"reason,omitempty"`
}

func takenOf(all []server.Taken) []Taken {
	out := make([]Taken, 0, len(all))
	for _, t := range all {
		out = append(out, Taken{t.Address, string(t.Result), string(t.Why)})
	}
	return out
}

// A Mistake is something that is wrong in a request (RFC 9457 section 3 has an
// example of such a list).
type Mistake struct {
	Pointer   string `json:"pointer,omitempty"`   // in the body (RFC 6901), as "#/to/0"
	Parameter string `json:"parameter,omitempty"` // or in the query
	Detail    string `json:"detail"`
}

// A rejection is a Problem with a Status and what else is to be said.
type rejection struct {
	Problem
	Errors     []Mistake `json:"errors,omitempty"`
	Recipients []Taken   `json:"recipients,omitempty"`
}

// Limits of what is injected.
const (
	maxKey       = 255              // octets of an idempotency key
	maxRecipient = 1000             // recipients of one message
	injectTime   = 5 * time.Minute  // for reading a message
	roomTime     = 30 * time.Second // that a message waits for others that are being read
	bodiesRoom   = 64 << 20         // octets of bodies that are in memory at once
	maxAhead     = 30 * 24 * time.Hour
)

// inject takes a message: as JSON, or whole. It answers when the message is
// durable.
func (w *Web) inject(rw http.ResponseWriter, r *http.Request) {
	d := intake{Web: w, rw: rw, r: r, free: func() {}}
	defer func() { d.free() }()
	if !d.begin() || !d.read() {
		return
	}
	out, err := w.Inject.Inject(r.Context(), d.in)
	if err != nil {
		d.failed(out, err)
		return
	}
	if out.Repeated {
		rw.Header().Set("Idempotent-Replayed", "true")
	}
	rw.Header().Set("Location", "/api/v1/messages/"+out.Message.String())
	answer := Injected{Message: out.Message, Recipients: takenOf(out.Recipients)}
	if !d.in.SendAt.IsZero() {
		answer.SendAt = utc(d.in.SendAt)
	}
	w.answerAs(rw, http.StatusAccepted, answer)
}

// An intake is one request to take a message.
type intake struct {
	*Web
	rw   http.ResponseWriter
	r    *http.Request
	kind string // of the body: jsonKind or mailKind
	in   server.Injection
	free func() // gives back the room of the body
}

// begin checks what is known before the body is read. It reports false where
// it has answered.
func (d *intake) begin() bool {
	if err := d.Ready(); err != nil {
		d.later(http.StatusServiceUnavailable, 5*time.Second, "the server is "+err.Error()+"; try again in a moment")
		return false
	}
	var err error
	if d.kind, _, err = mime.ParseMediaType(d.r.Header.Get("Content-Type")); err != nil || d.kind != jsonKind && d.kind != mailKind {
		d.rw.Header().Set("Accept", jsonKind+", "+mailKind)
		problem(d.rw, http.StatusUnsupportedMediaType, "the body must be JSON, with Content-Type: application/json, or a whole message, with Content-Type: message/rfc822")
		return false
	}
	if d.in.Key, err = keyOf(d.r); err != nil {
		problem(d.rw, http.StatusBadRequest, err.Error())
		return false
	}
	values, err := parameters(d.r, queryNames(d.kind, d.r.URL.Query())...)
	if err != nil {
		problem(d.rw, http.StatusBadRequest, err.Error())
		return false
	}
	application, ok := within(d.rw, d.r, values.Get("application"))
	if !ok {
		return false
	}
	if all := d.Inject.Senders(); application == "" && len(all) == 1 {
		application = all[0]
	}
	if application == "" || !d.Knows(application) {
		problem(d.rw, http.StatusUnprocessableEntity, "application: say as a parameter which application sends this; `homing app list` shows all")
		return false
	}
	d.in.Application, d.in.Peer, d.in.TLS = application, peerOf(d.r), d.r.TLS != nil
	return true
}

const (
	jsonKind = "application/json"
	mailKind = "message/rfc822"
)

// keyOf gives the idempotency key of a request: as it is, or as a string of
// structured fields (RFC 9651 section 3.3.3).
func keyOf(r *http.Request) (string, error) {
	all := r.Header.Values("Idempotency-Key")
	if len(all) == 0 {
		return "", nil
	}
	key := all[0]
	if n := len(key); n >= 2 && key[0] == '"' && key[n-1] == '"' {
		key = key[1 : n-1]
	}
	for i := range len(key) {
		if key[i] <= ' ' || key[i] >= 0x7f {
			key = ""
			break
		}
	}
	if len(all) > 1 || key == "" || len(key) > maxKey {
		return "", fmt.Errorf("Idempotency-Key: want one of 1 to %d printable ASCII characters without spaces, such as a UUID", maxKey)
	}
	return key, nil
}

// read reads the body and makes of it what is injected. It reports false where
// it has answered.
func (d *intake) read() bool {
	body, ok := d.body()
	if !ok {
		return false
	}
	d.in.Digest = d.digest(body)
	mistakes, err := d.understand(body)
	switch {
	case err != nil:
		problem(d.rw, http.StatusBadRequest, err.Error())
	case len(mistakes) > 0:
		if d.in.Past(d.Now()) {
			mistakes = append(mistakes, d.past())
		}
		d.reject(http.StatusUnprocessableEntity, wrongMessage, mistakes, nil)
	default:
		return true
	}
	return false
}

const wrongMessage = "the message cannot be sent as it is: errors says what is wrong"

// past is the Mistake of a time that is past.
func (d *intake) past() Mistake {
	m := Mistake{Pointer: "#/send_at", Detail: "want a time that is still to come; without one it is sent at once"}
	if d.kind == mailKind {
		m.Pointer, m.Parameter = "", "send_at"
	}
	return m
}

// body reads the body once there is room for it.
func (d *intake) body() (body []byte, ok bool) {
	most := cmp.Or(d.Inject.MaxMessage(), maxMessage)
	if d.kind == jsonKind {
		// Base64 is as long in the message; what JSON escapes is longer.
		most = 2*most + maxRequest
	}
	size := most
	if n := d.r.ContentLength; n >= 0 && n < size {
		size = n
	}
	size = min(size, bodiesRoom)
	wait, cancel := context.WithTimeout(d.r.Context(), roomTime)
	defer cancel()
	if d.room().Acquire(wait, size) != nil {
		d.later(http.StatusServiceUnavailable, 10*time.Second, "too many large messages are being read at once; try again in a moment")
		return nil, false
	}
	d.free = func() { d.room().Release(size) }
	// Other requests are short. A connection whose deadline cannot be set is
	// lost, which reading tells.
	_ = http.NewResponseController(d.rw).SetReadDeadline(time.Now().Add(injectTime))
	body, err := io.ReadAll(http.MaxBytesReader(d.rw, d.r.Body, most))
	if err != nil {
		badBody(d.rw, "reading the message", err)
		return nil, false
	}
	return body, true
}

// room bounds the octets of bodies in memory.
func (w *Web) room() *semaphore.Weighted {
	w.bodies.once.Do(func() { w.bodies.room = semaphore.NewWeighted(bodiesRoom) })
	return w.bodies.room
}

// digest tells a request from all others: what it says, and to whom.
func (d *intake) digest(body []byte) [32]byte {
	h := sha256.New()
	query := d.r.URL.Query()
	query.Del("application") // the key is the application's own
	fmt.Fprintf(h, "%s\n%s\n", d.kind, query.Encode())
	h.Write(body)
	return [32]byte(h.Sum(nil))
}

// reject answers what is wrong with a request.
func (d *intake) reject(status int, detail string, mistakes []Mistake, recipients []Taken) {
	writeProblem(d.rw, status, rejection{Problem{http.StatusText(status), status, detail}, mistakes, recipients})
}

// later answers that it may work later.
func (d *intake) later(status int, after time.Duration, detail string) {
	d.rw.Header().Set("Retry-After", strconv.Itoa(int(max(after, time.Second).Round(time.Second).Seconds())))
	problem(d.rw, status, detail)
}

// failed answers why nothing was taken.
func (d *intake) failed(out server.Injected, err error) {
	said := reply.Of(err)
	now := d.Now().UTC()
	switch {
	case errors.Is(err, server.ErrNoApplication), errors.Is(err, server.ErrSender):
		forbidden(d.rw, said.Text)
	case errors.Is(err, server.ErrOff):
		d.later(http.StatusServiceUnavailable, 5*time.Minute, said.Text)
	case errors.Is(err, server.ErrDaily):
		d.later(http.StatusTooManyRequests, now.Truncate(24*time.Hour).Add(24*time.Hour).Sub(now), said.Text)
	case errors.Is(err, server.ErrRate):
		d.later(http.StatusTooManyRequests, 10*time.Second, said.Text)
	case errors.Is(err, server.ErrInFlight):
		d.later(http.StatusConflict, time.Second, said.Text)
	case errors.Is(err, server.ErrKeyUsed):
		problem(d.rw, http.StatusUnprocessableEntity, said.Text)
	case errors.Is(err, server.ErrPast):
		d.reject(http.StatusUnprocessableEntity, wrongMessage, []Mistake{d.past()}, nil)
	case errors.Is(err, server.ErrAllHeld):
		d.reject(http.StatusUnprocessableEntity, said.Text, nil, takenOf(out.Recipients))
	case errors.Is(err, store.ErrFull), errors.Is(err, store.ErrFailed):
		d.Web.failed(d.rw, d.r, err)
	case said.Code == 552:
		problem(d.rw, http.StatusRequestEntityTooLarge, said.Text)
	case said.Permanent():
		problem(d.rw, http.StatusUnprocessableEntity, said.Text)
	default:
		d.Web.failed(d.rw, d.r, err)
	}
}
