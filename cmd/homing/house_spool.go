package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"homing/internal/spool"
	"homing/server"
	"homing/server/smtpd"
)

// openSpool makes what takes over the mail that local users left. Where no
// socket is open for them, there is none.
func (h *house) openSpool() {
	metrics := spool.NewMetrics(h.metrics)
	if h.cfg.Listen.Local.IsZero() {
		return
	}
	h.spool = spool.NewTaker(spool.Config{
		Dir: h.cfg.SpoolDir, Take: h.takeSpooled, Log: h.log, Now: time.Now, Metrics: metrics,
		MaxOctets: func() int64 { return h.server.Policy().MaxOut },
		Lifetime:  func() time.Duration { return h.live.Load().Delivery.Lifetime },
		Refused: func(ctx context.Context, r spool.Refusal) {
			if err := h.server.Spooled(ctx, r.UID, r.Files, r.Reason); err != nil {
				h.log.Error("noting an incident failed", "uid", r.UID, "err", err)
			}
		},
	})
}

// takeSpooled takes one mail of the spool into the queue.
func (h *house) takeSpooled(ctx context.Context, m spool.Mail) error {
	_, err := h.server.Outbound.Take(ctx, server.Handed{Key: spool.Key(m.UID, m.ID), UID: m.UID, Envelope: smtpd.Envelope{
		From: m.From, To: m.To, Notify: m.Notify,
		Options: smtpd.MailOptions{EightBit: m.EightBit, UTF8: m.UTF8, Return: m.Return, EnvelopeID: m.EnvelopeID},
	}}, m.Message)
	return err
}

// spoolTroubles says what is the matter with the spool.
func (h *house) spoolTroubles() (all []string) {
	if h.spool == nil {
		return nil
	}
	files, fault := h.spool.Files()
	if fault != "" {
		all = append(all, "No mail is taken from the spool of sendmail: "+fault+".")
	}
	refused, why := 0, ""
	for _, f := range files {
		if f.State == spool.Refused {
			refused++
			why = f.Reason
		}
	}
	if refused > 0 {
		lie := fmt.Sprintf("%d mails lie", refused)
		if refused == 1 {
			lie = "1 mail lies"
		}
		all = append(all, fmt.Sprintf("In the spool of sendmail, %s refused (%s): `homing sendmail -bp` lists what is there; once the cause is mended, `homing sendmail -q` sends it.", lie, why))
	}
	return all
}

// machineNames are the names of this machine.
func machineNames() []string {
	name, err := os.Hostname()
	if err != nil {
		return nil
	}
	short, _, _ := strings.Cut(name, ".")
	return []string{name, short}
}
