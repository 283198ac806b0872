package bolt

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// takeLock makes sure that one process has the store open. The system drops
// the lock with the process; the number in the file is for people.
func takeLock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := claim(f, dir); err != nil {
		f.Close()
		return nil, err
	}
	if err := f.Truncate(0); err == nil {
		fmt.Fprintf(f, "%d\n", os.Getpid())
	}
	return f, nil
}

const lockName = "lock"

// claim locks the file.
func claim(f *os.File, dir string) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, syscall.EWOULDBLOCK):
		return fmt.Errorf("bolt: locking %s: %w", dir, err)
	}
	owner, _ := io.ReadAll(io.LimitReader(f, 20))
	return fmt.Errorf("bolt: process %s has the store in %s open: stop it, or give this one another data_dir",
		strings.TrimSpace(string(owner)), dir)
}
