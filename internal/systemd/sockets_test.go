package systemd

import (
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
)

// file gives the file of a listener, as the service manager hands it over.
func file(t *testing.T, l interface{ File() (*os.File, error) }, name string) *os.File {
	t.Helper()
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), name)
}

func TestASocketThatIsHandedOverTakesConnections(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	all, err := listenersOf([]*os.File{file(t, l.(*net.TCPListener), "smtp")})
	if err != nil || len(all) != 1 || all[0].Name != "smtp" || all[0].Addr().String() != l.Addr().String() {
		t.Fatalf("%+v, %v", all, err)
	}
	l.Close()
	defer all[0].Close()
	c, err := net.Dial("tcp", all[0].Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	in, err := all[0].Accept()
	if err != nil {
		t.Fatal(err)
	}
	in.Close()
}

func TestASocketWithoutConnectionsIsAnError(t *testing.T) {
	p, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	all, err := listenersOf([]*os.File{file(t, l.(*net.TCPListener), "smtp"), file(t, p.(*net.UDPConn), "syslog")})
	if len(all) > 0 || err == nil || !strings.Contains(err.Error(), "syslog") || !strings.Contains(err.Error(), "ListenStream=") {
		t.Errorf("%+v, %v", all, err)
	}
	l.Close()
	if c, err := net.Dial("tcp", l.Addr().String()); err == nil {
		c.Close()
		t.Error("the other one is still open")
	}
}
