package delivery

import (
	"context"
	"errors"

	"homing/queue"
)

// Hosts gives the best mail hosts of a domain, as the queue is told of them
// when mail goes straight there. Its error says why there is no way to the
// domain now.
func (d *Delivery) Hosts(ctx context.Context, domain string) ([]queue.Host, error) {
	o := *d.options.Load()
	o.Reports = nil // a look is no session
	r, failed := routeTo(ctx, d.Resolver, &o, domain)
	if failed != nil {
		return nil, errors.New(failed.Reply.Text)
	}
	hops := r.next(ctx)
	if len(hops) == 0 {
		return nil, errors.New(r.why.Reply.Text)
	}
	return hostsOf(hops), nil
}

// hostsOf names hops for the queue.
func hostsOf(hops []hop) []queue.Host {
	hosts := make([]queue.Host, len(hops))
	for i, h := range hops {
		hosts[i] = queue.Host{Name: h.name, Address: h.at.Addr()}
	}
	return hosts
}
