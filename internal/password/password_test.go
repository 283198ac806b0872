package password_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"homing/internal/password"
)

// Hashes of "swordfish", made by the reference implementation:
//
//	echo -n swordfish | argon2 saltsaltsalt -id -t 1 -k 64 -p 1 -l 16 -e
const (
	small = "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0$bfJIWseFjL9Q6KNPeqZUDw"
	lanes = "$argon2id$v=19$m=19456,t=2,p=2$MDEyMzQ1Njc4OWFiY2RlZg$nwER4wkjUeafR0qijTnIiKOb1MFdU5f72CMyiCblw3c"
)

func Example() {
	phc := password.Make("correct horse")
	hash, err := password.Parse(phc)
	fmt.Println(strings.HasPrefix(phc, "$argon2id$v=19$m=19456,t=2,p=1$"), err)
	fmt.Println(hash.Verify("correct horse"), hash.Verify("battery staple"))
	// Output:
	// true <nil>
	// true false
}

func parse(t testing.TB, phc string) password.Hash {
	t.Helper()
	h, err := password.Parse(phc)
	if err != nil {
		t.Fatalf("Parse(%q): %v", phc, err)
	}
	return h
}

func TestVerify(t *testing.T) {
	tests := []struct {
		name     string
		hash     password.Hash
		password string
		want     bool
	}{
		{"the password of the reference implementation's hash", parse(t, small), "swordfish", true},
		{"two lanes", parse(t, lanes), "swordfish", true},
		{"another password", parse(t, small), "Swordfish", false},
		{"no password", parse(t, small), "", false},
		{"a password from a file", password.Plain("swordfish"), "swordfish", true},
		{"another password than the file's", password.Plain("swordfish"), "swordfis", false},
		{"an empty file lets nobody in", password.Plain(""), "", false},
		{"no hash lets nobody in", password.Hash{}, "", false},
		{"the hash is not the password", parse(t, small), small, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for range 2 { // the second time from memory
				if got := tt.hash.Verify(tt.password); got != tt.want {
					t.Errorf("Verify(%q) = %v, want %v", tt.password, got, tt.want)
				}
			}
		})
	}
}

func TestTheRightPasswordDoesNotMakeOthersRight(t *testing.T) {
	h := parse(t, small)
	for _, step := range []struct {
		password string
		want     bool
	}{{"swordfish", true}, {"shark", false}, {"swordfish", true}, {"", false}} {
		if got := h.Verify(step.password); got != step.want {
			t.Errorf("Verify(%q) = %v, want %v", step.password, got, step.want)
		}
	}
}

func TestVerifyFromManyGoroutines(t *testing.T) {
	h := parse(t, small)
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			word, want := "swordfish", true
			if i%2 == 1 {
				word, want = fmt.Sprint("guess", i), false
			}
			if got := h.Verify(word); got != want {
				t.Errorf("Verify(%q) = %v, want %v", word, got, want)
			}
		})
	}
	all.Wait()
}

func TestParseRefuses(t *testing.T) {
	for name, phc := range map[string]string{
		"nothing":                  "",
		"a plain password":         "swordfish",
		"bcrypt":                   "$2y$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe",
		"argon2i":                  strings.Replace(small, "argon2id", "argon2i", 1),
		"an old version":           strings.Replace(small, "v=19", "v=16", 1),
		"no parameters":            strings.Replace(small, "m=64,t=1,p=1", "", 1),
		"other parameters":         strings.Replace(small, "p=1", "p=1,x=2", 1),
		"no memory":                strings.Replace(small, "m=64", "m=0", 1),
		"more memory than we have": strings.Replace(small, "m=64", "m=4194304", 1),
		"no passes":                strings.Replace(small, "t=1", "t=0", 1),
		"lanes past an octet":      strings.Replace(small, "p=1", "p=256", 1),
		"cut short":                small[:len(small)-10],
		"padded base64":            small + "==",
		"text behind it":           small + "$",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := password.Parse(phc); !errors.Is(err, password.ErrFormat) {
				t.Errorf("Parse(%q) = %v, want ErrFormat", phc, err)
			}
		})
	}
}

func TestTwoHashesOfOnePasswordDiffer(t *testing.T) {
	if a, b := password.Make("swordfish"), password.Make("swordfish"); a == b {
		t.Errorf("the salt is not fresh: %q twice", a)
	}
}

func TestAHashIsNotPrinted(t *testing.T) {
	h := password.Plain("tr0ub4dor")
	asJSON, err := json.Marshal(struct{ Password password.Hash }{h})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprint(h), fmt.Sprintf("%+v %#v %q %x", h, h, h, h), fmt.Sprintf("%+v", struct{ P password.Hash }{h}), string(asJSON)} {
		if strings.Contains(text, "tr0ub") || strings.Contains(text, "7472307562") {
			t.Errorf("the password shows in %q", text)
		}
	}
}

func TestEqual(t *testing.T) {
	a, b := parse(t, small), parse(t, small)
	if !a.Equal(b) || !(password.Hash{}).Equal(password.Hash{}) {
		t.Error("hashes of the same text differ")
	}
	if a.Equal(parse(t, lanes)) || a.Equal(password.Hash{}) || (password.Hash{}).Equal(a) || a.Equal(password.Plain("swordfish")) {
		t.Error("hashes of different texts are equal")
	}
}

// FuzzParse promises of any text that Parse does not panic, and that what it
// accepts it accepts again with the same meaning.
func FuzzParse(f *testing.F) {
	f.Add(small)
	f.Add(lanes)
	f.Add("$argon2id$v=19$m=,t=,p=$$")
	f.Fuzz(func(t *testing.T, phc string) {
		h, err := password.Parse(phc)
		if err != nil {
			if !errors.Is(err, password.ErrFormat) {
				t.Errorf("Parse(%q) = %v, want ErrFormat", phc, err)
			}
			return
		}
		if again, err := password.Parse(phc); err != nil || !h.Equal(again) {
			t.Errorf("Parse(%q) twice gives two hashes (%v)", phc, err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	h := parse(b, password.Make("swordfish"))
	b.Run("wrong", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			h.Verify("shark")
		}
	})
	b.Run("right again", func(b *testing.B) {
		h.Verify("swordfish")
		b.ReportAllocs()
		for b.Loop() {
			h.Verify("swordfish")
		}
	})
}
