package peers

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"homing/internal/dnsx/dnstest"
	"homing/internal/mailauth"
)

// A signerOf is a peer that signs as member.test: as its owner would set it up.
type signerOf struct {
	name string
	sign func(t testing.TB, message string) string
	want mailauth.Verdict
}

// signers gives the peers that sign, and the DNS in which their keys are.
func signers(t *testing.T) ([]signerOf, *dnstest.Zone) {
	t.Helper()
	big, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&big.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public, small, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text := base64.StdEncoding.EncodeToString
	dir := publicDir(t)
	bigFile, smallFile := filepath.Join(dir, "rsa.pem"), filepath.Join(dir, "ed25519")
	for name, content := range map[string]string{
		bigFile:   armour("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(big)),
		smallFile: text(small.Seed()),
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dkimpy := func(key, selector, algorithm, header, body, length string) func(testing.TB, string) string {
		return func(t testing.TB, message string) string {
			return script(t, message, "sign_dkim.py", key, selector, "member.test", algorithm, header, body, length)
		}
	}
	opendkim := func(canon string) func(testing.TB, string) string {
		return func(t testing.TB, message string) string {
			return script(t, message, "sign_opendkim.py", bigFile, "rsa", "member.test", canon)
		}
	}
	testmsg := func(t testing.TB, message string) string {
		got := call(t, strings.NewReader(message), program(t, "opendkim-testmsg"), "-C", "-d", "member.test", "-k", bigFile, "-s", "rsa")
		if got.code != 0 {
			t.Fatalf("opendkim-testmsg: %v", got)
		}
		return got.stdout
	}
	zone := &dnstest.Zone{TXTs: map[string][]string{
		"rsa._domainkey.member.test": {"v=DKIM1; k=rsa; h=sha256; s=email; p=" + text(der)},
		"ed._domainkey.member.test":  {"v=DKIM1; k=ed25519; p=" + text(public)},
		"_dmarc.member.test":         {"v=DMARC1; p=reject; adkim=s"},
	}}
	return []signerOf{
		{"dkimpy, relaxed", dkimpy(bigFile, "rsa", "rsa-sha256", "relaxed", "relaxed", "all"), mailauth.Pass},
		{"dkimpy, simple", dkimpy(bigFile, "rsa", "rsa-sha256", "simple", "simple", "all"), mailauth.Pass},
		{"dkimpy, one of each", dkimpy(bigFile, "rsa", "rsa-sha256", "simple", "relaxed", "all"), mailauth.Pass},
		{"dkimpy, Ed25519", dkimpy(smallFile, "ed", "ed25519-sha256", "relaxed", "simple", "all"), mailauth.Pass},
		{"dkimpy, the beginning of the body", dkimpy(bigFile, "rsa", "rsa-sha256", "relaxed", "relaxed", "part"), mailauth.Policy},
		{"libopendkim, relaxed", opendkim("relaxed"), mailauth.Pass},
		{"libopendkim, simple", opendkim("simple"), mailauth.Pass},
		{"opendkim-testmsg, which signs with SHA-1", testmsg, mailauth.PermError},
	}, zone
}

func TestSignaturesOfOthersAreGoodToUs(t *testing.T) {
	begin(t)
	all, zone := signers(t)
	checker := mailauth.Checker{Resolver: zone}
	messages := map[string]string{
		"plain": "From: ann@member.test\r\nTo: file@example.org\r\nSubject: News\r\nDate: Mon, 2 Jan 2006 15:04:05 +0000\r\nMessage-ID: <1@member.test>\r\n\r\nHello\r\n",
		"folded, odd spaces, 8-bit, empty lines at the end": "From: \"Ann\"\r\n  <ann@member.test>\r\nSubject:   Grüße \t an  alle\r\n" +
			"Date: Mon, 2 Jan 2006 15:04:05 +0000\r\nX-Odd:\r\n\r\nText  with \t spaces   \r\nÄ\r\n\r\n\r\n",
		"an empty body": "From: ann@member.test\r\nSubject: nothing\r\nDate: Mon, 2 Jan 2006 15:04:05 +0000\r\n\r\n",
	}
	judge := func(message string) mailauth.Result {
		return checker.Check(t.Context(), mailauth.Mail{ReversePath: "ann@member.test", Content: strings.NewReader(message), Size: int64(len(message))})
	}
	for _, s := range all {
		for name, message := range messages {
			t.Run(s.name+", "+name, func(t *testing.T) {
				signed := s.sign(t, message)
				r := judge(signed)
				if len(r.DKIM) != 1 || r.DKIM[0].Verdict != s.want || r.Passed() != (s.want == mailauth.Pass) {
					t.Errorf("got %+v, want %s of\n%s", r, s.want, signed)
				}
				for what, changed := range map[string]string{
					"its subject": strings.Replace(signed, "Subject: ", "Subject: x", 1),
					"its body":    signed + "x\r\n",
					"its author":  strings.Replace(signed, "ann@", "bob@", 1),
				} {
					if r := judge(changed); r.Passed() || r.Temporary() {
						t.Errorf("with %s changed: %+v", what, r)
					}
				}
			})
		}
	}
}

func TestOthersReadOurAuthenticationResults(t *testing.T) {
	begin(t)
	zone := &dnstest.Zone{TXTs: map[string][]string{
		"member.test":                {"v=spf1 ip4:192.0.2.1 -all"},
		"_dmarc.member.test":         {"v=DMARC1; p=quarantine"},
		"gone._domainkey.other.test": {"v=DKIM1; p="},
	}}
	const message = "DKIM-Signature: v=1; a=rsa-sha256; d=other.test; s=gone; h=from; bh=x; b=x\r\nFrom: ann@member.test\r\n\r\nHello\r\n"
	tests := []struct {
		name, reversePath, want string
	}{
		{"of somebody", "ann@member.test", "spf pass None smtp.mailfrom=member.test\ndkim permerror key revoked header.d=other.test header.s=gone\ndmarc pass None header.from=member.test\n"},
		{"of nobody", "", "spf none None smtp.helo=mx.member.test\ndkim permerror key revoked header.d=other.test header.s=gone\ndmarc fail None header.from=member.test\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := mailauth.Checker{Resolver: zone}
			r := c.Check(t.Context(), mailauth.Mail{Remote: netip.MustParseAddr("192.0.2.1"), HELO: "mx.member.test", ReversePath: tt.reversePath,
				Content: strings.NewReader(message), Size: int64(len(message))})
			if got, want := script(t, r.Field("mail.example.org"), "read_authres.py"), fmt.Sprint("mail.example.org\n", tt.want); got != want {
				t.Errorf("python3-authres reads\n%swant\n%s", got, want)
			}
		})
	}
}
