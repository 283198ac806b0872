//go:build !linux

package smtpd

import (
	"io/fs"
	"net"
)

// listenMode listens on a socket file; its permissions are set afterwards.
func listenMode(path string, _ fs.FileMode) (net.Listener, error) {
	return net.Listen("unix", path)
}

// peerUID is not known on this system: nobody is taken for a local user.
func peerUID(net.Conn) int { return -1 }
