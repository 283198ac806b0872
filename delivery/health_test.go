package delivery

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func TestHealth(t *testing.T) {
	at := netip.MustParseAddrPort("198.51.100.1:25")
	t.Run("rests double up to an hour, and end with an answer", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var m health
			for _, want := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute, 32 * time.Minute, time.Hour, time.Hour} {
				m.missed(at)
				m.missed(at) // another job found out the same
				<-time.After(want - time.Second)
				if !m.resting(at) {
					t.Errorf("back before %v", want)
				}
				<-time.After(time.Second)
				if m.resting(at) || !m.resting(at) {
					t.Errorf("after %v one is to find out, and nobody else", want)
				}
			}
			m.well(at)
			if m.resting(at) {
				t.Error("rests although it answered")
			}
			m.missed(at)
			<-time.After(time.Minute)
			if m.resting(at) {
				t.Error("what it did before it answered counts")
			}
		})
	})
	t.Run("who was to find out and never said is followed after a minute", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var m health
			m.missed(at)
			<-time.After(time.Minute)
			if m.resting(at) || !m.resting(at) {
				t.Error("not one finds out")
			}
			<-time.After(time.Minute)
			if m.resting(at) {
				t.Error("nobody else ever finds out")
			}
		})
	})
	t.Run("lessons and rests are forgotten an hour later", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var m health
			m.learn(at, tlsFailed)
			m.missed(at)
			m.learn(at, pipeliningFailed)
			if l := m.about(at); !l.noTLS || l.noPipelining() || !m.resting(at) {
				t.Errorf("%+v", l)
			}
			<-time.After(time.Hour)
			m.learn(at, pipeliningFailed)
			if l := m.about(at); l.noTLS || l.noPipelining() {
				t.Errorf("an hour later: %+v", l)
			}
			<-time.After(2 * time.Hour)
			for range 2 {
				if m.resting(at) {
					t.Error("rests although nobody asked for hours")
				}
			}
		})
	})
	t.Run("memory is bounded, and what says nothing goes first", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var m health
			addr := netip.MustParseAddr("10.0.0.0")
			for range 3 * maxHealth {
				addr = addr.Next()
				m.missed(netip.AddrPortFrom(addr, 25))
			}
			if n := len(m.hosts); n > maxHealth || n < maxHealth/2 {
				t.Errorf("%d hosts are remembered", n)
			}
			last := netip.AddrPortFrom(addr, 25)
			if !m.resting(last) {
				t.Error("the last one is not among them")
			}
		})
	})
	t.Run("a site goes plainly for a day", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var m health
			if !m.whole("example.net") || !m.plainly("example.net", time.Now().Add(plainTime)) || m.plainly("example.net", time.Now().Add(plainTime)) || m.whole("example.net") || !m.whole("example.com") {
				t.Error("not at once, or not alone")
			}
			<-time.After(24 * time.Hour)
			if !m.whole("example.net") {
				t.Error("for ever")
			}
		})
	})
}

func TestWithin(t *testing.T) {
	for _, tt := range []struct {
		name, domain string
		want         bool
	}{
		{"example.net", "example.net", true},
		{"mx.example.net", "example.net", true},
		{"mx.example.net.", "example.net", true},
		{"badexample.net", "example.net", false},
		{"example.net.evil.test", "example.net", false},
		{"net", "example.net", false},
	} {
		if got := within(tt.name, tt.domain); got != tt.want {
			t.Errorf("within(%q, %q) = %v", tt.name, tt.domain, got)
		}
	}
}
