package dnscheck

import (
	_ "embed"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"homing/internal/dnsx"
)

//go:embed blocklists.toml
var blocklistsFile string

// A List is a DNS block list (RFC 5782) and what is known of it.
type List struct {
	Zone       string    `toml:"zone"` // where it is asked; a key of the operator may stand in it
	Title      string    `toml:"title"`
	Also       []string  `toml:"also"` // zones with the same answers
	Asks       []Family  `toml:"asks"`
	Weight     Weight    `toml:"weight"`
	Needs      Need      `toml:"needs"`
	Keyed      []string  `toml:"keyed"`      // zones with the same answers that stand behind a key, the list's own first
	Registered bool      `toml:"registered"` // has registered domains alone, not hosts
	Test       []string  `toml:"test"`       // entries besides those of RFC 5782 section 5
	Lookup     string    `toml:"lookup"`
	Removal    string    `toml:"removal"`
	Access     string    `toml:"access"`
	Fix        string    `toml:"fix"`
	Reviewed   time.Time `toml:"reviewed"` // zero: nothing is known of the list
	Codes      []Code    `toml:"code"`

	Name       string `toml:"-"` // the zone as findings show it, without the key
	Configured bool   `toml:"-"` // the operator has named it
	Useless    string `toml:"-"` // why it is not to be asked; "": it is
}

// A Family is what a list has entries for.
type Family string

// The families.
const (
	IPv4        Family = "ipv4"
	IPv6        Family = "ipv6"
	DomainNames Family = "domain"
)

// A Weight says what a listing does to mail.
type Weight string

// The weights.
const (
	WeightFail Weight = "fail" // many receivers refuse mail for it
	WeightWarn Weight = "warn" // some do, or take it for one sign among others
	WeightInfo Weight = "info" // hardly anybody refuses mail for it
)

// A Need is what a list wants before it answers.
type Need string

// The needs.
const (
	NeedsNothing      Need = ""
	NeedsRegistration Need = "registration" // of the resolver
	NeedsKey          Need = "key"          // before its zone
)

// A Code is the meaning of some answers of a list: whole addresses, or a bit
// of the last octet.
type Code struct {
	Answers []netip.Addr `toml:"answers"`
	Bit     uint8        `toml:"bit"`
	Kind    Meaning      `toml:"kind"`
	Weight  Weight       `toml:"weight"`
	Words   string       `toml:"words"`
	Fix     string       `toml:"fix"`
}

// A Meaning says what an answer is about.
type Meaning string

// The meanings.
const (
	MeansListed  Meaning = "listed"
	MeansPolicy  Meaning = "policy"  // a listing for the kind of network, not for what was sent
	MeansNeutral Meaning = "neutral" // no listing
	MeansRefused Meaning = "refused" // the list was not asked properly
)

// listFile is blocklists.toml.
type listFile struct {
	Lists []List `toml:"list"`
	Gone  []struct {
		Zone     string    `toml:"zone"`
		Why      string    `toml:"why"`
		Reviewed time.Time `toml:"reviewed"`
	} `toml:"gone"`
}

func readLists(text string) (listFile, error) {
	var f listFile
	if err := toml.NewDecoder(strings.NewReader(text)).DisallowUnknownFields().Decode(&f); err != nil {
		return listFile{}, fmt.Errorf("reading the shipped block lists: %w", err)
	}
	for i := range f.Lists {
		f.Lists[i].Name = f.Lists[i].Zone
	}
	return f, nil
}

// Lists gives the block lists of check.blocklists: nil are those that ship and
// answer without a key, no zone is no list. What is known of a zone stays
// known; any other zone is asked what its test entries say it has. The error
// is one of the shipped file alone.
func Lists(zones []string) ([]List, error) {
	file, err := readLists(blocklistsFile)
	if err != nil {
		return nil, err
	}
	if zones == nil {
		return slices.DeleteFunc(file.Lists, func(l List) bool { return l.Needs == NeedsKey }), nil
	}
	var out []List
	for _, zone := range zones {
		l := file.find(zone)
		if !slices.ContainsFunc(out, func(o List) bool { return o.Zone == l.Zone }) {
			out = append(out, l)
		}
	}
	return out, nil
}

// find gives what is known of a zone that the operator has named.
func (f listFile) find(zone string) List {
	if canonical, err := dnsx.Canonical(zone); err == nil {
		zone = canonical
	}
	for _, g := range f.Gone {
		if zone == g.Zone || strings.HasSuffix(zone, "."+g.Zone) {
			return List{Zone: zone, Name: zone, Configured: true, Useless: g.Why, Reviewed: g.Reviewed}
		}
	}
	for _, l := range f.Lists {
		behind := slices.IndexFunc(l.Keyed, func(k string) bool { return strings.HasSuffix(zone, "."+k) })
		keyless := slices.Contains(l.Keyed, zone)
		if behind < 0 && !keyless && zone != l.Zone && !slices.Contains(l.Also, zone) {
			continue
		}
		l.Zone, l.Name, l.Configured = zone, zone, true
		switch {
		case behind >= 0:
			l.Name, l.Needs = l.Keyed[behind], NeedsKey
		case keyless:
			l.Useless = "it answers only behind a key"
		}
		return l
	}
	return List{
		Zone: zone, Name: f.withoutKey(zone), Title: f.withoutKey(zone), Configured: true,
		Asks: []Family{IPv4, IPv6, DomainNames}, Weight: WeightWarn,
	}
}

// withoutKey hides the key in a zone that nobody knows, of people whose zones
// have one.
func (f listFile) withoutKey(zone string) string {
	_, rest, _ := strings.Cut(zone, ".")
	for _, l := range f.Lists {
		for _, k := range l.Keyed {
			if _, parent, _ := strings.Cut(k, "."); strings.HasSuffix(rest, "."+parent) {
				return rest
			}
		}
	}
	return zone
}

// known reports whether Homing knows more of the list than its zone.
func (l *List) known() bool { return !l.Reviewed.IsZero() }

// has reports whether the list has entries of a family.
func (l *List) has(f Family) bool { return slices.Contains(l.Asks, f) }
