package dnscheck

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"homing/internal/nearest"
)

// A dmarcRecord is what counts of a policy (RFC 7489 section 6.3).
type dmarcRecord struct {
	policy, subPolicy string // "none", "quarantine", "reject"
	strictDKIM        bool
	strictSPF         bool
	percent           int
	reports           []string // addresses of rua, in lower case
	unusable          []string // URIs that nobody can report to
	unknown           string   // a tag that is probably misspelt
}

// dmarcTags are those of RFC 7489 and RFC 9091, and t of what is to replace them.
var dmarcTags = []string{"v", "p", "sp", "np", "adkim", "aspf", "pct", "rua", "ruf", "fo", "rf", "ri", "psd", "t"}

var dmarcPolicies = []string{"none", "quarantine", "reject"}

// dmarcRecordOf reads a policy. An error is something for which receivers take
// the record for none, or take its word for another than it says.
func dmarcRecordOf(text string) (d dmarcRecord, err error) {
	tags, err := tagsOf(text)
	switch {
	case err != nil:
		return d, err
	case len(tags) == 0 || tags[0] != (tag{"v", "DMARC1"}):
		return d, errors.New(`it must begin with "v=DMARC1", in capitals`)
	case len(tags) < 2 || tags[1].name != "p":
		return d, errors.New("p must be the second tag")
	}
	for _, t := range tags {
		if err := validTag(t); err != nil {
			return d, err
		}
		if !slices.Contains(dmarcTags, t.name) {
			d.unknown = t.name
		}
	}
	d.policy = strings.ToLower(tags[1].value)
	d.subPolicy = strings.ToLower(tags.get("sp", d.policy))
	d.strictDKIM = strings.EqualFold(tags.get("adkim", ""), "s")
	d.strictSPF = strings.EqualFold(tags.get("aspf", ""), "s")
	d.percent, _ = strconv.Atoi(tags.get("pct", "100")) // validTag has read it
	for uri := range strings.SplitSeq(tags.get("rua", ""), ",") {
		d.addReceiver(strings.TrimSpace(uri))
	}
	return d, nil
}

func (d *dmarcRecord) addReceiver(uri string) {
	address := receiver(uri)
	switch _, domain, ok := strings.Cut(address, "@"); {
	case uri == "":
	case ok && domain != "" && strings.HasPrefix(strings.ToLower(uri), "mailto:"):
		d.reports = append(d.reports, address)
	default:
		d.unusable = append(d.unusable, uri)
	}
}

// validTag checks the value of a tag by RFC 7489 section 6.4.
func validTag(t tag) error {
	value := strings.ToLower(t.value)
	valid := true
	switch t.name {
	case "p", "sp", "np":
		valid = slices.Contains(dmarcPolicies, value)
	case "adkim", "aspf":
		valid = value == "r" || value == "s"
	case "pct":
		n, err := strconv.Atoi(value)
		valid = err == nil && n >= 0 && n <= 100
	case "ri":
		_, err := strconv.ParseUint(value, 10, 32)
		valid = err == nil
	case "fo":
		valid = value != "" && !slices.ContainsFunc(colonList(value), func(o string) bool { return !strings.Contains("01ds", o) || len(o) != 1 })
	case "rua", "ruf":
		for uri := range strings.SplitSeq(t.value, ",") {
			u, err := url.Parse(strings.TrimSpace(uri))
			valid = valid && err == nil && u.Scheme != ""
		}
	}
	switch {
	case valid:
		return nil
	case t.name == "rua" || t.name == "ruf":
		return fmt.Errorf("%s=%.80s: an address is written as mailto:reports@example.org", t.name, t.value)
	}
	return fmt.Errorf("%s=%.40s is not a value of %s", t.name, t.value, t.name)
}

// meant says of a tag that nobody knows which one was meant.
func meant(name string) string {
	if w := nearest.Word(name, dmarcTags); w != "" && len(name) > 1 {
		return fmt.Sprintf("; was %s meant?", w)
	}
	return ""
}
