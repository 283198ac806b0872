package harness

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A Homing is the real server with a directory of its own.
type Homing struct {
	Process
	Dir    string // holds homing.toml; relative paths in it are relative to this
	config string
}

// Start writes configText to a new directory, with further files beside
// it, starts `homing serve` and waits until it is ready. http is its HTTP
// listener, "127.1.2.3:8025". The server is stopped at the end of the test. In
// its environment $DIR is that directory.
func Start(t testing.TB, http, configText string, files map[string]string, env ...string) *Homing {
	t.Helper()
	path, err := Binary()
	if err != nil {
		t.Fatal(err)
	}
	// t.TempDir would be too long for the path of a Unix socket.
	dir, err := os.MkdirTemp("", "homing-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	h := &Homing{Dir: dir, config: filepath.Join(dir, "homing.toml")}
	write(t, h.config, configText)
	for name, text := range files {
		write(t, filepath.Join(dir, name), text)
	}
	h.Process = Process{t: t, path: path, args: []string{"serve", "--config", h.config},
		ready: "http://" + http + "/readyz", log: filepath.Join(dir, "homing.log")}
	for _, e := range env {
		h.env = append(h.env, strings.ReplaceAll(e, "$DIR", dir))
	}
	t.Cleanup(h.end)
	h.begin()
	return h
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Run runs a command with this server's configuration and gives what it
// printed; it fails the test when the command does.
func (h *Homing) Run(args ...string) string {
	h.t.Helper()
	stdout, stderr, code := Command(h.t, "", append([]string{"--config", h.config}, args...)...)
	if code != 0 {
		h.t.Fatalf("homing %s: exit code %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout
}

// Write writes a file beside homing.toml.
func (h *Homing) Write(name, text string) {
	h.t.Helper()
	write(h.t, filepath.Join(h.Dir, name), text)
}

// Try is Run for a command that may fail: it gives all that came of it.
func (h *Homing) Try(args ...string) (stdout, stderr string, code int) {
	h.t.Helper()
	return Command(h.t, "", append([]string{"--config", h.config}, args...)...)
}
