package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"homing/config"
)

func TestAKeyIsMadeOnceAndNeverHalf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "verp.key")
	// What a crash in the middle of making it leaves behind is no key.
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), ".verp.key.1"), []byte("ab"), 0o600); err != nil {
		t.Fatal(err)
	}
	var first []byte
	for range 2 {
		if err := makeKey(path); err != nil {
			t.Fatal(err)
		}
		if _, err := config.ReadVERPKey(path); err != nil {
			t.Error(err)
		}
		key, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = key
		}
		if !bytes.Equal(key, first) {
			t.Error("the key was made again")
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key is %v, %v, want mode 0600", info.Mode(), err)
	}
}
