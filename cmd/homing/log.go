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
	"regexp"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"

	"homing/config"
	"homing/internal/terminal"
)

// newLogger makes the server's log: text on a terminal, JSON otherwise, with
// people's addresses as the configuration wants them. The handlers quote what
// a terminal would obey.
func newLogger(w io.Writer, c config.Log) *slog.Logger {
	if guarded, ok := w.(*terminal.Writer); ok {
		w = guarded.W // which may be a terminal
	}
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
	if a.Value.Kind() != slog.KindAny {
		return a // Any would make a copy on the heap, of every attribute of every line
	}
	if peer, ok := a.Value.Any().(net.Addr); ok {
		a.Value = slog.StringValue(peer.String())
	}
	return a
}

// addressLike finds what may be somebody's address in a text: an error, what a
// server said.
var addressLike = regexp.MustCompile(`(?:"(?:[^"\\]|\\.)*"|[^\s<>"(),;:@\[\]]+)@[^\s<>"(),;:@]+`)

// addressesAs rewrites addresses: the whole value of the keys that are for
// them, and what looks like one in every other text.
func addressesAs(how config.LogAddresses) func([]string, slog.Attr) slog.Attr {
	rewrite := map[config.LogAddresses]func(string) string{config.LogMasked: masked, config.LogHashed: hashed()}[how]
	if rewrite == nil {
		return func(_ []string, a slog.Attr) slog.Attr { return a }
	}
	return func(_ []string, a slog.Attr) slog.Attr {
		a.Value = a.Value.Resolve()
		switch kind := a.Value.Kind(); {
		case a.Key == "rcpt", a.Key == "from":
			a.Value = slog.StringValue(rewrite(a.Value.String()))
		case kind == slog.KindString, kind == slog.KindAny:
			if text := a.Value.String(); strings.Contains(text, "@") {
				a.Value = slog.StringValue(addressLike.ReplaceAllStringFunc(text, rewrite))
			}
		}
		return a
	}
}

// masked leaves the first letter and the domain: "a***@example.net".
func masked(address string) string {
	at := strings.LastIndexByte(address, '@')
	if at <= 0 {
		return address
	}
	_, first := utf8.DecodeRuneInString(address)
	return address[:first] + "***" + address[at:]
}

// hashed makes the same address recognisable within one run, and no further.
func hashed() func(string) string {
	var key [32]byte
	rand.Read(key[:]) // never fails (crypto/rand)
	return func(address string) string {
		if address == "" {
			return ""
		}
		h := hmac.New(sha256.New, key[:])
		h.Write([]byte(strings.ToLower(address)))
		return hex.EncodeToString(h.Sum(nil)[:8])
	}
}
