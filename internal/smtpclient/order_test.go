package smtpclient_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"homing/internal/memconn"
	"homing/internal/smtpclient"
)

// An oracle is a peer that accepts and refuses at random, each time with words
// that say which message and which command they answer, and knows what must
// become of each message (RFC 2920 section 3.1: answers are counted, never
// recognised by their code or text).
type oracle struct {
	*rand.Rand
	out  *bufio.Writer
	want []string
}

// say answers one command of the message that comes now, in up to three lines.
func (p *oracle) say(stage string, codes ...int) bool {
	code := codes[p.IntN(len(codes))]
	text := fmt.Sprintf("%d %s", len(p.want), stage)
	for range p.IntN(3) {
		fmt.Fprintf(p.out, "%d-250 ok\r\n", code)
	}
	fmt.Fprintf(p.out, "%d %s\r\n", code, text)
	p.decide(stage, fmt.Sprintf("%d %s", code, text), code/100)
	return code < 400
}

// decide notes a refusal as the end of a message, unless it has ended, and
// what is said to the end of its content.
func (p *oracle) decide(stage, text string, class int) {
	if last := len(p.want) - 1; last >= 0 && p.want[last] == "" && (class > 3 || stage == "dot") {
		p.want[last] = stage + ": " + text
	}
}

// serve offers what keywords say.
func (p *oracle) serve(conn net.Conn, keywords string) {
	defer conn.Close()
	p.out = bufio.NewWriter(conn)
	in := bufio.NewReader(conn)
	fmt.Fprint(p.out, "220 mx\r\n")
	for mail, rcpt := false, false; p.flush(); {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		words := strings.Fields(line)
		switch words[0] {
		case "EHLO":
			fmt.Fprintf(p.out, "250-mx\r\n%s250 HELP\r\n", keywords)
		case "RSET":
			fmt.Fprint(p.out, "250 reset\r\n")
		case "MAIL":
			p.want = append(p.want, "")
			mail, rcpt = p.say("mail", 250, 250, 250, 250, 451, 550), false
		case "RCPT":
			rcpt = mail && p.say("rcpt", 250, 251, 250, 450, 550)
			if !mail {
				p.say("rcpt", 503)
			}
		case "DATA":
			p.data(in, rcpt)
		case "BDAT":
			n, _ := strconv.Atoi(words[1])
			in.Discard(n)
			if rcpt {
				p.say("dot", 250, 250, 452, 554)
			} else {
				p.say("dot", 503, 554, 450)
			}
		case "QUIT":
			return
		}
	}
}

func (p *oracle) data(in *bufio.Reader, rcpt bool) {
	codes := []int{354, 354, 354, 451, 554}
	if !rcpt {
		codes = []int{354, 503, 554}
	}
	if !p.say("data", codes...) {
		return
	}
	p.flush() // who waits for 354 sends nothing before
	for line := ""; line != ".\r\n"; {
		var err error
		if line, err = in.ReadString('\n'); err != nil {
			return
		}
	}
	p.say("dot", 250, 250, 452, 554)
}

// flush lets out what was said, in pieces of any length, or keeps it for more.
func (p *oracle) flush() bool { return p.out.Flush() == nil }

// pieces cuts what is written.
type pieces struct {
	net.Conn
	r *rand.Rand
}

func (p pieces) Write(octets []byte) (n int, err error) {
	for err == nil && n < len(octets) {
		var m int
		m, err = p.Conn.Write(octets[n:min(len(octets), n+1+p.r.IntN(40))])
		n += m
	}
	return n, err
}

// TestAnswersAreMatchedInOrder has peers that accept and refuse at random, for
// each way to send.
func TestAnswersAreMatchedInOrder(t *testing.T) {
	tests := []struct {
		name, keywords string
		o              smtpclient.Options
	}{
		{"one command at a time", "", smtpclient.Options{}},
		{"the next envelope behind the dot", "250-PIPELINING\r\n", smtpclient.Options{}},
		{"whole transactions", "250-PIPELINING\r\n250-CHUNKING\r\n", smtpclient.Options{Window: 4}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for seed := range uint64(20) {
				synctest.Test(t, func(t *testing.T) {
					const messages = 100
					r := rand.New(rand.NewPCG(seed, 0))
					a, b := memconn.Pipe(nil, nil)
					p, played := &oracle{Rand: r}, make(chan struct{})
					go func() {
						defer close(played)
						p.serve(pieces{b, r}, tt.keywords)
						io.Copy(io.Discard, b)
					}()
					c := smtpclient.New(a, tt.o)
					if failed := c.Hello(); failed != nil {
						t.Fatal(say(*failed))
					}
					var got []string
					sent := 0
					_, why := c.Deliver(func(bool) *smtpclient.Transaction {
						if sent++; sent > messages {
							return nil
						}
						return &smtpclient.Transaction{To: []smtpclient.Recipient{{Address: "ann@example.net"}}, Body: text("hi\r\n"), Done: func(o []smtpclient.Outcome) {
							lines := strings.Split(o[0].Reply.Text, "\n")
							got = append(got, fmt.Sprintf("%s: %d %s", o[0].Stage, o[0].Reply.Code, lines[len(lines)-1]))
						}}
					})
					c.Quit()
					<-played
					if why != nil {
						t.Errorf("seed %d: the dialogue ended: %s", seed, say(*why))
					}
					if diff := cmp.Diff(p.want, got); diff != "" {
						t.Errorf("seed %d (-want +got):\n%s", seed, diff)
					}
				})
			}
		})
	}
}
