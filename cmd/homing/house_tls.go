package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"homing/config"
	"homing/dnscheck"
	"homing/internal/certs"
	"homing/internal/dnsx"
)

// Files and directories of certificates in data_dir.
const (
	ownCertName = "self-signed.pem"
	acmeDirName = "acme"
)

// certificates makes what shows certificates: of files, of an authority, or
// the server's own.
func (h *house) certificates(dns *dnsx.Client) (err error) {
	t := h.cfg.TLS
	if t.CertFile != "" {
		h.certs, err = certs.Load(t.CertFile, t.KeyFile, h.log)
	} else {
		h.certs, err = certs.LoadOwn(filepath.Join(h.cfg.DataDir, ownCertName), h.cfg.Hostname, time.Now(), h.log)
	}
	if err != nil {
		return err
	}
	metrics := certs.NewMetrics(h.metrics)
	if t.ACME != nil {
		h.acme, err = h.authority(dns, metrics)
		if err != nil {
			return err
		}
		h.certs = h.acme
	}
	h.metrics.MustRegister(certs.Expiry(h.certs, h.certified, time.Now))
	h.wantCovered()
	return nil
}

// authorityTime is for one request to the authority.
const authorityTime = 30 * time.Second

// authority makes what asks for certificates.
func (h *house) authority(dns *dnsx.Client, metrics *certs.Metrics) (*certs.ACME, error) {
	a := h.cfg.TLS.ACME
	c := certs.ACMEConfig{
		Directory: a.Directory, Email: a.Email, Webroot: a.Webroot, Names: h.certified(),
		Dir: filepath.Join(h.cfg.DataDir, acmeDirName, certs.DirOf(a.Directory)), Fallback: h.certs,
		Setup:   fmt.Sprint(*a, h.cfg.Listen.HTTP, h.cfg.Listen.HTTPS),
		TLSALPN: len(h.cfg.Listen.HTTPS) > 0, Client: &http.Client{Timeout: authorityTime},
		Ready: func(ctx context.Context, name string) error { return h.certifiable(ctx, dns, name) },
		Log:   h.log, Metrics: metrics,
	}
	always := slices.ContainsFunc(h.cfg.Listen.HTTP, func(l config.Address) bool { return l.Covers(a.Listen) })
	if !always {
		c.Listen = func() (net.Listener, error) { return net.Listen(a.Listen.Network, a.Listen.Address) }
	}
	return certs.NewACME(c)
}

// certifiable says why no certificate can be had for a name yet. What the world
// sees of hostname is for the authority to say; the hosts of policies are wanted
// of the DNS one by one.
func (h *house) certifiable(ctx context.Context, dns *dnsx.Client, name string) error {
	if name == h.cfg.Hostname {
		return nil
	}
	if _, err := dns.Addrs(ctx, name); errors.Is(err, dnsx.ErrNoName) || errors.Is(err, dnsx.ErrNoData) {
		return fmt.Errorf("%s has no address: publish `%s. CNAME %s.`, or leave it if there is to be no policy about TLS", name, name, h.cfg.Hostname)
	}
	return nil
}

// certified are the names that certificates are for.
func (h *house) certified() []string {
	names := []string{h.cfg.Hostname}
	if len(h.cfg.Listen.HTTPS) > 0 {
		for _, domain := range h.ownDomains() {
			names = append(names, stsHost+domain)
		}
	}
	return names
}

// wantCovered warns of names at the HTTPS listener that the certificate of
// files is not for. One that is asked for is one for each name.
func (h *house) wantCovered() {
	if h.cfg.TLS.CertFile == "" {
		return
	}
	for _, name := range h.certified() {
		if err := h.certs.Show(name).Leaf.VerifyHostname(name); err != nil {
			h.log.Warn("the certificate of cert_file is for other names, so that whoever checks it does not get through: get one that has this name as well", "host", name, "err", err)
		}
	}
}

// keptCertificate gives the certificate that a server would show for a name when
// it starts, and changes nothing: of files, of an authority, or of its own.
func keptCertificate(cfg *config.Config, name string) (*tls.Certificate, error) {
	own := filepath.Join(cfg.DataDir, ownCertName)
	pairs := [][2]string{{own, own}}
	switch t := cfg.TLS; {
	case t.ACME != nil:
		kept := filepath.Join(cfg.DataDir, acmeDirName, certs.DirOf(t.ACME.Directory), name+".pem")
		pairs = slices.Insert(pairs, 0, [2]string{kept, kept})
	case t.CertFile != "":
		pairs[0] = [2]string{t.CertFile, t.KeyFile}
	}
	for _, p := range pairs {
		c, err := tls.LoadX509KeyPair(p[0], p[1])
		switch {
		case err == nil:
			return &c, nil
		case cfg.TLS.CertFile != "" || !errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("reading the certificate %s: %w", p[0], err)
		}
	}
	return nil, errors.New("there is none before the server has started for the first time")
}

// tls is what port 25 shows: at least a certificate of the server's own.
func (h *house) tls() *tls.Config { return certs.Config(h.certs) }

// trustedTLS is what listeners show to whoever wants proof; nil where there is
// none. Mailers of applications begin TLS wherever it is offered, and would
// send nothing at the sight of the server's own certificate.
func (h *house) trustedTLS() *tls.Config {
	if !h.cfg.TLS.Trusted() {
		return nil
	}
	return h.tls()
}

// tlsAt is what a listener for applications shows. On loopback mailers call it
// by an address, which hardly any certificate is for: most that begin TLS
// wherever it is offered would send nothing.
func (h *house) tlsAt(a config.Address) *tls.Config {
	t := h.trustedTLS()
	if t == nil || !a.Loopback() {
		return t
	}
	leaf := h.certs.Show("").Leaf
	if leaf.VerifyHostname(a.Host()) != nil && leaf.VerifyHostname("localhost") != nil {
		return nil
	}
	return t
}

// stsHost is what the names of hosts of policies begin with (RFC 8461 section
// 3.3).
const stsHost = "mta-sts."

// ownDomains are those whose mail comes to us: of return addresses and of
// routes. Their MX must be this server.
func (h *house) ownDomains() (all []string) {
	if h.cfg.TLS.MTASTS == config.MTASTSOff {
		return nil
	}
	add := func(domain string) {
		if domain != "" && !slices.Contains(all, domain) {
			all = append(all, domain)
		}
	}
	p := h.server.Policy()
	for _, d := range p.Domains {
		add(d.Path.Domain)
	}
	for _, r := range p.Routes {
		add(r.Domain)
	}
	return all
}

// stsPolicy is the policy about TLS for mail to a domain; "": there is none.
func (h *house) stsPolicy(domain string) string {
	if !slices.Contains(h.ownDomains(), domain) {
		return ""
	}
	hosts := h.cfg.TLS.MTASTSMX
	if len(hosts) == 0 {
		hosts = []string{h.cfg.Hostname}
	}
	text, _ := dnscheck.STSPolicy(string(h.cfg.TLS.MTASTS), hosts)
	return text
}

// lookAtCertificates has them tried again that could not be had, and files read
// again, as whoever reloads expects.
func (h *house) lookAtCertificates() {
	if h.acme != nil {
		h.acme.SetNames(h.certified())
	}
	if files, ok := h.certs.(*certs.Files); ok {
		files.Again()
	}
}

// uncertified says which certificates cannot be had, for people.
func (h *house) uncertified() (all []string) {
	if files, ok := h.certs.(*certs.Files); ok {
		if err := files.Failing(); err != nil {
			all = append(all, fmt.Sprintf("The certificate of cert_file cannot be used and the old one stays, which a restart would not find any more: %s. Mend the files; they are read again by themselves.", err))
		}
	}
	if h.acme == nil {
		return all
	}
	failing := h.acme.Failing()
	for _, name := range h.certified() {
		if err := failing[name]; err != nil {
			all = append(all, fmt.Sprintf("No certificate for %s can be had: %s. It is tried again by itself; `systemctl reload homing` tries at once.", name, err))
		}
	}
	return all
}
