package web

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"homing/hold"
	"homing/queue"
)

// An Erasure says what was known of a person and is known no more.
type Erasure struct {
	DryRun     bool           `json:"dry_run"`
	Deliveries int            `json:"deliveries"`
	States     map[string]int `json:"states"` // the same by the state in which they were
	Events     int            `json:"events"`
	Untold     int            `json:"untold"`         // of these, those that some sink does not hear any more
	Reviews    int            `json:"reviews"`        // mail that waited for review and names the person
	Hold       string         `json:"hold,omitempty"` // under which name a hold goes on
	Remains    []string       `json:"remains"`        // where the address can still be found
}

// remains is what nobody can erase here, or not at once.
var remains = []string{
	"backups that were made before",
	"the server's log, for as long as journald or whoever writes it keeps it, unless log.addresses hides addresses",
	"what was sent, and what applications and sinks were told: erase the person there as well",
	"messages to several recipients that name the address in their text or header, until they are over for the others too",
	"mail that the person has sent by an application, where he is its author: in the lists of deliveries and in the facts about them, until retention.index and retention.events are over",
	"the memory of a sink of type civicrm, while the address is not mailed there because of what it was told, or until it is gone at CiviCRM",
	"mail in the spool of sendmail that was not handed over yet",
	"replies of the person that were passed on to whoever sent the mailing: those that wait or were captured; of others whose they are, and their subject, until retention.index and retention.events are over",
	"the files of the store, which overwrite what was removed in the course of their work: a segment of the log goes when a newer one has begun and no message in it is needed, at the latest when all retention times are over; free pages of the index are written again",
}

// erase forgets a person.
func (w *Web) erase(rw http.ResponseWriter, r *http.Request) {
	v, err := parameters(r, "dry_run", "by")
	address := r.PathValue("address")
	if err == nil {
		err = erasable(address, v.Get("by"))
	}
	if err != nil {
		problem(rw, http.StatusBadRequest, err.Error())
		return
	}
	dryRun := v.Get("dry_run") != ""
	var found queue.Erasure
	err = w.unhurried(rw, r, func(ctx context.Context) (err error) {
		if dryRun {
			found, err = w.Queue.WouldErase(ctx, address)
		} else {
			found, err = w.Queue.Erase(ctx, address, callerOf(r).by(v.Get("by")))
		}
		return err
	})
	reviews := w.Reviews.About(hold.Canonical(address))
	if err == nil && !dryRun {
		reviews, err = w.Reviews.Erase(r.Context(), hold.Canonical(address))
	}
	if err == nil && !dryRun && w.ForgetAuthor != nil {
		err = w.ForgetAuthor(r.Context(), hold.Canonical(address))
	}
	if err != nil {
		w.undecided(rw, r, err)
		return
	}
	out := Erasure{DryRun: dryRun, Reviews: reviews, States: map[string]int{}, Events: found.Events, Untold: found.Untold, Hold: found.Alias, Remains: remains}
	for s, n := range found.Deliveries {
		out.States[s.String()] += n
		out.Deliveries += n
	}
	w.answer(rw, out)
}

// erasable says why nobody can be erased by an address.
func erasable(address, by string) error {
	switch {
	case !isAddress(address):
		return fmt.Errorf("want an address like ann@example.net, got %q", shortened(address))
	case strings.HasSuffix(hold.Canonical(address), "@"+queue.ErasedDomain):
		return fmt.Errorf("%s stands for somebody who was erased already: to end the hold itself, release it", address)
	case len(by) > maxWords:
		return fmt.Errorf("by: want at most %d octets", maxWords)
	}
	return nil
}
