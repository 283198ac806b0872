package dnscheck_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	. "homing/dnscheck"
)

func TestTheDocumentExplainsEachCheckInThisOrder(t *testing.T) {
	text, err := os.ReadFile("../docs/CHECKS.md")
	if err != nil {
		t.Fatal(err)
	}
	var explained []string
	for _, m := range regexp.MustCompile("(?m)^### `([a-z_]+)`$").FindAllStringSubmatch(string(text), -1) {
		explained = append(explained, m[1])
	}
	if diff := cmp.Diff(Names, explained); diff != "" {
		t.Errorf("docs/CHECKS.md explains other checks (-Names +explained):\n%s", diff)
	}
}
