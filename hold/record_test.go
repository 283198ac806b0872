package hold_test

import (
	"fmt"
	"testing"

	"homing/hold"
)

func TestAnAddressHasOneSpelling(t *testing.T) {
	tests := []struct{ name, address, want string }{
		{"as it is", "ann@example.net", "ann@example.net"},
		{"letter case is no difference", "Ann.Lee@Example.NET", "ann.lee@example.net"},
		{"a tag is kept", "ann+news@example.net", "ann+news@example.net"},
		{"a final dot goes", "ann@example.net.", "ann@example.net"},
		{"a domain in letters becomes A-labels", "ann@Bücher.example", "ann@xn--bcher-kva.example"},
		{"A-labels stay", "ann@XN--BCHER-KVA.example", "ann@xn--bcher-kva.example"},
		{"a local part in letters is lower-cased", "ÄNNE@example.net", "änne@example.net"},
		{"the last at sign divides", `"a@b"@Example.net`, `"a@b"@example.net`},
		{"a domain that idna refuses is lower-cased", "ann@-Ä.example", "ann@-ä.example"},
		{"capitals that idna refuses become small letters first", "ann@\u10c5.example", "ann@xn--tlj.example"},
		{"underscores stay", "ann@my_host.Example", "ann@my_host.example"},
		{"no address at all is lower-cased", "Nobody", "nobody"},
		{"nothing", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := hold.Canonical(tt.address); got != tt.want {
				t.Errorf("Canonical(%q) = %q, want %q", tt.address, got, tt.want)
			}
		})
	}
}

// FuzzCanonical promises that the canonical spelling is its own canonical
// spelling: otherwise one person would have two records.
func FuzzCanonical(f *testing.F) {
	f.Add("Ann@Bücher.example")
	f.Add("a@b.")
	f.Fuzz(func(t *testing.T, address string) {
		once := hold.Canonical(address)
		if twice := hold.Canonical(once); twice != once {
			t.Errorf("Canonical(%q) = %q, and of that %q", address, once, twice)
		}
	})
}

func ExampleCanonical() {
	fmt.Println(hold.Canonical("Ann+News@Bücher.example"))
	// Output: ann+news@xn--bcher-kva.example
}
