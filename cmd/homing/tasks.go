package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// A part is something that runs until its context ends.
type part struct {
	name string
	run  func(context.Context) error
}

// errEnded says that a part ended although nobody had asked it to.
var errEnded = errors.New("it ended by itself")

// A stage is parts that run and stop together.
type stage struct {
	stop    context.CancelFunc
	running sync.WaitGroup
	mu      sync.Mutex
	errs    []error
}

// start runs the parts of a stage until its end is called; of ctx only the
// values count. When a part ends before, failed is called: everything has to
// end.
func start(ctx context.Context, failed func(), parts ...part) *stage {
	s := &stage{}
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	for _, p := range parts {
		s.running.Go(func() {
			err := p.run(ctx)
			if err == nil && ctx.Err() == nil {
				err = errEnded
			}
			if err != nil {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.errs = append(s.errs, fmt.Errorf("%s: %w", p.name, err))
				failed()
			}
		})
	}
	return s
}

// end stops the parts, waits for them and gives what failed.
func (s *stage) end() error {
	s.stop()
	s.running.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.errs...)
}
