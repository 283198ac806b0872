package delivery_test

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"homing/delivery"
	"homing/internal/dnsx"
	"homing/internal/smtpclient"
	"homing/internal/toynet"
)

// TestToyInternet sends two messages to each domain of the toy internet, over
// sockets, with real DNS and TLS, and compares both ledgers: what we call
// delivered was accepted once, and what was accepted is not called anything
// else unless the MX went before it could say so. The second message may be
// given back where the MX lost two connections over the first. It does all this
// once more with every domain listed for whole transactions: then the peers
// that misbehave leave some in doubt whose envelope would have been refused, and
// nobody is told anything else.
func TestToyInternet(t *testing.T) {
	t.Run("plainly", func(t *testing.T) { throughToyInternet(t, 0, nil) })
	t.Run("whole", func(t *testing.T) {
		throughToyInternet(t, 4, map[string]string{
			"closedata.test": "dot: 250", // nobody says DATA
			"closemail.test": "dot: we say 451 4.4.2", "mixed.test": "dot: we say 451 4.5.0", "extra.test": "dot: we say 451 4.5.0", "deaf.test": "dot: we say 451 4.4.2",
		})
	})
}

// throughToyInternet has a window where it is not 0; otherwise says how messages
// end then that end in another way without.
func throughToyInternet(t *testing.T, window int, otherwise map[string]string) {
	const soon = 300 * time.Millisecond
	toys, err := toynet.Everyday(time.Hour).And(toynet.Misbehaving(soon / 4)).Open()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- toys.Run(ctx) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()

	// How messages end, by domain.
	want := map[string]string{
		"accepts.test": "dot: 250", "unknown.test": "rcpt: 550 5.1.1", "disabled.test": "rcpt: 550 5.2.1", "full.test": "rcpt: 552 5.2.2",
		"greylist.test": "rcpt: 450 4.7.1", "down.test": "connect: we say 451 4.4.1", "nohost.test": "resolve: we say 550 5.1.2",
		"nullmx.test": "resolve: we say 556 5.1.10", "busy.test": "connect: 421 4.7.0", "blocks.test": "rcpt: 554 5.7.1", "spam.test": "dot: 554 5.7.1",
		"later.test": "dot: 250", "exim.test": "dot: 250", "exchange.test": "dot: 250", "delays.test": "dot: 250", "complains.test": "dot: 250",
		"vacation.test": "dot: 250", "replies.test": "dot: 250", "leaves.test": "dot: 250",
		"silent.test": "connect: we say 451 4.4.2", "refuses.test": "connect: 421 4.3.2", "slams.test": "connect: we say 451 4.4.2",
		"garbage.test": "connect: we say 451 4.5.0", "big.test": "connect: we say 451 4.5.0", "line.test": "connect: we say 451 4.5.0",
		"endless.test": "ehlo: we say 451 4.5.0", "drip.test": "connect: we say 451 4.4.2", "closemail.test": "mail: we say 451 4.4.2",
		"closedata.test": "data: we say 451 4.4.2", "closedot.test": "dot: we say 451 4.4.2", "mutedot.test": "dot: we say 451 4.4.2",
		"mixed.test": "rcpt: we say 451 4.5.0", "extra.test": "rcpt: we say 451 4.5.0", "notls.test": "dot: 250", "badtls.test": "dot: 250", "deaf.test": "dot: 250",
		"noquit.test": "dot: 250",
	}
	maps.Copy(want, otherwise)
	w := newWorld(t)
	for domain := range want {
		w.job(domain, "ann@"+domain, "bob@"+domain)
	}
	resolver, err := dnsx.New(dnsx.Options{Servers: []string{toys.DNSAddr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	c := w.config()
	c.Resolver, c.Dial = resolver, nil
	c.Options.Port, c.Options.AllowNetworks = toys.Port(), []netip.Prefix{toys.Network()}
	if c.Options.Window = window; window > 0 {
		c.Options.WindowSites = slices.Collect(maps.Keys(want))
	}
	c.Options.Timeouts = delivery.Timeouts{Connect: soon, Idle: soon, Timeouts: smtpclient.Timeouts{
		Greeting: soon, Hello: 10 * soon, TLS: 10 * soon, Mail: soon, Rcpt: soon, Data: soon, Block: soon, Dot: soon, Reset: soon, Quit: soon}}
	w.run(c, len(want))

	got := w.outcomes()
	accepted := map[string]int{}
	for _, r := range toys.Receipts.All() {
		if r.Accepted() {
			accepted[r.To]++
		}
	}
	for domain, prefix := range want {
		for _, to := range []string{"ann@" + domain, "bob@" + domain} {
			givenBack := got[to] == "" && strings.HasPrefix(to, "bob") && strings.Contains(prefix, "we say 451")
			plainly := strings.HasPrefix(to, "bob") && otherwise[domain] != "" // after what became of the first
			// Whoever closes after 354 is noticed while the message is written, or
			// when it has been.
			unnoticed := domain == "closedata.test" && strings.HasPrefix(got[to], "dot: we say 451 4.4.2")
			if !strings.HasPrefix(got[to], prefix) && !givenBack && !plainly && !unnoticed {
				t.Errorf("%s\ngot  %q\nwant %q", to, got[to], prefix)
			}
			delivered := strings.HasPrefix(got[to], "dot: 250")
			mute := slices.Contains([]string{"closedot.test", "mutedot.test"}, domain) || window > 0 && strings.HasPrefix(got[to], "dot: we say 451")
			if delivered != (accepted[to] == 1) && !mute {
				t.Errorf("%s was accepted %d times, and we say %q", to, accepted[to], got[to])
			}
		}
	}
}
