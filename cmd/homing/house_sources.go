package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"homing/config"
	"homing/dnscheck"
	"homing/hold"
	"homing/server"
	"homing/server/selfcheck"
	"homing/server/source"
	"homing/store"
)

// sources are the folders at other servers that are watched.
type sources struct {
	metrics *source.Metrics
	again   chan struct{} // the configuration has changed

	mu      sync.Mutex
	running []*watched
}

// A watched folder has a goroutine of its own.
type watched struct {
	c     config.Source
	maxIn config.Size
	*source.Source
	stop func() // returns when it has ended
}

func newSources(m *source.Metrics) *sources {
	return &sources{metrics: m, again: make(chan struct{}, 1)}
}

// use has the sources of what is in force now watched.
func (s *sources) use() {
	select {
	case s.again <- struct{}{}:
	default: // it is there already
	}
}

// inForce are the folders that are watched now.
func (s *sources) inForce() []*watched {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.running)
}

// watchFolders watches the folders of the configuration until ctx ends.
func (h *house) watchFolders(ctx context.Context) error {
	for {
		h.watch(ctx, h.live.Load())
		select {
		case <-ctx.Done():
			h.watch(ctx, &config.Config{})
			return nil
		case <-h.sources.again:
		}
	}
}

// watch ends what is not in the configuration, or is there otherwise, and
// begins what is new.
func (h *house) watch(ctx context.Context, cfg *config.Config) {
	s := h.sources
	wanted := slices.Clone(cfg.Sources)
	var stays []*watched
	for _, w := range s.inForce() {
		i := slices.IndexFunc(wanted, func(c config.Source) bool { return w.maxIn == cfg.Limits.MessageIn && reflect.DeepEqual(c, w.c) })
		if i < 0 {
			w.stop()
			s.metrics.Vanish(w.Name())
			continue
		}
		wanted = slices.Delete(wanted, i, i+1)
		stays = append(stays, w)
	}
	for _, c := range wanted {
		stays = append(stays, h.begin(ctx, c, cfg.Limits.MessageIn))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = stays
}

// begin begins to watch a folder.
func (h *house) begin(ctx context.Context, c config.Source, maxIn config.Size) *watched {
	w := &watched{c: c, maxIn: maxIn, Source: source.New(source.Config{
		Name: sourceName(c), Address: c.Address.Address, Security: source.Security(c.TLS), Username: c.Username, Password: c.Password.Reveal(),
		Folder: c.Folder, Done: c.MovedTo, Ignored: c.Ignored(), MaxSize: int64(maxIn),
		Taker: fetcher{h.server.LMTP, h.store, sourceRoute(c), sourceSpace(c)}, Log: h.log, Metrics: h.sources.metrics,
	})}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = w.Run(ctx) // it ends with ctx alone
	}()
	w.stop = func() {
		cancel()
		<-done
	}
	return w
}

// sourceName is what a source is called in logs, metrics and checks.
func sourceName(c config.Source) string { return c.Username + "/" + c.Folder }

// sourceSpace is where is noted what was taken out of a folder.
func sourceSpace(c config.Source) string {
	return "source " + strings.Join([]string{c.Address.Address, c.Username, c.Folder}, " ")
}

// sourceRoute is what mail of a source is taken for. Facts name the mailbox as
// the address that it came to.
func sourceRoute(c config.Source) server.Route {
	local, domain := c.Username, c.Address.Host()
	if at := strings.LastIndexByte(c.Username, '@'); at >= 0 {
		local, domain = c.Username[:at], c.Username[at+1:]
	}
	return server.Route{Local: strings.ToLower(local), Domain: hold.CanonicalDomain(domain), As: server.RouteUse(c.As), From: c.From, To: c.To,
		ByHand: c.As == config.AsActivity && !strings.EqualFold(c.Folder, inbox)}
}

// inbox is the folder that anybody can send mail to (RFC 9051 section 5.1).
const inbox = "INBOX"

// fetcher takes the mail of one source.
type fetcher struct {
	inbound *server.Inbound
	notes   store.Notes
	route   server.Route
	space   string
}

// Take implements source.Taker.
func (f fetcher) Take(ctx context.Context, name string, r io.Reader) error {
	return f.inbound.Fetch(ctx, server.Fetched{Route: f.route, Space: f.space, Name: name}, r)
}

// Taken implements source.Taker.
func (f fetcher) Taken(ctx context.Context) (names []string, err error) {
	notes, err := f.notes.Notes(ctx, f.space)
	for name := range notes {
		names = append(names, name)
	}
	return names, err
}

// Forget implements source.Taker.
func (f fetcher) Forget(ctx context.Context, names ...string) error {
	values := map[string][]byte{}
	for _, name := range names {
		values[name] = nil
	}
	return store.NoteAll(ctx, f.notes, f.space, values)
}

// sourceChecks say how the folders stand.
func (h *house) sourceChecks() (all []selfcheck.Check) {
	for _, w := range h.sources.inForce() {
		all = append(all, one("source "+w.Name(), func(context.Context) dnscheck.Finding { return sourceFinding(w.c, w.Status(), time.Now()) }))
	}
	return all
}

// sourceGrace is how long a folder may fail before that is said: connections
// are lost, and come back.
const sourceGrace = 10 * time.Minute

// sourceFinding judges how a folder stands.
func sourceFinding(c config.Source, st source.Status, now time.Time) dnscheck.Finding {
	f := dnscheck.Finding{Check: "source", Subject: sourceName(c), Verdict: dnscheck.OK, Wanted: fmt.Sprintf("the folder %s at %s, watched", c.Folder, c.Address)}
	if st.Failure == nil {
		f.Found = "it is watched"
		if st.Connected.IsZero() {
			f.Verdict, f.Found = dnscheck.Skipped, "it is being connected to"
		} else if st.Polled {
			f.Found = "it is looked at every minute, because the server does not offer IDLE"
		}
		if !st.Last.IsZero() {
			f.Found += "; the last mail came " + st.Last.Format("2006-01-02 15:04")
		}
		return f
	}
	f.Found = fmt.Sprintf("since %s: %s", st.Since.Format("2006-01-02 15:04"), st.Failure.Err)
	if st.Waiting > 0 {
		f.Found += fmt.Sprintf("; mails that stay there for now: %d", st.Waiting)
	}
	f.Verdict, f.Fix = dnscheck.Fail, sourceFix(c, st.Failure.Step)
	passing := st.Failure.Step == source.Connecting || st.Failure.Step == source.Watching || st.Failure.Step == source.Taking
	if passing && now.Sub(st.Since) < sourceGrace {
		f.Verdict = dnscheck.Warn
	}
	return f
}

// sourceFix says what to do, by the step that failed.
func sourceFix(c config.Source, step source.Step) string {
	host, port, _ := net.SplitHostPort(c.Address.Address)
	const kept = " The mail stays in its folder meanwhile, and is taken once this works."
	switch step {
	case source.LoggingIn:
		return fmt.Sprintf("Write the password of %s at %s into %s, then `systemctl reload homing`. Many providers want a password for apps there (Google: Google Account, Security, App passwords), and IMAP "+
			"switched on in the settings of the mailbox. Microsoft 365 takes no passwords any more: have such mail forwarded to a [[route]] instead.%s", c.Username, host, c.PasswordFile, kept)
	case source.Opening:
		return fmt.Sprintf("Make a folder %q in the mailbox of %s with a mail program, or correct folder in [[source]], and moved_to if it is about that one.%s", c.Folder, c.Username, kept)
	case source.Moving:
		return fmt.Sprintf("The mail is taken and only cannot be moved to %s. Look with a mail program whether that folder is there, may be written to, and has room.", c.MovedTo)
	case source.Taking:
		return "It is the server itself that cannot take mail now; look at its other findings, and at the log (journalctl -u homing)." + kept
	}
	return fmt.Sprintf("Look whether %s answers at port %s: `openssl s_client -connect %s`. If address or tls is wrong, correct it in [[source]] and run `systemctl reload homing`.%s", host, port, c.Address, kept)
}
