package queue

import (
	"errors"
	"testing"
	"time"

	"homing/store"
)

func TestWhatAFilterMeans(t *testing.T) {
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	key := store.Key{Domain: "example.net", Lane: 1, Flow: "crm spring news"}
	row := store.Row{Message: store.Message{ID: 7, Sender: "news@example.org", Accepted: noon}, Recipient: store.Recipient{Address: "Ann@example.net"}}
	tests := []struct {
		name string
		f    Filter
		want bool
	}{
		{"everything", Filter{All: true}, true},
		{"its domain", Filter{Domain: "Example.NET."}, true},
		{"another domain", Filter{Domain: "net"}, false},
		{"its provider", Filter{Provider: "Google"}, true},
		{"another provider", Filter{Provider: "example.net"}, false},
		{"its application", Filter{Application: "crm"}, true},
		{"an application whose name begins so", Filter{Application: "cr"}, false},
		{"its campaign, which has a space", Filter{Campaign: "spring news"}, true},
		{"a part of its campaign", Filter{Campaign: "spring"}, false},
		{"its campaign of another application", Filter{Application: "shop", Campaign: "spring news"}, false},
		{"its message", Filter{Message: 7}, true},
		{"another message", Filter{Message: 8}, false},
		{"its recipient", Filter{Recipient: "ann@EXAMPLE.net"}, true},
		{"another recipient of its message", Filter{Message: 7, Recipient: "bob@example.net"}, false},
		{"its sender", Filter{Sender: "news@example.org"}, true},
		{"another sender", Filter{Sender: "news@example.net"}, false},
		{"older than it is", Filter{Before: noon}, false},
		{"as old as it is", Filter{Before: noon.Add(time.Second)}, true},
		{"its domain and another sender", Filter{Domain: "example.net", Sender: "a@example.org"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := tt.f.check()
			if err != nil {
				t.Fatal(err)
			}
			if got := f.wantsKey(key, "google") && f.wantsRow(row); got != tt.want {
				t.Errorf("%v means it: %v, want %v", f, got, tt.want)
			}
		})
	}
	if _, err := (Filter{}).check(); !errors.Is(err, ErrNoFilter) {
		t.Errorf("nothing at all: %v, want ErrNoFilter", err)
	}
	if f, err := (Filter{All: true, Domain: "example.net"}).check(); err != nil || f != (Filter{Domain: "example.net"}) {
		t.Errorf("all of a domain is %+v, %v, want the domain", f, err)
	}
}

func TestWhichFilterCoversAnother(t *testing.T) {
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	provider := func(domain string) string {
		if domain == "gmail.com" {
			return "google"
		}
		return domain
	}
	tests := []struct {
		name     string
		f, other Filter
		want     bool
	}{
		{"all covers everything", Filter{All: true}, Filter{Sender: "a@example.org", Before: noon}, true},
		{"only all covers all", Filter{Domain: "example.net"}, Filter{All: true}, false},
		{"a message covers its recipients", Filter{Message: 7}, Filter{Message: 7, Recipient: "ann@example.net"}, true},
		{"but no other message", Filter{Message: 7}, Filter{Message: 8}, false},
		{"a person covers no one else", Filter{Recipient: "ann@example.net"}, Filter{Domain: "example.net"}, false},
		{"an application covers its campaigns", Filter{Application: "crm"}, Filter{Application: "crm", Campaign: "spring"}, true},
		{"a campaign does not cover its application", Filter{Application: "crm", Campaign: "spring"}, Filter{Application: "crm"}, false},
		{"a provider covers its domains", Filter{Provider: "google"}, Filter{Domain: "gmail.com"}, true},
		{"a provider does not cover others' domains", Filter{Provider: "google"}, Filter{Domain: "example.net"}, false},
		{"a domain does not cover its provider", Filter{Domain: "gmail.com"}, Filter{Provider: "google"}, false},
		{"a provider does not cover a campaign", Filter{Provider: "google"}, Filter{Campaign: "spring"}, false},
		{"a sender does not cover what is told by keys", Filter{Sender: "a@example.org"}, Filter{Domain: "example.net"}, false},
		{"what is older covers what is older still", Filter{Before: noon}, Filter{Before: noon.Add(-time.Hour)}, true},
		{"and not the other way round", Filter{Before: noon.Add(-time.Hour)}, Filter{Before: noon}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.f.covers(tt.other, provider); got != tt.want {
				t.Errorf("%v covers %v: %v, want %v", tt.f, tt.other, got, tt.want)
			}
		})
	}
}

func TestFiltersAreNotedUnderNamesOfTheirOwn(t *testing.T) {
	names := map[string]Filter{}
	for _, f := range []Filter{{All: true}, {Domain: "a"}, {Campaign: "a"}, {Campaign: `a" domain="a`}, {Campaign: "a", Domain: "a"},
		{Before: time.Unix(1, 0)}, {Before: time.Unix(2, 0)}} {
		if other, taken := names[f.name()]; taken {
			t.Errorf("%+v and %+v have one name", f, other)
		}
		names[f.name()] = f
	}
}
