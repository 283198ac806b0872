package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"homing/config"
	"homing/dnscheck"
	"homing/event"
	"homing/server"
	"homing/server/selfcheck"
	"homing/server/web"
	"homing/store"
)

// statusCampaigns is how many campaigns one screen names.
const statusCampaigns = 3

// status is one screen: what runs, what needs attention, and what to know.
func (h *house) status(ctx context.Context) (web.Status, error) {
	p, cfg := h.server.Policy(), h.live.Load()
	s := web.Status{
		Version: version, Hostname: p.Hostname, Mode: string(p.Mode), Started: h.started.UTC(), Ready: "ready", Waiting: h.queue.Waiting(),
		Config: h.path, DataDir: h.cfg.DataDir, Notify: append([]string{}, cfg.Notify.To...), Accounts: accounts(cfg), Due: append([]string{}, dueSecrets(cfg, time.Now())...),
		Listen: []web.Listening{}, Sinks: []web.SinkStatus{}, Apps: []web.Application{}, Attention: []string{},
	}
	for _, d := range h.listeners {
		s.Listen = append(s.Listen, web.Listening{What: d.what, Address: d.address})
	}
	for _, a := range p.Applications {
		app := web.Application{Name: a.Name, Kind: a.Kind, Mode: string(a.Mode), SentToday: h.server.SentToday(a.Name), Limit: a.DailyLimit, Domains: []string{}}
		for _, d := range a.Domains {
			app.Domains = append(app.Domains, d.Name)
		}
		s.Apps = append(s.Apps, app)
	}
	h.ailing(&s, cfg)
	if err := h.pauses(ctx, &s); err != nil {
		return s, err
	}
	h.troubles(&s)
	s.Campaigns = h.queue.Campaigns()
	s.Campaigns = s.Campaigns[:min(len(s.Campaigns), statusCampaigns)]
	for _, k := range h.teller.Status() {
		s.Sinks = append(s.Sinks, web.SinkStatus{Name: k.Name, Type: k.Kind, State: string(k.State), Parked: k.Parked, Error: k.Failure})
		if k.State != event.Working {
			s.Attention = append(s.Attention, fmt.Sprintf("The sink %s is %s since %s: %s.", k.Name, k.State, clock(k.Since), k.Failure))
		}
	}
	s.Attention = append(s.Attention, h.spoolTroubles()...)
	s.Attention = append(s.Attention, h.undecided()...)
	s.Attention = append(s.Attention, h.uncertified()...)
	for _, d := range p.Domains {
		if d.Signer == nil {
			s.Attention = append(s.Attention, "Mail of "+d.Name+" goes unsigned: give the domain a DKIM key (docs/OPERATING.md, \"Sign with DKIM\").")
		}
	}
	tellChecks(&s, h.checker.Last())
	return s, nil
}

// ailing says what is the matter with the server itself.
func (h *house) ailing(s *web.Status, cfg *config.Config) {
	if err := h.isReady(); err != nil {
		s.Ready = err.Error()
		s.Attention = append(s.Attention, "The server is not ready: "+err.Error()+".")
	}
	if errors.Is(h.store.Room(), store.ErrFull) {
		s.Attention = append(s.Attention, "Less disk space is free than limits.disk_reserve keeps: new mail is put off. Free some space.")
	}
	if h.stale.Load() {
		s.Attention = append(s.Attention, "The configuration was changed and has a mistake, so that the server goes on with the one before: `sudo homing config check` names it;\n"+
			"then `sudo systemctl reload homing`.")
	}
	switch p := h.server.Policy(); p.Mode {
	case server.Capture:
		s.Attention = append(s.Attention, "Nothing is sent: mode = \"capture\" keeps all mail. If that is not meant, write mode = \"deliver\" and reload.")
	case server.Refuse:
		s.Attention = append(s.Attention, "No mail is taken: mode = \"refuse\". If that is not meant, write mode = \"deliver\" and reload.")
	}
	if len(cfg.Notify.To) == 0 {
		s.Attention = append(s.Attention, "Nobody is told by mail when something breaks: write postmaster = \"ADDRESS\" before [listen], and reload.")
	}
}

// statusFailures is how many failing checks one screen tells in full.
const statusFailures = 3

// tellChecks says what the last self-check found, and, after all else, the
// verdict.
func tellChecks(s *web.Status, last selfcheck.Result) {
	var failing, more, warned []string
	for _, f := range last.Findings {
		name := f.Check + " " + f.Subject
		switch {
		case f.Verdict == dnscheck.Fail && len(failing) < statusFailures:
			failing = append(failing, fmt.Sprintf("The check %s of %s fails since %s: %s\n%s", f.Check, f.Subject, clock(f.Since), f.Found, f.Fix))
		case f.Verdict == dnscheck.Fail:
			more = append(more, name)
		case f.Verdict == dnscheck.Warn:
			warned = append(warned, name)
		}
	}
	if len(more) > 0 {
		failing = append(failing, fmt.Sprintf("These fail as well: %s. `sudo homing check` says what to change.", strings.Join(more, ", ")))
	}
	s.Attention = append(s.Attention, failing...)
	if len(warned) > 0 {
		s.Attention = append(s.Attention, fmt.Sprintf("The self-check warns of: %s. Mail flows; `sudo homing check` says what could be better, and how.", strings.Join(warned, ", ")))
	}
	if !last.Time.IsZero() {
		s.Checked = &last.Time
	}
	switch {
	case s.Ready != "ready" || len(failing) > 0:
		s.Verdict = web.Broken
	case len(s.Attention) > 0:
		s.Verdict = web.Troubled
	default:
		s.Verdict = web.Works
	}
}

// pauses adds what is paused.
func (h *house) pauses(ctx context.Context, s *web.Status) error {
	all, aside, err := h.queue.Pauses(ctx)
	if err != nil {
		return err
	}
	s.Pauses = web.PausesOf(all)
	for _, p := range s.Pauses {
		if p.Standing {
			s.Attention = append(s.Attention, fmt.Sprintf("Mail of %s is paused, %s; %s. To send it: %s", meant(*p), decided(*p), recipients(p.Recipients, "wait"), resumeCommand(*p)))
		}
	}
	if aside > 0 {
		s.Attention = append(s.Attention, recipients(aside, "were set aside.")+" `homing queue list --state paused` shows them, `homing queue resume --all` sends them.")
	}
	return nil
}
