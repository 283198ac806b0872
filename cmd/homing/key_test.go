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
	if err := os.WriteFile(path+".new", []byte("ab"), 0o600); err != nil {
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
	if _, err := os.Stat(path + ".new"); err == nil {
		t.Error("the file it was made in is still there")
	}
}
