package integration

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"homing/internal/toynet"
	"homing/store/bolt"
)

// soakVariable says how often the server is killed, where the usual number is
// not enough.
const soakVariable = "HOMING_SOAK"

// killCycles is how often the server is killed.
func killCycles(t testing.TB) int {
	text := os.Getenv(soakVariable)
	if text == "" {
		return 25
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s = %q, want a number of kills", soakVariable, text)
	}
	return n
}

// A siege is a server under mixed load that is killed again and again.
type siege struct {
	*stage
	random *rand.Rand
	sent   []toynet.Sent
	killed []time.Time
}

// mailingsAtOnce and eachMailing are the load of one cycle.
const (
	mailingsAtOnce = 2
	eachMailing    = 24
)

// cycle sends mailings, kills the server in the middle of something, and
// starts it again. It says what that was.
func (s *siege) cycle(n int) string {
	s.t.Helper()
	var sending sync.WaitGroup
	results := make([][]toynet.Sent, mailingsAtOnce)
	for i := range mailingsAtOnce {
		m := toynet.Mailing{Job: n*mailingsAtOnce + i + 1, FirstQueue: (n*mailingsAtOnce + i) * eachMailing, Subject: "News", Text: "Hello\n",
			To: recipients(fmt.Sprintf("c%d-%d-", n, i), eachMailing/6, "accepts.test", "unknown.test", "later.test", "exim.test", "greylist.test", "complains.test")}
		sending.Go(func() {
			// The error is that of a connection that was cut.
			results[i], _ = s.Client.Send(within(s.t, time.Minute), m)
		})
	}
	what := s.awaitSomething()
	s.Kill()
	s.killed = append(s.killed, time.Now())
	sending.Wait()
	for _, r := range results {
		s.sent = append(s.sent, r...)
	}
	return fmt.Sprintf("killed after %s, ready again after %s", what, s.Restart())
}

// awaitSomething waits until some more of one kind of work was done, and says
// which. Not all of it need come: a moment is waited for at most.
func (s *siege) awaitSomething() string {
	more := 1 + s.random.IntN(mailingsAtOnce*eachMailing*2/3)
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	what, err := "", error(nil)
	switch s.random.IntN(4) {
	case 0:
		what, err = "submissions", grown(ctx, &s.Client.Sent, more)
	case 1:
		what, err = "deliveries", grown(ctx, &s.Net.Receipts, more)
	case 2:
		what, err = "webhooks", grown(ctx, &s.Net.Hook.Calls, more)
	case 3:
		more = 1 + more/4
		what, err = "letters back", grown(ctx, &s.Net.Notes, more)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Sprintf("a moment in which fewer than %d %s came", more, what)
	}
	return fmt.Sprintf("%d %s", more, what)
}

// grown waits until a journal has so many entries more.
func grown[T any](ctx context.Context, j *toynet.Journal[T], more int) error {
	want := j.Len() + more
	return j.Wait(ctx, func(entries []T) bool { return len(entries) >= want })
}

func TestNothingIsLostWhenTheServerIsKilled(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	s := &siege{stage: newStage(t, settings{World: toynet.Everyday(20 * time.Millisecond), Delivery: `retry = ["100ms"]`}),
		random: rand.New(rand.NewPCG(seed, 0))}
	cycles := killCycles(t)
	for n := range cycles {
		if what := s.cycle(n); n < 5 || n%50 == 0 {
			t.Log(what)
		}
	}
	t.Logf("seed %d: %d kills, %d recipients offered", seed, cycles, len(s.sent))
	if err := s.Net.Hook.Calls.Wait(within(t, 2*time.Minute), settled(s.sent)); err != nil {
		t.Errorf("waiting for all outcomes: %v", err)
	}
	if err := s.Net.Settled(within(t, time.Minute)); err != nil {
		t.Errorf("waiting for what comes back: %v", err)
	}
	if err := s.Net.Hook.Calls.Wait(within(t, 30*time.Second), heeded(s.Net.Notes.All())); err != nil {
		t.Errorf("waiting for what the application is told of reports: %v", err)
	}
	l := s.Ledger()
	l.Killed, l.InFlight = s.killed, mailingsAtOnce*eachMailing
	for _, fault := range l.faults() {
		t.Error(fault)
	}
	s.Stop()
	s.VerifyAt(filepath.Join(s.Dir, "data"))
}

// VerifyAt makes the store in a data_dir, which nobody has open, check itself
// (I7).
func (st *stage) VerifyAt(dataDir string) {
	st.t.Helper()
	ctx := within(st.t, time.Minute)
	store, err := bolt.Open(ctx, bolt.Options{Dir: filepath.Join(dataDir, "store")})
	if err != nil {
		st.t.Fatal(err)
	}
	if err := errors.Join(store.Verify(ctx), store.Close()); err != nil {
		st.t.Errorf("I7: the store finds in itself: %v", err)
	}
}
