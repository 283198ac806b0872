package pop3d

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"slices"
	"time"

	"homing/internal/maildir"
)

// maxMessages is how many messages one session sees, the oldest. The next one
// sees those behind them.
const maxMessages = 10_000

// A box is a mailbox as one session sees it: what came later is not there, and
// what is deleted goes at QUIT.
type box struct {
	Mailbox
	all []entry
}

// An entry is a message of the box. Its number is one more than its index.
type entry struct {
	maildir.Message
	octets  int64 // as RETR sends them
	fetched bool
	deleted bool
}

func openBox(m Mailbox, now time.Time) (*box, error) {
	found, err := m.Dir.Messages()
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(x maildir.Message) bool { return m.Settle > 0 && now.Sub(x.Modified) < m.Settle })
	b := &box{Mailbox: m}
	for _, message := range found[:min(len(found), maxMessages)] {
		octets, err := octetsOf(m.Dir, message)
		if errors.Is(err, fs.ErrNotExist) {
			continue // another reader took it meanwhile
		}
		if err != nil {
			return nil, err
		}
		b.all = append(b.all, entry{Message: message, octets: octets})
	}
	return b, nil
}

// octetsOf counts a message as it is sent.
func octetsOf(d maildir.Dir, m maildir.Message) (int64, error) {
	f, err := d.Open(m)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return sendText(bufio.NewWriter(io.Discard), f, -1)
}

// total says how many messages are not deleted, and their octets.
func (b *box) total() (count int, octets int64) {
	for _, e := range b.all {
		if !e.deleted {
			count++
			octets += e.octets
		}
	}
	return count, octets
}

// at gives the message of a number; nil: there is none, or it is deleted.
func (b *box) at(number int) *entry {
	if number < 1 || number > len(b.all) || b.all[number-1].deleted {
		return nil
	}
	return &b.all[number-1]
}

// update gives what is to be removed, and what was read and stays.
func (b *box) update() (deleted, seen []maildir.Message) {
	for _, e := range b.all {
		switch {
		case e.deleted:
			deleted = append(deleted, e.Message)
		case e.fetched:
			seen = append(seen, e.Message)
		}
	}
	return deleted, seen
}

// maxUID is the longest unique id (RFC 1939 section 7).
const maxUID = 70

// uid is the same for a message for as long as it is there.
func (e *entry) uid() string {
	fits := len(e.Name) <= maxUID
	for i := range len(e.Name) {
		fits = fits && e.Name[i] > ' ' && e.Name[i] < 0x7f
	}
	if fits {
		return e.Name
	}
	sum := sha256.Sum256([]byte(e.Name))
	return hex.EncodeToString(sum[:])
}
