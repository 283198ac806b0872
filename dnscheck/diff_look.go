package dnscheck

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"homing/internal/dnsx"
)

// lookUp gives what is published of the kind of a record at its name, in the
// form of Record.Value. Its only error that says nothing about the zone is
// dnsx.ErrTemporary.
func lookUp(ctx context.Context, r Resolver, w Record) (found []string, err error) {
	switch w.Type {
	case "A", "AAAA":
		return addresses(ctx, r, w)
	case "CNAME":
		return alias(ctx, r, w)
	case "MX":
		records, err := r.MX(ctx, w.Name)
		for _, mx := range records {
			found = append(found, mxText(mx))
		}
		return found, err
	case "TLSA":
		records, err := r.TLSA(ctx, w.Name)
		for _, t := range records {
			found = append(found, tlsaText(t))
		}
		return found, err
	case "PTR":
		names, err := r.PTR(ctx, w.address)
		for _, name := range names {
			found = append(found, name+".")
		}
		return found, err
	}
	texts, err := r.TXT(ctx, w.Name)
	switch w.Purpose {
	case ForSPF:
		return spfsIn(texts), err
	case ForDMARC:
		return policiesIn(texts), err
	}
	return slices.DeleteFunc(texts, func(t string) bool { return !kin(w.Purpose, t) }), err
}

func addresses(ctx context.Context, r Resolver, w Record) (found []string, err error) {
	addrs, err := r.Addrs(ctx, w.Name)
	if wanted, other := netip.ParseAddr(w.Value); err == nil && other == nil && !near(wanted) {
		addrs, err = withoutNear(w.Name, addrs)
	}
	for _, a := range addrs {
		if a.Is6() == (w.Type == "AAAA") {
			found = append(found, a.String())
		}
	}
	return found, err
}

// alias gives the value of an alias that leads where it should, whether by a
// CNAME or by addresses of its own; else the addresses that it leads to.
func alias(ctx context.Context, r Resolver, w Record) (found []string, err error) {
	there, err := r.Addrs(ctx, w.Name)
	if err != nil {
		return nil, err
	}
	wanted, err := r.Addrs(ctx, strings.TrimSuffix(w.Value, "."))
	if err != nil && errors.Is(err, dnsx.ErrTemporary) {
		return nil, err
	}
	if slices.ContainsFunc(there, func(a netip.Addr) bool { return slices.Contains(wanted, a) }) {
		return []string{w.Value}, nil
	}
	for _, a := range there {
		found = append(found, a.String())
	}
	return found, nil
}

// kin reports whether a text is of the kind that records of a purpose are.
func kin(p Purpose, text string) bool {
	switch p {
	case ForConsent:
		return isDMARC(text)
	case ForSTS:
		return stsID(text) != ""
	case ForTLSRPT:
		return isTLSRPT(text)
	}
	return true // a key may leave its version out (RFC 6376 section 3.6.1)
}

// same reports whether a published value is as good as the wanted one.
func same(w Record, value string) bool {
	switch w.Purpose {
	case ForConsent:
		return true
	case ForMX:
		return hostOf(value) == hostOf(w.Value)
	case ForDKIM:
		return keyOf(value) == keyOf(w.Value)
	case ForSTS:
		return stsID(value) == stsID(w.Value)
	case ForSPF:
		return isSPF(value) && slices.Equal(strings.Fields(value), strings.Fields(w.Value))
	case ForDMARC, ForTLSRPT:
		return strings.Join(strings.Fields(value), " ") == strings.Join(strings.Fields(w.Value), " ")
	}
	return strings.EqualFold(value, w.Value)
}

// hostOf gives the host of the text of an MX.
func hostOf(mx string) string {
	_, host, _ := strings.Cut(mx, " ")
	return strings.ToLower(host)
}

// keyOf gives what matters of a key's record: the algorithm and the key (RFC
// 6376 section 3.6.1). One that is withdrawn is no key.
func keyOf(text string) string {
	algorithm := strings.ToLower(tagOf(text, "k"))
	if algorithm == "" {
		algorithm = "rsa"
	}
	return algorithm + " " + strings.Join(strings.Fields(tagOf(text, "p")), "")
}
