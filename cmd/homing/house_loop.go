package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"homing/config"
	"homing/delivery"
	"homing/dnscheck"
	smtpreply "homing/internal/reply"
	"homing/queue"
	"homing/server/selfcheck"
)

// nothingSent is why no way is tried where all mail is kept.
const nothingSent = "nothing is sent: mode is \"capture\""

// loopChecks try the way back of each domain whose mail has return addresses of
// ours: straight once for each domain of such addresses, through a smarthost
// once for each domain that has one.
func (h *house) loopChecks(cfg *config.Config) (all []selfcheck.Check) {
	add := func(kind, name string, check func(ctx context.Context) dnscheck.Finding) {
		all = append(all, one(kind+" "+name, check))
	}
	if cfg.Mode == config.Capture {
		for _, w := range waysOf(cfg, h.queue.Through) {
			add("return_path", w.Returns, func(context.Context) dnscheck.Finding {
				return selfcheck.Untried(w, nothingSent)
			})
		}
		return all
	}
	for _, w := range waysOf(cfg, h.queue.Through) {
		add("return_path", w.Returns, func(ctx context.Context) dnscheck.Finding { return h.loop.Straight(ctx, w) })
	}
	for _, d := range cfg.Domains {
		w := selfcheck.Way{Domain: d.Name, Returns: returnsOf(d), Through: h.queue.Through(d.Name), Rewrites: rewrites(cfg, d)}
		if w.Returns != "" && w.Through != "" {
			add("smarthost_return", d.Name, func(ctx context.Context) dnscheck.Finding { return h.loop.Relayed(ctx, w) })
		}
	}
	return all
}

// waysOf gives the ways back, one for each domain of return addresses. All that
// have it in common may send through a smarthost, or some straight.
func waysOf(cfg *config.Config, through func(domain string) string) (all []selfcheck.Way) {
	for _, d := range cfg.Domains {
		w := selfcheck.Way{Domain: d.Name, Returns: returnsOf(d), Through: through(d.Name)}
		i := slices.IndexFunc(all, func(other selfcheck.Way) bool { return other.Returns == w.Returns })
		switch {
		case w.Returns == "":
		case i < 0:
			all = append(all, w)
		case w.Through == "":
			all[i].Through = ""
		}
	}
	return all
}

// returnsOf gives the domain of the return addresses that we sign for a domain;
// "": it has none.
func returnsOf(d config.Domain) string {
	_, returns, _ := strings.Cut(d.ReturnPath, "@")
	if d.VERP != config.Sign {
		return ""
	}
	return returns
}

// newLoop makes what tries the way back, by the parts that mail goes through.
func (h *house) newLoop() *selfcheck.Loop {
	return &selfcheck.Loop{
		Trial: func(domain string) (string, func(context.Context) (selfcheck.Returned, error), func(), error) {
			address, heard, end, err := h.server.Trial(domain)
			return address, func(ctx context.Context) (selfcheck.Returned, error) {
				select {
				case x := <-heard:
					return selfcheck.Returned{Kind: x.Kind, From: x.From, To: x.To, At: x.At}, nil
				case <-ctx.Done():
					return selfcheck.Returned{}, ctx.Err()
				}
			}, end, err
		},
		Send: func(ctx context.Context, w selfcheck.Way, p selfcheck.Posting) (string, error) {
			t := delivery.Trial{Domain: w.Returns, Via: w.Through, From: p.From, To: p.To, Message: p.Message}
			if p.Straight {
				t.Via, t.Patience = "", trialPatience
			}
			r := h.delivery.Try(ctx, t)
			return r.RemoteMTA, trialError(r)
		},
		Sign: func(domain string, message []byte) ([]byte, error) {
			end := bytes.Index(message, []byte("\r\n\r\n")) + 4
			m := ownMail{Head: message[:end], Body: message[end:]}
			head, err := signed(signerFor(h.server.Policy(), "postmaster@"+domain), m)
			return slices.Concat(head, m.Body), err
		},
	}
}

// trialPatience is how long our own MX may take for an answer.
const trialPatience = 3 * time.Second

// trialError says why a trial was not taken; nil: it was.
func trialError(r queue.Result) error {
	switch {
	case r.Reply.Positive():
		return nil
	case r.Ours && r.Stage == smtpreply.Resolve && r.Reply.Temporary():
		return fmt.Errorf("%w: %s", selfcheck.ErrNotAsked, r.Reply)
	case r.Ours && r.Stage == smtpreply.Connect:
		return fmt.Errorf("%w: %s", selfcheck.ErrNotReached, r.Reply)
	}
	return errors.New(r.Reply.String())
}
