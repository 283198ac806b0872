package bolt

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// An FS is the disk as the log and the bodies see it. Tests put their own
// under a Store to make it fail; everybody else leaves Options.FS nil.
type FS interface {
	// Open opens a file by flags of package os, with mode 0600.
	Open(name string, flag int) (File, error)
	// Remove unlinks a file.
	Remove(name string) error
	// List gives the names in a directory.
	List(dir string) ([]string, error)
	// SyncDir makes the names in a directory durable.
	SyncDir(dir string) error
	// Free gives the free and the total octets where dir lies.
	Free(dir string) (free, total uint64, err error)
}

// A File is an open file of an FS. ReadAt may be called from many goroutines.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Size() (int64, error)
	Truncate(size int64) error
	// Sync makes the content durable, and of its inode what is needed to
	// read it back.
	Sync() error
	// Allocate makes sure that n octets from off on are there, as zeros,
	// and that a later write to them cannot lack space.
	Allocate(off, n int64) error
}

// disk is the FS of the operating system.
type disk struct{}

func (disk) Open(name string, flag int) (File, error) {
	f, err := os.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return diskFile{f}, nil
}

func (disk) Remove(name string) error { return os.Remove(name) }

func (disk) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

func (disk) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

type diskFile struct{ *os.File }

func (f diskFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// noSpace tells a full disk, which may be given room, from a broken one.
func noSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// writeZeros allocates where the system has no call for it.
func writeZeros(f File, off, n int64) error {
	zeros := make([]byte, min(n, 1<<20))
	for n > 0 {
		k, err := f.WriteAt(zeros[:min(n, int64(len(zeros)))], off)
		if err != nil {
			return err
		}
		off, n = off+int64(k), n-int64(k)
	}
	return nil
}
