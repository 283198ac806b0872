package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"homing/config"
	"homing/dnscheck"
	"homing/event"
	"homing/event/notice"
)

// Where it is noted when the last digest was mailed.
const (
	spaceDigest = "digest"
	lastDigest  = "last"
)

// digestHour is when digests are mailed, on Mondays or every day, by the clock
// of the machine: when people who run it come to work.
const digestHour = 7

// digestLook is how often it is looked whether a digest is due, so that a
// change of the configuration or of the clock counts.
const digestLook = 10 * time.Minute

// digests mails a digest when it is due until ctx ends. The first one comes
// when a whole period has passed.
func (h *house) digests(ctx context.Context) error {
	last, err := h.lastDigest(ctx)
	for {
		if err != nil && ctx.Err() == nil {
			h.log.Error("the digest could not be mailed; it is tried again", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(digestLook):
		}
		if last.IsZero() {
			last, err = h.lastDigest(ctx)
			continue
		}
		err = nil
		cfg, now := h.live.Load(), time.Now()
		if last.After(now) { // the clock was wrong, and would have us wait until it is right
			last, err = now, h.noteDigest(ctx, now)
		}
		if cfg.Notify.Digest == config.NoDigest || len(cfg.Notify.To) == 0 || now.Before(digestAfter(last, cfg.Notify.Digest)) {
			continue
		}
		if err = h.mailDigest(ctx, cfg, last, now); err == nil {
			last, err = now, h.noteDigest(ctx, now)
		}
	}
}

// lastDigest is when the last digest was mailed; without one, now.
func (h *house) lastDigest(ctx context.Context) (time.Time, error) {
	notes, err := h.store.Notes(ctx, spaceDigest)
	if err != nil {
		return time.Time{}, err
	}
	if last, err := time.Parse(time.RFC3339, string(notes[lastDigest])); err == nil {
		return last, nil
	}
	now := time.Now()
	return now, h.noteDigest(ctx, now)
}

func (h *house) noteDigest(ctx context.Context, at time.Time) error {
	return h.store.Note(ctx, spaceDigest, map[string][]byte{lastDigest: []byte(at.Format(time.RFC3339))})
}

// digestAfter is when the digest after one is due.
func digestAfter(last time.Time, how config.Digest) time.Time {
	last = last.Local()
	due := time.Date(last.Year(), last.Month(), last.Day(), digestHour, 0, 0, 0, last.Location())
	for !due.After(last) || how == config.Weekly && due.Weekday() != time.Monday {
		due = due.AddDate(0, 0, 1)
	}
	return due
}

// mailDigest mails what happened from one time to another, and how it stands.
func (h *house) mailDigest(ctx context.Context, cfg *config.Config, from, to time.Time) error {
	counts, err := h.countEvents(ctx, from, to)
	if err != nil {
		return err
	}
	status, err := h.status(ctx)
	if err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "From %s to %s on %s:\n\n%s\n", clock(from), clock(to), cfg.Hostname, countWords(counts))
	tellList(&b, "What needs attention:", status.Attention, "Nothing needs attention.")
	tellList(&b, "What the self-check warns of, and how to mend it:", h.warnings(), "")
	tellList(&b, "To keep it running somebody must have:", status.Accounts, "")
	tellList(&b, "Secrets that are old enough for new ones:", status.Due, "")
	w := notice.Words{Subject: "digest: " + digestSubject(counts, len(status.Attention)), Text: b.String(), ID: fmt.Sprintf("digest.%d", to.Unix())}
	c := h.notices(cfg)
	return c.Submit(ctx, notice.Compose(c, w))
}

// warnings are those of the last self-check, in full.
func (h *house) warnings() (all []string) {
	for _, f := range h.checker.Last().Findings {
		if f.Verdict == dnscheck.Warn {
			all = append(all, fmt.Sprintf("%s %s: %s\n%s", f.Check, f.Subject, f.Found, f.Fix))
		}
	}
	return all
}

func tellList(b *strings.Builder, title string, all []string, none string) {
	switch {
	case len(all) > 0:
		fmt.Fprintf(b, "%s\n\n", title)
		for _, one := range all {
			fmt.Fprintf(b, "* %s\n", strings.ReplaceAll(strings.TrimSpace(one), "\n", "\n  "))
		}
		b.WriteString("\n")
	case none != "":
		fmt.Fprintf(b, "%s\n\n", none)
	}
}

// counted are the types of events that a digest counts, in its order.
var counted = []event.Type{event.Accepted, event.Delivered, event.Bounced, event.Expired, event.Suppressed, event.Complained, event.Replied, event.Unsubscribed}

// countEvents counts what happened, by application and type.
func (h *house) countEvents(ctx context.Context, from, to time.Time) (map[string]map[event.Type]int, error) {
	counts := map[string]map[event.Type]int{}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for after := event.FirstID(from); ; {
		page, err := h.eventsNow(ctx, after)
		if err != nil || len(page) == 0 {
			return counts, err
		}
		for _, e := range page {
			if e.Time.After(to) {
				return counts, nil
			}
			if slices.Contains(counted, e.Type) && e.Application != "" {
				if counts[e.Application] == nil {
					counts[e.Application] = map[event.Type]int{}
				}
				counts[e.Application][e.Type]++
			}
			after = e.ID
		}
	}
}

// eventsNow gives the events after one that there are now: at the end of the
// log the store would wait for another one.
func (h *house) eventsNow(ctx context.Context, after event.ID) ([]event.Event, error) {
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	page, err := h.store.Events(short, after, 1000)
	if short.Err() != nil && ctx.Err() == nil {
		return nil, nil
	}
	return page, err
}

// countWords are the counts as a table.
func countWords(counts map[string]map[event.Type]int) string {
	if len(counts) == 0 {
		return "No mail was sent.\n"
	}
	var b strings.Builder
	for _, app := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(&b, "  %s:", app)
		sep := " "
		for _, t := range counted {
			if n := counts[app][t]; n > 0 {
				fmt.Fprintf(&b, "%s%d %s", sep, n, t)
				sep = ", "
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

func digestSubject(counts map[string]map[event.Type]int, attention int) string {
	delivered, bounced := 0, 0
	for _, c := range counts {
		delivered, bounced = delivered+c[event.Delivered], bounced+c[event.Bounced]
	}
	words := fmt.Sprintf("%d delivered, %d bounced", delivered, bounced)
	if attention > 0 {
		words += fmt.Sprintf(", %d to look at", attention)
	}
	return words
}
