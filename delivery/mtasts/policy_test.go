package mtasts_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/delivery/mtasts"
)

func Example() {
	p, err := mtasts.ParsePolicy([]byte("version: STSv1\r\nmode: enforce\r\nmx: mx1.example.net\r\nmx: *.backup.example.net\r\nmax_age: 604800\r\n"))
	fmt.Println(p.Mode, p.MaxAge, err)
	fmt.Println(p.Match("MX1.example.net."), p.Match("a.backup.example.net"), p.Match("a.b.backup.example.net"))
	// Output:
	// enforce 168h0m0s <nil>
	// true true false
}

func TestParsePolicy(t *testing.T) {
	enforce := mtasts.Policy{Mode: mtasts.Enforce, MX: []string{"mx.example.net"}, MaxAge: time.Hour}
	tests := []struct {
		name, text string
		want       mtasts.Policy // zero: ErrInvalid
	}{
		{"lines that end in LF", "version: STSv1\nmode: enforce\nmx: mx.example.net\nmax_age: 3600\n", enforce},
		{"lines that end in CR LF, the last one in nothing", "version: STSv1\r\nmode: enforce\r\nmx: mx.example.net\r\nmax_age: 3600", enforce},
		{"fields in another order, without a space", "mx:mx.example.net\nmax_age:3600\nmode:enforce\nversion:STSv1\n", enforce},
		{"space at the end of lines", "version: STSv1  \nmode: enforce\t\nmx: mx.example.net \nmax_age: 3600 \n\n", enforce},
		{"letter case of hosts", "version: STSv1\nmode: enforce\nmx: MX.Example.NET\nmax_age: 3600\n", enforce},
		{"a field that nobody knows", "version: STSv1\nmode: enforce\nmx: mx.example.net\nmax_age: 3600\nx.y-z_1: something\n", enforce},
		{"of a field that stands there twice, the first", "version: STSv1\nmode: enforce\nmode: none\nmx: mx.example.net\nmax_age: 3600\nmax_age: 1\n", enforce},
		{"several hosts and wildcards", "version: STSv1\nmode: testing\nmx: a.example.net\nmx: *.example.com\nmax_age: 1\n",
			mtasts.Policy{Mode: mtasts.Testing, MX: []string{"a.example.net", "*.example.com"}, MaxAge: time.Second}},
		{"none needs no host", "version: STSv1\nmode: none\nmax_age: 86400\n", mtasts.Policy{Mode: mtasts.None, MaxAge: 24 * time.Hour}},
		{"more than a year is a year", "version: STSv1\nmode: none\nmax_age: 9999999999\n", mtasts.Policy{Mode: mtasts.None, MaxAge: 31557600 * time.Second}},
		{"nothing", "", mtasts.Policy{}},
		{"a page of the web", "<!DOCTYPE html>\n<html></html>\n", mtasts.Policy{}},
		{"another version", "version: STSv2\nmode: none\nmax_age: 1\n", mtasts.Policy{}},
		{"no mode", "version: STSv1\nmx: mx.example.net\nmax_age: 1\n", mtasts.Policy{}},
		{"a mode in capitals", "version: STSv1\nmode: ENFORCE\nmx: mx.example.net\nmax_age: 1\n", mtasts.Policy{}},
		{"no host", "version: STSv1\nmode: enforce\nmax_age: 1\n", mtasts.Policy{}},
		{"no max_age", "version: STSv1\nmode: enforce\nmx: mx.example.net\n", mtasts.Policy{}},
		{"a negative max_age", "version: STSv1\nmode: none\nmax_age: -1\n", mtasts.Policy{}},
		{"a max_age of eleven digits", "version: STSv1\nmode: none\nmax_age: 00000000001\n", mtasts.Policy{}},
		{"a wildcard inside of a name", "version: STSv1\nmode: enforce\nmx: mx.*.example.net\nmax_age: 1\n", mtasts.Policy{}},
		{"two wildcards", "version: STSv1\nmode: enforce\nmx: *.*.example.net\nmax_age: 1\n", mtasts.Policy{}},
		{"a wildcard that is a part of a label", "version: STSv1\nmode: enforce\nmx: mx*.example.net\nmax_age: 1\n", mtasts.Policy{}},
		{"a wildcard alone", "version: STSv1\nmode: enforce\nmx: *\nmax_age: 1\n", mtasts.Policy{}},
		{"a host that is none", "version: STSv1\nmode: enforce\nmx: mx example net\nmax_age: 1\n", mtasts.Policy{}},
		{"a host in letters of another alphabet", "version: STSv1\nmode: enforce\nmx: bücher.example\nmax_age: 1\n", mtasts.Policy{}},
		{"201 hosts", "version: STSv1\nmode: enforce\nmax_age: 1\n" + strings.Repeat("mx: mx.example.net\n", 201), mtasts.Policy{}},
		{"more than 64 KiB", "version: STSv1\nmode: none\nmax_age: 1\n" + strings.Repeat("x: y\n", 14_000), mtasts.Policy{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := mtasts.ParsePolicy([]byte(tt.text))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("ParsePolicy (-want +got):\n%s", diff)
			}
			if invalid := tt.want.Mode == ""; errors.Is(err, mtasts.ErrInvalid) != invalid || !invalid && err != nil {
				t.Errorf("ParsePolicy = %v, want an error: %v", err, invalid)
			}
		})
	}
}

func TestMatch(t *testing.T) {
	p := mtasts.Policy{MX: []string{"mx1.example.net", "*.example.com"}}
	tests := []struct {
		name, host string
		want       bool
	}{
		{"as it stands there", "mx1.example.net", true},
		{"in capitals, with a final dot", "MX1.EXAMPLE.NET.", true},
		{"another host", "mx2.example.net", false},
		{"a host below a listed one", "a.mx1.example.net", false},
		{"one label for the wildcard", "a.example.com", true},
		{"two labels", "a.b.example.com", false},
		{"no label", "example.com", false},
		{"a name that only ends so", "a.badexample.com", false},
		{"nothing", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := p.Match(tt.host); got != tt.want {
				t.Errorf("Match(%q) = %v, want %v", tt.host, got, tt.want)
			}
		})
	}
}

func TestParseRecord(t *testing.T) {
	tests := []struct {
		name  string
		texts []string
		want  string
	}{
		{"as the RFC shows it", []string{"v=STSv1; id=20160831085700Z;"}, "20160831085700Z"},
		{"without a semicolon at the end", []string{"v=STSv1; id=1"}, "1"},
		{"without spaces", []string{"v=STSv1;id=a1;"}, "a1"},
		{"an extension before and after", []string{"v=STSv1; x=y; id=a1; ext.1=v,w"}, "a1"},
		{"among records of others", []string{"v=spf1 -all", "v=STSv1; id=2", "hello"}, "2"},
		{"two of them", []string{"v=STSv1; id=1", "v=STSv1; id=2"}, ""},
		{"none", nil, ""},
		{"no id", []string{"v=STSv1;"}, ""},
		{"an empty id", []string{"v=STSv1; id=;"}, ""},
		{"an id of 33", []string{"v=STSv1; id=" + strings.Repeat("a", 33)}, ""},
		{"an id with other characters", []string{"v=STSv1; id=2020-01-01"}, ""},
		{"another version", []string{"v=STSv10; id=1"}, ""},
		{"a field without a value", []string{"v=STSv1; id=1; x"}, ""},
		{"something before the version", []string{" v=STSv1; id=1"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := mtasts.ParseRecord(tt.texts); got != tt.want {
				t.Errorf("ParseRecord(%q) = %q, want %q", tt.texts, got, tt.want)
			}
		})
	}
}

// FuzzParsePolicy promises of any text: what is accepted can be enforced, is
// within limits, and reads the same when it is written again.
func FuzzParsePolicy(f *testing.F) {
	f.Add([]byte("version: STSv1\r\nmode: enforce\r\nmx: mx1.example.net\r\nmx: *.example.com\r\nmax_age: 604800\r\n"))
	f.Add([]byte("version: STSv1\nmode: none\nmax_age: 0\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := mtasts.ParsePolicy(text)
		if err != nil {
			if !errors.Is(err, mtasts.ErrInvalid) || p.Mode != "" {
				t.Errorf("ParsePolicy = %+v, %v", p, err)
			}
			return
		}
		again, err := mtasts.ParsePolicy([]byte(strings.Join(p.Lines(), "\n")))
		if diff := cmp.Diff(p, again); err != nil || diff != "" {
			t.Errorf("written again: %v\n%s", err, diff)
		}
		if p.MaxAge < 0 || p.MaxAge > 366*24*time.Hour || len(p.MX) > 200 || p.Mode != mtasts.None && len(p.MX) == 0 {
			t.Errorf("accepted %+v", p)
		}
		for _, mx := range p.MX {
			if name, wildcard := strings.CutPrefix(mx, "*."); wildcard && (p.Match(name) && !slices.Contains(p.MX, name) && !matchedByOther(p, mx, name)) || !wildcard && !p.Match(mx) {
				t.Errorf("%q does not match as it should", mx)
			}
		}
	})
}

// matchedByOther reports whether a name is matched by other patterns than one.
func matchedByOther(p mtasts.Policy, but, name string) bool {
	p.MX = slices.DeleteFunc(slices.Clone(p.MX), func(mx string) bool { return mx == but })
	return p.Match(name)
}

// FuzzParseRecord promises of any text that an id is one that can be kept.
func FuzzParseRecord(f *testing.F) {
	f.Add("v=STSv1; id=20160831085700Z;")
	f.Fuzz(func(t *testing.T, text string) {
		id := mtasts.ParseRecord([]string{text})
		if len(id) > 32 || strings.ContainsAny(id, " ;=\n") {
			t.Errorf("ParseRecord(%q) = %q", text, id)
		}
	})
}
