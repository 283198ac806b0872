package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"homing/config"
	"homing/internal/spool"
)

func TestWhatTheProgramIsCalled(t *testing.T) {
	tests := []struct{ called, name, args string }{
		{"/usr/sbin/sendmail -t -i", "sendmail", "-t -i"},
		{"mailq", "mailq", ""},
		{"newaliases", "newaliases", ""},
		{"/usr/local/bin/homing sendmail -t", "sendmail", "-t"},
		{"homing serve", "", ""},
		{"homing", "", ""},
		{"homing serve sendmail", "", ""},
	}
	for _, tt := range tests {
		name, args, ok := asSendmail(strings.Fields(tt.called))
		if name != tt.name || strings.Join(args, " ") != tt.args || ok != (tt.name != "") {
			t.Errorf("%q is %q with %q, %v, want %q with %q", tt.called, name, args, ok, tt.name, tt.args)
		}
	}
}

// TestWhereSendmailFindsTheServer is about who may not read the configuration
// and whose working directory is anybody's.
func TestWhereSendmailFindsTheServer(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	good := filepath.Join(dir, "good.toml")
	off := filepath.Join(dir, "off.toml")
	for path, text := range map[string]string{
		"homing.toml": "spool_dir = \"/trap\"\n[listen]\nlocal = \"unix:/trap\"\n", good: "spool_dir = \"/srv/spool\"\n[listen]\nlocal = \"unix:/srv/s\"\n", off: "[listen]\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name, flag, env string
		want            []string // socket and spool
		err             string
	}{
		{"nothing is named: the defaults, and not the working directory", "", "", []string{config.DefaultLocal, spool.DefaultDir}, ""},
		{"a file that is named", good, off, []string{"/srv/s", "/srv/spool"}, ""},
		{"a file of the environment", "", good, []string{"/srv/s", "/srv/spool"}, ""},
		{"a file without a socket", off, "", nil, "off.toml has no socket for local users"},
		{"a file that is not there", filepath.Join(dir, "none.toml"), "", nil, "no such file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := os.Stat(systemConfig); err == nil && tt.flag+tt.env == "" {
				t.Skipf("there is a %s here", systemConfig)
			}
			t.Setenv("HOMING_CONFIG", tt.env)
			socket, spool, err := localDoor(tt.flag)
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) || err == nil && !slices.Equal([]string{socket, spool}, tt.want) {
				t.Errorf("localDoor = %q, %q, %v, want %q, %q", socket, spool, err, tt.want, tt.err)
			}
		})
	}
}
