package verp_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"homing/verp"
)

const domain = "bounce.example.org"

var (
	day    = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	midday = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC) // the beginning of that day
	oldKey = verp.Key{ID: 3, Secret: bytes.Repeat([]byte{3}, 32)}
	newKey = verp.Key{ID: 15, Secret: bytes.Repeat([]byte{15}, 32)}
)

// codec has a fortnight's patience and a clock that stands still.
func codec(t testing.TB, now time.Time, keys ...verp.Key) *verp.Codec {
	t.Helper()
	if len(keys) == 0 {
		keys = []verp.Key{oldKey}
	}
	c, err := verp.New(verp.Options{Keys: keys, MaxAge: 14 * 24 * time.Hour, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return c
}

func encode(t testing.TB, c *verp.Codec, p verp.Purpose, delivery uint64) string {
	t.Helper()
	tag, err := c.Encode(domain, p, delivery, day)
	if err != nil {
		t.Fatalf("Encode: %v", err)
	}
	return tag
}

func TestDecode(t *testing.T) {
	good := encode(t, codec(t, day), verp.Return, 42)
	link := encode(t, codec(t, day), verp.Unsubscribe, 42)
	foreign := encode(t, codec(t, day, newKey), verp.Return, 42)
	last := midday.AddDate(0, 0, 15) // the day it was made, and fourteen more
	tests := []struct {
		name    string
		tag     string
		domain  string
		purpose verp.Purpose
		now     time.Time
		want    error
	}{
		{"as we made it", good, domain, verp.Return, day, nil},
		{"upper-cased by a relay", strings.ToUpper(good), domain, verp.Return, day, nil},
		{"the domain upper-cased by a relay", good, strings.ToUpper(domain), verp.Return, day, nil},
		{"in the last second allowed", good, domain, verp.Return, last.Add(-time.Second), nil},
		{"one second late", good, domain, verp.Return, last, verp.ErrExpired},
		{"made where it is tomorrow already", good, domain, verp.Return, midday.Add(-24 * time.Hour), nil},
		{"from the day after tomorrow", good, domain, verp.Return, midday.Add(-24*time.Hour - time.Second), verp.ErrExpired},
		{"an unsubscribe link after 400 days", link, domain, verp.Unsubscribe, midday.Add(401*24*time.Hour - time.Second), nil},
		{"an unsubscribe link after 401 days", link, domain, verp.Unsubscribe, midday.Add(401 * 24 * time.Hour), verp.ErrExpired},
		{"a return tag used to unsubscribe", good, domain, verp.Unsubscribe, day, verp.ErrForged},
		{"an unsubscribe link used as return address", link, domain, verp.Return, day, verp.ErrForged},
		{"moved to another domain", good, "bounce.example.com", verp.Return, day, verp.ErrForged},
		{"moved to the parent domain", good, "example.org", verp.Return, day, verp.ErrForged},
		{"signed with a key that is not ours", foreign, domain, verp.Return, day, verp.ErrForged},
		{"forged and old is forged", "a" + good[1:], domain, verp.Return, last, verp.ErrForged},
		{"cut short", good[:30], domain, verp.Return, day, verp.ErrNotVERP},
		{"with one character more", good + "a", domain, verp.Return, day, verp.ErrNotVERP},
		{"with padding", good + "=", domain, verp.Return, day, verp.ErrNotVERP},
		{"with a line end in it", good[:15] + "\n" + good[16:], domain, verp.Return, day, verp.ErrNotVERP},
		{"a digit that base32 does not have", good[:30] + "1", domain, verp.Return, day, verp.ErrNotVERP},
		{"nothing", "", domain, verp.Return, day, verp.ErrNotVERP},
		{"somebody's mailbox", "alice", domain, verp.Return, day, verp.ErrNotVERP},
		{"a domain that is none", good, strings.Repeat("a", 256), verp.Return, day, verp.ErrNotVERP},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := codec(t, tt.now).Decode(tt.domain, tt.purpose, tt.tag)
			if !errors.Is(err, tt.want) {
				t.Fatalf("Decode(%q) = %v, want %v", tt.tag, err, tt.want)
			}
			want := verp.Tag{}
			if tt.want == nil {
				want = verp.Tag{Delivery: 42, Sent: midday}
			}
			if got != want {
				t.Errorf("Decode(%q) = %v, want %v", tt.tag, got, want)
			}
		})
	}
}

func TestNoChangeOfOneCharacterVerifies(t *testing.T) {
	c := codec(t, day, oldKey, newKey)
	good := encode(t, c, verp.Return, 0x00dead_beef_cafe)
	for i := range len(good) {
		for b := range 256 {
			changed := good[:i] + string([]byte{byte(b)}) + good[i+1:]
			_, err := c.Decode(domain, verp.Return, changed)
			if same := strings.EqualFold(changed, good); same != (err == nil) {
				t.Errorf("octet %d made %#x: Decode = %v, want it to verify: %v", i, b, err, same)
			}
		}
	}
}

func TestTagsOfTwoRecipientsCannotBeMixed(t *testing.T) {
	c := codec(t, day)
	ann, bob := encode(t, c, verp.Return, 1), encode(t, c, verp.Return, 1<<55)
	for cut := 1; cut < verp.TagLength; cut++ {
		for _, mixed := range []string{ann[:cut] + bob[cut:], bob[:cut] + ann[cut:]} {
			if mixed == ann || mixed == bob {
				continue
			}
			if tag, err := c.Decode(domain, verp.Return, mixed); !errors.Is(err, verp.ErrForged) {
				t.Errorf("cut at %d: Decode(%q) = %v, %v, want ErrForged", cut, mixed, tag, err)
			}
		}
	}
}

func TestRandomTagsDoNotVerify(t *testing.T) {
	c := codec(t, day, oldKey, newKey)
	random := rand.New(rand.NewPCG(1, 2))
	tag := make([]byte, verp.TagLength)
	for range 50_000 {
		for i := range tag {
			tag[i] = "abcdefghijklmnopqrstuvwxyz234567"[random.IntN(32)]
		}
		if got, err := c.Decode(domain, verp.Return, string(tag)); !errors.Is(err, verp.ErrForged) {
			t.Fatalf("Decode(%q) = %v, %v, want ErrForged", tag, got, err)
		}
	}
}

func TestATagCarriesEveryDeliveryAndDay(t *testing.T) {
	for _, delivery := range []uint64{0, 1, 0x1234_5678_9abc_de, 1<<56 - 1} {
		for _, sent := range []time.Time{
			time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC),
			time.Date(2024, 2, 29, 23, 59, 59, 999, time.UTC),
			time.Date(2109, 9, 18, 0, 0, 0, 0, time.UTC),
		} {
			c := codec(t, sent, newKey)
			tag, err := c.Encode(domain, verp.Return, delivery, sent)
			if err != nil || len(tag) != verp.TagLength || strings.Trim(tag, "abcdefghijklmnopqrstuvwxyz234567") != "" {
				t.Fatalf("Encode(%d, %v) = %q, %v, want 31 lower-case letters and digits", delivery, sent, tag, err)
			}
			want := verp.Tag{Delivery: delivery, Sent: sent.Truncate(24 * time.Hour)}
			if got, err := c.Decode(domain, verp.Return, tag); err != nil || got != want {
				t.Errorf("Decode(%q) = %v, %v, want %v", tag, got, err, want)
			}
		}
	}
}

func TestWhatATagCannotCarryIsRefused(t *testing.T) {
	tests := []struct {
		name     string
		domain   string
		delivery uint64
		sent     time.Time
	}{
		{"a delivery of 57 bits", domain, 1 << 56, day},
		{"a clock that was never set", domain, 1, time.Unix(0, 0)},
		{"the last second before the first day", domain, 1, time.Date(2019, 12, 31, 23, 59, 59, 0, time.UTC)},
		{"the first second after the last day", domain, 1, time.Date(2109, 9, 19, 0, 0, 0, 0, time.UTC)},
		{"a domain of 256 octets", strings.Repeat("a", 256), 1, day},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tag, err := codec(t, day).Encode(tt.domain, verp.Return, tt.delivery, tt.sent); !errors.Is(err, verp.ErrRange) || tag != "" {
				t.Errorf("Encode = %q, %v, want ErrRange", tag, err)
			}
		})
	}
}

func TestAfterARotationTheNewKeySignsAndTheOldOneVerifies(t *testing.T) {
	before := encode(t, codec(t, day, oldKey), verp.Return, 42)
	rotated := codec(t, day, newKey, oldKey)
	if tag, err := rotated.Decode(domain, verp.Return, before); err != nil || tag.Delivery != 42 {
		t.Errorf("a tag of the old key: %v, %v, want delivery 42", tag, err)
	}
	after := encode(t, rotated, verp.Return, 42)
	if after == before {
		t.Error("the new key makes the tag of the old one")
	}
	if _, err := codec(t, day, oldKey).Decode(domain, verp.Return, after); !errors.Is(err, verp.ErrForged) {
		t.Errorf("the old key alone: %v, want ErrForged", err)
	}
	if _, err := codec(t, day, verp.Key{ID: newKey.ID, Secret: oldKey.Secret}).Decode(domain, verp.Return, after); !errors.Is(err, verp.ErrForged) {
		t.Errorf("another secret under the same id: %v, want ErrForged", err)
	}
}

func TestWithoutAnAgeLimitTagsAreGoodForEver(t *testing.T) {
	for _, years := range []int{0, 50} {
		c, err := verp.New(verp.Options{Keys: []verp.Key{oldKey}, Now: func() time.Time { return day.AddDate(years, 0, 0) }})
		if err != nil {
			t.Fatalf("New: %v", err)
		}
		if _, err := c.Decode(domain, verp.Return, encode(t, c, verp.Return, 1)); err != nil {
			t.Errorf("after %d years: %v", years, err)
		}
	}
}

func TestKeysThatCannotWorkAreNamed(t *testing.T) {
	tests := []struct {
		name string
		keys []verp.Key
		want string
	}{
		{"none", nil, "no key"},
		{"an id of five bits", []verp.Key{{ID: 16, Secret: oldKey.Secret}}, "key id 16"},
		{"two of one id", []verp.Key{oldKey, {ID: 3, Secret: newKey.Secret}}, "two keys have the id 3"},
		{"a short secret", []verp.Key{oldKey, {ID: 1, Secret: make([]byte, 15)}}, "key 1 has 15 octets"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := verp.New(verp.Options{Keys: tt.keys}); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("New = %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func TestManyMayUseOneCodecAtOnce(t *testing.T) {
	c := codec(t, day, oldKey, newKey)
	var wg sync.WaitGroup
	for worker := range uint64(8) {
		wg.Go(func() {
			for n := range uint64(300) {
				delivery := worker<<32 | n
				tag, err := c.Encode(domain, verp.Return, delivery, day)
				if err != nil {
					t.Errorf("Encode: %v", err)
					return
				}
				if got, err := c.Decode(domain, verp.Return, tag); err != nil || got.Delivery != delivery {
					t.Errorf("Decode(%q) = %v, %v, want delivery %d", tag, got, err, delivery)
				}
			}
		})
	}
	wg.Wait()
}

// FuzzDecode states what Decode promises about any input: it does not panic,
// and what it accepts it would have written itself, but for letter case.
func FuzzDecode(f *testing.F) {
	c := codec(f, day)
	f.Add(encode(f, c, verp.Return, 42))
	f.Add(strings.ToUpper(encode(f, c, verp.Return, 1<<56-1)))
	f.Add("alice+list")
	f.Fuzz(func(t *testing.T, text string) {
		tag, err := c.Decode(domain, verp.Return, text)
		if err != nil {
			return
		}
		again, err := c.Encode(domain, verp.Return, tag.Delivery, tag.Sent)
		if err != nil || again != strings.ToLower(text) {
			t.Errorf("Decode(%q) = %v, which is written %q, %v", text, tag, again, err)
		}
	})
}

func ExampleCodec() {
	now := func() time.Time { return time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC) }
	c, err := verp.New(verp.Options{
		Keys:   []verp.Key{{ID: 1, Secret: []byte("thirty-two octets of random bits")}},
		MaxAge: 30 * 24 * time.Hour,
		Now:    now,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	path, _ := verp.ParsePath("return@bounce.example.org", '+')
	tag, _ := c.Encode(path.Domain, verp.Return, 42, now())
	address := path.Format(tag)
	fmt.Println(address)

	// The next day a bounce comes to that address.
	found, ok := path.Match(address)
	genuine, err := c.Decode(path.Domain, verp.Return, found)
	fmt.Println(ok, genuine.Delivery, err)
	// Output:
	// return+caaaaaaaaabkcow5zdk566ikqji4ulu@bounce.example.org
	// true 42 <nil>
}

func BenchmarkDecode(b *testing.B) {
	c := codec(b, day)
	tag := encode(b, c, verp.Return, 42)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Decode(domain, verp.Return, tag); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeForged(b *testing.B) {
	c := codec(b, day)
	tag := "a" + encode(b, c, verp.Return, 42)[1:]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Decode(domain, verp.Return, tag); !errors.Is(err, verp.ErrForged) {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	c := codec(b, day)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Encode(domain, verp.Return, 42, day); err != nil {
			b.Fatal(err)
		}
	}
}
