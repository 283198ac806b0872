package main

import (
	"encoding/json"
	"net"
	"strings"
	"testing"

	"homing/config"
)

func TestLinesOfTheLogSayWho(t *testing.T) {
	peer := &net.TCPAddr{IP: net.IPv4(198, 51, 100, 7), Port: 25}
	tests := []struct {
		name string
		how  config.Log
		want string // rcpt and peer
	}{
		{"in full", config.Log{Format: config.LogJSON, Addresses: config.LogFull}, "ann@example.net 198.51.100.7:25"},
		{"people masked", config.Log{Format: config.LogJSON, Addresses: config.LogMasked}, "a***@example.net 198.51.100.7:25"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			newLogger(&out, tt.how).Info("refused", "rcpt", "ann@example.net", "peer", net.Addr(peer))
			var line struct{ Rcpt, Peer string }
			if err := json.Unmarshal([]byte(out.String()), &line); err != nil {
				t.Fatalf("%v in %q", err, out.String())
			}
			if got := line.Rcpt + " " + line.Peer; got != tt.want {
				t.Errorf("log says %q, want %q", got, tt.want)
			}
		})
	}
}
