package civicrm_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"homing/bounce"
	"homing/bounce/civicrm"
	"homing/internal/reply"
)

func ExampleImport() {
	file, err := civicrm.Import([]byte("id,bounce_type_id,pattern\n7,8,\"computer.+is stuffed\"\n9,6,(?<!not )gone\n"), true)
	if err != nil {
		fmt.Println(err)
	}
	rules, err := bounce.ParseRules(file.Text)
	fmt.Println(rules[0].Name, rules[0].Reason, rules[0].Examples, err)
	fmt.Println(file.LeftOut[0].Line, file.LeftOut[0].Why)
	// Output:
	// civicrm-Quota-7 mailbox_full [computer x is stuffed] <nil>
	// 3 "(?<!not )gone" cannot be used, because RE2 has no "(?<!"; write it without look-around, back references and the like
}

// imported gives the rules that an export makes, name by name, and the rest.
func imported(t *testing.T, export string, last bool) (rules map[string]bounce.Rule, f civicrm.File) {
	t.Helper()
	f, err := civicrm.Import([]byte(export), last)
	if err != nil {
		t.Fatalf("Import: %v", err)
	}
	all, err := bounce.ParseRules(f.Text)
	if err != nil {
		t.Fatalf("the rules are wrong: %v\n%s", err, f.Text)
	}
	if len(all) != f.Rules {
		t.Errorf("%d rules, the file says %d", len(all), f.Rules)
	}
	rules = map[string]bounce.Rule{}
	for _, r := range all {
		rules[r.Name] = r
	}
	return rules, f
}

func TestImportReadsWhatOtherProgramsExport(t *testing.T) {
	tests := []struct{ name, export string }{
		{"commas and a header", "id,bounce_type_id,pattern\n7,8,\"grault, (waldo|\"\"fred\"\")\\s\\d\"\n"},
		{"no header", "7,8,\"grault, (waldo|\"\"fred\"\")\\s\\d\"\n"},
		{"columns in another order, and others between them", "pattern,is_active,ID,Bounce_Type_ID\n\"grault, (waldo|\"\"fred\"\")\\s\\d\",1,7,8\n"},
		{"the name of the type", "\"id\",\"bounce_type\",\"pattern\"\r\n\"7\",\"quota\",\"grault, (waldo|\"\"fred\"\")\\s\\d\"\r\n"},
		{"semicolons and a byte order mark", "\ufeffid;bounce_type_id;pattern\n7;8;\"grault, (waldo|\"\"fred\"\")\\s\\d\"\n"},
		{"tabs", "id\tbounce_type_id\tpattern\n7\t8\tgrault, (waldo|\"fred\")\\s\\d\n"},
		{"tabs, and backslashes as mysql writes them", "id\tbounce_type_id\tpattern\n7\t8\tgrault, (waldo|\"fred\")\\\\s\\\\d\n"},
		{"a file of mysql without a header", "7\t8\tgrault, (waldo|\"fred\")\\\\s\\\\d\n8\t8\t\\N\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rules, _ := imported(t, tt.export, true)
			r := rules["civicrm-Quota-7"]
			got := fmt.Sprintf("%s %s %v %q", r.Patterns, r.Reason, r.Last, r.Examples)
			if want := `[(?im)grault, (waldo|"fred")\s\d] mailbox_full true ["grault, waldo 1"]`; got != want {
				t.Errorf("rule %s, want %s", got, want)
			}
		})
	}
}

func TestEachTypeOfCiviCRMHasItsReason(t *testing.T) {
	var export strings.Builder
	for kind := 1; kind <= 11; kind++ {
		fmt.Fprintf(&export, "%d,%d,quux n%dn\n", kind+100, kind, kind)
	}
	rules, _ := imported(t, export.String(), false)
	table := bounce.NewTable()
	got := map[string]string{}
	for name, r := range rules {
		v := bounce.NewTable(r).Classify(bounce.Evidence{Stage: reply.RCPT, Code: 550, Text: r.Examples[0]})
		got[name] = fmt.Sprintf("%s %s", v.Class, v.Reason)
	}
	want := map[string]string{
		"civicrm-AOL-101": "sender policy", "civicrm-Away-102": "none auto_reply", "civicrm-Dns-103": "soft host_unknown", "civicrm-Host-104": "soft system_error",
		"civicrm-Inactive-105": "hard disabled", "civicrm-Invalid-106": "hard user_unknown", "civicrm-Loop-107": "soft loop", "civicrm-Quota-108": "soft mailbox_full",
		"civicrm-Relay-109": "soft relay_denied", "civicrm-Spam-110": "sender spam", "civicrm-Syntax-111": "soft unknown",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
	if v := table.Classify(bounce.Evidence{Text: "quux n1n"}); v.Rule != "unknown" {
		t.Errorf("the shipped rule %s knows what this test rests on", v.Rule)
	}
}

func TestWhatCannotBeARuleIsLeftOutAndSaidWhy(t *testing.T) {
	export := "id,bounce_type_id,pattern\n" +
		"1,8,(?=quux)corge\n" + // 2
		"2,8,(quux)\\1\n" +
		"3,8,(quux\n" +
		"4,8,(quux)?\n" +
		"5,12,quux\n" + // 6
		"6,Quuota,quux\n" +
		"x,8,quux\n" +
		"7,8,NULL\n" +
		"8,8,quux,grault\n" + // 10
		"9,8,\"quux\ngrault\"\n" +
		"10,8,quux 10\n" + // 13
		"10,8,quux eleven\n" +
		"12,8,quu\xff\n" +
		"13,8,quux\\b\\Bgrault\n"
	rules, f := imported(t, export, true)
	if len(rules) != 1 || rules["civicrm-Quota-10"].Name == "" {
		t.Errorf("rules %v, want that of the sound row alone", rules)
	}
	want := []civicrm.LeftOut{
		{2, `"(?=quux)corge" cannot be used, because RE2 has no "(?="; write it without look-around, back references and the like`},
		{3, `"(quux)\\1" cannot be used, because RE2 has no "\\1"; write it without look-around, back references and the like`},
		{4, "\"(quux\" is not a regular expression (missing closing ): \"(quux\"); correct it (https://github.com/google/re2/wiki/Syntax)"},
		{5, `"(quux)?" fits every text, because it matches the empty one; take the ? or * from a part of it`},
		{6, `its type "12" is none of CiviCRM's; write a number from 1 to 11, or a name like Quota`},
		{7, `its type "Quuota" is none of CiviCRM's; write a number from 1 to 11, or a name like Quota`},
		{8, `its id "x" is no number; export the column id`},
		{9, "it has no pattern; remove the row"},
		{10, "it has 4 columns instead of 3; put the pattern into quotes"},
		{11, "its pattern has a line end; close the quotes before it"},
		{14, "its id 10 is that of line 13; give it a different one"},
		{15, "its pattern is not UTF-8; export with --default-character-set=utf8mb4"},
		{16, "no example could be made of it; write this rule by hand, with an example from a bounce"},
	}
	if diff := cmp.Diff(want, f.LeftOut); diff != "" {
		t.Errorf("left out (-want +got):\n%s", diff)
	}
	for _, l := range want {
		if line := fmt.Sprintf("# Left out: line %d of the export: %s.\n", l.Line, l.Why); !bytes.Contains(f.Text, []byte(line)) {
			t.Errorf("the file does not have %s", line)
		}
	}
}

func TestWhatOtherRulesKnowIsLeftInAComment(t *testing.T) {
	export := "id,bounce_type_id,pattern\n1,8,mailbox.full\n2,8,(mailbox full|quux grault)\n3,8,quux\n4,9,quux grault\n"
	rules, f := imported(t, export, true)
	if got := rules["civicrm-Quota-2"].Examples; f.Covered != 2 || len(rules) != 2 || len(got) != 1 || got[0] != "quux grault" {
		t.Errorf("%d are covered, rules %v, want one that wins on what no shipped rule knows", f.Covered, rules)
	}
	for _, want := range []string{
		"\n# Covered by the rule civicrm-Quota-2, which says soft, mailbox_full of this example. ",
		"\n# Covered by the rule words-full, which says soft, mailbox_full of this example. To let this one decide, uncomment it with place = \"first\".\n" +
			"# [[rule]]\n# name = 'civicrm-Quota-1'\n# pattern = ['mailbox.full']\n# reason = 'mailbox_full'\n# place = 'last'\n# examples = ['mailbox full']\n",
	} {
		if !bytes.Contains(f.Text, []byte(want)) {
			t.Errorf("the file has no %s:\n%s", want, f.Text)
		}
	}
	rules, f = imported(t, export, false)
	if f.Covered != 1 || rules["civicrm-Quota-1"].Last {
		t.Errorf("%d are covered, rules %v: before the shipped rules only each other count", f.Covered, rules)
	}
}

func TestAFileHasTwoHundredPatternsOfAnExport(t *testing.T) {
	var export strings.Builder
	for i := range bounce.MaxPatterns + 2 {
		fmt.Fprintf(&export, "%d,8,quux n%dn\n", i+1, i)
	}
	rules, f := imported(t, export.String(), true)
	if len(rules) != bounce.MaxPatterns || len(f.LeftOut) != 2 || !strings.Contains(f.LeftOut[0].Why, "may have 200 patterns") {
		t.Errorf("%d rules, left out %v, want 200 and 2", len(rules), f.LeftOut)
	}
}

func TestAnExportThatCannotBeReadSaysWhy(t *testing.T) {
	tests := []struct{ name, export, want string }{
		{"nothing in it", "", "line 1: there is no comma, semicolon or tab between columns; export the columns id, bounce_type_id and pattern"},
		{"one column", "pattern\nquux\n", "line 1: there is no comma, semicolon or tab between columns; export the columns id, bounce_type_id and pattern"},
		{"a column is missing", "id,pattern\n1,quux\n", "line 1: this is neither a header with id, bounce_type_id and pattern nor a row of them; export those three columns"},
		{"quotes that are not closed", "1,8,quux\n2,8,\"quux\n", `line 2: extraneous or missing " in quoted-field; put a pattern with quotes into quotes, and write each in it twice`},
		{"too long", strings.Repeat("x", civicrm.MaxOctets+1), "the export is longer than 1 MiB; export only the table civicrm_mailing_bounce_pattern"},
		{"rules that would be too long", "1,8,quux\n" + strings.Repeat("2,8,\u200b\n", 60000), "the rules would be longer than 1 MiB; export fewer rows"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := civicrm.Import([]byte(tt.export), true); err == nil || err.Error() != tt.want {
				t.Errorf("Import: %v, want %s", err, tt.want)
			}
		})
	}
}

// FuzzImport states what Import promises of any export: it does not panic, and
// what it makes are rules, as many as it says, each behind or before the
// shipped ones as wanted, in characters that a terminal shows.
func FuzzImport(f *testing.F) {
	f.Add([]byte("id,bounce_type_id,pattern\n7,8,\"a, (b|\"\"c\"\")\\s\\d+[^x]{2,}\"\n8,Quota,(?=a)\n8,2,'\u200b'\n"), true)
	f.Add([]byte("\ufeff7\t8\tquux\\\\s'\t\n\n"), false)
	f.Fuzz(func(t *testing.T, export []byte, last bool) {
		file, err := civicrm.Import(export, last)
		if err != nil {
			return
		}
		rules, err := bounce.ParseRules(file.Text)
		var problems bounce.RuleProblems
		if errors.As(err, &problems) || len(rules) != file.Rules {
			t.Fatalf("%d rules, want %d: %v\n%s", len(rules), file.Rules, err, file.Text)
		}
		for _, r := range rules {
			if r.Last != last {
				t.Errorf("rule %s is at the wrong place", r.Name)
			}
		}
		if i := bytes.IndexFunc(file.Text, func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f || r == '\ufffd' }); i >= 0 {
			t.Errorf("the file has %q", file.Text[i:])
		}
	})
}

// An export may have thousands of patterns that the shipped rules know. A table
// takes long to make, and they need no more than one.
func TestWhatOtherRulesKnowNeedsNoTableOfItsOwn(t *testing.T) {
	const rows = 100
	var export strings.Builder
	for id := range rows {
		fmt.Fprintf(&export, "%d,6,user unknown here %d\n", id+1, id)
	}
	var f civicrm.File
	got := testing.AllocsPerRun(1, func() { _, f = imported(t, export.String(), true) })
	if f.Covered != rows {
		t.Fatalf("%d are covered, want %d", f.Covered, rows)
	}
	if table := testing.AllocsPerRun(1, func() { bounce.NewTable() }); got > rows/2*table {
		t.Errorf("%.0f allocations, and one table takes %.0f", got, table)
	}
}
