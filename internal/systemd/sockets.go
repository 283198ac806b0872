package systemd

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/coreos/go-systemd/v22/activation"
)

// A Socket is a listener that the service manager has opened.
type Socket struct {
	net.Listener
	Name string // FileDescriptorName= of its unit, or the name of that
}

// Inherit takes the sockets that the service manager hands over
// (sd_listen_fds(3)); a second call gives none. One that nobody can be accepted
// at is an error, and all are closed.
func Inherit() ([]Socket, error) { return listenersOf(activation.Files(true)) }

// listenersOf makes listeners of files, and closes the files.
func listenersOf(files []*os.File) (all []Socket, err error) {
	for _, f := range files {
		l, e := net.FileListener(f)
		if e != nil {
			err = errors.Join(err, fmt.Errorf("the service manager hands over %s, which is no listener for connections: make it ListenStream= in its unit: %w", f.Name(), e))
		} else {
			all = append(all, Socket{l, f.Name()})
		}
		if e := f.Close(); e != nil {
			err = errors.Join(err, e)
		}
	}
	if err != nil {
		for _, s := range all {
			s.Close() // nobody has it
		}
		return nil, err
	}
	return all, nil
}
