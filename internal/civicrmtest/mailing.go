package civicrmtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/smtp"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// v3 carries out a call of APIv3. The lock is held, but not while mail is sent.
func (s *Site) v3(c Call) ([]map[string]any, error) {
	if c.Entity == "Attachment" && s.may("access CiviCRM") {
		return s.attachment(c)
	}
	return []map[string]any{}, s.change(c)
}

// change carries out a call of APIv3 that gives nothing.
func (s *Site) change(c Call) error {
	if !s.may("access CiviMail") || !s.may("access CiviCRM") {
		return &failure{code: "unauthorized", message: fmt.Sprintf("API permission check failed for %s/%s call; insufficient permission: require access CiviCRM and access CiviMail", c.Entity, c.Action)}
	}
	switch c.Entity + "." + c.Action {
	case "Mailing.event_bounce":
		return s.eventBounce(c)
	case "Mailing.event_reply":
		return s.eventReply(c)
	case "MailingEventUnsubscribe.create":
		return s.unsubscribe(c)
	case "MailingEventResubscribe.create":
		return s.resubscribe(c)
	case "MailingEventSubscribe.create":
		return s.subscribe(c)
	case "MailingEventConfirm.create":
		return s.confirm(c)
	}
	return &failure{code: "not-found", message: fmt.Sprintf("API (%s, %s) does not exist (join the API team and implement it!)", c.Entity, c.Action)}
}

// need says which parameters a call lacks.
func (c Call) need(names ...string) error {
	var missing []string
	for _, n := range names {
		if c.text(n) == "" {
			missing = append(missing, n)
		}
	}
	if missing == nil {
		return nil
	}
	return &failure{code: "mandatory_missing", message: "Mandatory key(s) missing from params array: " + strings.Join(missing, ", ")}
}

func (c Call) text(name string) string {
	if v, ok := c.Params[name]; ok && v != nil {
		return fmt.Sprint(v)
	}
	return ""
}

func (c Call) number(name string) uint64 {
	n, _ := strconv.ParseUint(c.text(name), 10, 64)
	return n
}

var errNoEntry = &failure{code: "no_queue_event", message: "Queue event could not be found"}

// verify finds the entry that a call names. The job is not looked at: the
// address has that of the child.
func (s *Site) verify(c Call) (*Queued, error) {
	if err := c.need("job_id", "event_queue_id", "hash"); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(s.db.queue, func(q Queued) bool { return q.ID == c.number("event_queue_id") && q.Hash == c.text("hash") })
	if i < 0 {
		return nil, errNoEntry
	}
	return &s.db.queue[i], nil
}

func (s *Site) eventBounce(c Call) error {
	if err := c.need("body"); err != nil {
		return err
	}
	q, err := s.verify(c)
	if err != nil {
		return err
	}
	kind, reason := patternType(c.text("body")), c.text("bounce_reason")
	if id := int(c.number("bounce_type_id")); id != 0 {
		kind = id
	}
	if len([]rune(reason)) > 255 {
		return &failure{message: "DB Error: unknown error"} // strict mode: data too long
	}
	s.db.bounce(q.ID, kind, reason)
	return nil
}

// thresholds are CiviCRM's own: so many of a type hold an address.
var thresholds = map[int]int{1: 1, 2: 30, 3: 3, 4: 3, 5: 1, 6: 1, 7: 3, 8: 3, 9: 3, 10: 1, 11: 3}

// bounce records a bounce, and holds the address when there are enough of its
// type since the last reset.
func (d *tables) bounce(queue uint64, kind int, reason string) {
	i := slices.IndexFunc(d.queue, func(q Queued) bool { return q.ID == queue })
	if i < 0 {
		return
	}
	address := d.byID(d.queue[i].Email)
	b := Bounce{ID: d.next("bounce"), Queue: queue, Type: kind, Reason: reason}
	d.bounces = append(d.bounces, b)
	count := 0
	for _, b := range d.bounces {
		q := d.queue[slices.IndexFunc(d.queue, func(q Queued) bool { return q.ID == b.Queue })]
		if q.Email == address.ID && b.Type == kind && b.ID > d.last[fmt.Sprintf("reset %d", address.ID)] {
			count++
		}
	}
	if count >= thresholds[kind] && address.OnHold == 0 {
		d.set(address, 1)
	}
}

func (s *Site) eventReply(c Call) error {
	if err := c.need("replyTo"); err != nil {
		return err
	}
	q, err := s.verify(c)
	if err != nil {
		return err
	}
	s.db.replies = append(s.db.replies, Reply{ID: s.db.next("reply"), Queue: q.ID, ReplyTo: c.text("replyTo"), Text: c.text("bodyTxt"), Whole: c.text("fullEmail")})
	if !s.ForwardReplies {
		return errNoEntry // after recording, as CiviCRM does
	}
	to := s.From[strings.LastIndexByte(s.From, '<')+1 : len(s.From)-1]
	return s.mail(to, "A reply", c.text("bodyTxt"))
}

func (s *Site) unsubscribe(c Call) error {
	q, err := s.verify(c)
	if err != nil {
		return err
	}
	org := c.text("org_unsubscribe") == "1" || c.text("org_unsubscribe") == "true"
	s.db.unsubs = append(s.db.unsubs, Unsubscribe{ID: s.db.next("unsubscribe"), Queue: q.ID, Org: org})
	address := s.db.byID(q.Email).Address
	if org {
		s.db.optedOut[q.Contact] = true
	}
	return s.mail(address, "You are unsubscribed", "You will get no more of this.\n")
}

func (s *Site) resubscribe(c Call) error {
	q, err := s.verify(c)
	if err != nil {
		return err
	}
	s.db.resubs = append(s.db.resubs, q.ID)
	delete(s.db.optedOut, q.Contact)
	return s.mail(s.db.byID(q.Email).Address, "You are subscribed again", "Welcome back.\n")
}

func (s *Site) subscribe(c Call) error {
	if err := c.need("email", "group_id"); err != nil {
		return err
	}
	address := c.text("email")
	if s.db.find(address) == nil {
		s.db.contact(address)
	}
	s.db.members[member(address, c.number("group_id"))] = "Pending"
	return nil
}

// confirm adds who subscribed: the group is that of the subscription, which is
// the group's own number here.
func (s *Site) confirm(c Call) error {
	if err := c.need("contact_id", "subscribe_id", "hash"); err != nil {
		return err
	}
	for _, e := range s.db.emails {
		if e.Contact == c.number("contact_id") {
			s.db.members[member(e.Address, c.number("subscribe_id"))] = "Added"
			return nil
		}
	}
	return &failure{message: "Confirmation failed"}
}

// mail sends a mail of the site's own through its mail server, during the call.
// The lock is held by the caller and let go of meanwhile.
func (s *Site) mail(to, subject, text string) error {
	if s.Submission == "" {
		return nil
	}
	s.mu.Unlock()
	defer s.mu.Lock()
	from := "do-not-reply@" + s.From[strings.LastIndexByte(s.From, '@')+1:len(s.From)-1]
	message := fmt.Sprintf("From: %s\r\nTo: %s\r\nSubject: %s\r\n\r\n%s", from, to, subject, strings.ReplaceAll(text, "\n", "\r\n"))
	if err := s.hand(from, to, message); err != nil {
		return &failure{message: "mail: " + err.Error()}
	}
	return nil
}

// hand hands one mail over.
func (s *Site) hand(from, to, message string) (err error) {
	conn, err := s.dial(context.Background(), "tcp", s.Submission)
	if err != nil {
		return err
	}
	defer conn.Close()
	c, err := smtp.NewClient(conn, "localhost")
	if err != nil {
		return err
	}
	if err := errors.Join(c.Mail(from), c.Rcpt(to)); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, message); err != nil {
		return err
	}
	return errors.Join(w.Close(), c.Quit())
}

// Receipt sends a transactional mail: it has no VERP address, and CiviCRM hears
// of nothing that becomes of it.
func (s *Site) Receipt(to string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db.find(to) == nil {
		s.db.contact(to)
	}
	return s.mail(to, "Your receipt", "Thank you.\n")
}

// Words of each bounce type by which CiviCRM's stock patterns know it, in the
// order in which they are tried: the first type that fits counts. What fits none
// is Syntax.
var patterns = []struct {
	id    int
	words *regexp.Regexp
}{
	{1, regexp.MustCompile(`(?im)client tos notification`)},
	{2, regexp.MustCompile(`(?im)(out of|away from) (the|my) (office|computer|town)|on vacation`)},
	{3, regexp.MustCompile(`(?im)name server entry|name lookup failure|no (mail server|dns entries)|reverse dns entry|host or domain name not found|unable to resolve mx`)},
	{4, regexp.MustCompile(`(?im)unknown host|host unknown|connection (refused|timed out)|error involving remote host|invalid host name|server is (down|unreachable)|too many connections|(unable to|lost) connect|authentication required|local configuration error`)},
	{5, regexp.MustCompile(`(?im)account (inactive|expired|deactivated|is locked)|inactive user|mail receiving disabled|mailbox (temporarily disabled|currently suspended)|no longer (accepting mail|in use)|not accepting (mail|messages)|address no longer accepts mail|account suspended`)},
	{6, regexp.MustCompile(`(?im)user unknown|unknown user|(address|user|recipient) (unknown|invalid|does not exist|not found|rejected)|does not exist|cannot deliver|invalid (mailbox|address|recipient|user)|mailbox (not found|unavailable)|no such (address|recipient|user|mailbox)|recipient unknown|unavailable mailbox|delivery to the following recipients? failed|not a valid`)},
	{7, regexp.MustCompile(`(?im)mail loop|loop detected|too many hops|maximum hop count exceeded`)},
	{8, regexp.MustCompile(`(?im)over ?quota|quota exceeded|mailbox (is )?full|full mailbox|mailbox size|exceeded storage|running out of disk space`)},
	{9, regexp.MustCompile(`(?im)relay(ing)? (not permitted|access denied|denied)|unable to relay|no route to host|network is unreachable|unrouteable address`)},
	{10, regexp.MustCompile(`(?im)spam filters?|as spam|due to spam|blacklisted|blocked message|open relay|denied by policy|policy violation`)},
	{11, regexp.MustCompile(`(?im)unknown smtp code|syntax error in from address|nonstandard smtp line terminator`)},
}

// patternType is what CiviCRM makes of a text by itself.
func patternType(text string) int {
	text = strings.Join(strings.Fields(text), " ")
	for _, p := range patterns {
		if p.words.MatchString(text) {
			return p.id
		}
	}
	return 11
}
