package bolt

import (
	"cmp"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// A faultyDisk is the disk of the system with a will of its own.
type faultyDisk struct {
	disk
	mu   sync.Mutex
	fail map[string]error // by call: "write", "sync", "allocate", "open", "syncdir"
	only string           // part of the name of files that it concerns
	half bool             // writes that fail write the first half
	most int64            // Allocate fails only for more than this
	free uint64           // what Free says, if not 0
	size uint64           // of the disk that Free speaks of; 0: 1 TiB
}

func (d *faultyDisk) set(call string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = map[string]error{call: err}
}

func (d *faultyDisk) heal() { d.set("", nil) }

func (d *faultyDisk) err(call, name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.fail[call]
	if err == nil || !strings.Contains(name, d.only) {
		return nil
	}
	return &os.PathError{Op: call, Path: name, Err: err}
}

func (d *faultyDisk) Open(name string, flag int) (File, error) {
	if flag&os.O_CREATE != 0 {
		if err := d.err("open", name); err != nil {
			return nil, err
		}
	}
	f, err := d.disk.Open(name, flag)
	if err != nil {
		return nil, err
	}
	return &faultyFile{File: f, d: d, name: filepath.Base(filepath.Dir(name)) + "/" + filepath.Base(name)}, nil
}

func (d *faultyDisk) SyncDir(dir string) error {
	if err := d.err("syncdir", dir); err != nil {
		return err
	}
	return d.disk.SyncDir(dir)
}

func (d *faultyDisk) Free(dir string) (free, total uint64, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.free > 0 {
		return d.free, cmp.Or(d.size, 1<<40), nil
	}
	return d.disk.Free(dir)
}

type faultyFile struct {
	File
	d    *faultyDisk
	name string
}

func (f *faultyFile) WriteAt(p []byte, off int64) (int, error) {
	err := f.d.err("write", f.name)
	if err == nil {
		return f.File.WriteAt(p, off)
	}
	if !f.d.half {
		return 0, err
	}
	n, werr := f.File.WriteAt(p[:len(p)/2], off)
	if werr != nil {
		return n, werr
	}
	return n, err
}

func (f *faultyFile) Sync() error {
	if err := f.d.err("sync", f.name); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *faultyFile) Allocate(off, n int64) error {
	if err := f.d.err("allocate", f.name); err != nil && n > f.d.most {
		return err
	}
	return f.File.Allocate(off, n)
}

const (
	noRoom = syscall.ENOSPC
	broken = syscall.EIO
)
