package toynet

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// An Event is what a webhook tells, as an application reads it.
type Event struct {
	ID          string    `json:"id"`
	Type        string    `json:"type"`
	Time        time.Time `json:"time"`
	Message     string    `json:"message"`
	Recipient   string    `json:"recipient"`
	Sender      string    `json:"sender"`
	ReturnPath  string    `json:"return_path"`
	Application string    `json:"application"`
	Campaign    string    `json:"campaign"`
	Attempt     int       `json:"attempt"`
	Sync        *bool     `json:"sync"`
	Stage       string    `json:"stage"`
	Class       string    `json:"class"`
	Reason      string    `json:"reason"`
	CiviCRM     string    `json:"civicrm"`
	Code        int       `json:"code"`
	Status      string    `json:"status"`
	Diagnostic  string    `json:"diagnostic"`
	RemoteMTA   string    `json:"remote_mta"`
	Rule        string    `json:"rule"`
	Hold        *struct {
		State string     `json:"state"`
		Until *time.Time `json:"until"`
	} `json:"hold"`
	TLS struct {
		Version  string `json:"version"`
		Cipher   string `json:"cipher"`
		Verified string `json:"verified"`
	} `json:"tls"`
}

// A Call is one request that the receiver got.
type Call struct {
	Time   time.Time
	Path   string
	ID     string // webhook-id
	Event  Event
	Body   []byte
	Err    error // why it is not genuine; ErrSignature and others
	Status int   // what was answered; 0: nothing, until the client gave up
}

// Taken reports whether the call was genuine and answered with a 2xx.
func (c Call) Taken() bool { return c.Err == nil && c.Status >= 200 && c.Status < 300 }

// Errors of a Call.
var (
	ErrSignature = errors.New("toynet: the webhook's signature is wrong")
	ErrStale     = errors.New("toynet: the webhook's timestamp is not of now")
)

// A HookAnswer is how the receiver answers. The zero HookAnswer is 204 to what
// is genuine and 401 to the rest.
type HookAnswer struct {
	Status   int    // instead of 204
	Location string // with a 3xx
	Hang     bool   // no answer until the client gives up
	Endless  bool   // a body without end
}

// A Hook is an HTTP server on loopback that receives webhooks, checks them
// as the Standard Webhooks specification says, and journals every request.
// Its methods may be called from many goroutines.
type Hook struct {
	Calls Journal[Call]

	secret []byte // nil: signatures are not checked
	now    func() time.Time
	socket net.Listener
	open   gate // requests

	mu     sync.Mutex
	answer HookAnswer
	news   chan struct{} // closed when answer changes
}

// tolerance is how far a timestamp may be from now (the specification leaves
// it to the receiver).
const tolerance = 5 * time.Minute

// maxCall is the largest request that is read, in octets.
const maxCall = 1 << 20

func newHook(address, secret string, now func() time.Time) (*Hook, error) {
	h := &Hook{now: now, news: make(chan struct{})}
	if secret != "" {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
		if err != nil {
			return nil, fmt.Errorf("webhook secret: %w", err)
		}
		h.secret = key
	}
	var err error
	h.socket, err = net.Listen("tcp", address)
	return h, err
}

// URL is where webhooks are to be sent.
func (h *Hook) URL() string { return "http://" + h.socket.Addr().String() + "/hook" }

// Answer changes how requests are answered from now on; those that hang end.
func (h *Hook) Answer(a HookAnswer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer = a
	close(h.news)
	h.news = make(chan struct{})
}

// run serves until ctx ends. It returns when every request has ended.
func (h *Hook) run(ctx context.Context) error {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second,
		BaseContext: func(net.Listener) context.Context { return ctx }}
	defer context.AfterFunc(ctx, func() { s.Close() })()
	err := s.Serve(h.socket)
	s.Close()
	h.open.close()
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("toynet: webhook receiver: %w", err)
}

// ServeHTTP takes one webhook.
func (h *Hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.open.enter() {
		return
	}
	defer h.open.leave()
	h.mu.Lock()
	answer, news := h.answer, h.news
	h.mu.Unlock()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxCall))
	c := Call{Time: h.now(), Path: r.URL.Path, ID: r.Header.Get("webhook-id"), Body: body, Err: err, Status: http.StatusNoContent}
	if c.Err == nil {
		c.Err = h.verify(r.Header, body)
	}
	if c.Err == nil {
		c.Err = json.Unmarshal(body, &c.Event)
	}
	switch {
	case answer.Hang:
		c.Status = 0
	case answer.Status != 0:
		c.Status = answer.Status
	case c.Err != nil:
		c.Status = http.StatusUnauthorized
	}
	h.Calls.Add(c)
	if answer.Hang {
		hang(w, r, news)
		return
	}
	if answer.Location != "" {
		w.Header().Set("Location", answer.Location)
	}
	w.WriteHeader(c.Status)
	if answer.Endless {
		endless(r.Context(), w)
	}
}

// hang waits until the client or the receiver goes away, or news, and closes
// the connection without a word.
func hang(w http.ResponseWriter, r *http.Request, news <-chan struct{}) {
	select {
	case <-r.Context().Done():
	case <-news:
	}
	if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
		c.Close()
	}
}

// endless writes until the client or the receiver goes away.
func endless(ctx context.Context, w io.Writer) {
	line := []byte(strings.Repeat("a", 1023) + "\n")
	for ctx.Err() == nil {
		if _, err := w.Write(line); err != nil {
			return
		}
	}
}

// verify checks the signature: HMAC-SHA256 over "id.timestamp.body", one of
// several that may be given.
func (h *Hook) verify(head http.Header, body []byte) error {
	stamp := head.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return fmt.Errorf("%w: %q", ErrStale, stamp)
	}
	if d := h.now().Sub(time.Unix(seconds, 0)).Abs(); d > tolerance {
		return fmt.Errorf("%w: %s away", ErrStale, d)
	}
	if h.secret == nil {
		return nil
	}
	mac := hmac.New(sha256.New, h.secret)
	fmt.Fprintf(mac, "%s.%s.%s", head.Get("webhook-id"), stamp, body)
	want := mac.Sum(nil)
	for _, field := range strings.Fields(head.Get("webhook-signature")) {
		version, text, _ := strings.Cut(field, ",")
		got, err := base64.StdEncoding.DecodeString(text)
		if version == "v1" && err == nil && hmac.Equal(got, want) {
			return nil
		}
	}
	return ErrSignature
}
