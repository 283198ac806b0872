package toynet

import (
	"strconv"
	"strings"
	"time"

	"homing/internal/reply"
)

// A Domain is one mail domain of a World, and what becomes of mail to it.
// The zero Domain accepts everything at an MX of its own, mx.NAME.
type Domain struct {
	About     string               // for people: what becomes of mail to it
	Behaviour Behaviour            // of every mailbox that Mailboxes does not name
	Mailboxes map[string]Behaviour // by local part in lower case; sub-addresses (ann+x) are ann's
	Host      Host                 // its own MX, mx.NAME, unless MX names others
	MX        []string             // MX hosts, the preferred one first: keys of World.Hosts, or mx.NAME of another domain
	Null      bool                 // accepts no mail (null MX, RFC 7505)
	Missing   bool                 // is not in the DNS at all (NXDOMAIN)
}

// behaviour gives what the mailbox of a local part does.
func (d Domain) behaviour(local string) Behaviour {
	local, _, _ = strings.Cut(strings.ToLower(local), "+")
	if b, ok := d.Mailboxes[local]; ok {
		return b
	}
	return d.Behaviour
}

// A Behaviour is what a mailbox does with mail. The zero Behaviour accepts it
// and stays silent. In the text of a reply, {peer} stands for the address of
// the client and {rcpt} for the recipient.
type Behaviour struct {
	RCPT reply.Reply // said at RCPT instead of 250; zero: 250
	Dot  reply.Reply // said at the end of data instead of 250; zero: 250

	// Times and For limit a refusal, counted for each pair of return path
	// and recipient: it is given to the first Times attempts, and until For
	// after the first one. Both zero: for ever.
	Times int
	For   time.Duration

	Later []Later // sent back after a 250
}

// A Later is something that comes back some time after a message was accepted.
type Later struct {
	After   time.Duration
	Compose Composer    // what it says; PostfixDSN and the like
	Why     reply.Reply // what the last mail system is said to have answered; zero: 550 5.1.1
	Via     string      // the host that sends it; "": the MX that accepted the message
	Copies  int         // how often the same report comes; 0: once
}

// A Host is how an MX behaves whoever the mail is for. The zero Host offers
// STARTTLS, PIPELINING, CHUNKING, 8BITMIME and SMTPUTF8 and does all well.
type Host struct {
	Faults     []Fault // the first that fits a stage counts; none does once TLS has begun
	Dead       bool    // has an address where nothing listens
	NoTLS      bool    // does not offer STARTTLS
	RequireTLS bool    // 530 5.7.0 at MAIL without TLS
	MaxOctets  int64   // SIZE (RFC 1870); 0: 64 MiB
	Deaf       bool    // forgets what came in one packet with a command, though it offers PIPELINING
}

// Quit is the stage of a Fault at QUIT. Always fits every stage.
const (
	Quit   reply.Stage = "quit"
	Always reply.Stage = ""
)

// Proper stands in Fault.Say for the reply that the host would have given.
const Proper = "{reply}"

// Forever is a Fault.Repeat without end.
const Forever = -1

// A Fault is what a host does at one stage instead of answering as it should.
// What it says is octets: nothing makes them a reply. A Say without Proper
// replaces the answer, and the command is not carried out; only at the end of
// data the message counts as received all the same.
type Fault struct {
	At     reply.Stage   // at the reply to this command; reply.Connect: the greeting
	Wait   time.Duration // before anything is said
	Say    string        // with CR LF
	Repeat int           // say it so many times more; Forever
	Each   time.Duration // a pause before each octet
	Then   Ending
	For    time.Duration // only so long after the host was first called; 0: for ever
}

// An Ending is how a dialogue goes on after a Fault.
type Ending int

// The endings.
const (
	GoOn  Ending = iota
	Close        // the connection is closed
	Hang         // nothing is said or done any more; the connection stays
)

// Wire gives a reply as octets, for Fault.Say: each line with the code, the
// enhanced status code where there is one, and CR LF.
func Wire(r reply.Reply) string {
	var b strings.Builder
	lines := strings.Split(r.Text, "\n")
	for i, line := range lines {
		b.WriteString(strconv.Itoa(r.Code))
		if i < len(lines)-1 {
			b.WriteByte('-')
		} else {
			b.WriteByte(' ')
		}
		if s := r.Enhanced.String(); s != "" {
			b.WriteString(s + " ")
		}
		b.WriteString(line + "\r\n")
	}
	return b.String()
}

// filled puts peer and recipient into the text of a reply.
func filled(r reply.Reply, peer, rcpt string) reply.Reply {
	r.Text = strings.NewReplacer("{peer}", peer, "{rcpt}", rcpt).Replace(r.Text)
	return r
}

// refuses reports whether a refusal still holds at the n-th attempt (the first
// is 1), so long after the first.
func (b Behaviour) refuses(n int, since time.Duration) bool {
	if b.Times == 0 && b.For == 0 {
		return true
	}
	return n <= b.Times || since < b.For
}
