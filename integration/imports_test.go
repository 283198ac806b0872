package integration

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// everything stands in the rules for all rooms.
const everything = "everything"

// sinkRoom is what the rules call the packages beneath event, each of which is
// a room of its own.
const sinkRoom = "event/SINK"

// importRules reads who may import whom from the indented lines of
// docs/ARCHITECTURE.md that have an arrow.
func importRules(document string) map[string][]string {
	rules := make(map[string][]string)
	for line := range strings.Lines(document) {
		left, right, ok := strings.Cut(strings.TrimSpace(line), " → ")
		if !ok || !strings.HasPrefix(line, "    ") {
			continue
		}
		if right == "nothing of ours but internal" {
			right = "internal"
		}
		for _, room := range strings.Split(left, ", ") {
			rules[room] = strings.Split(right, ", ")
		}
	}
	return rules
}

// roomOf gives the room of a package of ours: its first directory.
func roomOf(pkg string) string {
	path := strings.TrimPrefix(pkg, "homing/")
	room, _, beneath := strings.Cut(path, "/")
	if room == "event" && beneath {
		return sinkRoom
	}
	return room
}

// reachable gives the rooms that a room may import, itself included.
func reachable(rules map[string][]string, room string) map[string]bool {
	all := map[string]bool{"internal": true, room: true}
	for open := []string{room}; len(open) > 0; {
		next := rules[open[0]]
		open = open[1:]
		for _, r := range next {
			if !all[r] {
				all[r] = true
				open = append(open, r)
			}
		}
	}
	return all
}

// wrongImports gives a sentence for each import that the rules do not allow.
func wrongImports(rules, imports map[string][]string) (wrong []string) {
	for _, pkg := range slices.Sorted(maps.Keys(imports)) {
		room := roomOf(pkg)
		if _, known := rules[room]; !known {
			wrong = append(wrong, fmt.Sprintf("%s: docs/ARCHITECTURE.md does not say what %s may import", pkg, room))
			continue
		}
		may := reachable(rules, room)
		for _, other := range imports[pkg] {
			sinks := room == sinkRoom && roomOf(other) == sinkRoom
			if sinks || !may[everything] && !may[roomOf(other)] {
				wrong = append(wrong, fmt.Sprintf("%s imports %s", pkg, other))
			}
		}
	}
	return wrong
}

// ourImports asks `go list` which packages of ours import which others, tests
// apart.
func ourImports(t *testing.T) map[string][]string {
	t.Helper()
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "homing/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	imports := make(map[string][]string)
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		imports[words[0]] = slices.DeleteFunc(words[1:], func(p string) bool { return !strings.HasPrefix(p, "homing/") })
	}
	return imports
}

func TestPackagesImportOnlyWhatTheArchitectureAllows(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("../docs/ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	rules, imports := importRules(string(document)), ourImports(t)
	for _, room := range []string{"cmd", "server", "delivery", "queue", "store", "hold", "bounce", sinkRoom, "event", "verp", "config", "dnscheck", "internal", "integration"} {
		if len(rules[room]) == 0 {
			t.Errorf("docs/ARCHITECTURE.md has no rule for %s", room)
		}
	}
	for _, w := range wrongImports(rules, imports) {
		t.Error(w)
	}
}

func TestAWrongImportIsFound(t *testing.T) {
	document, err := os.ReadFile("../docs/ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	rules := importRules(string(document))
	tests := []struct {
		name, pkg, imports string
		wrong              bool
	}{
		{"server imports the queue", "homing/server", "homing/queue", false},
		{"server imports what the queue may import", "homing/server/web", "homing/hold", false},
		{"server imports what is beneath it", "homing/server", "homing/server/smtpd", false},
		{"the command imports everything", "homing/cmd/homing", "homing/config", false},
		{"a sink imports event", "homing/event/dsn", "homing/event", false},
		{"anybody imports internal", "homing/verp", "homing/internal/reply", false},
		{"server imports delivery", "homing/server", "homing/delivery", true},
		{"delivery imports server", "homing/delivery", "homing/server/smtpd", true},
		{"delivery imports verp", "homing/delivery", "homing/verp", true},
		{"server imports config", "homing/server", "homing/config", true},
		{"the queue imports config", "homing/queue", "homing/config", true},
		{"event imports a sink", "homing/event", "homing/event/webhook", true},
		{"a sink imports another", "homing/event/dsn", "homing/event/maildir", true},
		{"a sink imports the store", "homing/event/dsn", "homing/store", true},
		{"verp imports hold", "homing/verp", "homing/hold", true},
		{"config imports verp", "homing/config", "homing/verp", true},
		{"internal imports bounce", "homing/internal/report", "homing/bounce", true},
		{"bounce imports event", "homing/bounce", "homing/event", true},
		{"the store imports the queue", "homing/store/bolt", "homing/queue", true},
		{"a room that nobody has heard of", "homing/misc", "homing/internal/reply", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := wrongImports(rules, map[string][]string{tt.pkg: {tt.imports}})
			if diff := cmp.Diff(tt.wrong, len(got) > 0); diff != "" {
				t.Errorf("found %q (-want +got):\n%s", got, diff)
			}
		})
	}
}
