package bounce_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"homing/bounce"
)

func TestUnknownRepliesAreGroupedByTheirShape(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 11, n, 10, 0, 0, 0, time.UTC) }
	var u bounce.Unknowns
	for _, x := range []bounce.Quote{
		{Text: "550 5.7.99 computer says no", Address: "ann@example.net", Host: "mx.example.net[198.51.100.7]", Time: day(9)},
		{Text: "550 frobbed: bob.smith at 10:00", Address: "Bob.Smith@example.com", Host: "mx1.example.com[198.51.100.8]", Time: day(5)},
		{Text: "550 frobbed: ann at 11:30", Address: "ann@EXAMPLE.com", Host: "MX1.example.com[198.51.100.9]", Time: day(3)},
		{Text: "550 Frobbed: cyd at 9:05", Address: "cyd@example.net", Host: "mx.example.net", Time: day(4)},
		{Text: "computer says maybe", Address: "dan@example.net", Time: day(10)},
		{Text: "", Address: "", Time: day(1)},
		{Code: 550, Status: "5.0.0", Text: "no words of ours", Time: day(2)},
		{Code: 550, Status: "5.0.0", Text: "smtp; 554 5.7.99 no words of theirs", Time: day(2)},
	} {
		u.Add(x)
	}
	want := bounce.UnknownList{Replies: 8, Groups: []bounce.UnknownGroup{
		{Shape: "550 frobbed: {address} at {time}", Count: 3, Domains: 2, Hosts: 2, First: day(3), Last: day(5), Example: "550 frobbed: bob.smith at 10:00"},
		{Shape: "computer says maybe", Count: 1, Domains: 1, First: day(10), Last: day(10), Example: "computer says maybe"},
		{Shape: "550 5.7.99 computer says no", Count: 1, Domains: 1, Hosts: 1, First: day(9), Last: day(9), Example: "550 5.7.99 computer says no"},
		{Shape: "550 5.0.0 no words of ours", Count: 1, First: day(2), Last: day(2), Example: "550 5.0.0 no words of ours"},
		{Shape: "554 5.7.99 smtp; no words of theirs", Count: 1, First: day(2), Last: day(2), Example: "smtp; 554 5.7.99 no words of theirs"},
		{Count: 1, First: day(1), Last: day(1)},
	}}
	if diff := cmp.Diff(want, u.List()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestALocalPartIsAnAddressOnlyWhereItStandsAlone(t *testing.T) {
	tests := []struct{ address, text, want string }{
		{"ann@example.net", "550 unknown user ann.", "550 unknown user {address}."},
		{"ann@example.net", "550 unknown user (Ann)", "550 unknown user ({address})"},
		{"ann@example.net", "550 announce: planned cannot ann-b x.ann ann.b", "550 announce: planned cannot ann-b x.ann ann.b"},
		{"ann@example.net", "550 ann@example.com", "550 {address}"},
		{"a@example.net", "550 a user", "550 a user"},
		{"", "550 a user", "550 a user"},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			var u bounce.Unknowns
			u.Add(bounce.Quote{Text: tt.text, Address: tt.address})
			if got := u.List().Groups[0].Shape; got != tt.want {
				t.Errorf("%q for %q, want %q", got, tt.address, tt.want)
			}
		})
	}
}

func TestUnknownRepliesOfAnyNumberAreBounded(t *testing.T) {
	letters := func(n int) string { // no number, which a shape would fold
		return strings.Map(func(r rune) rune { return r - '0' + 'a' }, fmt.Sprint(n))
	}
	var u bounce.Unknowns
	for n := range 3000 {
		u.Add(bounce.Quote{Text: "550 refused because " + letters(n), Address: fmt.Sprintf("x@d%d.example", n), Host: "mx.example.net"})
		u.Add(bounce.Quote{Text: "550 the frequent one", Address: fmt.Sprintf("x@d%d.example", n), Host: fmt.Sprintf("mx%d.example.net", n)})
	}
	list := u.List()
	if !list.Cut || list.Replies != 6000 || len(list.Groups) != 200 {
		t.Errorf("cut %v, %d replies, %d groups, want cut, 6000, 200", list.Cut, list.Replies, len(list.Groups))
	}
	if g := list.Groups[0]; g.Shape != "550 the frequent one" || g.Count != 3000 || g.Domains != 250 || g.Hosts != 250 {
		t.Errorf("the first group is %+v, want the frequent one, 3000 of it, of 250 domains and hosts or more", g)
	}
}
