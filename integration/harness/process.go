package harness

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

const (
	readyWithin = 30 * time.Second // from start to /readyz
	stopWithin  = 30 * time.Second // from SIGTERM to the end
	logShown    = 16 << 10         // octets of the log's end shown when a test fails
)

// A Process is a server that a test starts, kills and starts again. Its output
// is kept and shown when the test fails.
type Process struct {
	t     testing.TB
	path  string
	args  []string
	env   []string
	ready string          // a URL that answers 200 once the server is ready
	log   string          // path of a file with what all its lives printed
	hand  func(*exec.Cmd) // changes how it is started; nil: not

	cmd    *exec.Cmd
	exited chan struct{} // closed when cmd has ended
	err    error         // of cmd.Wait; read it after exited
}

// begin starts the process, waits until it is ready, and says how long that
// took. It fails the test when the process ends before, or takes too long.
func (p *Process) begin() time.Duration {
	p.t.Helper()
	began := p.launch()
	p.awaitReady(began)
	return time.Since(began)
}

// launch starts the process, and says when.
func (p *Process) launch() (began time.Time) {
	p.t.Helper()
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer out.Close() // the process has a descriptor of its own
	cmd := exec.Command(p.path, p.args...)
	cmd.Env = append(os.Environ(), p.env...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = DieWithParent()
	if p.hand != nil {
		p.hand(cmd)
	}
	began = time.Now()
	if err := cmd.Start(); err != nil {
		p.t.Fatalf("starting %s: %v", p.path, err)
	}
	exited := make(chan struct{})
	p.cmd, p.exited = cmd, exited
	go func() {
		p.err = cmd.Wait()
		close(exited)
	}()
	return began
}

// awaitReady asks for readiness until the answer is yes.
func (p *Process) awaitReady(began time.Time) {
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
func (p *Process) Kill() {
	p.t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		p.t.Errorf("killing: %v", err)
	}
	<-p.exited
}

// Stop asks the process to end and fails the test when it does not, or not
// with exit code 0.
func (p *Process) Stop() {
	p.t.Helper()
	if err := p.terminate(); err != nil {
		p.t.Errorf("after SIGTERM: %v", err)
	}
}

// errStays says that a process did not end when it was asked to.
var errStays = errors.New("it did not end and was killed")

func (p *Process) terminate() error {
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
func (p *Process) Restart() time.Duration {
	p.t.Helper()
	if p.running() {
		p.Stop()
	}
	return p.begin()
}

// Signal sends a signal, such as SIGHUP.
func (p *Process) Signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

func (p *Process) running() bool {
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

// PID is the number of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// AwaitEnd waits until the process ends by itself, and says how. It fails the
// test when it goes on after d.
func (p *Process) AwaitEnd(d time.Duration) error {
	p.t.Helper()
	if !p.EndsWithin(d) {
		p.t.Fatalf("%s goes on after %s", p.path, d)
	}
	return p.err
}

// EndsWithin waits for the process to end by itself, and says whether it did.
func (p *Process) EndsWithin(d time.Duration) bool {
	deadline := time.NewTimer(d)
	defer deadline.Stop()
	select {
	case <-p.exited:
		return true
	case <-deadline.C:
		return false
	}
}

// Log is everything that the process has printed, in all its lives.
func (p *Process) Log() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		p.t.Errorf("reading the log: %v", err)
	}
	return string(b)
}

// end is for the end of the test: it stops what still runs and shows the log
// of a test that failed.
func (p *Process) end() {
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
