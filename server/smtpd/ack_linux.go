package smtpd

import (
	"net"

	"golang.org/x/sys/unix"
)

// acknowledge has the kernel acknowledge now what a peer has sent. A peer that
// writes the header, the text and the dot each by itself, as PHP does, holds
// back each until the one before is acknowledged (Nagle), and a kernel that
// expects us to answer something puts that off by 40 ms. It counts once, not
// for what comes later.
func acknowledge(c net.Conn) {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	// Where it fails, mail is slower and no less.
	_ = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) })
}
