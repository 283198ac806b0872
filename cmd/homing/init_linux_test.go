package main

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// asNobody runs f as a user who owns nothing, where the tests run as root, who
// may do everything.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	const nobody = 65534
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: the thread, and what it is, ends with us
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, nobody, nobody, nobody); errno != 0 {
			t.Errorf("becoming another user: %v", errno)
			return
		}
		f()
	}()
	<-done
}

func TestWhoCannotWriteIsToldBeforeAnythingIsAsked(t *testing.T) {
	home := t.TempDir()
	dir := filepath.Join(home, "etc")
	if err := errors.Join(os.Mkdir(dir, 0o555), os.Chmod(home, 0o755), os.Chmod(filepath.Dir(home), 0o755)); err != nil {
		t.Fatal(err)
	}
	asNobody(t, func() {
		for _, in := range []string{dir, filepath.Join(dir, "homing", "deeper")} {
			if err := writable(in); err == nil || !strings.Contains(err.Error(), "cannot be written into "+dir+":") || !strings.Contains(err.Error(), "run it with sudo") {
				t.Errorf("%s: %v", in, err)
			}
		}
	})
}
