package toynet

import (
	"sync"
	"time"
)

// A gate counts work that is under way, lets no more of it begin once it is
// shut, and waits for the rest. The zero gate is open.
type gate struct {
	mu   sync.Mutex
	shut bool
	work sync.WaitGroup
}

// enter reports whether work may begin; each true asks for one leave.
func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		return false
	}
	g.work.Add(1)
	return true
}

func (g *gate) leave() { g.work.Done() }

// close lets no more work begin and waits until what is under way has ended.
func (g *gate) close() {
	g.mu.Lock()
	g.shut = true
	g.mu.Unlock()
	g.work.Wait()
}

// pause waits for d and reports whether it passed before done was closed.
func pause(done <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
		return false
	case <-t.C:
		return true
	}
}
