package web

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A house is a listener whose server a test stops.
type house struct {
	url    string
	stop   func()
	served chan error
}

func start(t *testing.T, h http.Handler) house {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, l, h, slog.New(slog.DiscardHandler)) }()
	return house{"http://" + l.Addr().String(), stop, served}
}

// ends waits until Serve has returned.
func (h house) ends(t *testing.T) {
	t.Helper()
	select {
	case err := <-h.served:
		if err != nil {
			t.Errorf("Serve = %v, want nil", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("Serve does not return")
	}
}

func TestStreamsEndWhenTheServerStops(t *testing.T) {
	w := open(t, nil)
	h := start(t, w.Control())
	w.url = h.url
	s := w.follow("", "")
	w.mail(mailing, "a@example.net")
	s.wants("a")
	h.stop()
	h.ends(t)
	// One that is cut has no end.
	if rest, err := io.ReadAll(s.lines); err != nil || len(rest) > 0 {
		t.Errorf("the stream ended with %q, %v, want an orderly end", rest, err)
	}
}

func TestARequestThatRunsWhenTheServerStopsIsAnswered(t *testing.T) {
	running, goOn := make(chan struct{}), make(chan struct{})
	h := start(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		close(running)
		<-goOn
		if err := r.Context().Err(); err != nil {
			t.Errorf("its context ended: %v", err)
		}
		io.WriteString(rw, "done")
	}))
	got := make(chan answered, 1)
	go func() { got <- do(t, h.url, request{path: "/"}) }()
	<-running
	h.stop()
	close(goOn)
	if a := <-got; a.status != 200 || a.body != "done" {
		t.Errorf("%d %q", a.status, a.body)
	}
	h.ends(t)
}

func TestARequestThatDoesNotEndIsCut(t *testing.T) {
	running := make(chan struct{})
	h := start(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(running)
		<-r.Context().Done()
	}))
	failed := make(chan error, 1)
	go func() {
		resp, err := client.Get(h.url)
		if err == nil {
			resp.Body.Close()
			err = errors.New(resp.Status)
		}
		failed <- err
	}()
	<-running
	h.stop()
	h.ends(t) // waits for the handler
	if err := <-failed; !errors.Is(err, io.EOF) {
		t.Errorf("the client was told %v, want an end without an answer", err)
	}
}

func TestAnIdleConnectionDoesNotDelayTheEnd(t *testing.T) {
	h := start(t, http.NotFoundHandler())
	c, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 512)); err != nil {
		t.Fatal(err)
	}
	h.stop()
	h.ends(t)
}

// brokenListener fails at the first Accept.
type brokenListener struct{ net.Listener }

var errBroken = errors.New("the listener is broken")

func (brokenListener) Accept() (net.Conn, error) { return nil, errBroken }

func TestAListenerThatFailsEndsServe(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := Serve(t.Context(), brokenListener{l}, http.NotFoundHandler(), slog.New(slog.DiscardHandler)); !errors.Is(err, errBroken) {
		t.Errorf("Serve = %v, want the listener's error", err)
	}
	if c, err := net.Dial("tcp", l.Addr().String()); err == nil {
		c.Close()
		t.Error("the listener is still open")
	}
}
