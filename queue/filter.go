package queue

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"homing/event"
	"homing/hold"
	"homing/store"
)

// A Filter says which recipients an operator means. Fields that are set
// restrict, all of them together.
type Filter struct {
	Message     event.MessageID `json:"message,omitzero"`
	Recipient   string          `json:"recipient,omitempty"` // an address
	Domain      string          `json:"domain,omitempty"`    // of the recipients
	Provider    string          `json:"provider,omitempty"`  // a name that Queue.Provider gives
	Sender      string          `json:"sender,omitempty"`    // the envelope sender that the application gave
	Application string          `json:"application,omitempty"`
	Campaign    string          `json:"campaign,omitempty"`
	Before      time.Time       `json:"before,omitzero"` // accepted before
	All         bool            `json:"all,omitempty"`   // everything: a Filter without any field means nobody
}

// ErrNoFilter says that an operation was not told what it is about.
var ErrNoFilter = errors.New("queue: nothing says which mail is meant")

// check gives the Filter in its one spelling.
func (f Filter) check() (Filter, error) {
	domain := hold.CanonicalDomain(f.Domain)
	if domain == "" && f.Domain != "" {
		return f, ErrNoFilter // without it, far more would be meant
	}
	f.Domain = domain
	if f.Recipient != "" {
		f.Recipient = hold.Canonical(f.Recipient)
	}
	f.Before = f.Before.UTC()
	restricted := f
	restricted.All = false
	if restricted == (Filter{Before: f.Before}) && f.Before.IsZero() {
		if !f.All {
			return f, ErrNoFilter
		}
		return Filter{All: true}, nil
	}
	return restricted, nil
}

// ofKeys reports whether what is meant can be told by the Key of the work
// alone, without looking at any recipient.
func (f Filter) ofKeys() bool {
	return f.Message == 0 && f.Recipient == "" && f.Sender == "" && f.Before.IsZero()
}

// wantsKey reports whether work under a Key, for a provider of that name, can
// be meant. Of a Filter that is ofKeys, all of it is.
func (f Filter) wantsKey(k store.Key, provider string) bool {
	if f.Domain != "" && f.Domain != k.Domain || f.Provider != "" && !strings.EqualFold(f.Provider, provider) {
		return false
	}
	if f.Application == "" && f.Campaign == "" {
		return true
	}
	application, campaign := store.SplitFlow(k.Flow)
	return (f.Application == "" || f.Application == application) && (f.Campaign == "" || f.Campaign == campaign)
}

// wantsRow reports whether a recipient can be meant, by what its Key does not
// say.
func (f Filter) wantsRow(r store.Row) bool {
	m := r.Message
	return (f.Message == 0 || f.Message == m.ID) && (f.Recipient == "" || f.Recipient == hold.Canonical(r.Recipient.Address)) &&
		(f.Sender == "" || f.Sender == m.Sender) && (f.Before.IsZero() || m.Accepted.Before(f.Before))
}

// covers reports whether everything that other means is meant by f, too.
func (f Filter) covers(other Filter, provider func(domain string) string) bool {
	within := func(mine, its string) bool { return mine == "" || mine == its }
	served := f.Provider == "" || strings.EqualFold(f.Provider, other.Provider) ||
		other.Domain != "" && strings.EqualFold(f.Provider, provider(other.Domain))
	return served && within(f.Domain, other.Domain) && within(f.Sender, other.Sender) &&
		(f.Message == 0 || f.Message == other.Message) && within(f.Recipient, other.Recipient) &&
		within(f.Application, other.Application) && within(f.Campaign, other.Campaign) &&
		(f.Before.IsZero() || !other.Before.IsZero() && !other.Before.After(f.Before))
}

// straight gives the provider of a domain whose mail has no way of its own.
func (q *Queue) straight(domain string) string { return q.Provider(store.Key{Domain: domain}) }

// fields gives what is set, with the names that the command line has for it.
func (f Filter) fields() [][2]string {
	var set [][2]string
	message := ""
	if f.Message != 0 {
		message = f.Message.String()
	}
	for _, field := range [][2]string{{"message", message}, {"recipient", f.Recipient}, {"domain", f.Domain}, {"provider", f.Provider}, {"sender", f.Sender},
		{"application", f.Application}, {"campaign", f.Campaign}} {
		if field[1] != "" {
			set = append(set, field)
		}
	}
	if !f.Before.IsZero() {
		set = append(set, [2]string{"before", f.Before.UTC().Format(time.RFC3339)})
	}
	return set
}

// String says in words what is meant: "campaign spring, domain example.net".
func (f Filter) String() string {
	var words []string
	for _, field := range f.fields() {
		words = append(words, field[0]+" "+field[1])
	}
	if len(words) == 0 {
		return "all mail"
	}
	return strings.Join(words, ", ")
}

// name tells the Filter from all others, however long its fields are.
func (f Filter) name() string {
	var words strings.Builder
	f.Provider = strings.ToLower(f.Provider)
	for _, field := range f.fields() {
		fmt.Fprintf(&words, "%s=%q ", field[0], field[1])
	}
	return fmt.Sprintf("%x", sha256.Sum256([]byte(words.String())))
}

// query asks the store for recipients that are meant. Providers are asked for
// once a pair of domains.
func (q *Queue) query(f Filter, states ...store.State) store.Query {
	providers := map[store.Key]string{}
	provider := func(k store.Key) string {
		k = store.Key{Domain: k.Domain, Sending: k.Sending}
		name, known := providers[k]
		if !known {
			name = q.Provider(k)
			providers[k] = name
		}
		return name
	}
	return store.Query{States: states, Message: f.Message, Address: f.Recipient, Sender: f.Sender, Before: f.Before, Key: func(k store.Key) bool {
		name := ""
		if f.Provider != "" {
			name = provider(k)
		}
		return f.wantsKey(k, name)
	}}
}
