package selfcheck

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"homing/dnscheck"
	"homing/verp"
)

// A Way is one by which mail goes out and comes back.
type Way struct {
	Domain  string // that mail is sent as
	Returns string // the domain of its return addresses
	Through string // the name of the smarthost that all mail with such return addresses goes through; "": some goes straight to the MXs
	// Rewrites says that the smarthost is known to replace the reverse-path: what
	// comes back is known by a field of the header.
	Rewrites bool
}

// A Posting is a message on its way.
type Posting struct {
	Straight bool // to the MXs, whatever the Way says
	From, To string
	Message  []byte
}

// A Returned is a message of ours that came back.
type Returned struct {
	Kind string    // what it was understood as: a bounce.Kind
	From string    // its reverse-path
	To   string    // the address it came to
	At   time.Time // when
}

// A Loop tries the way back: it has mail go out as all mail does, to a return
// address of ours, and waits for it at our own MX. What comes back there is
// understood like all other, and changes nothing.
type Loop struct {
	// Trial makes an address at which mail of a sending domain comes back,
	// and a function that waits for it, which gives the error of ctx. End
	// gives both up.
	Trial func(domain string) (address string, wait func(ctx context.Context) (Returned, error), end func(), err error)
	// Send sends a message as mail of a Way goes. It gives who took it; its
	// errors are also ErrNotAsked and ErrNotReached.
	Send func(ctx context.Context, w Way, p Posting) (host string, err error)
	// Sign gives a message with the signatures of a domain.
	Sign func(domain string, message []byte) ([]byte, error)

	mu    sync.Mutex
	under map[string]*trip // through smarthosts, by domain
}

// A trip is a message that went through a smarthost, which takes its time. It
// belongs to the check of its domain, of which one runs at a time.
type trip struct {
	way     Way
	sent    time.Time
	lost    int // messages before this one whose report did not come
	host    string
	address string
	wait    func(ctx context.Context) (Returned, error)
	end     func()
	back    *Returned
}

// How long it may take to come back.
const (
	reportKind    = "bounce" // a bounce.Kind
	backStraight  = 3 * time.Second
	backThrough   = 15 * time.Minute
	tripsEvery    = time.Hour
	tripsAgain    = 5 * time.Minute // where the last one failed for what can be mended in a moment
	reportsEvery  = 24 * time.Hour  // a message to nobody is a bounce, and providers count those
	returnPath    = "return_path"
	smarthostBack = "smarthost_return"
)

// Why a message did not get to a server at all.
var (
	// ErrNotAsked: the DNS did not say where it goes.
	ErrNotAsked = errors.New("the DNS did not answer")
	// ErrNotReached: no server there could be connected to from here.
	ErrNotReached = errors.New("there is no way to it from this machine")
)

// Untried is the finding about a way that is not tried.
func Untried(w Way, why string) dnscheck.Finding {
	return dnscheck.Finding{Check: returnPath, Subject: w.Returns, Verdict: dnscheck.Skipped, Found: why}
}

// Straight sends what an MX can hear: a signed message, a report of a failure,
// a complaint, and an answer of somebody who is away.
func (l *Loop) Straight(ctx context.Context, w Way) dnscheck.Finding {
	f := dnscheck.Finding{Check: returnPath, Subject: w.Returns, Verdict: dnscheck.OK,
		Wanted: "mail to a return address of ours comes back over the published MX, and is understood"}
	began := time.Now()
	host := ""
	for _, s := range samples {
		address, wait, end, err := l.Trial(w.Domain)
		if err != nil {
			f.Verdict, f.Found = dnscheck.Skipped, err.Error()
			return f
		}
		back, err := l.one(ctx, w, s, address, wait, &host)
		end()
		switch {
		case ctx.Err() != nil && !errors.Is(err, ErrNotReached):
			f.Verdict, f.Found = dnscheck.Skipped, "there was no time for it"
			return f
		case err == nil && back.Kind == s.kind:
			continue
		case err == nil:
			err = fmt.Errorf("%s came back, and was taken for %s", s.words, back.Kind)
		default:
			err = fmt.Errorf("%s: %w", s.words, err)
		}
		return w.broken(f, err)
	}
	f.Found = fmt.Sprintf("a message, a bounce, a complaint and an automatic answer came back over %s in %d ms, and were understood", host, time.Since(began).Milliseconds())
	return f
}

// broken says why nothing comes back.
func (w Way) broken(f dnscheck.Finding, why error) dnscheck.Finding {
	f.Verdict, f.Found = dnscheck.Fail, why.Error()
	switch {
	case errors.Is(why, ErrNotAsked):
		f.Verdict = dnscheck.Skipped // which the checks of the DNS say more about
		return f
	case errors.Is(why, ErrNotReached) && w.Through != "":
		// The message through the smarthost says whether others can.
		f.Verdict = dnscheck.Warn
		f.Fix = fmt.Sprintf("Where port 25 is closed on the way out, or a router does not let this machine call its own public address, this stays so and does no harm:\nthe check %s says whether bounces come back. Else look at the MX of %s, and at the firewall.", smarthostBack, w.Returns)
		return f
	}
	f.Fix = fmt.Sprintf("Bounces do not come back. Look at the findings about the MX of %s and about incoming_port first: `homing dns --diff` and\n`homing check`; then at the log of this server at the time of the check.", w.Returns)
	return f
}

// one sends one sample straight and waits for it.
func (l *Loop) one(ctx context.Context, w Way, s sample, address string, wait func(context.Context) (Returned, error), host *string) (Returned, error) {
	message, err := l.compose(w, s, address)
	if err != nil {
		return Returned{}, err
	}
	if *host, err = l.Send(ctx, w, Posting{Straight: true, From: address, To: address, Message: message}); err != nil {
		return Returned{}, fmt.Errorf("it was not taken: %w", err)
	}
	within, cancel := context.WithTimeout(ctx, backStraight)
	defer cancel()
	back, err := wait(within)
	if err != nil {
		return back, fmt.Errorf("%s took it, and it did not come back here: another server takes the mail of %s", *host, w.Returns)
	}
	return back, nil
}

func (l *Loop) compose(w Way, s sample, address string) ([]byte, error) {
	text := strings.NewReplacer("{address}", address, "{domain}", w.Domain, "{date}", time.Now().Format("Mon, 02 Jan 2006 15:04:05 -0700"), "\n", "\r\n").Replace(s.text)
	if !s.signed {
		return []byte(text), nil
	}
	return l.Sign(w.Domain, []byte(text))
}

// Relayed sends a message through the smarthost, at most once an hour. The answer
// comes later: what is said is what the last one came to.
func (l *Loop) Relayed(ctx context.Context, w Way) dnscheck.Finding {
	f := dnscheck.Finding{Check: smarthostBack, Subject: w.Domain, Verdict: dnscheck.OK, Wanted: "the smarthost leaves the envelope sender alone, so that bounces come back"}
	if w.Rewrites {
		f.Wanted = "what the smarthost reports to the account that mail is sent with comes here"
	}
	l.mu.Lock()
	t := l.under[w.Domain]
	l.mu.Unlock()
	if t != nil && t.way != w {
		t = nil // it says nothing of how mail goes now
	}
	if t == nil || t.due() {
		next, err := l.leave(ctx, w, t)
		switch {
		case err == nil:
		case errors.Is(err, ErrNotAsked) || ctx.Err() != nil && !errors.Is(err, ErrNotReached):
			f.Verdict, f.Found = dnscheck.Skipped, "it was not taken in time: "+err.Error()
			return f
		default:
			f.Verdict, f.Found, f.Fix = dnscheck.Fail, "it was not taken: "+err.Error(), "Mail of "+w.Domain+" waits for this: look at [delivery.smarthost] or [domain.smarthost], and at what the smarthost's own pages say of the account."
			return f
		}
		if t == nil {
			t = next
		}
	}
	t.look(ctx)
	if w.Rewrites {
		return t.reported(f)
	}
	return t.finding(f)
}

// due reports whether it is time for another message.
func (t *trip) due() bool { return time.Since(t.sent) > t.pause() }

// pause is how long after a message the next one leaves.
func (t *trip) pause() time.Duration {
	switch {
	case t.proven():
		return reportsEvery
	case t.way.Rewrites:
		return min(tripsEvery<<min(t.lost, 5), reportsEvery)
	case t.rewritten():
		return tripsAgain
	}
	return tripsEvery
}

// rewritten reports whether a message came back with another envelope sender.
func (t *trip) rewritten() bool { return t.back != nil && !strings.EqualFold(t.back.From, t.address) }

// proven reports whether the report of a message to nobody came back.
func (t *trip) proven() bool {
	return t.way.Rewrites && t.back != nil && t.back.Kind == reportKind
}

// look takes note of what has come back: of the report, where one is wanted,
// even if something else came before it.
func (t *trip) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	for {
		back, err := t.wait(ctx)
		if err != nil {
			return
		}
		if t.back == nil || t.way.Rewrites && !t.proven() {
			t.back = &back
		}
	}
}

// nobodyLike gives an address in the form of a return address of ours, which our
// MX refuses for certain, so that whoever tries to deliver there reports it.
func nobodyLike(address string) string {
	local, domain, _ := strings.Cut(address, "@")
	last := len(local) - 1
	other := byte('a')
	if local[last] == other {
		other = 'b'
	}
	return local[:last] + string(other) + "@" + domain
}

// rewritten is what to do about a smarthost that replaces the reverse-path.
const rewritten = `Send through a smarthost that keeps the envelope sender, or straight to the MXs. Or have its reports come here all the same:
1. In homing.toml, in the table of the smarthost:
rewrites_sender = true
2. and further down:
[[route]]
address = "bounces@%[1]s"
as = "bounce"
3. ` + "`homing config check`" + `, and reload the server.
4. In the mailbox of the account that mail is sent with there: ` + passOn + `
This check then sends a message to nobody, and is green when the report of it has come.`

// passOn is what the mailbox of the account has to do.
const passOn = `have all mail passed on to bounces@%[1]s as it is
("forward" in Gmail's settings; "redirect" in Outlook's rules, whose "forward" makes another message of it). Where a code is sent to
that address first, it comes to the postmaster of homing.toml.`

// finding says what became of a message to ourselves.
func (t *trip) finding(f dnscheck.Finding) dnscheck.Finding {
	switch {
	case t.back == nil && time.Since(t.sent) < backThrough:
		return t.under(f)
	case t.back == nil:
		f.Verdict, f.Found = dnscheck.Fail, fmt.Sprintf("%s took a message at %s, and it has not come back", t.host, clock(t.sent))
		f.Fix = "Ask those who run the smarthost where it is; look at the MX of " + t.way.Returns + " as well."
	case t.rewritten():
		f.Verdict, f.Found = dnscheck.Fail, fmt.Sprintf("it came back with another envelope sender, %q: bounces go there, and nobody hears of them", t.back.From)
		f.Fix = fmt.Sprintf(rewritten, t.way.Returns)
	default:
		f.Found = fmt.Sprintf("a message came back through %s in %d s, with the envelope sender that it had", t.host, t.took())
	}
	return f
}

// reported says what became of a message to nobody, whose report is wanted.
func (t *trip) reported(f dnscheck.Finding) dnscheck.Finding {
	switch {
	case t.proven() && strings.EqualFold(t.back.To, t.address):
		f.Found = fmt.Sprintf("the report of a message to nobody came back through %s in %d s, to its return address: this smarthost reports there all the same", t.host, t.took())
		return f
	case t.proven():
		f.Found = fmt.Sprintf("the report of a message to nobody came back through %s in %d s, and was known by its header", t.host, t.took())
		return f
	case t.back != nil:
		f.Found = fmt.Sprintf("what came to %s about a message to nobody was taken for %s, and not for the report of a failure", t.back.To, t.back.Kind)
		f.Fix = "In the mailbox of the account that mail is sent with there, " + passOn
	case time.Since(t.sent) < backThrough:
		return t.under(f)
	default:
		f.Found = fmt.Sprintf("%s took a message to nobody at %s, and no report of it has come here", t.host, clock(t.sent))
		f.Fix = "Look into the mailbox of the account that mail is sent with there. If the report is in it, " + passOn + ` In homing.toml that address needs
[[route]]
address = "bounces@%[1]s"
as = "bounce"
If the report is not there, and the smarthost keeps the envelope sender after all, write
rewrites_sender = false`
	}
	f.Verdict = dnscheck.Fail
	f.Fix = fmt.Sprintf(f.Fix, t.way.Returns) + fmt.Sprintf("\nThe next message leaves after %s, and when the server is started again.", clock(t.sent.Add(t.pause())))
	return f
}

// under says that a message is still on its way.
func (t *trip) under(f dnscheck.Finding) dnscheck.Finding {
	f.Verdict, f.Found = dnscheck.Skipped, fmt.Sprintf("%s took a message %d s ago, and it is not back yet", t.host, int(time.Since(t.sent).Seconds()))
	return f
}

// took is the number of seconds after which something came back.
func (t *trip) took() int { return int(t.back.At.Sub(t.sent).Seconds()) }

// clock is a time of these days for people.
func clock(t time.Time) string { return t.UTC().Format("15:04 MST") }

// leave sends a message through the smarthost, and has somebody wait for it.
// last is the one before, of the same Way; nil: there is none.
func (l *Loop) leave(ctx context.Context, w Way, last *trip) (*trip, error) {
	address, wait, end, err := l.Trial(w.Domain)
	if err != nil {
		return nil, err
	}
	first := samples[0]
	if w.Rewrites {
		first.text = verp.ReturnField + ": {address}\n" + first.text
	}
	message, err := l.compose(w, first, address)
	if err != nil {
		end()
		return nil, err
	}
	t := &trip{way: w, sent: time.Now(), address: address, wait: wait, end: end}
	if last != nil && !last.proven() {
		t.lost = last.lost + 1
	}
	p := Posting{From: address, To: address, Message: message}
	if w.Rewrites {
		p.To = nobodyLike(address)
	}
	if t.host, err = l.Send(ctx, w, p); err != nil {
		end()
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.under == nil {
		l.under = map[string]*trip{}
	}
	if old := l.under[w.Domain]; old != nil {
		old.end()
	}
	l.under[w.Domain] = t
	return t, nil
}
