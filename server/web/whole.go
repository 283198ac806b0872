package web

import (
	"bufio"
	"bytes"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"

	"homing/event"
	"homing/internal/message"
)

// queryNames are the parameters that may be there.
func queryNames(kind string, query url.Values) []string {
	names := []string{"application"}
	if kind != mailKind {
		return names
	}
	names = append(names, "from", "to", "campaign", "send_at")
	for name := range query {
		if strings.HasPrefix(name, metadataPrefix) {
			names = append(names, name)
		}
	}
	return names
}

// metadataPrefix is what parameters begin with that are metadata.
const metadataPrefix = "metadata."

// whole makes an Injection of a whole message and of the query.
func (d *intake) whole(body []byte) (all []Mistake) {
	query := d.r.URL.Query()
	wrong := func(name, detail string) { all = append(all, Mistake{Parameter: name, Detail: detail}) }
	var err error
	if d.in.Campaign = query.Get("campaign"); checkCampaign(d.in.Campaign) != nil {
		wrong("campaign", checkCampaign(d.in.Campaign).Error())
	}
	if text := query.Get("send_at"); text != "" {
		if d.in.SendAt, err = d.sendAt(text); err != nil {
			wrong("send_at", err.Error())
		}
	}
	texts := map[string]string{}
	for name := range query {
		if key, ok := strings.CutPrefix(name, metadataPrefix); ok {
			texts[key] = query.Get(name)
		}
	}
	if d.in.Metadata, err = event.MetadataOf(texts); err != nil {
		wrong("metadata", err.Error())
	}
	h, err := message.ReadHeader(bufio.NewReader(bytes.NewReader(body)), message.MaxHeader)
	if err != nil {
		return append(all, Mistake{Pointer: "#", Detail: "the header of the message: " + err.Error()})
	}
	d.in.Content, d.in.UTF8 = body, utf8.Valid(h.Block())
	d.wholeEnvelope(query, h, wrong)
	return all
}

// wholeEnvelope takes the envelope from the query, and what is not there from
// the message.
func (d *intake) wholeEnvelope(query url.Values, h *message.Header, wrong func(name, detail string)) {
	from, to := query.Get("from"), query["to"]
	if !query.Has("from") {
		m, _ := message.FirstMailbox(h.Get("From"))
		from = m.Address
	}
	if len(to) == 0 {
		for _, name := range []string{"To", "Cc", "Bcc"} {
			for _, value := range h.Values(name) {
				for _, m := range message.Mailboxes(value) {
					to = append(to, m.Address)
				}
			}
		}
	}
	var ok bool
	if d.in.From, ok = envelopeAddress(from); !ok && (from != "" || !query.Has("from")) {
		wrong("from", "want the envelope sender, here or as the From field of the message")
	}
	for _, address := range to {
		envelope, ok := envelopeAddress(address)
		if !ok {
			wrong("to", fmt.Sprintf("want an address like ann@example.net, got %q", shortened(address)))
		}
		d.in.To = append(d.in.To, envelope)
	}
	switch n := len(to); {
	case n == 0:
		wrong("to", "want at least one recipient, here or in the fields To, Cc and Bcc of the message")
	case n > maxRecipient:
		wrong("to", fmt.Sprintf("want at most %d recipients, got %d: send to the others in another message", maxRecipient, n))
	}
}
