package main

import (
	"context"
	"fmt"
	"time"

	"homing/server/review"
)

// openReviews takes up the mail that waits for somebody to say whether it is
// filed.
func (h *house) openReviews(ctx context.Context) (err error) {
	h.reviews, err = review.New(ctx, review.Config{Notes: h.store, Teller: h.queue, OpenBody: h.store.OpenBody, Log: h.log, Now: time.Now, Metrics: h.metrics,
		Keep:  func() time.Duration { return h.live.Load().Retention.Bounces },
		Sinks: func(recipient string) []string { return h.server.Policy().Filers(recipient) }})
	return err
}

// undecided says that mail waits for somebody's word.
func (h *house) undecided() []string {
	switch n := h.reviews.Waiting(); n {
	case 0:
		return nil
	case 1:
		return []string{"A mail waits for somebody to say whether it is filed: `homing review list`."}
	default:
		return []string{fmt.Sprintf("%d mails wait for somebody to say whether they are filed: `homing review list`.", n)}
	}
}
