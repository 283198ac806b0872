package config

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestWhatShipsAboutProvidersHasNoMistake(t *testing.T) {
	all, problems := shipped()
	for _, p := range problems {
		t.Errorf("providers.toml:%d: %s: %s", p.Line, p.Key, p.Message)
	}
	hosts := map[string]string{}
	for _, p := range all {
		if p.Connections == 0 {
			t.Errorf("%s has no limit on connections", p.Name)
		}
		if (p.Name == DefaultProvider) != (len(p.MX) == 0) {
			t.Errorf("%s has the mail hosts %q", p.Name, p.MX)
		}
		for _, mx := range p.MX {
			if hosts[mx] != "" {
				t.Errorf("%s is of %s and of %s", mx, hosts[mx], p.Name)
			}
			hosts[mx] = p.Name
		}
	}
}

func TestAProviderOfTheFileGoesOverWhatShips(t *testing.T) {
	c, problems := Parse([]byte(minimal+`
[[delivery.provider]]
name = "google"
connections = 3
[[delivery.provider]]
name = "partner"
mx = ["*.Partner.example"]
rate = "300/m"
[[delivery.provider]]
name = "default"
connections = 7
`), "/etc/homing")
	if c == nil {
		t.Fatal(problems)
	}
	find := func(name string) Provider {
		return c.Delivery.Providers[slices.IndexFunc(c.Delivery.Providers, func(p Provider) bool { return p.Name == name })]
	}
	if p := find("google"); p.Connections != 3 || p.MessagesPerConnection != 100 || !slices.Contains(p.MX, "*.google.com") {
		t.Errorf("google: %+v, want 3 connections and all else as it ships", p)
	}
	want := Provider{Name: "partner", MX: []string{"*.partner.example"}, Connections: 7, Rate: Rate{300, time.Minute}}
	if diff := cmp.Diff(want, find("partner")); diff != "" {
		t.Errorf("one that does not ship has the connections of default (-want +got):\n%s", diff)
	}
	if names := []string{c.Delivery.Providers[0].Name, c.Delivery.Providers[1].Name}; !slices.Equal(names, []string{"google", "partner"}) {
		t.Errorf("first come %q, want those of the file", names)
	}
}

func TestMistakesInProviders(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"no name", "mx = [\"mx.a.example\"]", `delivery.provider.name: is missing`},
		{"a name that is none", "name = \"Big Mail\"\nmx = [\"mx.a.example\"]", `delivery.provider.name: "Big Mail" is no name`},
		{"nothing to know it by", "name = \"big\"\nconnections = 2", `delivery.provider.name: nothing says whose mail "big" is`},
		{"no host", "name = \"big\"\nmx = [\"*\"]", `delivery.provider.mx: "*" is no name of a mail host`},
		{"no domain", "name = \"big\"\ndomains = [\"a b\"]", `delivery.provider.domains: "a b" is not a domain name`},
		{"no connection", "name = \"google\"\nconnections = 0", `delivery.provider.connections: 0 is not possible`},
		{"no rate", "name = \"google\"\nrate = \"fast\"", `delivery.provider.rate: "fast" is not a rate`},
		{"the default for somebody", "name = \"default\"\ndomains = [\"a.example\"]", `delivery.provider.name: "default" is for all that have no entry`},
		{"twice", "name = \"google\"\n[[delivery.provider]]\nname = \"google\"", `delivery.provider.name: "google" stands above`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, problems := Parse([]byte(minimal+"[[delivery.provider]]\n"+tt.text+"\n"), "/etc/homing")
			if !strings.Contains(problems.Error(), tt.want) {
				t.Errorf("got %q, want %q", problems.Error(), tt.want)
			}
		})
	}
	_, problems := Parse([]byte(minimal+"[delivery]\nsource_addresses = [\"203.0.113.10\"]\nwarm_addresses = [\"203.0.113.11\"]\n"), "/etc/homing")
	if want := "delivery.warm_addresses: 203.0.113.11 is none of delivery.source_addresses"; !strings.Contains(problems.Error(), want) {
		t.Errorf("got %q, want %q", problems.Error(), want)
	}
}
