package web

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"homing/internal/message"
	"homing/internal/nearest"
)

// An object reads the members of a JSON object and notes all that is wrong
// with them.
type object struct {
	members  map[string]json.RawMessage
	at       string // where it is in the body: "", "attachments/0/"
	mistakes *[]Mistake
}

// readObject reads a body that is one JSON object.
func readObject(body []byte, mistakes *[]Mistake) (object, error) {
	o := object{mistakes: mistakes}
	if !utf8.Valid(body) {
		return o, errors.New("reading the JSON in the body: it is not UTF-8")
	}
	if err := json.Unmarshal(body, &o.members); err != nil {
		return o, fmt.Errorf("reading the JSON in the body: %w", err)
	}
	if o.members == nil {
		return o, errors.New("reading the JSON in the body: want an object")
	}
	return o, nil
}

// mistake notes what is wrong with a member, or with a part of it.
func (o object) mistake(member, detail string) {
	*o.mistakes = append(*o.mistakes, Mistake{Pointer: "#/" + o.at + member, Detail: detail})
}

// wrong reports whether something is noted of a member, or of a part of it.
func (o object) wrong(member string) bool {
	at := "#/" + o.at + member
	return slices.ContainsFunc(*o.mistakes, func(m Mistake) bool { return m.Pointer == at || strings.HasPrefix(m.Pointer, at+"/") })
}

// only notes the members that are none of these.
func (o object) only(names []string) {
	for _, name := range slices.Sorted(maps.Keys(o.members)) {
		if slices.Contains(names, name) {
			continue
		}
		detail := "there is no such member"
		if near := nearest.Word(name, names); near != "" {
			detail += "; did you mean " + near + "?"
		}
		o.mistake(pointer([]string{shortened(name)}), detail)
	}
}

// given gives a member; null is as good as none.
func (o object) given(name string) (json.RawMessage, bool) {
	raw, ok := o.members[name]
	return raw, ok && string(raw) != "null"
}

// read reads a member into a value, or notes that it is something else.
func (o object) read(name string, into any, want string) bool {
	raw, ok := o.given(name)
	if !ok {
		return false
	}
	if json.Unmarshal(raw, into) != nil {
		o.mistake(name, "want "+want)
		return false
	}
	return true
}

func (o object) text(name string) (s string) {
	o.read(name, &s, "a string")
	return s
}

// texts reads an object of strings.
func (o object) texts(name string) map[string]string {
	var inside map[string]json.RawMessage
	if !o.read(name, &inside, "an object of strings") {
		return nil
	}
	out := make(map[string]string, len(inside))
	for _, key := range slices.Sorted(maps.Keys(inside)) {
		var s *string
		if json.Unmarshal(inside[key], &s) != nil || s == nil {
			o.mistake(name+"/"+pointer([]string{key}), "want a string")
			continue
		}
		out[key] = *s
	}
	return out
}

// mailboxes reads addresses: a string, an object with address and name, or a
// list of these.
func (o object) mailboxes(name string) []message.Mailbox {
	raw, ok := o.given(name)
	if !ok || string(raw) == `""` { // a form that was left empty
		return nil
	}
	if raw[0] != '[' {
		return o.mailbox(name, raw, true)
	}
	var list []json.RawMessage
	o.read(name, &list, "a list")
	var all []message.Mailbox
	for i, raw := range list {
		all = append(all, o.mailbox(name+"/"+strconv.Itoa(i), raw, false)...)
	}
	return all
}

// item is where the address is that mailboxes gave at i.
func (o object) item(name string, i int) string {
	if raw, _ := o.given(name); len(raw) > 0 && raw[0] == '[' {
		return name + "/" + strconv.Itoa(i)
	}
	return name
}

// mailbox reads one address, or where a string may have several, all of them.
func (o object) mailbox(at string, raw json.RawMessage, several bool) []message.Mailbox {
	var s string
	if json.Unmarshal(raw, &s) == nil && string(raw) != "null" {
		all, err := parseMailboxes(s)
		if err != nil || !several && len(all) != 1 {
			o.mistake(at, fmt.Sprintf(`want an address like ann@example.net or "Ann Example" <ann@example.net>, got %q`, shortened(s)))
			return []message.Mailbox{{}} // in its place
		}
		return all
	}
	var inside map[string]json.RawMessage
	if json.Unmarshal(raw, &inside) != nil || inside == nil {
		o.mistake(at, `want an address: a string, or an object with "address" and "name"`)
		return []message.Mailbox{{}}
	}
	m := object{inside, o.at + at + "/", o.mistakes}
	m.only([]string{"address", "name"})
	return []message.Mailbox{{Address: m.text("address"), Name: m.text("name")}}
}

// parseMailboxes reads an address list strictly (RFC 5322 section 3.4): what is
// left out would get no mail.
func parseMailboxes(s string) ([]message.Mailbox, error) {
	if _, _, ok := message.SplitAddress(s); ok { // also with dots where none should be
		return []message.Mailbox{{Address: s}}, nil
	}
	list, err := mail.ParseAddressList(s)
	if err != nil {
		return nil, err
	}
	all := make([]message.Mailbox, 0, len(list))
	for _, a := range list {
		quoted := (&mail.Address{Address: a.Address}).String() // "<…>", its local part in quotes where it has to be
		all = append(all, message.Mailbox{Name: a.Name, Address: quoted[1 : len(quoted)-1]})
	}
	return all, nil
}

// attachments reads what goes with a message.
func (o object) attachments() []message.Attachment {
	var list []json.RawMessage
	if !o.read("attachments", &list, "a list of objects") {
		return nil
	}
	all := make([]message.Attachment, 0, len(list))
	for i, raw := range list {
		at := "attachments/" + strconv.Itoa(i)
		var inside map[string]json.RawMessage
		if json.Unmarshal(raw, &inside) != nil || inside == nil {
			o.mistake(at, "want an object")
			all = append(all, message.Attachment{}) // in its place
			continue
		}
		a := object{inside, o.at + at + "/", o.mistakes}
		a.only([]string{"filename", "content_type", "content", "content_id"})
		if _, ok := a.given("content"); !ok {
			a.mistake("content", "want what is attached, in base64")
		}
		id := strings.TrimSuffix(strings.TrimPrefix(a.text("content_id"), "<"), ">")
		all = append(all, message.Attachment{Name: a.text("filename"), Type: a.text("content_type"), ContentID: id, Content: a.base64("content")})
	}
	return all
}

// base64 reads octets, with line breaks and without padding, too.
func (o object) base64(name string) []byte {
	s := o.text(name)
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		if b, err = base64.RawStdEncoding.DecodeString(s); err != nil {
			o.mistake(name, "want base64")
		}
	}
	return b
}
