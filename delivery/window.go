package delivery

import "strings"

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
	mx, log := s.host, w.Log
	s.stray = func(why error) {
		if w.health.plainly(site) {
			w.Metrics.plain.Inc()
			log.Warn("whole transactions went wrong, so that the site gets one after the other for a day", "site", site, "mx", mx, "err", why)
		}
	}
}

// listed gives the listed site that a hop belongs to; "" when there is none.
// Who sends through a smarthost talks to that, whoever the mail is for.
func (w *worker) listed(h hop) string {
	for _, site := range w.o.WindowSites {
		if within(h.name, site) || w.o.Smarthost == nil && within(w.job.Domain, site) {
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
