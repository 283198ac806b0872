package dnscheck

import (
	"slices"
	"strings"
)

// Web pages for the DNS spoil texts: they keep the quotes of a zone file, or
// its backslashes, or a space that was pasted along. What was meant is plain
// to see, and a second record beside it would be what nobody wants.

// bare gives a text without what belongs to a zone file alone.
func bare(text string) string {
	text = strings.NewReplacer(`" "`, "", `\;`, ";", `\"`, "", `"`, "").Replace(strings.TrimSpace(text))
	return strings.TrimSpace(text)
}

// spfsIn gives the SPF records among some texts; where there are none, what was
// meant for one.
func spfsIn(texts []string) []string {
	return either(texts, isSPF, func(t string) bool { return isSPF(bare(t)) })
}

// policiesIn gives the DMARC policies among some texts; where there are none,
// what was meant for one.
func policiesIn(texts []string) []string {
	return either(texts, isDMARC, func(t string) bool {
		return strings.HasPrefix(strings.ToLower(bare(t)), "v=dmarc1") || strings.Contains(bare(t), "DMARC1")
	})
}

// either gives the texts that are of a kind, or else those that almost are.
func either(texts []string, is, almost func(string) bool) []string {
	if some := slices.DeleteFunc(slices.Clone(texts), func(t string) bool { return !is(t) }); len(some) > 0 {
		return some
	}
	return slices.DeleteFunc(slices.Clone(texts), func(t string) bool { return !almost(t) })
}

// meantPolicy puts right what can be put right of a text that was meant for a
// DMARC policy. Its error is that of dmarcRecordOf.
func meantPolicy(text string) (string, error) {
	if _, err := dmarcRecordOf(text); err == nil {
		return text, nil
	}
	mended := bare(text)
	if first, rest, _ := strings.Cut(mended, ";"); strings.EqualFold(strings.ReplaceAll(first, " ", ""), "v=DMARC1") {
		mended = "v=DMARC1;" + rest
	}
	_, err := dmarcRecordOf(mended)
	return mended, err
}
