package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
)

// The runtime collects whenever the heap has doubled. A server that keeps only
// a few MB would collect all the time at that, so it may grow by heapRoom at
// least, but not beyond five times its size. A server that keeps more than
// heapRoom is collected as usual.
const (
	heapRoom     = 32 << 20
	percentUsual = 100
	percentMost  = 400
)

// percentFor gives the GOGC for so many octets in use.
func percentFor(live uint64) int {
	return int(min(max(heapRoom*100/max(live, 1), percentUsual), percentMost))
}

// giveHeapRoom adjusts the collector after each collection until the function
// that it returns is called. Where the environment has a GOGC, that stays.
func giveHeapRoom() (end func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	r := &heapRoomer{before: debug.SetGCPercent(percentUsual)}
	r.adjust()
	r.await()
	return func() {
		r.over.Store(true)
		debug.SetGCPercent(r.before)
	}
}

type heapRoomer struct {
	before int
	over   atomic.Bool
}

// await adjusts after the next collection: that is what finds the token
// unused.
func (r *heapRoomer) await() {
	type token struct{ _ *byte } // with a pointer, so that it is no part of a larger block
	runtime.AddCleanup(new(token), func(r *heapRoomer) {
		if !r.over.Load() {
			r.adjust()
			r.await()
		}
	}, r)
}

func (r *heapRoomer) adjust() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	if metrics.Read(live); live[0].Value.Kind() == metrics.KindUint64 {
		debug.SetGCPercent(percentFor(live[0].Value.Uint64()))
	}
}
