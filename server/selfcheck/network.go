package selfcheck

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/textproto"
	"strings"
	"time"

	"homing/dnscheck"
	"homing/internal/dnsx"
)

// A Net is how the network is tried.
type Net struct {
	Resolver interface {
		MX(ctx context.Context, name string) ([]dnsx.MX, error)
		Addrs(ctx context.Context, name string) ([]netip.Addr, error)
	}
	Dial func(ctx context.Context, to netip.AddrPort) (net.Conn, error)
	Name string // that we call ourselves
	Port uint16 // of MXs: 25
}

// tryTime is how long one server may take to greet.
const tryTime = 4 * time.Second

// receivers are providers whose MXs greet everybody, some of which are always
// there. Nothing is sent: a connection, a greeting, QUIT.
var receivers = []string{"gmail.com", "outlook.com", "yahoo.com", "icloud.com"}

// smarthostWay is what to do where port 25 is closed.
const smarthostWay = `Many providers close outgoing port 25 until one asks: look in their panel, or write to them.
Or send through a smarthost, in homing.toml:
[delivery.smarthost]
address = "smtp.provider.example:587"
username = "u"
password_file = "smarthost-password"`

// outgoingStep is how long one receiver is waited for at most before the next one
// is tried as well: a closed port must be known within the time of a run.
const outgoingStep = time.Second

// A knock is what came of trying to reach one receiver.
type knock struct {
	domain, greeting string
	known            bool // where its mail host is
	late             bool // there was no time to wait for it
	err              error
}

// Untried is the finding of Outgoing where it is not to be tried.
func (n Net) Untried(why string) dnscheck.Finding {
	return dnscheck.Finding{Check: "outgoing_port", Subject: fmt.Sprintf("port %d", n.Port), Verdict: dnscheck.Skipped, Found: why}
}

// Outgoing checks that the MXs of others can be reached at all.
func (n Net) Outgoing(ctx context.Context) dnscheck.Finding {
	f := n.Untried("")
	f.Verdict, f.Wanted = dnscheck.OK, "a way to the mail hosts of others"
	trying, cancel := context.WithCancel(ctx)
	knocks := make(chan knock)
	var ended []knock
	begun := 0
	begin := func() {
		if begun < len(receivers) {
			go func(domain string) { knocks <- n.knock(trying, domain) }(receivers[begun])
			begun++
		}
	}
	step := time.NewTicker(outgoingStep)
	defer step.Stop()
	for begin(); len(ended) < begun; {
		select {
		case k := <-knocks:
			k.late = k.err != nil && trying.Err() != nil
			ended = append(ended, k)
			if k.err == nil {
				cancel() // one will do
			}
		case <-step.C:
		}
		if trying.Err() == nil {
			begin()
		}
	}
	cancel()
	return n.outgoing(f, ended)
}

// outgoing says what the knocks mean.
func (n Net) outgoing(f dnscheck.Finding, ended []knock) dnscheck.Finding {
	var failed []string
	var unreached, unknown error
	late := false
	for _, k := range ended {
		switch {
		case k.err == nil:
			f.Found = fmt.Sprintf("%s greets: %s", k.domain, k.greeting)
			return f
		case k.late:
			late = true
		case k.known:
			failed, unreached = append(failed, k.domain), cmp.Or(unreached, k.err)
		default:
			unknown = cmp.Or(unknown, k.err)
		}
	}
	switch {
	case len(failed) > 0:
		f.Verdict, f.Fix = dnscheck.Fail, smarthostWay
		f.Found = fmt.Sprintf("none of %s can be reached: %v", strings.Join(failed, ", "), unreached)
	case late:
		f.Verdict, f.Found = dnscheck.Skipped, "there was no time for it"
	default:
		f.Verdict, f.Found = dnscheck.Skipped, fmt.Sprintf("no mail host could be looked up: %v", unknown)
	}
	return f
}

// knock tries to reach one receiver.
func (n Net) knock(ctx context.Context, domain string) knock {
	k := knock{domain: domain}
	to, err := n.best(ctx, domain)
	if err != nil {
		k.err = err
		return k
	}
	k.known = true
	k.greeting, k.err = n.greeting(ctx, to)
	return k
}

// best gives an address of the best MX of a domain.
func (n Net) best(ctx context.Context, domain string) (netip.AddrPort, error) {
	all, err := n.Resolver.MX(ctx, domain)
	if err != nil || len(all) == 0 {
		return netip.AddrPort{}, cmp.Or(err, errors.New(domain+" has no MX"))
	}
	addrs, err := n.Resolver.Addrs(ctx, all[0].Host)
	if err != nil || len(addrs) == 0 {
		return netip.AddrPort{}, cmp.Or(err, errors.New(all[0].Host+" has no address"))
	}
	for _, a := range addrs {
		if a.Is4() { // there is a way for IPv4 wherever there is one at all
			return netip.AddrPortFrom(a, n.Port), nil
		}
	}
	return netip.AddrPortFrom(addrs[0], n.Port), nil
}

// greeting gives what a server says first, and leaves.
func (n Net) greeting(ctx context.Context, to netip.AddrPort) (string, error) {
	d, err := n.dial(ctx, to)
	if err != nil {
		return "", err
	}
	defer d.close()
	return d.greeting, nil
}

// A dialogue is one with a mail host, kept short.
type dialogue struct {
	*textproto.Conn
	greeting string
}

func (n Net) dial(whole context.Context, to netip.AddrPort) (*dialogue, error) {
	ctx, cancel := context.WithTimeout(whole, tryTime)
	defer cancel()
	c, err := n.Dial(ctx, to)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := c.SetDeadline(deadline); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	defer context.AfterFunc(whole, func() { c.Close() })() // who cancels does not wait
	d := &dialogue{Conn: textproto.NewConn(c)}
	if _, d.greeting, err = d.ReadResponse(220); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *dialogue) say(expect int, format string, args ...any) (code int, text string, err error) {
	if err := d.PrintfLine(format, args...); err != nil {
		return 0, "", err
	}
	return d.ReadResponse(expect)
}

func (d *dialogue) close() {
	d.PrintfLine("QUIT") // whether that arrives matters to nobody
	d.Close()
}

// A Mirror knows what is said to our own listeners.
type Mirror interface {
	// Expect gives a name to say EHLO with, and a function that reports
	// whether one of our listeners has heard it, and forgets it.
	Expect() (name string, heard func() bool)
}

// Ourselves checks that whoever is answered at one of our public addresses is
// us, and that we relay nothing there for strangers.
func (n Net) Ourselves(ctx context.Context, m Mirror, at netip.Addr) []dnscheck.Finding {
	f := dnscheck.Finding{Check: "incoming_port", Subject: at.String(), Verdict: dnscheck.OK, Wanted: fmt.Sprintf("this server at port %d", n.Port), Found: "it answers"}
	d, err := n.dial(ctx, netip.AddrPortFrom(at, n.Port))
	if err != nil {
		f.Verdict, f.Found = dnscheck.Warn, "no way there from this machine: "+err.Error()
		f.Fix = fmt.Sprintf("Some routers do not let a machine call its own public address: try from elsewhere,\nnc -v %s %d\nIf that fails too, open port %d in the firewall and in your provider's panel, and forward it here.", at, n.Port, n.Port)
		return []dnscheck.Finding{f}
	}
	defer d.close()
	name, heard := m.Expect()
	_, _, err = d.say(250, "EHLO %s", name)
	switch ours := heard(); {
	case ours:
		return []dnscheck.Finding{f, n.relay(d, at)}
	case err != nil:
		f.Found = "somebody greets with " + d.greeting + ", and then: " + err.Error()
	default:
		f.Found = "another server answers: " + d.greeting
	}
	f.Verdict = dnscheck.Fail
	f.Fix = fmt.Sprintf("Bounces go to that server. On this machine, see who has port %d:\nss -ltnp 'sport = :%d'\nElse let the address or the MX record point here.", n.Port, n.Port)
	return []dnscheck.Finding{f}
}

// relay tries to send mail through us to a stranger.
func (n Net) relay(d *dialogue, at netip.Addr) dnscheck.Finding {
	f := dnscheck.Finding{Check: "open_relay", Subject: at.String(), Verdict: dnscheck.OK, Wanted: "no mail of strangers for strangers"}
	if _, _, err := d.say(250, "MAIL FROM:<check@%s>", n.Name); err != nil {
		f.Verdict, f.Found = dnscheck.Skipped, "it takes no mail now: "+err.Error()
		return f
	}
	code, text, err := d.say(550, "RCPT TO:<nobody@relay-test.example>")
	switch {
	case code/100 == 5:
		f.Found = "it is refused"
	case code/100 == 2:
		f.Verdict, f.Found, f.Fix = dnscheck.Fail, "a stranger's mail is taken", "Stop the server (systemctl stop homing), and look which [[route]] or [[application]] allows this: no \"*@*\", no network that the world is in."
	default:
		f.Verdict, f.Found = dnscheck.Skipped, fmt.Sprint(cmp.Or(err, errors.New(text)))
	}
	return f
}
