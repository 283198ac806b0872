package dnscheck

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"

	"homing/internal/dnsx"
)

const (
	// listQuestions is how many questions to block lists are under way at once.
	listQuestions = 40
	// listPatience is how long one of listTries of a question may take. A try
	// that comes to nothing has made the resolver look, and the next one finds
	// what it has found.
	listPatience = 1500 * time.Millisecond
	listTries    = 2
	// listsPatience is how long all of it may take.
	listsPatience = 8 * time.Second
	// listWords is how much of what a list says is shown, in characters.
	listWords = 300
)

// A listAsker asks block lists. Its methods may be called from many goroutines.
type listAsker struct {
	r     Resolver
	slots chan struct{} // one for each question under way
}

// addrs asks for the answer of a list.
func (a *listAsker) addrs(ctx context.Context, name string) ([]netip.Addr, error) {
	return patiently(ctx, a.slots, func(ctx context.Context) ([]netip.Addr, error) { return a.r.Addrs(ctx, name) })
}

// reason asks what a list says about its answer; "" is nothing.
func (a *listAsker) reason(ctx context.Context, name string) string {
	texts, err := patiently(ctx, a.slots, func(ctx context.Context) ([]string, error) { return a.r.TXT(ctx, name) })
	if err != nil {
		return ""
	}
	slices.Sort(texts)
	return oneLine(strings.Join(texts, "; "))
}

// patiently asks when it is this question's turn.
func patiently[T any](ctx context.Context, slots chan struct{}, ask func(context.Context) (T, error)) (answer T, err error) {
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	case <-ctx.Done():
		return answer, fmt.Errorf("%w: %w", dnsx.ErrTemporary, ctx.Err())
	}
	for range listTries {
		try, cancel := context.WithTimeout(ctx, listPatience)
		answer, err = ask(try)
		cancel()
		if !errors.Is(err, dnsx.ErrTemporary) {
			break
		}
	}
	return answer, err
}

// oneLine makes text of strangers fit for a line: without control and
// formatting characters, and not too long.
func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if runes := []rune(text); len(runes) > listWords {
		text = string(runes[:listWords-3]) + "..."
	}
	return strings.TrimSpace(text)
}

// reversedAddr gives the name of an address beneath the zone of a list (RFC 5782
// sections 2.1 and 2.4).
func reversedAddr(a netip.Addr) string {
	var labels []string
	if a.Is4() {
		labels = strings.Split(a.String(), ".")
	} else {
		b := a.As16()
		labels = strings.Split(hex.EncodeToString(b[:]), "")
	}
	slices.Reverse(labels)
	return strings.Join(labels, ".")
}

// A stand is how a subject stands with a list.
type stand int

const (
	isAbsent  stand = iota // or only answers that are no listing
	isNeutral              // there, but not listed
	isListed
	isRefused // the list did not answer the question, but says why
	isBroken  // no answer of a block list
	isSilent  // nothing was answered
)

// said is what a list says of one subject.
type said struct {
	stand   stand
	answers []netip.Addr // all but those that say nothing to stand
	codes   []Code       // what they mean
}

// answer gives the answers as text.
func (s said) answer() string {
	var all []string
	for _, a := range s.answers {
		all = append(all, a.String())
	}
	return strings.Join(all, ", ")
}

var listAnswers = netip.MustParsePrefix("127.0.0.0/8")

// read says what an answer of the list means.
func (l *List) read(addrs []netip.Addr, err error) said {
	switch {
	case errors.Is(err, dnsx.ErrNoName), errors.Is(err, dnsx.ErrNoData):
		return said{stand: isAbsent}
	case err != nil:
		return said{stand: isSilent}
	}
	// A list answers with A records (RFC 5782 section 2.1). Beside them, a
	// resolver with DNS64 makes up AAAA records.
	four := slices.DeleteFunc(slices.Clone(addrs), func(a netip.Addr) bool { return !a.Is4() })
	if len(four) == 0 {
		return said{stand: isBroken, answers: addrs}
	}
	slices.SortFunc(four, netip.Addr.Compare)
	if i := slices.IndexFunc(four, func(a netip.Addr) bool { return !listAnswers.Contains(a) }); i >= 0 {
		return said{stand: isBroken, answers: four[i : i+1]}
	}
	best := said{}
	for _, a := range four {
		for _, code := range l.meaning(a) {
			best.add(a, code)
		}
	}
	return best
}

// add takes one meaning in. What says more wins; equals stand together.
func (s *said) add(a netip.Addr, code Code) {
	at := map[Meaning]stand{MeansNeutral: isNeutral, MeansListed: isListed, MeansPolicy: isListed, MeansRefused: isRefused}[code.Kind]
	if at < s.stand {
		return
	}
	if at > s.stand {
		*s = said{stand: at}
	}
	if !slices.Contains(s.answers, a) {
		s.answers = append(s.answers, a)
	}
	if !slices.ContainsFunc(s.codes, func(c Code) bool { return c.Words == code.Words }) {
		s.codes = append(s.codes, code)
	}
}

// meaning gives the codes of one answer; there is at least one.
func (l *List) meaning(a netip.Addr) []Code {
	if c, ok := refusal(a); ok {
		return []Code{c}
	}
	octets := a.As4()
	rest := octets[3]
	var out []Code
	for _, c := range l.Codes {
		switch {
		case slices.Contains(c.Answers, a):
			return []Code{l.weigh(c)}
		case c.Bit&rest != 0 && octets[1] == 0 && octets[2] == 0:
			out = append(out, l.weigh(c))
			rest &^= c.Bit
		}
	}
	switch {
	case len(out) > 0 && rest == 0:
		return out
	case a == notAsked:
		return []Code{{Kind: MeansRefused, Words: "an answer that means a listing nowhere, and with many lists that they do not answer this resolver"}}
	}
	unknown := Code{Kind: MeansListed, Words: "an answer that Homing does not know the meaning of"}
	if !l.known() {
		unknown.Words = "Homing knows nothing more of this list"
	}
	unknown = l.weigh(unknown)
	if unknown.Weight == WeightFail {
		unknown.Weight = WeightWarn
	}
	return append(out, unknown)
}

// weigh fills in what a code has from its list.
func (l *List) weigh(c Code) Code {
	c.Weight = cmp.Or(c.Weight, l.Weight)
	c.Fix = cmp.Or(c.Fix, l.Fix)
	return c
}

var (
	notAsked  = netip.MustParseAddr("127.0.0.1")
	refusals  = netip.MustParsePrefix("127.255.255.0/24")
	wrongZone = netip.MustParseAddr("127.255.255.252")
	tooMany   = netip.MustParseAddr("127.255.255.255")
)

// refusal gives the meaning of the answers by which Spamhaus, and others after
// it, say that they were not asked properly.
func refusal(a netip.Addr) (Code, bool) {
	if !refusals.Contains(a) {
		return Code{}, false
	}
	words := "the list does not answer this resolver: it is a public one, or the reverse DNS of its address does not say whose it is"
	switch a {
	case wrongZone:
		words = "the zone of the list is misspelt"
	case tooMany:
		words = "this resolver asks more than the list answers for nothing, be it for you or for others who use it"
	}
	return Code{Kind: MeansRefused, Words: words}, true
}
