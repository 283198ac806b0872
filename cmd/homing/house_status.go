package main

import (
	"context"
	"errors"
	"fmt"

	"homing/dnscheck"
	"homing/event"
	"homing/server/web"
	"homing/store"
)

// statusCampaigns is how many campaigns one screen names.
const statusCampaigns = 3

// status is one screen: what runs, and what needs attention.
func (h *house) status(ctx context.Context) (web.Status, error) {
	p := h.server.Policy()
	s := web.Status{
		Version: version, Hostname: p.Hostname, Mode: string(p.Mode), Started: h.started.UTC(), Ready: "ready", Waiting: h.queue.Waiting(),
		Listen: []web.Listening{}, Sinks: []web.SinkStatus{}, Apps: []web.Application{}, Attention: []string{},
	}
	if err := h.isReady(); err != nil {
		s.Ready = err.Error()
		s.Attention = append(s.Attention, "The server is not ready: "+err.Error()+".")
	}
	if errors.Is(h.store.Room(), store.ErrFull) {
		s.Attention = append(s.Attention, "Less disk space is free than limits.disk_reserve keeps: new mail is put off. Free some space.")
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
	s.Attention = append(s.Attention, h.failing()...)
	s.Attention = append(s.Attention, h.uncertified()...)
	for _, d := range p.Domains {
		if d.Signer == nil {
			s.Attention = append(s.Attention, "Mail of "+d.Name+" goes unsigned: give the domain a DKIM key (dkim = [{ selector, key_file }]).")
		}
	}
	return s, nil
}

// failing says in a sentence that checks fail or warn.
func (h *house) failing() []string {
	count := map[dnscheck.Verdict]int{}
	for _, f := range h.checker.Last().Findings {
		count[f.Verdict]++
	}
	if count[dnscheck.Fail]+count[dnscheck.Warn] == 0 {
		return nil
	}
	return []string{fmt.Sprintf("Of the self-check, %d fail and %d warn: `homing check` says what to change.", count[dnscheck.Fail], count[dnscheck.Warn])}
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
