//go:build !linux

package harness

import "syscall"

// DieWithParent has no means here: a server outlives tests that are killed.
func DieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
