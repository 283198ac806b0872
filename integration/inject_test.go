package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"homing/internal/toynet"
)

// A desk hands mail over by HTTP, as an application with a token.
type desk struct {
	*stage
	token  string
	client *http.Client
}

func newDesk(st *stage) *desk {
	st.t.Helper()
	d := &desk{stage: st, token: strings.TrimSpace(st.Run("token", "add", "web", "--application", "civicrm")),
		client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 100}}}
	st.t.Cleanup(d.client.CloseIdleConnections)
	return d
}

// An answer is what came of a request.
type answer struct {
	status   int
	body     string
	replayed bool
}

// call asks for a path with the token.
func (d *desk) call(ctx context.Context, method, path, key, body string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+d.HTTP+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+d.token)
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, string(text), resp.Header.Get("Idempotent-Replayed") != ""}, err
}

// hand hands over a letter until it is taken: a request without an answer is
// made again under its key, as one under way is, and while the server starts.
func (d *desk) hand(ctx context.Context, key, letter string) (answer, error) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		a, err := d.call(ctx, "POST", "/api/v1/messages", key, letter)
		if err == nil && a.status != http.StatusConflict && a.status != http.StatusServiceUnavailable {
			return a, nil
		}
		select {
		case <-ctx.Done():
			return a, fmt.Errorf("%s was not taken: %d %s, %w", key, a.status, a.body, err)
		case <-tick.C:
		}
	}
}

func letterTo(to string) string {
	return fmt.Sprintf(`{"from":"Example News <news@example.org>","to":%q,"subject":"Grüße","text":"Hello %[1]s","html":"<p>Hello","metadata":{"to":%[1]q}}`, to)
}

// messageOf gives the identifier in an answer.
func (d *desk) messageOf(a answer) string {
	d.t.Helper()
	var out struct {
		Message string `json:"message"`
	}
	if err := json.Unmarshal([]byte(a.body), &out); err != nil || a.status != http.StatusAccepted || out.Message == "" {
		d.t.Errorf("%d %s, %v", a.status, a.body, err)
	}
	return out.Message
}

// told gives the identifiers of the events of a type, by recipient.
func (st *stage) told(kind string) map[string]map[string]bool {
	ids := map[string]map[string]bool{}
	for _, c := range st.Net.Hook.Calls.All() {
		if e := c.Event; c.Taken() && e.Type == kind {
			if ids[e.Recipient] == nil {
				ids[e.Recipient] = map[string]bool{}
			}
			ids[e.Recipient][e.ID] = true
		}
	}
	return ids
}

func TestWhatIsHandedOverByHTTPIsOneMessageHoweverOftenTheServerIsKilled(t *testing.T) {
	t.Parallel()
	d := newDesk(newStage(t, settings{World: toynet.Everyday(20 * time.Millisecond), Delivery: `retry = ["100ms"]`}))
	const writers, each, kills = 8, 40, 6
	ctx := within(t, 2*time.Minute)
	answers := make([][each]answer, writers)
	person := func(i, n int) string { return fmt.Sprintf("w%d-%d@accepts.test", i, n) }
	var writing sync.WaitGroup
	for i := range writers {
		writing.Go(func() {
			for n := range each {
				var err error
				if answers[i][n], err = d.hand(ctx, person(i, n), letterTo(person(i, n))); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for k := range kills {
		moment, cancel := context.WithTimeout(ctx, 2*time.Second)
		if err := grown(moment, &d.Net.Receipts, 20); err != nil {
			t.Logf("kill %d: fewer than 20 messages more were sent before", k)
		}
		cancel()
		d.Kill()
		d.Restart()
	}
	writing.Wait()
	d.client.CloseIdleConnections()

	until(t, time.Minute, "delivery", func() bool { return len(d.told("delivered")) == writers*each })
	accepted, seen := d.told("accepted"), map[string]bool{}
	for i := range writers {
		for n := range each {
			to := person(i, n)
			seen[d.messageOf(answers[i][n])] = true
			again, err := d.hand(ctx, to, letterTo(to))
			if err != nil || again.body != answers[i][n].body || !again.replayed {
				t.Errorf("%s again: %+v, %v, want %s", to, again, err, answers[i][n].body)
			}
			if len(accepted[to]) != 1 {
				t.Errorf("%s was accepted %d times", to, len(accepted[to]))
			}
		}
	}
	if len(seen) != writers*each {
		t.Errorf("%d messages, want %d", len(seen), writers*each)
	}
	more := 0
	for _, n := range d.arrived("accepts.test") {
		more += n - 1
	}
	if more > kills*slotsPerSite*2 { // the next transaction rides behind the dot of each
		t.Errorf("%d messages came more than once after %d kills", more, kills)
	}
	t.Logf("%d kills, %d messages came more than once", kills, more)
	d.Stop()
	d.VerifyAt(d.Dir + "/data")
}

func TestAThousandMessagesAreTakenAtOnceByHTTP(t *testing.T) {
	t.Parallel()
	d := newDesk(newStage(t, settings{World: toynet.Everyday(20 * time.Millisecond)}))
	const count, atOnce = 1000, 100
	ctx, began := within(t, time.Minute), time.Now()
	next, ids := make(chan string), make(chan string, count)
	var writing sync.WaitGroup
	for range atOnce {
		writing.Go(func() {
			for to := range next {
				a, err := d.call(ctx, "POST", "/api/v1/messages", "", letterTo(to))
				if err != nil {
					t.Error(err)
				}
				ids <- d.messageOf(a)
			}
		})
	}
	for n := range count {
		next <- fmt.Sprintf("p%d@accepts.test", n)
	}
	close(next)
	writing.Wait()
	close(ids)
	t.Logf("%d messages in %v", count, time.Since(began))
	seen := map[string]bool{}
	for id := range ids {
		seen[id] = true
	}
	if len(seen) != count {
		t.Errorf("%d messages, want %d", len(seen), count)
	}
	until(t, time.Minute, "delivery", func() bool { return len(d.told("delivered")) == count })
	for to, n := range d.arrived("accepts.test") {
		if n != 1 {
			t.Errorf("%s got %d messages", to, n)
		}
	}
	if got := d.Metrics()[`homing_server_injected_messages_total{outcome="accepted"}`]; got != count {
		t.Errorf("%v were counted, want %d", got, count)
	}
}

func TestMailForALaterTimeOutlivesACrashAndIsNotSentSooner(t *testing.T) {
	t.Parallel()
	d := newDesk(newStage(t, settings{World: toynet.Everyday(20 * time.Millisecond)}))
	ctx := within(t, time.Minute)
	when := time.Now().Add(4 * time.Second).UTC().Truncate(time.Second)
	at := func(to string, when time.Time) string {
		return strings.Replace(letterTo(to), "{", fmt.Sprintf(`{"send_at":%q,`, when.Format(time.RFC3339)), 1)
	}
	hand := func(letter string) string {
		a, err := d.hand(ctx, "", letter)
		if err != nil {
			t.Fatal(err)
		}
		return d.messageOf(a)
	}
	hand(at("soon@accepts.test", when))
	wrong := hand(at("wrong@accepts.test", when.Add(24*time.Hour)))
	hand(at("later@accepts.test", when.Add(29*24*time.Hour)))
	d.Kill()
	d.Restart()
	d.says("to be sent then", "queue", "list")
	d.says("It is to be sent on ", "trace", "later@accepts.test")
	d.says("1 recipient is cancelled", "queue", "cancel", "--message", wrong)
	d.Run("queue", "retry", "--all")
	got := d.Arrived("soon@accepts.test")
	if got.Time.Before(when) {
		t.Errorf("it came at %v, want not before %v", got.Time, when)
	}
	if want := "Date: " + when.Format("Mon, 2 Jan 2006 15:04:05 -0700") + "\r\n"; !bytes.Contains(got.Message, []byte(want)) {
		t.Errorf("no %q in\n%s", want, got.Message)
	}
	if all := d.arrived("accepts.test"); len(all) != 1 {
		t.Errorf("arrived: %v", all)
	}
}

func TestATokenOutlivesACrashAndEndsAtOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(newStage(t, settings{World: toynet.Everyday(20 * time.Millisecond)}))
	status := func(path string) int {
		t.Helper()
		a, err := d.call(within(t, 10*time.Second), "GET", path, "", "")
		if err != nil {
			t.Fatal(err)
		}
		return a.status
	}
	d.Kill()
	d.Restart()
	d.client.CloseIdleConnections()
	if own, others := status("/api/v1/queue"), status("/api/v1/status"); own != 200 || others != 403 {
		t.Errorf("after a crash: %d for its own, %d for what operators see", own, others)
	}
	d.Run("token", "remove", "web")
	if got := status("/api/v1/queue"); got != 401 {
		t.Errorf("removed: %d", got)
	}
	if log := d.Log(); strings.Contains(log, d.token) {
		t.Error("the log has the token")
	}
}
