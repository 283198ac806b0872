// Package spool keeps mail that local users handed over while the server could
// not take it, in a directory where everybody may leave a file and nobody but
// the server sees those of others.
//
// The directory has mode 3733 and belongs to the user who runs the server.
// Whoever may search and write it, but not list it, can leave a file whose name
// nobody guesses. The sticky bit keeps users from removing or renaming what is
// not theirs. The set-group-ID bit gives each file the server's group, so that
// mode 0640 lets the server read it and nobody else. Whose mail a file is says
// its owner, which only root can change; nothing in it counts for that.
package spool

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// DefaultDir is where the spool is when the configuration does not say, and
// where users look who may not read it.
const DefaultDir = "/var/spool/homing"

// DirMode is that of the directory.
const DirMode = 0o733 | fs.ModeSticky | fs.ModeSetgid

// MakeCommand makes the directory, or mends it.
func MakeCommand(dir string) string {
	return "sudo install -d -m 3733 -o homing -g homing " + dir
}

// An Envelope says what is to be done with a message.
type Envelope struct {
	ID         string   `json:"id"` // of NewID: two with one ID, of one user, are one
	From       string   `json:"from"`
	To         []string `json:"to"`
	EightBit   bool     `json:"eight_bit,omitempty"`
	UTF8       bool     `json:"utf8,omitempty"`
	Notify     string   `json:"notify,omitempty"`      // as in RFC 3461
	Return     string   `json:"return,omitempty"`      // as in RFC 3461
	EnvelopeID string   `json:"envelope_id,omitempty"` // as in RFC 3461
}

// NewID makes an ID that nobody guesses.
func NewID() string { return strings.ToLower(rand.Text()) }

// IsID reports whether s has the form of an ID.
func IsID(s string) bool {
	return len(s) == 26 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz234567") == ""
}

// Key is by what a message of a user is known to have been taken already.
func Key(uid int, id string) string { return fmt.Sprintf("spool %d %s", uid, id) }

// Field is a header field by which a user who hands mail over in a dialogue
// says its ID: when the answer is lost, the same mail can be left in the spool
// and is not taken twice. It does not leave the server.
const Field = "X-Homing-Handover"

// A head is the first line of a file, as JSON. What follows are Octets octets
// with a hash, so that a file that is not whole is never taken for one.
type head struct {
	Version int `json:"homing_spool"`
	Envelope
	Octets int64  `json:"octets"`
	SHA256 string `json:"sha256"`
}

// version is what this package writes and reads.
const version = 1

const (
	whole  = "msg-" // begins the name of a file that is whole
	part   = "tmp-" // begins that of one that is being written
	mode   = 0o640
	strays = mode ^ (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky) // permissions that no file has

	// maxHead is the longest first line, in octets: more recipients than one
	// message may have.
	maxHead = 1 << 20
)

// errTorn says that a file is not as it was written.
var errTorn = errors.New("the file is not whole, or was changed")

// encode writes the first line.
func encode(e Envelope, message []byte) ([]byte, error) {
	sum := sha256.Sum256(message)
	line, err := json.Marshal(head{version, e, int64(len(message)), hex.EncodeToString(sum[:])})
	if err != nil {
		return nil, err
	}
	if len(line) >= maxHead {
		return nil, fmt.Errorf("an envelope of %d octets is too long: name fewer recipients", len(line))
	}
	return append(line, '\n'), nil
}

// decode reads the first line of a file of size octets. What it gives reads
// the message, and ends with errTorn where that is not what was written.
func decode(r io.Reader, size int64) (Envelope, io.Reader, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	line, err := readLine(in)
	if err != nil {
		return Envelope{}, nil, err
	}
	var h head
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&h); err != nil || d.InputOffset() != int64(len(line))-1 {
		return Envelope{}, nil, errTorn
	}
	sum, err := hex.DecodeString(h.SHA256)
	switch {
	case h.Version != version:
		return Envelope{}, nil, fmt.Errorf("the file has format %d, this version knows %d", h.Version, version)
	case err != nil || len(sum) != sha256.Size || h.Octets < 0 || int64(len(line))+h.Octets != size:
		return Envelope{}, nil, errTorn
	case !IsID(h.ID) || len(h.To) == 0:
		return Envelope{}, nil, errTorn
	}
	return h.Envelope, &checked{from: in, left: h.Octets, sum: sum, hash: sha256.New()}, nil
}

// readLine reads the first line, with its LF.
func readLine(in *bufio.Reader) (line []byte, err error) {
	for {
		piece, err := in.ReadSlice('\n')
		line = append(line, piece...)
		switch {
		case len(line) > maxHead:
			return nil, errTorn
		case err == nil:
			return line, nil
		case errors.Is(err, io.EOF):
			return nil, errTorn
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}

// checked reads a message and ends it only where it is whole.
type checked struct {
	from io.Reader
	left int64
	sum  []byte
	hash interface {
		io.Writer
		Sum([]byte) []byte
	}
	torn bool
}

func (c *checked) Read(p []byte) (int, error) {
	if c.left == 0 {
		if !bytes.Equal(c.hash.Sum(nil), c.sum) {
			c.torn = true
			return 0, errTorn
		}
		return 0, io.EOF
	}
	n, err := c.from.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	c.hash.Write(p[:n]) // never fails
	if errors.Is(err, io.EOF) && c.left > 0 {
		c.torn = true
		err = errTorn
	} else if errors.Is(err, io.EOF) {
		err = nil // the next call says whether it is the end
	}
	return n, err
}

// owner and group of a file, and how many names it has.
type owned struct {
	uid, gid int
	links    int
}

// look says what a file is.
func look(f *os.File) (fs.FileInfo, owned, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, owned{}, err
	}
	o, err := ownedBy(info)
	return info, o, err
}
