package selfcheck

import "golang.org/x/sys/unix"

// ClockKept reports whether the kernel's clock follows others.
func ClockKept() (bool, error) {
	state, err := unix.Adjtimex(new(unix.Timex))
	return state != unix.TIME_ERROR, err
}
