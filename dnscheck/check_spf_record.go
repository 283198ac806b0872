package dnscheck

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"blitiri.com.ar/go/spf"
)

// maxVoid is how many terms of a record may be answered with nothing (RFC 7208
// section 4.6.4).
const maxVoid = 2

// spfRecord checks a record by itself, whoever sends: what is wrong behind the
// term that lets us pass concerns others, and receivers who read to the end.
func (c *checker) spfRecord(ctx context.Context, name string) []Finding {
	texts, err := c.textsOf(ctx, name)
	if err != nil {
		return []Finding{noAnswer(CheckSPFRecord, err), skipped(CheckSPFLookups, "no answer"), skipped(CheckSPFVoid, "no answer")}
	}
	spoilt := spfsIn(texts)
	texts = slices.DeleteFunc(texts, func(t string) bool { return !isSPF(t) })
	const wanted = "one record without mistakes"
	switch len(texts) {
	case 0:
		if len(spoilt) > 0 {
			f := Finding{Check: CheckSPFRecord, Verdict: Fail, Wanted: wanted, Fix: c.spfFix(ctx, name, nil),
				Found: fmt.Sprintf("%q counts for nothing, because it does not begin with v=spf1: quotes and spaces are no part of it", spoilt[0])}
			return []Finding{f, skipped(CheckSPFLookups, "there is no record"), skipped(CheckSPFVoid, "there is no record")}
		}
		return []Finding{skipped(CheckSPFRecord, "there is no record"), skipped(CheckSPFLookups, "there is no record"), skipped(CheckSPFVoid, "there is no record")}
	case 1:
	default:
		f := Finding{Check: CheckSPFRecord, Verdict: Fail, Wanted: wanted, Found: fmt.Sprintf("there are %d SPF records, and so none counts (RFC 7208 section 4.5)", len(texts)),
			Fix: c.spfFix(ctx, name, texts)}
		return []Finding{f, skipped(CheckSPFLookups, "there is more than one record"), skipped(CheckSPFVoid, "there is more than one record")}
	}
	f := Finding{Check: CheckSPFRecord, Wanted: wanted}
	cost := costOf(ctx, c.r, name)
	if cost.result == spf.TempError {
		return []Finding{noAnswer(CheckSPFRecord, cost.err), skipped(CheckSPFLookups, "no answer"), skipped(CheckSPFVoid, "no answer")}
	}
	c.review(ctx, &f, name, texts[0], cost)
	return []Finding{f, c.lookups(ctx, name, texts[0], cost), voids(name, cost)}
}

// review looks for what is wrong or unwise in a record.
func (c *checker) review(ctx context.Context, f *Finding, name, text string, cost cost) {
	terms := termsOf(text)
	if mistake := spfMistakeIn(text); mistake != "" {
		f.Verdict, f.Found, f.Fix = Fail, mistake, "Correct that word in the record:\n"+textLine(name, text)
		return
	}
	all := slices.IndexFunc(terms, func(t spfTerm) bool { return t.name == "all" })
	ptr := slices.IndexFunc(terms, func(t spfTerm) bool { return t.name == "ptr" })
	switch {
	case cost.result == spf.Pass:
		f.Verdict, f.Found = Fail, "the record lets everybody send in this name: "+text
		f.Fix = "Take out what lets everybody pass (+all, a network as large as the world, or an include of such a record), and end with ~all:\n" + textLine(name, withoutAll(terms))
	case cost.result == spf.PermError && cost.lookups < maxCounted && cost.void < maxCounted:
		f.Verdict, f.Found, f.Fix = Fail, c.spfMistake(cost.err), c.withoutDead(ctx, name, terms)
	case ptr >= 0:
		f.Verdict, f.Found = Warn, fmt.Sprintf("%s is slow, and many receivers pass it over (RFC 7208 section 5.5)", terms[ptr].text)
		f.Fix = "Name the hosts or networks instead (a:, mx, ip4:, ip6:), and take out " + terms[ptr].text + "."
	case all >= 0 && all < len(terms)-1:
		f.Verdict, f.Found = Warn, fmt.Sprintf("what stands behind %s is never read: %s", terms[all].text, listed(rest(terms[all+1:])))
		f.Fix = "Put " + terms[all].text + " at the end."
	default:
		f.Verdict, f.Fix = OK, ""
		f.Found = text + c.remarkOn(name, terms, all)
	}
}

// withoutDead gives a record without what leads to none, or to several.
func (c *checker) withoutDead(ctx context.Context, name string, terms []spfTerm) string {
	tree := &spfTree{r: c.r}
	words, dead := []string{"v=spf1"}, []string(nil)
	for _, t := range terms {
		if (t.name == "include" || t.name == "redirect") && tree.read(ctx, t.argument) == "" {
			dead = append(dead, t.text)
		} else {
			words = append(words, t.text)
		}
	}
	if len(dead) == 0 {
		return "The mistake is in a record that this one includes. Tell whoever runs it, or take it out: " + listed(costs(ctx, tree, strings.Join(words, " "), name)) + "."
	}
	return fmt.Sprintf("Ask for what %s has been replaced by, or take it out:\n%s", listed(dead), textLine(name, strings.Join(words, " ")))
}

// remarkOn explains how a record ends.
func (c *checker) remarkOn(name string, terms []spfTerm, all int) string {
	switch {
	case all < 0 && slices.ContainsFunc(terms, func(t spfTerm) bool { return t.name == "redirect" }):
		return ""
	case all < 0:
		return " (it says nothing of all others, as with ?all: forged mail is not told by it)"
	case terms[all].qualifier == '?':
		return " (?all: forged mail is not told by it; when all who send are named, ~all is the next step)"
	case terms[all].qualifier == '-' && c.plan.sends(name):
		return " (-all: some receivers refuse what is forwarded, without looking at its signature; ~all is enough with DMARC)"
	}
	return ""
}

func rest(terms []spfTerm) (texts []string) {
	for _, t := range terms {
		texts = append(texts, t.text)
	}
	return texts
}

// withoutAll gives a record of what it names, that ends mildly.
func withoutAll(terms []spfTerm) string {
	words := []string{"v=spf1"}
	for _, t := range terms {
		if net, err := network(t.argument); t.name != "all" && (err != nil || net.Bits() > 0) {
			words = append(words, t.text)
		}
	}
	return strings.Join(append(words, "~all"), " ")
}

func (c *checker) lookups(ctx context.Context, name, text string, cost cost) Finding {
	f := Finding{Check: CheckSPFLookups, Wanted: fmt.Sprintf("at most %d look-ups", maxSPFQuestions), Found: fmt.Sprintf("%d of %d", cost.lookups, maxSPFQuestions)}
	if cost.lookups >= maxCounted {
		f.Found = fmt.Sprintf("%d or more, or they go in a circle", maxCounted)
	}
	tree := &spfTree{r: c.r}
	f.Fix = "Take out what sends no more, or write networks (ip4:) in the place of an include. The record asks: " + listed(costs(ctx, tree, text, name))
	switch {
	case cost.lookups > maxSPFQuestions:
		f.Verdict = Fail
		f.Found += ": the record counts for nothing where receivers come to the end"
	case cost.lookups >= maxSPFQuestions-1:
		f.Verdict = Warn
		f.Found += ": one of the included records has only to grow a little, and this one counts for nothing"
	default:
		return right(CheckSPFLookups, f.Wanted, f.Found)
	}
	return f
}

// costs says of each term how much it asks.
func costs(ctx context.Context, tree *spfTree, text, name string) (all []string) {
	for _, t := range termsOf(text) {
		if n := tree.cost(ctx, t, name, 0); n > 0 {
			all = append(all, fmt.Sprintf("%s (%d)", t.text, n))
		}
	}
	return all
}

func voids(name string, cost cost) Finding {
	f := Finding{Check: CheckSPFVoid, Wanted: "nothing named that does not exist", Found: fmt.Sprintf("%d of %d allowed: %s", cost.void, maxVoid, listed(cost.absent)),
		Fix: fmt.Sprintf("Take out of the record at %s, or of those that it includes, what names %s.", name, listed(cost.absent))}
	switch {
	case cost.void > maxVoid:
		f.Verdict = Fail
	case cost.void > 0:
		f.Verdict = Warn
	default:
		return right(CheckSPFVoid, f.Wanted, "so it is")
	}
	return f
}

// domainSpec is how a domain in a term ends: with a top label, which is no
// number, or a macro (RFC 7208 section 7.1).
var domainSpec = regexp.MustCompile(`(\.[A-Za-z0-9]*[A-Za-z][A-Za-z0-9]*\.?|\.[A-Za-z0-9]+-[A-Za-z0-9-]*[A-Za-z0-9]\.?|%\{[^}]*\})$`)

// macroString is what may stand in it, and in modifiers that nobody knows.
var macroString = regexp.MustCompile(`^([^%]|%[%_-]|%\{[slodiphvSLODIPHV][0-9]*[rR]?[-.+,/_=]*\})*$`)

// spfMistakeIn finds what makes a record count for nothing at receivers who
// read it strictly (RFC 7208 section 4.6): also behind what decides, and also
// what milder ones let pass.
func spfMistakeIn(text string) string {
	if i := strings.IndexFunc(text, func(c rune) bool { return c < ' ' || c > '~' }); i >= 0 {
		return fmt.Sprintf("there is %q in the record, and only plain letters, digits and signs may be: was it pasted from a text processor?", []rune(text[i:])[0])
	}
	seen := map[string]bool{}
	for _, t := range termsOf(text) {
		if mistake := termMistake(t); mistake != "" {
			return t.text + ": " + mistake
		}
		if once := t.name == "redirect" || t.name == "exp"; once && t.qualifier == 0 && seen[t.name] {
			return t.text + ": " + t.name + " stands there twice"
		}
		seen[t.name] = true
	}
	return ""
}

func termMistake(t spfTerm) string {
	host, four, six := target(t.argument, "example.org")
	switch {
	case !macroString.MatchString(t.argument):
		return "there is no such macro"
	case t.qualifier == 0 && t.name != "redirect" && t.name != "exp":
		return "" // others are passed over (RFC 7208 section 6)
	case t.qualifier == 0 || t.name == "include" || t.name == "exists":
		if !domainSpec.MatchString(t.argument) {
			return "a domain must follow"
		}
	case t.name == "all":
		if !strings.EqualFold(strings.TrimLeft(t.text, "+-~?"), "all") {
			return "nothing may follow"
		}
	case t.name == "a" || t.name == "mx":
		if !domainSpec.MatchString(host) || !prefixLength(four, 32) || !prefixLength(six, 128) {
			return "a domain or a number of bits that cannot be"
		}
	case t.name == "ptr":
		if t.argument != "" && !domainSpec.MatchString(t.argument) {
			return "a domain that cannot be"
		}
	case t.name == "ip4" || t.name == "ip6":
		if net, err := network(t.argument); err != nil || net.Addr().Is4() != (t.name == "ip4") {
			return "no address of this kind"
		}
	default:
		return "there is no such word"
	}
	return ""
}

func prefixLength(text string, most int) bool {
	n, err := strconv.Atoi(text)
	return text == "" || err == nil && n >= 0 && n <= most
}
