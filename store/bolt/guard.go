package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"syscall"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// guarded runs what reads the index at a start. bbolt trusts its file: where
// that was cut short or changed it panics, or the system reports a fault of
// memory. Both become ErrDamaged, so that the operator reads advice and no
// stack.
func guarded(path string, do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = damaged(path, "it was cut short or changed (%v)", r)
		}
	}()
	return do()
}

// openBolt opens a bbolt file. What is no such file, or is cut short, is
// ErrDamaged.
func openBolt(path string, o *bolt.Options) (db *bolt.DB, err error) {
	var file *os.File
	open, opened := o.OpenFile, *o
	if open == nil {
		open = os.OpenFile
	}
	opened.OpenFile = func(name string, flag int, mode os.FileMode) (f *os.File, err error) {
		file, err = open(name, flag, mode)
		return file, err
	}
	err = guarded(path, func() error {
		if db, err = bolt.Open(path, 0o600, &opened); err != nil {
			return err
		}
		return db.View(func(tx *bolt.Tx) error { return checkLength(file, tx.Size()) })
	})
	if err == nil {
		return db, nil
	}
	if db != nil {
		return nil, errors.Join(err, db.Close())
	}
	if file != nil && errors.Is(err, ErrDamaged) {
		// bbolt panicked and kept the file mapped, and with that its lock.
		return nil, errors.Join(err, syscall.Flock(int(file.Fd()), syscall.LOCK_UN), file.Close())
	}
	return nil, explainBolt(path, err)
}

// checkLength compares a file with what bbolt knows of its length.
func checkLength(f *os.File, want int64) error {
	info, err := f.Stat()
	if err == nil && info.Size() < want {
		err = damaged(f.Name(), "it ends at octet %d and was longer than %d", info.Size(), want)
	}
	return err
}

// leastPage is no larger than a page of bbolt; a file has two of them at
// least.
const leastPage = 4096

// explainBolt tells a file that cannot be opened from one that is damaged.
func explainBolt(path string, err error) error {
	var of *fs.PathError
	info, serr := os.Stat(path)
	switch {
	case serr == nil && info.Size() < 2*leastPage:
		return damaged(path, "it is no index: %v", err)
	case errors.As(err, &of), noSpace(err):
	case errors.Is(err, berrors.ErrTimeout):
		err = errors.New("another process has it open")
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrVersionMismatch), errors.Is(err, berrors.ErrChecksum):
		return damaged(path, "it is no index: %v", err)
	}
	return fmt.Errorf("bolt: opening %s: %w", path, err)
}
