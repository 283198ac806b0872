package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	readyWithin = 30 * time.Second // from start to /readyz
	stopWithin  = 30 * time.Second // from SIGTERM to the end
	runWithin   = 30 * time.Second // for one command
	logShown    = 16 << 10         // octets of the log's end shown when a test fails
)

// scratch is a directory for what all tests share. TestMain removes it.
var scratch = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "homing-test-") })

// binary builds the real binary, once, and gives its path. Under the race
// detector it is built with it too.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := scratch()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "homing")
	args := []string{"build", "-ldflags", "-X main.version=" + testVersion, "-o", path}
	if raceDetector {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, "homing/cmd/homing")...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the binary: %w\n%s", err, out)
	}
	return path, nil
})

// testVersion is what the binary under test says of itself.
const testVersion = "v0.0.0-integration"

func TestMain(m *testing.M) {
	if address := os.Getenv(standInVariable); address != "" {
		os.Exit(standIn(address))
	}
	code := m.Run()
	if dir, err := scratch(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// A process is a server that a test starts, kills and starts again. Its output
// is kept and shown when the test fails.
type process struct {
	t     testing.TB
	path  string
	args  []string
	env   []string
	ready string // a URL that answers 200 once the server is ready
	log   string // path of a file with what all its lives printed

	cmd    *exec.Cmd
	exited chan struct{} // closed when cmd has ended
	err    error         // of cmd.Wait; read it after exited
}

// begin starts the process, waits until it is ready, and says how long that
// took. It fails the test when the process ends before, or takes too long.
func (p *process) begin() time.Duration {
	p.t.Helper()
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer out.Close() // the process has a descriptor of its own
	cmd := exec.Command(p.path, p.args...)
	cmd.Env = append(os.Environ(), p.env...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = dieWithParent()
	began := time.Now()
	if err := cmd.Start(); err != nil {
		p.t.Fatalf("starting %s: %v", p.path, err)
	}
	exited := make(chan struct{})
	p.cmd, p.exited = cmd, exited
	go func() {
		p.err = cmd.Wait()
		close(exited)
	}()
	p.awaitReady(began)
	return time.Since(began)
}

// awaitReady asks for readiness until the answer is yes.
func (p *process) awaitReady(began time.Time) {
	p.t.Helper()
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for answer := "nothing yet"; ; {
		select {
		case <-p.exited:
			p.t.Fatalf("%s ended before it was ready: %v", p.path, p.err)
		case now := <-tick.C:
			if now.Sub(began) > readyWithin {
				p.t.Fatalf("not ready after %s: %s", readyWithin, answer)
			}
		}
		resp, err := client.Get(p.ready)
		if err != nil {
			answer = err.Error()
			continue
		}
		resp.Body.Close()
		if answer = resp.Status; resp.StatusCode == http.StatusOK {
			return
		}
	}
}

// Kill ends the process as a crash does, and waits for that.
func (p *process) Kill() {
	p.t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		p.t.Errorf("killing: %v", err)
	}
	<-p.exited
}

// Stop asks the process to end and fails the test when it does not, or not
// with exit code 0.
func (p *process) Stop() {
	p.t.Helper()
	if err := p.terminate(); err != nil {
		p.t.Errorf("after SIGTERM: %v", err)
	}
}

// errStays says that a process did not end when it was asked to.
var errStays = errors.New("it did not end and was killed")

func (p *process) terminate() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	deadline := time.NewTimer(stopWithin)
	defer deadline.Stop()
	select {
	case <-p.exited:
		return p.err
	case <-deadline.C:
		p.cmd.Process.Kill()
		<-p.exited
		return errStays
	}
}

// Restart stops the process if it runs, starts it again and says how long it
// took to be ready.
func (p *process) Restart() time.Duration {
	p.t.Helper()
	if p.running() {
		p.Stop()
	}
	return p.begin()
}

// Signal sends a signal, such as SIGHUP.
func (p *process) Signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

func (p *process) running() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// Log is everything that the process has printed, in all its lives.
func (p *process) Log() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		p.t.Errorf("reading the log: %v", err)
	}
	return string(b)
}

// end is for the end of the test: it stops what still runs and shows the log
// of a test that failed.
func (p *process) end() {
	if p.running() {
		p.Stop()
	}
	if p.t.Failed() {
		text := p.Log()
		if len(text) > logShown {
			text = "…" + text[len(text)-logShown:]
		}
		p.t.Logf("log of %s:\n%s", filepath.Base(p.path), text)
	}
}

// A homing is the real server with a directory of its own.
type homing struct {
	process
	Dir    string // holds homing.toml; relative paths in it are relative to this
	config string
}

// startHoming writes configText to a new directory, with further files beside
// it, starts `homing serve` and waits until it is ready. http is its HTTP
// listener, "127.1.2.3:8025". The server is stopped at the end of the test.
func startHoming(t testing.TB, http, configText string, files map[string]string) *homing {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	// t.TempDir would be too long for the path of a Unix socket.
	dir, err := os.MkdirTemp("", "homing-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	h := &homing{Dir: dir, config: filepath.Join(dir, "homing.toml")}
	write(t, h.config, configText)
	for name, text := range files {
		write(t, filepath.Join(dir, name), text)
	}
	h.process = process{t: t, path: path, args: []string{"serve", "--config", h.config},
		ready: "http://" + http + "/readyz", log: filepath.Join(dir, "homing.log")}
	t.Cleanup(h.end)
	h.begin()
	return h
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Run runs a command with this server's configuration and gives what it
// printed; it fails the test when the command does.
func (h *homing) Run(args ...string) string {
	h.t.Helper()
	stdout, stderr, code := command(h.t, "", append([]string{"--config", h.config}, args...)...)
	if code != 0 {
		h.t.Fatalf("homing %s: exit code %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout
}

// command runs the binary with stdin and gives what came of it.
func command(t testing.TB, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), runWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("running homing %s: %v\n%s%s", strings.Join(args, " "), err, &out, &errs)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func TestTheBinarySaysItsVersion(t *testing.T) {
	stdout, stderr, code := command(t, "", "version")
	if !strings.HasPrefix(stdout, "homing "+testVersion) || stderr != "" || code != 0 {
		t.Errorf("homing version = %q, %q, %d, want homing %s and 0", stdout, stderr, code, testVersion)
	}
}
