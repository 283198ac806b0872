package main

import (
	"fmt"
	"slices"
	"strings"

	"homing/internal/terminal"
	"homing/queue"
	"homing/server/web"
)

// statusTroubles is how many sites that do not take mail one screen names.
const statusTroubles = 10

// troubles adds the sites that do not take mail as they should.
func (h *house) troubles(s *web.Status) {
	// Who is being tried again, with nothing to try it with, needs nobody.
	all := slices.DeleteFunc(h.queue.Troubles(), func(t queue.Trouble) bool {
		return t.Kind == queue.TroubleBackoff && t.Until.IsZero() && t.Waiting == 0
	})
	for _, t := range all[:min(len(all), statusTroubles)] {
		s.Attention = append(s.Attention, troubleWords(t))
	}
	if more := len(all) - statusTroubles; more > 0 {
		s.Attention = append(s.Attention, fmt.Sprintf("%d more sites do not take mail as they should; for each of them at most %s.", more, recipients(all[statusTroubles].Waiting, "wait")))
	}
}

// troubleWords says what is the matter with a site, and where to look.
func troubleWords(t queue.Trouble) string {
	site := terminal.Line(t.Site)
	switch t.Kind {
	case queue.TroubleSurge:
		return fmt.Sprintf("%s fails for good addresses that used to accept mail; until that ends this holds nobody. See who was held before: homing hold release --provider %s --since 2h --dry-run", site, shellWord(site))
	case queue.TroubleSmarthost:
		return fmt.Sprintf("No mail can be handed to %s since %s; %s. Look at its address, username, password_file and tls in the configuration. Last: %s",
			smarthostWords(t.Site), clock(t.Since), recipients(t.Waiting, "wait"), terminal.Clip(t.Said, 150))
	}
	from, until := "", "is being tried again little by little"
	if t.Source != "" {
		from = " from " + t.Source
	}
	if !t.Until.IsZero() {
		until = "is left alone until " + clock(t.Until)
	}
	see := ""
	if t.Domain != "" {
		see = " See: homing queue explain " + terminal.Line(t.Domain) + "."
	}
	return fmt.Sprintf("%s wants less mail, or none%s, since %s and %s; %s.%s It said: %s", site, from, clock(t.Since), until, recipients(t.Waiting, "wait"), see, terminal.Clip(t.Said, 120))
}

// smarthostWords names a smarthost by its table in the configuration.
func smarthostWords(site string) string {
	if _, domain, ok := strings.Cut(site, ":"); ok {
		return "the smarthost of " + terminal.Line(domain)
	}
	return "the smarthost"
}
