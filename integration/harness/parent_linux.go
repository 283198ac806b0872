package harness

import "syscall"

// DieWithParent makes the kernel kill a process when the tests are killed, so
// that nothing is left over.
func DieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
