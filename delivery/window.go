package delivery

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// plainSpace has notes of the sites that get no whole transactions: until when,
// by their names in WindowSites.
const plainSpace = "delivery/plain"

// widen lets transactions go whole over a session, where its site is listed
// for it and nothing speaks against it. A session may come from a job whose
// site is another one.
func (w *worker) widen(s *session) {
	s.SetWindow(0)
	site := w.listed(s.hop)
	if site == "" || !w.health.whole(site) {
		return
	}
	s.SetWindow(w.o.Window)
	mx := s.host
	s.stray = func(why error) { w.narrow(site, mx, why) }
}

// narrow ends whole transactions at a site for a while.
func (w *worker) narrow(site, mx string, why error) {
	until := time.Now().Add(plainTime)
	if !w.health.plainly(site, until) {
		return
	}
	w.Metrics.plain.Inc()
	w.Log.Warn("whole transactions went wrong, so that the site gets one after the other for a day", "site", site, "mx", mx, "err", why)
	if w.Notes == nil {
		return
	}
	note := map[string][]byte{site: []byte(until.UTC().Format(time.RFC3339))}
	if err := w.Notes.Note(w.commit, plainSpace, note); err != nil {
		w.Log.Error("this could not be noted, and is forgotten at the next start", "site", site, "err", err)
	}
}

// recall reads what was noted before this start.
func (d *Delivery) recall(ctx context.Context) error {
	if d.Notes == nil {
		return nil
	}
	notes, err := d.Notes.Notes(ctx, plainSpace)
	if err != nil {
		return fmt.Errorf("reading which sites get no whole transactions: %w", err)
	}
	for site, text := range notes {
		if until, err := time.Parse(time.RFC3339, string(text)); err == nil {
			d.health.plainly(site, until)
		}
	}
	return nil
}

// listed gives the listed site that a hop belongs to; "" when there is none.
// Who sends through a smarthost talks to that, whoever the mail is for.
func (w *worker) listed(h hop) string {
	for _, site := range w.o.WindowSites {
		if within(h.name, site) || w.smarthost == nil && within(w.job.Domain, site) {
			return site
		}
	}
	return ""
}

// within reports whether a name is that of a domain, or below it.
func within(name, domain string) bool {
	above, ok := strings.CutSuffix(strings.TrimSuffix(name, "."), domain)
	return ok && (above == "" || strings.HasSuffix(above, "."))
}
