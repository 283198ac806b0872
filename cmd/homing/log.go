package main

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"

	"golang.org/x/term"

	"homing/config"
)

// newLogger makes the server's log: text on a terminal, JSON otherwise, with
// people's addresses as the configuration wants them.
func newLogger(w io.Writer, c config.Log) *slog.Logger {
	people := addressesAs(c.Addresses)
	o := &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr { return people(groups, spelled(a)) }}
	if c.Format == config.LogText || c.Format == config.LogAuto && isTerminal(w) {
		return slog.New(slog.NewTextHandler(w, o))
	}
	return slog.New(slog.NewJSONHandler(w, o))
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// spelled writes the address of a peer as text, which JSON would take apart.
func spelled(a slog.Attr) slog.Attr {
	if peer, ok := a.Value.Any().(net.Addr); ok {
		a.Value = slog.StringValue(peer.String())
	}
	return a
}

// addressesAs rewrites the only keys under which addresses are logged.
func addressesAs(how config.LogAddresses) func([]string, slog.Attr) slog.Attr {
	rewrite := map[config.LogAddresses]func(string) string{config.LogMasked: masked, config.LogHashed: hashed()}[how]
	if rewrite == nil {
		return func(_ []string, a slog.Attr) slog.Attr { return a }
	}
	return func(_ []string, a slog.Attr) slog.Attr {
		if (a.Key == "rcpt" || a.Key == "from") && a.Value.Kind() == slog.KindString {
			a.Value = slog.StringValue(rewrite(a.Value.String()))
		}
		return a
	}
}

// masked leaves the first letter and the domain: "a***@example.net".
func masked(address string) string {
	local, domain, ok := strings.Cut(address, "@")
	if !ok || local == "" {
		return address
	}
	return local[:1] + "***@" + domain
}

// hashed makes the same address recognisable within one run, and no further.
func hashed() func(string) string {
	var key [32]byte
	rand.Read(key[:]) // never fails (crypto/rand)
	return func(address string) string {
		h := hmac.New(sha256.New, key[:])
		h.Write([]byte(strings.ToLower(address)))
		return hex.EncodeToString(h.Sum(nil)[:8])
	}
}
