package shape

import (
	"math"
	"time"
)

// A Rate is how many messages may go in any span of a length. The zero Rate is
// no limit.
type Rate struct {
	Count int
	Per   time.Duration
}

// burst is how many may go at once after a rest. It is small, because what
// goes at once has to be saved afterwards: burst and refill together never
// exceed Count in any span of Per.
func (r Rate) burst() float64 { return 1 + math.Floor(float64(r.Count)/33) }

// refill is how many messages a second the bucket gains.
func (r Rate) refill() float64 { return (float64(r.Count) - r.burst() + 1) / r.Per.Seconds() }

// reserve is how much of the burst only lane 0 may use: while a mailing goes at
// full rate, a receipt finds room without waiting.
func (r Rate) reserve(lane int) float64 {
	if lane == 0 {
		return 0
	}
	return math.Floor((r.burst() - 1) / 2)
}

// A bucket holds what a Rate still allows. What was promised to a dialogue is
// taken when it is used: so the rate is that of the wire, however long mail
// waits between the two. Without a Rate it is bottomless.
type bucket struct {
	Rate
	scale    float64 // of the refill, while a site recovers; 0: all of it
	tokens   float64
	at       time.Time // when that many were there
	promised int
}

// set changes the rate. A bucket is full when it is new.
func (b *bucket) set(r Rate) {
	if b.Rate != r {
		b.Rate, b.tokens, b.at = r, r.burst(), time.Time{}
	}
}

func (b *bucket) speed() float64 {
	if b.scale > 0 && b.scale < 1 {
		return b.refill() * b.scale
	}
	return b.refill()
}

// settle brings the tokens up to now.
func (b *bucket) settle(now time.Time) {
	if b.Count == 0 {
		return
	}
	if now.After(b.at) {
		if !b.at.IsZero() {
			b.tokens += now.Sub(b.at).Seconds() * b.speed()
		}
		b.at = now
	}
	b.tokens = min(b.tokens, b.burst())
}

// slack forgives what floating point loses.
const slack = 1e-6

// has is how many a lane may be promised now.
func (b *bucket) has(lane int, now time.Time) int {
	if b.Count == 0 {
		return unlimited
	}
	b.settle(now)
	return max(0, int(b.tokens-b.reserve(lane)-float64(b.promised)+slack))
}

// when is when a lane may be promised one; zero: not before one is used.
func (b *bucket) when(lane int, now time.Time) time.Time {
	if b.has(lane, now) > 0 {
		return now
	}
	want := 1 + b.reserve(lane) + float64(b.promised)
	if want > b.burst() {
		return time.Time{}
	}
	return now.Add(time.Duration((want-b.tokens)/b.speed()*float64(time.Second)) + time.Microsecond)
}

// promise sets n aside, or with n below 0 gives them back.
func (b *bucket) promise(n int) { b.promised += n }

// use takes one that was promised.
func (b *bucket) use(now time.Time) {
	b.promised--
	if b.Count != 0 {
		b.settle(now)
		b.tokens--
	}
}

// full reports whether nothing of it is remembered.
func (b *bucket) full(now time.Time) bool {
	b.settle(now)
	return b.promised == 0 && (b.Count == 0 || b.tokens >= b.burst()-slack)
}

// spent is how much of the burst is used or promised now; the zero time, where
// there is no Rate.
func (b *bucket) spent(now time.Time) (float64, time.Time) {
	if b.Count == 0 {
		return 0, time.Time{}
	}
	b.settle(now)
	return b.burst() - b.tokens + float64(b.promised), b.at
}

// spend takes what was spent before a restart.
func (b *bucket) spend(spent float64, told, now time.Time) {
	if b.Count == 0 || told.IsZero() {
		return
	}
	if told.After(now) { // by a clock that was wrong
		told = now
	}
	b.tokens, b.at = b.burst()-spent, told
}

// chunk is how many are promised in one go to each of a number of dialogues: so
// few that all of them together never wait for each other's promises.
func (b *bucket) chunk(dialogues int) int {
	if b.Count == 0 {
		return unlimited
	}
	return max(1, int(b.burst())/(2*dialogues))
}
