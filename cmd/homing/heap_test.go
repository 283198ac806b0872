package main

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestASmallHeapMayGrowByMoreThanItsSize(t *testing.T) {
	for _, tt := range []struct {
		name string
		live uint64
		want int
	}{
		{"nothing yet", 0, 400},
		{"a few MB: five times as much at most", 4 << 20, 400},
		{"half the room", 16 << 20, 200},
		{"as much as the room", 32 << 20, 100},
		{"a long queue", 300 << 20, 100},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := percentFor(tt.live); got != tt.want {
				t.Errorf("percentFor(%d) = %d, want %d", tt.live, got, tt.want)
			}
		})
	}
}

func TestTheCollectorIsAsBeforeAfterTheServer(t *testing.T) {
	t.Setenv("GOGC", "")
	before := debug.SetGCPercent(77)
	defer debug.SetGCPercent(before)
	end := giveHeapRoom()
	runtime.GC()
	end()
	if got := debug.SetGCPercent(77); got != 77 {
		t.Errorf("GOGC is %d after the end, want 77", got)
	}
}
