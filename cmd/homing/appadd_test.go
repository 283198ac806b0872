package main

import (
	"testing"

	"homing/config"
)

func TestTheDoorOfAnApplication(t *testing.T) {
	tcp := func(addresses ...string) (list []config.Address) {
		for _, a := range addresses {
			list = append(list, config.Address{Network: "tcp", Address: a})
		}
		return list
	}
	tests := []struct {
		name        string
		submission  []config.Address
		submissions []config.Address
		networks    []string
		want        door
	}{
		{"on the same machine: loopback, unencrypted", tcp(":587", "127.0.0.1:587"), tcp(":465"), nil, door{"127.0.0.1", 587, "none"}},
		{"known by loopback", tcp("127.0.0.1:2587"), nil, []string{"127.0.0.1/32"}, door{"127.0.0.1", 2587, "none"}},
		{"on another machine of the same network", tcp("127.0.0.1:587", "10.0.0.5:587"), nil, []string{"10.0.0.7"}, door{"10.0.0.5", 587, "none"}},
		{"far away: TLS from the first octet", tcp(":587"), tcp(":465"), nil, door{"mail.example.org", 465, "TLS"}},
		{"far away: STARTTLS", tcp(":587"), nil, nil, door{"mail.example.org", 587, "STARTTLS"}},
		{"SMTP is off", nil, nil, nil, door{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := &config.Config{Hostname: "mail.example.org", Listen: config.Listen{Submission: tt.submission, Submissions: tt.submissions}}
			if got := doorFor(cfg, &newcomer{Networks: tt.networks}); got != tt.want {
				t.Errorf("doorFor = %+v, want %+v", got, tt.want)
			}
		})
	}
}
