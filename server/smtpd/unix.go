package smtpd

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"
)

// ErrInUse says that another process listens on a socket file.
var ErrInUse = errors.New("smtpd: another process listens there")

// maxSocketPath is the longest path of a Unix socket in octets (unix(7)).
const maxSocketPath = 107

// ListenUnix listens on the socket file path with the permissions mode, which
// no moment exceeds. A socket file that nobody answers on is taken away first;
// one that is in use gives ErrInUse, and any other file an error. The file goes
// when the listener is closed.
func ListenUnix(path string, mode fs.FileMode) (net.Listener, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("socket %s: path has %d octets, at most %d are possible", path, len(path), maxSocketPath)
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	l, err := listenMode(path, mode)
	if err != nil {
		return nil, fmt.Errorf("listening on socket %s: %w", path, err)
	}
	// What the umask took is given back.
	if err := os.Chmod(path, mode); err != nil {
		return nil, errors.Join(fmt.Errorf("permissions of socket %s: %w", path, err), l.Close())
	}
	return l, nil
}

// removeStale takes away a socket file whose process is gone.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("socket %s: %w", path, err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("socket %s: a file that is no socket is in the way", path)
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = c.Close() // it was only a question
		return fmt.Errorf("socket %s: %w", path, ErrInUse)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("socket %s: asking whether it is in use: %w", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("stale socket %s: %w", path, err)
	}
	return nil
}
