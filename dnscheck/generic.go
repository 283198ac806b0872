package dnscheck

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"
	"golang.org/x/net/publicsuffix"

	"homing/internal/dnsx"
)

// A nameKind says who gave an address its name.
type nameKind int

const (
	chosen nameKind = iota // somebody, for this machine
	hosted                 // a network, by a word that it has for machines of customers
	pooled                 // a network, by counting through
)

// lineWords are what networks call the lines of their customers, and hostWords
// what they call the machines.
var (
	lineWords = []string{"dyn", "dynamic", "dynip", "dynamicip", "dynamisch", "pool", "pools", "dsl", "adsl", "vdsl", "sdsl", "xdsl", "dialup", "dialin", "dial", "dhcp",
		"ppp", "pppoe", "cable", "cablemodem", "catv", "broadband", "ftth", "fttx", "residential", "unassigned", "unused"}
	hostWords = []string{"static", "staticip", "statip", "fixedip", "customer", "customers", "cust", "client", "clients", "subscriber", "subs", "user", "users",
		"ip", "host", "hosted", "vps", "vserver", "cloud", "compute", "instances", "ec2", "generic", "reverse", "rev"}
)

var (
	numbers   = regexp.MustCompile(`[0-9]+`)
	words     = regexp.MustCompile(`[a-z]+`)
	separator = regexp.MustCompile(`[^0-9a-f]+`)
)

// generic says what kind of name an address has, by a rule for all networks:
// the address written into the name in any usual way, or a word for lines of
// customers, outside of the registered domain.
func generic(a netip.Addr, name string) (nameKind, string) {
	host := strings.TrimSuffix(strings.TrimSuffix(name, registered(name)), ".")
	line, machine := wordIn(host, lineWords), wordIn(host, hostWords)
	octets := writtenIn(a.Unmap(), host)
	switch {
	case line != "":
		return pooled, fmt.Sprintf("it has the word %q", line)
	case octets > 2:
		return pooled, "it has the address in it"
	case octets == 2 && machine != "":
		return pooled, fmt.Sprintf("it has a part of the address in it, and the word %q", machine)
	case machine == "static" || machine == "staticip" || machine == "statip" || machine == "fixedip":
		return hosted, fmt.Sprintf("it has the word %q", machine)
	}
	return chosen, ""
}

// registered gives the domain that a provider has registered. What providers
// let their customers register in it (compute.amazonaws.com) is not counted.
func registered(name string) string {
	suffix, official := publicsuffix.PublicSuffix(name)
	for at, ok := name, true; !official; suffix, official = publicsuffix.PublicSuffix(at) {
		if _, at, ok = strings.Cut(at, "."); !ok {
			return dnsx.Organisation(name)
		}
	}
	labels := strings.Split(strings.TrimSuffix(name, "."+suffix), ".")
	return labels[len(labels)-1] + "." + suffix
}

func wordIn(host string, list []string) string {
	for _, w := range words.FindAllString(host, -1) {
		if slices.Contains(list, w) {
			return w
		}
	}
	return ""
}

// writtenIn gives how many octets of an address stand in a row in a name,
// forwards or backwards; 16: the address stands there whole.
func writtenIn(a netip.Addr, host string) int {
	if a.Is6() {
		return writtenIn6(a, host)
	}
	octets := a.As4()
	plain, padded := make([]string, 4), ""
	for i, o := range octets {
		plain[i] = strconv.Itoa(int(o))
		padded += fmt.Sprintf("%03d", o)
	}
	for _, whole := range []string{padded, hex.EncodeToString(octets[:]), strconv.FormatUint(uint64(octets[0])<<24|uint64(octets[1])<<16|uint64(octets[2])<<8|uint64(octets[3]), 10)} {
		if slices.Contains(separator.Split(host, -1), whole) || len(whole) > 8 && strings.Contains(host, whole) {
			return 16
		}
	}
	var found []string
	for _, n := range numbers.FindAllString(host, -1) {
		found = append(found, strings.TrimLeft(n[:len(n)-1], "0")+n[len(n)-1:])
	}
	backwards := slices.Clone(plain)
	slices.Reverse(backwards)
	return max(inARow(found, plain), inARow(found, backwards))
}

// inARow gives how many neighbours of one list stand side by side in another.
func inARow(in, list []string) (most int) {
	for i := range in {
		for j := range list {
			n := 0
			for i+n < len(in) && j+n < len(list) && in[i+n] == list[j+n] {
				n++
			}
			most = max(most, n)
		}
	}
	return most
}

// writtenIn6 finds an IPv6 address in full, shortened with another separator,
// without any, and digit by digit backwards.
func writtenIn6(a netip.Addr, host string) int {
	octets := a.As16()
	flat := strings.ReplaceAll(strings.ReplaceAll(host, "-", ""), ".", "")
	digits := hex.EncodeToString(octets[:])
	backwards := []byte(digits)
	slices.Reverse(backwards)
	short := strings.ReplaceAll(a.String(), ":", "-")
	if strings.Contains(flat, digits) || strings.Contains(flat, string(backwards)) || strings.Contains(host, short) || strings.Contains(host, strings.ReplaceAll(short, "-", ".")) {
		return 16
	}
	return 0
}

// reverseName gives the name under which an address has its names, with a final
// dot.
func reverseName(a netip.Addr) string {
	name, err := dns.ReverseAddr(a.Unmap().WithZone("").String())
	if err != nil {
		return ""
	}
	return name
}
