package web

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"homing/internal/smtptest"
)

// policies has one domain.
func policies(domain string) string {
	if domain == "bounce.example.org" {
		return "version: STSv1\r\nmode: testing\r\nmx: mail.example.org\r\nmax_age: 604800\r\n"
	}
	return ""
}

func TestThePublicListenerServesWhatIsForEverybody(t *testing.T) {
	w := &Web{STS: policies, Challenges: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { io.WriteString(rw, r.PathValue("token")) })}
	without := &Web{}
	const policy, challenge = "/.well-known/mta-sts.txt", "/.well-known/acme-challenge/abc"
	tests := []struct {
		name, method, host, path string
		handler                  http.Handler
		status                   int
		body                     string // "": any
	}{
		{"the policy of a domain", "GET", "mta-sts.bounce.example.org", policy, w.Public(), 200, policies("bounce.example.org")},
		{"asked with a port", "GET", "mta-sts.bounce.example.org:443", policy, w.Public(), 200, policies("bounce.example.org")},
		{"asked in capitals, with a final dot", "GET", "MTA-STS.Bounce.Example.ORG.", policy, w.Public(), 200, policies("bounce.example.org")},
		{"only whether it is there", "HEAD", "mta-sts.bounce.example.org", policy, w.Public(), 200, ""},
		{"by a web server in front", "GET", "mta-sts.bounce.example.org", policy, w.Network(), 200, policies("bounce.example.org")},
		{"of a domain that is not ours", "GET", "mta-sts.example.net", policy, w.Public(), 404, ""},
		{"of the domain itself", "GET", "bounce.example.org", policy, w.Public(), 404, ""},
		{"of a name below", "GET", "mta-sts.mta-sts.bounce.example.org", policy, w.Public(), 404, ""},
		{"of nobody", "GET", "", policy, w.Public(), 404, ""},
		{"posted", "POST", "mta-sts.bounce.example.org", policy, w.Public(), 405, ""},
		{"where there are none", "GET", "mta-sts.bounce.example.org", policy, without.Public(), 404, ""},
		{"a challenge", "GET", "mail.example.org", challenge, w.Public(), 200, "abc"},
		{"a challenge, by a web server in front", "GET", "mail.example.org", challenge, w.Network(), 200, "abc"},
		{"a challenge where none is asked", "GET", "mail.example.org", challenge, without.Public(), 404, ""},
		{"a challenge below", "GET", "mail.example.org", challenge + "/x", w.Public(), 404, ""},
		{"a way around", "GET", "mail.example.org", "/.well-known/../metrics", w.Public(), 404, ""},
		{"health", "GET", "mail.example.org", "/healthz", w.Public(), 404, ""},
		{"metrics", "GET", "mail.example.org", "/metrics", w.Public(), 404, ""},
		{"the API", "GET", "mail.example.org", "/api/v1/status", w.Public(), 404, ""},
		{"a reload", "POST", "mail.example.org", "/api/v1/reload", w.Public(), 404, ""},
		{"the start", "GET", "mail.example.org", "/", w.Public(), 404, ""},
	}
	for _, tt := range tests {
		r := httptest.NewRequest(tt.method, tt.path, nil)
		r.Host = tt.host
		rec := httptest.NewRecorder()
		tt.handler.ServeHTTP(rec, r)
		if rec.Code != tt.status || tt.body != "" && rec.Body.String() != tt.body {
			t.Errorf("%s: %d %q, want %d %q", tt.name, rec.Code, rec.Body, tt.status, tt.body)
		}
		if kind := rec.Header().Get("Content-Type"); tt.body == policies("bounce.example.org") && kind != "text/plain; charset=utf-8" {
			t.Errorf("%s: the type is %q", tt.name, kind)
		}
	}
}

// openPublic serves over TLS.
func openPublic(t *testing.T, h http.Handler) (house, *x509.CertPool) {
	t.Helper()
	server, roots, err := smtptest.Certificate("mail.example.org")
	if err != nil {
		t.Fatal(err)
	}
	server.NextProtos = []string{"h2", "http/1.1"}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	served := make(chan error, 1)
	go func() { served <- ServePublic(ctx, l, server, h, slog.New(slog.DiscardHandler)) }()
	return house{l.Addr().String(), stop, served}, roots
}

func TestThePublicListenerSpeaksBothVersionsAndEnds(t *testing.T) {
	h, roots := openPublic(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { io.WriteString(rw, r.Proto) }))
	for proto, transport := range map[string]*http.Transport{"HTTP/2.0": {ForceAttemptHTTP2: true}, "HTTP/1.1": {}} {
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, ServerName: "mail.example.org"}
		client := http.Client{Transport: transport, Timeout: 10 * time.Second}
		resp, err := client.Get("https://" + h.url + "/")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if resp.Body.Close(); err != nil || string(body) != proto {
			t.Errorf("%q, %v, want %s", body, err, proto)
		}
		defer transport.CloseIdleConnections() // they are open when it ends
	}
	silent, err := net.Dial("tcp", h.url)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	h.stop()
	h.ends(t)
}

func TestARequestByHTTP2ThatRunsWhenTheServerStopsIsAnswered(t *testing.T) {
	running, goOn := make(chan struct{}), make(chan struct{})
	h, roots := openPublic(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		close(running)
		<-goOn
		io.WriteString(rw, r.Proto)
	}))
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "mail.example.org"}}}
	got := make(chan string, 1)
	go func() {
		resp, err := client.Get("https://" + h.url + "/")
		if err != nil {
			got <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		got <- string(body)
	}()
	<-running
	h.stop()
	close(goOn)
	if text := <-got; text != "HTTP/2.0" {
		t.Errorf("%q", text)
	}
	client.CloseIdleConnections()
	h.ends(t)
}
