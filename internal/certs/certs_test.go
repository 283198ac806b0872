package certs_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"homing/internal/certs"
)

var (
	firstEnd  = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	secondEnd = time.Date(2028, 1, 1, 0, 0, 0, 0, time.UTC)
)

// write makes a self-signed pair that ends at a time.
func write(t *testing.T, cert, key string, notAfter time.Time) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(notAfter.Unix()), Subject: pkix.Name{CommonName: "mail.example.org"},
		DNSNames: []string{"mail.example.org"}, NotBefore: notAfter.AddDate(-1, 0, 0), NotAfter: notAfter}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		must(t, os.WriteFile(name, pem.EncodeToMemory(block), 0o600))
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A lineage is the files of a certificate as certbot has them: links in live,
// and every version in archive.
type lineage struct {
	t   *testing.T
	dir string
	*certs.Files
	log diary
}

// A diary is a log that is read piece by piece.
type diary struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (d *diary) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.text.Write(p)
}

// news gives what was written since it was asked last.
func (d *diary) news() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer d.text.Reset()
	return d.text.String()
}

func newLineage(t *testing.T) *lineage {
	l := &lineage{t: t, dir: t.TempDir()}
	for _, name := range []string{"live", "archive"} {
		must(t, os.Mkdir(filepath.Join(l.dir, name), 0o700))
	}
	l.issue("1", firstEnd)
	l.link("fullchain", "1")
	l.link("privkey", "1")
	return l
}

func (l *lineage) live(name string) string { return filepath.Join(l.dir, "live", name+".pem") }
func (l *lineage) version(name, n string) string {
	return filepath.Join(l.dir, "archive", name+n+".pem")
}

// issue makes a version whose files have the size and the time of every other.
func (l *lineage) issue(n string, notAfter time.Time) {
	l.t.Helper()
	cert, key := l.version("fullchain", n), l.version("privkey", n)
	write(l.t, cert, key, notAfter)
	for _, name := range []string{cert, key} {
		text, err := os.ReadFile(name)
		must(l.t, err)
		must(l.t, os.WriteFile(name, append(text, bytes.Repeat([]byte("\n"), 2000-len(text))...), 0o600))
		must(l.t, os.Chtimes(name, firstEnd, firstEnd))
	}
}

// link has a name in live lead to a version.
func (l *lineage) link(name, n string) {
	l.t.Helper()
	next := l.live(name) + ".new"
	must(l.t, os.Symlink(filepath.Join("../archive", name+n+".pem"), next))
	must(l.t, os.Rename(next, l.live(name)))
}

// TestWhatIsShownWhileFilesChange has time pass between what a renewal does.
func TestWhatIsShownWhileFilesChange(t *testing.T) {
	type step struct {
		do     func(l *lineage)
		after  time.Duration // to wait
		want   time.Time     // end of what is shown
		logged string        // what the log has since the last step; "": nothing
		fails  string        // what Failing says; "": nothing
	}
	renew := func(l *lineage) { l.issue("2", secondEnd) }
	both := func(l *lineage) { renew(l); l.link("fullchain", "2"); l.link("privkey", "2") }
	long, moment := 3*time.Minute, time.Millisecond
	tests := []struct {
		name  string
		steps []step
	}{
		{"the links lead to another pair", []step{{both, long, secondEnd, "certificate read again", ""}}},
		{"a reload looks at once", []step{{func(l *lineage) { both(l); l.Again() }, moment, secondEnd, "certificate read again", ""}}},
		{"the key comes half a minute after the certificate", []step{
			{func(l *lineage) { renew(l); l.link("fullchain", "2"); l.Again() }, 30 * time.Second, firstEnd, "", ""},
			{func(l *lineage) { l.link("privkey", "2") }, long, secondEnd, "certificate read again", ""}}},
		{"the key never comes", []step{
			{func(l *lineage) { renew(l); l.link("fullchain", "2") }, long, firstEnd, "the old one stays", "private key does not match"},
			{func(l *lineage) {}, 24 * time.Hour, firstEnd, "", "private key does not match"},
			{func(l *lineage) { l.link("privkey", "2") }, long, secondEnd, "can be used again", ""}}},
		{"the files are gone for a while", []step{
			{func(l *lineage) { must(l.t, os.Rename(l.dir+"/archive", l.dir+"/away")) }, long, firstEnd, "no such file", "no such file"},
			{func(l *lineage) { must(l.t, os.Rename(l.dir+"/away", l.dir+"/archive")) }, long, firstEnd, "can be used again", ""}}},
		{"the key may not be read", []step{ // a directory, since root may read all else
			{func(l *lineage) {
				must(l.t, os.Remove(l.live("privkey")))
				must(l.t, os.Mkdir(l.live("privkey"), 0o700))
			}, long, firstEnd, "reading the key of the certificate", "privkey.pem"}}},
		{"half of the certificate is there", []step{
			{func(l *lineage) { must(l.t, os.Truncate(l.version("fullchain", "1"), 100)) }, long, firstEnd, "fullchain.pem", "fullchain.pem"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLineage(t)
			synctest.Test(t, func(t *testing.T) {
				var err error
				l.Files, err = certs.Load(l.live("fullchain"), l.live("privkey"), slog.New(slog.NewTextHandler(&l.log, nil)))
				must(t, err)
				ctx := t.Context()
				done := make(chan struct{})
				go func() { defer close(done); l.Run(ctx) }()
				for n, s := range tt.steps {
					s.do(l)
					<-time.After(s.after)
					synctest.Wait()
					shown, err := certs.Config(l).GetCertificate(&tls.ClientHelloInfo{})
					if err != nil || !shown.Leaf.NotAfter.Equal(s.want) {
						t.Errorf("step %d: what is shown ends %v (%v), want %v", n, shown.Leaf.NotAfter, err, s.want)
					}
					if got := l.log.news(); !strings.Contains(got, s.logged) || (got == "") != (s.logged == "") || strings.Count(got, "stays") > 1 {
						t.Errorf("step %d: log %q, want %q", n, got, s.logged)
					}
					if got := l.Failing(); (got == nil) != (s.fails == "") || got != nil && !strings.Contains(got.Error(), s.fails) {
						t.Errorf("step %d: failing is %v, want %q", n, got, s.fails)
					}
				}
			})
		})
	}
}

func TestAPairThatCannotBeUsedIsAnError(t *testing.T) {
	if _, err := certs.Load("/nonexistent/cert.pem", "/nonexistent/key.pem", slog.Default()); err == nil {
		t.Error("no error for files that do not exist")
	}
}
