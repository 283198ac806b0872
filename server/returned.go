package server

import (
	"io"
	"regexp"

	"homing/event"
	"homing/internal/message"
)

// tagged finds what may be a return address of ours. Only the policy can say
// whether it is.
var tagged = regexp.MustCompile(`(?i)[a-z0-9._-]+[+-][a-z2-7]{31}@[a-z0-9.-]+`)

// Limits of a search for return addresses in what came back.
const (
	searchOctets = 64 << 10 // of each part
	searchMost   = 20       // addresses that are looked at
)

// A mention is what a report says of us with a genuine tag, wherever it says it.
type mention struct {
	delivery event.DeliveryID
	trial    uint64 // of a trial of ours, and of no delivery; 0: none
}

// returned finds the delivery that a report is about, which came to an address
// without a tag: by a genuine return address in what it returns. That is as good
// as mail to that address, since whoever knows the one could write to the other.
// Reports that mention several deliveries are about none.
func (in *Inbound) returned(l *letter) (m mention, ok bool) {
	mail, err := message.Walker{Keep: searchOctets}.Walk(io.NewSectionReader(l.raw, 0, l.raw.Size()))
	if err != nil {
		return mention{}, false
	}
	p := in.policy.Load()
	left := searchMost
	for i := range mail.Parts {
		for _, address := range tagged.FindAllString(mail.Parts[i].Text(), left) {
			left--
			d, err := p.locate(address)
			if err != nil || d.path == nil || d.wish {
				continue
			}
			found := mention{delivery: event.DeliveryID(d.tag.Delivery)}
			if d.trial {
				found = mention{trial: d.tag.Delivery}
			}
			if ok && found != m {
				return mention{}, false
			}
			m, ok = found, true
		}
		if left <= 0 {
			break
		}
	}
	return m, ok
}
