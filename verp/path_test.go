package verp_test

import (
	"strings"
	"testing"

	"homing/verp"
)

const tag = "caaaaaaaaaaafbh5kq3z7wnmv2ytqxe" // has the form of one

func TestMatchTellsOurTagsFromOtherMail(t *testing.T) {
	tests := []struct {
		name    string
		address string
		want    string // "": no match
	}{
		{"as we made it", "return+" + tag + "@bounce.example.org", tag},
		{"with the other separator", "return-" + tag + "@bounce.example.org", tag},
		{"upper-cased by a relay", strings.ToUpper("return+" + tag + "@bounce.example.org"), strings.ToUpper(tag)},
		{"of 31 other letters and digits", "return+0189caaaaaaafbh5kq3z7wnmv2ytqxe@bounce.example.org", "0189caaaaaaafbh5kq3z7wnmv2ytqxe"},
		{"CiviCRM's own address at the same local part", "return+b.2.1.789b7abdf5bfdc1a@bounce.example.org", ""},
		{"CiviCRM's own address of 31 characters", "return+b.12345.123456.789b7abdf5bfdc1a@bounce.example.org", ""},
		{"without a tag", "return@bounce.example.org", ""},
		{"with an empty tag", "return+@bounce.example.org", ""},
		{"one character short", "return+" + tag[1:] + "@bounce.example.org", ""},
		{"one character more", "return+" + tag + "a@bounce.example.org", ""},
		{"another separator", "return=" + tag + "@bounce.example.org", ""},
		{"another local part", "refund+" + tag + "@bounce.example.org", ""},
		{"another domain", "return+" + tag + "@bounce.example.com", ""},
		{"a subdomain", "return+" + tag + "@x.bounce.example.org", ""},
		{"two at signs", "return+" + tag[:30] + "@@bounce.example.org", ""},
		{"a letter outside of ASCII", "return+" + tag[:29] + "é@bounce.example.org", ""},
		{"a Kelvin sign is no k", "return+" + strings.Replace(tag, "k", "\u212a", 1)[:31] + "@bounce.example.org", ""},
		{"nothing", "", ""},
		{"a domain alone", "@bounce.example.org", ""},
	}
	path := verp.Path{Local: "return", Domain: "bounce.example.org", Separator: '+'}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, ok := path.Match(tt.address); got != tt.want || ok != (tt.want != "") {
				t.Errorf("Match(%q) = %q, %v, want %q", tt.address, got, ok, tt.want)
			}
		})
	}
}

func TestParsePath(t *testing.T) {
	tests := []struct {
		name      string
		address   string
		separator byte
		want      verp.Path
		mistake   string // in the error
	}{
		{"the usual one", "return@bounce.example.org", '+', verp.Path{Local: "return", Domain: "bounce.example.org", Separator: '+'}, ""},
		{"letter case is folded", "Return@Bounce.Example.ORG", '-', verp.Path{Local: "return", Domain: "bounce.example.org", Separator: '-'}, ""},
		{"the longest local part", strings.Repeat("a", 32) + "@b.example", '+', verp.Path{Local: strings.Repeat("a", 32), Domain: "b.example", Separator: '+'}, ""},
		{"one octet longer", strings.Repeat("a", 33) + "@b.example", '+', verp.Path{}, "more than 32 octets"},
		{"a separator that relays do not know", "return@b.example", '=', verp.Path{}, "neither"},
		{"no local part", "@b.example", '+', verp.Path{}, "local@domain"},
		{"no domain", "return@", '+', verp.Path{}, "local@domain"},
		{"no at sign", "b.example", '+', verp.Path{}, "local@domain"},
		{"a plus sign in the local part", "re+turn@b.example", '+', verp.Path{}, "does not survive"},
		{"a letter outside of ASCII", "rückkehr@b.example", '+', verp.Path{}, "does not survive"},
		{"a dot at the end", "return.@b.example", '+', verp.Path{}, "a dot must"},
		{"a domain that is none", "return@" + strings.Repeat("b", 256), '+', verp.Path{}, "255 octets"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := verp.ParsePath(tt.address, tt.separator)
			if got != tt.want || (err == nil) != (tt.mistake == "") || err != nil && !strings.Contains(err.Error(), tt.mistake) {
				t.Errorf("ParsePath(%q) = %+v, %v, want %+v and an error with %q", tt.address, got, err, tt.want, tt.mistake)
			}
		})
	}
}

func TestALocalPartFitsAndSurvivesFolding(t *testing.T) {
	path, err := verp.ParsePath(strings.Repeat("a", 32)+"@b.example", '+')
	if err != nil {
		t.Fatal(err)
	}
	local, _, _ := strings.Cut(path.Format(tag), "@")
	if len(local) > verp.MaxLocalPart || strings.ToLower(local) != local {
		t.Errorf("local part %q has %d octets, want at most %d in lower case", local, len(local), verp.MaxLocalPart)
	}
}

// FuzzMatch promises that what matches is the path's own address with
// something of a tag's form in it.
func FuzzMatch(f *testing.F) {
	f.Add("return+" + tag + "@bounce.example.org")
	f.Add("return+b.2.1.789b7abdf5bfdc1a@bounce.example.org")
	path := verp.Path{Local: "return", Domain: "bounce.example.org", Separator: '+'}
	f.Fuzz(func(t *testing.T, address string) {
		found, ok := path.Match(address)
		if !ok {
			return
		}
		dashed := verp.Path{Local: path.Local, Domain: path.Domain, Separator: '-'}
		if len(found) != verp.TagLength || !strings.EqualFold(address, path.Format(found)) && !strings.EqualFold(address, dashed.Format(found)) {
			t.Errorf("Match(%q) = %q", address, found)
		}
	})
}
