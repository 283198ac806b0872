package bounce

import (
	"strings"
	"testing"
)

func TestAPhraseIsFound(t *testing.T) {
	tests := []struct{ name, phrase, text, want string }{
		{"alone", "mailbox full", "mailbox full", "mailbox full"},
		{"among words", "mailbox full", "sorry, mailbox full, try later", "mailbox full"},
		{"whatever its case and accents", "Postfach überfüllt", "das postfach uberfullt", "postfach uberfullt"},
		{"as the beginning of a word", "throttl", "you are throttled", "throttl"},
		{"not in the middle of one", "ube", "a tube to the danube", ""},
		{"behind a place where it is in the middle of one", "ube", "a tube, then ube", "ube"},
		{"behind a sign", "spam", "[spam] detected", "spam"},
		{"in a script without spaces", "存在しません", "そのユーザーは存在しませんでした", "存在しません"},
		{"in pieces", "user * unknown", "user ann is unknown", "user ann is unknown"},
		{"in pieces that touch", "user*unknown", "userunknown", "userunknown"},
		{"in the second place where its first piece is", "user * unknown", "a user who says the user ann is unknown and then much more than eighty octets", "user who says the user ann is unknown"},
		{"not when its pieces stand in the other order", "user * unknown", "unknown is the user ann", ""},
		{"behind a first piece that stands alone", "user * unknown", "user " + strings.Repeat("x", 100) + " user ann is unknown", "user ann is unknown"},
		{"not when it is nothing", "*", "mailbox", ""},
		{"not when something is missing", "mailbox full", "mailbox", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := newPhrase(tt.phrase).in(tt.text); got != tt.want {
				t.Errorf("%q in %q is %q, want %q", tt.phrase, tt.text, got, tt.want)
			}
			if got := newLexicon("nothing of it", tt.phrase, "x").find(tt.text); got != tt.want {
				t.Errorf("a lexicon with %q finds %q in %q, want %q", tt.phrase, got, tt.text, tt.want)
			}
		})
	}
}

func TestPiecesOfAPhraseAreNearEachOther(t *testing.T) {
	far := "user " + string(make([]byte, gap+1)) + " unknown"
	if got := newPhrase("user * unknown").in(far); got != "" {
		t.Errorf("found %q over more than %d octets", got, gap)
	}
}

func TestAPhraseEndsInTheMiddleOfAWordUnlessItSaysOtherwise(t *testing.T) {
	for text, want := range map[string]string{"contact us": "", "a conta": "conta", "conta, sim": "conta"} {
		if got := newPhrase("conta|").in(text); got != want {
			t.Errorf("found %q in %q, want %q", got, text, want)
		}
	}
	if got := newPhrase("conta").in("contact us"); got != "conta" {
		t.Errorf("found %q, want the beginning of the word", got)
	}
}

// FuzzPhrases states what an index promises: it may mark too many phrases, but
// leaves out none that is there; and a phrase is found only where it is.
func FuzzPhrases(f *testing.F) {
	f.Add("user * unknown", "the user ann is unknown")
	f.Add("ube", "a tube, then ube")
	f.Add("conta|", "contact us, sua conta")
	f.Add("*", "")
	f.Fuzz(func(t *testing.T, phrase, text string) {
		text = Fold(text)
		p := newPhrase(phrase)
		got := p.in(text)
		if x := newLexicon("postfach voll", phrase); x.find(text) == "" && got != "" {
			t.Errorf("%q is in %q, the lexicon says no", phrase, text)
		}
		if got == "" {
			return
		}
		for _, piece := range p {
			if piece != wordEnd && !strings.Contains(got, piece) {
				t.Errorf("%q found %q in %q", phrase, got, text)
			}
		}
	})
}
