package bounce_test

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"homing/bounce"
	"homing/internal/reply"
)

// ruleText is a rule without anything wrong, with more lines below.
func ruleText(more string) string {
	return "[[rule]]\nname = 'village-isp-full'\nreason = 'mailbox_full'\nwords = ['postvak zit vol']\nexamples = ['550 Postvak zit vol']\n" + more
}

func mustParseRules(t testing.TB, text string) []bounce.Rule {
	t.Helper()
	rules, err := bounce.ParseRules([]byte(text))
	if err != nil {
		t.Fatalf("ParseRules: %v", err)
	}
	return rules
}

func ExampleParseRules() {
	rules, err := bounce.ParseRules([]byte(`[[rule]]
name = "village-isp-full"
words = ["postvak zit vol"]
reason = "mailbox_full"
examples = ["550 5.2.2 Postvak zit vol"]
`))
	if err != nil {
		fmt.Println(err)
	}
	v := bounce.NewTable(rules...).Classify(bounce.Evidence{Stage: reply.RCPT, Code: 550, Text: "Het postvak zit vol"})
	fmt.Println(v.Rule, v.Class, v.Reason, v.CiviCRM)

	_, err = bounce.ParseRules([]byte("[[rule]]\nname = 'a'\nreson = 'loop'\nwords = ['round and round']\nexamples = ['round']\n"))
	fmt.Println(err)
	// Output:
	// village-isp-full soft mailbox_full Quota
	// line 1: rule.reason: is missing; write what such a text means, like reason = "mailbox_full"
	// line 3: rule.reson: there is no such key; did you mean "reason"?
}

func TestParseRulesReadsEachKey(t *testing.T) {
	rules := mustParseRules(t, `
[[rule]]
name = "all-keys"
words = ["quux * zork", "Büro geschlossen"]
near = ["corge", "grault"]
not = ["spam"]
pattern = ['(?:corge|garply) .{1,40} waldo']
status = ["5.2.*"]
code = [550, 55, 5]
remote = ["MX.example.net"]
stage = ["rcpt", "dot", "dsn"]
reason = "mailbox_full"
class = "hard"
place = "last"
examples = ["550 5.2.99 Quux grault zork\nyour corge is now waldo"]
`)
	r := rules[0]
	got := fmt.Sprintf("%d %s %q %q %q %s %q %d %q %v %s %s %v %q", len(rules), r.Name, r.Words, r.Near, r.Not, r.Patterns, r.Status, r.Codes, r.Remote, r.Stages, r.Reason, r.Class, r.Last, r.Examples)
	want := `1 all-keys ["quux * zork" "Büro geschlossen"] ["corge" "grault"] ["spam"] [(?im)(?:corge|garply) .{1,40} waldo] ["5.2.*"] [550 55 5] ["mx.example.net"] [rcpt dot dsn] mailbox_full hard true ["550 5.2.99 Quux grault zork\nyour corge is now waldo"]`
	if got != want {
		t.Errorf("rule\n%s, want\n%s", got, want)
	}
}

func TestAFileWithoutRulesIsOne(t *testing.T) {
	if rules := mustParseRules(t, "# none yet\n"); len(rules) != 0 {
		t.Errorf("%d rules, want none", len(rules))
	}
}

func TestParseRulesNamesWhatIsWrong(t *testing.T) {
	name := func(n string) string {
		return "[[rule]]\nname = " + n + "\nreason = 'loop'\nwords = ['round and round']\nexamples = ['round and round']\n"
	}
	many := strings.Repeat("'a.b', ", bounce.MaxPatterns)
	tests := []struct {
		name, text string
		want       []string
	}{
		{"no TOML", "[[rule]]\npattern = [\"a\\.b\"]\n", []string{"line 2: this is not TOML (invalid escape character U+002E '.'); write text in double quotes, lists in [ ], each key once and on its own line; patterns with backslashes stand in single quotes"}},
		{"too long a file", strings.Repeat("#", 1<<20+1), []string{"line 1: the file is longer than 1 MiB; leave out rules that no bounce needs any more"}},
		{"a key of no table", "name = 'a'\n", []string{`line 1: name: stands outside of any rule; write [[rule]] on a line before it`}},
		{"an unknown table", ruleText("[rules]\n"), []string{"line 6: rules: there is no such key; the file has only tables that begin with [[rule]]"}},
		{"one bracket", "[rule]\nname = 'a'\n", []string{"line 1: rule: there can be several of these; write [[rule]] with two brackets on each side, and its keys below"}},
		{"rules that are no tables", "rule = [1]\n", []string{"line 1: rule: there can be several of these; write [[rule]] with two brackets on each side, and its keys below"}},
		{"nothing at all in it", "\n[[rule]]\n", []string{
			`line 2: rule.name: is missing; write a short name, like name = "village-isp-full"`,
			`line 2: rule.reason: is missing; write what such a text means, like reason = "mailbox_full"`,
			`line 2: rule.examples: is missing; write at least one text that this rule is for, like examples = ["550 5.2.2 mailbox full"]`,
			"line 2: rule: fits every text; say what it looks for with one of words, pattern, status, code, remote, stage"}},
		{"an unknown key", ruleText("wards = 1\n"), []string{`line 6: rule.wards: there is no such key; did you mean "words"?`}},
		{"a key that is like no other", ruleText("priority = 1\n"), []string{"line 6: rule.priority: there is no such key; remove it, or write one of name, words, near, not, pattern, status, code, remote, stage, reason, class, place, examples"}},
		{"a name that is no text", name("7"), []string{`line 2: rule.name: must be text, not a number; write it in quotes, like name = "village-isp-full"`}},
		{"no name in it", name("''"), []string{`line 2: rule.name: is empty; write it like name = "village-isp-full"`}},
		{"a name with a space", name("'a b'"), []string{`line 2: rule.name: "a b" is not a name; use at most 64 letters, digits and "-"`}},
		{"the name of a shipped rule", name("'words-full'"), []string{`line 2: rule.name: "words-full" is the name of a shipped rule; choose a different name`}},
		{"the name of no rule", name("'unknown'"), []string{`line 2: rule.name: "unknown" is the name of a shipped rule; choose a different name`}},
		{"a name like those of shipped rules that may be overruled", name("'status-9'"), []string{`line 2: rule.name: "status-9" begins as only the names of shipped rules do; choose a different name`}},
		{"a name twice", ruleText(ruleText("")), []string{`line 7: rule.name: "village-isp-full" is taken by the rule on line 1; choose a different name`}},
		{"words that are no list", "[[rule]]\nname = 'a'\nreason = 'loop'\nwords = 'round'\nexamples = ['round']\n", []string{`line 4: rule.words: must be a list, not text; write it in brackets, like words = ['postvak zit vol']`}},
		{"words that are no texts", ruleText("not = [1]\n"), []string{"line 6: rule.not: must be a list of texts, and this is a number; write each in quotes, like 'postvak zit vol'"}},
		{"an empty list", ruleText("not = []\n"), []string{"line 6: rule.not: is an empty list; write it like not = ['postvak zit vol'], or leave the key out"}},
		{"an empty text", ruleText("not = [' ']\n"), []string{"line 6: rule.not: has an empty text in it; remove it, or write one like 'postvak zit vol'"}},
		{"words that are a code", ruleText("not = [\n'spam',\n'550 5.1.1']\n"), []string{`line 8: rule.not: nothing of "550 5.1.1" is left to look for, because reply codes and enhanced codes are taken off the text; use code or status for them`}},
		{"words behind a code", "[[rule]]\nname = 'a'\nreason = 'loop'\nwords = ['550 gone walking', '550-5.1.1 gone walking', '5.1.1 gone', '550-gone']\nexamples = ['550 gone walking']\n", []string{
			`line 4: rule.words: "550 gone walking" begins with a code, and reply codes and enhanced codes are taken off the text before; write code = [550] and words = ["gone walking"]`,
			`line 4: rule.words: "550-5.1.1 gone walking" begins with a code, and reply codes and enhanced codes are taken off the text before; write code = [550] and status = ["5.1.1"] and words = ["gone walking"]`,
			`line 4: rule.words: "5.1.1 gone" begins with a code, and reply codes and enhanced codes are taken off the text before; write status = ["5.1.1"] and words = ["gone"]`,
			`line 4: rule.words: "550-gone" begins with a code, and reply codes and enhanced codes are taken off the text before; write code = [550] and words = ["gone"]`}},
		{"a code before what may not be there", ruleText("not = ['550 spam']\n"), []string{
			`line 6: rule.not: "550 spam" begins with a code, and reply codes and enhanced codes are taken off the text before; write not = ["spam"]`}},
		{"a star at the end", ruleText("not = ['vol*']\n"), []string{`line 6: rule.not: "*" stands between words; remove it from the ends of "vol*"`}},
		{"an address", ruleText("not = ['to ann@example.com']\n"), []string{`line 6: rule.not: "to ann@example.com" has an address in it, and addresses are taken out of the text before; use pattern for them`}},
		{"a broken pattern", ruleText("pattern = ['a(b']\n"), []string{"line 6: rule.pattern: \"a(b\" is not a regular expression (missing closing ): \"a(b\"); correct it (https://github.com/google/re2/wiki/Syntax)"}},
		{"look-around", ruleText("pattern = ['a(?!b)']\n"), []string{`line 6: rule.pattern: "a(?!b)" cannot be used, because RE2 has no "(?!"; write it without look-around, back references and the like`}},
		{"looking back", ruleText("pattern = ['(?<=a)b']\n"), []string{`line 6: rule.pattern: "(?<=a)b" cannot be used, because RE2 has no "(?<="; write it without look-around, back references and the like`}},
		{"a back reference", ruleText(`pattern = ['(a)\1']` + "\n"), []string{`line 6: rule.pattern: "(a)\\1" cannot be used, because RE2 has no "\\1"; write it without look-around, back references and the like`}},
		{"a pattern that fits everything", ruleText("pattern = ['(?:vol)?']\n"), []string{`line 6: rule.pattern: "(?:vol)?" fits every text, because it matches the empty one; take the ? or * from a part of it`}},
		{"too long a pattern", ruleText("pattern = ['" + strings.Repeat("a", 1001) + "']\n"), []string{`line 6: rule.pattern: "` + strings.Repeat("a", 80) + `…" has 1001 octets, and a pattern may have 1000; make several of it`}},
		{"too many patterns", ruleText("pattern = [" + many + "'vol', 'vol']\n"), []string{"line 6: rule.pattern: this is pattern 201, and the file may have 200; use words where they are enough"}},
		{"a status that is none", ruleText("status = ['2.1.1', '5.1', '5.*', '5.1.*', '5.1.10*']\n"), []string{
			`line 6: rule.status: "2.1.1" is not an enhanced code of a failure; write it like "5.2.2", "5.2.*" or "5.7.60*"`,
			`line 6: rule.status: "5.1" is not an enhanced code of a failure; write it like "5.2.2", "5.2.*" or "5.7.60*"`}},
		{"a code that is none", ruleText("code = [250, 60, '5', 5]\n"), []string{
			`line 6: rule.code: "250" is not a reply code of a failure; write numbers like 550, or 55 for 550 to 559, or 5 for 500 to 599`,
			`line 6: rule.code: "60" is not a reply code of a failure; write numbers like 550, or 55 for 550 to 559, or 5 for 500 to 599`,
			`line 6: rule.code: "5" is text; write numbers without quotes, like code = [550]`}},
		{"a host that is none", ruleText("remote = ['mx example']\n"), []string{`line 6: rule.remote: "mx example" is not a part of a host's name; write it like "mx.example.net"`}},
		{"a stage that is none", ruleText("stage = ['rctp', 'resolve']\n"), []string{
			`line 6: rule.stage: "rctp" is not known; did you mean "rcpt"?`,
			`line 6: rule.stage: "resolve" is not known; write one of connect, ehlo, starttls, auth, mail, rcpt, data, dot, dsn`}},
		{"a class that is none", ruleText("class = 'sfot'\n"), []string{`line 6: rule.class: "sfot" is not known; did you mean "soft"?`}},
		{"a place that is none", ruleText("place = 'middle'\n"), []string{`line 6: rule.place: "middle" is not known; write one of first, last`}},
		{"a reason that is none", "[[rule]]\nname = 'a'\nreason = 'mailbox-full'\nwords = ['round']\nexamples = ['round']\n", []string{`line 3: rule.reason: "mailbox-full" is not known; did you mean "mailbox_full"?`}},
		{"a failure that is none", "[[rule]]\nname = 'a'\nclass = 'hard'\nreason = 'greylisted'\nwords = ['round']\nexamples = ['round']\n", []string{"line 3: rule.class: greylisted is no failure, so it can only be of class none; leave class out, or write another reason"}},
		{"an example without the words", ruleText("[[rule]]\nname = 'b'\nreason = 'loop'\nwords = ['round and round']\nexamples = ['round']\n"), []string{
			`line 10: rule.examples: this rule does not fit its example "round": none of its words is in it; take them from the example`}},
		{"an example without the pattern", ruleText("pattern = ['zit  vol']\n"), []string{`line 5: rule.examples: this rule does not fit its example "550 Postvak zit vol": none of its patterns matches it; try them one by one`}},
		{"an example without the code", ruleText("code = [551]\n"), []string{`line 5: rule.examples: this rule does not fit its example "550 Postvak zit vol": it has none of its reply codes; begin the example with the code`}},
		{"an example without the status", ruleText("status = ['5.2.2']\n"), []string{`line 5: rule.examples: this rule does not fit its example "550 Postvak zit vol": it has none of its enhanced codes; put one behind the reply code of the example`}},
		{"an example of another stage", "[[rule]]\nname = 'a'\nreason = 'loop'\nstage = ['dsn']\nexamples = ['550 no (in reply to MAIL FROM command)']\n", []string{
			`line 5: rule.examples: this rule does not fit its example "550 no (in reply to MAIL FROM command)": it names another stage of the dialogue; leave that out of the example`}},
		{"near without words", "[[rule]]\nname = 'a'\nreason = 'loop'\ncode = [550]\nnear = ['round']\nexamples = ['550 round']\n", []string{"line 5: rule.near: stands near the words of a rule, and this one has none; write words as well"}},
		{"an example whose words stand apart", ruleText("near = ['zork']\n"), []string{`line 5: rule.examples: this rule does not fit its example "550 Postvak zit vol": no phrase of near is within 80 octets of its words; bring them together in the example`}},
		{"an example that not forbids", ruleText("not = ['vol']\n"), []string{`line 5: rule.examples: this rule does not fit its example "550 Postvak zit vol": a phrase of not is in it; leave one of the two out`}},
		{"an example that a shipped rule wins", ruleText("[[rule]]\nname = 'b'\nplace = 'last'\nreason = 'loop'\npattern = ['mailbox full']\nexamples = ['552 mailbox full']\n"), []string{
			"line 11: rule.examples: the shipped rule words-full wins on this text; place it first, or say more"}},
		{"an example that an earlier rule wins", ruleText("[[rule]]\nname = 'b'\nreason = 'loop'\nwords = ['zit vol']\nexamples = ['postvak zit vol', 'huis zit vol']\n"), []string{
			"line 10: rule.examples: the rule village-isp-full on line 1 wins on this text; move this rule above it, or say more there"}},
		{"an example that a rule wins which is placed first", "[[rule]]\nname = 'b'\nreason = 'loop'\nplace = 'last'\nwords = ['zit vol']\nexamples = ['postvak zit vol']\n" + ruleText(""), []string{
			"line 6: rule.examples: the rule village-isp-full on line 7 wins on this text, because it is placed first; place this one first and above it, or say more there"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rules, err := bounce.ParseRules([]byte(tt.text))
			if rules != nil || err == nil {
				t.Fatalf("ParseRules gives %d rules and %v, want problems alone", len(rules), err)
			}
			if diff := cmp.Diff(tt.want, strings.Split(err.Error(), "\n")); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestThereMayBeAThousandRules(t *testing.T) {
	var text strings.Builder
	for i := range bounce.MaxRules + 1 {
		fmt.Fprintf(&text, "[[rule]]\nname = 'r%d'\nreason = 'loop'\nwords = ['case r%d of ours']\nexamples = ['case r%d of ours']\n", i, i, i)
	}
	_, err := bounce.ParseRules([]byte(text.String()))
	want := "line 5001: rule: this is rule 1001, and there may be 1000; leave out those that no bounce needs any more"
	if err == nil || err.Error() != want {
		t.Errorf("problems %v, want %s", err, want)
	}
	mustParseRules(t, strings.Join(strings.SplitAfter(text.String(), "\n")[:5*bounce.MaxRules], ""))
}

func TestRulesThatComeLastAreAskedWhereNoShippedRuleFits(t *testing.T) {
	table := bounce.NewTable(
		bounce.Rule{Name: "ours-last", Words: []string{"computer says"}, Reason: bounce.Loop, Last: true},
		bounce.Rule{Name: "ours-first", Words: []string{"mailbox full of joy"}, Reason: bounce.Loop})
	for text, want := range map[string]string{
		"550 computer says no":           "ours-last",
		"552 computer says mailbox full": "words-full",
		"552 mailbox full of joy":        "ours-first",
	} {
		if got := table.Classify(bounce.Evidence{Stage: reply.RCPT, Text: text}); got.Rule != want {
			t.Errorf("%q is for %s, want %s", text, got.Rule, want)
		}
	}
}

func TestPatternsLookAtTheTextAsItWasOnTheWire(t *testing.T) {
	e := bounce.Evidence{Stage: reply.RCPT, Code: 550, Status: "5.7.1", Text: "Ärger mit <Ann@example.com>:\nKonto   GESPERRT"}
	tests := []struct {
		name, pattern, matched string
	}{
		{"letters of either case", "konto +gesperrt", "Konto GESPERRT"},
		{"accents stay", "^.*ärger", "550 5.7.1 Ärger"},
		{"addresses stay", "<ann@example\\.com>", "<Ann@example.com>"},
		{"the code and the status stand before it", "^550 5\\.7\\.1 ", "550 5.7.1"},
		{"lines begin anywhere", "^konto", "Konto"},
		{"a dot takes the end of a line of a reply", "example.*gesperrt", "example.com>: Konto GESPERRT"},
		{"one of several", "quota|gesperrt$", "GESPERRT"},
		{"none of several", "(?:quota|full)(?:a|b)+", ""},
		{"only classes of letters", "[g][d-f][q-s]+p", "GESP"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			re, err := bounce.CompilePattern(tt.pattern)
			if err != nil {
				t.Fatal(err)
			}
			v := bounce.NewTable(bounce.Rule{Name: "ours", Patterns: []*regexp.Regexp{re}, Reason: bounce.Loop}).Classify(e)
			if want := tt.matched != ""; (v.Rule == "ours") != want || want && v.Matched != tt.matched {
				t.Errorf("rule %s, %q, want %q", v.Rule, v.Matched, tt.matched)
			}
		})
	}
}

func TestWhatARuleCallsNoFailureHasNoTypeOfCiviCRM(t *testing.T) {
	rules := mustParseRules(t, ruleText("class = 'none'\n"))
	got := bounce.NewTable(rules...).Classify(bounce.Evidence{Stage: reply.RCPT, Text: "550 Postvak zit vol"})
	if got.Rule != "village-isp-full" || got.Class != bounce.None || got.Reason != bounce.MailboxFull || got.CiviCRM != "" {
		t.Errorf("verdict %+v, want no failure, by that rule, and no type", got)
	}
}

// TestRulesOfOperatorsCannotBreakWhatTheTablePromises tries a rule for each
// reason and class, which fits whatever is said.
func TestRulesOfOperatorsCannotBreakWhatTheTablePromises(t *testing.T) {
	hosts := []bounce.Reason{bounce.HostUnknown, bounce.NoMailHost, bounce.SystemFull, bounce.SystemError, bounce.NetworkError, bounce.Expired, bounce.Loop}
	reasons := map[bounce.Reason]bool{}
	for _, r := range bounce.NewTable().Rules() {
		reasons[r.Reason] = true
	}
	reasons[bounce.Unknown], reasons[bounce.Complained], reasons[bounce.AutoReplied] = true, true, true
	for reason := range reasons {
		for _, class := range []string{"hard", "soft", "sender", "none"} {
			for _, place := range []string{"first", "last"} {
				rules, err := bounce.ParseRules(fmt.Appendf(nil, "[[rule]]\nname = 'ours'\nreason = '%s'\nclass = '%s'\nplace = '%s'\npattern = ['xyzzy']\nexamples = ['xyzzy']\n", reason, class, place))
				if err != nil {
					if !strings.Contains(err.Error(), "is no failure") {
						t.Errorf("%s, %s: %v", reason, class, err)
					}
					continue
				}
				table := bounce.NewTable(rules...)
				for _, stage := range []reply.Stage{reply.Connect, reply.EHLO, reply.STARTTLS, reply.AUTH, reply.MAIL} {
					v := table.Classify(bounce.Evidence{Stage: stage, Text: "xyzzy"})
					if v.Rule != "ours" || v.Class == bounce.Hard || v.Class == bounce.Soft && !slices.Contains(hosts, v.Reason) {
						t.Errorf("%s, %s at %s: %+v", reason, class, stage, v)
					}
				}
				for _, e := range []bounce.Evidence{{Stage: reply.RCPT, Code: 450, Text: "xyzzy"}, {Stage: reply.DSN, Status: "4.9.9", Text: "xyzzy"}, {Stage: reply.DSN, Text: "450 xyzzy"}} {
					if v := table.Classify(e); v.Class == bounce.Hard {
						t.Errorf("%s, %s: %+v is hard (%s)", reason, class, e, v.Rule)
					}
				}
			}
		}
	}
}

func TestATableIsExchangedWhileItIsUsed(t *testing.T) {
	ours := bounce.NewTable(bounce.Rule{Name: "ours", Words: []string{"quux"}, Reason: bounce.Loop})
	live := bounce.NewLive(bounce.NewTable())
	reader := bounce.NewReader(live)
	mail := "From: MAILER-DAEMON@mx.example.org\nSubject: Undelivered Mail Returned to Sender\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\n\n" +
		"--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.org\n\nFinal-Recipient: rfc822; ann@example.net\nAction: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; 550 Quux\n--b--\n"
	rule := func() string {
		report, err := reader.Read(strings.NewReader(mail))
		if err != nil || len(report.Recipients) != 1 {
			t.Errorf("report %+v, %v", report, err)
			return ""
		}
		return report.Recipients[0].Verdict.Rule
	}
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for range 50 {
				if got := rule(); got != "unknown" && got != "ours" {
					t.Errorf("rule %s in the middle of an exchange", got)
				}
			}
		})
	}
	live.Use(ours)
	if got := rule(); got != "ours" {
		t.Errorf("rule %s after the exchange", got)
	}
	if got := live.Explain(bounce.Evidence{Text: "quux"}); len(got) != 1 {
		t.Errorf("Explain gives %v, want our rule", got)
	}
	readers.Wait()
}

// FuzzParseRules states what ParseRules promises of any file: it does not
// panic; there are rules or problems, each problem on a line of the file; and
// rules win on their examples, never call a temporary refusal hard, and never
// hold against a person what was said before RCPT.
func FuzzParseRules(f *testing.F) {
	f.Add(ruleText("not = ['a*b']\npattern = ['v.l|b+', '[^a]$']\nstatus = ['5.2.*']\ncode = [5]\nremote = ['mx']\nstage = ['rcpt']\nclass = 'hard'\nplace = 'last'\n"))
	f.Add(ruleText("[[rule]]\nname = 'b'\nreason = 'user_unknown'\nstage = ['mail']\nexamples = ['5']\n"))
	f.Add("[[rule]]\nwords = [\n1,\n'*']\n[rule.name]\n")
	f.Fuzz(func(t *testing.T, text string) {
		rules, err := bounce.ParseRules([]byte(text))
		if err != nil {
			var problems bounce.RuleProblems
			if rules != nil || !errors.As(err, &problems) || len(problems) == 0 {
				t.Fatalf("%d rules and %v", len(rules), err)
			}
			for _, p := range problems {
				if p.Line < 1 || p.Line > strings.Count(text, "\n")+1 || p.Message == "" {
					t.Errorf("problem %+v", p)
				}
			}
			return
		}
		table := bounce.NewTable(rules...)
		for _, r := range rules {
			for _, example := range r.Examples {
				stages, remote := append([]reply.Stage{reply.DSN}, r.Stages...), append(slices.Clone(r.Remote), "")[0]
				if !slices.ContainsFunc(stages, func(s reply.Stage) bool {
					return table.Classify(bounce.Evidence{Stage: s, Text: example, RemoteMTA: remote}).Rule == r.Name
				}) {
					t.Errorf("rule %s does not win on %q", r.Name, example)
				}
				if v := table.Classify(bounce.Evidence{Stage: reply.RCPT, Code: 450, Text: example}); v.Class == bounce.Hard {
					t.Errorf("450 %q is hard", example)
				}
				if v := table.Classify(bounce.Evidence{Stage: reply.MAIL, Text: example}); v.Class == bounce.Hard {
					t.Errorf("%q at MAIL is hard", example)
				}
			}
		}
	})
}
