package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"homing/internal/toynet"
)

// A demoKind is one kind of recipient, and what must become of each of them.
type demoKind struct {
	domain string
	count  int
	about  string
	ends   string // the event that ends the delivery
	later  string // what is told after that; "": nothing
	reason string // of the last failure; "": none
	held   bool
}

// demoKinds are the 200 recipients of the demo.
var demoKinds = []demoKind{
	{"accepts.test", 104, "takes the mail", "delivered", "", "", false},
	{"unknown.test", 8, "knows no such user", "bounced", "", "user_unknown", true},
	{"disabled.test", 6, "closed the account", "bounced", "", "disabled", true},
	{"full.test", 6, "has a full mailbox", "bounced", "", "mailbox_full", false},
	{"nullmx.test", 4, "accepts no mail at all", "bounced", "", "no_mail_host", true},
	{"blocks.test", 4, "has us on a block list", "bounced", "", "blocked", false},
	{"spam.test", 4, "takes it for spam", "bounced", "", "spam", false},
	{"greylist.test", 6, "wants to be asked twice", "delivered", "", "", false},
	{"down.test", 4, "does not answer", "expired", "", "expired", false},
	{"nohost.test", 4, "does not exist in the DNS", "bounced", "", "host_unknown", false},
	{"busy.test", 4, "has too many connections for a while", "delivered", "", "", false},
	{"later.test", 8, "accepts, then bounces (Postfix)", "delivered", "bounced", "user_unknown", true},
	{"exim.test", 6, "accepts, then bounces (Exim)", "delivered", "bounced", "user_unknown", true},
	{"exchange.test", 6, "accepts, then bounces (Exchange)", "delivered", "bounced", "user_unknown", true},
	{"delays.test", 4, "accepts, then says it takes long", "delivered", "deferred", "", false},
	{"complains.test", 6, "accepts, then calls it spam", "delivered", "complained", "complaint", true},
	{"vacation.test", 6, "is out of office", "delivered", "auto_replied", "", false},
	{"replies.test", 6, "writes back", "delivered", "replied", "", false},
	{"leaves.test", 4, "unsubscribes", "delivered", "unsubscribed", "", false},
}

// demoRecipients gives every recipient, the kinds mixed.
func demoRecipients() (all []string) {
	for n := 1; ; n++ {
		before := len(all)
		for _, k := range demoKinds {
			if n <= k.count {
				all = append(all, fmt.Sprintf("u%d@%s", n, k.domain))
			}
		}
		if len(all) == before {
			return all
		}
	}
}

// A fateOf is what the application was told of one recipient.
type fateOf struct {
	last    toynet.Event // of those that end a delivery
	later   toynet.Event // what came after that
	held    bool
	latency time.Duration // from the fact to the webhook, for what failed or came back
}

// fates sorts what the webhook heard by recipient. Mail to the application's
// own addresses (an unsubscribe) is found by the number in the address.
func fates(calls []toynet.Call) map[string]*fateOf {
	out := map[string]*fateOf{}
	of := map[string]string{} // the application's own address for a recipient
	for _, c := range calls {
		e := c.Event
		if !c.Taken() {
			continue
		}
		who := e.Recipient
		if e.Message != "" {
			of[queueEntry(e.Sender)] = who
		} else if to := of[queueEntry(e.Sender)]; to != "" {
			who = to
		}
		f := out[who]
		if f == nil {
			f = &fateOf{}
			out[who] = f
		}
		f.hear(c)
	}
	return out
}

// queueEntry is what the addresses of one recipient of a mailing share:
// "civi+b.1.7.hash@…" and "civi+u.1.7.hash@…" are both "1.7.hash".
func queueEntry(address string) string {
	local, _, _ := strings.Cut(address, "@")
	_, entry, _ := strings.Cut(local, ".")
	return entry
}

func (f *fateOf) hear(c toynet.Call) {
	e := c.Event
	late := e.Sync != nil && !*e.Sync
	switch {
	case e.Type == "held":
		f.held = true
		return
	case e.Type == "deferred" && late, e.Type == "bounced" && late:
		f.later = e
	case e.Type == "delivered" || e.Type == "bounced" || e.Type == "expired" || e.Type == "suppressed":
		f.last = e
	case e.Type == "complained" || e.Type == "auto_replied" || e.Type == "replied" || e.Type == "unsubscribed":
		f.later = e
	default:
		return
	}
	if e.Type != "delivered" {
		f.latency = max(f.latency, c.Time.Sub(e.Time))
	}
}

// allTold reports whether every recipient has its outcome and everything that
// was to come back has been heard of.
func allTold(calls []toynet.Call) bool {
	if len(calls) < len(demoKinds) {
		return false
	}
	heard := fates(calls)
	for _, k := range demoKinds {
		for n := 1; n <= k.count; n++ {
			f := heard[fmt.Sprintf("u%d@%s", n, k.domain)]
			if f == nil || f.last.Type == "" || k.later != "" && f.later.Type == "" || k.held && !f.held {
				return false
			}
		}
	}
	return true
}

// progress is one line about what was told so far.
func progress(calls []toynet.Call) string {
	n := map[string]int{}
	for _, c := range calls {
		if c.Taken() {
			n[c.Event.Type]++
		}
	}
	var parts []string
	for _, t := range slices.Sorted(maps.Keys(n)) {
		parts = append(parts, fmt.Sprintf("%s %d", t, n[t]))
	}
	return "told so far: " + strings.Join(parts, ", ")
}

// report prints the table and reports whether it is right.
func report(out io.Writer, calls []toynet.Call, recipients []string, began time.Time) bool {
	heard := fates(calls)
	right := true
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "RECIPIENTS\tWHO\tWHAT HAPPENED\tWHAT THE APPLICATION WAS TOLD\tON HOLD\tTO THE WEBHOOK")
	var slowest time.Duration
	for _, k := range demoKinds {
		row := k.sum(heard)
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", k.count, k.about, row.happened, row.told, row.held, row.took, row.verdict())
		right = right && row.right
		slowest = max(slowest, row.slowest)
	}
	t.Flush()
	fmt.Fprintln(out, "\nhard: the address is dead, and held; soft: counts towards a hold; sender: our own fault, never counts; none: no failure. In brackets: CiviCRM's word.")
	fmt.Fprintf(out, "%d recipients in %s; from a bounce to the webhook at most %s.\n", len(recipients), time.Since(began).Round(100*time.Millisecond), slowest.Round(time.Millisecond))
	return right
}

// A demoRow is what became of one kind of recipient, in words.
type demoRow struct {
	happened, told, held, took string
	slowest                    time.Duration
	right                      bool
}

func (r demoRow) verdict() string {
	if r.right {
		return ""
	}
	return "<- not as it should be"
}

// sum says what became of the recipients of one kind.
func (k demoKind) sum(heard map[string]*fateOf) demoRow {
	row := demoRow{right: true}
	ends, told := map[string]int{}, map[string]int{}
	held := 0
	for n := 1; n <= k.count; n++ {
		f := heard[fmt.Sprintf("u%d@%s", n, k.domain)]
		if f == nil {
			f = &fateOf{}
		}
		said := f.last
		ends[f.last.Type]++
		if f.later.Type != "" {
			said = f.later
		}
		told[words(said)]++
		if f.held {
			held++
		}
		row.slowest = max(row.slowest, f.latency)
		row.right = row.right && k.fits(f, said)
	}
	row.happened, row.told = count(ends), count(told)
	row.held = "no"
	if held > 0 {
		row.held = fmt.Sprintf("%d", held)
	}
	if row.slowest > 0 {
		row.took = row.slowest.Round(time.Millisecond).String()
	}
	return row
}

// fits reports whether one recipient came to the right end.
func (k demoKind) fits(f *fateOf, said toynet.Event) bool {
	return f.last.Type == k.ends && f.later.Type == k.later && f.held == k.held && (k.reason == "" || said.Reason == k.reason)
}

// words is what an event says: "bounced: hard, user_unknown (Invalid)".
func words(e toynet.Event) string {
	s := e.Type
	if e.Class != "" && e.Type != "delivered" {
		s += ": " + e.Class + ", " + e.Reason
		if e.CiviCRM != "" {
			s += " (" + e.CiviCRM + ")"
		}
	}
	return s
}

// count lists words with their numbers, the most frequent first.
func count(n map[string]int) string {
	names := slices.SortedFunc(maps.Keys(n), func(a, b string) int {
		if n[a] != n[b] {
			return n[b] - n[a]
		}
		return strings.Compare(a, b)
	})
	for i, name := range names {
		if len(names) > 1 {
			names[i] = fmt.Sprintf("%d %s", n[name], name)
		}
	}
	return strings.Join(names, "; ")
}
