package bolt

import (
	"errors"
	"io"
	"maps"
	"path/filepath"
	"slices"
)

// A memoryDisk is an FS to read from, for tests that read thousands of logs.
type memoryDisk map[string][]byte

var errReadOnly = errors.New("this disk is for reading")

func (d memoryDisk) Open(name string, _ int) (File, error) {
	b, ok := d[filepath.Base(name)]
	if !ok {
		return nil, errReadOnly
	}
	return memoryFile{memory(b)}, nil
}

func (d memoryDisk) Remove(string) error                 { return nil }
func (d memoryDisk) List(string) ([]string, error)       { return slices.Collect(maps.Keys(d)), nil }
func (d memoryDisk) SyncDir(string) error                { return errReadOnly }
func (d memoryDisk) Free(string) (uint64, uint64, error) { return 0, 0, errReadOnly }

type memoryFile struct{ memory }

func (f memoryFile) ReadAt(p []byte, off int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if off < 0 {
		return 0, io.EOF
	}
	return f.memory.ReadAt(p, off)
}
func (memoryFile) WriteAt([]byte, int64) (int, error) { return 0, errReadOnly }
func (memoryFile) Close() error                       { return nil }
func (f memoryFile) Size() (int64, error)             { return int64(len(f.memory)), nil }
func (memoryFile) Truncate(int64) error               { return errReadOnly }
func (memoryFile) Sync() error                        { return errReadOnly }
func (memoryFile) Allocate(int64, int64) error        { return errReadOnly }
