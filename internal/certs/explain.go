package certs

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/acme"
)

// problemSpace is what the types of problems begin with (RFC 8555 section
// 6.7).
const problemSpace = "urn:ietf:params:acme:error:"

// problems are what to do about the types of problems. NAME, PORT and HOW stand
// for the case at hand.
var problems = map[string]string{
	"connection":              "the authority could not reach NAME at port PORT: let the firewall and the provider pass that port, and see that NAME has an A record and that its A and AAAA records all lead to this machine",
	"dns":                     "the authority finds no address of NAME: publish its A record (and AAAA only if IPv6 works here)",
	"unauthorized":            "something else than this server answered for NAME at port PORT: see that the A and AAAA records of NAME all lead here, and HOW",
	"incorrectResponse":       "something else than this server answered for NAME at port PORT: see that the A and AAAA records of NAME all lead here, and HOW",
	"tls":                     "what answers for NAME at port PORT is not the https listener of this server: see that nothing in front of it ends TLS, or use [tls.acme] webroot",
	"caa":                     "a CAA record of NAME or of a domain above forbids this authority: add one that names it, such as NAME. CAA 0 issue \"letsencrypt.org\"",
	"rateLimited":             "the authority has had too many requests: it is asked again when it says so; do not start the server again for it",
	"rejectedIdentifier":      "the authority issues nothing for NAME: use a name of a public domain as hostname",
	"externalAccountRequired": "this authority wants an account that is made elsewhere: let certbot ask it, and write cert_file and key_file in [tls]",
	"userActionRequired":      "the authority wants something done by a person first",
	"invalidContact":          "the authority does not take the address in [tls.acme] email: correct it or leave it out",
	"unsupportedContact":      "the authority does not take the address in [tls.acme] email: correct it or leave it out",
	"accountDoesNotExist":     "the authority does not know the account: it gets a new one at the next try",
	"serverInternal":          "the authority has trouble of its own: it is asked again later",
}

// A failure is why there is no certificate, with what to do.
type failure struct {
	text  string
	cause error
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.cause }

// explain says what an error of a kind of challenge means and what to do; kind
// is "" for what has to do with no challenge.
func (a *ACME) explain(name, kind string, err error) error {
	what, todo := err.Error(), a.todo(kind, err)
	if p := problemOf(err); p != nil {
		what = p.Detail
		if o := new(occupied); errors.As(err, &o) {
			what += " (" + o.Error() + ")"
		}
	}
	if kind != "" {
		what = kind + ": " + what
	}
	port := "80"
	if kind == kindALPN {
		port = "443"
	}
	if todo != "" {
		what += "; " + strings.NewReplacer("NAME", name, "PORT", port, "HOW", a.how(kind)).Replace(todo)
	}
	return &failure{what, err}
}

// how says what has to answer a challenge.
func (a *ACME) how(kind string) string {
	switch {
	case kind == kindALPN:
		return "nothing in front of it ends TLS"
	case a.Webroot != "":
		return "its web server shows the files below " + filepath.Join(a.Webroot, ChallengePath)
	}
	return "a web server that has port 80 passes " + ChallengePath + " on to listen.http with the Host of the request, or write the directory that it serves as [tls.acme] webroot"
}

func (a *ACME) todo(kind string, err error) string {
	var (
		full     *occupied
		disk     *unwritten
		network  net.Error
		untrusts x509.UnknownAuthorityError
		invalid  x509.CertificateInvalidError
		another  x509.HostnameError
	)
	problem := problemOf(err)
	switch {
	case errors.As(err, &full) && errors.Is(err, fs.ErrPermission):
		return "this user may not listen at port 80: give the service CAP_NET_BIND_SERVICE, as packaging/homing.service does, or write a webroot in [tls.acme]"
	case errors.As(err, &full) && errors.Is(err, syscall.EADDRINUSE):
		return "another program has port 80 (`ss -ltnp` shows which): it has to serve a directory that you write as [tls.acme] webroot, or pass " + ChallengePath + " on to listen.http with the Host of the request"
	case errors.As(err, &disk):
		return fmt.Sprintf("the answer has to be written to %s: make it with `install -d -o homing -m 755 %[1]s`, and let the service write there (ReadWritePaths=%[1]s in its unit)", filepath.Join(a.Webroot, ChallengePath))
	case problem != nil:
		return problems[strings.TrimPrefix(problem.ProblemType, problemSpace)]
	case errors.As(err, &untrusts):
		return fmt.Sprintf("the certificate of %s itself is not trusted: correct [tls.acme] directory, or add its authority to this machine (SSL_CERT_FILE names another list)", a.Directory)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Sprintf("the certificate of %s itself is not of this time: see whether the clock of this machine is right (`timedatectl`)", a.Directory)
	case errors.As(err, &another):
		return fmt.Sprintf("something else answers in place of %s: let HTTPS out of this machine without a proxy that ends it, or correct [tls.acme] directory", a.Directory)
	case errors.As(err, &network), errors.As(err, new(*url.Error)):
		return fmt.Sprintf("%s cannot be reached: let HTTPS out of this machine, or correct [tls.acme] directory", a.Directory)
	}
	return ""
}

// problemOf gives what the authority says of an error; nil: it says nothing.
func problemOf(err error) *acme.Error {
	var (
		p     *acme.Error
		proof *acme.AuthorizationError
		order *acme.OrderError
	)
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &proof):
		for _, e := range proof.Errors {
			if errors.As(e, &p) {
				return p
			}
		}
	case errors.As(err, &order):
		return order.Problem
	}
	return nil
}

// isProof reports whether it is one way to prove a name that failed, and not
// the authority.
func isProof(err error) bool {
	return errors.As(err, new(*acme.AuthorizationError)) || errors.As(err, new(*unwritten)) || errors.Is(err, errNotOffered)
}

// retryAfter is how long an authority wants to be left alone; 0: it does not
// say.
func retryAfter(err error) time.Duration {
	if p := problemOf(err); p != nil {
		wait, _ := acme.RateLimit(p)
		return wait
	}
	return 0
}

// sentences joins failures in one line.
func sentences(failures []error) error {
	texts := make([]string, 0, len(failures))
	for _, f := range failures {
		texts = append(texts, f.Error())
	}
	return &failure{strings.Join(texts, "; then "), errors.Join(failures...)}
}

// parseKey reads a private key in PEM (PKCS #8).
func parseKey(data []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("it is not PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	s, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("it cannot sign")
	}
	return s, nil
}
