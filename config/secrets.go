package config

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"homing/internal/password"
)

// maxSecret is the longest secret or key file that is read, in octets.
const maxSecret = 64 << 10

// leastVERPKey is the least number of octets of a key of return addresses.
const leastVERPKey = 32

// A VERPKey signs return addresses.
type VERPKey struct {
	ID     uint8 // 0 to 15, made from the secret: it stays when files are renamed or change places
	File   string
	Secret Secret
}

// ReadVERPKey reads a key of return addresses: at least 32 octets. White space
// around a key that is text does not belong to it.
func ReadVERPKey(path string) (VERPKey, error) {
	data, err := readSmall(path)
	if err != nil {
		return VERPKey{}, err
	}
	if isText(data) {
		data = bytes.TrimSpace(data)
	}
	if len(data) < leastVERPKey {
		return VERPKey{}, fmt.Errorf("the key in %s has %d octets; make one of at least %d with `openssl rand -hex 32`", path, len(data), leastVERPKey)
	}
	sum := sha256.Sum256(data)
	return VERPKey{ID: sum[0] & 15, File: path, Secret: Secret(data)}, nil
}

func isText(data []byte) bool {
	return !bytes.ContainsFunc(data, func(r rune) bool { return r > '~' || r < ' ' && r != '\n' && r != '\r' && r != '\t' })
}

// readSmall reads a regular file. Its error is a sentence that names the file
// and what to do.
func readSmall(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file; name the file itself", path)
	}
	var data []byte
	if err == nil {
		data, err = readAtMost(path, maxSecret)
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%s may not be read by this user; run this as the user that the server runs as, or change the owner of the file", path)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no file %s; make it, or correct the path", path)
	case err != nil:
		return nil, fmt.Errorf("%s cannot be read (%w); correct the path", path, errors.Unwrap(err))
	case len(data) > maxSecret:
		return nil, fmt.Errorf("%s is longer than 64 KiB; name the right file", path)
	}
	return data, nil
}

func readAtMost(path string, octets int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, octets+1))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// secret reads the secret that the key at a path names a file for. It is ""
// when there is none.
func (c *checker) secret(file, path string) Secret {
	if file == "" {
		return ""
	}
	data, err := readSmall(file)
	if err != nil {
		c.errorf(path, "%v", err)
		return ""
	}
	c.guarded(file, path)
	data = bytes.TrimSuffix(bytes.TrimSuffix(data, []byte("\n")), []byte("\r"))
	if len(data) == 0 {
		c.errorf(path, "%s is empty; write the secret into it", file)
	}
	return Secret(data)
}

// guarded warns of a file that others may read or change.
func (c *checker) guarded(file, path string) {
	if info, err := os.Stat(file); err == nil && info.Mode().Perm()&0o027 != 0 {
		c.warnf(path, "%s can be read or changed by others (mode %04o); run `chmod 600 %s`, or 640 with the server's group", file, info.Mode().Perm(), file)
	}
}

func (c *checker) verpKeys() {
	byID := map[uint8]string{}
	for i, file := range c.c.VERP.KeyFiles {
		path := at("verp", "key_files", i)
		k, err := ReadVERPKey(file)
		if err != nil {
			c.errorf(path, "%v", err)
			continue
		}
		c.guarded(file, path)
		if first, taken := byID[k.ID]; taken {
			c.errorf(path, "the key has the same number as the one in %s, which one in sixteen has by chance; make another with `openssl rand -hex 32`", filepath.Base(first))
			continue
		}
		byID[k.ID] = file
		c.c.VERP.Keys = append(c.c.VERP.Keys, k)
	}
	if path := at("verp", "key_files"); c.has(path) && len(c.c.VERP.KeyFiles) == 0 {
		c.errorf(path, "names no file; leave it out, and the server makes a key in data_dir")
	}
}

func (c *checker) password(a *Application, path string) {
	switch hash, file := path+".password_hash", path+".password_file"; {
	case a.PasswordHash != "" && a.PasswordFile != "":
		c.errorf(file, "the application has a password_hash as well; keep one of the two")
	case a.PasswordHash != "":
		h, err := password.Parse(a.PasswordHash.Reveal())
		if err != nil {
			c.errorf(hash, "%v; `homing app add` makes one", err)
		}
		a.Password = h
	case a.PasswordFile != "":
		if s := c.secret(a.PasswordFile, file); s != "" {
			a.Password = password.Plain(s.Reveal())
		}
	case c.has(hash):
		c.errorf(hash, "is empty; leave it out for an application without a password")
	}
}

func (c *checker) certificate() {
	t := c.c.TLS
	switch {
	case t.CertFile == "" && t.KeyFile == "":
		return
	case t.KeyFile == "":
		c.errorf("tls.key_file", "cert_file is here without it; write the file with the certificate's private key")
		return
	case t.CertFile == "":
		c.errorf("tls.cert_file", "key_file is here without it; write the file with the certificate and its chain")
		return
	}
	cert, err := readSmall(t.CertFile)
	if err != nil {
		c.errorf("tls.cert_file", "%v", err)
	}
	key, errKey := readSmall(t.KeyFile)
	if errKey != nil {
		c.errorf("tls.key_file", "%v", errKey)
	}
	if err != nil || errKey != nil {
		return
	}
	c.guarded(t.KeyFile, "tls.key_file")
	if _, err := tls.X509KeyPair(cert, key); err != nil {
		c.errorf("tls.cert_file", "certificate and key cannot be used (%v); name the PEM files of one certificate and its own key", err)
	}
}

// dkimKey reads a private key in PEM: RSA in PKCS #1 or #8, Ed25519 in PKCS #8
// (RFC 6376, RFC 8463). RFC 8301 section 3.2 forbids RSA keys below 1024 bits
// and wants 2048.
func (c *checker) dkimKey(k *DKIM, path string) {
	data, err := readSmall(k.KeyFile)
	if err != nil {
		c.errorf(path, "%v", err)
		return
	}
	c.guarded(k.KeyFile, path)
	key, err := parseKey(data)
	if err != nil {
		c.errorf(path, "%s is not a key that can sign (%v); make one with `openssl genrsa -out %s 2048`", k.KeyFile, err, filepath.Base(k.KeyFile))
		return
	}
	k.Key = key
	r, isRSA := key.(*rsa.PrivateKey)
	if !isRSA {
		return
	}
	switch bits := r.N.BitLen(); {
	case bits < 1024:
		c.errorf(path, "%s has %d bits, which nobody accepts (RFC 8301); make one with 2048", k.KeyFile, bits)
	case bits < 2048:
		c.warnf(path, "%s has %d bits; make one with 2048 (RFC 8301)", k.KeyFile, bits)
	}
}

func parseKey(data []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("it is not PEM")
	}
	switch block.Type {
	case "RSA PRIVATE KEY":
		return x509.ParsePKCS1PrivateKey(block.Bytes)
	case "PRIVATE KEY":
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, err
		}
		switch key := key.(type) {
		case *rsa.PrivateKey:
			return key, nil
		case ed25519.PrivateKey:
			return key, nil
		}
		return nil, errors.New("it is neither RSA nor Ed25519")
	}
	return nil, fmt.Errorf("it is a %q", block.Type)
}
