package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"homing": main})
}

// TestScripts runs testdata/script: each file is a session at a shell, in a
// directory of its own.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			// The race detector would keep each process for a second.
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			return nil
		},
	})
}
