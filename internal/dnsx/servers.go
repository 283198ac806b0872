package dnsx

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	resolvConf = "/etc/resolv.conf"
	// reread is how often the file's time is looked at. A server may start
	// before the network has told it whom to ask.
	reread = 5 * time.Second
)

// servers knows whom to ask: always the same, or what resolv.conf(5) says.
type servers struct {
	fixed []string
	path  string
	now   func() time.Time

	mu       sync.Mutex
	found    []string
	checked  time.Time
	modified time.Time
}

// list is never empty: without any word, the resolver is on this machine.
func (s *servers) list() []string {
	if len(s.fixed) > 0 {
		return s.fixed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.now(); s.checked.IsZero() || now.Sub(s.checked) >= reread {
		s.checked = now
		s.refresh()
	}
	if len(s.found) == 0 {
		return []string{"127.0.0.1:53"}
	}
	return s.found
}

// refresh keeps what it knows when the file cannot be read or names nobody.
func (s *servers) refresh() {
	info, err := os.Stat(s.path)
	if err != nil || info.ModTime().Equal(s.modified) {
		return
	}
	conf, err := dns.ClientConfigFromFile(s.path)
	if err != nil || len(conf.Servers) == 0 {
		return
	}
	s.modified = info.ModTime()
	s.found = nil
	for _, host := range conf.Servers {
		s.found = append(s.found, net.JoinHostPort(host, conf.Port))
	}
}

// withPorts checks configured servers and adds port 53 where none is given.
func withPorts(list []string) ([]string, error) {
	var out []string
	for _, s := range list {
		if addr, err := netip.ParseAddr(s); err == nil {
			s = netip.AddrPortFrom(addr, 53).String()
		}
		if _, err := netip.ParseAddrPort(s); err != nil {
			return nil, fmt.Errorf("dns server %q is no address such as 127.0.0.1:53", s)
		}
		out = append(out, s)
	}
	return out, nil
}
