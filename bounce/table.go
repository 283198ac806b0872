package bounce

import (
	"cmp"
	"regexp"
	"slices"

	"homing/internal/reply"
)

// A Rule is one line of the table: what it looks for, and what that means. All
// conditions that are given must hold; within one, any of the choices.
type Rule struct {
	Name   string
	Status []string      // enhanced codes, "5.1.1"; "5.7.*" for all of a subject, "5.7.60*" for those that begin so
	Codes  []int         // reply codes; 55 means 550 to 559, 4 means 400 to 499
	Words  []string      // phrases in the text, folded as Fold does; "*" stands for up to 80 octets
	Begins bool          // a phrase of Words begins the text, behind little more than an address
	Near   []string      // phrases of which one is at most 80 octets from the one of Words, before or behind it
	Not    []string      // phrases that must not be there
	Remote []string      // parts of the remote host's name; they may be in the text as well
	Stages []reply.Stage // empty: any

	// Patterns look at the text as it came, addresses and all, behind the
	// reply code and the status that it lacks: "550 5.1.1 no such user". Where
	// none is in a reply of several lines, they look at it on one line.
	Patterns []*regexp.Regexp

	Class  Class // empty: that of the reason
	Reason Reason

	Strength Strength // zero: Guess where the rule asks for nothing but codes, else Proof

	Last bool // of an operator's rule: asked only where no shipped rule fits

	// Examples are texts that this rule wins on, without any other evidence.
	// They are tested.
	Examples []string
}

// A Strength says how much what a rule found means, where one text about a
// recipient says one thing and another text another.
type Strength uint8

// The strengths, from the weakest.
const (
	_       Strength = iota // no rule fits
	Guess                   // a code that says little
	Program                 // that a program failed, whose own words may say more
	Later                   // no more than that somebody should come back later
	Hunch                   // that it is about us, in words that nobody knows
	Proof                   // what happened
)

// A Match is a rule that fits some evidence, and what it found.
type Match struct {
	Rule    string
	Class   Class
	Reason  Reason
	Matched string

	strength Strength
}

// A Table gives evidence its meaning: the first rule that fits wins. It never
// changes, so it may be used from many goroutines.
type Table struct {
	rules   []compiled
	aboutUs phraseSet
	index   phraseIndex // of the phrases of all rules, and of aboutUs
}

// NewTable gives the table that is shipped, with rules of the operator before
// it and, where they say Last, after it. The shipped rules stand from the
// particular to the general.
func NewTable(own ...Rule) *Table {
	first, last := places(own)
	t := &Table{}
	for _, list := range []struct {
		rules          []Rule
		links, guarded bool
	}{{first, true, false}, {providerRules, true, false}, {senderRules, false, false}, {personRules, false, true}, {nearRules, false, true},
		{generalRules, false, true}, {aboutUsRules, false, false}, {linkRules, true, false}, {statusRules, false, true}, {codeRules, false, true}, {last, true, false}} {
		for _, r := range list.rules {
			c := compile(r)
			c.links, c.guarded = list.links, list.guarded && slices.Contains(ofPersons, c.Reason)
			t.rules = append(t.rules, c)
		}
	}
	t.aboutUs = newPhraseSet(aboutUs)
	all := t.aboutUs.number(nil)
	for i := range t.rules {
		all = t.rules[i].number(all)
	}
	t.index = indexPhrases(all)
	return t
}

// ofPersons are the reasons for which a shipped rule takes no text that speaks
// of us.
var ofPersons = []Reason{UserUnknown, Moved, NoMailHost, Disabled, MailboxFull, HostUnknown}

// places says which of an operator's rules come before the shipped ones, and
// which after them.
func places(own []Rule) (first, last []Rule) {
	for _, r := range own {
		if r.Last {
			last = append(last, r)
		} else {
			first = append(first, r)
		}
	}
	return first, last
}

// Rules gives the rules in the order in which they are tried.
func (t *Table) Rules() []Rule {
	all := make([]Rule, len(t.rules))
	for i, c := range t.rules {
		all[i] = c.Rule
	}
	return all
}

// Classify says what evidence means. It always answers: where no rule fits,
// the reason is Unknown. The same text means the same at every stage where the
// stage does not matter; what is said before RCPT is never held against the
// person, and nothing temporary is Hard.
func (t *Table) Classify(e Evidence) Verdict {
	s := t.read(e)
	for i := range t.rules {
		if m, ok := t.rules[i].match(&s); ok {
			return s.verdict(m)
		}
	}
	return s.verdict(Match{Rule: NoRule, Class: Soft, Reason: Unknown})
}

// NoRule stands in a Verdict for the rule where none fits.
const NoRule = "unknown"

// read makes evidence ready for the rules of the table.
func (t *Table) read(e Evidence) said {
	s := read(e)
	s.marks = t.index.mark(s.text)
	s.ours = t.aboutUs.in(s.plain, s.marks)
	return s
}

// Explain gives all rules that fit, the winner first, in the order of the
// table. It is empty where Classify answers Unknown for want of a rule.
func (t *Table) Explain(e Evidence) []Match {
	s := t.read(e)
	var all []Match
	for i := range t.rules {
		if m, ok := t.rules[i].match(&s); ok {
			v := s.verdict(m)
			all = append(all, Match{v.Rule, v.Class, v.Reason, v.Matched, v.strength})
		}
	}
	return all
}

// A meaning is what a reason usually means.
type meaning struct {
	class   Class
	civicrm string
}

// meanings has a row for each reason.
var meanings = map[Reason]meaning{
	UserUnknown:   {Hard, "Invalid"},
	Moved:         {Hard, "Invalid"},
	NoMailHost:    {Hard, "Dns"},
	HostUnknown:   {Soft, "Dns"},
	Disabled:      {Hard, "Inactive"},
	Filtered:      {Soft, "Syntax"},
	MailboxFull:   {Soft, "Quota"},
	SystemFull:    {Soft, "Host"},
	SystemError:   {Soft, "Host"},
	NetworkError:  {Soft, "Host"},
	Expired:       {Soft, "Host"},
	Loop:          {Soft, "Loop"},
	RelayDenied:   {Soft, "Relay"},
	MessageTooBig: {Sender, "Quota"},
	ProtocolError: {Sender, "Syntax"},
	NotCompliant:  {Sender, "Syntax"},
	RateLimited:   {Sender, "Host"},
	Blocked:       {Sender, "Spam"},
	BadReputation: {Sender, "Spam"},
	AuthFailure:   {Sender, "Spam"},
	NoPTR:         {Sender, "Spam"},
	TLSFailed:     {Sender, "Host"},
	Policy:        {Sender, "Spam"},
	Rejected:      {Sender, "Spam"},
	Spam:          {Sender, "Spam"},
	Content:       {Sender, "Spam"},
	Virus:         {Sender, "Spam"},
	Greylisted:    {None, ""},
	Complained:    {None, "Spam"},
	AutoReplied:   {None, ""},
	Unknown:       {Soft, "Syntax"},
}

// usual makes a Verdict of what a reason usually means.
func (r Reason) usual(rule, matched string) Verdict {
	return Verdict{Class: meanings[r].class, Reason: r, CiviCRM: meanings[r].civicrm, Rule: rule, Matched: matched}
}

// before says what a refusal that names the person really is when it is said
// before the person was named: about us.
var before = map[reply.Stage]Reason{
	reply.Connect:  Blocked,
	reply.EHLO:     Blocked,
	reply.STARTTLS: TLSFailed,
	reply.AUTH:     Rejected,
	reply.MAIL:     Rejected,
}

// aboutHosts are the reasons that stay what they are before RCPT: they speak
// of hosts and the way to them.
var aboutHosts = []Reason{NoMailHost, HostUnknown, SystemFull, SystemError, NetworkError, Expired, Loop}

// verdict makes a Verdict of a match, as far as the stage and the code allow.
func (s *said) verdict(m Match) Verdict {
	if instead, early := before[s.stage]; early && (m.Class == Hard || m.Class == Soft) {
		switch {
		case m.Reason == Unknown, m.Reason == RelayDenied:
			m.Class = Sender
		case !slices.Contains(aboutHosts, m.Reason):
			m.Class, m.Reason = Sender, instead
		case m.Class == Hard:
			m.Class = Soft
		}
	}
	if m.Class == Hard && s.temporary() {
		m.Class = Soft
	}
	v := Verdict{Class: m.Class, Reason: m.Reason, CiviCRM: meanings[m.Reason].civicrm, Rule: m.Rule, Matched: m.Matched, strength: m.strength}
	if v.Class == None && meanings[m.Reason].class != None { // an operator's rule says that it is no failure
		v.CiviCRM = ""
	}
	return v
}

// A compiled Rule has its phrases in pieces.
type compiled struct {
	Rule
	words, near, not phraseSet
	patterns         []pattern
	links            bool // words may stand in links: the rule knows whose they are
	guarded          bool // it does not fit a text that speaks of us
}

func compile(r Rule) compiled {
	c := compiled{Rule: r}
	if c.Class == "" {
		c.Class = meanings[r.Reason].class
	}
	switch {
	case c.Strength != 0:
	case len(r.Words)+len(r.Patterns)+len(r.Remote)+len(r.Stages) > 0:
		c.Strength = Proof
	default:
		c.Strength = Guess
	}
	c.patterns = newPatterns(r.Patterns)
	c.words, c.near, c.not = newPhraseSet(r.Words), newPhraseSet(r.Near), newPhraseSet(r.Not)
	return c
}

// number gives the phrases of the rule their numbers in an index.
func (c *compiled) number(all []phrase) []phrase {
	return c.not.number(c.near.number(c.words.number(all)))
}

// match reports whether all conditions hold, and what was found: the words
// before the pattern, that before the status, the status before the code.
func (c *compiled) match(s *said) (Match, bool) {
	m := Match{Rule: c.Name, Class: c.Class, Reason: c.Reason, strength: c.Strength}
	if len(c.Stages) > 0 && !slices.Contains(c.Stages, s.stage) {
		return m, false
	}
	if c.guarded && s.ours {
		return m, false
	}
	if len(c.Words) > 0 {
		if m.Matched = c.found(s); m.Matched == "" {
			return m, false
		}
	}
	if !c.matchCodes(s, &m) {
		return m, false
	}
	if len(c.Remote) > 0 && !slices.ContainsFunc(c.Remote, s.from) {
		return m, false
	}
	if c.not.in(s.plain, s.marks) {
		return m, false
	}
	if len(c.patterns) > 0 { // last, because they take longest
		got := s.find(c.patterns)
		if got == "" {
			return m, false
		}
		if len(c.Words) == 0 {
			m.Matched = got
		}
	}
	m.Matched = cmp.Or(m.Matched, s.remote, string(s.stage))
	return m, true
}

// matchCodes reports whether the conditions on code and status hold.
func (c *compiled) matchCodes(s *said, m *Match) bool {
	if len(c.Codes) > 0 {
		if !slices.ContainsFunc(c.Codes, s.hasCode) {
			return false
		}
		m.Matched = cmp.Or(m.Matched, s.codeText())
	}
	if len(c.Status) > 0 {
		if !slices.ContainsFunc(c.Status, s.hasStatus) {
			return false
		}
		if len(c.Words) == 0 {
			m.Matched = s.status
		}
	}
	return true
}

// found gives what the first of the rule's phrases found in the text.
func (c *compiled) found(s *said) string {
	text := s.plain
	if c.links {
		text = s.text
	}
	near := slices.Collect(c.near.marked(s.marks))
	if len(c.Near) > 0 && len(near) == 0 {
		return ""
	}
	for p := range c.words.marked(s.marks) {
		start, end := p.next(text, 0)
		for try := 0; end > 0 && try < maxNear; try++ {
			switch {
			case c.Begins && start > maxBegin:
				end = len(text)
			case len(near) == 0:
				return text[start:end]
			default:
				if got := besides(text, start, end, near); got != "" {
					return got
				}
			}
			start, end = p.next(text, end)
		}
	}
	return ""
}

const (
	maxNear  = 8  // places at which a word is looked for another one near it
	maxBegin = 40 // octets before words that begin a text: an address, "recipient"
)

// besides gives the text from start to end with the piece of it near by that
// one of the phrases matches, and what stands between them, or "".
func besides(text string, start, end int, near []phrase) string {
	from, to := max(start-gap, 0), min(end+gap, len(text))
	for _, p := range near {
		if _, behind := p.next(text[:to], end); behind > 0 {
			return text[start:behind]
		}
		if before, found := p.next(text[:start], from); found > 0 {
			return text[before:end]
		}
	}
	return ""
}
