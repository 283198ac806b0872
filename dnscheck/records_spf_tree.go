package dnscheck

import (
	"context"
	"errors"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"homing/internal/dnsx"
)

// A spfTerm is one word of a record behind its version (RFC 7208 section 4.6.1).
type spfTerm struct {
	text      string // as it stands there
	qualifier byte   // of a mechanism; 0: a modifier
	name      string // "include", "redirect"
	argument  string // what stands behind ":" or "=", or from "/" on
}

// isSPF reports whether a text is an SPF record (RFC 7208 section 4.5).
func isSPF(text string) bool {
	const version = "v=spf1"
	return len(text) >= len(version) && strings.EqualFold(text[:len(version)], version) && (len(text) == len(version) || text[len(version)] == ' ')
}

var modifier = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]*=`)

func termsOf(text string) (all []spfTerm) {
	for _, word := range strings.Fields(text)[1:] {
		all = append(all, termOf(word))
	}
	return all
}

func termOf(word string) spfTerm {
	if modifier.MatchString(word) {
		name, argument, _ := strings.Cut(word, "=")
		return spfTerm{word, 0, strings.ToLower(name), argument}
	}
	t := spfTerm{text: word, qualifier: '+', name: word}
	if strings.ContainsRune("+-~?", rune(word[0])) {
		t.qualifier, t.name = word[0], word[1:]
	}
	if i := strings.IndexAny(t.name, ":/"); i >= 0 {
		t.name, t.argument = t.name[:i], strings.TrimPrefix(t.name[i:], ":")
	}
	t.name = strings.ToLower(t.name)
	return t
}

// withTerms puts terms behind the version of a record.
func withTerms(text string, terms []string) string {
	words := strings.Fields(text)
	if len(terms) == 0 {
		return text
	}
	return strings.Join(slices.Concat(words[:1], terms, words[1:]), " ")
}

// joinedSPF makes one record of several: every mechanism of each, and at the
// end the mildest of what they say of all else, since none of it counted until
// now. Of one record it makes the same again.
func joinedSPF(records []string) string {
	if len(records) < 2 {
		return strings.Join(records, "")
	}
	words, all, end := []string{"v=spf1"}, "", ""
	for _, text := range records {
		for _, t := range termsOf(text) {
			switch {
			case t.name == "all" && (all == "" || mildness(t.qualifier) > mildness(all[0])):
				all = string(t.qualifier) + "all"
			case t.name == "all" || slices.Contains(words, t.text):
			case t.name == "redirect" && end == "":
				end = t.text
			case t.name == "redirect":
				words = append(words, "include:"+t.argument)
			default:
				words = append(words, t.text)
			}
		}
	}
	// A redirection counts only where nothing is said of all else.
	if target, ok := strings.CutPrefix(strings.ToLower(end), "redirect="); ok && all != "" {
		words, end = append(words, "include:"+target), ""
	}
	return strings.Join(append(words, without([]string{all, end}, "")...), " ")
}

// mildness orders the qualifiers. What passes all comes first: nobody says it
// but by mistake.
func mildness(qualifier byte) int { return strings.IndexByte("+-~?", qualifier) }

// bounds of what a tree of records of others can make us ask.
const (
	maxSPFDepth = 10
	maxSPFAsked = 100
)

// A spfTree reads records and those that they include. What does not answer is
// in dead and counts as not there.
type spfTree struct {
	r     Resolver
	asked int
	dead  []string
}

// read gives the record of a domain; "": there is none, or more than one.
func (t *spfTree) read(ctx context.Context, domain string) string {
	t.asked++
	if t.asked > maxSPFAsked || strings.Contains(domain, "%") {
		return ""
	}
	texts, err := t.r.TXT(ctx, domain)
	if err != nil && errors.Is(err, dnsx.ErrTemporary) && !slices.Contains(t.dead, domain) {
		t.dead = append(t.dead, domain)
	}
	records := slices.DeleteFunc(texts, func(s string) bool { return !isSPF(s) })
	if len(records) != 1 {
		return ""
	}
	return records[0]
}

// evaluated gives the terms that can have a say: those before "all", and a
// redirection only where there is no "all" (RFC 7208 section 6.1).
func evaluated(text string) (terms []spfTerm) {
	all := termsOf(text)
	if i := slices.IndexFunc(all, func(t spfTerm) bool { return t.name == "all" && t.qualifier != 0 }); i >= 0 {
		return slices.DeleteFunc(all[:i+1], func(t spfTerm) bool { return t.qualifier == 0 })
	}
	slices.SortStableFunc(all, func(a, b spfTerm) int { return rank(a.name == "redirect") - rank(b.name == "redirect") })
	return all
}

// questions counts the terms of a record that ask the DNS, with those that it
// includes (RFC 7208 section 4.6.4).
func (t *spfTree) questions(ctx context.Context, text, domain string) int {
	t.asked = 0
	return t.count(ctx, text, domain, 0)
}

func (t *spfTree) count(ctx context.Context, text, domain string, depth int) (n int) {
	if text == "" || depth > maxSPFDepth {
		return 0
	}
	for _, term := range evaluated(text) {
		n += t.cost(ctx, term, domain, depth)
	}
	return n
}

func (t *spfTree) cost(ctx context.Context, term spfTerm, domain string, depth int) int {
	switch term.name {
	case "include", "redirect":
		return 1 + t.count(ctx, t.read(ctx, term.argument), term.argument, depth+1)
	case "a", "mx", "ptr", "exists":
		return 1
	}
	return 0
}

// passes reports whether a record lets an address pass. Macros and "ptr" are
// passed over: what they say depends on the mail.
func (t *spfTree) passes(ctx context.Context, a netip.Addr, text, domain string) bool {
	t.asked = 0
	return t.judge(ctx, a, text, domain, 0) == '+'
}

// judge gives the qualifier of the first mechanism that an address matches; 0:
// there is none.
func (t *spfTree) judge(ctx context.Context, a netip.Addr, text, domain string, depth int) byte {
	if text == "" || depth > maxSPFDepth {
		return 0
	}
	for _, term := range evaluated(text) {
		matches := false
		switch term.name {
		case "redirect":
			return t.judge(ctx, a, t.read(ctx, term.argument), term.argument, depth+1)
		case "include":
			matches = t.judge(ctx, a, t.read(ctx, term.argument), term.argument, depth+1) == '+'
		default:
			matches = t.matches(ctx, a, term, domain)
		}
		if matches {
			return term.qualifier
		}
	}
	return 0
}

func (t *spfTree) matches(ctx context.Context, a netip.Addr, term spfTerm, domain string) bool {
	switch term.name {
	case "all":
		return true
	case "ip4", "ip6":
		net, err := network(term.argument)
		return err == nil && net.Contains(a)
	case "a":
		host, four, six := target(term.argument, domain)
		return t.hostHas(ctx, host, a, cidr(a, four, six))
	case "mx":
		host, four, six := target(term.argument, domain)
		records, err := t.r.MX(ctx, host)
		return err == nil && slices.ContainsFunc(records, func(mx dnsx.MX) bool { return t.hostHas(ctx, mx.Host, a, cidr(a, four, six)) })
	}
	return false
}

func network(text string) (netip.Prefix, error) {
	if strings.Contains(text, "/") {
		return netip.ParsePrefix(text)
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	return a.Prefix(a.BitLen())
}

// target takes the argument of "a" and "mx" apart: a host, "/24" for IPv4 and
// "//64" for IPv6 (RFC 7208 section 5.3).
func target(argument, domain string) (host, four, six string) {
	argument, six, _ = strings.Cut(argument, "//")
	host, four, _ = strings.Cut(argument, "/")
	if host == "" {
		host = domain
	}
	return host, four, six
}

// cidr gives how many bits of an address count.
func cidr(a netip.Addr, four, six string) int {
	text := four
	if a.Is6() {
		text = six
	}
	if n, err := strconv.Atoi(text); err == nil && n >= 0 && n <= a.BitLen() {
		return n
	}
	return a.BitLen()
}

func (t *spfTree) hostHas(ctx context.Context, host string, a netip.Addr, bits int) bool {
	t.asked++
	if t.asked > maxSPFAsked || strings.Contains(host, "%") {
		return false
	}
	net, err := a.Prefix(bits)
	if err != nil {
		return false
	}
	addrs, err := t.r.Addrs(ctx, host)
	return err == nil && slices.ContainsFunc(addrs, net.Contains)
}

// has reports whether a term stands in a record or in one that it includes.
func (t *spfTree) has(ctx context.Context, text, domain, term string) bool {
	t.asked = 0
	return t.finds(ctx, text, term, 0)
}

func (t *spfTree) finds(ctx context.Context, text, term string, depth int) bool {
	if text == "" || depth > maxSPFDepth {
		return false
	}
	return slices.ContainsFunc(evaluated(text), func(e spfTerm) bool {
		switch {
		case e.qualifier == '+' && strings.EqualFold(strings.TrimPrefix(e.text, "+"), term):
			return true
		case e.name == "redirect" || e.name == "include" && e.qualifier == '+':
			return t.finds(ctx, t.read(ctx, e.argument), term, depth+1)
		}
		return false
	})
}

// networks gives the networks of a domain's record, with those that it
// includes, as terms; none where they are not all there is to it.
func (t *spfTree) networks(ctx context.Context, domain string) []string {
	t.asked = 0
	nets, whole := t.flat(ctx, t.read(ctx, domain), 0)
	if !whole {
		return nil
	}
	slices.Sort(nets)
	return slices.Compact(nets)
}

func (t *spfTree) flat(ctx context.Context, text string, depth int) (nets []string, whole bool) {
	if text == "" || depth > maxSPFDepth {
		return nil, false
	}
	for _, e := range evaluated(text) {
		switch {
		case e.name == "all":
			return nets, e.qualifier != '+'
		case e.qualifier == '+' && (e.name == "ip4" || e.name == "ip6"):
			nets = append(nets, strings.TrimPrefix(e.text, "+"))
		case e.name == "redirect" || e.name == "include" && e.qualifier == '+':
			below, ok := t.flat(ctx, t.read(ctx, e.argument), depth+1)
			if !ok {
				return nil, false
			}
			nets = append(nets, below...)
		case e.qualifier != 0:
			return nil, false
		}
	}
	return nets, true
}
