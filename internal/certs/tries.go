package certs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// triesFile in Dir has what was tried, so that a server that is started again and
// again does not use up what the authority allows.
const triesFile = "tries.json"

// A record is what is in triesFile.
type record struct {
	Setup string           `json:"setup"`
	Names map[string]tried `json:"names"`
}

// A tried is when a name was asked for, and what failed.
type tried struct {
	Tries  int       `json:"tries,omitempty"` // that failed
	Last   time.Time `json:"last"`
	Next   time.Time `json:"next"`
	Until  time.Time `json:"until,omitzero"`
	Failed string    `json:"failed,omitempty"`
}

// cutShort is what remains of a try when the process ends in the middle.
const cutShort = "the server ended while it asked for it"

// begin counts a try before it is made, durably: a server that crashes in the
// middle of it has failed too. It gives what was there before. Where that
// cannot be written, nothing may be asked for.
func (a *ACME) begin(name string) (was holding, err error) {
	a.mu.Lock()
	h := a.held[name]
	was = *h
	h.last = a.Now()
	h.next = h.last.Add(pauses[min(h.tries, len(pauses)-1)])
	h.tries++
	a.mu.Unlock()
	if err := a.write(name); err != nil {
		return was, fmt.Errorf("none is asked for, because what comes could not be kept; let the server write to %s: %w", a.Dir, err)
	}
	return was, nil
}

// settle replaces what there is for a name.
func (a *ACME) settle(name string, h holding) {
	a.mu.Lock()
	*a.held[name] = h
	a.mu.Unlock()
	a.note()
}

// note writes what has failed.
func (a *ACME) note() {
	if err := a.write(""); err != nil {
		a.Log.Warn("when to ask for certificates again cannot be kept for the next start", "err", err)
	}
}

// write writes what counts for the next process. The try that begins now has
// failed until there is news of it.
func (a *ACME) write(beginning string) error {
	r := record{Setup: a.Setup, Names: map[string]tried{}}
	a.mu.Lock()
	for name, h := range a.held {
		t := tried{Tries: h.tries, Last: h.last.UTC(), Next: h.next.UTC(), Until: h.until.UTC()}
		if h.failed != nil {
			t.Failed = h.failed.Error()
		}
		if name == beginning {
			t.Failed = cutShort
		}
		if h.next.After(a.Now()) || h.tries > 0 {
			r.Names[name] = t
		}
	}
	a.mu.Unlock()
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return writeWhole(filepath.Join(a.Dir, triesFile), text)
}

// remember takes up what failed for an earlier process. With another
// configuration it is tried anew, unless the authority wants to be left alone.
// a.mu is held.
func (a *ACME) remember() {
	path := filepath.Join(a.Dir, triesFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var r record
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		a.Log.Warn("what failed before cannot be read, so it is tried at once", "file", path, "err", err)
		return
	}
	for _, name := range a.names {
		t, there := r.Names[name]
		h := a.held[name]
		if !there || h.cert == nil && t.Failed == "" { // somebody has removed the certificate
			continue
		}
		t.shift(a.Now())
		if r.Setup != a.Setup {
			t.Tries, t.Next = 0, t.Until
		}
		h.tries, h.last, h.next, h.until = max(t.Tries, 0), t.Last, t.Next, t.Until
		if t.Failed != "" {
			h.failed = errors.New(t.Failed)
		}
		if h.failed != nil && h.next.After(a.Now()) {
			a.Log.Info("a certificate could not be had before, so it is not asked for at once", "host", name, "err", h.failed, "again", h.next)
		}
	}
}

// shift has a try that is of the future be of now: the clock was wrong then, or
// is.
func (t *tried) shift(now time.Time) {
	ahead := t.Last.Sub(now)
	if ahead <= 0 {
		return
	}
	t.Last, t.Next = now, now.Add(t.Next.Sub(t.Last))
	if !t.Until.IsZero() {
		t.Until = t.Until.Add(-ahead)
	}
}
