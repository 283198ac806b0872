package event_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"homing/event"
)

var day = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

func TestAnIDReadsBackAsItWasWritten(t *testing.T) {
	for _, want := range []event.ID{0, 1, 4095, 4096, event.FirstID(day), 1<<56 - 1} {
		var got event.ID
		if err := got.UnmarshalText([]byte(want.String())); err != nil || got != want {
			t.Errorf("%d is written %q and reads as %d, %v", want, want, got, err)
		}
		if err := got.UnmarshalText([]byte(strings.ToLower(want.String()))); err != nil || got != want {
			t.Errorf("%d in lower case reads as %d, %v", want, got, err)
		}
	}
}

func TestTheThreeKindsAreWrittenAlike(t *testing.T) {
	n := uint64(event.FirstID(day)) + 7
	got, err := json.Marshal([]any{event.ID(n), event.MessageID(n), event.DeliveryID(n)})
	text := event.ID(n).String()
	if want := fmt.Sprintf("[%q,%q,%q]", text, text, text); err != nil || string(got) != want {
		t.Errorf("as JSON %s, %v, want %s", got, err, want)
	}
	var m event.MessageID
	var d event.DeliveryID
	if err := errors.Join(m.UnmarshalText([]byte(text)), d.UnmarshalText([]byte(text))); err != nil || uint64(m) != n || uint64(d) != n {
		t.Errorf("%q reads as %d and %d, %v, want %d", text, m, d, err, n)
	}
	if !m.Time().Equal(day) || !d.Time().Equal(day) {
		t.Errorf("given at %v and %v, want %v", m.Time(), d.Time(), day)
	}
}

func TestTextsSortAsTheNumbersDo(t *testing.T) {
	earlier := event.FirstID(day) + 4095
	later := event.FirstID(day.Add(time.Millisecond))
	if earlier >= later || earlier.String() >= later.String() {
		t.Errorf("%v is not before %v", earlier, later)
	}
	if got := later.Time(); !got.Equal(day.Add(time.Millisecond)) {
		t.Errorf("Time() = %v, want %v", got, day.Add(time.Millisecond))
	}
}

func TestWhatWeWouldNotWriteIsNoID(t *testing.T) {
	good := event.FirstID(day).String()
	tests := []struct{ name, text string }{
		{"nothing", ""},
		{"one character short", good[1:]},
		{"one character more", good + "0"},
		{"a letter that Crockford left out", good[:12] + "U"},
		{"more than 44 bits of time", "Z" + good[1:]},
		{"a count past 12 bits", good[:10] + "ZZZ"},
		{"a space", " " + good[1:]},
		{"letters outside of ASCII", "0123456789ıı"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id := event.ID(5)
			if err := id.UnmarshalText([]byte(tt.text)); !errors.Is(err, event.ErrID) || id != 5 {
				t.Errorf("UnmarshalText(%q) = %v and leaves %d, want ErrID and 5", tt.text, err, id)
			}
		})
	}
}

func TestASequenceNeverGoesBack(t *testing.T) {
	var s event.Sequence
	first := s.Take(day, 1)
	if want := uint64(event.FirstID(day)); first != want {
		t.Errorf("the first number is %d, want %d", first, want)
	}
	if got := s.Take(day, 1); got != first+1 {
		t.Errorf("in the same millisecond %d, want %d", got, first+1)
	}
	if got := s.Take(day.Add(-time.Hour), 10); got != first+2 {
		t.Errorf("with the clock set back %d, want %d", got, first+2)
	}
	if got := s.Take(day.Add(-time.Hour), 1); got != first+12 {
		t.Errorf("after ten in a row %d, want %d", got, first+12)
	}
	s.Raise(first + 1_000_000)
	if got := s.Take(day, 1); got != first+1_000_001 {
		t.Errorf("after Raise %d, want %d", got, first+1_000_001)
	}
	s.Raise(1)
	if got := s.Take(day, 1); got != first+1_000_002 {
		t.Errorf("after Raise to a lower number %d, want %d", got, first+1_000_002)
	}
	if got, want := s.Take(day.AddDate(1, 0, 0), 1), uint64(event.FirstID(day.AddDate(1, 0, 0))); got != want {
		t.Errorf("a year later %d, want %d", got, want)
	}
}

func TestNumbersTakenAtOnceAreDistinct(t *testing.T) {
	const takers, each = 8, 500
	var s event.Sequence
	var mu sync.Mutex
	seen := map[uint64]bool{}
	var wg sync.WaitGroup
	for range takers {
		wg.Go(func() {
			for range each {
				n := s.Take(day, 2)
				mu.Lock()
				seen[n], seen[n+1] = true, true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if got, want := len(seen), takers*each*2; got != want {
		t.Errorf("%d distinct numbers, want %d", got, want)
	}
}

func TestAnEventHidesWhatSinksNeedNotKnow(t *testing.T) {
	got, err := json.Marshal(event.Event{ID: event.FirstID(day), Type: event.Delivered, Time: day,
		Delivery: 77, To: []string{"crm"}, Notify: "NEVER", EnvelopeID: "secret"})
	want := `{"id":"` + event.FirstID(day).String() + `","type":"delivered","time":"2026-11-23T10:00:00Z"}`
	if err != nil || string(got) != want {
		t.Errorf("as JSON\n%s, %v, want\n%s", got, err, want)
	}
}

// FuzzID promises that an identifier has one spelling, but for letter case.
func FuzzID(f *testing.F) {
	f.Add(event.FirstID(day).String())
	f.Add("0000000000000")
	f.Fuzz(func(t *testing.T, text string) {
		var id event.ID
		if id.UnmarshalText([]byte(text)) == nil && !strings.EqualFold(id.String(), text) {
			t.Errorf("%q reads as %d, which is written %q", text, id, id)
		}
	})
}

func ExampleSequence_Take() {
	var s event.Sequence
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	fmt.Println(event.MessageID(s.Take(at, 1)), event.MessageID(s.Take(at, 1)))
	// Output: 01M83XJ880000 01M83XJ880001
}
