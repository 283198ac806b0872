package verp_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"homing/verp"
)

var letterLink = verp.Link{Delivery: 42, Sent: midday, Recipient: "ann@example.net", Application: "crm", Domain: "example.org",
	Sender: "civi+b.1.2.0a1b2c3d4e5f6a7b@bounce.example.org", Campaign: "civicrm:job:1"}

func seal(t testing.TB, c *verp.Codec, l verp.Link) string {
	t.Helper()
	text, err := c.Seal(l)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestALinkSaysWhatItWasSealedWithForAsLongAsItLives(t *testing.T) {
	text := seal(t, codec(t, day), letterLink)
	if len(text) > 250 || strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" || strings.Contains(text, "ann") {
		t.Errorf("it is %q", text)
	}
	if seal(t, codec(t, day), letterLink) == text {
		t.Error("two links are alike, so that the same key and nonce were used twice")
	}
	for _, tt := range []struct {
		name string
		now  time.Time
		want error
	}{
		{"on the day", midday, nil},
		{"after 400 days", midday.Add(401*24*time.Hour - time.Second), nil},
		{"after 401 days", midday.Add(401 * 24 * time.Hour), verp.ErrExpired},
	} {
		got, err := codec(t, tt.now).Unseal(text)
		if !errors.Is(err, tt.want) || got != letterLink {
			t.Errorf("%s: %+v, %v; want the link, %v", tt.name, got, err, tt.want)
		}
	}
}

func TestALinkThatWeHaveNotSealedIsForged(t *testing.T) {
	text := seal(t, codec(t, day), letterLink)
	flipped := []byte(text)
	if at := len(flipped) / 2; flipped[at] == 'A' { // another letter of the alphabet
		flipped[at] = 'B'
	} else {
		flipped[at] = 'A'
	}
	other, err := verp.New(verp.Options{Keys: []verp.Key{{ID: 9, Secret: []byte(strings.Repeat("k", 32))}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		text string
		want error
	}{
		"a changed one":        {string(flipped), verp.ErrForged},
		"a shortened one":      {text[:len(text)-4], verp.ErrForged},
		"of an unknown key":    {seal(t, other, letterLink), verp.ErrForged},
		"nothing":              {"", verp.ErrNotVERP},
		"no base64":            {"%%%", verp.ErrNotVERP},
		"too short for one":    {text[:8], verp.ErrNotVERP},
		"longer than any is":   {strings.Repeat("A", 4100), verp.ErrNotVERP},
		"a tag of another use": {encode(t, codec(t, day), verp.Unsubscribe, 42), verp.ErrNotVERP},
	} {
		if got, err := codec(t, midday).Unseal(tt.text); !errors.Is(err, tt.want) && !(name == "a tag of another use" && errors.Is(err, verp.ErrForged)) || got != (verp.Link{}) {
			t.Errorf("%s: %+v, %v; want %v", name, got, err, tt.want)
		}
	}
	if _, err := codec(t, day).Seal(verp.Link{Sent: day, Recipient: strings.Repeat("x", 1001)}); !errors.Is(err, verp.ErrRange) {
		t.Errorf("too long a recipient: %v", err)
	}
	if _, err := codec(t, day).Seal(verp.Link{}); !errors.Is(err, verp.ErrRange) {
		t.Errorf("a time before the epoch: %v", err)
	}
}

// FuzzUnseal states that whatever is asked for never panics, and that what is
// genuine says the same when it is sealed again.
func FuzzUnseal(f *testing.F) {
	c := codec(f, day)
	f.Add(seal(f, c, letterLink))
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := c.Unseal(text)
		if err != nil {
			return
		}
		if again, err := c.Unseal(seal(t, c, l)); err != nil || again != l {
			t.Errorf("%+v becomes %+v, %v", l, again, err)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	c := codec(b, day)
	for b.Loop() {
		seal(b, c, letterLink)
	}
}
