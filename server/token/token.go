// Package token remembers who may use the HTTP API from the network: each token
// is an application's or an operator's.
//
// Tokens are in the store and not in the configuration, because the directory
// of the configuration is often read-only to the server, a new token should
// count at once and not with the next reload, and a backup has to hold them.
// The store has only their SHA-256: a token is 130 random bits, which no slow
// hash makes harder to guess.
package token

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Token is what is known of a token. The token itself nobody knows but
// whoever uses it.
type Token struct {
	Name        string
	Application string    // which it belongs to; "" with Operator
	Operator    bool      // may do everything
	Created     time.Time // also when it was rotated last
	By          string    // who made it
	Expires     time.Time // zero: never
	Used        time.Time // the day on which it was used last; zero: never
	Overlap     time.Time // until when the one before the rotation counts; zero: it does not
}

// Errors of a Keeper.
var (
	ErrExists = errors.New("token: there is a token of this name")
	ErrNone   = errors.New("token: there is no such token")
	ErrName   = errors.New("token: not a name: want up to 64 letters, digits and . _ -")
	ErrMany   = errors.New("token: there are too many tokens")
	ErrOwner  = errors.New("token: want an application or an operator")
)

// Notes is where tokens are kept. Every store.Store is one.
type Notes interface {
	Notes(ctx context.Context, space string) (map[string][]byte, error)
	Note(ctx context.Context, space string, values map[string][]byte) error
}

const (
	space    = "token" // of the notes
	prefix   = "homing_"
	maxName  = 64
	maxCount = 1000
)

// A Keeper keeps tokens. Its methods may be called from many goroutines. What
// they change is durable when they return nil.
type Keeper struct {
	notes Notes
	now   func() time.Time

	changing sync.Mutex // held while a change becomes durable
	mu       sync.RWMutex
	all      map[string]row // by name
}

// A row is a Token as it is noted.
type row struct {
	Token
	Hash   []byte // SHA-256
	Before []byte `json:",omitempty"` // that of the one before, until Overlap
}

// New reads what tokens there are.
func New(ctx context.Context, notes Notes, now func() time.Time) (*Keeper, error) {
	texts, err := notes.Notes(ctx, space)
	if err != nil {
		return nil, fmt.Errorf("reading the tokens: %w", err)
	}
	k := &Keeper{notes: notes, now: now, all: map[string]row{}}
	for name, text := range texts {
		var r row
		if err := json.Unmarshal(text, &r); err != nil {
			return nil, fmt.Errorf("reading the token %s: %w", name, err)
		}
		k.all[name] = r
	}
	return k, nil
}

// makeSecret makes a token and what is kept of it.
func makeSecret() (secret string, hash []byte) {
	secret = prefix + rand.Text()
	sum := sha256.Sum256([]byte(secret))
	return secret, sum[:]
}

// Add makes a token with the Name, owner, By and Expires of t, and gives it.
// Nobody can ever read it again. ErrExists, ErrName, ErrMany, ErrOwner.
func (k *Keeper) Add(ctx context.Context, t Token) (secret string, err error) {
	if !isName(t.Name) {
		return "", ErrName
	}
	if t.Operator == (t.Application != "") {
		return "", ErrOwner
	}
	k.changing.Lock()
	defer k.changing.Unlock()
	switch _, known := k.get(t.Name); {
	case known:
		return "", ErrExists
	case len(k.List()) >= maxCount:
		return "", ErrMany
	}
	secret, hash := makeSecret()
	t.Created, t.Used, t.Overlap = k.now().UTC(), time.Time{}, time.Time{}
	return secret, k.put(ctx, row{Token: t, Hash: hash})
}

func isName(s string) bool {
	for i := range len(s) {
		if c := s[i]; !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("._-", c) >= 0) {
			return false
		}
	}
	return s != "" && len(s) <= maxName && s != "." && s != ".."
}

// Rotate gives a new token in the place of one. The old one goes on to count
// for the time of overlap. ErrNone.
func (k *Keeper) Rotate(ctx context.Context, name string, overlap time.Duration) (secret string, err error) {
	k.changing.Lock()
	defer k.changing.Unlock()
	r, known := k.get(name)
	if !known {
		return "", ErrNone
	}
	now := k.now().UTC()
	before := r.Hash
	secret, r.Hash = makeSecret()
	r.Created, r.Overlap, r.Before = now, time.Time{}, nil
	if overlap > 0 {
		r.Overlap, r.Before = now.Add(overlap), before
	}
	return secret, k.put(ctx, r)
}

// Remove ends a token. ErrNone.
func (k *Keeper) Remove(ctx context.Context, name string) error {
	k.changing.Lock()
	defer k.changing.Unlock()
	if _, known := k.get(name); !known {
		return ErrNone
	}
	if err := k.notes.Note(ctx, space, map[string][]byte{name: nil}); err != nil {
		return fmt.Errorf("forgetting a token: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.all, name)
	return nil
}

// List gives all tokens, by name.
func (k *Keeper) List() []Token {
	k.mu.RLock()
	defer k.mu.RUnlock()
	out := make([]Token, 0, len(k.all))
	for _, r := range k.all {
		out = append(out, r.Token)
	}
	slices.SortFunc(out, func(a, b Token) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// Verify says whose token this is; ok is false where it is nobody's, or has
// expired. It takes the same time whatever is wrong with it.
func (k *Keeper) Verify(secret string) (t Token, ok bool) {
	sum := sha256.Sum256([]byte(secret))
	now := k.now()
	k.mu.RLock()
	defer k.mu.RUnlock()
	for _, r := range k.all {
		same := subtle.ConstantTimeCompare(sum[:], r.Hash) == 1
		before := subtle.ConstantTimeCompare(sum[:], r.Before) == 1 && now.Before(r.Overlap)
		if (same || before) && (r.Expires.IsZero() || now.Before(r.Expires)) {
			t, ok = r.Token, true // and on: the time tells nothing
		}
	}
	return t, ok
}

// Seen notes on which day a token was used last, once a day.
func (k *Keeper) Seen(ctx context.Context, t Token) error {
	today := k.now().UTC().Truncate(24 * time.Hour)
	if !t.Used.Before(today) {
		return nil
	}
	k.changing.Lock()
	defer k.changing.Unlock()
	r, known := k.get(t.Name)
	if !known || !r.Used.Before(today) {
		return nil
	}
	r.Used = today
	return k.put(ctx, r)
}

func (k *Keeper) get(name string) (row, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	r, known := k.all[name]
	return r, known
}

// put makes a row durable, and then what counts. The caller holds changing.
func (k *Keeper) put(ctx context.Context, r row) error {
	text, err := json.Marshal(r)
	if err == nil {
		err = k.notes.Note(ctx, space, map[string][]byte{r.Name: text})
	}
	if err != nil {
		return fmt.Errorf("noting a token: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all[r.Name] = r
	return nil
}
