package main

import (
	"strings"
	"testing"
)

func TestCommandLine(t *testing.T) {
	tests := []struct {
		name   string
		args   string
		code   int
		stdout string // a part of it
		stderr string // all of it, without the line end
	}{
		{"version says which", "version", 0, "homing unknown\n", ""},
		{"--version too", "--version", 0, "homing unknown\n", ""},
		{"alone it shows its help", "", 0, "Usage:", ""},
		{"an unknown command is the caller's mistake", "frobnicate", 2, "",
			"homing: there is no command \"homing frobnicate\"; see `homing --help`"},
		{"a mistyped command names the one meant", "versoin", 2, "",
			"homing: there is no command \"homing versoin\"; did you mean \"homing version\"?; see `homing --help`"},
		{"an unknown flag is the caller's mistake", "version --loud", 2, "",
			"homing: unknown flag: --loud; see `homing version --help`"},
		{"an argument too many is the caller's mistake", "version now", 2, "",
			"homing: unknown command \"now\" for \"homing version\"; see `homing version --help`"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr strings.Builder
			code := run(strings.Fields(tt.args), strings.NewReader(""), &stdout, &stderr)
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if !strings.Contains(stdout.String(), tt.stdout) || tt.stdout == "" && stdout.String() != "" {
				t.Errorf("stdout %q, want it to contain %q", &stdout, tt.stdout)
			}
			if got := strings.TrimSuffix(stderr.String(), "\n"); got != tt.stderr {
				t.Errorf("stderr %q, want %q", got, tt.stderr)
			}
		})
	}
}
