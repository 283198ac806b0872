//go:build !linux

package spool

import (
	"errors"
	"io/fs"
	"os"
)

const noFollow, noWait = 0, 0

// errSystem: elsewhere than on Linux nobody has tried what keeps users apart.
var errSystem = errors.New("there is no spool on this system")

func ownedBy(fs.FileInfo) (owned, error) { return owned{}, errSystem }
func syncAround(f *os.File) error        { return f.Sync() }
func freeOctets(string) (uint64, error)  { return 0, errSystem }
func lock(string) (*os.File, error)      { return nil, errSystem }
