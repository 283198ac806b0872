package smtpd

import (
	"context"
	"io/fs"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// listenMode listens on a socket file that has no permission outside mode from
// the beginning: bind(2) takes those of the socket, less the umask.
func listenMode(path string, mode fs.FileMode) (net.Listener, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), uint32(mode.Perm())) }); e != nil {
			return e
		}
		return err
	}}
	return lc.Listen(context.Background(), "unix", path)
}

// peerUID gives the user id of the process that connected to a Unix socket
// (SO_PEERCRED), and -1 for every other connection.
func peerUID(c net.Conn) int {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return -1
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return -1
	}
	uid := -1
	err = raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			uid = int(cred.Uid)
		}
	})
	if err != nil {
		return -1
	}
	return uid
}
