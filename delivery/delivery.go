// Package delivery takes due mail to the next hop: it resolves the domain,
// opens or reuses a connection, secures it, sends, and says how each attempt
// ended. Mail for ourselves is handed to the inbound side directly.
package delivery

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"homing/delivery/mtasts"
	"homing/internal/dnsx"
	"homing/internal/message"
	"homing/internal/smtpclient"
	"homing/queue"
	"homing/store"
)

// A Queue gives what is due and takes what became of it. *queue.Queue is one.
type Queue interface {
	Next(ctx context.Context) (*queue.Job, error)
	Locate(j *queue.Job, hosts []queue.Host) (may int)
	More(ctx context.Context, j *queue.Job) ([]queue.Item, error)
	// Wanted is asked before an item is begun. One that is not wanted any
	// more gets no Done.
	Wanted(it queue.Item) bool
	Done(ctx context.Context, it queue.Item, r queue.Result) error
	Finish(j *queue.Job)
	OpenBody(ctx context.Context, it queue.Item) (message.Body, error)
}

// A Resolver answers the questions of mail routing. Every dnsx.Resolver is
// one; the errors are those of dnsx.
type Resolver interface {
	MX(ctx context.Context, name string) ([]dnsx.MX, error)
	Addrs(ctx context.Context, name string) ([]netip.Addr, error)
	TLSA(ctx context.Context, name string) ([]dnsx.TLSA, error)
	Bases(ctx context.Context, host string) ([]string, error)
}

// An STS gives the MTA-STS policy that holds for a domain. *mtasts.Cache is
// one.
type STS interface {
	Find(ctx context.Context, domain string) mtasts.Found
}

// A Dialer opens a TCP connection. The zero source lets the kernel choose.
type Dialer func(ctx context.Context, source netip.Addr, to netip.AddrPort) (net.Conn, error)

// Options are what an operator may change while the server runs. Jobs that
// have begun keep the ones they began with.
type Options struct {
	Hostname string // what we call ourselves in EHLO
	Port     uint16 // of the MXs; 0: 25

	// Sources are the addresses we send from. The queue says for each job
	// which (see Pairs). None: the kernel chooses. Hosts of an address
	// family without a source are left out.
	Sources []netip.Addr

	// AllowNetworks lists networks to which mail may go although their
	// addresses are not public.
	AllowNetworks []netip.Prefix

	// OwnAddresses and OwnPort are where our own MX listens. A host there,
	// or with our Hostname, is ourselves: mail for it would loop.
	OwnAddresses []netip.Addr
	OwnPort      uint16 // 0: we are nobody's MX

	// WindowSites are domains at which transactions go out whole, Window of
	// them in flight on one connection: where the recipient's domain or the
	// MX, or else the smarthost, is one of them or below one.
	WindowSites []string
	Window      int

	Reports    Reports               // are told how TLS with mail hosts went; nil: nobody
	Smarthosts map[string]*Smarthost // by queue.Job.Via
	Timeouts   Timeouts

	trial bool // no mail, and counted as none
}

// Timeouts are how long a delivery waits. A field that is zero has its
// default.
type Timeouts struct {
	smtpclient.Timeouts
	Connect time.Duration // 30 s
	Idle    time.Duration // how long an open connection waits for more mail; 3 s
}

func (o Options) withDefaults() Options {
	if o.Port == 0 {
		o.Port = 25
	}
	if o.Timeouts.Connect == 0 {
		o.Timeouts.Connect = 30 * time.Second
	}
	if o.Timeouts.Idle == 0 {
		o.Timeouts.Idle = 3 * time.Second
	}
	return o
}

// Config is what a Delivery is made of.
type Config struct {
	Queue    Queue
	Resolver Resolver
	STS      STS         // nil: no domain has a policy
	Local    Local       // nil: no mail is for ourselves
	Notes    store.Notes // nil: what was learnt of listed sites ends with the process
	Log      *slog.Logger
	Metrics  *Metrics       // nil: not counted anywhere
	Dial     Dialer         // nil: the network
	Roots    *x509.CertPool // whom certificates must come from; nil: the system's
	Grace    time.Duration  // for transactions in flight at shutdown; 0: 20 s
	Options  Options
}

// commitGrace is how long after the last transaction its outcome may take to
// become durable.
const commitGrace = 5 * time.Second

// A Delivery sends what a Queue gives. SetOptions may be called from any
// goroutine; Run once.
type Delivery struct {
	Config
	options  atomic.Pointer[Options]
	pool     *pool
	health   health
	sessions tls.ClientSessionCache

	settlings chan struct{} // has room for outcomes on their way to the disk
}

// New makes a Delivery. Nothing is sent before Run.
func New(c Config) *Delivery {
	d := &Delivery{Config: c, sessions: tls.NewLRUClientSessionCache(1000), settlings: make(chan struct{}, maxSettlingAll)}
	if d.Metrics == nil {
		d.Metrics = NewMetrics(nil)
	}
	if d.Dial == nil {
		d.Dial = dialTCP
	}
	if d.Grace == 0 {
		d.Grace = 20 * time.Second
	}
	d.pool = newPool()
	d.SetOptions(c.Options)
	return d
}

// SetOptions replaces the options for jobs that have not begun.
func (d *Delivery) SetOptions(o Options) {
	o = o.withDefaults()
	d.options.Store(&o)
}

// Run delivers until ctx ends, then lets the transactions in flight go on for
// Grace and cuts the rest, whose mail is tried again later. It returns nil
// after that, or the error with which the queue failed. No goroutine outlives
// it.
func (d *Delivery) Run(ctx context.Context) error {
	work, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	commit, drop := context.WithCancel(context.WithoutCancel(ctx))
	defer drop()
	defer d.pool.close()
	if err := d.recall(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	var jobs sync.WaitGroup
	defer jobs.Wait()
	for {
		job, err := d.Queue.Next(ctx)
		switch {
		case ctx.Err() != nil:
			if err == nil {
				d.Queue.Finish(job)
			}
			defer time.AfterFunc(d.Grace, cut).Stop()
			defer time.AfterFunc(d.Grace+commitGrace, drop).Stop()
			jobs.Wait()
			return nil
		case err != nil:
			cut()
			drop()
			return err
		}
		jobs.Go(func() { d.do(times{ctx, work, commit}, job) })
	}
}

// times are the three ends of everything: begin is over when nothing new may
// begin, work when nothing may be sent, commit when nothing may be stored.
type times struct{ begin, work, commit context.Context }
