//go:build linux

package main

import (
	"context"
	"fmt"
	"time"

	"homing/internal/dnsx/dnstest"
	"homing/internal/toynet"
)

const (
	liveHosts = 4  // MXs that the domains share which take mail
	fresh     = 64 // domains that have no mail before their one message
)

// A stage is the toy internet that the server works in, with its holes.
type stage struct {
	*toynet.Net
	scale scale
	holes []*hole
	ended chan error
}

// waiting names a domain of the backlog; the first ones are dead.
func (s scale) waiting(i int) string {
	if n := i % s.domains; n < s.dead {
		return fmt.Sprintf("dead%d.test", n)
	} else {
		return fmt.Sprintf("late%d.test", n)
	}
}

// world is where the backlog is for. The domains that are not dead cannot be
// looked up, which is the quickest way to have their mail put off. Where all
// is to be due after the restart, nobody answers questions about them, so that
// next to nothing is tried before.
func (s scale) world() toynet.World {
	w := toynet.World{Domains: map[string]toynet.Domain{}, Hosts: map[string]toynet.Host{}, Records: dnstest.Zone{Down: map[string]bool{}, Silent: map[string]bool{}},
		Server: toynet.Server{Name: "mail.bench.test", Returns: []string{"bounce.src.test"}, Senders: []string{"src.test"}}}
	host := func(name string, h toynet.Host) []string {
		h.NoTLS = true // what encryption costs is another question
		w.Hosts[name] = h
		return []string{name}
	}
	live := func(i int) []string { return host(fmt.Sprintf("live-mx%d.test", i%liveHosts), toynet.Host{}) }
	for i := range s.domains {
		name := s.waiting(i)
		switch {
		case i < s.dead:
			w.Domains[name] = toynet.Domain{MX: host("mx."+name, toynet.Host{Dead: true})}
		case s.due:
			w.Domains[name] = toynet.Domain{MX: live(i)}
			w.Records.Silent[name] = true
		default:
			w.Records.Down[name] = true
		}
	}
	for i := range fresh {
		w.Domains[freshDomain(i)] = toynet.Domain{MX: live(i)}
	}
	w.Domains[liveDomain] = toynet.Domain{MX: live(0)}
	return w
}

// liveDomain takes all mail.
const liveDomain = "live.test"

func freshDomain(i int) string { return fmt.Sprintf("fresh%d.test", i) }

// open opens the world and digs the holes.
func (s scale) open(ctx context.Context) (*stage, error) {
	net, err := s.world().Open()
	if err != nil {
		return nil, err
	}
	st := &stage{Net: net, scale: s, ended: make(chan error, 1)}
	go func() { st.ended <- net.Run(ctx) }()
	for i := range s.dead {
		h, err := dig(net.HostAddr("mx." + s.waiting(i)).String())
		if err != nil {
			st.close()
			return nil, err
		}
		st.holes = append(st.holes, h)
	}
	return st, nil
}

// answer lets the DNS answer all questions.
func (st *stage) answer() {
	silent := map[string]bool{}
	for i := range st.scale.domains {
		silent[st.scale.waiting(i)] = false
	}
	st.Publish(dnstest.Zone{Silent: silent})
}

func (st *stage) close() {
	for _, h := range st.holes {
		h.close()
	}
}

// at gives a port of the address that the server has in the world.
func (st *stage) at(port int) string {
	return fmt.Sprintf("%s:%d", st.ServerAddr().Addr(), port)
}

// arrived waits until an MX has accepted mail to an address; from is how many
// receipts there were before.
func (st *stage) arrived(ctx context.Context, from int, to string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return st.Receipts.Wait(ctx, func(all []toynet.Receipt) bool {
		for ; from < len(all); from++ {
			if all[from].To == to && all[from].Accepted() {
				return true
			}
		}
		return false
	})
}
