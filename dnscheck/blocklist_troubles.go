package dnscheck

import (
	"fmt"
	"slices"
)

// unusable makes findings of the lists that cannot be used. What they have in
// common is one finding: then it is not the lists.
func unusable(results []listResult) (findings []Finding) {
	results = slices.DeleteFunc(slices.Clone(results), func(r listResult) bool {
		return len(r.mine) == 0 && r.health.trouble == listFine
	})
	if f, ok := common(results); ok {
		return []Finding{f}
	}
	for _, r := range results {
		if r.health.trouble != listFine {
			findings = append(findings, r.finding())
		}
	}
	return findings
}

// common gives the finding for a trouble that all lists have, if it is one that
// comes from the resolver.
func common(results []listResult) (Finding, bool) {
	if len(results) < 2 {
		return Finding{}, false
	}
	first := results[0].health
	if slices.ContainsFunc(results, func(r listResult) bool {
		return r.health.trouble != first.trouble || len(r.health.families) > 0
	}) {
		return Finding{}, false
	}
	f := Finding{Check: checkList, Subject: "all lists", Verdict: Warn, Wanted: "answers within 127.0.0.0/8 for their test entries", Fix: ownResolver}
	switch first.trouble {
	case listSilent:
		f.Verdict, f.Found = Skipped, "no block list answers in time: it is the resolver, or the way to it"
	case listNonsense:
		f.Found = "no block list answers as one, the first with " + first.said.answer() + ": the resolver makes up answers for names that do not exist"
	case listDead:
		f.Found = "no block list has its test entry: the resolver holds answers within 127.0.0.0/8 back " +
			"(protection against DNS rebinding, as routers have it), or knows nothing of the world"
	default:
		return Finding{}, false
	}
	return f, true
}

// finding says what is wrong with a list. It warns where the operator can do
// something about it and it matters, and about no single silence.
func (r listResult) finding() Finding {
	l, h := r.list, r.health
	f := Finding{
		Check: checkList, Subject: l.Name, Verdict: Skipped, Wanted: "its test entries, and no others (RFC 5782 section 5)",
		Found: h.trouble.words(l, h.said), Fix: h.trouble.fix(l, h.said),
	}
	matters := l.Configured || l.Weight == WeightFail && l.Needs == NeedsNothing
	if matters && h.trouble != listSilent {
		f.Verdict = Warn
	}
	if len(h.families) > 0 {
		f.Found += fmt.Sprintf(" (it is used for %s all the same)", familyNames(h.families))
	}
	return f
}

// familyNames names families for people.
func familyNames(families []Family) (text string) {
	for i, f := range families {
		switch {
		case i > 0 && i == len(families)-1:
			text += " and "
		case i > 0:
			text += ", "
		}
		text += map[Family]string{IPv4: "IPv4", IPv6: "IPv6", DomainNames: "domains"}[f]
	}
	return text
}

// words says what a trouble is.
func (t trouble) words(l *List, s said) string {
	switch t {
	case listUseless:
		return "not asked: " + l.Useless
	case listSilent:
		return "the list does not answer in time" + l.barred()
	case listWorldly:
		return "the list has an entry that no list may have (" + s.answer() + "): it lists the whole world, so that its listings mean nothing"
	case listRefuses:
		return fmt.Sprintf("the list answers %s, which is no listing: %s%s", s.answer(), wordsOf(s.codes), l.barred())
	case listNonsense:
		return "the answer is " + s.answer() + ", which is none of a block list: its name has another owner, or the resolver makes up answers"
	}
	return "the list does not have its test entry: it is closed, or does not answer this resolver" + l.barred()
}

// barred says what a list wants that may be missing.
func (l *List) barred() string {
	switch l.Needs {
	case NeedsRegistration:
		return ". It answers only resolvers whose address is registered"
	case NeedsKey:
		return ". Perhaps the key before its zone is wrong or has run out"
	}
	return ""
}

// fix says what to do about a trouble.
func (t trouble) fix(l *List, s said) string {
	switch {
	case t == listUseless && len(l.Keyed) > 0:
		return withKey(l)
	case t == listUseless:
		return leaveOut(l)
	case l.Needs == NeedsRegistration && t != listWorldly && t != listNonsense:
		return "Registering is free: have a resolver of your own, and register the address by which it asks, the one of this machine, on " +
			l.Access + "\n\n" + ownResolver
	case l.Needs == NeedsKey && t != listWorldly && t != listNonsense:
		return "Compare the key with the one that " + l.Access + " shows for your account."
	case t == listRefuses && slices.Contains(s.answers, wrongZone):
		return "Write the zone as the list's web site has it into check.blocklists, or leave check.blocklists out for those that ship."
	case t == listRefuses && len(l.Keyed) > 0:
		return ownResolver + "\n\nWhere that does not help (the provider's reverse DNS names nobody, or too much is asked from its network):\n\n" + withKey(l)
	case t == listRefuses, t == listNonsense, t == listSilent:
		return ownResolver
	case t == listDead && !l.Configured:
		return ownResolver + "\n\nIf all other lists answer, this one has closed: nothing is to be done, and a newer version of Homing will know."
	case l.Configured:
		return leaveOut(l)
	}
	return "Nothing is to be done here. Receivers who still use the list refuse everybody's mail; a newer version of Homing will know."
}

func leaveOut(l *List) string {
	return fmt.Sprintf("Take %q out of check.blocklists, or leave check.blocklists out for the lists that ship.", l.Name)
}

// withKey says how to ask a list by a key.
func withKey(l *List) string {
	return fmt.Sprintf("Ask for a key, which is free for little mail, on %s and write it before the zone in homing.toml, "+
		"beside the zones of the other lists that you want (docs/BLOCKLISTS.md has them all):\n\n"+
		"[check]\nblocklists = [\"KEY.%s\"]", l.Access, l.Keyed[0])
}

// ownResolver is the way to ask as a list wants to be asked.
const ownResolver = `Have a resolver of your own, which asks the lists itself instead of passing questions on. On Debian and Ubuntu:

apt-get install unbound

It needs no settings; where files in /etc/unbound/unbound.conf.d have a forward-zone for ".", take it out. Then in homing.toml:

[dns]
server = "127.0.0.1:53"

and:

systemctl restart homing`
