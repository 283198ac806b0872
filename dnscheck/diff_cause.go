package dnscheck

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"homing/internal/dnsx"
)

// cause says what is known of why a record is not there as it is wanted, or
// what must be thought of before it is changed; "": nothing.
func cause(ctx context.Context, r Resolver, d Difference) string {
	for _, look := range []func(context.Context, Resolver, Difference) string{withdrawn, lengthened, aliased, astray} {
		if note := look(ctx, r, d); note != "" {
			return note
		}
	}
	return ""
}

// withdrawn warns of publishing a key again that somebody has taken back (RFC
// 6376 section 3.6.1).
func withdrawn(_ context.Context, _ Resolver, d Difference) string {
	revoked := func(text string) bool { _, err := keyRecordOf(text); return errors.Is(err, errRevoked) }
	if d.Purpose != ForDKIM || !slices.ContainsFunc(d.From, revoked) {
		return ""
	}
	return "the key was withdrawn: publish it again only if that was a mistake; if others may have it, make a new one under another selector"
}

// lengthened finds a host in a value to which a web page has added the zone.
func lengthened(ctx context.Context, r Resolver, d Difference) string {
	wanted := strings.TrimSuffix(d.Value, ".")
	there := d.From
	switch d.Type {
	case "MX":
		wanted = hostOf(wanted)
	case "CNAME":
		if of := aliasOf(ctx, r, d.Name); of != "" {
			there = []string{of}
		}
	case "PTR":
	default:
		return ""
	}
	zone := d.Zone
	if zone == "" {
		zone = dnsx.Organisation(wanted)
	}
	for _, value := range there {
		if d.Type == "MX" {
			value = hostOf(value)
		}
		if strings.TrimSuffix(value, ".") == wanted+"."+zone {
			return fmt.Sprintf("it is %s.%s now: the web page has added the zone, so enter the value with a dot at its end, %s.", wanted, zone, wanted)
		}
	}
	return ""
}

// aliased finds an alias at the name of a record, which suffers no other beside
// it (RFC 1034 section 3.6.2).
func aliased(ctx context.Context, r Resolver, d Difference) string {
	of := aliasOf(ctx, r, d.Name)
	switch {
	case of == "":
		return ""
	case d.Type == "CNAME":
		return "it is an alias of " + of + " now"
	}
	return "the name is an alias (CNAME) of " + of + ", beside which no other record counts: take that away first, or, where a service needs it, choose another name; " +
		"one of a wildcard (*) can stay"
}

// astray finds a record under its name with the zone added once more, which
// some web pages do to names that are entered in full.
func astray(ctx context.Context, r Resolver, d Difference) string {
	if d.Zone == "" || d.Type == "CNAME" {
		return ""
	}
	wrong := d.Record
	wrong.Name += "." + d.Zone
	found, err := lookUp(ctx, r, wrong)
	// A wildcard answers as well, mostly with something else.
	if err != nil || !slices.ContainsFunc(found, func(value string) bool { return d.Purpose == ForDMARC || same(wrong, value) }) {
		return ""
	}
	return fmt.Sprintf("it stands at %s: the web page adds the zone by itself, so enter the name as \"%s\"", wrong.Name, d.Relative())
}

// aliasOf gives what a name is an alias of; "": it is none, as far as the
// resolver tells.
func aliasOf(ctx context.Context, r Resolver, name string) string {
	aliaser, ok := r.(Aliaser)
	if !ok {
		return ""
	}
	of, err := aliaser.Alias(ctx, name)
	if err != nil {
		return ""
	}
	return of
}
