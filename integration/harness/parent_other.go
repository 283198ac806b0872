//go:build !linux

package harness

import "syscall"

// dieWithParent has no means here: a server outlives tests that are killed.
func dieWithParent() *syscall.SysProcAttr { return nil }
