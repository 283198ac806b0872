package peers

import (
	"os"
	"path/filepath"
	"testing"
)

// A room is a mount namespace for a server whose paths are compiled in: what it
// finds at /var/lib, /var/spool and /run are directories of the test, and it
// asks nobody about names. It is a PID namespace as well, so that no delivery
// outlives the server and writes where nothing is any more.
type room struct {
	t   testing.TB
	dir string
	// binds are further paths that are seen at others: pairs of real and seen.
	binds []string
}

// newRoom makes a room with empty directories.
func newRoom(t testing.TB) *room {
	t.Helper()
	r := &room{t: t, dir: publicDir(t)}
	for _, name := range []string{"lib", "spool", "run"} {
		r.mkdir(name, "root", 0o755)
	}
	if err := os.Chmod(r.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	// A name server that does not exist answers at once. It comes first,
	// because the file may be a link to somewhere in /run.
	r.write("resolv.conf", "nameserver 127.255.255.254\n")
	if _, err := os.Stat("/etc/resolv.conf"); err == nil {
		r.binds = []string{r.path("resolv.conf"), "/etc/resolv.conf"}
	}
	r.binds = append(r.binds, r.path("lib"), "/var/lib", r.path("spool"), "/var/spool", r.path("run"), "/run")
	return r
}

// path is the real path of something in the room's own directories.
func (r *room) path(name string) string { return filepath.Join(r.dir, name) }

// mkdir makes a directory, and those above it, that belongs to a user.
func (r *room) mkdir(name, user string, mode os.FileMode) {
	r.t.Helper()
	if err := os.MkdirAll(r.path(name), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Chmod(r.path(name), mode); err != nil {
		r.t.Fatal(err)
	}
	own(r.t, r.path(name), user)
}

func (r *room) write(name, text string) {
	r.t.Helper()
	if err := os.WriteFile(r.path(name), []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// enter is a shell's script: bind what comes before "--" in pairs, then become
// the program that comes behind it.
const enter = `while [ "$1" != -- ]; do mount --bind "$1" "$2" || exit 1; shift 2; done; shift; exec "$@"`

// serve starts a server in the room, as serve does outside.
func (r *room) serve(address, name string, args ...string) {
	r.t.Helper()
	all := append([]string{"--mount", "--pid", "--fork", "--kill-child", "/bin/sh", "-c", enter, name}, r.binds...)
	all = append(append(all, "--", program(r.t, name)), args...)
	serve(r.t, address, "unshare", all...).group = true // unshare itself only waits
}

// showLog shows a log that a server keeps by itself when the test failed.
func (r *room) showLog(name string) {
	r.t.Cleanup(func() {
		if !r.t.Failed() {
			return
		}
		text, err := os.ReadFile(r.path(name))
		r.t.Logf("%s: %v\n%s", name, err, tail(string(text)))
	})
}
