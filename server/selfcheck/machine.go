package selfcheck

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"homing/dnscheck"
)

// A Space is the disk that the server writes to. Free and Reserve are octets;
// below Reserve no mail is taken.
type Space struct {
	Path          string
	Free, Reserve uint64
}

// Disk checks that there is room for mail.
func Disk(s Space, err error) dnscheck.Finding {
	f := dnscheck.Finding{Check: "disk", Subject: s.Path, Verdict: dnscheck.OK, Wanted: fmt.Sprintf("%s free, and as much again to grow", size(s.Reserve)),
		Found: size(s.Free) + " are free"}
	switch {
	case err != nil:
		f.Verdict, f.Found = dnscheck.Skipped, err.Error()
	case s.Free < s.Reserve:
		f.Verdict = dnscheck.Fail
		f.Fix = "New mail is put off until there is room. Free some space (df -h, du -xh --max-depth=2 /var | sort -h), or make limits.disk_reserve smaller."
	case s.Free < 2*s.Reserve:
		f.Verdict = dnscheck.Warn
		f.Fix = "Soon new mail will be put off. Free some space (df -h, du -xh --max-depth=2 /var | sort -h)."
	}
	return f
}

func size(octets uint64) string {
	switch {
	case octets >= 10<<30:
		return fmt.Sprintf("%d GiB", octets>>30)
	case octets >= 10<<20:
		return fmt.Sprintf("%d MiB", octets>>20)
	}
	return fmt.Sprintf("%d KiB", octets>>10)
}

// lateness gives the times before the end of a certificate at which something
// is said. Renewed is one when a third of its life is left, however long that
// is: 90 days or 6.
func lateness(leaf *x509.Certificate) (late, short time.Duration) {
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	return min(21*24*time.Hour, life/4), min(3*24*time.Hour, life/12)
}

// ending says when a certificate ends, or has.
func ending(leaf *x509.Certificate, now time.Time) string {
	switch left := leaf.NotAfter.Sub(now); {
	case left <= 0:
		return "ended on " + leaf.NotAfter.UTC().Format(time.DateOnly)
	case left < 2*24*time.Hour:
		return fmt.Sprintf("ends in %d hours", int(left.Hours()))
	default:
		return fmt.Sprintf("ends in %d days", int(left.Hours()/24))
	}
}

// Certificate checks the one that is shown to whom calls us by a name; nil:
// there is none. Whether those who call trust it is told by the roots: nil is
// for the system's. Needed says that somebody must trust it; mail servers that
// bring mail do not ask (RFC 7435).
func Certificate(c *tls.Certificate, name string, roots *x509.CertPool, needed bool, now time.Time) dnscheck.Finding {
	f := dnscheck.Finding{Check: "certificate", Subject: name, Verdict: dnscheck.OK, Wanted: "a certificate for " + name + " that others trust, and that does not end soon"}
	if c == nil || len(c.Certificate) == 0 {
		f.Verdict, f.Found, f.Fix = dnscheck.Warn, "there is none, so mail comes in unencrypted", "Let certbot or [tls.acme] get one, and see docs/OPERATING.md, \"Certificates\"."
		return f
	}
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		f.Verdict, f.Found, f.Fix = dnscheck.Fail, err.Error(), "Replace the file of tls.cert_file: it holds no certificate."
		return f
	}
	left := leaf.NotAfter.Sub(now)
	late, short := lateness(leaf)
	whose := leaf.Subject.CommonName
	if len(leaf.DNSNames) > 0 {
		whose = leaf.DNSNames[0]
	}
	f.Found = fmt.Sprintf("it is for %s, from %s, and %s", whose, leaf.Issuer.CommonName, ending(leaf, now))
	renew := "Renew it now: with [tls.acme] `homing status` says why the last try failed and what to do; with files run `certbot renew`, they are read again by themselves."
	switch {
	case left <= 0:
		f.Verdict, f.Fix = dnscheck.Fail, renew
	case leaf.VerifyHostname(name) != nil:
		f.Verdict, f.Fix = dnscheck.Warn, "Get one for "+name+", or write the name that it is for as hostname."
	case left < short:
		f.Verdict, f.Fix = dnscheck.Fail, renew
	case left < late:
		f.Verdict, f.Fix = dnscheck.Warn, renew
	default:
		f.Verdict, f.Fix = trusted(c, leaf, roots, now, &f)
		if bySelf(leaf) && f.Verdict == dnscheck.Warn && !needed {
			f.Verdict, f.Fix = dnscheck.OK, ""
			f.Wanted = "a certificate for " + name + " with which mail comes in encrypted"
		}
	}
	return f
}

// trusted checks the chain that is shown.
func trusted(c *tls.Certificate, leaf *x509.Certificate, roots *x509.CertPool, now time.Time, f *dnscheck.Finding) (dnscheck.Verdict, string) {
	chain := x509.NewCertPool()
	for _, der := range c.Certificate[1:] {
		if more, err := x509.ParseCertificate(der); err == nil {
			chain.AddCert(more)
		}
	}
	_, err := leaf.Verify(x509.VerifyOptions{Intermediates: chain, Roots: roots, CurrentTime: now})
	var unknown x509.UnknownAuthorityError
	switch {
	case err == nil:
		return dnscheck.OK, ""
	case errors.As(err, &unknown) && bySelf(leaf):
		f.Found += "; it is signed by itself, which is enough for mail that comes in"
		return dnscheck.Warn, "Applications that log in over the network and whoever asks for the policy of MTA-STS do not trust it: let certbot or [tls.acme] get one."
	case errors.As(err, &unknown) && len(c.Certificate) == 1:
		f.Found += "; the certificates between it and its authority are missing"
		return dnscheck.Warn, "Write the whole chain as tls.cert_file: certbot calls it fullchain.pem."
	}
	f.Found += "; " + err.Error()
	return dnscheck.Warn, "Get one from an authority that systems trust: certbot or [tls.acme]."
}

// bySelf tells a certificate that vouches for itself.
func bySelf(leaf *x509.Certificate) bool { return leaf.Subject.String() == leaf.Issuer.String() }

// Clock checks that the clock is kept right: signatures, TLS and the tags of
// return addresses go by it.
func Clock(kept bool, err error) dnscheck.Finding {
	f := dnscheck.Finding{Check: "clock", Subject: "this machine", Verdict: dnscheck.OK, Wanted: "a clock that follows others", Found: "it does"}
	switch {
	case err != nil:
		f.Verdict, f.Found = dnscheck.Skipped, "the system does not say: "+err.Error()
	case !kept:
		f.Verdict, f.Found = dnscheck.Warn, "nothing keeps it right, as far as the system knows"
		f.Fix = "apt-get install systemd-timesyncd && timedatectl set-ntp true\n(In a container, look at the clock of the machine below.)"
	}
	return f
}
