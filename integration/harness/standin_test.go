package harness

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// standInVariable makes the test binary a server that only knows how to be
// ready: the harness is tested with it. Its value is an address and a manner.
const standInVariable = "HOMING_STAND_IN"

func TestMain(m *testing.M) {
	if address := os.Getenv(standInVariable); address != "" {
		os.Exit(standIn(address))
	}
	os.Exit(Main(m))
}

// standIn is what the test binary does then.
func standIn(how string) int {
	address, manner, _ := strings.Cut(how, " ")
	if manner == "broken" {
		fmt.Println("the stand-in is broken")
		return 3
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	fmt.Println("the stand-in begins")
	failed := make(chan error, 1)
	go func() {
		failed <- http.ListenAndServe(address, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	}()
	select {
	case err := <-failed:
		fmt.Println(err)
		return 1
	case <-term:
		fmt.Println("the stand-in ends")
		return map[string]int{"": 0, "clumsy": 4}[manner]
	}
}

// A witness is a testing.TB that writes down what it is told.
type witness struct {
	testing.TB
	said   []string
	failed bool
}

func (w *witness) Helper()      {}
func (w *witness) Failed() bool { return w.failed }
func (w *witness) Logf(format string, args ...any) {
	w.said = append(w.said, fmt.Sprintf(format, args...))
}
func (w *witness) Errorf(format string, args ...any) {
	w.failed = true
	w.Logf(format, args...)
}

func (w *witness) Fatalf(format string, args ...any) {
	w.Errorf(format, args...)
	runtime.Goexit()
}

// judge runs f, which Fatalf may end, to its end.
func (w *witness) judge(f func()) {
	var done sync.WaitGroup
	done.Go(f)
	done.Wait()
}

// newStandIn gives a process that has not begun.
func newStandIn(t *testing.T, tb testing.TB, manner string) *Process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	socket.Close() // its port is free now
	at := socket.Addr().String()
	return &Process{t: tb, path: self, env: []string{standInVariable + "=" + at + " " + manner},
		ready: "http://" + at + "/readyz", log: filepath.Join(t.TempDir(), "log")}
}

func TestAProcessIsStartedKilledAndStartedAgain(t *testing.T) {
	p := newStandIn(t, t, "")
	p.begin()
	if !p.running() {
		t.Fatal("it does not run after begin")
	}
	p.Kill()
	if p.running() {
		t.Fatal("it runs after Kill")
	}
	p.Restart()
	p.Restart()
	p.Stop()
	p.end()
	if got, want := strings.Fields(strings.ReplaceAll(p.Log(), "the stand-in ", "")), "begins begins ends begins ends"; strings.Join(got, " ") != want {
		t.Errorf("log %q, want %q", got, want)
	}
}

func TestAProcessThatMisbehavesFailsItsTest(t *testing.T) {
	tests := []struct{ name, manner, want string }{
		{"it ends before it is ready", "broken", "ended before it was ready: exit status 3"},
		{"it ends with an error", "clumsy", "after SIGTERM: exit status 4"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := &witness{TB: t}
			p := newStandIn(t, w, tt.manner)
			w.judge(func() { p.begin() })
			p.end()
			all := strings.Join(w.said, "\n")
			if !w.failed || !strings.Contains(all, tt.want) || !strings.Contains(all, "the stand-in ") {
				t.Errorf("said %q, want %q and the log", all, tt.want)
			}
		})
	}
}

func TestTheBinarySaysItsVersion(t *testing.T) {
	stdout, stderr, code := Command(t, "", "version")
	if !strings.HasPrefix(stdout, "homing "+Version) || stderr != "" || code != 0 {
		t.Errorf("homing version = %q, %q, %d, want homing %s and 0", stdout, stderr, code, Version)
	}
}
