// Package systemd tells the service manager how the server is, and takes the
// listeners that it hands over. Without systemd it does nothing.
package systemd

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// A Notifier tells the service manager what the server does (sd_notify(3)).
// The nil Notifier tells nobody. Its methods may be called from many
// goroutines.
type Notifier struct {
	send     func(state string) error
	watchdog time.Duration // the service manager wants a sign within it; 0: it wants none
	log      *slog.Logger

	mu     sync.Mutex
	status string // as it was told last
	ends   bool   // Stopping was told: nothing of a beginning may follow
}

// NewNotifier makes a Notifier for the service manager that the environment
// names; nil: there is none.
func NewNotifier(log *slog.Logger) (*Notifier, error) {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return nil, nil
	}
	wanted, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return nil, fmt.Errorf("reading what the service manager wants: %w", err)
	}
	send := func(state string) error {
		_, err := daemon.SdNotify(false, state)
		return err
	}
	return &Notifier{send: send, watchdog: wanted, log: log}, nil
}

// tell sends lines as one message with the status; a status alone only if it is
// new.
func (n *Notifier) tell(status string, lines ...string) {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ends {
		return
	}
	// A status is one line.
	if status = strings.Join(strings.Fields(status), " "); status != "" && (len(lines) > 0 || status != n.status) {
		n.status = status
		lines = append(lines, "STATUS="+status)
	}
	n.deliver(lines)
}

// deliver sends lines. n.mu is held.
func (n *Notifier) deliver(lines []string) {
	if len(lines) == 0 {
		return
	}
	if err := n.send(strings.Join(lines, "\n")); err != nil {
		n.log.Warn("the service manager could not be told", "err", err)
	}
}

// Ready tells that everything listens, or that a reload is over, with a status
// in a few words.
func (n *Notifier) Ready(status string) { n.tell(status, daemon.SdNotifyReady) }

// Reloading tells that the configuration is being read again. Ready must
// follow, whatever comes of it.
func (n *Notifier) Reloading() {
	n.tell("reading the configuration again", daemon.SdNotifyReloading, strings.TrimSpace(daemon.SdNotifyMonotonicUsec()))
}

// Stopping tells that the end has begun. Of what is told later only signs of
// life count.
func (n *Notifier) Stopping(status string) {
	n.tell(status, daemon.SdNotifyStopping)
	if n != nil {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.ends = true
	}
}

// statusTime is how often the status is looked at where no sign of life is
// wanted.
const statusTime = 30 * time.Second

// Watch tells the status when it has changed and, at half of the interval that
// the service manager wants, a sign of life: only when alive has returned nil.
// An alive that does not return is asked no second time. It ends with ctx, and
// not before alive has returned.
func (n *Notifier) Watch(ctx context.Context, alive func(context.Context) error, status func() string) error {
	if n == nil {
		<-ctx.Done()
		return nil
	}
	every := statusTime
	if n.watchdog > 0 {
		every = n.watchdog / 2
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var asking sync.WaitGroup
	defer asking.Wait()
	answers, waiting := make(chan error, 1), false
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-answers:
			waiting = false
			n.signOfLife(err)
			n.tell(status())
		case <-tick.C:
			if waiting {
				n.log.Error("a part of the server does not answer, so the service manager gets no sign of life", "took", every)
				continue
			}
			waiting = true
			asking.Go(func() { answers <- alive(ctx) })
		}
	}
}

func (n *Notifier) signOfLife(err error) {
	switch {
	case err != nil:
		n.log.Error("the server is not well, so the service manager gets no sign of life", "err", err)
	case n.watchdog > 0:
		n.mu.Lock()
		defer n.mu.Unlock()
		n.deliver([]string{daemon.SdNotifyWatchdog})
	}
}
