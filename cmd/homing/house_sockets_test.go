package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"homing/config"
	"homing/internal/systemd"
)

// A fakeListener is at an address.
type fakeListener struct {
	net.Listener
	at net.Addr
}

func (f fakeListener) Addr() net.Addr { return f.at }

// handed makes a socket: "NAME=ADDRESS".
func handed(t *testing.T, text string) systemd.Socket {
	t.Helper()
	name, at, _ := strings.Cut(text, "=")
	var addr net.Addr = &net.UnixAddr{Name: strings.TrimPrefix(at, "unix:"), Net: "unix"}
	if !strings.HasPrefix(at, "unix:") {
		tcp, err := net.ResolveTCPAddr("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		addr = tcp
	}
	return systemd.Socket{Name: name, Listener: fakeListener{at: addr}}
}

// planned makes a plan in the same form.
func planned(text string) plan {
	what, at, _ := strings.Cut(text, "=")
	if path, ok := strings.CutPrefix(at, "unix:"); ok {
		return plan{what: what, address: config.Address{Network: "unix", Address: path}}
	}
	return plan{what: what, address: config.Address{Network: "tcp", Address: at}}
}

func TestSocketsThatAreHandedOver(t *testing.T) {
	tests := []struct {
		name    string
		plans   string
		sockets string
		want    string   // what each plan gets: the address, or "-"
		errs    []string // "": none
	}{
		{"none", "smtp=:25 http=127.0.0.1:8025", "", "- -", nil},
		{"by the name", "smtp=:25 http=127.0.0.1:8025", "smtp=[::]:2525", "[::]:2525 -", nil},
		{"by the address, under the name of the unit", "smtp=:25 http=127.0.0.1:8025", "homing.socket=[::]:25 homing.socket=127.0.0.1:8025", "[::]:25 127.0.0.1:8025", nil},
		{"every address of IPv4 alone", "smtp=:25", "homing.socket=0.0.0.0:25", "0.0.0.0:25", nil},
		{"the address counts before the name", "submission=127.0.0.1:587 submission=10.0.0.5:587", "submission=10.0.0.5:587 submission=127.0.0.1:2587", "127.0.0.1:2587 10.0.0.5:587", nil},
		{"one of two", "submission=127.0.0.1:587 submission=10.0.0.5:587", "submission=10.0.0.5:587", "- 10.0.0.5:587", nil},
		{"a socket file", "local=unix:/run/submit.sock lmtp=unix:/run/lmtp.sock", "x=unix:/run/lmtp.sock local=unix:/run/other.sock", "/run/other.sock /run/lmtp.sock", nil},
		{"a name that is for something else", "smtp=:25 http=127.0.0.1:8025", "http=[::]:25", "- [::]:25", nil},
		{"one address of many is not all of them", "smtp=:25", "homing.socket=127.0.0.1:25", "-", []string{"hands over 127.0.0.1:25, and nothing listens there", "unit homing.socket", "FileDescriptorName="}},
		{"a name that nothing listens for", "smtp=:25", "https=[::]:443", "-", []string{"hands over [::]:443 as https", `write https = ["[::]:443"] in [listen]`}},
		{"one too many of a name", "smtp=:25", "smtp=[::]:25 smtp=[::]:2525", "[::]:25", []string{"hands over [::]:2525 as smtp"}},
		{"the control socket is nobody's", "control=unix:/data/control.sock", "control=unix:/data/control.sock local=unix:/x", "-", []string{"unix:/data/control.sock, and nothing listens there", `write local = "unix:/x"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var plans []plan
			for _, p := range strings.Fields(tt.plans) {
				plans = append(plans, planned(p))
			}
			var sockets []systemd.Socket
			for _, s := range strings.Fields(tt.sockets) {
				sockets = append(sockets, handed(t, s))
			}
			taken, err := take(plans, sockets)
			var got []string
			for i := range plans {
				if taken[i] == nil {
					got = append(got, "-")
				} else {
					got = append(got, taken[i].Addr().String())
				}
			}
			if text := strings.Join(got, " "); text != tt.want {
				t.Errorf("taken are %q, want %q", text, tt.want)
			}
			if (err == nil) != (len(tt.errs) == 0) {
				t.Fatalf("error %v, want %q", err, tt.errs)
			}
			for _, want := range tt.errs {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q: %v", want, err)
				}
			}
		})
	}
}

// TestTheDirectoryOfASocketIsMade is for /run/homing, which is gone after each
// start of the machine.
func TestTheDirectoryOfASocketIsMade(t *testing.T) {
	dir, err := os.MkdirTemp("", "homing") // t.TempDir can be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	l, err := listenAt(config.Address{Network: "unix", Address: filepath.Join(dir, "homing", "submit.sock")}, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	deep := config.Address{Network: "unix", Address: filepath.Join(dir, "a", "b", "submit.sock")}
	if _, err := listenAt(deep, 0o666); err == nil || !strings.Contains(explainListen("local", deep, err).Error(), "the directory above that of") {
		t.Errorf("two directories are missing: %v", err)
	}
}
