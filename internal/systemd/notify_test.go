package systemd

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A manager hears what a Notifier tells, with the time since the start.
type manager struct {
	*Notifier
	heard []string
	log   bytes.Buffer
	fails error
}

func newManager(watchdog time.Duration) *manager {
	m := &manager{}
	began := time.Now()
	m.Notifier = &Notifier{watchdog: watchdog, log: slog.New(slog.NewTextHandler(&m.log, nil)), send: func(state string) error {
		state = regexp.MustCompile(`MONOTONIC_USEC=\d+`).ReplaceAllString(state, "MONOTONIC_USEC=N")
		m.heard = append(m.heard, time.Since(began).String()+" "+strings.ReplaceAll(state, "\n", " "))
		return m.fails
	}}
	return m
}

func (m *manager) wants(t *testing.T, heard ...string) {
	t.Helper()
	if !slices.Equal(m.heard, heard) {
		t.Errorf("heard\n%s\nwant\n%s", strings.Join(m.heard, "\n"), strings.Join(heard, "\n"))
	}
}

// watch runs Watch for a time.
func (m *manager) watch(t *testing.T, d time.Duration, alive func(context.Context) error, status func() string) {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if err := m.Watch(ctx, alive, status); err != nil {
		t.Error(err)
	}
}

func TestALifeAsItIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(0)
		m.Ready("2 recipients wait")
		m.Reloading()
		m.Ready("2 recipients wait")
		m.Reloading()
		m.Ready("two\nlines,\tand a tab")
		m.Stopping("stopping")
		m.Ready("a reload that ends late")
		m.Reloading()
		m.wants(t, "0s READY=1 STATUS=2 recipients wait",
			"0s RELOADING=1 MONOTONIC_USEC=N STATUS=reading the configuration again",
			"0s READY=1 STATUS=2 recipients wait",
			"0s RELOADING=1 MONOTONIC_USEC=N STATUS=reading the configuration again",
			"0s READY=1 STATUS=two lines, and a tab",
			"0s STOPPING=1 STATUS=stopping")
	})
}

func TestASignOfLifeComesTwiceInTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(time.Minute)
		m.watch(t, 100*time.Second, func(context.Context) error { return nil }, func() string { return "well" })
		m.wants(t, "30s WATCHDOG=1", "30s STATUS=well", "1m0s WATCHDOG=1", "1m30s WATCHDOG=1")
	})
}

func TestWithoutAWatchdogOnlyTheStatusIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, waiting := newManager(0), 0
		m.watch(t, 2*time.Minute, func(context.Context) error { return nil }, func() string {
			waiting++
			return []string{"", "a", "a", "b", "b"}[waiting]
		})
		m.wants(t, "30s STATUS=a", "1m30s STATUS=b")
	})
}

func TestWhatHangsOrIsIllGivesNoSignOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(time.Minute)
		var asked atomic.Int64
		goOn := make(chan struct{})
		alive := func(context.Context) error {
			switch asked.Add(1) {
			case 2:
				<-goOn
			case 4:
				return errors.New("the disk failed")
			}
			return nil
		}
		done := make(chan struct{})
		ctx, stop := context.WithCancel(t.Context())
		go func() { defer close(done); m.Watch(ctx, alive, func() string { return "" }) }()
		<-time.After(160 * time.Second) // asked at 30 s and 60 s, and then no more
		if got := asked.Load(); got != 2 {
			t.Errorf("asked %d times, want twice while the second does not answer", got)
		}
		close(goOn)
		<-time.After(90 * time.Second) // asked at 180 s, 210 s and 240 s
		stop()
		<-done
		m.wants(t, "30s WATCHDOG=1", "2m40s WATCHDOG=1", "3m0s WATCHDOG=1", "4m0s WATCHDOG=1")
		for _, want := range []string{"does not answer", "the disk failed"} {
			if !strings.Contains(m.log.String(), want) {
				t.Errorf("the log has no %q:\n%s", want, &m.log)
			}
		}
	})
}

func TestSignsOfLifeGoOnWhileTheServerStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(time.Minute)
		m.Stopping("stopping")
		m.watch(t, 40*time.Second, func(context.Context) error { return nil }, func() string { return "well" })
		m.wants(t, "0s STOPPING=1 STATUS=stopping", "30s WATCHDOG=1")
	})
}

func TestAServiceManagerThatIsGoneIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager(0)
		m.fails = errors.New("no such socket")
		m.Ready("")
		if !strings.Contains(m.log.String(), "no such socket") {
			t.Errorf("log: %s", &m.log)
		}
	})
}

func TestWithoutAServiceManagerNobodyIsTold(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	n, err := NewNotifier(slog.Default())
	if n != nil || err != nil {
		t.Fatalf("NewNotifier = %v, %v", n, err)
	}
	n.Ready("")
	n.Reloading()
	n.Stopping("")
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := n.Watch(ctx, nil, nil); err != nil {
		t.Error(err)
	}
}

func TestTheServiceManagerIsFoundByTheEnvironment(t *testing.T) {
	dir, err := os.MkdirTemp("", "sd") // t.TempDir can be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "notify")
	socket, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "180000000")
	t.Setenv("WATCHDOG_PID", "")
	n, err := NewNotifier(slog.Default())
	if err != nil || n.watchdog != 3*time.Minute {
		t.Fatalf("NewNotifier = %+v, %v", n, err)
	}
	n.Ready("well")
	buf := make([]byte, 1000)
	size, _, err := socket.ReadFrom(buf)
	if err != nil || string(buf[:size]) != "READY=1\nSTATUS=well" {
		t.Errorf("heard %q, %v", buf[:size], err)
	}
	t.Setenv("WATCHDOG_USEC", "soon")
	if _, err := NewNotifier(slog.Default()); err == nil {
		t.Error("a watchdog that is no number is no error")
	}
}
