package spool

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	noFollow = unix.O_NOFOLLOW
	noWait   = unix.O_NONBLOCK // a FIFO would keep us waiting
)

// ownedBy gives the owner of a file.
func ownedBy(info fs.FileInfo) (owned, error) {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return owned{}, errors.New("spool: the system does not say whose a file is")
	}
	return owned{int(s.Uid), int(s.Gid), int(s.Nlink)}, nil
}

// syncAround makes a file and its name durable (syncfs(2)).
func syncAround(f *os.File) error { return unix.Syncfs(int(f.Fd())) }

// freeOctets is the room on the disk that a directory is on.
func freeOctets(dir string) (uint64, error) {
	var s unix.Statfs_t
	err := unix.Statfs(dir, &s)
	return s.Bavail * uint64(s.Bsize), err
}

// lock takes a directory for one server; nil: another one has it.
func lock(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, nil
		}
		return nil, err
	}
	return f, nil
}
