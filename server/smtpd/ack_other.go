//go:build !linux

package smtpd

import "net"

// acknowledge has no means here.
func acknowledge(net.Conn) {}
