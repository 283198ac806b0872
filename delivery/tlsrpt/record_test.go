package tlsrpt_test

import (
	"slices"
	"strings"
	"testing"

	"homing/delivery/tlsrpt"
)

func TestParseRecord(t *testing.T) {
	tests := []struct {
		name  string
		texts []string
		want  []string
	}{
		{"an address", []string{"v=TLSRPTv1;rua=mailto:reports@example.com"}, []string{"mailto:reports@example.com"}},
		{"a place to post to", []string{"v=TLSRPTv1; rua=https://reporting.example.com/v1/tlsrpt"}, []string{"https://reporting.example.com/v1/tlsrpt"}},
		{"both, with spaces", []string{"v=TLSRPTv1 ; rua = mailto:a@example.com , https://example.com/x ;"}, []string{"mailto:a@example.com", "https://example.com/x"}},
		{"an extension before", []string{"v=TLSRPTv1; x=y; rua=mailto:a@example.com"}, []string{"mailto:a@example.com"}},
		{"among records of others", []string{"v=spf1 -all", "v=TLSRPTv1; rua=mailto:a@example.com"}, []string{"mailto:a@example.com"}},
		{"an address with a comma", []string{"v=TLSRPTv1; rua=mailto:a%2Bb@example.com"}, []string{"mailto:a%2Bb@example.com"}},
		{"two records", []string{"v=TLSRPTv1; rua=mailto:a@example.com", "v=TLSRPTv1; rua=mailto:b@example.com"}, nil},
		{"none", nil, nil},
		{"no receiver", []string{"v=TLSRPTv1;"}, nil},
		{"another version", []string{"v=TLSRPTv2; rua=mailto:a@example.com"}, nil},
		{"ways that nobody knows", []string{"v=TLSRPTv1; rua=http://example.com/,ftp://example.com/,mailto:a@example.com"}, []string{"mailto:a@example.com"}},
		{"addresses that are none", []string{"v=TLSRPTv1; rua=mailto:,mailto:example.com,mailto:a%0Db@example.com,mailto:<a@example.com>"}, nil},
		{"a password in the URL", []string{"v=TLSRPTv1; rua=https://me:secret@example.com/"}, nil},
		{"seven of them: five", []string{"v=TLSRPTv1; rua=" + strings.Repeat("mailto:a@example.com,", 7)}, slices.Repeat([]string{"mailto:a@example.com"}, 5)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tlsrpt.ParseRecord(tt.texts); !slices.Equal(got, tt.want) {
				t.Errorf("ParseRecord(%q) = %q, want %q", tt.texts, got, tt.want)
			}
		})
	}
}

// FuzzParseRecord promises of any text that receivers are few, and of a kind
// that can be reported to.
func FuzzParseRecord(f *testing.F) {
	f.Add("v=TLSRPTv1; rua=mailto:a@example.com,https://example.com/x")
	f.Fuzz(func(t *testing.T, text string) {
		all := tlsrpt.ParseRecord([]string{text})
		for _, uri := range all {
			scheme, _, _ := strings.Cut(strings.ToLower(uri), ":")
			if scheme != "mailto" && scheme != "https" || len(uri) > 500 || strings.ContainsAny(uri, "\r\n ,;") {
				t.Errorf("a receiver %q", uri)
			}
		}
		if len(all) > 5 {
			t.Errorf("%d receivers", len(all))
		}
	})
}
