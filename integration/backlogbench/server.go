//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A server is a life of the binary under test.
type server struct {
	cmd   *exec.Cmd
	base  string // URL of its HTTP listener
	log   string
	ready time.Duration // from its start to readiness
}

const settings = `hostname = "mail.bench.test"
data_dir = "data"
[listen]
submission = ["%s"]
http = ["%s"]
[[application]]
name = "bench"
networks = ["127.0.0.0/8"]
domains = ["src.test"]
[[domain]]
name = "src.test"
return_path = "return@bounce.src.test"
[delivery]
source_addresses = ["%s"]
port = %d
allow_networks = ["%s"]
retry = ["%s"]
[dns]
server = "%s"
[limits]
disk_reserve = "64MiB"
`

const (
	submissionPort = 2587
	httpPort       = 8025
)

// start starts the binary in a directory and waits until it is ready.
func (st *stage) start(ctx context.Context, bin, dir string, retry time.Duration) (*server, error) {
	path := filepath.Join(dir, "homing.toml")
	if err := os.WriteFile(path, fmt.Appendf(nil, settings, st.at(submissionPort), st.at(httpPort), st.ServerAddr().Addr(),
		st.Port(), st.Network(), retry, st.DNSAddr()), 0o600); err != nil {
		return nil, err
	}
	s := &server{base: "http://" + st.at(httpPort), log: filepath.Join(dir, "log")}
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s.cmd = exec.CommandContext(ctx, bin, "serve", "--config", path)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	began := time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	err = until(ctx, 10*time.Millisecond, 2*time.Minute, func() (bool, error) {
		resp, err := http.Get(s.base + "/readyz")
		if err != nil {
			return false, nil
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK, nil
	})
	if err != nil {
		s.cmd.Process.Kill()
		s.cmd.Wait()
		said, _ := os.ReadFile(s.log)
		return nil, fmt.Errorf("not ready: %w: %s", err, said[max(0, len(said)-2000):])
	}
	s.ready = time.Since(began)
	return s, nil
}

// stop ends a life in good order.
func (s *server) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return s.cmd.Wait()
}

var errLate = errors.New("it took too long")

// until asks again and again until the answer is yes.
func until(ctx context.Context, every, most time.Duration, yes func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, most, errLate)
	defer cancel()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if ok, err := yes(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// metrics gives the samples of /metrics, by name with labels.
func (s *server) metrics() (map[string]float64, error) {
	resp, err := http.Get(s.base + "/metrics")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	all := map[string]float64{}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if n, err := strconv.ParseFloat(value, 64); ok && err == nil {
			all[name] = n
		}
	}
	return all, lines.Err()
}

// memory is what /proc says of a process, in octets.
type memory struct{ resident, anonymous, peak float64 }

func (s *server) memory() (m memory, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return m, err
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		n, _ := strconv.ParseFloat(f[1], 64)
		switch f[0] {
		case "VmRSS:":
			m.resident = n * 1024
		case "RssAnon:":
			m.anonymous = n * 1024
		case "VmHWM:":
			m.peak = n * 1024
		}
	}
	return m, nil
}

// cpu is the processor time that the process has used.
func (s *server) cpu() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ") // the name before may have blanks
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat is short", s.cmd.Process.Pid)
	}
	var ticks int64
	for _, t := range f[11:13] {
		n, err := strconv.ParseInt(t, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100, nil
}
