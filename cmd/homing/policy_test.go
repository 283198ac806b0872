package main

import (
	"slices"
	"testing"

	"homing/config"
	"homing/internal/dnsx/dnstest"
)

func TestWarmAddressesAreThoseThatMailIsSentFrom(t *testing.T) {
	cfg := &config.Config{}
	cfg.Delivery.SourceAddresses = dnstest.Addrs("198.51.100.1", "2001:db8::1", "2001:db8::2")
	cfg.Delivery.WarmAddresses = dnstest.Addrs("198.51.100.1", "2001:db8::2")
	o := queueOptions(cfg)
	for _, source := range o.Limits.Sources {
		if !slices.Contains(o.Warmup.Warm, source) {
			t.Errorf("%s is none of the warm ones, which are %v", source, o.Warmup.Warm)
		}
	}
}
