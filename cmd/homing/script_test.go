package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"homing/internal/dnsx/dnstest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"homing": main})
}

// TestScripts runs testdata/script: each file is a session at a shell, in a
// directory of its own. Besides the usual commands there are
//
//	serve             starts the server in a toy internet, with homing.toml as
//	                  stand says and extra.toml at its end; sets HOMING_CONFIG
//	mail JOB WHOM…    sends a mailing as CiviCRM does
//	told TYPE WHOM…   waits until the webhook has heard that of everybody
//	stop              stops the server, which must end in order
//	names FILE…       makes the DNS say what is in zone files; the first time
//	                  it comes in the place of @DNS@ in homing.toml
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve": scriptServe, "mail": scriptMail, "told": scriptTold, "stop": scriptStop, "names": scriptNames,
		},
		Setup: func(env *testscript.Env) error {
			// The race detector would keep each process for a second.
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			env.Setenv("TZ", "UTC")
			env.Setenv("SUDO_USER", "olga")
			env.Setenv("ESC", "\x1b")
			env.Values[standKey{}] = new(*stand)
			env.Values[namesKey{}] = new(*dnstest.Server)
			return nil
		},
	})
}
