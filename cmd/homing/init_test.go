package main

import (
	"net"
	"os"
	"strings"
	"testing"
)

func TestWhoHasAPortIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	own, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Skip("this system has no /proc")
	}
	if got, want := programAt(l.Addr().(*net.TCPAddr).Port), strings.TrimSpace(string(own)); got != want {
		t.Errorf("the port is taken by %q, want %q", got, want)
	}
}

func TestABusyPortComesWithAWayOut(t *testing.T) {
	f := &founding{Return: "bounce.example.org"}
	for _, tt := range []struct {
		port busyPort
		want []string
	}{
		{busyPort{25, "exim4"}, []string{"Port 25 is taken by exim4", "systemctl disable --now exim4", "hand the mail of bounce.example.org to Homing: lmtp"}},
		{busyPort{25, "master"}, []string{"systemctl disable --now postfix"}},
		{busyPort{25, ""}, []string{"Port 25 is taken by another program"}},
		{busyPort{443, "apache2"}, []string{"Port 443 is taken by apache2, which is fine", "http://127.0.0.1:8025", "public_url"}},
	} {
		got := tt.port.words(f)
		for _, want := range tt.want {
			if !strings.Contains(got, want) {
				t.Errorf("%+v: %q has no %q", tt.port, got, want)
			}
		}
	}
}
