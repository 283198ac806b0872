package smtpclient

import (
	"slices"
	"strconv"
	"strings"
)

// Offers are the service extensions that a peer announced (RFC 5321 section
// 4.1.1.1), by keyword in upper case, with their parameters. The zero offers
// are those of a peer that knows only HELO.
type offers struct {
	params     map[string][]string
	pipelining bool
	size       int64 // the largest message it takes, in octets; 0: not said
}

// parseOffers reads the reply to EHLO, whose first line is the peer's name.
func parseOffers(text string) offers {
	o := offers{params: map[string][]string{}}
	lines := strings.Split(text, "\n")
	for _, line := range lines[1:] {
		// Some announce AUTH=LOGIN for clients of the last century.
		words := strings.Fields(strings.ToUpper(strings.Replace(line, "AUTH=", "AUTH ", 1)))
		if len(words) > 0 {
			o.params[words[0]] = append(o.params[words[0]], words[1:]...)
		}
	}
	o.pipelining = o.has("PIPELINING")
	if p := o.params["SIZE"]; len(p) > 0 {
		n, _ := strconv.ParseUint(p[0], 10, 63) // unreadable is as good as not said
		o.size = int64(n)
	}
	return o
}

func (o offers) has(keyword string) bool {
	_, ok := o.params[keyword]
	return ok
}

func (o offers) auth(mechanism string) bool { return slices.Contains(o.params["AUTH"], mechanism) }
