package smtpd

import (
	"crypto/tls"

	"homing/internal/reply"
)

// starttls makes a new dialogue of the connection (RFC 3207).
func (e *edge) starttls(arg string) string {
	switch {
	case e.secure():
		e.refuse(reply.Errorf(503, reply.Enhanced{5, 5, 1}, "TLS is in use already"))
	case e.o.TLS == nil:
		e.refuse(reply.Errorf(502, reply.Enhanced{5, 5, 1}, "TLS is not offered"))
	case arg != "":
		return e.noArgument()
	case len(e.in.unread()) > 0:
		// Somebody between the peer and us may have put them there, to be
		// carried out as if they had come inside TLS (RFC 3207 section 6).
		e.o.Metrics.refused(e.o.Kind, e.verb)
		e.o.Log.Warn("octets behind STARTTLS", "listener", e.o.Kind, "peer", e.who.Remote)
		e.hangUp(reply.Errorf(554, reply.Enhanced{5, 5, 1}, "nothing may follow STARTTLS"))
	default:
		e.upgrade()
	}
	return ""
}

func (e *edge) upgrade() {
	if err := e.armHandshake(); err != nil {
		e.hangUp(err)
		return
	}
	e.ok(220, reply.Enhanced{2, 0, 0}, "ready to start TLS")
	if err := e.handshake(); err != nil {
		return
	}
	e.endSession()
	if err := e.begin(); err != nil {
		e.hangUp(err)
	}
}

func (e *edge) armHandshake() error { return e.arm(e.o.Now().Add(e.o.HelloTimeout), false) }

// handshake puts TLS on the connection, or ends it without a word: nothing that
// we could say would be understood.
func (e *edge) handshake() error {
	c := tls.Server(e.raw, e.o.TLS)
	err := e.flush()
	if err == nil {
		err = c.Handshake()
	}
	if err != nil {
		e.o.Metrics.connection(e.o.Kind, "tls")
		e.o.Log.Info("handshake failed", "listener", e.o.Kind, "peer", e.who.Remote, "err", err)
		e.hangUp(nil)
		return err
	}
	e.conn = c
	s := c.ConnectionState()
	e.who.TLS = &s
	return nil
}
