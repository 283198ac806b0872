package harness

import "syscall"

// dieWithParent makes the kernel kill a process when the tests are killed, so
// that nothing is left over.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
