//go:build !linux

package bolt

import "math"

func (f diskFile) Allocate(off, n int64) error { return writeZeros(f, off, n) }

// Free knows nothing here: a full disk is noticed when a write fails.
func (disk) Free(string) (free, total uint64, err error) { return math.MaxInt64, math.MaxInt64, nil }
