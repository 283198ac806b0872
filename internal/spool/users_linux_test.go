package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Users and groups of these tests; they need no names.
const (
	serverID = 64001
	annID    = 64002
	eveID    = 64003
)

// as runs f as another user, on a thread that ends with it.
func as(t testing.TB, id int, f func() error) error {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: nobody else gets this thread
		call := func(trap uintptr, a, b, c int) error {
			if _, _, e := unix.RawSyscall(trap, uintptr(a), uintptr(b), uintptr(c)); e != 0 {
				return e
			}
			return nil
		}
		err := errors.Join(call(unix.SYS_SETGROUPS, 0, 0, 0), call(unix.SYS_SETRESGID, id, id, id), call(unix.SYS_SETRESUID, id, id, id))
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// userSpool is a spool of serverID.
func userSpool(t testing.TB) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can be several users")
	}
	dir := newSpool(t)
	if err := errors.Join(os.Chown(dir, serverID, serverID), os.Chmod(dir, DirMode)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestAnyUserCanLeaveMailAndTheServerKnowsWhose(t *testing.T) {
	dir, d := userSpool(t), &desk{}
	for _, id := range []int{annID, eveID} {
		if err := as(t, id, func() error { return Drop(dir, letter("bob@example.net"), []byte("Hello\n")) }); err != nil {
			t.Fatal(err)
		}
	}
	k := d.taker(dir)
	err := as(t, serverID, func() error {
		// As a thread's, the id is not what os.Geteuid says, so the files
		// are handled one by one.
		for _, name := range names(t, dir) {
			if !k.handle(t.Context(), name) {
				return fmt.Errorf("%s was not taken: %+v", name, k.files[name])
			}
		}
		return nil
	})
	slices.Sort(d.taken)
	if err != nil || len(d.taken) != 2 || !strings.HasPrefix(d.taken[0], fmt.Sprint(annID)) || !strings.HasPrefix(d.taken[1], fmt.Sprint(eveID)) {
		t.Errorf("%v, taken %q, want one of each user", err, d.taken)
	}
	if left := names(t, dir); left != nil {
		t.Errorf("left over: %q", left)
	}
}

// TestNobodyCanReadForgeOrRemoveTheMailOfOthers lets Eve try all that she can
// do in the directory, also where she knows the name of Ann's file.
func TestNobodyCanReadForgeOrRemoveTheMailOfOthers(t *testing.T) {
	dir := userSpool(t)
	e := letter("bob@example.net")
	if err := as(t, annID, func() error { return Drop(dir, e, []byte("Hello\n")) }); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, whole+e.ID)
	own := filepath.Join(dir, whole+NewID())
	tests := []struct {
		name string
		try  func() error
	}{
		{"list the spool", func() error { _, err := os.ReadDir(dir); return err }},
		{"read it", func() error { _, err := os.ReadFile(path); return err }},
		{"write to it", func() error { f, err := os.OpenFile(path, os.O_WRONLY, 0); f.Close(); return err }},
		{"remove it", func() error { return os.Remove(path) }},
		{"give it another name", func() error { return os.Rename(path, own) }},
		{"put something of hers in its place", func() error {
			if err := os.WriteFile(own, nil, 0o640); err != nil {
				return nil
			}
			return os.Rename(own, path)
		}},
		{"lock the spool against the server", func() error { _, err := lock(dir); return err }},
		{"give a file of hers to Ann", func() error { return os.Chown(own, annID, annID) }},
		{"write another mail with its number", func() error { return Drop(dir, e, []byte("Hello\n")) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := as(t, eveID, tt.try); err == nil {
				t.Error("she can")
			} else if !errors.Is(err, fs.ErrPermission) && tt.name != "write another mail with its number" {
				t.Errorf("she cannot, but for another reason: %v", err)
			}
		})
	}
	d := &desk{}
	lookOnce(t, d.taker(dir))
	if len(d.taken) != 1 || !strings.HasPrefix(d.taken[0], fmt.Sprint(annID)) {
		t.Errorf("taken %q, want Ann's mail", d.taken)
	}
}

func TestMailOfSomebodyElseCannotBeLinkedIntoTheSpool(t *testing.T) {
	dir, d := userSpool(t), &desk{}
	elsewhere := filepath.Join(filepath.Dir(dir), "home")
	if err := errors.Join(os.Mkdir(elsewhere, 0o755), os.Chown(elsewhere, annID, annID)); err != nil {
		t.Fatal(err)
	}
	e := letter("bob@example.net")
	e.ID = NewID()
	path := filepath.Join(elsewhere, whole+e.ID)
	first, err := encode(e, []byte("Hello\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := as(t, annID, func() error { return os.WriteFile(path, append(first, "Hello\n"...), 0o640) }); err != nil {
		t.Fatal(err)
	}
	// As on a system that lets everybody link everything, and then Ann removes
	// the name that she gave it.
	if err := errors.Join(os.Link(path, filepath.Join(dir, whole+e.ID)), os.Remove(path)); err != nil {
		t.Fatal(err)
	}
	k := d.taker(dir)
	lookOnce(t, k)
	if files, _ := k.Files(); len(d.taken) != 0 || len(files) != 1 || !strings.Contains(files[0].Reason, "not made in the spool") {
		t.Errorf("taken %q, lying %+v", d.taken, files)
	}
}

func TestASpoolWithoutItsGroupTakesNothing(t *testing.T) {
	dir := userSpool(t)
	if err := os.Chmod(dir, 0o733|fs.ModeSticky); err != nil {
		t.Fatal(err)
	}
	err := as(t, annID, func() error { return Drop(dir, letter("bob@example.net"), []byte("Hello\n")) })
	if err == nil || !strings.Contains(err.Error(), "do not get its group") || names(t, dir) != nil {
		t.Errorf("got %v, holds %q, want nothing that the server could not read", err, names(t, dir))
	}
}
