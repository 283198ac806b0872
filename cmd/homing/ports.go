package main

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"homing/internal/terminal"
)

// Ports that are looked at when a server is set up.
const (
	smtpPort       = 25
	submissionPort = 587
	apiPort        = 8025
)

// A busyPort is a port that the server could use and another program has.
type busyPort struct {
	port    int
	at      []netip.Addr // where the program listens; unspecified: everywhere
	program string       // "": nobody may know
	unit    string       // of systemd; "": none, or nobody may know
}

// busyPorts gives the ports of the server and of the web that are taken, by the
// tables of the kernel below proc.
func busyPorts(proc string) (all []busyPort) {
	for _, port := range []int{smtpPort, submissionPort, apiPort, 80, 443} {
		inodes := map[string]bool{}
		b := busyPort{port: port}
		for _, table := range []string{"net/tcp", "net/tcp6"} {
			b.at = append(b.at, listeners(filepath.Join(proc, table), port, inodes)...)
		}
		if len(b.at) == 0 {
			continue
		}
		b.program, b.unit = holder(proc, inodes)
		all = append(all, b)
	}
	return all
}

// near reports whether the program takes only what this machine itself sends.
func (b busyPort) near() bool {
	return !slices.ContainsFunc(b.at, func(a netip.Addr) bool { return !a.IsLoopback() })
}

// has reports whether nobody else can listen at an address.
func (b busyPort) has(a netip.Addr) bool {
	return slices.ContainsFunc(b.at, func(taken netip.Addr) bool { return taken.IsUnspecified() || taken == a })
}

// who names the program, for people.
func (b busyPort) who() string { return cmp.Or(terminal.Line(b.program), "another program") }

// stop says how to end the program for good.
func (b busyPort) stop() string {
	switch {
	case b.unit != "":
		return fmt.Sprintf("`sudo systemctl disable --now %s`", terminal.Line(b.unit))
	case b.program == serviceManager:
		return "`systemctl list-sockets` names the unit that has the port"
	case b.program == "docker-proxy":
		return "`docker ps` names the container that publishes the port"
	}
	return fmt.Sprintf("`sudo ss -ltnp 'sport = :%d'` names its process", b.port)
}

// listeners gives the addresses in a table of the kernel at which somebody
// listens for a port, and adds the inodes of their sockets.
func listeners(table string, port int, inodes map[string]bool) (at []netip.Addr) {
	f, err := os.Open(table)
	if err != nil {
		return nil
	}
	defer f.Close()
	const listening = "0A"
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 || fields[3] != listening {
			continue
		}
		address, ok := kernelAddress(fields[1])
		if ok && int(address.Port()) == port {
			at = append(at, address.Addr())
			inodes[fields[9]] = true
		}
	}
	return at
}

// kernelAddress reads an address as the kernel's tables write it: 0100007F:0019,
// each four octets a number of the machine's byte order.
func kernelAddress(text string) (netip.AddrPort, bool) {
	address, port, _ := strings.Cut(text, ":")
	octets, err := hex.DecodeString(address)
	n, err2 := strconv.ParseUint(port, 16, 16)
	if err != nil || err2 != nil || len(octets)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(octets); i += 4 {
		binary.NativeEndian.PutUint32(octets[i:], binary.BigEndian.Uint32(octets[i:]))
	}
	a, ok := netip.AddrFromSlice(octets)
	return netip.AddrPortFrom(a.Unmap(), uint16(n)), ok
}

// holder names the program that has one of the sockets and the unit that it
// runs in, as far as this user may know.
func holder(proc string, inodes map[string]bool) (program, unit string) {
	links, _ := filepath.Glob(filepath.Join(proc, "[0-9]*/fd/*")) // a pattern of ours
	for _, link := range links {
		to, err := os.Readlink(link)
		if err != nil || !inodes[strings.TrimSuffix(strings.TrimPrefix(to, "socket:["), "]")] {
			continue
		}
		dir := filepath.Dir(filepath.Dir(link))
		name, err := os.ReadFile(filepath.Join(dir, "comm"))
		if err != nil {
			continue
		}
		program, unit = programName(strings.TrimSpace(string(name))), unitOf(dir)
		if program != serviceManager { // which only keeps the socket for the program
			return program, unit
		}
	}
	return program, unit
}

const serviceManager = "systemd"

// unitOf is the service that a process belongs to; "": none.
func unitOf(dir string) string {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup"))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		for _, part := range strings.Split(strings.TrimSpace(line), "/") {
			// A template's is that of the whole: postfix@-.service of postfix.service.
			name, ok := strings.CutSuffix(part, ".service")
			if name, _, _ = strings.Cut(name, "@"); ok && name != "user" && name != "docker" && name != "containerd" {
				return name
			}
		}
	}
	return ""
}

// programName is what people call a program.
func programName(comm string) string {
	if comm == "master" {
		return "postfix" // as its first process calls itself
	}
	return comm
}
