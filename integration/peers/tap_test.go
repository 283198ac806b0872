package peers

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"homing/integration/harness"
	"homing/internal/toynet"
)

// A tap stands between a mail server of others and the MX of the server under
// test. It changes nothing, its address as a client included, and keeps every
// message that goes to the latter, so that reports can be read as they came.
type tap struct {
	to      string
	letters toynet.Journal[letter]
}

// A letter is one message as it went over the wire.
type letter struct {
	from, to string // as in the dialogue: "<>"
	message  string // with CR LF, without dot-stuffing
}

// tapAddr is where the tap of a stage listens.
func tapAddr(st *harness.Stage) string { return st.At(2626) }

// newTap opens a tap for one stage.
func newTap(t testing.TB, st *harness.Stage) *tap {
	t.Helper()
	socket, err := net.Listen("tcp", tapAddr(st))
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{to: st.MX}
	harness.Run(t, func(ctx context.Context) error { return p.run(ctx, socket) })
	return p
}

// run relays connections until ctx ends.
func (p *tap) run(ctx context.Context, socket net.Listener) error {
	defer context.AfterFunc(ctx, func() { socket.Close() })()
	var open sync.WaitGroup
	defer open.Wait()
	for {
		c, err := socket.Accept()
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		open.Go(func() { p.relay(ctx, c) })
	}
}

// relay connects a client with the server, which sees the address that the
// client has. An end without ceremony, as when the server is not there, is the
// client's to report.
func (p *tap) relay(ctx context.Context, client net.Conn) {
	defer client.Close()
	host, _, _ := net.SplitHostPort(client.RemoteAddr().String())
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(host)}}
	server, err := d.DialContext(ctx, "tcp", p.to)
	if err != nil {
		return
	}
	defer server.Close()
	defer context.AfterFunc(ctx, func() { client.Close(); server.Close() })()
	var answers sync.WaitGroup
	answers.Go(func() {
		_, _ = io.Copy(client, server)
		client.Close() // the server is done
	})
	_, _ = io.Copy(io.MultiWriter(&scribe{tap: p}, server), client)
	server.(*net.TCPConn).CloseWrite()
	answers.Wait()
}

// A scribe reads what a client says in one connection and keeps its messages.
type scribe struct {
	tap     *tap
	rest    []byte // what is not understood yet: the beginning of a line
	reading bool   // what follows DATA
	chunk   int    // octets that follow BDAT (RFC 3030) and are still to come
	last    bool   // the chunk is the last one of its message
	letter
}

func (s *scribe) Write(p []byte) (int, error) {
	s.rest = append(s.rest, p...)
	for {
		if n := min(s.chunk, len(s.rest)); n > 0 {
			s.message += string(s.rest[:n])
			s.rest, s.chunk = s.rest[n:], s.chunk-n
			s.end(s.last && s.chunk == 0)
			continue
		}
		line, rest, whole := bytes.Cut(s.rest, []byte("\r\n"))
		if !whole {
			return len(p), nil
		}
		s.rest = rest
		s.line(string(line))
	}
}

func (s *scribe) line(line string) {
	if s.reading {
		if s.reading = line != "."; s.reading {
			s.message += strings.TrimPrefix(line, ".") + "\r\n"
		}
		s.end(!s.reading)
		return
	}
	words := strings.Fields(strings.Replace(line, ":", " ", 1))
	switch verb := strings.ToUpper(strings.Join(words[:min(1, len(words))], "")); {
	case verb == "MAIL" && len(words) > 2:
		s.from = words[2]
	case verb == "RCPT" && len(words) > 2:
		s.to = words[2]
	case verb == "DATA":
		s.reading = true
	case verb == "BDAT" && len(words) > 1:
		s.chunk, _ = strconv.Atoi(words[1])
		s.last = len(words) > 2
		s.end(s.last && s.chunk == 0)
	}
}

// end keeps the message when it is whole.
func (s *scribe) end(whole bool) {
	if whole {
		s.tap.letters.Add(s.letter)
		s.message = ""
	}
}

// A reading is what `homing classify --json` says of a message.
type reading struct {
	Kind       string `json:"kind"`
	Format     string `json:"format"`
	Recipients []struct {
		Address  string `json:"address"`
		Original string `json:"original"`
		Action   string `json:"action"`
		Reason   string `json:"reason"`
	} `json:"recipients"`
}

// String is what tests expect of a reading: kind, format, and address, action
// and reason of each recipient, by address.
func (r reading) String() string {
	var recipients []string
	for _, to := range r.Recipients {
		recipients = append(recipients, to.Address+" "+to.Action+" "+to.Reason)
	}
	slices.Sort(recipients)
	said := strings.Join(append([]string{r.Kind, r.Format}, recipients...), " ")
	return strings.Join(strings.Fields(said), " ") // an answer has no action
}

// classify asks the binary what it makes of a message.
func classify(t testing.TB, message string) reading {
	t.Helper()
	stdout, stderr, code := harness.Command(t, message, "classify", "--json", "-")
	var r reading
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != 0 || stderr != "" {
		t.Fatalf("homing classify --json: %v, exit code %d\n%s%s", err, code, stdout, stderr)
	}
	return r
}

// reported waits for a message that a peer sent to a return address and that
// is read as wanted. Of what else it sent there, such as a warning before a
// failure, nothing is asked.
func (p *tap) reported(t testing.TB, returnPath, want string) {
	t.Helper()
	var read []string
	seen := 0
	err := p.letters.Wait(harness.Within(t, 10*time.Second), func(all []letter) bool {
		for ; seen < len(all); seen++ {
			if l := all[seen]; strings.EqualFold(l.to, "<"+returnPath+">") {
				r := classify(t, l.message).String()
				if r == want {
					return true
				}
				read = append(read, r+"\n"+l.message)
			}
		}
		return false
	})
	if err != nil {
		t.Errorf("nothing that was sent to %s is read as %q; read was:\n%s", returnPath, want, strings.Join(read, "\n"))
	}
}
