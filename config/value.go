package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"time"

	"homing/internal/duration"
)

const day = 24 * time.Hour

// An Address is a place to listen at or to call, as package net wants it.
type Address struct {
	Network string // "tcp" or "unix"; "": no address
	Address string // ":25", "127.0.0.1:587", "/run/homing/submit.sock"
}

// IsZero reports whether there is no address.
func (a Address) IsZero() bool { return a == Address{} }

// String gives the address as it stands in the file.
func (a Address) String() string {
	if a.Network == "unix" {
		return "unix:" + a.Address
	}
	return a.Address
}

// MarshalText gives the address as it stands in the file.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// Host is what stands before the port; "" for every address and for a Unix
// socket.
func (a Address) Host() string {
	host, _, _ := net.SplitHostPort(a.Address)
	return host
}

// Port is the number behind the colon; 0 for a Unix socket.
func (a Address) Port() int {
	_, port, _ := net.SplitHostPort(a.Address)
	n, _ := strconv.Atoi(port)
	return n
}

// Private reports whether only this machine and its own networks can reach
// the address: a Unix socket, loopback, private (RFC 1918, RFC 4193) or
// link-local.
func (a Address) Private() bool {
	if a.Network == "unix" {
		return true
	}
	ip, err := netip.ParseAddr(a.Host())
	return err == nil && private(ip)
}

// Loopback reports whether only this machine can reach the address.
func (a Address) Loopback() bool {
	if a.Network == "unix" {
		return true
	}
	ip, err := netip.ParseAddr(a.Host())
	return err == nil && ip.Unmap().IsLoopback()
}

func private(ip netip.Addr) bool {
	ip = ip.Unmap()
	return ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast()
}

// A Size is a number of octets.
type Size int64

// String gives the size as the file would have it.
func (s Size) String() string {
	for _, u := range sizeUnits {
		if s != 0 && s%u.octets == 0 {
			return fmt.Sprintf("%d%s", s/u.octets, u.name)
		}
	}
	return "0B"
}

var sizeUnits = []struct {
	name   string
	octets Size
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// leastReserve is what a reserve in per cent never falls below.
const leastReserve = 256 << 20

// A Reserve is disk space to leave free: a share or a size.
type Reserve struct {
	Percent float64 // 0: Octets counts
	Octets  Size
}

// Of is the reserve in octets on a disk of that many: a size as it is, a share
// never less than 256 MiB.
func (r Reserve) Of(disk uint64) uint64 {
	if r.Percent == 0 {
		return uint64(r.Octets)
	}
	return max(uint64(float64(disk)*r.Percent/100), leastReserve)
}

// A Rate is so many in a time. The zero Rate is no limit.
type Rate struct {
	Count int
	Per   time.Duration
}

// PerSecond gives the rate as a number; 0 for no limit.
func (r Rate) PerSecond() float64 {
	if r.Per == 0 {
		return 0
	}
	return float64(r.Count) / r.Per.Seconds()
}

// A Secret is read from a file and never shown: it prints as "(secret)".
type Secret string

// Reveal gives the secret itself, without the line end of its file.
func (s Secret) Reveal() string { return string(s) }

// Format keeps the secret out of everything that package fmt makes.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, "(secret)") }

// MarshalJSON keeps the secret out of JSON.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal("(secret)") }

// A scalar is a type of value that stands in quotes.
type scalar struct {
	example string
	parse   func(string) (any, error) // its error says what is wrong and what to write instead
}

// scalars are the types whose text is more than text.
var scalars = map[reflect.Type]*scalar{
	reflect.TypeFor[Address]():       as("127.0.0.1:587", parseAddress),
	reflect.TypeFor[Size]():          as("25MiB", parseSize),
	reflect.TypeFor[Reserve]():       as("5%", parseReserve),
	reflect.TypeFor[Rate]():          as("20/s", parseRate),
	reflect.TypeFor[time.Duration](): as("5d", duration.Parse),
	reflect.TypeFor[netip.Prefix]():  as("127.0.0.1/32", parsePrefix),
	reflect.TypeFor[netip.Addr]():    as("203.0.113.10", parseIP),
}

func as[T any](example string, parse func(string) (T, error)) *scalar {
	return &scalar{example, func(s string) (any, error) { return parse(s) }}
}

func parseAddress(s string) (Address, error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		if path == "" {
			return Address{}, errors.New(`has no path behind "unix:"; write "unix:/run/homing/NAME.sock"`)
		}
		return Address{"unix", path}, nil
	}
	if filepath.IsAbs(s) {
		return Address{}, fmt.Errorf(`%q is a path; write %q`, s, "unix:"+s)
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return Address{}, fmt.Errorf(`%q is not an address with a port; write it like "127.0.0.1:587" or "[2001:db8::1]:25"`, s)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return Address{}, fmt.Errorf(`%q has no port from 0 to 65535 behind the colon; write it like "127.0.0.1:587"`, s)
	}
	return Address{"tcp", net.JoinHostPort(host, strconv.FormatUint(n, 10))}, nil
}

func parseSize(s string) (Size, error) {
	digits := strings.TrimRight(s, "BKMGTi")
	n, err := strconv.ParseInt(digits, 10, 64)
	for _, u := range sizeUnits {
		if err == nil && s[len(digits):] == u.name && n >= 0 && n <= math.MaxInt64/int64(u.octets) {
			return Size(n) * u.octets, nil
		}
	}
	return 0, fmt.Errorf(`%q is not a size; write a whole number with B, KiB, MiB or GiB, like "25MiB"`, s)
}

func parseReserve(s string) (Reserve, error) {
	digits, isShare := strings.CutSuffix(s, "%")
	if !isShare {
		octets, err := parseSize(s)
		if err != nil {
			return Reserve{}, fmt.Errorf(`%q is neither a share nor a size; write it like "5%%" or "2GiB"`, s)
		}
		return Reserve{Octets: octets}, nil
	}
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil || !(n > 0 && n <= 90) {
		return Reserve{}, fmt.Errorf(`%q is not a share of more than 0%% and at most 90%%; write it like "5%%"`, s)
	}
	return Reserve{Percent: n}, nil
}

func parseRate(s string) (Rate, error) {
	count, per, _ := strings.Cut(s, "/")
	n, err := strconv.ParseUint(count, 10, 31)
	unit := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}[per]
	if err != nil || n == 0 || unit == 0 {
		return Rate{}, fmt.Errorf(`%q is not a rate; write a number of recipients with /s, /m or /h, like "20/s"`, s)
	}
	return Rate{int(n), unit}, nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	if ip, err := netip.ParseAddr(s); err == nil && ip.Zone() == "" {
		ip = ip.Unmap()
		return netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf(`%q is not a network; write it like "127.0.0.1/32", "10.0.0.0/8" or "fd00::/8"`, s)
	}
	if p != p.Masked() {
		return netip.Prefix{}, fmt.Errorf("%q names one address and a whole network; write %q for the network or %q for the address",
			s, p.Masked(), netip.PrefixFrom(p.Addr(), p.Addr().BitLen()))
	}
	return p, nil
}

func parseIP(s string) (netip.Addr, error) {
	ip, err := netip.ParseAddr(s)
	if err != nil || ip.Zone() != "" || ip.IsUnspecified() {
		return netip.Addr{}, fmt.Errorf(`%q is not the address of a machine; write it like "203.0.113.10" or "2001:db8::10"`, s)
	}
	return ip.Unmap(), nil
}
