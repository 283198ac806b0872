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

// write makes every file. The configuration comes last: where it is, all of it
// is there. Keys that are there already are used.
func (f *founding) write() error {
	dir := filepath.Dir(f.path)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("making the directory of the configuration: %w (run it with sudo, or choose another place with --config)", err)
	}
	text, err := f.text()
	if err != nil {
		return err
	}
	makers := []struct {
		name string
		make func() ([]byte, error)
	}{
		{rsaFile, rsaKey}, {ed25519File, ed25519Key}, {verpFile, verpKey},
		{smarthostFile, func() ([]byte, error) { return []byte(f.Password + "\n"), nil }},
		{filepath.Base(f.path), func() ([]byte, error) { return text, nil }},
	}
	for _, m := range makers {
		if m.name == smarthostFile && f.Username == "" {
			continue
		}
		if err := keep(filepath.Join(dir, m.name), m.make); err != nil {
			return err
		}
	}
	return syncDir(dir)
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
	return share(path)
}

// share lets the user that the service runs as read a file, where there is one.
func share(path string) error {
	group, err := user.LookupGroup("homing")
	if err != nil || os.Geteuid() != 0 {
		return nil
	}
	gid, err := strconv.Atoi(group.Gid)
	if err != nil {
		return err
	}
	return errors.Join(os.Chown(path, 0, gid), os.Chmod(path, 0o640))
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
	switch {
	case f.Far:
		f.App.Password = rand.Text()
	default:
		f.App.Networks = []string{"127.0.0.1/32", "::1/128"}
		if _, err := user.Lookup("www-data"); err == nil {
			f.App.Users = []string{"www-data"}
		}
	}
	if f.App.Kind == string(config.CiviCRM) {
		f.App.Sinks = []string{"bounces"}
	}
	var b bytes.Buffer
	err := foundingFile.Execute(&b, struct {
		*founding
		Hash             string
		RSA, Ed25519     string
		VERP, SecretFile string
	}{f, passwordHash(f.App.Password), rsaFile, ed25519File, verpFile, smarthostFile})
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
