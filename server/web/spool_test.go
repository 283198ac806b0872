package web

import (
	"fmt"
	"testing"
	"time"

	"homing/internal/spool"
)

// A shelf is a spool with something in it.
type shelf struct {
	files   []spool.File
	fault   string
	flushed int
}

func (s *shelf) Files() ([]spool.File, string) { return s.files, s.fault }
func (s *shelf) Flush()                        { s.flushed++ }

func TestTheSpoolInJSON(t *testing.T) {
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	s := &shelf{fault: "it is locked", files: []spool.File{
		{Name: "msg-a", UID: 33, From: "news@example.org", To: []string{"ann@example.net"}, Octets: 7, Spooled: at, State: spool.Waiting, Reason: "451 4.7.1 no", Next: at},
		{Name: "msg-b", UID: 33, Octets: 8, Spooled: at, State: spool.Refused, Reason: "it is a symbolic link"},
	}}
	w := open(t, func(w *Web) {
		w.Spool, w.UserName = s, func(uid int) string { return fmt.Sprint("user", uid) }
	})
	wantJSON(t, do(t, w.url, request{path: "/api/v1/spool"}).body, `{"files":[
		{"file":"msg-a","uid":33,"user":"user33","sender":"news@example.org","recipients":["ann@example.net"],"size":7,"spooled":"TIME","state":"waiting","reason":"451 4.7.1 no","next":"TIME"},
		{"file":"msg-b","uid":33,"user":"user33","sender":"","recipients":[],"size":8,"spooled":"TIME","state":"refused","reason":"it is a symbolic link"}],"fault":"it is locked"}`)
	if a := do(t, w.url, request{method: "POST", path: "/api/v1/spool/flush"}); a.body != "{\"flushed\":true}\n" || s.flushed != 1 {
		t.Errorf("flush: %d %q, flushed %d times", a.status, a.body, s.flushed)
	}
	wantProblem(t, do(t, w.url, request{path: "/api/v1/spool?all=1"}), 400, `there is no parameter "all"`)
	wantProblem(t, do(t, w.url, request{method: "POST", path: "/api/v1/spool/flush?all=1"}), 400, `there is no parameter "all"`)
}

func TestWithoutASocketForLocalUsersThereIsNoSpool(t *testing.T) {
	w := open(t, nil)
	wantJSON(t, do(t, w.url, request{path: "/api/v1/spool"}).body, `{"files":[],"fault":"listen.local is off, so no mail is taken from local users"}`)
	wantProblem(t, do(t, w.url, request{method: "POST", path: "/api/v1/spool/flush"}), 422, "listen.local is off")
}
