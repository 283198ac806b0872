package dnsx

import "golang.org/x/net/publicsuffix"

// Organisation gives the organisational domain of a host name in its canonical
// spelling: the registered domain by the public suffix list, or the name itself
// where the list knows none.
func Organisation(name string) string {
	if d, err := publicsuffix.EffectiveTLDPlusOne(name); err == nil {
		return d
	}
	return name
}
