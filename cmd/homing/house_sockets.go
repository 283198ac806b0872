package main

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"homing/config"
	"homing/internal/systemd"
)

// socketNames are the names by which a listener can be handed over.
var socketNames = []string{"smtp", "submission", "submissions", "lmtp", "local", "http", "https", "pop3", "pop3s"}

// take gives each plan the socket that was handed over for it: first by the
// address, then by the name. One that nothing listens on is an error: whoever
// hands it over counts on it.
func take(plans []plan, sockets []systemd.Socket) (map[int]net.Listener, error) {
	taken := map[int]net.Listener{}
	left := slices.Clone(sockets)
	for _, fits := range []func(plan, systemd.Socket) bool{byAddress, byName} {
		for i, p := range plans {
			if taken[i] != nil || p.what == listenControl {
				continue
			}
			if j := slices.IndexFunc(left, func(s systemd.Socket) bool { return fits(p, s) }); j >= 0 {
				taken[i] = left[j].Listener
				left = slices.Delete(left, j, j+1)
			}
		}
	}
	var errs []error
	for _, s := range left {
		errs = append(errs, unused(s))
	}
	return taken, errors.Join(errs...)
}

// byName reports whether a socket has the name of a plan.
func byName(p plan, s systemd.Socket) bool { return s.Name == p.what }

// byAddress reports whether a socket is at the address of a plan, and named for
// nothing else.
func byAddress(p plan, s systemd.Socket) bool {
	at := addressOf(s)
	return (s.Name == p.what || !slices.Contains(socketNames, s.Name)) && p.address.Covers(at) && at.Covers(p.address)
}

// addressOf is where a socket is, as the configuration has it.
func addressOf(s systemd.Socket) config.Address {
	return config.Address{Network: s.Addr().Network(), Address: s.Addr().String()}
}

func unused(s systemd.Socket) error {
	at := addressOf(s)
	if slices.Contains(socketNames, s.Name) {
		return fmt.Errorf("the service manager hands over %s as %s, and listen.%[2]s has no address for it: write %s in [listen], or remove the socket's unit", at, s.Name, asListed(s.Name, at))
	}
	return fmt.Errorf("the service manager hands over %s, and nothing listens there: write the address in [listen], remove it from the unit %s, or give it a unit with FileDescriptorName= one of %s",
		at, s.Name, strings.Join(socketNames, ", "))
}

// asListed writes an address as a key of [listen].
func asListed(name string, at config.Address) string {
	if name == "local" {
		return fmt.Sprintf("local = %q", at)
	}
	return fmt.Sprintf("%s = [%q]", name, at)
}
