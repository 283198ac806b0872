package smtpd

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// socketDir gives a directory whose path leaves room for the name of a socket.
func socketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func TestUnixSocketKnowsItsPeer(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("peer credentials are read on Linux only")
	}
	path := filepath.Join(socketDir(t), "s")
	l, err := ListenUnix(path, 0o660)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("the socket file: %v, %v", info, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	b := &accepting{}
	done := make(chan error)
	go func() { done <- New(Options{Hostname: "mx.test", Kind: LMTP}, b).Serve(ctx, l) }()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	if line, err := r.ReadString('\n'); err != nil || line != "220 mx.test LMTP\r\n" {
		t.Errorf("greeted with %q, %v", line, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "421 4.3.2 ") {
		t.Errorf("at the end it says %q, %v", line, err)
	}
	if len(b.conns) != 1 || b.conns[0].UID != os.Getuid() {
		t.Errorf("connections: %+v, want user id %d", b.conns, os.Getuid())
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket file is left: %v", err)
	}
}

func TestListenUnixTakesAwayOnlyWhatIsDead(t *testing.T) {
	path := filepath.Join(socketDir(t), "s")
	first, err := ListenUnix(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ListenUnix(path, 0o600); !errors.Is(err, ErrInUse) {
		t.Errorf("beside a server that lives: %v, want %v", err, ErrInUse)
	}
	first.(*net.UnixListener).SetUnlinkOnClose(false) // as if it had been killed
	_ = first.Close()
	second, err := ListenUnix(path, 0o600)
	if err != nil {
		t.Fatalf("beside the socket of a dead one: %v", err)
	}
	_ = second.Close()
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ListenUnix(path, 0o600); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("over a file: %v", err)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "precious" {
		t.Errorf("the file holds %q, %v", data, err)
	}
}

func TestListenUnixSaysThatAPathIsTooLong(t *testing.T) {
	_, err := ListenUnix("/tmp/"+strings.Repeat("x", 103), 0o600)
	if err == nil || !strings.Contains(err.Error(), "at most 107") {
		t.Errorf("got %v", err)
	}
}
