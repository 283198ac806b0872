package mailauth

// Read gives what a field says of each method, for tests.
func Read(value string) (summary string, ok bool) {
	r, ok := readResults(value)
	summary = r.host
	for _, m := range r.methods {
		summary += " " + m.method + "=" + m.result
	}
	return summary, ok
}

// Shown is how the name of a host comes back.
func Shown(host string) string {
	text, _ := unquote(quoted(host))
	return text
}
