package integration

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"homing/internal/reply"
	"homing/internal/toynet"
)

// smallDisk mounts a file system of 64 MiB.
func smallDisk(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting a small file system needs root: run this test as root to see what a full disk does")
	}
	dir, err := os.MkdirTemp("", "homing-disk-")
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64m"); err != nil {
		os.Remove(dir)
		t.Skipf("mounting a small file system: %v: this machine does not let root do it", err)
	}
	t.Cleanup(func() {
		if err := errors.Join(syscall.Unmount(dir, syscall.MNT_DETACH), os.Remove(dir)); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill writes a file until nothing more fits on its disk.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for octets := make([]byte, 64<<10); len(octets) > 0; {
		if _, err := f.Write(octets); errors.Is(err, syscall.ENOSPC) {
			octets = octets[:len(octets)/2]
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestAFullDiskIsNoBounce(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t)
	const (
		slow    = 4 * time.Second  // until these say yes
		recover = 10 * time.Second // from space to the next 250
	)
	later := toynet.Behaviour{RCPT: reply.Reply{Code: 450, Enhanced: reply.Enhanced{4, 2, 0}, Text: "try again"}, For: slow}
	st := newStage(t, settings{
		World:   toynet.World{Domains: map[string]toynet.Domain{"accepts.test": {}, "down.test": {Host: toynet.Host{Dead: true}}, "slow.test": {Behaviour: later}}},
		DataDir: filepath.Join(dir, "data"), Limits: `disk_reserve = "8MiB"`, Delivery: `retry = ["500ms"]`,
	})
	waits := st.Mail(1, recipients("slow", 40, "slow.test")...)

	t.Run("mail is put off at MAIL when the reserve is reached", func(t *testing.T) {
		big := strings.Repeat(strings.Repeat("x", 76)+"\n", 4000) // 300 KB
		for job := 2; ; job++ {
			sent, err := st.Client.Send(within(t, time.Minute), toynet.Mailing{Job: job, FirstQueue: 10_000 * job, Subject: "Big", Text: big, To: recipients("big", 5, "down.test")})
			if err != nil {
				t.Fatalf("the mailing broke off: %v", err)
			}
			for _, s := range recorded(sent) {
				t.Errorf("a bounce of %s was recorded, because of %v at %s", s.To, s.Reply, s.Stage)
			}
			if last := sent[len(sent)-1]; !last.Acknowledged() {
				if last.Reply.Code != 452 || last.Stage != reply.MAIL && last.Stage != reply.Dot {
					t.Errorf("answered %v at %s, want 452", last.Reply, last.Stage)
				}
				break
			}
			if job > 200 {
				t.Fatal("1,000 messages of 300 KB fit on 64 MiB")
			}
		}
		// What the system says of the disk counts for a second.
		until(t, 5*time.Second, "452 at MAIL", func() bool {
			w := dialSMTP(t, st.Submission)
			defer w.conn.Close()
			return strings.HasPrefix(w.ask("MAIL FROM:<news@example.org>"), "452 4.3.1")
		})
		w := dialSMTP(t, st.MX)
		w.must("MAIL FROM:<>", "452 4.3.1")
	})
	filler := filepath.Join(dir, "filler")
	t.Run("outcomes have room when not an octet is left", func(t *testing.T) {
		fill(t, filler)
		st.Outcomes(waits)
		for _, s := range waits {
			st.wantOutcome(t, s, "delivered")
		}
		if st.offer(t, st.Client, 500, "ann@accepts.test")[0].Acknowledged() {
			t.Error("mail was accepted on a full disk")
		}
	})
	t.Run("mail is accepted again soon after there is space", func(t *testing.T) {
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		st.Run("queue", "list") // it still answers
		// The queue itself fills the disk beyond the reserve: its owner gives
		// it a larger one.
		if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=96m"); err != nil {
			t.Fatal(err)
		}
		began, job, again := time.Now(), 600, []toynet.Sent(nil)
		until(t, recover, "a message to be accepted", func() bool {
			job++
			again = st.offer(t, st.Client, job, "bob@accepts.test")
			return again[0].Acknowledged()
		})
		t.Logf("accepted again after %s", time.Since(began))
		st.Outcomes(again)
	})
	t.Run("nothing was lost, also after a restart", func(t *testing.T) {
		st.Balanced()
		st.Restart()
		st.Balanced()
		st.Stop()
		st.VerifyAt(filepath.Join(dir, "data"))
	})
}
