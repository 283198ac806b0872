package report

import "strings"

// HostOf gives the host name in "mx.example.net[198.51.100.7]", or the address
// in its brackets where there is no name.
func HostOf(remoteMTA string) string {
	name, _, _ := strings.Cut(remoteMTA, "[")
	if name = strings.TrimSpace(name); name != "" {
		return name
	}
	return remoteMTA
}

// StatusOr gives an enhanced status code (RFC 3463 section 2) back, and
// otherwise where it is none.
func StatusOr(status, otherwise string) string {
	class, rest, ok := strings.Cut(status, ".")
	subject, detail, ok2 := strings.Cut(rest, ".")
	if !ok || !ok2 || class != "2" && class != "4" && class != "5" || !isNumber(subject) || !isNumber(detail) {
		return otherwise
	}
	return status
}

func isNumber(s string) bool {
	return len(s) >= 1 && len(s) <= 3 && strings.Trim(s, "0123456789") == ""
}
