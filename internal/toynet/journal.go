package toynet

import (
	"context"
	"slices"
	"sync"
)

// A Journal keeps what happened, in order. Its methods may be called from many
// goroutines; the zero Journal is empty and ready.
type Journal[T any] struct {
	mu      sync.Mutex
	entries []T
	news    chan struct{} // closed at the next Add; nil while nobody waits
}

// Add appends one entry.
func (j *Journal[T]) Add(entry T) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, entry)
	if j.news != nil {
		close(j.news)
		j.news = nil
	}
}

// All gives a copy of what there is.
func (j *Journal[T]) All() []T {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.entries)
}

// Len says how many entries there are.
func (j *Journal[T]) Len() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.entries)
}

// Wait returns nil as soon as enough says that the entries so far suffice, and
// ctx's error when ctx ends first. It asks once at the start and once after
// each burst of entries. enough must neither keep nor change its argument.
func (j *Journal[T]) Wait(ctx context.Context, enough func([]T) bool) error {
	for {
		entries, news := j.watch()
		if enough(entries) {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// watch gives the entries so far, and a channel that closes when there are
// more. Entries are only ever appended, so the slice may be read unlocked.
func (j *Journal[T]) watch() ([]T, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.news == nil {
		j.news = make(chan struct{})
	}
	return slices.Clip(j.entries), j.news
}
