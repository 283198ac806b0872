// Package password keeps of a password only what is needed to recognise it:
// an argon2id hash (RFC 9106) in the PHC string format.
package password

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/crypto/argon2"
)

// What Make uses: OWASP's second recommendation for argon2id. A verification
// takes 19 MiB and some 20 ms.
const (
	memory     = 19 * 1024 // KiB
	passes     = 2
	lanes      = 1
	saltOctets = 16
	hashOctets = 32
)

// maxMemory keeps a mistyped hash from taking the machine's memory, in KiB.
const maxMemory = 1 << 20

// ErrFormat says that a text is not an argon2id hash in PHC string format
// that Verify can compute.
var ErrFormat = errors.New("not an argon2id hash of the form $argon2id$v=19$m=19456,t=2,p=1$SALT$HASH")

// A Hash recognises one password. The zero Hash recognises none. Copies share
// what they remember; the methods may be called from many goroutines.
type Hash struct{ *recogniser }

// recogniser remembers the last password that was right under a key of this
// process, because a client that opens a connection for each message would
// otherwise cost 20 ms of computing each time.
type recogniser struct {
	params
	slow sync.Mutex // held while computing argon2id: one at a time, so that guessing takes no more memory than this

	mu    sync.Mutex
	key   [32]byte
	right []byte // HMAC-SHA256 of the last right password; nil: none yet
}

type params struct {
	memory, passes uint32
	lanes          uint8
	salt, hash     string
	plain          bool // hash is the password itself
}

// Make hashes a password with a fresh salt and gives the PHC string.
func Make(password string) string {
	salt := make([]byte, saltOctets)
	rand.Read(salt) // never fails (crypto/rand)
	p := params{memory: memory, passes: passes, lanes: lanes, salt: string(salt), hash: strings.Repeat("\x00", hashOctets)}
	p.hash = string(p.compute(password))
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.memory, p.passes, p.lanes, b64([]byte(p.salt)), b64([]byte(p.hash)))
}

// Parse reads a PHC string. Its error is ErrFormat, with what is wrong.
func Parse(phc string) (Hash, error) {
	fields := strings.Split(phc, "$")
	if len(fields) != 6 || fields[0] != "" || fields[1] != "argon2id" {
		return Hash{}, ErrFormat
	}
	if fields[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return Hash{}, fmt.Errorf("%w: the version is %q", ErrFormat, fields[2])
	}
	var p params
	_, err := fmt.Sscanf(fields[3], "m=%d,t=%d,p=%d", &p.memory, &p.passes, &p.lanes)
	if err != nil || fields[3] != fmt.Sprintf("m=%d,t=%d,p=%d", p.memory, p.passes, p.lanes) {
		return Hash{}, fmt.Errorf("%w: the parameters are %q", ErrFormat, fields[3])
	}
	if p.lanes < 1 || p.passes < 1 || p.passes > 1000 || p.memory < 8*uint32(p.lanes) || p.memory > maxMemory {
		return Hash{}, fmt.Errorf("%w: the parameters %q are out of range", ErrFormat, fields[3])
	}
	salt, errSalt := base64.RawStdEncoding.Strict().DecodeString(fields[4])
	hash, errHash := base64.RawStdEncoding.Strict().DecodeString(fields[5])
	if errSalt != nil || errHash != nil || len(salt) < 8 || len(salt) > 64 || len(hash) < 16 || len(hash) > 64 {
		return Hash{}, fmt.Errorf("%w: salt or hash is cut short or not base64", ErrFormat)
	}
	p.salt, p.hash = string(salt), string(hash)
	return of(p), nil
}

// Plain recognises a password that is known itself, from a file.
func Plain(password string) Hash { return of(params{hash: password, plain: true}) }

func of(p params) Hash {
	r := &recogniser{params: p}
	rand.Read(r.key[:]) // never fails (crypto/rand)
	return Hash{r}
}

// IsZero reports whether there is no password to recognise.
func (h Hash) IsZero() bool { return h.recogniser == nil }

// Equal reports whether both were made from the same text.
func (h Hash) Equal(o Hash) bool {
	if h.IsZero() || o.IsZero() {
		return h.IsZero() == o.IsZero()
	}
	return h.params == o.params
}

// Verify reports whether this is the password, in a time that does not tell
// how far it was right. The last right one is recognised within microseconds;
// everything else takes as long as the hash wants, one after the other.
func (h Hash) Verify(password string) bool {
	if h.IsZero() {
		return false
	}
	mac := h.mac(password)
	if h.plain {
		return hmac.Equal(mac, h.mac(h.hash)) && h.hash != ""
	}
	if h.remembers(mac) {
		return true
	}
	h.slow.Lock()
	defer h.slow.Unlock()
	// Whoever waited here may have waited for the same password.
	if h.remembers(mac) {
		return true
	}
	if subtle.ConstantTimeCompare(h.compute(password), []byte(h.hash)) != 1 {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.right = mac
	return true
}

// String keeps a Hash out of logs.
func (h Hash) String() string { return "(password)" }

// GoString keeps a Hash out of logs.
func (h Hash) GoString() string { return "(password)" }

// MarshalText keeps a Hash out of JSON.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

func (r *recogniser) remembers(mac []byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.right != nil && hmac.Equal(r.right, mac)
}

func (r *recogniser) mac(password string) []byte {
	m := hmac.New(sha256.New, r.key[:])
	m.Write([]byte(password))
	return m.Sum(nil)
}

func (p params) compute(password string) []byte {
	return argon2.IDKey([]byte(password), []byte(p.salt), p.passes, p.memory, p.lanes, uint32(len(p.hash)))
}
