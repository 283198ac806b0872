package tlsrpt

import (
	"net/mail"
	"net/url"
	"strings"
)

// maxReceivers is how many URIs of a record are reported to.
const maxReceivers = 5

// ParseRecord gives the receivers of reports that a domain names, by the TXT
// records of "_smtp._tls." and its name (RFC 8460 section 3): "mailto:" with
// an address, or "https:". None where the domain has no record, two, or one
// that does not count. Receivers of other kinds are passed over.
func ParseRecord(texts []string) []string {
	var found []string
	for _, text := range texts {
		if rest, ok := strings.CutPrefix(text, "v=TLSRPTv1"); ok && strings.HasPrefix(strings.TrimLeft(rest, " \t"), ";") {
			found = append(found, rest)
		}
	}
	if len(found) != 1 {
		return nil
	}
	for field := range strings.SplitSeq(found[0], ";") {
		name, value, ok := strings.Cut(strings.Trim(field, " \t"), "=")
		if ok && strings.Trim(name, " \t") == "rua" {
			return receivers(value)
		}
	}
	return nil
}

func receivers(list string) []string {
	var out []string
	for uri := range strings.SplitSeq(list, ",") {
		uri = strings.Trim(uri, " \t")
		if len(uri) > 500 || len(out) == maxReceivers || address(uri) == "" && !web(uri) {
			continue
		}
		out = append(out, uri)
	}
	return out
}

// address gives the address of a "mailto:"; "" for anything else.
func address(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || !strings.EqualFold(u.Scheme, "mailto") || u.Opaque == "" {
		return ""
	}
	to, err := url.PathUnescape(u.Opaque)
	if err != nil {
		return ""
	}
	if a, err := mail.ParseAddress(to); err != nil || a.Address != to || strings.ContainsFunc(to, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return ""
	}
	return to
}

func web(uri string) bool {
	u, err := url.Parse(uri)
	return err == nil && strings.EqualFold(u.Scheme, "https") && u.Hostname() != "" && u.User == nil
}
