package main

import (
	"context"
	"errors"
	"fmt"

	"homing/store"
)

// alive is nil once the parts that everything goes through have answered: the
// committer of the store, which takes a change of nothing and writes nothing
// for it, and the queue. It does not return while one of them hangs. A full
// disk is no illness that a restart could heal.
func (h *house) alive(ctx context.Context) error {
	if err := h.store.Apply(ctx); err != nil && !errors.Is(err, store.ErrFull) && ctx.Err() == nil {
		return fmt.Errorf("the store: %w", err)
	}
	h.queue.Waiting()
	return nil
}

// summary is how the server is in a few words, for the service manager.
func (h *house) summary() string {
	waiting := h.queue.Waiting()
	text := fmt.Sprintf("%d recipients wait", waiting)
	if waiting == 1 {
		text = "1 recipient waits"
	}
	if errors.Is(h.store.Room(), store.ErrFull) {
		text += "; the disk is full: new mail is put off"
	}
	if h.stale.Load() {
		text += "; the configuration file has mistakes and is not in force: the log names them"
	}
	return text
}
