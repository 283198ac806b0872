package config_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"homing/config"
)

var update = flag.Bool("update", false, "rewrite the problems under testdata")

// TestWrongFiles reads each file under testdata/wrong, whose comment says what
// it shows, and compares everything that is found wrong.
func TestWrongFiles(t *testing.T) {
	archives, err := filepath.Glob("testdata/wrong/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, path := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			for _, f := range a.Files[:len(a.Files)-1] {
				write(t, filepath.Join(dir, f.Name), f.Data)
			}
			_, problems := config.Parse(a.Files[0].Data, dir)
			got := strings.ReplaceAll(problems.Error(), dir, "DIR") + "\n"
			last := &a.Files[len(a.Files)-1]
			if *update {
				last.Data = []byte(got)
				write(t, path, txtar.Format(a))
			}
			if diff := cmp.Diff(string(last.Data), got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
