// Package harness runs the real binary for tests: it builds it, starts it with
// a configuration in a directory of its own, kills and starts it again, and
// places it in a toy internet. It decides nothing about what is right.
package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const runWithin = 30 * time.Second // for one command

// scratch is a directory for what all tests share. Main removes it.
var scratch = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "homing-test-") })

// Binary builds the real binary, once, and gives its path. Under the race
// detector it is built with it too.
func Binary() (string, error) { return binary() }

var binary = sync.OnceValues(func() (string, error) {
	dir, err := scratch()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "homing")
	args := []string{"build", "-ldflags", "-X main.version=" + Version, "-o", path}
	if raceDetector {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, "homing/cmd/homing")...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the binary: %w\n%s", err, out)
	}
	return path, nil
})

// Version is what the binary under test says of itself.
const Version = "v0.0.0-integration"

// Main is for TestMain: it runs the tests, removes what they shared, and gives
// the exit code.
func Main(m *testing.M) int {
	code := m.Run()
	if dir, err := scratch(); err == nil {
		os.RemoveAll(dir)
	}
	return code
}

// Command runs the binary with stdin and gives what came of it. It fails the
// test when the binary cannot be run, or does not end within 30 seconds.
func Command(t testing.TB, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	path, err := Binary()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), runWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("running homing %s: %v\n%s%s", strings.Join(args, " "), err, &out, &errs)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}
