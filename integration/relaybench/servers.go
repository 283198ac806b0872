package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A server is what is measured.
type server struct {
	name, address string
	stop          func()
}

const (
	postfixAddress = "127.0.0.1:2525"
	homingAddress  = "127.0.0.1:2526"
)

// startHoming starts the binary with signed return addresses and no DKIM, and
// what says where its mail goes.
func startHoming(ctx context.Context, dir, bin, delivery string) (server, error) {
	home, err := os.MkdirTemp(dir, "homing-")
	if err != nil {
		return server{}, err
	}
	path := filepath.Join(home, "homing.toml")
	if err := os.WriteFile(path, fmt.Appendf(nil, `hostname = "relay.bench.test"
data_dir = "data"
[listen]
submission = ["%s"]
[[application]]
name = "bench"
networks = ["127.0.0.0/8"]
domains = ["src.test"]
[[domain]]
name = "src.test"
return_path = "return@bounce.src.test"
%s`, homingAddress, delivery), 0o600); err != nil {
		return server{}, err
	}
	log, err := os.Create(filepath.Join(home, "log"))
	if err != nil {
		return server{}, err
	}
	defer log.Close()
	c := exec.CommandContext(ctx, bin, "serve", "--config", path)
	c.Stdout, c.Stderr = log, log
	if err := c.Start(); err != nil {
		return server{}, err
	}
	stop := func() {
		c.Process.Kill()
		c.Wait()
		os.RemoveAll(home)
	}
	if err := greets(ctx, homingAddress); err != nil {
		said, _ := os.ReadFile(log.Name())
		stop()
		return server{}, fmt.Errorf("homing: %w: %s", err, said)
	}
	return server{"homing", homingAddress, stop}, nil
}

// greets waits until a server says 220.
func greets(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if conn, err := net.DialTimeout("tcp", address, time.Second); err == nil {
			conn.SetDeadline(time.Now().Add(3 * time.Second))
			line, _ := bufio.NewReader(conn).ReadString('\n')
			fmt.Fprint(conn, "QUIT\r\n")
			conn.Close()
			if strings.HasPrefix(line, "220") {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s never greeted", address)
		case <-tick.C:
		}
	}
}

// smarthost sends all mail to smtp-sink.
const smarthost = `[delivery.smarthost]
address = "` + sinkAddress + `"
tls = "none"
`

// startPostfix starts a Postfix of our own, tuned for the job, that has
// nothing to do with one that the machine may run. It sends to an address over
// so many connections.
func startPostfix(ctx context.Context, dir, to string, connections int) (server, error) {
	home, err := os.MkdirTemp(dir, "postfix-")
	if err != nil {
		return server{}, err
	}
	etc := filepath.Join(home, "etc")
	err = errors.Join(os.Chmod(home, 0o755), os.Mkdir(etc, 0o755), os.Mkdir(filepath.Join(home, "spool"), 0o755), os.Mkdir(filepath.Join(home, "data"), 0o755),
		os.WriteFile(filepath.Join(etc, "main.cf"), []byte(strings.NewReplacer("HOME", home, "SINK", bracketed(to), "CONNECTIONS", strconv.Itoa(connections)).Replace(mainCF)), 0o644), writeMasterCF(etc))
	if err != nil {
		return server{}, err
	}
	if out, err := exec.CommandContext(ctx, "chown", "postfix", filepath.Join(home, "data")).CombinedOutput(); err != nil {
		return server{}, fmt.Errorf("this needs root: %w: %s", err, out)
	}
	if out, err := exec.CommandContext(ctx, "postfix", "-c", etc, "start").CombinedOutput(); err != nil {
		return server{}, fmt.Errorf("starting Postfix: %w: %s", err, out)
	}
	stop := func() {
		exec.Command("postfix", "-c", etc, "stop").Run()
		os.RemoveAll(home)
	}
	if err := greets(ctx, postfixAddress); err != nil {
		stop()
		return server{}, fmt.Errorf("postfix: %w", err)
	}
	return server{"postfix", postfixAddress, stop}, nil
}

// bracketed writes an address for relayhost.
func bracketed(address string) string {
	host, port, _ := strings.Cut(address, ":")
	return "[" + host + "]:" + port
}

const mainCF = `compatibility_level = 3.6
queue_directory = HOME/spool
data_directory = HOME/data
mail_owner = postfix
setgid_group = postdrop
myhostname = relay.bench.test
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
relayhost = SINK
smtp_host_lookup = native
smtp_dns_support_level = disabled
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_client_connection_count_limit = 0
smtpd_peername_lookup = no
smtpd_tls_security_level = none
smtp_tls_security_level = none
default_process_limit = 200
smtp_destination_concurrency_limit = CONNECTIONS
initial_destination_concurrency = CONNECTIONS
in_flow_delay = 0
qmgr_message_active_limit = 20000
message_size_limit = 52428800
maillog_file = /var/log/relaybench-postfix.log
`

var (
	smtpInet = regexp.MustCompile(`(?m)^smtp\s+inet\s.*$`)
	service  = regexp.MustCompile(`^[a-z0-9-]+\s+(inet|unix|unix-dgram|fifo|pass)\s`)
)

// writeMasterCF takes the distribution's services, on our port and without
// chroot: the spool of this instance has no copies of system files.
func writeMasterCF(etc string) error {
	dist, err := os.ReadFile("/usr/share/postfix/master.cf.dist")
	if err != nil {
		return err
	}
	var out strings.Builder
	postlog := false
	for _, line := range strings.Split(smtpInet.ReplaceAllString(string(dist), postfixAddress+" inet n - n - - smtpd"), "\n") {
		if f := strings.Fields(line); service.MatchString(line) && len(f) >= 8 {
			f[4] = "n"
			postlog = postlog || f[0] == "postlog"
			line = strings.Join(f, " ")
		}
		out.WriteString(line + "\n")
	}
	if !postlog {
		out.WriteString("postlog unix-dgram n - n - 1 postlogd\n")
	}
	return os.WriteFile(filepath.Join(etc, "master.cf"), []byte(out.String()), 0o644)
}
