package main

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"os"
	"strings"

	"golang.org/x/term"

	"homing/config"
)

// newLogger makes the server's log: text on a terminal, JSON otherwise, with
// people's addresses as the configuration wants them.
func newLogger(w io.Writer, c config.Log) *slog.Logger {
	o := &slog.HandlerOptions{ReplaceAttr: addressesAs(c.Addresses)}
	if c.Format == config.LogText || c.Format == config.LogAuto && isTerminal(w) {
		return slog.New(slog.NewTextHandler(w, o))
	}
	return slog.New(slog.NewJSONHandler(w, o))
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// addressesAs rewrites the only keys under which addresses are logged.
func addressesAs(how config.LogAddresses) func([]string, slog.Attr) slog.Attr {
	rewrite := map[config.LogAddresses]func(string) string{config.LogMasked: masked, config.LogHashed: hashed()}[how]
	if rewrite == nil {
		return nil
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
