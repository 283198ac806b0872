package dnscheck

import (
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTags(t *testing.T) {
	tests := []struct {
		name, text string
		want       tagList // nil: it is none
	}{
		{"space in every place", " v = DMARC1 ;\tp=none ; ", tagList{{"v", "DMARC1"}, {"p", "none"}}},
		{"a value with =", "p=abc==", tagList{{"p", "abc=="}}},
		{"an empty value", "p=", tagList{{"p", ""}}},
		{"two semicolons", "a=1;;b=2", nil},
		{"no value", "a=1; b", nil},
		{"no name", "=1", nil},
		{"a name that is none", "a-b=1", nil},
		{"a tag twice", "a=1; a=1", nil},
		{"an escape", `a=1\; b=2`, tagList{{"a", `1\`}, {"b", "2"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tagsOf(tt.text)
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(tag{})); diff != "" || (err != nil) != (tt.want == nil) {
				t.Errorf("tagsOf(%q): %v\n%s", tt.text, err, diff)
			}
		})
	}
}

// TestKeysAsOthersWriteThem has the forms in which the same key is published.
func TestKeysAsOthersWriteThem(t *testing.T) {
	public := &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(65537), 2047, 1), E: 65537}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	whole, bare := base64.StdEncoding.EncodeToString(der), base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(public))
	for _, text := range []string{"p=" + whole, "v=DKIM1;k=rsa;p=" + bare, "v=DKIM1; p=" + whole[:70] + " \t" + whole[70:] + ";"} {
		k, err := keyRecordOf(text)
		if err != nil || !k.sameKey(keyRecord{public: public}) || k.bits() != 2048 || k.sameKey(keyRecord{public: ed25519.PublicKey{}}) {
			t.Errorf("keyRecordOf(%.40q) = %d bits, %v, want the same key", text, k.bits(), err)
		}
	}
}

// FuzzRecords promises of every text that is published somewhere: what cannot
// be read is an error, and what can means the same when its tags are written
// anew.
func FuzzRecords(f *testing.F) {
	f.Add("v=DMARC1; p=none; rua=mailto:a@example.org!10m,mailto:b@example.org; pct=50")
	f.Add("v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=; t=s:y; h=sha256")
	f.Add("v=TLSRPTv1;rua=https://example.org/x")
	f.Add("v=spf1 -all")
	f.Fuzz(func(t *testing.T, text string) {
		tags, err := tagsOf(text)
		if err != nil {
			if _, err := dmarcRecordOf(text); err == nil {
				t.Errorf("%q is no list of tags, but a policy", text)
			}
			return
		}
		var fields []string
		for _, tag := range tags {
			fields = append(fields, tag.name+"="+tag.value)
		}
		again := strings.Join(fields, "; ")
		if same, err := tagsOf(again); err != nil || len(same) != len(tags) {
			t.Errorf("%q written anew is %q, which is %v, %v", text, again, same, err)
		}
		one, err1 := dmarcRecordOf(text)
		other, err2 := dmarcRecordOf(again)
		if diff := cmp.Diff(one, other, cmp.AllowUnexported(dmarcRecord{})); diff != "" || (err1 == nil) != (err2 == nil) {
			t.Errorf("%q and %q are other policies: %v, %v\n%s", text, again, err1, err2, diff)
		}
		if err1 == nil && (one.percent < 0 || one.percent > 100 || one.policy == "" || one.subPolicy == "") {
			t.Errorf("%q is a policy without meaning: %+v", text, one)
		}
		if k, err := keyRecordOf(text); (err == nil) != (k.public != nil) {
			t.Errorf("%q: key %v with %v", text, k.public, err)
		}
		_ = readableTLSRPT(text) // does not panic
	})
}

// FuzzSPFMistakes promises that the strict reader never panics, and that it
// finds no fault with a record when terms of it stand there in other letters.
func FuzzSPFMistakes(f *testing.F) {
	f.Add("v=spf1 a mx:example.org/24//64 ip4:192.0.2.0/24 ip6:2001:db8::/32 include:_spf.example.org exists:%{i}._spf.%{d2} ~all")
	f.Add("v=spf1 redirect=%{d}.example.org exp=e.example.org x=y")
	f.Add("v=spf1 -")
	f.Fuzz(func(t *testing.T, text string) {
		if !isSPF(text) {
			return
		}
		if mistake := spfMistakeIn(text); mistake == "" && spfMistakeIn(strings.ToUpper(text[:6])+text[6:]) != "" {
			t.Errorf("%q is right in small letters alone", text)
		}
	})
}
