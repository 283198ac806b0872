// Package store is the durable state behind one interface: rows and
// transactions, not what they mean. Engines live in folders below it; storetest
// is what every engine must pass.
package store

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"homing/event"
	"homing/hold"
	"homing/internal/message"
)

// Errors that callers branch on. Anything else is temporary.
var (
	ErrNotFound  = errors.New("store: not found")
	ErrLeaseLost = errors.New("store: the lease is no longer ours")
	ErrFull      = errors.New("store: no room on the disk") // temporary, nothing was written
	ErrFailed    = errors.New("store: the disk failed; nothing is acknowledged until a restart")
	ErrMove      = errors.New("store: no such move in the life of a recipient")
	ErrOnce      = errors.New("store: this was done before")
)

// A Store remembers. Its methods may be called from many goroutines. Enqueue,
// Apply, Note and Forget are durable when they return nil; Advance may be made
// durable up to a second late. What rows mean is decided in package queue.
type Store interface {
	// NewBody begins to keep the content of a message. Up to 128 KiB stay
	// in memory, more goes to a file of its own.
	NewBody(ctx context.Context) (Draft, error)
	// OpenBody opens what a Ref names: header block, then content.
	// ErrNotFound when it is owed to nobody any more.
	OpenBody(ctx context.Context, ref message.Ref) (message.Body, error)
	// Room is nil while new mail may be accepted, and ErrFull when less
	// than the reserve is free. It is cheap enough for every MAIL.
	Room() error

	// Deliveries gives the first of n numbers in a row for recipients that
	// are about to be enqueued. They are never given twice.
	Deliveries(n int) event.DeliveryID
	// Enqueue stores a message, its recipients, bodies and events at once.
	// A Submission whose Key was seen before changes nothing and gives the
	// MessageID of the first. At most 1,000 recipients.
	Enqueue(ctx context.Context, s Submission) (event.MessageID, error)
	// Receipt gives the MessageID and the Receipt of the Submission that was
	// stored under a Key. ErrNotFound when there was none, or its message is
	// forgotten. The octets belong to the caller.
	Receipt(ctx context.Context, key string) (event.MessageID, []byte, error)

	// Due gives the keys whose work changed after since (zero Mark: all of
	// them, at once). It waits until there is news or ctx ends.
	Due(ctx context.Context, since Mark) ([]Work, Mark, error)
	// Lease claims up to Max waiting recipients of one Key that are due at
	// Now. They are nobody else's until Until.
	Lease(ctx context.Context, r LeaseRequest) ([]Lease, error)
	// Extend moves the end of leases; the zero time gives them back.
	// ErrLeaseLost when one of them is no longer ours: the others are done.
	Extend(ctx context.Context, until time.Time, tokens ...Token) error
	// Apply is the way in which a recipient, its hold and its events change:
	// all changes of one call, at most 1,000, in one transaction, all or
	// nothing. A change without a Lease that moves a leased recipient away
	// from Waiting takes the lease away; one that leaves it waiting does not,
	// so that a dialogue under way is not repeated for nothing.
	Apply(ctx context.Context, changes ...Change) error

	// Recipient looks a delivery up, also long after it ended, until
	// retention forgets it. ErrNotFound.
	Recipient(ctx context.Context, id event.DeliveryID) (Message, Recipient, error)
	// Hold gives what is known of a canonical address; the zero Record when
	// nothing is.
	Hold(ctx context.Context, address string) (hold.Record, error)
	// Find lists rows for people, a page at a time.
	Find(ctx context.Context, q Query) (Page, error)
	// Counts gives how many recipients have no outcome yet, by State. It is
	// cheap, however many there are.
	Counts(ctx context.Context) (map[State]int, error)
	// Accepted counts the recipients accepted since t, by application.
	Accepted(ctx context.Context, since time.Time) (map[string]int, error)

	// Events gives up to limit events after an ID in order of commit. It
	// waits until there is one or ctx ends. With a ctx that has ended it
	// waits for nothing: it gives what there is, or ctx's error.
	Events(ctx context.Context, after event.ID, limit int) ([]event.Event, error)
	// Cursor gives how far a sink has been told; the zero Cursor for a sink
	// that is new.
	Cursor(ctx context.Context, sink string) (event.Cursor, error)
	// Advance remembers how far a sink has been told.
	Advance(ctx context.Context, sink string, c event.Cursor) error

	Notes

	// Forget removes up to limit rows that What names and says how many went.
	Forget(ctx context.Context, w What, limit int) (int, error)
}

var _ event.Log = Store(nil)

// A Draft is content without an owner. It is written once, may be read back,
// and is gone unless a transaction names it. Its methods are for one
// goroutine.
type Draft interface {
	io.Writer
	io.ReaderAt
	Size() int64
	// Sync makes the octets durable where they are in a file of their own;
	// the engine calls it where the caller has not.
	Sync() error
	// Once has the Apply that is given this Draft note name in space, in the
	// same transaction. Where that is noted already the Apply fails with
	// ErrOnce and changes nothing: so that what comes again after a crash is
	// not done again. Call it before Apply; Note forgets it.
	Once(space, name string)
	// Discard forgets the content. After a transaction named the Draft it
	// does nothing, so it can be deferred.
	Discard()
}

// A Message is what the recipients of one submission share.
type Message struct {
	ID            event.MessageID // given by Enqueue
	Accepted      time.Time
	Application   string
	Domain        string // name of the configured domain it is sent as
	Sender        string // the envelope sender that the application gave, byte for byte; "" is the null reverse-path
	From          string // the address of the From field
	FromName      string // the name beside it
	Campaign      string
	HeaderID      string         // Message-ID field, with its brackets
	Subject       string         // for people who look at the queue
	Bulk          bool           // several recipients, or list header fields
	EightBit      bool           // what is stored needs 8BITMIME
	UTF8          bool           // header or envelope needs SMTPUTF8
	EnvelopeID    string         // ENVID (RFC 3461 section 4.4), decoded
	ReturnContent string         // RET: "", "FULL" or "HDRS"
	RequireTLS    bool           // REQUIRETLS (RFC 8689): only over TLS, to hosts that have proved who they are
	TLSOptional   bool           // "TLS-Required: No" (RFC 8689 section 3): whatever policies of the recipient's domain ask for
	SendAt        time.Time      // nothing is sent before; zero: at once
	Metadata      event.Metadata // what the application wants to read in its events
	OwnFields     string         // header fields by which the application knows the message in a report, as they stood; lines end in CR LF
}

// Begins is when a message may first be sent.
func (m Message) Begins() time.Time {
	if m.SendAt.After(m.Accepted) {
		return m.SendAt
	}
	return m.Accepted
}

// A Recipient is one recipient of one message: the item of the queue.
type Recipient struct {
	ID         event.DeliveryID
	Message    event.MessageID
	Address    string
	ReturnPath string // the reverse-path it is sent with
	Head       int    // which of Submission.Heads it gets
	Body       message.Ref
	Key        Key
	State      State
	Due        time.Time     // next attempt
	Expires    time.Time     // last moment for an attempt
	Attempt    int           // attempts that ended
	Deferrals  Deferrals     // of these, those that were put off, by why
	Last       event.Outcome // what the last attempt or report said
	Ended      time.Time     // when State became terminal
	MTA        string        // who said 250: "mx.example.net[198.51.100.7]"
	Seen       []uint64      // digests of reports already counted
	Notify     string        // NOTIFY (RFC 3461 section 4.1)
	Original   string        // ORCPT, decoded, with its type
}

// Deferrals count attempts that were put off, by the class of what was said.
type Deferrals struct{ Soft, Sender, None int }

// A Submission is one message on its way into the store.
type Submission struct {
	Key        string // idempotency key; empty: none
	Receipt    []byte // kept with Key, for whoever submits it again
	Message    Message
	Body       Draft
	Heads      [][]byte // whole header blocks with their empty line; at least one
	Recipients []Recipient
	Events     []event.Event // Message is filled in by Enqueue
}

// A Key says which work is interchangeable. Flow is application and campaign (FlowOf).
// A Key never holds the site that serves the domain: MXs change, and smarthosts.
type Key struct {
	Domain  string // of the recipients, canonical
	Lane    uint8  // 0 goes before 1
	Flow    string
	Sending string // the domain that the mail is from: Message.Domain, or that of its author; its way out is that of this domain
}

// FlowOf makes a Key.Flow. An application's name has no blank.
func FlowOf(application, campaign string) string { return application + " " + campaign }

// SplitFlow is the inverse of FlowOf.
func SplitFlow(flow string) (application, campaign string) {
	application, campaign, _ = strings.Cut(flow, " ")
	return application, campaign
}

// Work is what is waiting under one Key. Waiting and Leased both zero: all gone.
type Work struct {
	Key
	Waiting, Leased int
	Next            time.Time // when the earliest one not leased is due
	Expires         time.Time // when the earliest one expires
}

// A Mark is a position in the news of Due. It holds only for one Open.
type Mark uint64

// A LeaseRequest says what to claim.
type LeaseRequest struct {
	Key        Key
	Now, Until time.Time
	Max        int
	Expired    bool // only those past their lifetime, due or not
}

// A Token proves a lease. A Fence is never used twice.
type Token struct {
	Delivery event.DeliveryID
	Fence    uint64
}

// A Lease is a claim on one recipient. It dies with its owner: after a
// restart there are none.
type Lease struct {
	Token
	Message   Message
	Recipient Recipient
}

// A Change is one decision about one delivery, one address, or neither (mail
// for a route: events only).
type Change struct {
	Delivery event.DeliveryID
	Address  string // canonical; for a change of a hold alone
	Lease    Token  // set: ErrLeaseLost unless still ours. It ends with the change
	Raw      Draft  // a report or reply, kept if an event or a note names Case.Raw; one Draft may serve several Changes
	// Idle passes over a recipient that somebody has leased: it stays as it
	// is, and Decide does not see it.
	Idle bool
	// Decide looks at the Case and changes it. It is pure: it may run again,
	// and an error from it undoes the whole Apply and is returned as it is.
	Decide func(*Case) error
}

// A Case is what Decide sees. It may change Recipient (its state by Move
// alone) and Hold, and append to Events and Notes.
type Case struct {
	Message   Message
	Recipient Recipient
	Hold      hold.Record
	Raw       message.Ref // what Change.Raw became
	Events    []event.Event
	Notes     []NoteChange // are taken with the change: what is not told yet and must not be lost
}

// A NoteChange is a note that is taken together with other things, within the
// limits of Notes.
type NoteChange struct {
	Space, Name string
	Value       []byte // nil: it is forgotten
	// Raw is what it speaks of: that is kept like what an event names, and is
	// forgotten, where no event does, with a note that is.
	Raw message.Ref
}

// A Query asks for rows. Zero fields do not restrict. Without Holds it lists
// recipients, oldest first; with Address alone, all that is known of a person.
type Query struct {
	Holds   bool // list hold records instead
	Message event.MessageID
	Address string // canonical
	States  []State
	Domain  string // of the recipient
	Sender  string
	// ReturnPath finds the one recipient that was sent under this reverse-path,
	// where that is the application's own. Nothing else restricts with it.
	ReturnPath  string
	Application string
	Campaign    string
	Before      time.Time // accepted before
	// Key restricts to recipients under Keys of which it says so. It is pure
	// and quick, because it is asked often.
	Key   func(Key) bool
	After string // Page.Next of the page before
	Max   int    // rows a page; 0: 100
}

// A Page is part of an answer.
type Page struct {
	Rows  []Row
	Holds []hold.Record
	Next  string // "" on the last page
}

// A Row is a recipient with its message.
type Row struct {
	Message   Message
	Recipient Recipient
}

// What says what to forget. Exactly one field is set.
type What struct {
	EventsBefore   time.Time // events that every sink in Sinks has passed
	IndexBefore    time.Time // ended deliveries, their messages and history
	ReportsBefore  time.Time // kept reports and replies
	CapturedBefore time.Time // captured mail
	Address        string    // deliveries to one canonical address, and facts About it with what was kept of reports and replies; not its hold
	Sinks          []string  // with EventsBefore: the sinks that still count
	Shows          []string  // of these, the ones that show bodies: only they keep bodies owed. Nil: all of them
}

// About reports whether a fact is about a person: it is its recipient, or for
// mail of no delivery, the one who wrote it; or mail that was filed names it.
func About(e event.Event, canonical string) bool {
	is := func(address string) bool { return hold.Canonical(address) == canonical }
	return is(e.Recipient) || e.Delivery == 0 && e.From != "" && is(e.From) || e.Mail != nil && slices.ContainsFunc(e.Mail.People(), is)
}

// Notes keep small values durably, apart by space and name: what is paused, how
// warm an address is, what others report.
type Notes interface {
	// Notes gives what was noted in a space, by name. The octets belong to
	// the caller.
	Notes(ctx context.Context, space string) (map[string][]byte, error)
	// Note remembers values in a space under their names, all or none; a nil
	// value forgets one. At most 1,000 at once, of 64 KiB each; space and name
	// have no NUL, and together at most 1,000 octets.
	Note(ctx context.Context, space string, values map[string][]byte) error
}
