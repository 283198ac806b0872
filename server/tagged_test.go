package server

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"homing/verp"
)

const someTag = "caaaaaaaaabkcow5zdk566ikqji4ulu"

func TestReturnAddressesAreFoundInWhatPeopleAndMachinesQuote(t *testing.T) {
	const address = "return+" + someTag + "@bounce.example.org"
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"a field of a header", "X-Homing-Return: " + address + "\n", []string{address}},
		{"a path", "Return-Path: <" + address + ">\n", []string{address}},
		{"an address with its type", "X-Postfix-Sender: rfc822;" + address, []string{address}},
		{"quoted", "> > X-Homing-Return:\n> >  " + address + "\n", []string{address}},
		{"at the end of a sentence", "It was sent by " + address + ".", []string{address}},
		{"in a page", "<br>X-Homing-Return: <a href=\"mailto:" + address + "\">" + address + "</a><br>", []string{address, address}},
		{"behind an address of another kind", "ann@example.net <" + address + ">", []string{address}},
		{"behind a mark of others", "prvs=1234=" + address, []string{address}},
		{"with the other separator, upper-cased", strings.ToUpper(strings.Replace(address, "+", "-", 1)), []string{strings.ToUpper(strings.Replace(address, "+", "-", 1))}},
		{"two, side by side", address + "," + address, []string{address, address}},
		{"a tag that is cut short", "return+" + someTag[1:] + "@bounce.example.org", nil},
		{"a tag with a digit that tags do not have", "return+" + someTag[1:] + "1@bounce.example.org", nil},
		{"no domain", "return+" + someTag + "@ ", nil},
		{"nothing before the separator", "<+" + someTag + "@bounce.example.org>", nil},
		{"no separator", "return" + someTag + "@bounce.example.org", nil},
		{"nothing", "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, slices.Collect(tagged(tt.text))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzTagged states what is promised of any text: what is given is a piece of
// it of bounded length, and an address of ours is found behind whatever ends a
// word, and whatever follows it.
func FuzzTagged(f *testing.F) {
	f.Add("Return-Path: <", ">\n")
	f.Add("ann@example.net@", ".")
	f.Add("+"+someTag+"@", "@"+someTag)
	f.Add("return+return+"+someTag+"@@", "\xff")
	path := verp.Path{Local: "return", Domain: "bounce.example.org", Separator: '+'}
	address := path.Format(someTag)
	f.Fuzz(func(t *testing.T, before, after string) {
		text := before + " " + address + "\n" + after
		found := false
		for got := range tagged(text) {
			if !strings.Contains(text, got) || len(got) > verp.MaxLocalPart+1+maxDomain {
				t.Fatalf("%q is found in %q", got, text)
			}
			found = found || got == address
		}
		if !found {
			t.Errorf("%q is not found in %q", address, text)
		}
	})
}

// BenchmarkTagged has texts that give a search the most to do.
func BenchmarkTagged(b *testing.B) {
	for name, piece := range map[string]string{
		"nothing":   "a",
		"marks":     "a@",
		"near tags": strings.Repeat("a.", 16) + "+" + someTag[1:] + "1@",
	} {
		text := strings.Repeat(piece, (1<<20)/len(piece))
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				for range tagged(text) {
					b.Fatal("found one")
				}
			}
		})
	}
}
