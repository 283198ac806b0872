package queue

import (
	"cmp"
	"slices"
	"time"

	"homing/queue/shape"
)

// A Trouble is a site that does not take mail as it should, for people who have
// to know before they ask.
type Trouble struct {
	Site    string
	Kind    TroubleKind
	Source  string    // from which of our addresses; "": from any
	Since   time.Time // zero: nobody knows
	Until   time.Time // nothing is sent there before; zero: it is being tried
	Said    string    // the last word of the site, or ours in its place; "": none
	Waiting int       // recipients, those included that are being sent
	Domain  string    // of some of these; "": nobody waits
}

// A TroubleKind says what is the matter with a site.
type TroubleKind string

const (
	TroubleBackoff   TroubleKind = "backoff"   // it wanted less mail, or none, and does not get all of it again yet
	TroubleSurge     TroubleKind = "surge"     // it fails for good addresses that used to accept mail
	TroubleSmarthost TroubleKind = "smarthost" // it is a smarthost of ours, and cannot be used
)

// Troubles gives the sites that do not take mail as they should, those first for
// which most recipients wait.
func (q *Queue) Troubles() []Trouble {
	now := q.now()
	q.mu.Lock()
	sites := q.shaper.Troubled(now)
	var all []Trouble
	for site, u := range q.unusable {
		if slices.Contains(q.smarthosts(), site) {
			all = append(all, Trouble{Site: site, Kind: TroubleSmarthost, Since: u.Since, Said: u.Said})
		}
	}
	q.mu.Unlock()
	for _, s := range sites {
		for _, p := range s.Paths {
			if p.Recovering || p.Until.After(now) {
				t := Trouble{Site: s.Name, Kind: TroubleBackoff, Source: p.Source, Since: p.Since, Said: p.Why}
				if p.Until.After(now) {
					t.Until = p.Until
				}
				all = append(all, t)
			}
		}
	}
	for _, name := range q.surges.all(now) {
		all = append(all, Trouble{Site: name, Kind: TroubleSurge})
	}
	if len(all) > 0 {
		count(all, q.loads())
	}
	slices.SortFunc(all, func(a, b Trouble) int {
		return cmp.Or(b.Waiting-a.Waiting, cmp.Compare(a.Site, b.Site), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Source, b.Source))
	})
	return all
}

// count says who waits for each of some troubles.
func count(all []Trouble, loads []shape.Load) {
	waiting, domains := map[string]int{}, map[string]string{}
	for _, l := range loads {
		waiting[l.Site] += l.Waiting
		if d := domains[l.Site]; d == "" || l.Domain < d {
			domains[l.Site] = l.Domain
		}
	}
	for i := range all {
		all[i].Waiting, all[i].Domain = waiting[all[i].Site], domains[all[i].Site]
	}
}

// judgeSmarthost notes whether the smarthost of an attempt can be used: nobody
// but us can mend it, and no mail leaves that way until then. The caller holds
// mu.
func (q *Queue) judgeSmarthost(site string, f finding) {
	switch was, known := q.unusable[site]; {
	case !f.ours:
		delete(q.unusable, site)
	case f.failed: // of one message that could not go there
	case q.unusable == nil:
		q.unusable = map[string]Unusable{site: {f.now.UTC(), f.outcome.Diagnostic}}
	default:
		if !known {
			was.Since = f.now.UTC()
		}
		q.unusable[site] = Unusable{was.Since, f.outcome.Diagnostic}
	}
}

// smarthosts names the sites that all mail of some sending domain goes to.
func (q *Queue) smarthosts() []string {
	var all []string
	for _, site := range q.options.Load().Limits.Via {
		all = append(all, site)
	}
	return all
}
