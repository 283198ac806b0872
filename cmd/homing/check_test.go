package main

import (
	"crypto/ed25519"
	"encoding/base64"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/dnscheck"
	"homing/internal/dnsx"
	"homing/internal/dnsx/dnstest"
	"homing/server/selfcheck"
	"homing/server/web"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestWhatACheckSays shows what people read of some worlds: golden files in
// testdata/check.
func TestWhatACheckSays(t *testing.T) {
	key := "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey))
	here := netip.MustParseAddr("203.0.113.10")
	setup := dnscheck.Setup{Hostname: "mail.example.org", Addresses: []netip.Addr{here}, Returns: []string{"bounce.example.org"}, Reports: "reports@bounce.example.org",
		Domains: []dnscheck.Domain{{Name: "example.org", Return: "bounce.example.org", Keys: []dnscheck.Key{{Selector: "homing2", Record: key}}}}}
	published := func() *dnstest.Zone {
		return &dnstest.Zone{
			MXs:   map[string][]dnsx.MX{"bounce.example.org": dnstest.MXs("mail.example.org"), "example.org": dnstest.MXs("smtp.google.com")},
			Hosts: map[string][]netip.Addr{"mail.example.org": {here}, "iana.org": dnstest.Addrs("192.0.43.8")},
			TXTs: map[string][]string{
				"bounce.example.org": {"v=spf1 ip4:203.0.113.10 -all"}, "mail.example.org": {"v=spf1 ip4:203.0.113.10 -all"},
				"homing2._domainkey.example.org": {key}, "_dmarc.example.org": {"v=DMARC1; p=none; rua=mailto:reports@bounce.example.org"},
			},
			PTRs: map[netip.Addr][]string{here: {"mail.example.org"}}, Signed: map[string]bool{"iana.org": true}, Down: map[string]bool{},
		}
	}
	for name, change := range map[string]func(z *dnstest.Zone){
		"published": func(*dnstest.Zone) {},
		"nothing": func(z *dnstest.Zone) {
			*z = dnstest.Zone{Hosts: map[string][]netip.Addr{"iana.org": dnstest.Addrs("192.0.43.8")}}
		},
		"spoilt": func(z *dnstest.Zone) {
			z.MXs["bounce.example.org"] = dnstest.MXs("smtp.google.com")
			z.TXTs["bounce.example.org"] = []string{"v=spf1 ip4:203.0.113.10 -all", "v=spf1 +all"}
			z.TXTs["homing2._domainkey.example.org"] = []string{"v=DKIM1; k=ed25519; p="}
			z.PTRs[here] = []string{"10.113.0.203.dynamic.example.net"}
			z.Down["_dmarc.example.org"] = true
		},
	} {
		t.Run(name, func(t *testing.T) {
			zone := published()
			change(zone)
			var all []selfcheck.Finding
			for _, f := range dnscheck.Run(t.Context(), zone, setup, dnscheck.Options{}) {
				all = append(all, selfcheck.Finding{Finding: f, Since: time.Date(2026, 11, 23, 10, 0, 0, 0, time.Local)})
			}
			var b strings.Builder
			if err := printCheck(&b, web.SelfCheck{Findings: all}, true); err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata/check", name+".golden")
			if *update {
				if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), b.String()); diff != "" {
				t.Errorf("it says something else (-want +got):\n%s", diff)
			}
		})
	}
}
