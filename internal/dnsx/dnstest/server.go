package dnstest

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"homing/internal/dnsx"
)

// A Server answers from a Zone over UDP and TCP, as a recursive resolver
// does. Its methods may be called from many goroutines.
type Server struct {
	Addr string // "127.0.0.1:40053", for dnsx.Options.Servers

	zone atomic.Pointer[Zone]
	udp  net.PacketConn
	tcp  net.Listener

	mu    sync.Mutex
	asked map[string]int
}

// Listen opens one port of an address ("127.0.0.1:0" for any free one) for UDP
// and TCP. Nothing is answered before Run.
func Listen(address string, z *Zone) (*Server, error) {
	var errs error
	for range 10 { // the port that is free for TCP may be taken for UDP
		tcp, err := net.Listen("tcp", address)
		if err != nil {
			return nil, err
		}
		udp, err := net.ListenPacket("udp", tcp.Addr().String())
		if err == nil {
			s := &Server{Addr: tcp.Addr().String(), udp: udp, tcp: tcp, asked: map[string]int{}}
			s.zone.Store(z)
			return s, nil
		}
		errs = errors.Join(errs, err, tcp.Close())
	}
	return nil, errs
}

// Change replaces the world. Answers that clients keep stay as they were.
func (s *Server) Change(z *Zone) { s.zone.Store(z) }

// Asked says how often a question was put, over UDP and TCP together: name in
// lower case without final dot, type as in "MX".
func (s *Server) Asked(name, qtype string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[qtype+" "+name]
}

// Run answers until ctx is cancelled and then returns nil. No goroutine
// outlives it. It is called once.
func (s *Server) Run(ctx context.Context) error {
	// What waits in a slow answer ends with its own context.
	work, cut := context.WithCancel(ctx)
	defer cut()
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) { s.serve(work, w, q) })
	servers := []*dns.Server{{PacketConn: s.udp, Handler: handler}, {Listener: s.tcp, Handler: handler}}
	var started, running sync.WaitGroup
	errs := make([]error, len(servers))
	for i, server := range servers {
		started.Add(1)
		begun := sync.OnceFunc(started.Done)
		server.NotifyStartedFunc = begun
		running.Go(func() {
			errs[i] = server.ActivateAndServe()
			begun()
			cut()
		})
	}
	started.Wait()
	<-work.Done()
	for _, server := range servers {
		// An error says that this one has ended by itself; errs has it.
		_ = server.Shutdown()
	}
	running.Wait()
	return errors.Join(errs...)
}

// serve answers one question.
func (s *Server) serve(ctx context.Context, w dns.ResponseWriter, q *dns.Msg) {
	z := s.zone.Load()
	name := strings.ToLower(strings.TrimSuffix(q.Question[0].Name, "."))
	name = strings.ReplaceAll(name, `\ `, " ")
	s.mu.Lock()
	s.asked[dns.TypeToString[q.Question[0].Qtype]+" "+name]++
	s.mu.Unlock()

	m := new(dns.Msg).SetReply(q)
	m.RecursionAvailable = true
	_, tcp := w.RemoteAddr().(*net.TCPAddr)
	if z.Lies[name] && !tcp {
		lie(w, q)
	}
	switch {
	case z.Truncate[name] && !tcp:
		m.Truncated = true
	case !z.reply(ctx, m, name):
		return
	case !tcp:
		size := dns.MinMsgSize
		if opt := q.IsEdns0(); opt != nil {
			size = int(opt.UDPSize())
		}
		m.Truncate(size)
	}
	_ = w.WriteMsg(m) // the asker may be gone
}

// lie sends what an attacker would who has guessed all but one thing.
func lie(w dns.ResponseWriter, q *dns.Msg) {
	forged := func(change func(*dns.Msg)) {
		m := new(dns.Msg).SetReply(q)
		m.RecursionAvailable = true
		change(m)
		for _, text := range []string{" 600 IN A 192.0.2.66", " 600 IN MX 1 forged.example.", ` 600 IN TXT "forged"`} {
			if rr, err := dns.NewRR(q.Question[0].Name + text); err == nil {
				m.Answer = append(m.Answer, rr)
			}
		}
		_ = w.WriteMsg(m)
	}
	forged(func(m *dns.Msg) { m.Id++ })
	forged(func(m *dns.Msg) { m.Question[0].Name = "forged.example." })
	forged(func(m *dns.Msg) { m.Question[0].Qtype++ })
	forged(func(m *dns.Msg) { m.Response = false })
	_, _ = w.Write([]byte("nonsense, but longer than a header"))
	_, _ = w.Write(nil)
}

// reply fills m with what the world says; false: nothing is ever said.
func (z *Zone) reply(ctx context.Context, m *dns.Msg, name string) bool {
	qtype := m.Question[0].Qtype
	signed := true
	for hops := 0; hops < 20; hops++ {
		if z.Silent[name] || z.wait(ctx, name) != nil {
			return false
		}
		if z.Down[name] {
			m.Rcode = dns.RcodeServerFailure
			return true
		}
		signed = signed && z.Signed[name]
		next, alias := z.CNAMEs[name]
		if !alias {
			break
		}
		m.Answer = append(m.Answer, &dns.CNAME{Hdr: z.header(name, dns.TypeCNAME), Target: dns.Fqdn(next)})
		name = next
	}
	m.AuthenticatedData = signed && m.Rcode == dns.RcodeSuccess
	records := z.records(name, qtype)
	m.Answer = append(m.Answer, records...)
	if len(records) == 0 {
		m.Ns = []dns.RR{z.soa()}
		if qtype == dns.TypePTR || !z.exists(name) {
			m.Rcode = dns.RcodeNameError
		}
	}
	return true
}

func (z *Zone) header(name string, qtype uint16) dns.RR_Header {
	return dns.RR_Header{Name: dns.Fqdn(name), Rrtype: qtype, Class: dns.ClassINET, Ttl: z.ttl()}
}

func (z *Zone) ttl() uint32 {
	if z.TTL == 0 {
		return 60
	}
	return uint32(z.TTL / time.Second)
}

// soa says how long what does not exist may be remembered.
func (z *Zone) soa() dns.RR {
	h := z.header(".", dns.TypeSOA)
	return &dns.SOA{Hdr: h, Ns: "ns.test.", Mbox: "hostmaster.test.", Serial: 1, Refresh: 60, Retry: 60, Expire: 60, Minttl: z.ttl()}
}

// records gives what a name has of one type.
func (z *Zone) records(name string, qtype uint16) (out []dns.RR) {
	h := z.header(name, qtype)
	switch qtype {
	case dns.TypeMX:
		for _, mx := range z.MXs[name] {
			out = append(out, &dns.MX{Hdr: h, Mx: dns.Fqdn(mx.Host), Preference: mx.Preference})
		}
	case dns.TypeA, dns.TypeAAAA:
		for _, a := range z.Hosts[name] {
			if a.Is4() && qtype == dns.TypeA {
				out = append(out, &dns.A{Hdr: h, A: a.AsSlice()})
			} else if a.Is6() && qtype == dns.TypeAAAA {
				out = append(out, &dns.AAAA{Hdr: h, AAAA: a.AsSlice()})
			}
		}
	case dns.TypeTXT:
		for _, text := range z.TXTs[name] {
			out = append(out, &dns.TXT{Hdr: h, Txt: cut(text)})
		}
	case dns.TypeTLSA:
		for _, t := range z.TLSAs[name] {
			out = append(out, &dns.TLSA{Hdr: h, Usage: t.Usage, Selector: t.Selector, MatchingType: t.Matching, Certificate: hex.EncodeToString(t.Data)})
		}
	case dns.TypePTR:
		for addr, names := range z.PTRs {
			if arpa, err := dns.ReverseAddr(addr.String()); err != nil || arpa != dns.Fqdn(name) {
				continue
			}
			for _, n := range names {
				out = append(out, &dns.PTR{Hdr: h, Ptr: dns.Fqdn(n)})
			}
		}
	}
	return out
}

// cut makes strings of at most 255 octets of a text and writes them as in a
// zone file, which is how the library wants them.
func cut(text string) (out []string) {
	for {
		n := min(len(text), 255)
		var b strings.Builder
		for i := range n {
			if c := text[i]; c == '"' || c == '\\' || c < ' ' || c > '~' {
				fmt.Fprintf(&b, "\\%03d", c)
			} else {
				b.WriteByte(c)
			}
		}
		out, text = append(out, b.String()), text[n:]
		if text == "" {
			return out
		}
	}
}

// Client gives a dnsx.Client that asks this server alone, with little
// patience.
func (s *Server) Client(o dnsx.Options) (*dnsx.Client, error) {
	o.Servers = []string{s.Addr}
	if o.Timeout == 0 {
		o.Timeout = time.Second
	}
	return dnsx.New(o)
}
