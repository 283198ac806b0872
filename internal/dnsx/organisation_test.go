package dnsx_test

import (
	"testing"

	"homing/internal/dnsx"
)

func TestTheOrganisationOfAHost(t *testing.T) {
	tests := []struct{ name, host, want string }{
		{"is the registered domain", "mx1.mail.example.net", "example.net"},
		{"below a suffix of several labels", "mx.example.co.uk", "example.co.uk"},
		{"or the suffix itself", "co.uk", "co.uk"},
		{"or what is no name of a host", "198.51.100.7", "198.51.100.7"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := dnsx.Organisation(tt.host); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
