package main

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"

	"homing/config"
	"homing/delivery"
	"homing/dnscheck"
	"homing/server/selfcheck"
)

// loopChecks try the way back of each domain whose mail has return addresses of
// ours.
func (h *house) loopChecks(cfg *config.Config) (all []selfcheck.Check) {
	if cfg.Mode != config.Deliver {
		return nil // nothing leaves
	}
	for _, d := range cfg.Domains {
		_, returns, ok := strings.Cut(d.ReturnPath, "@")
		if !ok || d.VERP != config.Sign {
			continue
		}
		w := selfcheck.Way{Domain: d.Name, Returns: returns, Through: h.queue.Through(d.Name)}
		all = append(all, selfcheck.Check{Name: "return_path " + d.Name, Run: func(ctx context.Context) []dnscheck.Finding { return h.loop.Try(ctx, w) }})
	}
	return all
}

// newLoop makes what tries the way back, by the parts that mail goes through.
func (h *house) newLoop() *selfcheck.Loop {
	return &selfcheck.Loop{
		Trial: func(domain string) (string, func(context.Context) (selfcheck.Returned, error), func(), error) {
			address, heard, end, err := h.server.Trial(domain)
			return address, func(ctx context.Context) (selfcheck.Returned, error) {
				select {
				case x := <-heard:
					return selfcheck.Returned{Kind: x.Kind, From: x.From, At: x.At}, nil
				case <-ctx.Done():
					return selfcheck.Returned{}, ctx.Err()
				}
			}, end, err
		},
		Send: func(ctx context.Context, w selfcheck.Way, straight bool, address string, message []byte) (string, error) {
			t := delivery.Trial{Domain: w.Returns, Via: w.Through, From: address, To: address, Message: message}
			if straight {
				t.Via = ""
			}
			r := h.delivery.Try(ctx, t)
			if !r.Reply.Positive() {
				return r.RemoteMTA, errors.New(r.Reply.String())
			}
			return r.RemoteMTA, nil
		},
		Sign: func(domain string, message []byte) ([]byte, error) {
			end := bytes.Index(message, []byte("\r\n\r\n")) + 4
			m := ownMail{Head: message[:end], Body: message[end:]}
			head, err := signed(signerFor(h.server.Policy(), "postmaster@"+domain), m)
			return slices.Concat(head, m.Body), err
		},
	}
}
