package certs_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"homing/internal/certs"
	"homing/internal/certs/acmetest"
	"homing/internal/dnsx/dnstest"
)

const (
	host   = "mail.example.org"
	policy = "mta-sts.example.org"
)

// A town has an authority that finds the server by the DNS, at ports of its
// own.
type town struct {
	t         *testing.T
	authority *acmetest.Authority
	http      string       // address of what stands for port 80
	https     net.Listener // what stands for port 443; nothing answers there before serve
	dir       string
	mu        sync.Mutex
	log       bytes.Buffer
	now       atomic.Int64 // what the clock is ahead
}

// Write is the log's.
func (w *town) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
}

func (w *town) said() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.String()
}

// newTown makes one whose names lead to addresses.
func newTown(t *testing.T, hosts map[string][]netip.Addr, o acmetest.Options) *town {
	t.Helper()
	t.Parallel()
	w := &town{t: t, dir: filepath.Join(t.TempDir(), "acme")}
	dns, err := dnstest.Listen("127.0.0.1:0", &dnstest.Zone{Hosts: hosts})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- dns.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	w.https = listen(t, "127.0.0.1:0")
	free := listen(t, "127.0.0.1:0")
	w.http = free.Addr().String()
	free.Close()
	o.DNS, o.HTTPPort, o.TLSPort = dns.Addr, port(w.http), port(w.https.Addr().String())
	w.authority = acmetest.Start(t, o)
	return w
}

func listen(t *testing.T, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func port(address string) int { return int(netip.MustParseAddrPort(address).Port()) }

func (w *town) config() certs.ACMEConfig {
	own, err := certs.LoadOwn(filepath.Join(w.t.TempDir(), "own.pem"), host, time.Now(), slog.New(slog.DiscardHandler))
	if err != nil {
		w.t.Fatal(err)
	}
	return certs.ACMEConfig{Directory: w.authority.Directory, Client: w.authority.Client, Email: "it@example.org", Names: []string{host}, Dir: w.dir,
		Fallback: own, Log: slog.New(slog.NewTextHandler(w, nil)), Now: func() time.Time { return time.Now().Add(time.Duration(w.now.Load())) },
		Listen: func() (net.Listener, error) { return net.Listen("tcp", w.http) }}
}

func (w *town) make(c certs.ACMEConfig) *certs.ACME {
	w.t.Helper()
	a, err := certs.NewACME(c)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// run runs an ACME until stop is called or the test ends.
func (w *town) run(c certs.ACMEConfig) (a *certs.ACME, stop func()) {
	w.t.Helper()
	a = w.make(c)
	return a, w.start(a)
}

func (w *town) start(a *certs.ACME) (stop func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	})
	w.t.Cleanup(stop)
	return stop
}

// serve answers at what stands for port 443.
func (w *town) serve(a *certs.ACME) {
	s := &http.Server{TLSConfig: certs.HTTPS(a), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0),
		Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { io.WriteString(rw, r.Proto) })}
	go s.ServeTLS(w.https, "", "")
	w.t.Cleanup(func() { s.Close() })
}

// until waits for what the authority or the log brings.
func (w *town) until(what string, ok func() bool) {
	w.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-limit.C:
			w.t.Fatalf("waited in vain for %s; log:\n%s", what, w.said())
		}
	}
}

// trusted reports whether a certificate is one of the authority for a name.
func (w *town) trusted(c *tls.Certificate, name string) bool {
	chain := x509.NewCertPool()
	for _, der := range c.Certificate[1:] {
		if more, err := x509.ParseCertificate(der); err == nil {
			chain.AddCert(more)
		}
	}
	_, err := c.Leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: w.authority.Roots, Intermediates: chain})
	return err == nil
}

// gets waits until a certificate of the authority is shown for each name.
func (w *town) gets(a *certs.ACME, names ...string) {
	w.t.Helper()
	for _, name := range names {
		w.until("a certificate for "+name, func() bool { return w.trusted(a.Show(name), name) })
	}
}

var here = map[string][]netip.Addr{host: dnstest.Addrs("127.0.0.1"), policy: dnstest.Addrs("127.0.0.1")}

func TestACertificateComesByHTTPAndThePortIsOpenOnlyMeanwhile(t *testing.T) {
	w := newTown(t, here, acmetest.Options{})
	c := w.config()
	var opened atomic.Int64
	c.Listen = func() (net.Listener, error) { opened.Add(1); return net.Listen("tcp", w.http) }
	a, _ := w.run(c)
	w.gets(a, host)
	if conn, err := net.Dial("tcp", w.http); err == nil {
		conn.Close()
		t.Error("the port is still open")
	}
	if opened.Load() != 1 {
		t.Errorf("it was opened %d times", opened.Load())
	}
}

func TestCertificatesComeByALPNForEveryNameAtTheHTTPSListener(t *testing.T) {
	w := newTown(t, here, acmetest.Options{})
	c := w.config()
	c.Names, c.TLSALPN, c.Listen = []string{host, policy}, true, func() (net.Listener, error) { t.Error("the port for HTTP was opened"); return nil, net.ErrClosed }
	a := w.make(c)
	w.serve(a)
	w.start(a)
	w.gets(a, host, policy)
	client := http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: w.authority.Roots},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", w.https.Addr().String())
		}}}
	for _, name := range []string{host, policy} {
		resp, err := client.Get("https://" + name + "/")
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body.Close(); resp.ProtoMajor != 2 {
			t.Errorf("%s answers %s, want HTTP/2", name, resp.Proto)
		}
	}
	for _, name := range []string{host, "evil.example.net"} {
		_, err := tls.Dial("tcp", w.https.Addr().String(), &tls.Config{ServerName: name, NextProtos: []string{"acme-tls/1"}, InsecureSkipVerify: true})
		if err == nil {
			t.Errorf("a challenge for %s is answered though none is under way", name)
		}
	}
}

func TestACertificateComesByAFileInAnotherServersDirectory(t *testing.T) {
	w := newTown(t, here, acmetest.Options{})
	root := t.TempDir()
	other := httptest.NewUnstartedServer(http.FileServer(http.Dir(root)))
	other.Listener.Close()
	other.Listener = listen(t, w.http)
	other.Start()
	defer other.Close()
	c := w.config()
	c.Webroot, c.Listen = root, func() (net.Listener, error) { t.Error("the port was opened"); return nil, net.ErrClosed }
	a, stop := w.run(c)
	w.gets(a, host)
	stop()
	dir := filepath.Join(root, ".well-known/acme-challenge")
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v is left there (%v)", left, err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("the directory has mode %v (%v), so that the other server may not look into it", info.Mode(), err)
	}
}

func TestACertificateComesThroughAProgramThatHasThePort(t *testing.T) {
	w := newTown(t, here, acmetest.Options{})
	var a atomic.Pointer[certs.ACME]
	other := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { a.Load().ServeHTTP(rw, r) }))
	other.Listener.Close()
	other.Listener = listen(t, w.http)
	a.Store(w.make(w.config()))
	other.Start()
	defer other.Close()
	w.start(a.Load())
	w.gets(a.Load(), host)
}

func TestARenewalOfARealCertificate(t *testing.T) {
	w := newTown(t, here, acmetest.Options{Valid: 30 * 24 * time.Hour})
	a, stop := w.run(w.config())
	w.gets(a, host)
	first := a.Show(host)
	stop()

	w.authority.SetDown(true)
	w.now.Store(int64(21 * 24 * time.Hour))
	a, stop = w.run(w.config())
	if !bytes.Equal(a.Show(host).Certificate[0], first.Certificate[0]) {
		t.Error("after a restart another certificate is shown, or none")
	}
	w.until("a failure, and the log to say so", func() bool { return a.Failing()[host] != nil && strings.Contains(w.said(), "the old one stays") })
	if !bytes.Equal(a.Show(host).Certificate[0], first.Certificate[0]) {
		t.Errorf("the old certificate is not kept; log:\n%s", w.said())
	}
	w.authority.SetDown(false)
	a.SetNames([]string{host}) // as a reload does
	w.until("another certificate", func() bool { return !bytes.Equal(a.Show(host).Certificate[0], first.Certificate[0]) })
	if !w.trusted(a.Show(host), host) || len(a.Failing()) > 0 {
		t.Errorf("it is not trusted, or something fails: %v", a.Failing())
	}
	stop()
	if got := w.authority.Orders(); got != 2 {
		t.Errorf("the authority was asked for %d certificates, want 2", got)
	}
}

func TestAnAuthorityThatHasForgottenTheAccountGetsItAgain(t *testing.T) {
	w := newTown(t, here, acmetest.Options{})
	c := w.config()
	a, stop := w.run(c)
	w.gets(a, host)
	stop()
	later := newAuthority(w)
	if err := os.Remove(filepath.Join(w.dir, host+".pem")); err != nil {
		t.Fatal(err)
	}
	c.Directory, c.Client = later.Directory, later.Client
	w.authority = later
	a, _ = w.run(c)
	w.gets(a, host)
}

// newAuthority starts another one that finds the same names.
func newAuthority(w *town) *acmetest.Authority {
	dns, err := dnstest.Listen("127.0.0.1:0", &dnstest.Zone{Hosts: here})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- dns.Run(ctx) }()
	w.t.Cleanup(func() { stop(); <-done })
	return acmetest.Start(w.t, acmetest.Options{DNS: dns.Addr, HTTPPort: port(w.http), TLSPort: port(w.https.Addr().String())})
}

func TestWhereOneWayFailsTheOtherIsTried(t *testing.T) {
	w := newTown(t, here, acmetest.Options{})
	c := w.config()
	c.TLSALPN = true
	w.https.Close()
	a, _ := w.run(c)
	w.gets(a, host)
}

// TestAFailureSaysWhatToDo has each of them come from an authority, or from
// this machine.
func TestAFailureSaysWhatToDo(t *testing.T) {
	tests := []struct {
		name    string
		hosts   map[string][]netip.Addr
		options acmetest.Options
		change  func(t *testing.T, w *town, c *certs.ACMEConfig)
		want    []string
	}{
		{name: "no address in the DNS", hosts: map[string][]netip.Addr{},
			want: []string{"http-01: ", "see that mail.example.org has an A record"}},
		{name: "nothing answers", hosts: map[string][]netip.Addr{host: dnstest.Addrs("127.9.9.9")},
			want: []string{"http-01: ", "could not reach mail.example.org at port 80: let the firewall"}},
		{name: "another program has the port", hosts: here,
			change: func(t *testing.T, w *town, _ *certs.ACMEConfig) {
				other := httptest.NewUnstartedServer(http.NotFoundHandler())
				other.Listener.Close()
				other.Listener = listen(t, w.http)
				other.Start()
				t.Cleanup(other.Close)
			},
			want: []string{"address already in use", "another program has port 80", "[tls.acme] webroot", "pass /.well-known/acme-challenge/ on to listen.http"}},
		{name: "this user may not listen", hosts: here,
			change: func(_ *testing.T, _ *town, c *certs.ACMEConfig) {
				c.Listen = func() (net.Listener, error) { return nil, fmt.Errorf("listen tcp :80: %w", os.ErrPermission) }
			},
			want: []string{"CAP_NET_BIND_SERVICE"}},
		{name: "the webroot is not there", hosts: here,
			change: func(_ *testing.T, _ *town, c *certs.ACMEConfig) { c.Webroot = "/nonexistent" },
			want:   []string{"/nonexistent", "install -d -o homing", "ReadWritePaths=/nonexistent/.well-known/acme-challenge"}},
		{name: "the webroot is another server's", hosts: here,
			change: func(t *testing.T, w *town, c *certs.ACMEConfig) {
				other := httptest.NewUnstartedServer(http.NotFoundHandler())
				other.Listener.Close()
				other.Listener = listen(t, w.http)
				other.Start()
				t.Cleanup(other.Close)
				c.Webroot = t.TempDir()
			},
			want: []string{"something else than this server answered for mail.example.org at port 80", "its web server shows the files below"}},
		{name: "a name that nothing is issued for", hosts: here, options: acmetest.Options{Blocked: []string{host}},
			want: []string{"issues nothing for mail.example.org"}},
		{name: "the authority is not trusted itself", hosts: here,
			change: func(_ *testing.T, _ *town, c *certs.ACMEConfig) { c.Client = &http.Client{} },
			want:   []string{"is not trusted", "SSL_CERT_FILE"}},
		{name: "the clock of this machine is wrong", hosts: here,
			change: func(_ *testing.T, w *town, c *certs.ACMEConfig) {
				t := w.authority.Client.Transport.(*http.Transport).Clone()
				t.TLSClientConfig.Time = func() time.Time { return time.Now().AddDate(200, 0, 0) }
				c.Client = &http.Client{Transport: t}
			},
			want: []string{"is not of this time", "timedatectl"}},
		{name: "something else answers in place of the authority", hosts: here,
			change: func(_ *testing.T, w *town, c *certs.ACMEConfig) {
				t := w.authority.Client.Transport.(*http.Transport).Clone()
				t.TLSClientConfig.ServerName = "authority.example"
				c.Client = &http.Client{Transport: t}
			},
			want: []string{"something else answers in place of", "without a proxy"}},
		{name: "the authority cannot be reached", hosts: here,
			change: func(_ *testing.T, _ *town, c *certs.ACMEConfig) { c.Directory = "https://127.0.0.1:1/dir" },
			want:   []string{"https://127.0.0.1:1/dir cannot be reached: let HTTPS out"}},
		{name: "the account key is broken", hosts: here,
			change: func(t *testing.T, w *town, _ *certs.ACMEConfig) {
				if err := os.MkdirAll(w.dir, 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(w.dir, "account.key"), []byte("x"), 0o600); err != nil {
					t.Fatal(err)
				}
			},
			want: []string{"account.key is no key", "remove it"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newTown(t, tt.hosts, tt.options)
			c := w.config()
			if tt.change != nil {
				tt.change(t, w, &c)
			}
			a, _ := w.run(c)
			w.until("a failure", func() bool { return a.Failing()[host] != nil })
			text := a.Failing()[host].Error()
			for _, want := range tt.want {
				if !strings.Contains(text, want) {
					t.Errorf("it does not say %q:\n%s", want, text)
				}
			}
			if strings.Contains(text, "\n") {
				t.Errorf("it has more than one line:\n%s", text)
			}
		})
	}
}

func TestAChallengeIsAnsweredForOurNamesAlone(t *testing.T) {
	w := newTown(t, here, acmetest.Options{})
	c := w.config()
	asking, goOn := make(chan struct{}), make(chan struct{})
	c.Listen = func() (net.Listener, error) {
		close(asking)
		<-goOn
		return net.Listen("tcp", w.http)
	}
	a, _ := w.run(c)
	<-asking
	tokens := certs.Pending(a)
	if len(tokens) != 1 {
		t.Fatalf("waited for are %q, want one", tokens)
	}
	path := certs.ChallengePath + tokens[0]
	tests := []struct {
		name, method, host, path string
		want                     int
	}{
		{"what the authority asks", "GET", host, path, 200},
		{"with a port", "GET", host + ":80", path, 200},
		{"in capitals", "GET", "MAIL.Example.ORG", path, 200},
		{"another name", "GET", "evil.example.net", path, 404},
		{"an address", "GET", "127.0.0.1", path, 404},
		{"no name", "GET", "", path, 404},
		{"another token", "GET", host, path + "x", 404},
		{"no token", "GET", host, certs.ChallengePath, 404},
		{"another path", "GET", host, "/", 404},
		{"another method", "POST", host, path, 404},
	}
	for _, tt := range tests {
		r := httptest.NewRequest(tt.method, tt.path, nil)
		r.Host = tt.host
		rec := httptest.NewRecorder()
		a.ServeHTTP(rec, r)
		if rec.Code != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, rec.Code, tt.want)
		}
	}
	close(goOn)
	w.gets(a, host)
	w.until("the answer to go", func() bool { return len(certs.Pending(a)) == 0 })
}
