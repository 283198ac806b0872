package web

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestAPageOfTheLog(t *testing.T) {
	w := open(t, nil)
	if a := do(t, w.url, request{path: "/api/v1/events"}); a.body != `{"events":[]}`+"\n" {
		t.Errorf("an empty log: %s", a.body)
	}
	w.mail(mailing, "a@example.net", "b@example.net", "c@example.net")
	wantJSON(t, do(t, w.url, request{path: "/api/v1/events?limit=1"}).body, `{"events":[{"id":"ID","type":"accepted","time":"TIME","message":"ID",
		"recipient":"a@example.net","sender":"civi+b.1.2.0a1b2c3d4e5f6a7b@bounce.example.org","from":"news@example.org",
		"return_path":"return+x@bounce.example.org","domain":"example.org","application":"crm","campaign":"civicrm:job:1"}],"next":"ID"}`)
	for _, limit := range []int{1, 2, 3, 4} {
		var got []string
		for after, pages := "", 0; pages == 0 || after != ""; pages++ {
			var page Events
			w.get(fmt.Sprintf("/api/v1/events?limit=%d&after=%s", limit, after), &page)
			for _, e := range page.Events {
				got = append(got, e.Recipient[:1])
			}
			after = page.Next
		}
		if strings.Join(got, "") != "abc" {
			t.Errorf("by %d: %q, want a, b and c", limit, got)
		}
	}
}

// A stream is what a client that follows has.
type stream struct {
	testing.TB
	lines *bufio.Reader
	end   func()
}

// follow opens a stream of events.
func (w *world) follow(query, last string) *stream {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	req, err := http.NewRequestWithContext(ctx, "GET", w.url+"/api/v1/events?"+query, nil)
	if err != nil {
		w.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	resp, err := client.Do(req)
	if err != nil {
		w.Fatal(err)
	}
	end := func() { cancel(); resp.Body.Close() }
	w.Cleanup(end)
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		w.Fatalf("following: %s %v", resp.Status, resp.Header)
	}
	return &stream{w.TB, bufio.NewReader(resp.Body), end}
}

// next reads one event: its id, and the local part of its recipient.
func (s *stream) next() (id, who string) {
	s.Helper()
	fields := map[string]string{}
	for {
		line, err := s.lines.ReadString('\n')
		if err != nil {
			s.Fatalf("reading the stream: %v", err)
		}
		if line == "\n" && len(fields) > 0 {
			break
		}
		if name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": "); ok && name != "" {
			fields[name] = value
		}
	}
	_, rest, _ := strings.Cut(fields["data"], `"recipient":"`)
	who, _, _ = strings.Cut(rest, "@")
	if !strings.Contains(fields["data"], `"id":"`+fields["id"]+`"`) || !strings.Contains(fields["data"], `"type":"`+fields["event"]+`"`) {
		s.Errorf("the fields do not belong together: %q", fields)
	}
	return fields["id"], who
}

func (s *stream) wants(who string) (id string) {
	s.Helper()
	id, got := s.next()
	if got != who {
		s.Errorf("an event about %q, want %q", got, who)
	}
	return id
}

func TestFollowingResumesWhereItEnded(t *testing.T) {
	w := open(t, nil)
	w.mail(mailing, "a@example.net", "b@example.net")
	s := w.follow("", "")
	first := s.wants("a")
	second := s.wants("b")
	w.mail(mailing, "c@example.net")
	s.wants("c")
	s.end()

	s = w.follow("", second)
	s.wants("c")
	w.mail(mailing, "d@example.net")
	s.wants("d")
	// Last-Event-ID is younger than the query of the first request.
	s = w.follow("after="+first, second)
	s.wants("c")
	s = w.follow("after="+first, "")
	s.wants("b")
	s = w.follow("from=now", second)
	s.wants("c")
	if a := do(t, w.url, request{path: "/api/v1/events", head: http.Header{"Accept": {"text/event-stream"}, "Last-Event-Id": {"x"}}}); a.status != 400 {
		t.Errorf("resuming at no identifier: %d %s", a.status, a.body)
	}
}

func TestFollowingFromNowLeavesOutWhatWas(t *testing.T) {
	w := open(t, func(w *Web) {
		w.Now = func() time.Time { return time.Now().Add(time.Hour) }
		w.Heartbeat = 20 * time.Millisecond
	})
	w.mail(mailing, "before@example.net")
	s := w.follow("from=now", "")
	w.mail(mailing, "still-before@example.net") // by the clock of that server
	for range 10 {
		if line, err := s.lines.ReadString('\n'); err != nil || line != ": nothing yet\n" && line != "\n" {
			t.Fatalf("%q, %v, want nothing that was before now", line, err)
		}
	}
}

func TestAStreamWithoutEventsSaysThatItIsThere(t *testing.T) {
	w := open(t, func(w *Web) { w.Heartbeat = 20 * time.Millisecond })
	s := w.follow("", "")
	for range 4 { // two comments, each with an empty line
		line, err := s.lines.ReadString('\n')
		if err != nil || line != ": nothing yet\n" && line != "\n" {
			t.Fatalf("%q, %v, want a comment", line, err)
		}
	}
	w.mail(mailing, "a@example.net")
	s.wants("a")
}
