package main

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/template"

	_ "embed"

	"homing/config"
	"homing/internal/password"
)

//go:embed founding.toml
var foundingText string

// foundingFile is homing.toml as `homing init` writes it.
var foundingFile = template.Must(template.New("homing.toml").Funcs(template.FuncMap{
	"quote": strconv.Quote,
	"list": func(values []string) string {
		quoted := make([]string, len(values))
		for i, v := range values {
			quoted[i] = strconv.Quote(v)
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	},
}).Parse(foundingText))

// What the files are called that homing.toml names.
const (
	rsaFile       = "dkim-rsa.pem"
	ed25519File   = "dkim-ed25519.pem"
	verpFile      = "verp-1.key"
	smarthostFile = "smarthost-password"
)

// foundingMaildir is where CiviCRM finds what bounced.
const foundingMaildir = "/var/mail/civi"

// acmeWebroot is the directory that another web server serves the answers for
// the authority from.
const acmeWebroot = "/var/lib/homing-acme"

// serviceUser is the user, and the group, that the service runs as.
const serviceUser = "homing"

// arrange decides what was not asked: where the server listens, how the
// application is known, and who tells it.
func (f *founding) arrange() {
	f.SMTP, f.HTTP, f.Submission = []string{":25"}, []string{f.near(apiPort, 18025)}, []string{f.near(submissionPort, 1587)}
	if p := f.busy(smtpPort); p != nil && p.near() && !p.homing() {
		if at := f.listenAddresses(); len(at) > 0 {
			f.SMTP = at
		}
	}
	f.App.Networks = []string{"127.0.0.1/32", "::1/128"}
	if _, err := user.Lookup("www-data"); err == nil {
		f.App.Users = []string{"www-data"}
	}
	if f.Far {
		f.Submission, f.App.Networks, f.App.Users, f.App.Password = []string{":587"}, nil, nil, rand.Text()
		if f.busy(80) != nil {
			f.Webroot = acmeWebroot
		}
	}
	if f.App.Kind == string(config.CiviCRM) {
		f.App.Sinks = []string{"bounces"}
	}
}

// busy is a port that another program has; nil: it is free.
func (f *founding) busy(port int) *busyPort {
	i := slices.IndexFunc(f.around.ports, func(b busyPort) bool { return b.port == port })
	if i < 0 {
		return nil
	}
	return &f.around.ports[i]
}

// homing reports whether a server of ours runs here already.
func (b busyPort) homing() bool { return b.program == "homing" }

// near is the address on loopback for a port, or for another one where that is
// taken.
func (f *founding) near(port, otherwise int) string {
	if p := f.busy(port); p != nil && p.has(loopback4) && !p.homing() {
		port = otherwise
	}
	return netip.AddrPortFrom(loopback4, uint16(port)).String()
}

// listenAddresses are those that mail comes in at, where loopback is somebody
// else's.
func (f *founding) listenAddresses() (all []string) {
	at := slices.Clone(f.around.public)
	for _, a := range f.around.leaving {
		if !slices.ContainsFunc(f.around.public, func(p netip.Addr) bool { return p.Is4() == a.Is4() }) {
			at = append(at, a) // NAT is in front of it
		}
	}
	for _, a := range at {
		all = append(all, netip.AddrPortFrom(a, smtpPort).String())
	}
	return all
}

// mistakes says which of the answers the configuration cannot have, before
// anything is written.
func (f *founding) mistakes() error {
	trial := *f
	trial.arrange()
	text, err := trial.text()
	if err != nil {
		return err
	}
	_, problems := config.Parse(text, filepath.Dir(f.path))
	for _, p := range problems {
		if flag, ok := saidWith[p.Key]; ok && !p.Warning {
			return fmt.Errorf("%s: %s", flag, p.Message)
		}
	}
	return nil
}

// saidWith is how `homing init` is told the value of a key. The others are its
// own: their files are not there yet.
var saidWith = map[string]string{
	"hostname": "--hostname", "postmaster": "--postmaster", "data_dir": "--data-dir", "domain.name": "the domain", "domain.return_path": "--return-domain",
	"route.address": "--return-domain", "application.name": "--app", "application.kind": "--kind", "delivery.public_addresses": "--address",
	"delivery.source_addresses": "--address", "delivery.smarthost.address": "--smarthost", "delivery.smarthost.username": "--smarthost-user",
}

// write makes every file. The configuration comes last: where it is, all of it
// is there. Keys that are there already are used.
func (f *founding) write() error {
	dir := filepath.Dir(f.path)
	if err := f.makeDir(dir); err != nil {
		return err
	}
	text, err := f.text()
	if err != nil {
		return err
	}
	if f.Password != "" && f.Username != "" { // what an earlier try left may be wrong
		if err := replaceSecret(filepath.Join(dir, smarthostFile), f.Password+"\n"); err != nil {
			return err
		}
	}
	makers := []struct {
		name string
		make func() ([]byte, error)
	}{
		{rsaFile, rsaKey}, {ed25519File, ed25519Key}, {verpFile, verpKey},
		{filepath.Base(f.path), func() ([]byte, error) { return text, nil }},
	}
	for _, m := range makers {
		if err := keep(filepath.Join(dir, m.name), m.make); err != nil {
			return err
		}
	}
	return syncDir(dir)
}

// makeDir makes the directory of the configuration, which the service may
// enter. One that is there stays as it is.
func (f *founding) makeDir(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("making the directory of the configuration: %w", err)
	}
	return share(dir, 0o750)
}

// hasSecret reports whether the password of the smarthost is there from an
// earlier try.
func (f *founding) hasSecret() bool {
	text, err := os.ReadFile(filepath.Join(filepath.Dir(f.path), smarthostFile))
	return err == nil && len(bytes.TrimSpace(text)) > 0
}

func replaceSecret(path, text string) error {
	if err := writeFile(path, []byte(text), nil); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return share(path, 0o640)
}

// keep makes a file for the server alone, unless it is there.
func keep(path string, makeIt func() ([]byte, error)) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	text, err := makeIt()
	if err != nil {
		return fmt.Errorf("making %s: %w", path, err)
	}
	if err := writeFile(path, text, nil); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return share(path, 0o640)
}

// share lets the user that the service runs as read a file, where there is one.
func share(path string, mode fs.FileMode) error {
	gid, ok := serviceGroup()
	if !ok || os.Geteuid() != 0 {
		return nil
	}
	return errors.Join(os.Chown(path, 0, gid), os.Chmod(path, mode))
}

// serviceGroup is the group that the service runs in.
func serviceGroup() (gid int, ok bool) {
	group, err := user.LookupGroup(serviceUser)
	if err != nil {
		return 0, false
	}
	gid, err = strconv.Atoi(group.Gid)
	return gid, err == nil
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// text is homing.toml.
func (f *founding) text() ([]byte, error) {
	var b bytes.Buffer
	err := foundingFile.Execute(&b, struct {
		*founding
		Hash                      string
		RSA, Ed25519              string
		VERP, SecretFile, Maildir string
	}{f, passwordHash(f.App.Password), rsaFile, ed25519File, verpFile, smarthostFile, foundingMaildir})
	return b.Bytes(), err
}

func passwordHash(p string) string {
	if p == "" {
		return ""
	}
	return password.Make(p)
}

// IPs are the public addresses in words.
func (f *founding) IPs() (all []string) {
	for _, a := range f.Addresses {
		all = append(all, a.String())
	}
	slices.Sort(all)
	return all
}

func rsaKey() ([]byte, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	return pkcs8(key)
}

func ed25519Key() ([]byte, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return pkcs8(key)
}

func pkcs8(key crypto.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), err
}

func verpKey() ([]byte, error) {
	secret := make([]byte, 32)
	rand.Read(secret) // never fails
	return []byte(hex.EncodeToString(secret) + "\n"), nil
}
