// Package peers has the real binary talk to mail software that others wrote:
// clients that submit, servers that it delivers to, and readers of what it
// tells. What they make of it is what the world will make of it.
//
// The tests need Debian's packages and root, which mail servers insist on; they
// run where HOMING_PEERS=1 says so (make test-peers), and there a program that
// is missing is a failure. Everything happens on loopback addresses of its
// own, in directories of its own; where a server has paths compiled in, in a
// mount namespace of its own.
package peers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"homing/integration/harness"
	"homing/internal/toynet"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// install is how the programs that are tested against come onto a machine.
const install = "apt-get install postfix swaks libnet-ssleay-perl php-cli php-net-smtp php-mail php-mail-mime libphp-phpmailer php-symfony-mailer python3-dkim python3-authres opendkim-tools bind9-utils iproute2 mailman3 curl && scripts/peers"

// begin skips a test where no peers are wanted, and lets it run beside others.
func begin(t *testing.T) {
	t.Helper()
	if os.Getenv("HOMING_PEERS") != "1" {
		t.Skip("HOMING_PEERS=1 asks for this; it needs: " + install)
	}
	t.Parallel()
}

// program gives the path of a peer, and fails the test where there is none.
// Some live where only root looks, and some are not installed.
func program(t testing.TB, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", filepath.Join(unpacked(), "usr/sbin")} {
		path := filepath.Join(dir, name)
		if found, err := os.Stat(path); err == nil && found.Mode()&0o111 != 0 {
			return path
		}
	}
	t.Fatalf("there is no %s here; %s", name, install)
	return ""
}

// unpacked is where scripts/peers puts the mail servers that Debian does not
// let be installed beside Postfix.
func unpacked() string {
	if dir := os.Getenv("HOMING_PEERS_DIR"); dir != "" {
		return dir
	}
	return "/var/cache/homing-peers"
}

const (
	peerWithin = time.Minute // for a peer that does one thing
	openWithin = time.Minute // for a server to listen
)

// A said is what a program printed, and how it ended.
type said struct {
	stdout, stderr string
	code           int
}

func (s said) String() string {
	return fmt.Sprintf("exit code %d\n%s%s", s.code, s.stdout, s.stderr)
}

// call runs a program to its end.
func call(t testing.TB, stdin io.Reader, name string, args ...string) said {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), peerWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, program(t, name), args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	cmd.SysProcAttr = harness.DieWithParent()
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("running %s %s: %v\n%s%s", name, strings.Join(args, " "), err, &stdout, &stderr)
	}
	return said{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// A daemon is a server of others that runs until the test ends.
type daemon struct {
	t      testing.TB
	cmd    *exec.Cmd
	log    string
	exited chan struct{}
	group  bool // it is its process group that is asked to end
}

// serve starts a server and waits until it listens at address. At the end of
// the test it is asked to end, and its words are shown when the test failed.
func serve(t testing.TB, address string, name string, args ...string) *daemon {
	t.Helper()
	d := launch(t, name, args...)
	d.awaitOpen(address)
	return d
}

// launch starts a server, as serve does, and waits for nothing.
func launch(t testing.TB, name string, args ...string) *daemon {
	t.Helper()
	d := &daemon{t: t, log: filepath.Join(t.TempDir(), "log"), exited: make(chan struct{})}
	out, err := os.Create(d.log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close() // the server has a descriptor of its own
	d.cmd = exec.Command(program(t, name), args...)
	d.cmd.Stdout, d.cmd.Stderr = out, out
	d.cmd.SysProcAttr = harness.DieWithParent()
	d.cmd.SysProcAttr.Setsid = true
	if err := d.cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", name, err)
	}
	go func() {
		_ = d.cmd.Wait() // most end by the signal that stop sends
		close(d.exited)
	}()
	t.Cleanup(d.stop)
	return d
}

// awaitOpen knocks until somebody listens.
func (d *daemon) awaitOpen(address string) {
	d.t.Helper()
	network := "tcp"
	if strings.HasPrefix(address, "/") {
		network = "unix"
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(openWithin); ; {
		c, err := net.DialTimeout(network, address, time.Second)
		if err == nil {
			c.Close()
			return
		}
		select {
		case <-d.exited:
			d.t.Fatalf("%s ended instead of listening at %s:\n%s", d.cmd.Path, address, d.said())
		case now := <-tick.C:
			if now.After(deadline) {
				d.t.Fatalf("%s does not listen at %s: %v\n%s", d.cmd.Path, address, err, d.said())
			}
		}
	}
}

func (d *daemon) stop() {
	if d.t.Failed() {
		d.t.Logf("%s:\n%s", strings.Join(d.cmd.Args, " "), tail(d.said()))
	}
	if d.group {
		_ = syscall.Kill(-d.cmd.Process.Pid, syscall.SIGTERM)
	}
	_ = d.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	deadline := time.NewTimer(openWithin)
	defer deadline.Stop()
	select {
	case <-d.exited:
	case <-deadline.C:
		_ = d.cmd.Process.Kill()
		<-d.exited
		d.t.Errorf("%s did not end when it was asked to", d.cmd.Path)
	}
}

func (d *daemon) said() string {
	b, err := os.ReadFile(d.log)
	if err != nil {
		d.t.Errorf("reading the log of %s: %v", d.cmd.Path, err)
	}
	return string(b)
}

// tail is the end of a log.
func tail(text string) string {
	const shown = 8 << 10
	if len(text) > shown {
		return "…" + text[len(text)-shown:]
	}
	return text
}

// A block is a part of 127.0.0.0/8 that one test has for itself.
type block struct{ netip.Prefix }

func newBlock() block {
	a := netip.AddrFrom4([4]byte{127, byte(1 + rand.IntN(253)), byte(rand.IntN(256)), 0})
	return block{netip.PrefixFrom(a, 24)}
}

// server is the number of the server under test in its block; from 10 on there
// are the MXs of the toy internet, from 200 on nobody.
const server = 2

// at gives the n-th address of the block with a port.
func (b block) at(n, port int) string {
	a := b.Addr().As4()
	a[3] = byte(n)
	return netip.AddrPortFrom(netip.AddrFrom4(a), uint16(port)).String()
}

// elsewhere is a domain whose MX is played by software of others: the toy
// internet only gives it a name and an address.
var elsewhere = toynet.Domain{Host: toynet.Host{Dead: true}}

// mx gives the address at which the MX of a domain has to listen.
func mx(st *harness.Stage, domain string) string { return st.Net.HostAddr("mx." + domain).String() }

// publicDir makes a directory that programs which give up root can use.
func publicDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "homing-peer-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

// heard waits until the application was told a fact of a type about a
// recipient, and gives it.
func heard(t testing.TB, st *harness.Stage, to, kind string) toynet.Event {
	t.Helper()
	return heardUntil(harness.Within(t, 30*time.Second), t, st, to, kind, func(toynet.Event) bool { return true })
}

// heardUntil is heard for a test that waits for many facts, has a deadline for
// all of them, and says which of several of a kind it means.
func heardUntil(ctx context.Context, t testing.TB, st *harness.Stage, to, kind string, wanted func(toynet.Event) bool) toynet.Event {
	t.Helper()
	var got toynet.Event
	err := st.Net.Hook.Calls.Wait(ctx, func(calls []toynet.Call) bool {
		for _, c := range calls {
			if c.Taken() && c.Event.Recipient == to && c.Event.Type == kind && wanted(c.Event) {
				got = c.Event
				return true
			}
		}
		return false
	})
	if err != nil {
		t.Fatalf("waiting for the event %s of %s: %v; told: %s", kind, to, err, told(st, to))
	}
	return got
}

// told lists what the application was told about a recipient.
func told(st *harness.Stage, to string) string {
	var all []string
	for _, c := range st.Net.Hook.Calls.All() {
		if c.Event.Recipient == to {
			all = append(all, fmt.Sprintf("%s %s %s %q", c.Event.Type, c.Event.Class, c.Event.Reason, c.Event.Diagnostic))
		}
	}
	return strings.Join(all, "; ")
}
