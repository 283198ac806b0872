package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// surroundings are what `homing init` finds on the machine.
type surroundings struct {
	ports    []busyPort
	outgoing bool // port 25 of others can be reached
}

// A busyPort is a port that the server could use and another program has.
type busyPort struct {
	port    int
	program string // "": nobody may know
}

// lookAround looks who has the ports of mail and of the web, and whether mail
// gets out.
func lookAround(ctx context.Context, offline bool) surroundings {
	s := surroundings{outgoing: offline || reachesOthers(ctx)}
	for _, port := range []int{25, 587, 80, 443} {
		if !listened(port) {
			continue
		}
		s.ports = append(s.ports, busyPort{port, programAt(port)})
	}
	return s
}

// listened reports whether some program listens at a port of this machine.
func listened(port int) bool {
	l, err := net.Listen("tcp", ":"+strconv.Itoa(port))
	if err != nil {
		return strings.Contains(err.Error(), "in use")
	}
	l.Close()
	return false
}

// words says who has a port, and the ways out.
func (p busyPort) words(f *founding) string {
	who := p.program
	if who == "" {
		who = "another program"
	}
	switch p.port {
	case 25, 587:
		return fmt.Sprintf("Port %d is taken by %s. Either stop it for good (`sudo systemctl disable --now %s`),\n"+
			"or let it keep the port and hand the mail of %s to Homing: lmtp = [\"unix:/run/homing/lmtp.sock\"] and no smtp in [listen];\n"+
			"docs/OPERATING.md, \"Where port 25 is closed\", has the lines for Postfix.", p.port, who, serviceOf(p.program), f.Return)
	}
	return fmt.Sprintf("Port %d is taken by %s, which is fine: Homing does not need it. Where it is to answer the world (unsubscribe links, MTA-STS),\n"+
		"let that program pass /u/ and /.well-known/mta-sts.txt on to http://127.0.0.1:8025, and write public_url into the file.", p.port, who)
}

// serviceOf is the name of a program's service, as Debian has it.
func serviceOf(program string) string {
	names := map[string]string{"exim4": "exim4", "master": "postfix", "smtpd": "opensmtpd", "sendmail-mta": "sendmail"}
	if s, ok := names[program]; ok {
		return s
	}
	if program == "" {
		return "NAME"
	}
	return program
}

// programAt names the program that listens at a port: as far as this user may
// know.
func programAt(port int) string {
	inodes := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		listeners(table, port, inodes)
	}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*") // a pattern of ours
	for _, link := range links {
		to, err := os.Readlink(link)
		if err != nil || !inodes[strings.TrimSuffix(strings.TrimPrefix(to, "socket:["), "]")] {
			continue
		}
		if name, err := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(link)), "comm")); err == nil {
			return strings.TrimSpace(string(name))
		}
	}
	return ""
}

// listeners adds the inodes of the sockets in a table of the kernel that listen
// at a port.
func listeners(table string, port int, inodes map[string]bool) {
	f, err := os.Open(table)
	if err != nil {
		return
	}
	defer f.Close()
	const listening = "0A"
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 || fields[3] != listening {
			continue
		}
		_, hex, _ := strings.Cut(fields[1], ":")
		if n, err := strconv.ParseUint(hex, 16, 16); err == nil && int(n) == port {
			inodes[fields[9]] = true
		}
	}
}

// ownName is the full name of this machine; "": it has none.
func ownName(ctx context.Context) string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	if !strings.Contains(name, ".") {
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		if name, err = net.DefaultResolver.LookupCNAME(ctx, name); err != nil {
			return ""
		}
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if !strings.Contains(name, ".") || strings.HasSuffix(name, ".localdomain") || strings.HasSuffix(name, ".local") || strings.HasSuffix(name, ".internal") {
		return ""
	}
	return name
}

// reachesOthers reports whether the mail hosts of others can be reached.
func reachesOthers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 8*time.Second)
	defer cancel()
	for _, host := range []string{"gmail-smtp-in.l.google.com:25", "mta5.am0.yahoodns.net:25"} {
		d := net.Dialer{Timeout: 4 * time.Second}
		if c, err := d.DialContext(ctx, "tcp4", host); err == nil {
			c.Close()
			return true
		}
	}
	return false
}
