package webhook_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/event"
	"homing/event/webhook"
	"homing/internal/publicnet"
)

const rawSecret = "a secret of more than sixteen octets"

var now = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

// bounced is a fact as the queue makes it.
func bounced() event.Event {
	late := false
	return event.Event{
		ID: event.FirstID(now), Type: event.Bounced, Time: now, Delivery: 7, Recipient: "ann@example.net",
		Sender: "civi+b.1.2.0a1b2c3d4e5f6a7b@bounce.example.org", Application: "civicrm", Sync: &late,
		Outcome: event.Outcome{Class: "hard", Reason: "user_unknown", Status: "5.1.1"},
	}
}

func secrets(t *testing.T, text string) []webhook.Secret {
	t.Helper()
	s, err := webhook.ParseSecrets(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sink makes a Sink for a URL on loopback; change may alter its Config.
func sink(t *testing.T, url string, change ...func(*webhook.Config)) *webhook.Sink {
	t.Helper()
	c := webhook.Config{Name: "hooks", URL: url, Secrets: secrets(t, rawSecret), AllowPrivate: true,
		Timeout: 10 * time.Second, Now: func() time.Time { return now }}
	for _, f := range change {
		f(&c)
	}
	s, err := webhook.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// server answers every request with h on loopback. It has read the body by
// then: only so does net/http notice a client that goes away.
func server(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		h(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// quietTLS is a server with a certificate of its own that logs no handshake.
func quietTLS(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func TestAFactIsPostedAndSigned(t *testing.T) {
	type request struct {
		method, path, contentType, id, timestamp, signature string
		body                                                []byte
	}
	var got request
	srv := server(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got = request{r.Method, r.URL.RequestURI(), r.Header.Get("Content-Type"), r.Header.Get("webhook-id"),
			r.Header.Get("webhook-timestamp"), r.Header.Get("webhook-signature"), body}
		if v, ok := r.Header["Idempotency-Key"]; ok {
			t.Errorf("Idempotency-Key was sent: %q", v)
		}
		w.WriteHeader(http.StatusNoContent)
	})
	e := bounced()
	s := sink(t, srv.URL+"/hook?site=1#part", func(c *webhook.Config) { c.Secrets = secrets(t, rawSecret+"\n"+rawSecret+" two\n") })
	if err := s.Tell(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	want := request{"POST", "/hook?site=1", "application/json", e.ID.String(), "1795428000",
		webhook.Sign(secrets(t, rawSecret+"\n"+rawSecret+" two"), e.ID.String(), now, body), body}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(request{})); diff != "" {
		t.Error(diff)
	}
	if n := len(strings.Fields(got.signature)); n != 2 {
		t.Errorf("%d signatures, want one for each secret", n)
	}
}

func TestWhatAnAnswerMeans(t *testing.T) {
	for _, tt := range []struct {
		name       string
		status     int
		retryAfter string
		told       bool
		fault      event.Fault
		after      time.Duration
	}{
		{"200 is told", 200, "", true, 0, 0},
		{"204 is told", 204, "", true, 0, 0},
		{"299 is told", 299, "", true, 0, 0},
		{"a redirect is a failure", 302, "", false, event.Unclear, 0},
		{"a permanent redirect as well", 308, "", false, event.Unclear, 0},
		{"400 may be the fact's fault", 400, "", false, event.Unclear, 0},
		{"404 may be anybody's", 404, "", false, event.Unclear, 0},
		{"410 asks us to be quiet for good", 410, "", false, event.Gone, 0},
		{"429 asks us to be quiet for a while", 429, "120", false, event.Down, 2 * time.Minute},
		{"500 may be the fact's fault", 500, "", false, event.Unclear, 0},
		{"503 says when to come back", 503, "Mon, 23 Nov 2026 10:05:00 GMT", false, event.Unclear, 5 * time.Minute},
		{"a date that is past says nothing", 503, "Mon, 23 Nov 2026 09:00:00 GMT", false, event.Unclear, 0},
		{"nor does nonsense", 503, "soon", false, event.Unclear, 0},
		{"nor less than nothing", 503, "-5", false, event.Unclear, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var calls atomic.Int32
			srv := server(t, func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				w.Header().Set("Location", "/elsewhere")
				if tt.retryAfter != "" {
					w.Header().Set("Retry-After", tt.retryAfter)
				}
				w.WriteHeader(tt.status)
			})
			err := sink(t, srv.URL).Tell(t.Context(), bounced())
			if calls.Load() != 1 {
				t.Errorf("%d requests, want one", calls.Load())
			}
			if tt.told {
				if err != nil {
					t.Errorf("Tell = %v, want nil", err)
				}
				return
			}
			var f *event.Failure
			if !errors.As(err, &f) || f.Fault != tt.fault || f.After != tt.after {
				t.Errorf("Tell = %#v, want fault %d after %v", err, tt.fault, tt.after)
			}
		})
	}
}

func TestAnAnswerThatNeverEndsCountsAndHoldsNobodyUp(t *testing.T) {
	for name, write := range map[string]func(w io.Writer, r *http.Request){
		"endless": func(w io.Writer, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 8<<10)); err != nil {
					return
				}
			}
		},
		"silent": func(_ io.Writer, r *http.Request) { <-r.Context().Done() },
	} {
		t.Run(name, func(t *testing.T) {
			left := make(chan struct{})
			srv := server(t, func(w http.ResponseWriter, r *http.Request) {
				defer close(left)
				w.WriteHeader(http.StatusOK)
				w.(http.Flusher).Flush()
				write(w, r)
			})
			start := time.Now()
			if err := sink(t, srv.URL).Tell(t.Context(), bounced()); err != nil {
				t.Errorf("Tell = %v, want nil: the status was 200", err)
			}
			if took := time.Since(start); took > 8*time.Second {
				t.Errorf("telling took %v", took)
			}
			<-left
		})
	}
}

func TestAHeaderThatNeverEndsIsAFailure(t *testing.T) {
	srv := server(t, func(w http.ResponseWriter, r *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\n"); err != nil {
			return
		}
		for {
			if _, err := io.WriteString(c, "X-More: "+strings.Repeat("x", 1000)+"\r\n"); err != nil {
				return
			}
		}
	})
	if err := sink(t, srv.URL).Tell(t.Context(), bounced()); err == nil {
		t.Error("Tell = nil, want an error")
	}
}

func TestNoAnswerInTimeIsAFailure(t *testing.T) {
	srv := server(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	s := sink(t, srv.URL, func(c *webhook.Config) { c.Timeout = 50 * time.Millisecond })
	err := s.Tell(t.Context(), bounced())
	var f *event.Failure
	if err == nil || errors.As(err, &f) || !strings.Contains(err.Error(), "no answer within 50ms") {
		t.Errorf("Tell = %v, want a failure that blames nobody yet", err)
	}
}

func TestTellEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	srv := server(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	if err := sink(t, srv.URL).Tell(ctx, bounced()); !errors.Is(err, context.Canceled) {
		t.Errorf("Tell = %v, want context.Canceled", err)
	}
}

func TestNobodyThereIsNoFaultOfTheFact(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	tlsServer := quietTLS(t)
	plain := server(t, func(http.ResponseWriter, *http.Request) {})
	for name, url := range map[string]string{
		"connection refused":                l.Addr().String(),
		"a certificate that nobody vouches": tlsServer.Listener.Addr().String(),
		"no TLS at all":                     plain.Listener.Addr().String(),
	} {
		t.Run(name, func(t *testing.T) {
			err := sink(t, "https://"+url+"/?token=hush").Tell(t.Context(), bounced())
			var f *event.Failure
			if !errors.As(err, &f) || f.Fault != event.Down {
				t.Fatalf("Tell = %v, want Down", err)
			}
			if strings.Contains(err.Error(), "hush") {
				t.Errorf("the error shows the URL: %v", err)
			}
		})
	}
}

func TestACertificateIsVerified(t *testing.T) {
	srv := quietTLS(t)
	pool := x509.NewCertPool()
	pool.AddCert(srv.Certificate())
	trust := func(c *webhook.Config) { c.RootCAs = pool }
	if err := sink(t, srv.URL, trust).Tell(t.Context(), bounced()); err != nil {
		t.Errorf("trusted: Tell = %v", err)
	}
	// The certificate is for 127.0.0.1 and example.com, not for this name.
	_, port, err := net.SplitHostPort(srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := sink(t, "https://localhost:"+port, trust).Tell(t.Context(), bounced()); err == nil {
		t.Error("a certificate for another name was taken")
	}
}

func TestPrivateAddressesAreRefusedUnlessAllowed(t *testing.T) {
	var calls atomic.Int32
	srv := server(t, func(http.ResponseWriter, *http.Request) { calls.Add(1) })
	_, port, err := net.SplitHostPort(srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "[::1]"} {
		t.Run(host, func(t *testing.T) {
			s := sink(t, "http://"+host+":"+port, func(c *webhook.Config) { c.AllowPrivate = false })
			err := s.Tell(t.Context(), bounced())
			var f *event.Failure
			if !errors.Is(err, publicnet.ErrNotPublic) || !errors.As(err, &f) || f.Fault != event.Down {
				t.Errorf("Tell = %v, want ErrNotPublic, and Down", err)
			}
		})
	}
	if calls.Load() != 0 {
		t.Errorf("%d requests got through", calls.Load())
	}
	if err := sink(t, srv.URL).Tell(t.Context(), bounced()); err != nil || calls.Load() != 1 {
		t.Errorf("allowed: Tell = %v, %d requests", err, calls.Load())
	}
}

func TestTheProxyOfTheEnvironmentIsNotUsed(t *testing.T) {
	proxy := server(t, func(http.ResponseWriter, *http.Request) { t.Error("the proxy was asked") })
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("HTTPS_PROXY", proxy.URL)
	// Not loopback, for which no proxy is ever used; refused before a connection.
	s := sink(t, "http://192.0.2.1/", func(c *webhook.Config) { c.AllowPrivate = false })
	if err := s.Tell(t.Context(), bounced()); !errors.Is(err, publicnet.ErrNotPublic) {
		t.Errorf("Tell = %v, want ErrNotPublic", err)
	}
}

func TestConnectionsAreKept(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "thank you")
	}))
	var fresh atomic.Int32
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			fresh.Add(1)
		}
	}
	srv.Start()
	t.Cleanup(srv.Close)
	s := sink(t, srv.URL)
	for range 20 {
		if err := s.Tell(t.Context(), bounced()); err != nil {
			t.Fatal(err)
		}
	}
	if fresh.Load() != 1 {
		t.Errorf("%d connections for 20 facts, want one", fresh.Load())
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	for name, c := range map[string]webhook.Config{
		"no scheme":      {URL: "crm.example.org/hook", Secrets: secrets(t, rawSecret)},
		"another scheme": {URL: "ftp://crm.example.org/hook", Secrets: secrets(t, rawSecret)},
		"no host":        {URL: "https:///hook", Secrets: secrets(t, rawSecret)},
		"no secret":      {URL: "https://crm.example.org/hook"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := webhook.New(c); err == nil {
				t.Error("New = nil, want an error")
			}
		})
	}
}

func BenchmarkTell(b *testing.B) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	b.Cleanup(srv.Close)
	key, err := webhook.ParseSecrets(rawSecret)
	if err != nil {
		b.Fatal(err)
	}
	s, err := webhook.New(webhook.Config{URL: srv.URL, Secrets: key, AllowPrivate: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.Close)
	b.ReportAllocs()
	b.SetParallelism(4)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := s.Tell(b.Context(), bounced()); err != nil {
				b.Error(err)
			}
		}
	})
}
