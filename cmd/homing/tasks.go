package main

import (
	"errors"
	"sync"
)

// tasks are goroutines that somebody waits for.
type tasks struct {
	running sync.WaitGroup
	mu      sync.Mutex
	errs    []error
}

// start runs a task.
func (t *tasks) start(run func() error) {
	t.running.Go(func() {
		if err := run(); err != nil {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.errs = append(t.errs, err)
		}
	})
}

// wait waits for all of them and gives what failed.
func (t *tasks) wait() error {
	t.running.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	return errors.Join(t.errs...)
}
