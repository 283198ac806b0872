package dnscheck

import "sync"

// A band is goroutines that somebody waits for. What breaks in one of them
// breaks whoever waits, who knows what to do then, and not the process.
type band struct {
	all    sync.WaitGroup
	once   sync.Once
	broken any // the first panic
}

func (b *band) do(f func()) {
	b.all.Go(func() {
		defer func() {
			if broken := recover(); broken != nil {
				b.once.Do(func() { b.broken = broken })
			}
		}()
		f()
	})
}

// wait waits until all have ended.
func (b *band) wait() {
	b.all.Wait()
	if b.broken != nil {
		panic(b.broken)
	}
}
