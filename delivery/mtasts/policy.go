// Package mtasts finds, checks and remembers the MTA-STS policies of domains
// (RFC 8461): by which a domain says that its mail hosts do TLS with
// certificates that anybody can verify, and which hosts they are.
package mtasts

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"homing/internal/dnsx"
)

// A Mode says what is done where a policy cannot be met.
type Mode string

// The modes of RFC 8461 section 5.
const (
	Enforce Mode = "enforce" // mail does not go there
	Testing Mode = "testing" // mail goes there all the same, and it is reported
	None    Mode = "none"    // as if there were no policy
)

// A Policy is what a domain says of its mail hosts (RFC 8461 section 3.2).
type Policy struct {
	Mode   Mode          `json:"mode"`
	MX     []string      `json:"mx,omitempty"` // lower case; "*.example.net" is any one label more
	MaxAge time.Duration `json:"max_age"`
}

// Limits of a policy.
const (
	maxOctets = 64 << 10                   // of the text
	maxMXs    = 200                        // patterns
	longest   = 31_557_600                 // the largest max_age in seconds, a year
	shortest  = time.Minute                // a smaller max_age would be a fetch for each message
	maxLine   = 1000                       // octets; the longest name has 253
	prefix    = "_mta-sts."                // where the TXT record is
	host      = "mta-sts."                 // where the policy is
	path      = "/.well-known/mta-sts.txt" // and there
)

// ErrInvalid says that a text is no policy.
var ErrInvalid = errors.New("not a valid MTA-STS policy")

// Match reports whether a policy lists a mail host, by the rules of RFC 8461
// section 4.1: a wildcard stands for the whole leftmost label and nothing
// else.
func (p Policy) Match(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	_, parent, _ := strings.Cut(host, ".")
	for _, pattern := range p.MX {
		above, wildcard := strings.CutPrefix(pattern, "*.")
		if wildcard && above == parent || !wildcard && pattern == host {
			return true
		}
	}
	return false
}

// Lines are the policy as reports show it (RFC 8460 section 4.2).
func (p Policy) Lines() []string {
	lines := []string{"version: STSv1", "mode: " + string(p.Mode)}
	for _, mx := range p.MX {
		lines = append(lines, "mx: "+mx)
	}
	return append(lines, fmt.Sprintf("max_age: %d", p.MaxAge/time.Second))
}

// ParsePolicy reads the text of a policy (RFC 8461 section 3.2). Of a field
// that stands there twice the first counts, mx aside; fields that it does not
// know are passed over. Every error is ErrInvalid.
func ParsePolicy(text []byte) (Policy, error) {
	var p Policy
	if len(text) > maxOctets {
		return p, fmt.Errorf("%w: it has more than %d octets", ErrInvalid, maxOctets)
	}
	fields := map[string]string{}
	for line := range strings.SplitSeq(string(text), "\n") {
		line = strings.TrimRight(strings.TrimSuffix(line, "\r"), " \t")
		if line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		value = strings.Trim(value, " \t")
		if !ok || !fieldName(name) || value == "" || len(line) > maxLine {
			return Policy{}, fmt.Errorf("%w: the line %.60q is no field", ErrInvalid, line)
		}
		if _, twice := fields[name]; name != "mx" && !twice {
			fields[name] = value
		} else if name == "mx" {
			if err := p.addMX(value); err != nil {
				return Policy{}, err
			}
		}
	}
	return p.with(fields)
}

// with fills in the fields that stand there once.
func (p Policy) with(fields map[string]string) (Policy, error) {
	p.Mode = Mode(fields["mode"])
	seconds, err := strconv.ParseUint(fields["max_age"], 10, 64)
	switch {
	case fields["version"] != "STSv1":
		return Policy{}, fmt.Errorf("%w: its version is %.60q and not \"STSv1\"", ErrInvalid, fields["version"])
	case p.Mode != Enforce && p.Mode != Testing && p.Mode != None:
		return Policy{}, fmt.Errorf("%w: there is no mode %.60q", ErrInvalid, fields["mode"])
	case err != nil || len(fields["max_age"]) > 10:
		return Policy{}, fmt.Errorf("%w: %.60q is no max_age", ErrInvalid, fields["max_age"])
	case len(p.MX) == 0 && p.Mode != None:
		return Policy{}, fmt.Errorf("%w: it lists no mx", ErrInvalid)
	}
	p.MaxAge = time.Duration(min(seconds, longest)) * time.Second
	return p, nil
}

func (p *Policy) addMX(pattern string) error {
	name, wildcard := strings.CutPrefix(pattern, "*.")
	canonical, err := dnsx.Canonical(name)
	if err != nil || strings.Contains(canonical, "*") || !strings.EqualFold(strings.TrimSuffix(name, "."), canonical) {
		return fmt.Errorf("%w: %.80q is no mx", ErrInvalid, pattern)
	}
	if len(p.MX) == maxMXs {
		return fmt.Errorf("%w: it lists more than %d mx", ErrInvalid, maxMXs)
	}
	if wildcard {
		canonical = "*." + canonical
	}
	p.MX = append(p.MX, canonical)
	return nil
}

// fieldName reports whether a field may be called so (RFC 8461 section 3.2,
// sts-policy-ext-name).
func fieldName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !alphanumeric(c) && (i == 0 || c != '_' && c != '-' && c != '.') {
			return false
		}
	}
	return s != "" && len(s) <= 32
}

func alphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// ParseRecord gives the id of the policy that a domain has, by the TXT records
// of "_mta-sts." and its name (RFC 8461 section 3.1); "" where it has none, or
// says so in a way that does not count.
func ParseRecord(texts []string) (id string) {
	var found []string
	for _, text := range texts {
		if rest, ok := strings.CutPrefix(text, "v=STSv1"); ok && strings.HasPrefix(strings.TrimLeft(rest, " \t"), ";") {
			found = append(found, rest)
		}
	}
	if len(found) != 1 {
		return ""
	}
	for field := range strings.SplitSeq(found[0], ";") {
		field = strings.Trim(field, " \t")
		name, value, ok := strings.Cut(field, "=")
		switch {
		case field == "":
		case !ok || !fieldName(name) || value == "" || strings.ContainsAny(value, " \t="):
			return ""
		case name == "id" && id == "":
			if id = value; len(id) > 32 || strings.ContainsFunc(id, func(r rune) bool { return r >= 0x80 || !alphanumeric(byte(r)) }) {
				return ""
			}
		}
	}
	return id
}
