package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Least and most octets of a secret. The specification recommends 24 to 64.
const (
	minSecret = 16
	maxSecret = 512
)

// secretPrefix marks a secret in base64.
const secretPrefix = "whsec_"

// ErrSecret says that a text is no secret to sign with.
var ErrSecret = errors.New(`not a webhook secret: want "whsec_" and base64, or at least 16 octets as they are`)

// A Secret is the key that a receiver knows us by. It prints as nothing.
type Secret struct{ key []byte }

// String hides the secret.
func (Secret) String() string { return "whsec_…" }

// GoString hides the secret.
func (Secret) GoString() string { return "webhook.Secret{…}" }

// ParseSecrets reads a secret file: one secret on each line, either "whsec_"
// with base64 (with or without padding) or, without that prefix, the octets
// themselves. Empty lines and those that begin with # are left out. Every
// secret signs, so that a receiver can go from one to the next without
// missing anything. ErrSecret when there is none or one of them is unfit; the
// error never shows it.
func ParseSecrets(text string) ([]Secret, error) {
	var secrets []Secret
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		s, err := parseSecret(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		secrets = append(secrets, s)
	}
	if len(secrets) == 0 {
		return nil, fmt.Errorf("there is none: %w", ErrSecret)
	}
	return secrets, nil
}

// ParsePassword takes a password as it is.
func ParsePassword(text string) Secret { return Secret{[]byte(text)} }

func parseSecret(text string) (Secret, error) {
	key := []byte(text)
	if encoded, ok := strings.CutPrefix(text, secretPrefix); ok {
		var err error
		if key, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(encoded, "=")); err != nil {
			return Secret{}, ErrSecret
		}
	}
	if len(key) < minSecret || len(key) > maxSecret {
		return Secret{}, ErrSecret
	}
	return Secret{key}, nil
}

// sign gives the value of the header webhook-signature: for each secret "v1,"
// and the base64 of an HMAC-SHA256 over id, time and body.
func sign(secrets []Secret, id string, at time.Time, body []byte) string {
	head := id + "." + seconds(at) + "."
	signatures := make([]string, 0, len(secrets))
	for _, s := range secrets {
		mac := hmac.New(sha256.New, s.key)
		mac.Write([]byte(head))
		mac.Write(body)
		signatures = append(signatures, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(signatures, " ")
}
