package queue

import (
	"fmt"
	"testing"
	"time"

	"homing/queue/shape"
)

// morningOf is the beginning of a day of UTC.
var morningOf = time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)

func TestHowLongMailToASiteTakes(t *testing.T) {
	ways := func(n int, change func(p *shape.Path)) (all []shape.Path) {
		for i := range n {
			p := shape.Path{Source: fmt.Sprint(i), Allowance: -1}
			change(&p)
			all = append(all, p)
		}
		return all
	}
	asUsual := func(*shape.Path) {}
	rate := func(count int, per time.Duration) shape.Rate { return shape.Rate{Count: count, Per: per} }
	young := map[string][]int{"0": {50, 100, 200}}
	noon := morningOf.Add(12 * time.Hour)
	tests := []struct {
		name  string
		rule  shape.Rule
		paths []shape.Path
		speed float64
		allow map[string][]int
		n     int
		want  string
	}{
		{"connections times their speed", shape.Rule{Connections: 10}, ways(1, asUsual), 2, nil, 1200, "1m0s connections: 10 connections at 2 messages a second"},
		{"a rate that is less", shape.Rule{Connections: 10, Rate: rate(60, time.Minute)}, ways(1, asUsual), 2, nil, 120, "2m0s rate: 60 messages a minute"},
		{"a rate that is more", shape.Rule{Connections: 1, Rate: rate(600, time.Minute)}, ways(1, asUsual), 2, nil, 120, "1m0s connections: 1 connections at 2 messages a second"},
		{"a rate by the hour", shape.Rule{Connections: 10, Rate: rate(3600, time.Hour)}, ways(1, asUsual), 2, nil, 120, "2m0s rate: 3600 messages an hour"},
		{"a site that is fast", shape.Rule{Connections: 1}, ways(1, asUsual), 26543, nil, 26543 * 60, "1m0s connections: 1 connections at 26543 messages a second"},
		{"from two addresses it is half", shape.Rule{Connections: 10}, ways(2, asUsual), 2, nil, 2400, "1m0s connections: 10 connections at 2 messages a second, from each of 2 addresses"},
		{"a site that knows how many it puts up with", shape.Rule{Connections: 10}, ways(1, func(p *shape.Path) { p.Learned = 5 }), 2, nil, 600, "1m0s connections: 5 connections at 2 messages a second"},
		{"left alone for longer than the rest takes", shape.Rule{Connections: 10}, ways(1, func(p *shape.Path) { p.Until = noon.Add(time.Hour) }), 2, nil, 1200,
			"1h1m0s backoff: it is left alone until 13:00 UTC"},
		{"left alone from one address of two", shape.Rule{Connections: 10}, []shape.Path{{Allowance: -1}, {Source: "1", Allowance: -1, Until: noon.Add(time.Hour)}}, 2, nil, 1200,
			"1m0s connections: 10 connections at 2 messages a second, from each of 2 addresses"},
		{"a new address, on its first day", shape.Rule{Connections: 10}, ways(1, func(p *shape.Path) { p.Allowance = 50 }), 2, young, 40,
			"2s connections: 10 connections at 2 messages a second"},
		{"a new address, some days later", shape.Rule{Connections: 10}, ways(1, func(p *shape.Path) { p.Allowance, p.Sent = 50, 30 }), 2, young, 320,
			"36h0m10s warmup: 50 messages today from a source address that is new"},
		{"a new address that is warm in the end", shape.Rule{Connections: 10}, ways(1, func(p *shape.Path) { p.Allowance = 50 }), 2, young, 350 + 1200,
			"60h1m0s warmup: 50 messages today from a source address that is new"},
		{"a warm address helps a new one", shape.Rule{Connections: 10}, ways(2, func(p *shape.Path) { p.Allowance = 50 }), 2, young, 1250,
			"1m0s warmup: 50 messages today from a source address that is new"},
		{"nobody looks so far ahead", shape.Rule{Connections: 1, Rate: rate(1, 24*time.Hour)}, ways(1, asUsual), 2, nil, 500, "never far: more than 400 days"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := road{site: shape.Site{Rule: tt.rule, Paths: tt.paths}, speed: tt.speed, allow: tt.allow}
			a := r.through(tt.n, noon)
			took := "never"
			if !a.at.IsZero() {
				took = a.at.Sub(noon).Round(time.Second).String()
			}
			if got := fmt.Sprintf("%s %s: %s", took, a.by, a.why); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
	r := road{paused: true}
	if a := r.through(1, noon); !a.at.IsZero() || a.by != LimitPaused {
		t.Errorf("what is paused is through at %v by %s", a.at, a.by)
	}
}

func TestAMailingIsSpreadAsItsPartsWere(t *testing.T) {
	tests := []struct {
		n       int
		weights map[string]int
		want    string
	}{
		{100, map[string]int{"a": 1}, "[{a 100}]"},
		{100, map[string]int{"a": 3, "b": 1}, "[{a 75} {b 25}]"},
		{10, map[string]int{"a": 1, "b": 1, "c": 1}, "[{a 3} {b 4} {c 3}]"},
		{1, map[string]int{"a": 5, "b": 4}, "[{a 1}]"},
		{500_000, map[string]int{"a": 1_000_000_000, "b": 1}, "[{a 500000}]"},
	}
	for _, tt := range tests {
		if got := fmt.Sprint(spread(tt.n, tt.weights)); got != tt.want {
			t.Errorf("spread(%d, %v) = %s, want %s", tt.n, tt.weights, got, tt.want)
		}
	}
}

func TestTalliesStayBounded(t *testing.T) {
	var all tallies
	for n := range 3 * tallySites {
		for range 1 + n%2 {
			all.count(fmt.Sprintf("s%d.test", n), morningOf, true, time.Second)
		}
	}
	sums := all.sums(morningOf)
	total := 0
	for _, s := range sums {
		total += s.Taken
	}
	if len(sums) > tallySites+1 || total != 3*tallySites*3/2 || sums[others].Taken == 0 {
		t.Errorf("%d sites with %d messages, %d of them at others", len(sums), total, sums[others].Taken)
	}
	if got := len(all.sums(morningOf.AddDate(0, 0, tallyDays-1))); got != len(sums) {
		t.Errorf("after 29 days there are %d, want all %d", got, len(sums))
	}
	if got := len(all.sums(morningOf.AddDate(0, 0, tallyDays))); got != 0 {
		t.Errorf("after 30 days there are %d, want none", got)
	}
	notes, err := all.take(morningOf.AddDate(0, 0, tallyDays))
	if err != nil || len(notes) < len(sums) || notes[others] != nil {
		t.Errorf("%d notes are to be forgotten, %v", len(notes), err)
	}
}

func TestSpeedIsMeasuredWhereThereIsEnoughToMeasure(t *testing.T) {
	tests := []struct {
		name      string
		here, all tallied
		want      float64
	}{
		{"here", tallied{Ended: 100, Busy: 25_000}, tallied{Ended: 1000, Busy: 1000}, 4},
		{"elsewhere", tallied{Ended: 2, Busy: 25_000}, tallied{Ended: 100, Busy: 20_000}, 5},
		{"nowhere", tallied{}, tallied{Ended: 3, Busy: 1}, guessedSpeed},
	}
	for _, tt := range tests {
		if got := speed(tt.here, tt.all); got != tt.want {
			t.Errorf("measured %s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
