package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestWhoHasAPortIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	own, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Skip("this system has no /proc")
	}
	inodes := map[string]bool{}
	at := listeners("/proc/net/tcp", l.Addr().(*net.TCPAddr).Port, inodes)
	if want := []netip.Addr{loopback4}; !slices.Equal(at, want) {
		t.Errorf("somebody listens at %v, want %v", at, want)
	}
	if got, _ := holder("/proc", inodes); got != strings.TrimSpace(string(own)) {
		t.Errorf("the port is taken by %q, want %q", got, strings.TrimSpace(string(own)))
	}
}

// A machine is what its /proc says of who listens.
type machine struct {
	tcp, tcp6 []string // addresses as the kernel writes them; the inodes count from 100 and 200
	processes []holding
}

type holding struct{ comm, cgroup, socket string }

func (m machine) proc(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	table := func(first int, addresses []string) string {
		text := "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
		for i, a := range addresses {
			text += fmt.Sprintf("   %d: %s 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 %d 1 0\n", i, a, first+i)
		}
		return text + "   9: 0100007F:0019 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 999 1 0\n" // somebody is connected
	}
	files := map[string]string{"net/tcp": table(100, m.tcp), "net/tcp6": table(200, m.tcp6)}
	for i, p := range m.processes {
		files[fmt.Sprintf("%d/comm", i+1)], files[fmt.Sprintf("%d/cgroup", i+1)] = p.comm+"\n", p.cgroup+"\n"
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i, p := range m.processes {
		fd := filepath.Join(dir, fmt.Sprint(i+1), "fd")
		if err := os.Mkdir(fd, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("socket:["+p.socket+"]", filepath.Join(fd, "3")); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestPortsAreReadFromTheKernel(t *testing.T) {
	const any6 = "00000000000000000000000000000000"
	tests := []struct {
		name    string
		machine machine
		want    string // who; how to stop it; whether it takes only the machine's own mail
	}{
		{"Exim of Debian, at loopback", machine{tcp: []string{"0100007F:0019"}, tcp6: []string{"00000000000000000000000001000000:0019"},
			processes: []holding{{"exim4", "0::/system.slice/exim4.service", "100"}}}, "25 exim4 `sudo systemctl disable --now exim4` near"},
		{"Postfix, for the world", machine{tcp: []string{"00000000:0019"},
			processes: []holding{{"master", "0::/system.slice/system-postfix.slice/postfix@-.service", "100"}}}, "25 postfix `sudo systemctl disable --now postfix` far"},
		{"Apache, over IPv6 for both", machine{tcp6: []string{any6 + ":0050"},
			processes: []holding{{"systemd", "0::/init.scope", "200"}, {"apache2", "0::/system.slice/apache2.service", "200"}}}, "80 apache2 `sudo systemctl disable --now apache2` far"},
		{"a container", machine{tcp: []string{"00000000:01BB"},
			processes: []holding{{"docker-proxy", "0::/system.slice/docker.service", "100"}}}, "443 docker-proxy `docker ps` names the container that publishes the port far"},
		{"a socket unit of a program that is not started yet", machine{tcp: []string{"00000000:0019"},
			processes: []holding{{"systemd", "0::/init.scope", "100"}}}, "25 systemd `systemctl list-sockets` names the unit that has the port far"},
		{"started by hand", machine{tcp: []string{"0A01A8C0:024B"},
			processes: []holding{{"python3", "0::/user.slice/user-1000.slice/user@1000.service/app.slice/run.scope", "100"}}}, "587 python3 `sudo ss -ltnp 'sport = :587'` names its process far"},
		{"a process that this user may not see", machine{tcp: []string{"00000000:0019"}}, "25 another program `sudo ss -ltnp 'sport = :25'` names its process far"},
		{"nobody", machine{}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			for _, p := range busyPorts(tt.machine.proc(t)) {
				where := map[bool]string{true: "near", false: "far"}[p.near()]
				got += fmt.Sprintf("%d %s %s %s", p.port, p.who(), p.stop(), where)
			}
			if got != tt.want {
				t.Errorf("taken is %q, want %q", got, tt.want)
			}
		})
	}
}

func TestAddressesOfTheKernel(t *testing.T) {
	tests := []struct{ text, want string }{
		{"0100007F:0019", "127.0.0.1:25"},
		{"B80D0120000000000000000001000000:1F59", "[2001:db8::1]:8025"},
		{"0000000000000000FFFF00000100007F:0019", "127.0.0.1:25"},
		{"0100007F", ""}, {"0100007F:", ""}, {"01007F:0019", ""}, {"xx00007F:0019", ""}, {"local_address", ""},
	}
	for _, tt := range tests {
		got, ok := kernelAddress(tt.text)
		if ok != (tt.want != "") || ok && got.String() != tt.want {
			t.Errorf("%q is %v, %v, want %q", tt.text, got, ok, tt.want)
		}
	}
}
