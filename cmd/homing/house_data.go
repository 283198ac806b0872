package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"homing/config"
	"homing/verp"
)

// makeDataDir makes data_dir, for nobody but us. One that is there is left as
// it is, unless others may write to it: whoever could exchange the files in it
// could read and send everything.
func makeDataDir(dir string, log *slog.Logger) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making data_dir: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("looking at data_dir: %w", err)
	}
	switch mode := info.Mode().Perm(); {
	case mode&0o022 != 0:
		return fmt.Errorf("data_dir: others may write to %s (mode %04o): run `chmod 700 %[1]s`", dir, mode)
	case mode&0o077 != 0:
		log.Warn("others may look into data_dir: run `chmod 700` on it", "dir", dir, "mode", fmt.Sprintf("%04o", mode))
	}
	return nil
}

// verpKeyName is the key of return addresses in data_dir.
const verpKeyName = "verp.key"

// verpKeys gives the keys of return addresses. Without any in the
// configuration, one is made in data_dir at the first start.
func verpKeys(cfg *config.Config) ([]verp.Key, error) {
	keys := cfg.VERP.Keys
	if len(keys) == 0 {
		path := filepath.Join(cfg.DataDir, verpKeyName)
		if err := makeKey(path); err != nil {
			return nil, fmt.Errorf("making the key of return addresses: %w", err)
		}
		k, err := config.ReadVERPKey(path)
		if err != nil {
			return nil, err
		}
		keys = []config.VERPKey{k}
	}
	out := make([]verp.Key, 0, len(keys))
	for _, k := range keys {
		out = append(out, verp.Key{ID: k.ID, Secret: []byte(k.Secret.Reveal())})
	}
	return out, nil
}

// makeKey writes a new random key, unless there is one. It is whole and durable
// when makeKey returns nil: mail signed with a key that a crash takes away
// would have no way back.
func makeKey(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var key [32]byte
	rand.Read(key[:]) // never fails (crypto/rand)
	if err := writeFile(path, []byte(hex.EncodeToString(key[:])+"\n"), nil); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
