package harness

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// HandOver hands listeners over at each start from the next one on, as systemd
// does (sd_listen_fds(3)), each under a name. They stay open.
func (p *Process) HandOver(names []string, files ...*os.File) {
	p.hand = func(cmd *exec.Cmd) {
		// Only the process itself knows its number before it starts.
		cmd.Args = append([]string{"sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)
		cmd.Path = "/bin/sh"
		cmd.Env = append(cmd.Env, "LISTEN_FDS="+strconv.Itoa(len(files)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
		cmd.ExtraFiles = files
	}
}

// Begin starts a process that does not run, and says how long it took to be
// ready.
func (p *Process) Begin() time.Duration {
	p.t.Helper()
	return p.begin()
}

// Launch starts a process that does not run, and waits for nothing.
func (p *Process) Launch() {
	p.t.Helper()
	p.launch()
}

// A ServiceManager hears what a server tells it (sd_notify(3)).
type ServiceManager struct {
	Socket string // for NOTIFY_SOCKET
	t      testing.TB
	conn   net.PacketConn
}

// NewServiceManager opens the socket of one.
func NewServiceManager(t testing.TB) *ServiceManager {
	t.Helper()
	dir, err := os.MkdirTemp("", "homing-") // t.TempDir would be too long
	if err != nil {
		t.Fatal(err)
	}
	m := &ServiceManager{Socket: filepath.Join(dir, "notify"), t: t}
	if m.conn, err = net.ListenPacket("unixgram", m.Socket); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		m.conn.Close()
		os.RemoveAll(dir)
	})
	return m
}

// Hear waits for the next message and gives its fields.
func (m *ServiceManager) Hear() map[string]string {
	m.t.Helper()
	buf := make([]byte, 4096)
	if err := m.conn.SetReadDeadline(time.Now().Add(readyWithin)); err != nil {
		m.t.Fatal(err)
	}
	n, _, err := m.conn.ReadFrom(buf)
	if err != nil {
		m.t.Fatalf("the service manager hears nothing: %v", err)
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(buf[:n])) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		fields[key] = value
	}
	return fields
}

// Await waits for a message with a field of a value, and gives its fields.
func (m *ServiceManager) Await(key, value string) map[string]string {
	m.t.Helper()
	for {
		if heard := m.Hear(); heard[key] == value {
			return heard
		}
	}
}
