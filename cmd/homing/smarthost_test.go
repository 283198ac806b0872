package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"homing/internal/toynet"
	"homing/server/web"
)

// TestMailOfADomainWithASmarthostGoesThere gives one of two sending domains a
// smarthost, live, and takes it away again.
func TestMailOfADomainWithASmarthostGoesThere(t *testing.T) {
	s := newStand(t, "[[domain]]\nname = \"shop.example\"\nreturn_path = \"return@bounce.shop.example\"\nsinks = [\"hooks\"]\n")
	reload := func() {
		t.Helper()
		text, _ := s.log.read()
		s.hup <- os.Interrupt
		s.log.wait(t, len(text), "configuration reloaded")
	}
	s.change(t, `domains = ["example.org"]`, `domains = ["example.org", "shop.example"]`)
	// The table of the domain is the last one of the file.
	plain, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	relay := fmt.Sprintf("[domain.smarthost]\naddress = %q\ntls = \"none\"\nmax_per_hour = 100\n", s.net.HostAddr("relay.test"))
	for round, tt := range []struct{ more, want, shop, others string }{
		{relay, "club1@relayed.test by direct.test, shop1@relayed.test by relay.test",
			"Mail for relayed.test from shop.example goes to the site smarthost:shop.example: that smarthost of the configuration gets all such mail.",
			"Mail from shop.example goes another way; --from explains it."},
		{"", "club2@relayed.test by direct.test, shop2@relayed.test by direct.test",
			"Mail for relayed.test from shop.example goes to the site direct.test: that is the organisation of its mail host direct.test[", ""},
	} {
		if err := os.WriteFile(s.config, append(slices.Clone(plain), tt.more...), 0o600); err != nil {
			t.Fatal(err)
		}
		reload()
		var to []string
		for _, from := range []string{"club", "shop"} {
			s.client.From = map[string]string{"club": "news@example.org", "shop": "news@shop.example"}[from]
			to = append(to, fmt.Sprintf("%s%d@relayed.test", from, round+1))
			if err := s.mail(10*round+len(to), to[len(to)-1]); err != nil {
				t.Fatal(err)
			}
		}
		if got := s.hostsOf(t, to...); got != tt.want {
			t.Errorf("%s; want %s", got, tt.want)
		}
		if got := s.explained(t, "shop.example"); !strings.Contains(got, tt.shop) || strings.Contains(got, "another way") {
			t.Errorf("from shop.example: %s, want %s", got, tt.shop)
		}
		if got := s.explained(t, ""); !strings.Contains(got, tt.others) || !strings.Contains(got, "goes to the site direct.test") {
			t.Errorf("from elsewhere: %s, want %s", got, tt.others)
		}
	}
}

// explained is how relayed.test is explained.
func (s *stand) explained(t *testing.T, from string) string {
	t.Helper()
	var e web.Explanation
	if err := s.control().call(t.Context(), http.MethodGet, "/api/v1/queue/explain", url.Values{"domain": {"relayed.test"}, "from": {from}}, nil, &e); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := printExplanation(&b, e); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// hostsOf says which host took the mail for addresses.
func (s *stand) hostsOf(t *testing.T, addresses ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	hosts := map[string]string{}
	err := s.net.Receipts.Wait(ctx, func(all []toynet.Receipt) bool {
		for _, r := range all {
			if r.Accepted() {
				hosts[r.To] = r.Host
			}
		}
		for _, a := range addresses {
			if hosts[a] == "" {
				return false
			}
		}
		return true
	})
	if err != nil {
		t.Fatalf("not all of %v were taken, but %v: %v", addresses, hosts, err)
	}
	var words []string
	for _, a := range addresses {
		words = append(words, fmt.Sprintf("%s by %s", a, hosts[a]))
	}
	return strings.Join(words, ", ")
}

// TestASmarthostGetsNoMoreThanItsHourlyLimit sends more than the
// configuration allows to go there in an hour, which is spread over it.
func TestASmarthostGetsNoMoreThanItsHourlyLimit(t *testing.T) {
	s := newStand(t, "")
	plain, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	relay := fmt.Sprintf("\n[delivery.smarthost]\naddress = %q\ntls = \"none\"\nmax_per_hour = 2\n", s.net.HostAddr("relay.test"))
	if err := os.WriteFile(s.config, append(plain, relay...), 0o600); err != nil {
		t.Fatal(err)
	}
	text, _ := s.log.read()
	s.hup <- os.Interrupt
	s.log.wait(t, len(text), "configuration reloaded")
	for n := range 3 {
		if err := s.mail(n+1, fmt.Sprintf("member%d@relayed.test", n)); err != nil {
			t.Fatal(err)
		}
	}
	s.hostsOf(t, "member0@relayed.test")
	got := s.explained(t, "")
	for _, want := range []string{"2 messages an hour", "max_per_hour of the smarthost", "Now: the limit of messages in a length of time is reached."} {
		if !strings.Contains(got, want) {
			t.Errorf("it is not said that %q:\n%s", want, got)
		}
	}
	if all := s.net.Receipts.All(); len(all) > 2 {
		t.Errorf("%d messages went there, want 2 at most", len(all))
	}
}
