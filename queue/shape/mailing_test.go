package shape_test

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"homing/queue/shape"
	"homing/store"
)

// A receiver is a provider as it is: what it lets through, and when it will
// have none of an address of ours.
type receiver struct {
	name    string
	rule    shape.Rule
	latency time.Duration // of a message
	share   int           // of the mailing
	blocks  []block
	open    map[string]int         // dialogues by source
	idle    map[string][]int       // connections that wait for more, by source: what each has carried
	took    map[string][]time.Time // by source, the last Rate.Count of them
	last    time.Time              // when the last of the mailing was taken
	refused int
}

// A block is a time in which a receiver refuses one source.
type block struct {
	source   string
	from, to time.Time
}

func (r *receiver) blocked(source string, now time.Time) bool {
	return slices.ContainsFunc(r.blocks, func(b block) bool {
		return b.source == source && !now.Before(b.from) && now.Before(b.to)
	})
}

// An occasion is something that happens at a time.
type occasion struct {
	at time.Time
	n  int // so that the order never depends on luck
	do func()
}

type agenda []occasion

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return a[i].at.Before(a[j].at) || a[i].at.Equal(a[j].at) && a[i].n < a[j].n
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(occasion)) }
func (a *agenda) Pop() any {
	old := *a
	x := old[len(old)-1]
	*a = old[:len(old)-1]
	return x
}

// A mailing is a whole simulation: receivers, what waits for them, and the
// clock, which jumps from one occasion to the next.
type mailing struct {
	*testing.T
	s         *shape.Shaper
	now       time.Time
	agenda    agenda
	n         int
	receivers []*receiver
	by        map[string]*receiver
	waiting   map[store.Key]int
	leased    map[store.Key]int
	left      int                     // of the mailing
	asked     map[store.Key]time.Time // of receipts, since when
	waits     []time.Duration         // of receipts
	pauses    []string                // as they were told
	total     int                     // most slots at once
}

func (m *mailing) in(d time.Duration, do func()) {
	m.n++
	heap.Push(&m.agenda, occasion{m.now.Add(d), m.n, do})
}

func (m *mailing) news(k store.Key) {
	m.s.Update(store.Work{Key: k, Waiting: m.waiting[k], Leased: m.leased[k], Next: m.now}, m.now)
}

// run plays until the mailing is over.
func (m *mailing) run() {
	for m.left > 0 {
		m.fill()
		if len(m.agenda) == 0 {
			m.Fatalf("nothing happens any more with %d left", m.left)
		}
		o := heap.Pop(&m.agenda).(occasion)
		m.now = o.at
		o.do()
	}
}

// fill takes all slots that there are.
func (m *mailing) fill() {
	for {
		p, wake, ok := m.s.Next(m.now)
		if !ok {
			if !wake.IsZero() && (len(m.agenda) == 0 || wake.Before(m.agenda[0].at)) {
				m.in(wake.Sub(m.now), func() {})
			}
			return
		}
		m.total = max(m.total, m.s.Active())
		got := m.lease(p, p.Max)
		m.s.Leased(p, got, m.now)
		m.dial(p, got)
	}
}

func (m *mailing) lease(p shape.Pick, most int) int {
	got := min(most, m.waiting[p.Key])
	m.waiting[p.Key] -= got
	m.leased[p.Key] += got
	return got
}

// dial opens a dialogue. Whose domain it is, is known after a look-up.
func (m *mailing) dial(p shape.Pick, got int) {
	m.in(20*time.Millisecond, func() {
		r := m.by[p.Key.Domain[len("n000."):]]
		p = m.s.Locate(p, r.name, m.now)
		if p.Max == 0 {
			m.finish(p, got, nil)
			return
		}
		if r.open[p.Source]++; r.open[p.Source] > r.rule.Connections {
			m.Errorf("%v: %d dialogues at %s from %s", m.now, r.open[p.Source], r.name, p.Source)
		}
		m.connect(&dialogue{Pick: p, got: got, may: min(got, p.Max), at: r})
	})
}

// A dialogue is a job on a connection.
type dialogue struct {
	shape.Pick
	at       *receiver
	got, may int // recipients that are leased; of these, those to be sent
	carried  int // messages over the connection
}

// connect goes on with an idle connection, or makes one, which takes as long
// as two messages.
func (m *mailing) connect(d *dialogue) {
	if idle := d.at.idle[d.Source]; len(idle) > 0 {
		d.carried, d.at.idle[d.Source] = idle[len(idle)-1], idle[:len(idle)-1]
		m.send(d)
		return
	}
	d.carried = 0
	m.in(2*d.at.latency, func() { m.send(d) })
}

// send sends one message after the other.
func (m *mailing) send(d *dialogue) {
	if d.got == 0 {
		d.got = m.lease(d.Pick, m.s.More(d.Pick, m.now))
		d.may = d.got
	}
	switch {
	case d.may == 0 || d.Yield():
		d.at.idle[d.Source] = append(d.at.idle[d.Source], d.carried)
		m.finish(d.Pick, d.got, d.at)
		return
	case d.carried == d.Rule.PerConnection:
		m.connect(d)
		return
	}
	m.in(d.at.latency, func() {
		m.answer(d)
		d.carried++
		d.may--
		m.send(d)
	})
}

// answer is what the receiver says to a message.
func (m *mailing) answer(d *dialogue) {
	m.s.Answered(d.Pick, m.now)
	if !d.at.blocked(d.Source, m.now) {
		m.s.Sent(d.Pick, true, m.now)
		m.took(d.Pick, d.at)
		d.got--
		return
	}
	d.at.refused++
	m.s.Sent(d.Pick, false, m.now)
	c := m.s.Cool(d.Pick, shape.Pause{First: time.Minute, Most: time.Hour, Why: "421 4.7.0 blocked"}, m.now)
	if c.News {
		m.pauses = append(m.pauses, fmt.Sprintf("%s %s %v", d.at.name, d.Source, c.Until.Sub(m.now)))
	}
}

// took notes that a message arrived, and checks the rate.
func (m *mailing) took(p shape.Pick, r *receiver) {
	m.leased[p.Key]--
	if p.Key.Lane == 0 {
		m.waits = append(m.waits, m.now.Sub(m.asked[p.Key]))
	} else {
		m.left--
		r.last = m.now
	}
	if r.rule.Rate.Count == 0 {
		return
	}
	times := r.took[p.Source]
	if len(times) == r.rule.Rate.Count {
		if span := m.now.Sub(times[0]); span < r.rule.Rate.Per {
			m.Errorf("%v: %d messages to %s from %s within %v", m.now, len(times)+1, r.name, p.Source, span)
		}
		times = times[1:]
	}
	r.took[p.Source] = append(times, m.now)
}

func (m *mailing) finish(p shape.Pick, got int, r *receiver) {
	if r != nil {
		r.open[p.Source]--
	}
	m.waiting[p.Key] += got
	m.leased[p.Key] -= got
	m.s.Finish(p, m.now)
	m.news(p.Key)
}

// receipts come one after the other, each to somebody else.
func (m *mailing) receipts(every time.Duration, random *rand.Rand) {
	n := 0
	var one func()
	one = func() {
		n++
		r := m.receivers[random.IntN(len(m.receivers))]
		k := store.Key{Domain: fmt.Sprintf("n%03d.%s", n%100, r.name), Lane: 0, Flow: fmt.Sprintf("crm receipt%d", n)}
		m.waiting[k], m.asked[k] = 1, m.now
		m.news(k)
		m.in(every, one)
	}
	one()
}

// world makes forty receivers. Some let through few messages in a minute, some
// few dialogues, some both; a few of them block an address of ours for a while.
func world(random *rand.Rand, sources []string) (all []*receiver, limits shape.Limits) {
	limits = shape.Limits{Total: 2000, PerSite: 20, Batch: 50, Rules: map[string]shape.Rule{}, Sources: sources,
		Patience: time.Second, Stalled: 2000}
	rates := []int{0, 100, 200, 300, 600, 1200, 2400, 6000}
	for n := range 40 {
		r := &receiver{name: fmt.Sprintf("site%d.test", n), open: map[string]int{}, idle: map[string][]int{}, took: map[string][]time.Time{},
			latency: time.Duration(40+random.IntN(160)) * time.Millisecond, share: 1 + random.IntN(3)}
		r.rule = shape.Rule{Connections: 2 + random.IntN(19), PerConnection: 50}
		if count := rates[n%len(rates)]; count > 0 {
			r.rule.Rate = shape.Rate{Count: count, Per: time.Minute}
		}
		if n%5 == 0 {
			begin := now.Add(time.Duration(1+random.IntN(5)) * time.Minute)
			r.blocks = append(r.blocks, block{sources[n/5%len(sources)], begin, begin.Add(time.Duration(1+random.IntN(4)) * time.Minute)})
		}
		limits.Rules[r.name] = r.rule
		all = append(all, r)
	}
	return all, limits
}

// speed is how many messages a second a receiver takes from one source.
func (r *receiver) speed() float64 {
	each := r.latency + 2*r.latency/time.Duration(r.rule.PerConnection)
	v := float64(r.rule.Connections) / each.Seconds()
	if c := r.rule.Rate.Count; c > 0 {
		v = min(v, float64(c)/r.rule.Rate.Per.Seconds())
	}
	return v
}

// ideal is how long a receiver would take for n messages if nothing were lost.
func (r *receiver) ideal(n int, sources []string) time.Duration {
	const tick = time.Second
	done := 0.0
	for at := time.Duration(0); ; at += tick {
		for _, s := range sources {
			if !r.blocked(s, now.Add(at)) {
				done += r.speed() * tick.Seconds()
			}
		}
		if done >= float64(n) {
			return at
		}
	}
}

func TestAMailingLeavesAsFastAsItsReceiversAllowAndNoFaster(t *testing.T) {
	const recipients, campaigns = 500_000, 4
	random := rand.New(rand.NewPCG(4, 2))
	sources := []string{"192.0.2.1", "192.0.2.2"}
	m := &mailing{T: t, now: now, by: map[string]*receiver{}, waiting: map[store.Key]int{}, leased: map[store.Key]int{}, asked: map[store.Key]time.Time{}}
	var limits shape.Limits
	m.receivers, limits = world(random, sources)
	m.s = shape.New(limits)

	// What each receiver gets takes it about as long as the others, so that all
	// of them matter to the end.
	var whole float64
	for _, r := range m.receivers {
		m.by[r.name] = r
		whole += float64(r.share) * r.speed()
	}
	wants := map[string]int{}
	for i, r := range m.receivers {
		n := int(float64(recipients) * float64(r.share) * r.speed() / whole)
		if i == len(m.receivers)-1 {
			n = recipients - m.left
		}
		wants[r.name] = n
		m.left += n
		for d := range 25 * campaigns { // a hundred domains at each
			k := store.Key{Domain: fmt.Sprintf("n%03d.%s", d, r.name), Lane: 1, Flow: fmt.Sprintf("crm%d mailing%d", d%2, d%campaigns)}
			m.waiting[k] = n / (25 * campaigns)
			if d == 0 {
				m.waiting[k] += n % (25 * campaigns)
			}
			m.news(k)
		}
	}
	m.receipts(500*time.Millisecond, random)
	m.run()

	var took, ideal time.Duration
	for _, r := range m.receivers {
		best, got := r.ideal(wants[r.name], sources), r.last.Sub(now)
		took, ideal = took+got, ideal+best
		if got > best*100/85+time.Minute {
			t.Errorf("%s took %v for %d messages, its limits allow %v", r.name, got.Round(time.Second), wants[r.name], best)
		}
		if (r.refused > 0) != slices.ContainsFunc(m.pauses, func(p string) bool { return p[:len(r.name)+1] == r.name+" " }) {
			t.Errorf("%s refused %d messages, and these pauses were told: %q", r.name, r.refused, m.pauses)
		}
	}
	slices.Sort(m.waits)
	p99 := m.waits[len(m.waits)*99/100]
	t.Logf("%d recipients, %d receipts, %d slots: %.1f %% of what the limits allow; receipts p50 %v p99 %v max %v; pauses %q",
		recipients, len(m.waits), m.total, 100*float64(ideal)/float64(took), m.waits[len(m.waits)/2], p99, m.waits[len(m.waits)-1], m.pauses)
	if float64(ideal)/float64(took) < .95 {
		t.Errorf("all took %v, and the limits allow %v", took, ideal)
	}
	if p99 > 5*time.Second {
		t.Errorf("of the receipts one in a hundred waited longer than %v, want 5 s", p99)
	}
}
