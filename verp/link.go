package verp

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"time"
)

// A Link is what an unsubscribe link says of the mail that it was in. It is
// sealed, because links live longer than what is kept of deliveries, and lie
// in mail that is passed on.
type Link struct {
	Delivery    uint64
	Sent        time.Time // by its day in UTC
	Recipient   string
	Application string
	Domain      string // that the mail was from
	Sender      string // the envelope sender that the application gave
	Campaign    string
}

// linkVersion begins what is sealed.
const linkVersion = 1

// maxLink is how long a sealed link may be, in characters.
const maxLink = 4096

// Seal makes the text of an unsubscribe link: letters, digits, "-" and "_",
// about 220 of them. Nobody but us can read or make one. The error is ErrRange
// where the parts are longer than 1,000 octets each, or the time is out of the
// range of tags.
func (c *Codec) Seal(l Link) (string, error) {
	day := dayOf(l.Sent)
	if day < 0 || day >= 1<<dayBits {
		return "", ErrRange
	}
	plain := binary.AppendUvarint([]byte{linkVersion}, l.Delivery)
	plain = binary.AppendUvarint(plain, uint64(day))
	for _, s := range []string{l.Recipient, l.Application, l.Domain, l.Sender, l.Campaign} {
		if len(s) > 1000 {
			return "", ErrRange
		}
		plain = append(binary.AppendUvarint(plain, uint64(len(s))), s...)
	}
	aead := c.seals[0]
	out := make([]byte, 1, 1+aead.NonceSize()+len(plain)+aead.Overhead())
	out[0] = c.keys[0].ID
	out = out[:1+aead.NonceSize()]
	rand.Read(out[1:]) // never fails
	return base64.RawURLEncoding.EncodeToString(aead.Seal(out, out[1:], plain, out[:1])), nil
}

// Unseal is the inverse of Seal. It returns ErrNotVERP, ErrForged or, after
// UnsubscribeAge, ErrExpired together with the Link.
func (c *Codec) Unseal(text string) (Link, error) {
	if len(text) > maxLink {
		return Link{}, ErrNotVERP
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(sealed) < 1 || int(sealed[0]) >= len(c.byID) {
		return Link{}, ErrNotVERP
	}
	i := c.byID[sealed[0]]
	if i < 0 {
		return Link{}, ErrForged
	}
	aead := c.seals[i]
	n := 1 + aead.NonceSize()
	if len(sealed) < n {
		return Link{}, ErrNotVERP
	}
	plain, err := aead.Open(nil, sealed[1:n], sealed[n:], sealed[:1])
	if err != nil {
		return Link{}, ErrForged
	}
	l, ok := parseLink(plain)
	if !ok {
		return Link{}, ErrForged
	}
	if !c.valid(Unsubscribe, l.Sent) {
		return l, ErrExpired
	}
	return l, nil
}

// parseLink reads what Seal has written.
func parseLink(plain []byte) (l Link, ok bool) {
	if len(plain) == 0 || plain[0] != linkVersion {
		return Link{}, false
	}
	rest := plain[1:]
	next := func() uint64 {
		v, n := binary.Uvarint(rest)
		if ok = ok && n > 0; ok {
			rest = rest[n:]
		}
		return v
	}
	ok = true
	l.Delivery = next()
	day := next()
	for _, s := range []*string{&l.Recipient, &l.Application, &l.Domain, &l.Sender, &l.Campaign} {
		n := next()
		if ok = ok && n <= uint64(len(rest)); !ok {
			return Link{}, false
		}
		*s, rest = string(rest[:n]), rest[n:]
	}
	l.Sent = epoch.AddDate(0, 0, int(day&(1<<dayBits-1)))
	return l, len(rest) == 0
}

// sealing derives what seals links from a key, so that the key itself signs
// tags alone.
func sealing(k Key) (cipher.AEAD, error) {
	h := hmac.New(sha256.New, k.Secret)
	h.Write([]byte("homing unsubscribe link"))
	block, err := aes.NewCipher(h.Sum(nil))
	if err != nil {
		return nil, fmt.Errorf("verp: sealing a link: %w", err)
	}
	return cipher.NewGCM(block)
}
