package tlsrpt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"sync"
	"time"

	"homing/internal/dnsx"
)

// When reports are sent (RFC 8460 section 4.1): spread over some hours after
// the day has ended, so that not all of the world reports at midnight, and
// tried again for a day.
const (
	spread    = 4 * time.Hour
	giveUp    = 24 * time.Hour
	firstWait = 15 * time.Minute
	maxWait   = 4 * time.Hour
	postTime  = time.Minute
	senders   = 8
)

// A due report is one to be sent now.
type due struct {
	start  time.Time
	domain string
	author Author
}

// sendDue sends the reports whose time has come.
func (c *Collector) sendDue(ctx context.Context) {
	work := make(chan due)
	var workers sync.WaitGroup
	for range senders {
		workers.Go(func() {
			for x := range work {
				c.send(ctx, x)
			}
		})
	}
	for _, x := range c.due() {
		if ctx.Err() != nil {
			break
		}
		work <- x
	}
	close(work)
	workers.Wait()
}

func (c *Collector) due() (all []due) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	for start, d := range c.days {
		if !start.Before(today()) {
			continue
		}
		for domain, a := range d {
			if a.next.IsZero() {
				a.next = start.Add(24*time.Hour + delay(domain))
			}
			if !now.Before(a.next) {
				all = append(all, due{start, domain, c.author})
			}
		}
	}
	return all
}

// delay is how long after the day the report about a domain goes out.
func delay(domain string) time.Duration {
	h := fnv.New64a()
	io.WriteString(h, domain) // never fails
	return time.Duration(h.Sum64() % uint64(spread))
}

// send reports about a domain to all its receivers.
func (c *Collector) send(ctx context.Context, x due) {
	receivers, err := c.receivers(ctx, x.domain)
	if err == nil && x.author.Submitter != "" {
		for _, uri := range receivers {
			if x.author.From == "" && address(uri) != "" {
				continue
			}
			err = errors.Join(err, c.tell(ctx, x, uri))
		}
	}
	switch {
	case ctx.Err() != nil:
		return
	case err == nil:
	case time.Since(x.start.Add(24*time.Hour)) < giveUp:
		c.later(x)
		return
	default:
		c.Log.Warn("a report about TLS could not be sent in a day", "domain", x.domain, "err", err)
	}
	c.forget(ctx, x.start, x.domain)
}

// receivers asks who wants the report about a domain.
func (c *Collector) receivers(ctx context.Context, domain string) ([]string, error) {
	texts, err := c.Resolver.TXT(ctx, "_smtp._tls."+domain)
	if errors.Is(err, dnsx.ErrNoName) || errors.Is(err, dnsx.ErrNoData) {
		return nil, nil
	}
	return ParseRecord(texts), err
}

// later puts a report off.
func (c *Collector) later(x due) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a := c.days[x.start][x.domain]; a != nil {
		a.next = time.Now().Add(min(firstWait<<min(a.tries, 8), maxWait))
		a.tries++
	}
}

// tell sends a report to one receiver, unless it has it.
func (c *Collector) tell(ctx context.Context, x due, uri string) error {
	c.mu.Lock()
	a := c.days[x.start][x.domain]
	if a == nil || a.told[uri] {
		c.mu.Unlock()
		return nil
	}
	r := newReport(x.domain, x.start, a.copy(), x.author)
	c.mu.Unlock()

	way, err := "https", error(nil)
	if to := address(uri); to != "" {
		way = "mail"
		var m Mail
		if m, err = r.mail(to, time.Now()); err == nil {
			err = c.Submit(ctx, m)
		}
	} else {
		err = c.post(ctx, r, uri)
	}
	if err != nil {
		c.reports.WithLabelValues(way, "failed").Inc()
		return fmt.Errorf("reporting to %s: %w", uri, err)
	}
	c.reports.WithLabelValues(way, "sent").Inc()
	c.Log.Info("report about TLS sent", "domain", x.domain, "to", uri)
	c.mu.Lock()
	defer c.mu.Unlock()
	if a.told == nil {
		a.told = map[string]bool{}
	}
	a.told[uri] = true
	return nil
}

// post sends a report over HTTPS (RFC 8460 section 5.4).
func (c *Collector) post(ctx context.Context, r report, uri string) error {
	packed, err := r.packed()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, postTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, uri, bytes.NewReader(packed))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/tlsrpt+gzip")
	req.Header.Set("User-Agent", "Homing")
	resp, err := c.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("HTTP status %d", resp.StatusCode)
	}
	return nil
}
