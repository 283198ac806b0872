package bounce

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"

	"homing/internal/nearest"
	"homing/internal/reply"
	"homing/internal/terminal"
	"homing/internal/tomltree"
)

// Limits of an operator's file of rules, which has at most 1 MiB.
const (
	MaxRules         = 1000
	MaxPatterns      = 200  // of all rules together
	MaxPatternOctets = 1000 // of one
)

// A RuleProblem is one thing that is wrong with a file of rules.
type RuleProblem struct {
	Line    int    // from 1
	Key     string // "rule.words"; "" for what is about no key
	Message string // what is wrong, and what to write instead
}

// String is the problem on one line: "line 3: rule.words: what is wrong".
func (p RuleProblem) String() string {
	if p.Key == "" {
		return fmt.Sprintf("line %d: %s", p.Line, p.Message)
	}
	return fmt.Sprintf("line %d: %s: %s", p.Line, p.Key, p.Message)
}

// RuleProblems are everything that is wrong with a file of rules, in the order
// of its lines.
type RuleProblems []RuleProblem

// Error gives one line for each problem.
func (ps RuleProblems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// ParseRules reads an operator's rules, as docs/BOUNCES.md describes them. Its
// error is RuleProblems, all of them; there are no rules then. Each rule that
// it gives wins on its examples in NewTable of all of them.
func ParseRules(data []byte) ([]Rule, error) {
	f := ruleFile{names: map[string]*draft{}, shipped: map[string]bool{}}
	for _, r := range NewTable().Rules() {
		f.shipped[r.Name] = true
	}
	f.read(data)
	f.tryExamples()
	if len(f.problems) > 0 {
		slices.SortStableFunc(f.problems, func(a, b RuleProblem) int { return cmp.Compare(a.Line, b.Line) })
		return nil, f.problems
	}
	rules := make([]Rule, len(f.drafts))
	for i, d := range f.drafts {
		rules[i] = d.Rule
	}
	return rules, nil
}

// A ruleFile is a file of rules while it is read.
type ruleFile struct {
	drafts   []*draft
	names    map[string]*draft
	shipped  map[string]bool // names of the shipped rules
	patterns int
	problems RuleProblems
}

// A draft is a rule while it is read.
type draft struct {
	Rule
	file     *ruleFile
	table    *tomltree.Value
	examples []*tomltree.Value
	broken   bool // something is wrong with it
}

func (f *ruleFile) errorf(line int, key, format string, args ...any) {
	f.problems = append(f.problems, RuleProblem{line, key, fmt.Sprintf(format, args...)})
}

// errorf notes what is wrong with a value of a key.
func (d *draft) errorf(v *tomltree.Value, key, format string, args ...any) {
	d.broken = true
	d.file.errorf(v.Line, "rule."+key, format, args...)
}

func (f *ruleFile) read(data []byte) {
	tree, err := tomltree.Parse(data)
	var wrong *tomltree.SyntaxError
	switch {
	case errors.As(err, &wrong):
		f.errorf(wrong.Line, wrong.Key, "%s; patterns with backslashes stand in single quotes", wrong.What)
		return
	case err != nil:
		f.errorf(1, "", "the file is %v; leave out rules that no bounce needs any more", err)
		return
	}
	for _, key := range tree.Keys {
		v := tree.In[key]
		switch {
		case key == "rule":
			f.rules(v)
		case ruleKeys[key] != nil:
			f.errorf(v.Line, key, "stands outside of any rule; write [[rule]] on a line before it")
		default:
			f.errorf(v.Line, key, "there is no such key; the file has only tables that begin with [[rule]]")
		}
	}
}

func (f *ruleFile) rules(v *tomltree.Value) {
	if v.Kind != tomltree.List || slices.ContainsFunc(v.List, func(e *tomltree.Value) bool { return e.Kind != tomltree.Table }) {
		f.errorf(v.Line, "rule", "there can be several of these; write [[rule]] with two brackets on each side, and its keys below")
		return
	}
	for i, table := range v.List {
		if i == MaxRules {
			f.errorf(table.Line, "rule", "this is rule %d, and there may be %d; leave out those that no bounce needs any more", i+1, MaxRules)
			return
		}
		d := &draft{file: f, table: table}
		d.read()
		f.drafts = append(f.drafts, d)
	}
}

// ruleKeys says how each key of a rule is read.
var ruleKeys = map[string]func(*draft, *tomltree.Value){
	"name":     (*draft).readName,
	"words":    func(d *draft, v *tomltree.Value) { d.Words = d.phrases(v, "words") },
	"near":     (*draft).readNear,
	"not":      func(d *draft, v *tomltree.Value) { d.Not = d.phrases(v, "not") },
	"pattern":  (*draft).readPatterns,
	"status":   (*draft).readStatus,
	"code":     (*draft).readCodes,
	"remote":   (*draft).readRemote,
	"stage":    (*draft).readStages,
	"reason":   (*draft).readReason,
	"class":    (*draft).readClass,
	"place":    (*draft).readPlace,
	"examples": (*draft).readExamples,
}

// keyNames are the keys of a rule, in the order in which they are explained.
var keyNames = []string{"name", "words", "near", "not", "pattern", "status", "code", "remote", "stage", "reason", "class", "place", "examples"}

// conditionKeys are those of which a rule needs one.
var conditionKeys = []string{"words", "pattern", "status", "code", "remote", "stage"}

func (d *draft) read() {
	for _, key := range d.table.Keys {
		if ruleKeys[key] == nil {
			d.unknown(d.table.In[key], key)
		}
	}
	for _, key := range keyNames { // class after reason
		if v := d.table.In[key]; v != nil {
			ruleKeys[key](d, v)
		}
	}
	if d.table.In["name"] == nil {
		d.errorf(d.table, "name", `is missing; write a short name, like name = "village-isp-full"`)
	}
	if d.table.In["reason"] == nil {
		d.errorf(d.table, "reason", `is missing; write what such a text means, like reason = "mailbox_full"`)
	}
	if d.table.In["examples"] == nil {
		d.errorf(d.table, "examples", `is missing; write at least one text that this rule is for, like examples = ["550 5.2.2 mailbox full"]`)
	}
	if !slices.ContainsFunc(conditionKeys, func(key string) bool { return d.table.In[key] != nil }) {
		d.broken = true
		d.file.errorf(d.table.Line, "rule", "fits every text; say what it looks for with one of %s", strings.Join(conditionKeys, ", "))
	}
}

func (d *draft) unknown(v *tomltree.Value, key string) {
	if near := nearest.Word(key, keyNames); near != "" {
		d.errorf(v, key, "there is no such key; did you mean %q?", near)
		return
	}
	d.errorf(v, key, "there is no such key; remove it, or write one of %s", strings.Join(keyNames, ", "))
}

// ruleName is what a rule may be called: it stands in events and log lines.
var ruleName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,63}$`)

// reserved are names that verdicts have without a rule of the table, and how
// rules begin that a better text is looked for: it may overrule them.
var (
	reserved         = []string{NoRule, "action"}
	reservedPrefixes = []string{"status-", "code-", "feedback-"}
)

func (d *draft) readName(v *tomltree.Value) {
	d.Name = d.text(v, "name", "village-isp-full")
	earlier := d.file.names[d.Name]
	switch {
	case d.Name == "" && d.broken:
	case !ruleName.MatchString(d.Name):
		d.errorf(v, "name", `%s is not a name; use at most 64 letters, digits and "-"`, terminal.Quote(d.Name))
	case earlier != nil:
		d.errorf(v, "name", "%q is taken by the rule on line %d; choose a different name", d.Name, earlier.table.Line)
	case d.file.shipped[d.Name], slices.Contains(reserved, d.Name):
		d.errorf(v, "name", "%q is the name of a shipped rule; choose a different name", d.Name)
	case slices.ContainsFunc(reservedPrefixes, func(p string) bool { return strings.HasPrefix(d.Name, p) }):
		d.errorf(v, "name", "%q begins as only the names of shipped rules do; choose a different name", d.Name)
	default:
		d.file.names[d.Name] = d
	}
}

// phrases reads texts that are compared as Fold gives them.
func (d *draft) phrases(v *tomltree.Value, key string) []string {
	var all []string
	for _, e := range d.texts(v, key, "postvak zit vol") {
		switch folded := Fold(e.Text); {
		case strings.Trim(folded, "* ") == "":
			d.errorf(e, key, "nothing of %s is left to look for, because reply codes and enhanced codes are taken off the text; use code or status for them", terminal.Quote(e.Text))
		case strings.HasPrefix(folded, "*") || strings.HasSuffix(folded, "*"):
			d.errorf(e, key, `"*" stands between words; remove it from the ends of %s`, terminal.Quote(e.Text))
		case withoutAddresses(e.Text) != e.Text:
			d.errorf(e, key, "%s has an address in it, and addresses are taken out of the text before; use pattern for them", terminal.Quote(e.Text))
		default:
			d.checkLead(e, key)
			all = append(all, e.Text)
		}
	}
	return all
}

// checkLead notes a code that a phrase begins with, because no text would have
// to have it.
func (d *draft) checkLead(e *tomltree.Value, key string) {
	words, lead := strings.Fields(e.Text), ""
	for bareWord(words[0]) != words[0] { // there is a word behind them
		bare := bareWord(words[0])
		lead += " " + strings.TrimSuffix(words[0], bare)
		if words[0] = bare; bare == "" {
			words = words[1:]
		}
	}
	if lead == "" {
		return
	}
	instead := fmt.Sprintf("%s = [%s]", key, strconv.Quote(strings.Join(words, " ")))
	if code, status := findReply(strings.TrimSpace(lead)); key == "words" {
		if status != "" {
			instead = fmt.Sprintf("status = [%q] and ", status) + instead
		}
		if code != 0 {
			instead = fmt.Sprintf("code = [%d] and ", code) + instead
		}
	}
	d.errorf(e, key, "%s begins with a code, and reply codes and enhanced codes are taken off the text before; write %s", terminal.Quote(e.Text), instead)
}

func (d *draft) readNear(v *tomltree.Value) {
	d.Near = d.phrases(v, "near")
	if d.table.In["words"] == nil {
		d.errorf(v, "near", "stands near the words of a rule, and this one has none; write words as well")
	}
}

func (d *draft) readPatterns(v *tomltree.Value) {
	for _, e := range d.texts(v, "pattern", "(?:mailbox|account) .{1,40} frozen") {
		d.file.patterns++
		re, err := CompilePattern(e.Text)
		switch {
		case d.file.patterns == MaxPatterns+1:
			d.errorf(e, "pattern", "this is pattern %d, and the file may have %d; use words where they are enough", d.file.patterns, MaxPatterns)
		case err != nil:
			d.errorf(e, "pattern", "%v", err)
		default:
			d.Patterns = append(d.Patterns, re)
		}
	}
}

// patternFlags stand before each pattern.
const patternFlags = "(?im)"

// CompilePattern makes a pattern of a rule: letters of either case are the
// same, "^" and "$" stand at lines, and it may not match the empty text. Its
// error says what to write instead.
func CompilePattern(text string) (*regexp.Regexp, error) {
	if len(text) > MaxPatternOctets {
		return nil, fmt.Errorf("%s has %d octets, and a pattern may have %d; make several of it", terminal.Quote(text), len(text), MaxPatternOctets)
	}
	re, err := regexp.Compile(patternFlags + text)
	var wrong *syntax.Error
	if errors.As(err, &wrong) && (strings.HasPrefix(wrong.Expr, "(?<!") || strings.HasPrefix(wrong.Expr, "(?<=")) {
		wrong = &syntax.Error{Code: syntax.ErrInvalidPerlOp, Expr: wrong.Expr[:4]} // it looks like a broken name
	}
	switch {
	case wrong != nil && (wrong.Code == syntax.ErrInvalidPerlOp || wrong.Code == syntax.ErrInvalidEscape):
		return nil, fmt.Errorf("%s cannot be used, because RE2 has no %q; write it without look-around, back references and the like", terminal.Quote(text), wrong.Expr)
	case wrong != nil:
		return nil, fmt.Errorf("%s is not a regular expression (%s: %s); correct it (https://github.com/google/re2/wiki/Syntax)",
			terminal.Quote(text), wrong.Code, terminal.Quote(strings.TrimPrefix(wrong.Expr, patternFlags)))
	case err != nil:
		return nil, err
	case re.MatchString(""):
		return nil, fmt.Errorf("%s fits every text, because it matches the empty one; take the ? or * from a part of it", terminal.Quote(text))
	}
	return re, nil
}

// statusForm is an enhanced status code of a failure (RFC 3463 section 2), or
// the start of some.
var statusForm = regexp.MustCompile(`^[45]\.(\*|[0-9]{1,3}\.(\*|[0-9]{1,3}\*?))$`)

func (d *draft) readStatus(v *tomltree.Value) {
	for _, e := range d.texts(v, "status", "5.2.*") {
		if !statusForm.MatchString(e.Text) {
			d.errorf(e, "status", `%s is not an enhanced code of a failure; write it like "5.2.2", "5.2.*" or "5.7.60*"`, terminal.Quote(e.Text))
			continue
		}
		d.Status = append(d.Status, e.Text)
	}
}

func (d *draft) readCodes(v *tomltree.Value) {
	if !d.list(v, "code", "[550]") {
		return
	}
	for _, e := range v.List {
		n, err := strconv.Atoi(e.Text)
		failure := n == 4 || n == 5 || n >= 40 && n < 60 || n >= 400 && n < 600
		if e.Kind == tomltree.Text {
			d.errorf(e, "code", "%s is text; write numbers without quotes, like code = [550]", terminal.Quote(e.Text))
			continue
		}
		if e.Kind != tomltree.Integer || err != nil || !failure {
			d.errorf(e, "code", "%s is not a reply code of a failure; write numbers like 550, or 55 for 550 to 559, or 5 for 500 to 599", terminal.Quote(e.Text))
			continue
		}
		d.Codes = append(d.Codes, n)
	}
}

// hostPart is a part of a host's name, or of its address.
var hostPart = regexp.MustCompile(`^[a-z0-9._:\[\]-]*[a-z0-9][a-z0-9._:\[\]-]*$`)

func (d *draft) readRemote(v *tomltree.Value) {
	for _, e := range d.texts(v, "remote", "mx.example.net") {
		name := strings.ToLower(e.Text)
		if !hostPart.MatchString(name) {
			d.errorf(e, "remote", `%s is not a part of a host's name; write it like "mx.example.net"`, terminal.Quote(e.Text))
			continue
		}
		d.Remote = append(d.Remote, name)
	}
}

// stageNames are the stages that a rule may name.
var stageNames = []string{string(reply.Connect), string(reply.EHLO), string(reply.STARTTLS), string(reply.AUTH), string(reply.MAIL),
	string(reply.RCPT), string(reply.DATA), string(reply.Dot), string(reply.DSN)}

func (d *draft) readStages(v *tomltree.Value) {
	for _, e := range d.texts(v, "stage", "rcpt") {
		if d.among(e, "stage", stageNames) {
			d.Stages = append(d.Stages, reply.Stage(e.Text))
		}
	}
}

func (d *draft) readReason(v *tomltree.Value) {
	var reasons []string
	for r := range meanings {
		reasons = append(reasons, string(r))
	}
	slices.Sort(reasons)
	if d.text(v, "reason", "mailbox_full") != "" && d.among(v, "reason", reasons) {
		d.Reason = Reason(v.Text)
	}
}

func (d *draft) readClass(v *tomltree.Value) {
	if d.text(v, "class", "soft") == "" || !d.among(v, "class", []string{string(Hard), string(Soft), string(Sender), string(None)}) {
		return
	}
	d.Class = Class(v.Text)
	if d.Reason != "" && meanings[d.Reason].class == None && d.Class != None {
		d.errorf(v, "class", `%s is no failure, so it can only be of class none; leave class out, or write another reason`, d.Reason)
	}
}

func (d *draft) readPlace(v *tomltree.Value) {
	if d.text(v, "place", "last") != "" && d.among(v, "place", []string{"first", "last"}) {
		d.Last = v.Text == "last"
	}
}

func (d *draft) readExamples(v *tomltree.Value) {
	d.examples = d.texts(v, "examples", "550 5.2.2 mailbox full")
	for _, e := range d.examples {
		d.Examples = append(d.Examples, e.Text)
	}
}

// text reads one text that is not empty, like example; "" notes a problem.
func (d *draft) text(v *tomltree.Value, key, example string) string {
	switch {
	case v.Kind != tomltree.Text:
		d.errorf(v, key, "must be text, not %s; write it in quotes, like %s = %q", v.Kind, key, example)
		return ""
	case v.Text == "":
		d.errorf(v, key, "is empty; write it like %s = %q", key, example)
	}
	return v.Text
}

// texts gives the texts of a list, like example, that are not empty.
func (d *draft) texts(v *tomltree.Value, key, example string) []*tomltree.Value {
	if !d.list(v, key, fmt.Sprintf("['%s']", example)) {
		return nil
	}
	var all []*tomltree.Value
	for _, e := range v.List {
		switch {
		case e.Kind != tomltree.Text:
			d.errorf(e, key, "must be a list of texts, and this is %s; write each in quotes, like '%s'", e.Kind, example)
		case strings.TrimSpace(e.Text) == "":
			d.errorf(e, key, "has an empty text in it; remove it, or write one like '%s'", example)
		default:
			all = append(all, e)
		}
	}
	return all
}

func (d *draft) list(v *tomltree.Value, key, example string) bool {
	switch {
	case v.Kind != tomltree.List:
		d.errorf(v, key, "must be a list, not %s; write it in brackets, like %s = %s", v.Kind, key, example)
		return false
	case len(v.List) == 0:
		d.errorf(v, key, "is an empty list; write it like %s = %s, or leave the key out", key, example)
		return false
	}
	return true
}

func (d *draft) among(v *tomltree.Value, key string, words []string) bool {
	if slices.Contains(words, v.Text) {
		return true
	}
	if near := nearest.Word(v.Text, words); near != "" {
		d.errorf(v, key, "%s is not known; did you mean %q?", terminal.Quote(v.Text), near)
	} else {
		d.errorf(v, key, "%s is not known; write one of %s", terminal.Quote(v.Text), strings.Join(words, ", "))
	}
	return false
}
