package bolt

import (
	"testing"
	"testing/synctest"
	"time"
)

// A gathering is a queue without a committer.
type gathering struct {
	*testing.T
	queue
}

// gathers runs a test of a queue in virtual time.
func gathers(t *testing.T, test func(g *gathering)) {
	synctest.Test(t, func(t *testing.T) {
		g := &gathering{T: t, queue: queue{news: make(chan struct{}, 1)}}
		test(g)
		g.close()
	})
}

func (g *gathering) enter(patient bool) {
	g.Helper()
	if err := g.put(&request{patient: patient}); err != nil {
		g.Fatal(err)
	}
}

// want takes what is ripe.
func (g *gathering) want(count int, when string) {
	g.Helper()
	if got := len(g.take()); got != count {
		g.Errorf("%s: took %d requests, want %d", when, got, count)
	}
}

// learn shows the queue so many outcomes, each with mail right behind it.
func (g *gathering) learn(times int) {
	for range times {
		g.enter(true)
		g.take()
		g.enter(false)
		g.take()
	}
}

func TestAnOutcomeGoesAtOnceWhereNoMailComesIn(t *testing.T) {
	gathers(t, func(g *gathering) {
		for range 1000 {
			g.enter(true)
			g.want(1, "at once")
			<-time.After(gatherFor)
			g.enter(false)
			g.want(1, "mail that came later")
		}
	})
}

func TestAnOutcomeRidesWithMailThatComesIn(t *testing.T) {
	gathers(t, func(g *gathering) {
		g.learn(paysOften)
		for range 3 {
			g.enter(true)
			g.enter(true)
			g.want(0, "before mail came")
			<-time.After(gatherFor / 2)
			g.enter(false)
			g.want(3, "with mail")
		}
	})
}

func TestAnOutcomeWaitsAMomentAndNoLonger(t *testing.T) {
	gathers(t, func(g *gathering) {
		g.learn(paysOften)
		g.enter(true)
		g.enter(false)
		g.want(2, "with mail")
		<-time.After(gatherFor / 2) // the timer of the first one runs still
		g.enter(true)
		<-time.After(gatherFor - 1)
		synctest.Wait()
		g.want(0, "before its time")
		<-time.After(1)
		synctest.Wait()
		g.want(1, "in its time")
		g.learn(paysOften)
		g.enter(true)
		g.want(1, "after a lost bet, having seen as much as before")
		g.enter(false)
		g.take()
		g.learn(paysOften)
		g.enter(true)
		g.want(0, "having seen twice as much")
	})
}

func TestManyOutcomesWaitForNobody(t *testing.T) {
	gathers(t, func(g *gathering) {
		g.learn(paysOften)
		for range gatherMost - 1 {
			g.enter(true)
		}
		g.want(0, "one less than enough")
		g.enter(true)
		g.want(gatherMost, "enough")
	})
}

func TestOutcomesThatPileUpGoBehindMail(t *testing.T) {
	gathers(t, func(g *gathering) {
		for range 2*patientTop + 1 {
			g.enter(true)
		}
		g.want(patientTop, "a group")
		g.enter(false)
		list := g.take()
		if len(list) != patientTop+1 || list[0].patient {
			t.Errorf("took %d requests, patient first: %v, want %d with the mail first", len(list), list[0].patient, patientTop+1)
		}
		g.want(1, "the rest")
		g.want(0, "after all")
	})
}

func TestWhatWaitsIsCommittedAtTheEnd(t *testing.T) {
	gathers(t, func(g *gathering) {
		g.learn(paysOften)
		g.enter(true)
		<-g.news // of the mail before
		g.close()
		if _, ok := <-g.news; !ok {
			t.Error("the committer is not told")
		}
		g.want(1, "at the end")
		if err := g.put(&request{}); err != errClosed {
			t.Errorf("put after the end gives %v, want %v", err, errClosed)
		}
	})
}
