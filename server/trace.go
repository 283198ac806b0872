package server

import (
	"fmt"
	"net"
	"strings"
	"time"

	"homing/server/smtpd"
)

// received makes the Received field of a hop (RFC 5321 section 4.4). protocol
// is the keyword of RFC 3848.
func received(hostname, protocol, hello string, peer net.Addr, now time.Time) string {
	from := "localhost"
	if tcp, ok := peer.(*net.TCPAddr); ok {
		from = fmt.Sprintf("%s ([%s])", orUnknown(hello), tcp.IP)
	}
	return fmt.Sprintf("Received: from %s\r\n\tby %s with %s;\r\n\t%s\r\n", from, hostname, protocol, now.Format(mailDate))
}

// mailDate is the date-time of RFC 5322 section 3.3.
const mailDate = "Mon, 2 Jan 2006 15:04:05 -0700"

// orUnknown is what a peer calls itself, as far as that may stand in a header.
func orUnknown(hello string) string {
	clean := strings.Map(func(r rune) rune {
		if r <= ' ' || r >= 0x7f || strings.ContainsRune("()<>;,\\\"", r) {
			return -1
		}
		return r
	}, hello)
	if clean == "" {
		return "unknown"
	}
	return clean
}

// protocol is how a message came: ESMTP, with S for TLS and A for AUTH.
func protocol(base string, c smtpd.Conn, authenticated bool) string {
	if c.TLS != nil {
		base += "S"
	}
	if authenticated {
		base += "A"
	}
	return base
}
