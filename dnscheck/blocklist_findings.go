package dnscheck

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// sightings makes findings of what the usable lists said. relayed: all mail
// goes through smarthosts, so that receivers never see our addresses.
func sightings(results []listResult, relayed bool) (findings []Finding) {
	totals := map[listSubject]*total{}
	var order []listSubject
	for _, r := range results {
		for _, s := range r.mine {
			if totals[s] == nil {
				totals[s] = new(total)
				order = append(order, s)
			}
		}
		for _, s := range r.seen {
			totals[s.subject].add(r.list, s.said)
			switch s.said.stand {
			case isAbsent, isNeutral:
			case isListed:
				findings = append(findings, listing(r.list, s, relayed))
			default:
				findings = append(findings, unanswered(r.list, s))
			}
		}
	}
	for _, s := range order {
		if totals[s].listed == 0 || totals[s].clean > 0 {
			findings = append(findings, totals[s].finding(s.name))
		}
	}
	return findings
}

// A total is how one subject stands with all lists.
type total struct {
	clean, listed int
	reviewed      time.Time // of the newest entry
}

func (t *total) add(l *List, s said) {
	switch s.stand {
	case isAbsent, isNeutral:
		t.clean++
		if l.Reviewed.After(t.reviewed) {
			t.reviewed = l.Reviewed
		}
	case isListed:
		t.listed++
	}
}

// finding sums up the lists that do not have the subject.
func (t *total) finding(subject string) Finding {
	f := Finding{Check: checkListed, Subject: subject, Verdict: OK, Wanted: "on no block list"}
	lists := "block list"
	if t.clean != 1 {
		lists += "s"
	}
	switch {
	case t.clean == 0:
		f.Verdict, f.Found = Skipped, "no block list answered; check "+checkList+" says why"
		return f
	case t.listed > 0:
		f.Found = fmt.Sprintf("on none of %d other %s", t.clean, lists)
	default:
		f.Found = fmt.Sprintf("on none of %d %s", t.clean, lists)
	}
	if !t.reviewed.IsZero() {
		f.Found += " (what Homing knows of the lists is of " + t.reviewed.Format(time.DateOnly) + ")"
	}
	return f
}

// listing makes the finding of a listing.
func listing(l *List, s sighting, relayed bool) Finding {
	f := Finding{
		Check: checkListed, Subject: s.subject.name + " " + l.Name,
		Verdict: verdictOf(s.said.codes), Wanted: "not listed",
		Found: fmt.Sprintf("%s answers %s: %s", l.Title, s.said.answer(), wordsOf(s.said.codes)),
	}
	if s.reason != "" {
		f.Found += fmt.Sprintf(". Its reason: %q", s.reason)
	}
	if f.Verdict == OK {
		f.Found += ". Hardly any receiver refuses mail for it"
	}
	if relayed && s.subject.family != DomainNames && f.Verdict != OK {
		// What is no place to send mail from does not matter where none is
		// sent from it; spam that comes from here does, whichever way.
		f.Verdict = Warn
		if policyOnly(s.said.codes) {
			f.Verdict = OK
		}
		f.Found += ". Your mail leaves through a smarthost, so receivers do not see this address"
	}
	f.Fix = removal(l, s)
	return f
}

// verdictOf gives the worst that the codes say.
func verdictOf(codes []Code) Verdict {
	worst := OK
	for _, c := range codes {
		switch {
		case c.Weight == WeightFail:
			return Fail
		case c.Weight == WeightWarn:
			worst = Warn
		}
	}
	return worst
}

func wordsOf(codes []Code) string {
	var all []string
	for _, c := range codes {
		all = append(all, c.Words)
	}
	return strings.Join(all, "; ")
}

// policyOnly reports whether the codes are about the kind of network alone.
func policyOnly(codes []Code) bool {
	return !slices.ContainsFunc(codes, func(c Code) bool { return c.Kind != MeansPolicy })
}

// removal says what to do about a listing.
func removal(l *List, s sighting) string {
	var steps []string
	for _, c := range s.said.codes {
		fix := cmp.Or(c.Fix, causeOf(s.subject.family))
		if !slices.Contains(steps, fix) {
			steps = append(steps, fix)
		}
	}
	fill := func(url string) string { return strings.ReplaceAll(url, "{subject}", s.subject.name) }
	if l.Lookup != "" {
		steps = append(steps, "Why: "+fill(l.Lookup))
	}
	if l.Removal != "" {
		when := "Removal, once the cause is gone: "
		if policyOnly(s.said.codes) {
			when = "Removal: "
		}
		steps = append(steps, when+fill(l.Removal))
	}
	if l.Lookup == "" && l.Removal == "" {
		steps = append(steps, "The list's reason, or its web site, says how to be removed from "+l.Name+".")
	}
	return strings.Join(steps, "\n")
}

// causeOf says where to look when the list has no better idea.
func causeOf(f Family) string {
	if f == DomainNames {
		return "Look for the cause: mail to people who did not ask for it, bought addresses, pages on your web site that are not yours, somebody who uses your domain."
	}
	return "Look for the cause: mail to people who did not ask for it, bought addresses, an account, a web form or a program on this machine that somebody abuses."
}

// unanswered makes the finding of a question that a usable list left open.
func unanswered(l *List, s sighting) Finding {
	t := map[stand]trouble{isRefused: listRefuses, isBroken: listNonsense, isSilent: listSilent}[s.said.stand]
	return Finding{
		Check: checkListed, Subject: s.subject.name + " " + l.Name, Verdict: Skipped, Wanted: "not listed",
		Found: "not known: " + t.words(l, s.said), Fix: t.fix(l, s.said),
	}
}
