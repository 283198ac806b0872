package config

import (
	"time"

	"homing/internal/spool"
)

// DefaultDataDir is where the state is when the file does not say.
const DefaultDataDir = "/var/lib/homing"

// DefaultLocal is the socket for local users of a file that does not say, and
// where those look who may not read it.
const DefaultLocal = "/run/homing/submit.sock"

// ControlSocket is the name of the Unix socket in data_dir over which commands
// speak to the running server.
const ControlSocket = "control.sock"

// DefaultSink is the name of the sink that a domain has when it names none: a
// report by mail (RFC 3464) to the application's own envelope sender.
const DefaultSink = "dsn"

// acmeDirectory is the authority that is asked for certificates.
const acmeDirectory = "https://acme-v02.api.letsencrypt.org/directory"

// start is the Config before the file is read.
func start() *Config {
	return &Config{
		DataDir: DefaultDataDir, SpoolDir: spool.DefaultDir,
		Mode:   Deliver,
		Listen: everywhere(),
		TLS:    TLS{MTASTS: MTASTSTesting},
		Hold: Hold{Thresholds: map[string]int{
			"Dns": 3, "Host": 3, "Loop": 3, "Quota": 3, "Relay": 3, "Syntax": 3,
		}},
		Delivery: Delivery{
			Port:     25,
			Lifetime: 5 * day,
			Warmup:   WarmupOff,
			Breaker:  BreakerAuto,
			Retry:    []time.Duration{5 * time.Minute, 15 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour},
			Window:   4,

			TLSReports: true,
		},
		Check:  Check{Interval: time.Hour},
		Notify: Notify{Digest: Weekly},
		Limits: Limits{
			DiskReserve:           Reserve{Percent: 5},
			MessageOut:            25 << 20,
			MessageIn:             10 << 20,
			Recipients:            1000,
			ConnectionsPerAddress: 30,
			AuthFailuresPerMinute: 10,
		},
		Retention: Retention{Events: 90 * day, Bounces: 30 * day, Captured: 30 * day, Index: 30 * day},
		Log:       Log{Format: LogAuto, Addresses: LogFull},
		Store:     Store{Engine: Embedded},
	}
}

// everywhere is what a file without [listen] means. In a [listen] that is
// there, what is left out is off.
func everywhere() Listen {
	return Listen{
		SMTP:       []Address{{"tcp", ":25"}},
		Submission: []Address{{"tcp", "127.0.0.1:587"}},
		Local:      Address{"unix", DefaultLocal},
		HTTP:       []Address{{"tcp", "127.0.0.1:8025"}},
	}
}

// fill gives the elements of lists what they leave out. What was written
// wrongly stays zero here, but is an error by then.
func (c *Config) fill() {
	if a := c.TLS.ACME; a != nil {
		or(&a.Listen, Address{"tcp", ":80"})
		or(&a.Directory, acmeDirectory)
	}
	for i := range c.Domains {
		d := &c.Domains[i]
		or(&d.Separator, "+")
		or(&d.VERP, Sign)
		or(&d.ListUnsubscribe, UnsubscribeAuto)
		if len(d.Sinks) == 0 {
			d.Sinks = []string{DefaultSink}
			if c.Sink(DefaultSink) == nil {
				c.Sinks = append(c.Sinks, Sink{Name: DefaultSink, Type: SinkDSN})
			}
		}
	}
	for i := range c.Applications {
		a := &c.Applications[i]
		or(&a.Kind, Generic)
		or(&a.Mode, Deliver)
		or(&a.Held, Suppress)
		or(&a.Replies, RepliesTell)
		if a.Kind == CiviCRM {
			or(&a.VERPSeparator, ".")
		}
	}
	for i := range c.Sinks {
		if s := &c.Sinks[i]; s.Type == SinkMaildir {
			or(&s.Keep, 30*day)
			or(&s.MaxMessages, 50_000)
		}
	}
	for s := range c.smarthosts() {
		or(&s.TLS, TLSRequire)
	}
	for i := range c.Sources {
		s := &c.Sources[i]
		or(&s.Folder, "INBOX")
		or(&s.TLS, SourceImplicit)
		or(&s.MovedTo, s.Folder+".processed")
	}
}

func or[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
