package integration

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"homing/integration/harness"
)

// monotonic is the clock that systemd compares with, in microseconds.
func monotonic(t *testing.T) int64 {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		t.Fatal(err)
	}
	return now.Nano() / 1000
}

func TestTheServiceManagerIsToldOfEverything(t *testing.T) {
	t.Parallel()
	manager := harness.NewServiceManager(t)
	s := settings{Env: []string{"NOTIFY_SOCKET=" + manager.Socket, "WATCHDOG_USEC=400000"}}
	st := newStage(t, s)
	ready := manager.Hear()
	if ready["READY"] != "1" || ready["STATUS"] != "0 recipients wait" {
		t.Errorf("first it hears %v, want READY=1", ready)
	}
	manager.Await("WATCHDOG", "1")
	manager.Await("WATCHDOG", "1")

	reload := func(name, status string) {
		t.Run(name, func(t *testing.T) {
			before := monotonic(t)
			st.Signal(syscall.SIGHUP)
			heard := manager.Await("RELOADING", "1")
			at, err := strconv.ParseInt(heard["MONOTONIC_USEC"], 10, 64)
			if now := monotonic(t); err != nil || at < before || at > now {
				t.Errorf("it began at %d (%v), want between %d and %d", at, err, before, now)
			}
			if heard := manager.Await("READY", "1"); heard["STATUS"] != status {
				t.Errorf("after it the status is %q, want %q", heard["STATUS"], status)
			}
		})
	}
	reload("a reload", "0 recipients wait")
	st.Write("homing.toml", "hostname = 7\n")
	reload("a reload of a file with a mistake", "0 recipients wait; the configuration file has mistakes and is not in force: the log names them")
	st.Reconfigure(s)
	reload("a reload of a file without", "0 recipients wait")

	st.Stop()
	if heard := manager.Await("STOPPING", "1"); !strings.HasPrefix(heard["STATUS"], "stopping") {
		t.Errorf("at the end it hears %v", heard)
	}
}

// handed opens a listener as systemd would, and gives it with its file.
func handed(t *testing.T, address string) *os.File {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestListenersAreHandedOverAndOutliveTheServer(t *testing.T) {
	t.Parallel()
	st := newStage(t, settings{})
	st.Stop()
	elsewhere := st.At(2599)
	st.HandOver([]string{"homing.socket", "submission"}, handed(t, st.MX), handed(t, elsewhere))
	st.Begin()
	dialSMTP(t, st.MX).must("EHLO client.test", "250")
	dialSMTP(t, elsewhere).must("EHLO client.test", "250")
	if c, err := net.Dial("tcp", st.Submission); err == nil {
		c.Close()
		t.Error("the address of submission is open as well as what was handed over for it")
	}
	if text := st.Run("status"); !strings.Contains(text, elsewhere) {
		t.Errorf("the status does not name %s:\n%s", elsewhere, text)
	}

	st.Stop()
	waits, err := net.Dial("tcp", st.MX) // nobody is there to take it yet
	if err != nil {
		t.Fatalf("while the server is away nothing can connect: %v", err)
	}
	defer waits.Close()
	st.Begin()
	greeting := make([]byte, 4)
	if err := waits.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := waits.Read(greeting); err != nil || string(greeting) != "220 " {
		t.Errorf("who connected meanwhile hears %q, %v", greeting, err)
	}
}

func TestWhatIsHandedOverInVainEndsTheServer(t *testing.T) {
	t.Parallel()
	st := newStage(t, settings{})
	st.Stop()
	st.HandOver([]string{"https"}, handed(t, st.At(2443)))
	st.Launch()
	if err := st.AwaitEnd(20 * time.Second); err == nil {
		t.Error("it ended well")
	}
	if want := "hands over " + st.At(2443) + " as https, and listen.https has no address for it"; !strings.Contains(st.Log(), want) {
		t.Errorf("the log does not say %q", want)
	}
	st.HandOver(nil)
	st.Begin() // so that it can be stopped
}

// TestTheUnitsAreRight lets systemd read them, with a program that is there.
func TestTheUnitsAreRight(t *testing.T) {
	t.Parallel()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("there is no systemd-analyze here")
	}
	dir := t.TempDir()
	var units []string
	for _, name := range []string{"homing.service", "homing.socket"} {
		text, err := os.ReadFile(filepath.Join("../packaging", name))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(text), "/usr/local/bin/homing", "/bin/true")), 0o644); err != nil {
			t.Fatal(err)
		}
		units = append(units, path)
	}
	out, err := exec.Command(analyze, append([]string{"verify", "--man=no"}, units...)...).CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, dir) {
			t.Errorf("%s", line)
		}
	}
}
