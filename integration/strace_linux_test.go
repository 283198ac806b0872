package integration

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"homing/internal/reply"
	"homing/internal/toynet"
)

// beginTraced skips a test where nobody asked for it: it needs strace and the
// right to trace.
func beginTraced(t *testing.T) {
	t.Helper()
	if os.Getenv("HOMING_PEERS") != "1" {
		t.Skip("HOMING_PEERS=1 asks for this; it needs: apt-get install strace")
	}
	if _, err := exec.LookPath("strace"); err != nil {
		t.Fatal("there is no strace here: apt-get install strace")
	}
	t.Parallel()
}

// interfere makes system calls of the running server fail, as strace's
// -e inject has it, on the paths that are given (none: on all), until heal is
// called or the server ends.
func (st *stage) interfere(calls, inject string, paths ...string) (heal func()) {
	st.t.Helper()
	args := []string{"-f", "-p", fmt.Sprint(st.PID()), "-o", "/dev/null", "-e", "trace=" + calls, "-e", "inject=" + calls + ":" + inject}
	for _, p := range paths {
		args = append(args, "-P", p)
	}
	cmd := exec.Command("strace", args...)
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		st.t.Fatalf("starting strace: %v", err)
	}
	attached, gone := make(chan bool, 1), make(chan struct{})
	go func() {
		defer close(gone)
		said, told := bufio.NewScanner(stderr), false
		for said.Scan() {
			if !told && strings.Contains(said.Text(), "attached") {
				told = true
				attached <- true
			}
		}
		if !told {
			attached <- false
		}
		cmd.Wait() // how it ends says nothing: the server may have been killed
	}()
	heal = sync.OnceFunc(func() {
		cmd.Process.Signal(syscall.SIGINT) // it detaches and ends
		<-gone
	})
	st.t.Cleanup(heal)
	if !<-attached {
		st.t.Fatal("strace could not attach to the server")
	}
	return heal
}

// newestSegment is the file of the log that is being written.
func (st *stage) newestSegment() string {
	st.t.Helper()
	names, err := filepath.Glob(filepath.Join(st.storeDir(), "log", "*.log"))
	if err != nil || len(names) == 0 {
		st.t.Fatalf("segments: %v, %v", names, err)
	}
	return slices.Max(names)
}

func (st *stage) storeDir() string { return filepath.Join(st.Dir, "data", "store") }

func (st *stage) indexFile() string { return filepath.Join(st.storeDir(), "index.db") }

// large is a text that gets a file of its own.
var large = strings.Repeat(strings.Repeat("x", 76)+"\n", 2000)

// mixed is a mailing whose recipients come to different ends.
func mixed(job int, text string) toynet.Mailing {
	return toynet.Mailing{Job: job, FirstQueue: job * 1000, Subject: "News", Text: text,
		To: recipients(fmt.Sprintf("j%d-", job), 8, "accepts.test", "unknown.test", "later.test", "greylist.test")}
}

func TestPeerStraceKillsAtAnySystemCallOfTheStore(t *testing.T) {
	beginTraced(t)
	st := newStage(t, settings{World: toynet.Everyday(20 * time.Millisecond), Delivery: `retry = ["100ms"]`})
	store := st.storeDir()
	points := []struct {
		calls string
		path  func() []string
		k     int // strace counts in each thread
		text  string
	}{
		{"pwrite64", func() []string { return []string{st.newestSegment()} }, 1, "small\n"},
		{"pwrite64", func() []string { return []string{st.newestSegment()} }, 4, "small\n"},
		{"fdatasync", func() []string { return []string{st.newestSegment()} }, 1, large},
		{"fdatasync", func() []string { return []string{st.newestSegment()} }, 5, "small\n"},
		{"pwrite64", func() []string { return []string{st.indexFile()} }, 1, "small\n"},
		{"pwrite64", func() []string { return []string{st.indexFile()} }, 7, "small\n"},
		{"fdatasync", func() []string { return []string{st.indexFile()} }, 1, "small\n"},
		{"fdatasync", func() []string { return []string{st.indexFile()} }, 2, large},
		{"fsync", func() []string { return []string{filepath.Join(store, "body")} }, 1, large},
		{"fsync", func() []string { return []string{filepath.Join(store, "body")} }, 3, large},
		{"unlinkat", nil, 1, large},
		{"unlinkat", nil, 2, large},
		{"openat", nil, 3, large},
		{"openat", nil, 9, large},
		{"pwrite64,fdatasync", nil, 3 + rand.IntN(20), large},
		{"pwrite64,fdatasync", nil, 3 + rand.IntN(40), "small\n"},
	}
	var killed []time.Time
	var sent []toynet.Sent
	for job, at := range points {
		var paths []string
		if at.path != nil {
			paths = at.path()
		}
		heal := st.interfere(at.calls, fmt.Sprintf("signal=SIGKILL:when=%d", at.k), paths...)
		part, _ := st.Client.Send(within(t, time.Minute), mixed(job+1, at.text))
		if !st.EndsWithin(time.Second) {
			t.Logf("%s %d was not reached", at.calls, at.k)
			st.Kill()
		}
		heal()
		killed, sent = append(killed, time.Now()), append(sent, part...)
		if took := st.Restart(); took > 5*time.Second {
			t.Errorf("I6: ready again only after %s", took)
		}
	}
	st.Outcomes(sent)
	if err := st.Net.Settled(within(t, time.Minute)); err != nil {
		t.Errorf("waiting for what comes back: %v", err)
	}
	if err := st.Net.Hook.Calls.Wait(within(t, 30*time.Second), heeded(st.Net.Notes.All())); err != nil {
		t.Errorf("waiting for what the application is told of reports: %v", err)
	}
	l := st.Ledger()
	l.Killed, l.InFlight = killed, 32
	for _, fault := range l.faults() {
		t.Error(fault)
	}
	st.Stop()
	st.VerifyAt(filepath.Join(st.Dir, "data"))
}

func TestPeerStraceAfterAFailedSyncNothingIsAcknowledged(t *testing.T) {
	tests := []struct {
		name, calls string
		path        func(*stage) string
		text        string
	}{
		{"of the log", "fdatasync", (*stage).newestSegment, "small\n"},
		{"of the log behind a large body", "fdatasync", (*stage).newestSegment, large},
		{"of the directory of bodies", "fsync", func(st *stage) string { return filepath.Join(st.storeDir(), "body") }, large},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			beginTraced(t)
			st := newStage(t, settings{World: toynet.Everyday(20 * time.Millisecond), Delivery: `retry = ["100ms"]`})
			before := st.Mail(1, recipients("b", 10, "accepts.test")...)
			st.interfere(tt.calls, "error=EIO:when=1+", tt.path(st))
			after, _ := st.Client.Send(within(t, time.Minute), mixed(2, tt.text))
			for _, s := range after {
				if s.Acknowledged() {
					t.Errorf("%s was acknowledged after the sync failed", s.To)
				}
				if s.Reply.Permanent() {
					t.Errorf("%s was answered %v, want a temporary failure", s.To, s.Reply)
				}
			}
			if err := st.AwaitEnd(30 * time.Second); err == nil {
				t.Error("the server ended as if nothing was wrong")
			}
			if log := st.Log(); !strings.Contains(log, "nothing is acknowledged until a restart") {
				t.Error("the log does not say why")
			}
			ended := time.Now()
			st.Restart()
			st.Outcomes(before)
			again := st.Mail(3, recipients("a", 10, "accepts.test")...)
			st.Outcomes(again)
			// What was refused may have been written, and be sent.
			until(t, 30*time.Second, "an empty queue", func() bool { return len(st.Waiting()) == 0 })
			l := st.Ledger()
			l.Killed, l.InFlight = []time.Time{ended}, 32
			for _, fault := range l.faults() {
				t.Error(fault)
			}
			st.Stop()
			st.VerifyAt(filepath.Join(st.Dir, "data"))
		})
	}
}

func TestPeerStraceAFullDiskIsSurvivedWithoutARestart(t *testing.T) {
	tests := []struct {
		name, calls string
		path        func(*stage) string
		refused     bool // new mail is put off
	}{
		{"the log", "pwrite64,fallocate", (*stage).newestSegment, true},
		{"the index", "pwrite64", (*stage).indexFile, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			beginTraced(t)
			// The answers to what is on its way come when the disk is full.
			st := newStage(t, settings{World: toynet.World{Domains: map[string]toynet.Domain{"accepts.test": {},
				"slow.test": {Host: toynet.Host{NoTLS: true, Faults: []toynet.Fault{{At: reply.Dot, Wait: 1500 * time.Millisecond, Say: toynet.Proper}}}}}}, Delivery: `retry = ["100ms"]`})
			flying := st.Mail(1, recipients("f", 4, "slow.test")...)
			heal := st.interfere(tt.calls, "error=ENOSPC:when=1+", tt.path(st))
			for _, s := range flying {
				st.Arrived(s.To)
			}
			while, err := st.Client.Send(within(t, time.Minute), toynet.Mailing{Job: 2, FirstQueue: 2000, Subject: "News", Text: "x\n",
				To: recipients("w", 5, "accepts.test")})
			if err != nil {
				t.Errorf("the mailing broke off: %v", err)
			}
			for _, s := range while {
				if tt.refused && (s.Reply.Code != 452 && s.Reply.Code != 451) || !tt.refused && !s.Acknowledged() {
					t.Errorf("%s was answered %v", s.To, s.Reply)
				}
			}
			heal()
			began := time.Now()
			until(t, 10*time.Second, "mail to be accepted", func() bool {
				return st.Mail(3+int(time.Since(began)/time.Millisecond), "ann@accepts.test")[0].Acknowledged()
			})
			t.Logf("accepted again after %s", time.Since(began))
			st.Outcomes(st.Client.Sent.All())
			st.Balanced()
			st.Stop()
			st.VerifyAt(filepath.Join(st.Dir, "data"))
		})
	}
}
