package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"homing/bounce"
)

// rulesFor is a file with one rule, for what unknown.test says.
func rulesFor(reason string) string {
	return fmt.Sprintf("[[rule]]\nname = 'ours-%s'\nreason = %q\nwords = ['virtual mailbox table']\nexamples = ['550 unknown in virtual mailbox table']\n",
		strings.ReplaceAll(reason, "_", "-"), reason)
}

// rules writes the file of rules that a stand has.
func (s *stand) rules(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(filepath.Dir(s.config), "rules.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// bounced gives the rules that decided on what failed, by address.
func (s *stand) bounced() map[string]string {
	rules := map[string]string{}
	for _, c := range s.net.Hook.Calls.All() {
		if c.Event.Type == "bounced" {
			rules[c.Event.Recipient] = c.Event.Rule + " " + c.Event.Class
		}
	}
	return rules
}

// whatReaderAndTableSay gives the rules that decide about the same text in a
// report and at once.
func (s *stand) whatReaderAndTableSay(t *testing.T) string {
	t.Helper()
	report, err := s.house.reader.Read(strings.NewReader("From: MAILER-DAEMON@mx.example.org\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\n\n" +
		"--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; x\n\nFinal-Recipient: rfc822; ann@example.net\nAction: failed\nStatus: 5.0.0\n" +
		"Diagnostic-Code: smtp; 550 unknown in virtual mailbox table\n--b--\n"))
	if err != nil || len(report.Recipients) != 1 {
		t.Fatalf("report %+v, %v", report, err)
	}
	return report.Recipients[0].Verdict.Rule + " " + s.house.rules.Classify(bounce.Evidence{Text: "550 unknown in virtual mailbox table"}).Rule
}

func TestRulesAreExchangedWhileTheServerRuns(t *testing.T) {
	s := newStand(t, "")
	reload := func() error { return s.control().call(t.Context(), http.MethodPost, "/api/v1/reload", nil, nil, nil) }
	s.rules(t, rulesFor("mailbox_full"))
	s.change(t, "[limits]", "[bounce]\nrules_file = \"rules.toml\"\n[limits]")
	if err := reload(); err != nil {
		t.Fatal(err)
	}
	if err := s.mail(1, "ann@unknown.test"); err != nil {
		t.Fatal(err)
	}
	if err := s.told("bounced", "ann@unknown.test"); err != nil {
		t.Fatal(err)
	}
	s.rules(t, rulesFor("policy")) // only the rules change
	if err := reload(); err != nil {
		t.Fatal(err)
	}
	if err := s.mail(2, "bob@unknown.test"); err != nil {
		t.Fatal(err)
	}
	if err := s.told("bounced", "bob@unknown.test"); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(s.bounced()), "map[ann@unknown.test:ours-mailbox-full soft bob@unknown.test:ours-policy sender]"; got != want {
		t.Errorf("rules that decided: %s, want %s", got, want)
	}
	if got := s.whatReaderAndTableSay(t); got != "ours-policy ours-policy" {
		t.Errorf("reader and table go by %s", got)
	}
}

func TestAMistakeInTheRulesKeepsTheOldOnes(t *testing.T) {
	s := newStand(t, "")
	s.rules(t, rulesFor("loop"))
	s.change(t, "[limits]", "[bounce]\nrules_file = \"rules.toml\"\n[limits]")
	s.hup <- os.Interrupt
	at := s.log.wait(t, 0, "configuration reloaded")
	s.rules(t, rulesFor("lop"))
	s.change(t, `kind = "civicrm"`, "kind = \"civicrm\"\nmode = \"refuse\"")
	s.hup <- os.Interrupt
	s.log.wait(t, at, "rules.toml:3: rule.reason:")
	if text, _ := s.log.read(); !strings.Contains(text[at:], "the old one stays") {
		t.Errorf("the log does not say that the old configuration stays:\n%s", text[at:])
	}
	err := s.control().call(t.Context(), http.MethodPost, "/api/v1/reload", nil, nil, nil)
	if err == nil || !strings.Contains(err.Error(), `rules.toml:3: rule.reason: "lop" is not known; did you mean "loop"?`) {
		t.Errorf("reloading over the control socket: %v, want the mistake with its line", err)
	}
	if got := s.whatReaderAndTableSay(t); got != "ours-loop ours-loop" {
		t.Errorf("reader and table go by %s, want the old rule", got)
	}
	if got := s.policy().Applications[0].Mode; got == "refuse" {
		t.Error("the rest of the configuration was taken over")
	}
}

func TestAFileOfRulesThatIsTooLongIsNotReadToItsEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rules.toml")
	if err := os.WriteFile(path, []byte(strings.Repeat("#", 2<<20)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readTable(path); err == nil || !strings.Contains(err.Error(), "rules.toml:1: the file is longer than 1 MiB") {
		t.Errorf("readTable: %v, want that it is too long", err)
	}
}

func TestTheRulesInTheDocumentAreRight(t *testing.T) {
	found := 0
	for _, block := range blocks(document(t, "docs/BOUNCES.md"), "toml", "") {
		if !strings.Contains(block, "[[rule]]") {
			continue
		}
		rules, err := bounce.ParseRules([]byte(block))
		if err != nil {
			t.Errorf("docs/BOUNCES.md: %v\n%s", err, block)
		}
		found += len(rules)
	}
	if found < 2 {
		t.Errorf("%d rules were found", found)
	}
}
