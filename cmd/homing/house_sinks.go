package main

import (
	"context"
	"fmt"

	"homing/config"
	"homing/delivery"
	"homing/event"
	"homing/event/dsn"
	"homing/event/maildir"
	"homing/event/notice"
	"homing/event/relay"
	"homing/event/webhook"
	"homing/internal/message"
	"homing/verp"
)

// useSinks has the sinks of a configuration told from now on.
func (h *house) useSinks(cfg *config.Config) error {
	sinks, err := h.sinks(cfg)
	if err != nil {
		return err
	}
	if err := h.teller.Use(sinks...); err != nil {
		return err
	}
	h.crms.use(sinks)
	h.boxes.use(sinks)
	return nil
}

// sinks makes the sinks of a configuration.
func (h *house) sinks(cfg *config.Config) ([]event.Sink, error) {
	var all []event.Sink
	for _, c := range cfg.Sinks {
		s, err := h.sink(cfg, c)
		if err != nil {
			return nil, fmt.Errorf("sink %s: %w", c.Name, err)
		}
		all = append(all, s)
	}
	if len(cfg.Notify.To) > 0 {
		all = append(all, notice.New(h.notices(cfg)))
	}
	return all, nil
}

func (h *house) sink(cfg *config.Config, c config.Sink) (event.Sink, error) {
	switch c.Type {
	case config.SinkWebhook:
		w, err := webhookOf(c)
		if err != nil {
			return nil, err
		}
		return webhook.New(w)
	case config.SinkCiviCRM:
		return h.civicrm(cfg, c)
	case config.SinkMaildir:
		return maildir.New(maildir.Config{Name: c.Name, Path: c.Path, Hostname: cfg.Hostname, Activities: c.What == config.WhatActivities, OpenBody: h.store.OpenBody,
			Keep: c.Keep, Max: c.MaxMessages}), nil
	case config.SinkDSN:
		return dsn.New(dsn.Config{Name: c.Name, Hostname: cfg.Hostname, OpenBody: h.store.OpenBody, Submit: h.report, Skip: h.server.Inbound.Reads}), nil
	case config.SinkLMTP, config.SinkSMTP:
		hop := &delivery.Hop{Network: c.Address.Network, Address: c.Address.Address, LMTP: c.Type == config.SinkLMTP, Hostname: cfg.Hostname}
		reports := dsn.New(dsn.Config{Name: c.Name, Hostname: cfg.Hostname, OpenBody: h.store.OpenBody})
		return relay.New(relay.Config{Name: c.Name, Kind: string(c.Type), Hostname: cfg.Hostname, OpenBody: h.store.OpenBody, Deliver: hop.Deliver,
			Report: reports.Report, Reads: h.server.Inbound.Reads, Final: commandsOf(cfg)}), nil
	}
	return nil, fmt.Errorf("type %q is not built yet", c.Type)
}

// webhookOf gives what a webhook is made of; an error where the secret is none
// of its format.
func webhookOf(c config.Sink) (webhook.Config, error) {
	w := webhook.Config{Name: c.Name, Format: webhook.Format(c.Format), URL: c.URL, AllowPrivate: c.AllowPrivate, Topic: c.Topic,
		Username: c.Username, Password: webhook.ParsePassword(c.Password.Reveal())}
	if c.SecretFile == "" {
		return w, nil
	}
	return w, w.UseSecret(c.Secret.Reveal())
}

// commandsOf tells mail to the addresses that an application reads itself: which
// lists there are only it knows.
func commandsOf(cfg *config.Config) func(event.Event) bool {
	grammars := map[string]*verp.Grammar{}
	for _, a := range cfg.Applications {
		grammars[a.Name] = grammarOf(a)
	}
	return func(e event.Event) bool {
		g := grammars[e.Application]
		local, _, ok := message.SplitAddress(e.Sender)
		if g == nil || !ok {
			return false
		}
		own, ok := g.Parse(local)
		return ok && own.Command() && e.Delivery == 0
	}
}

// report mails a report, which has its header block with it and is not signed.
func (h *house) report(ctx context.Context, m dsn.Mail) error {
	return h.mailOwn(ctx, ownMail{Key: m.Key, To: []string{m.To}, Body: m.Message, EightBit: m.EightBit, UTF8: m.UTF8, RequireTLS: m.RequireTLS})
}

// only gives the sinks of one kind.
func only[T event.Sink](all []event.Sink) (some []T) {
	for _, s := range all {
		if one, ok := s.(T); ok {
			some = append(some, one)
		}
	}
	return some
}
