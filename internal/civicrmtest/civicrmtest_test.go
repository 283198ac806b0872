package civicrmtest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"homing/internal/civicrmtest"
	"homing/internal/toynet"
)

func open(t *testing.T) *civicrmtest.Site {
	t.Helper()
	s := &civicrmtest.Site{APIKey: "key", Prefix: "civi+", Domain: "bounce.example.org", From: `"News" <news@example.org>`}
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// v3 makes a call of APIv3 and gives the status and the text of the answer.
func v3(t *testing.T, s *civicrmtest.Site, call string, params map[string]any, header ...string) (int, string) {
	t.Helper()
	entity, action, _ := strings.Cut(call, ".")
	text, err := json.Marshal(params)
	if err != nil {
		t.Fatal(err)
	}
	form := url.Values{"entity": {entity}, "action": {action}, "json": {string(text)}}
	req, err := http.NewRequestWithContext(t.Context(), "POST", s.URL()+"/civicrm/ajax/rest", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "X-Requested-With": {"XMLHttpRequest"}, "X-Civi-Auth": {"Bearer key"}}
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(answer)
}

// bounce gives the parameters of a bounce of an entry of job 1.
func bounce(queue, kind int) map[string]any {
	return map[string]any{"job_id": 1, "event_queue_id": queue, "hash": toynet.Hash(1, queue), "body": "550 user unknown", "bounce_type_id": kind, "bounce_reason": "why"}
}

func TestTheGateOfTheAPI(t *testing.T) {
	s := open(t)
	s.Enqueue(1, "ann@example.net")
	wrong := bounce(1, 6)
	wrong["hash"] = "0000000000000000"
	for name, tt := range map[string]struct {
		params map[string]any
		header string
		status int
		says   string
	}{
		"a wrong key":                 {bounce(1, 6), "X-Civi-Auth: Bearer other", 401, "Invalid credential"},
		"not as a program would":      {bounce(1, 6), "X-Requested-With: curl", 200, `"is_error":1`},
		"a wrong hash":                {wrong, "X-Test: 1", 200, `"error_code":"no_queue_event"`},
		"no body":                     {map[string]any{"job_id": 1}, "X-Test: 1", 200, "mandatory_missing"},
		"another job of the same one": {with(bounce(1, 3), "job_id", 77), "X-Test: 1", 200, `"is_error":0`},
	} {
		t.Run(name, func(t *testing.T) {
			if status, text := v3(t, s, "Mailing.event_bounce", tt.params, tt.header); status != tt.status || !strings.Contains(text, tt.says) {
				t.Errorf("%d %s, want %d and %s", status, text, tt.status, tt.says)
			}
		})
	}
}

func with(params map[string]any, name string, value any) map[string]any {
	params[name] = value
	return params
}

func TestAnExplicitTypeWinsAndThresholdsCountSinceTheReset(t *testing.T) {
	s := open(t)
	s.Enqueue(1, "ann@example.net", "ann@example.net", "ann@example.net", "ann@example.net")
	for queue := 1; queue <= 3; queue++ {
		v3(t, s, "Mailing.event_bounce", bounce(queue, 8))
		if got, want := s.OnHold("ann@example.net"), queue/3; got != want {
			t.Errorf("after %d bounces of type Quota: on hold %d, want %d", queue, got, want)
		}
	}
	if got := s.Bounces(); len(got) != 3 || got[0].Type != 8 || got[0].Reason != "why" {
		t.Errorf("bounces %+v", got)
	}
	s.Hold("ann@example.net", 0)
	if e := s.Emails()[0]; e.ResetDate == "" || e.HoldDate != "" {
		t.Errorf("after a reset: %+v", e)
	}
	v3(t, s, "Mailing.event_bounce", bounce(4, 8))
	if s.OnHold("ann@example.net") != 0 {
		t.Error("bounces of before the reset count")
	}
}

func TestAReplyIsRecordedBeforeTheError(t *testing.T) {
	s := open(t)
	s.Enqueue(1, "ann@example.net")
	params := with(bounce(1, 0), "replyTo", "ann@example.net")
	if _, text := v3(t, s, "Mailing.event_reply", params); !strings.Contains(text, "Queue event could not be found") || len(s.Replies()) != 1 {
		t.Errorf("%s, and %d replies", text, len(s.Replies()))
	}
}

func TestHowTheEmailProcessorMatches(t *testing.T) {
	s := open(t)
	verp := s.Enqueue(1, "ann@example.net")[0]
	other := strings.Replace(verp, "civi+", "club+", 1)
	for name, tt := range map[string]struct {
		mail  string
		match bool
	}{
		"the recipient":                      {"To: " + verp + "\n\nuser unknown\n", true},
		"a Return-Path in the body":          {"To: x@example.org\n\nReturn-Path: " + verp + "\n", true},
		"an X-CiviMail-Bounce in the body":   {"To: x@example.org\n\nX-CiviMail-Bounce: " + verp + "\n", true},
		"the first Delivered-To":             {"Delivered-To: " + verp + "\nDelivered-To: y@example.org\nTo: x@example.org\n\nuser unknown\n", true},
		"not a later one":                    {"Delivered-To: y@example.org\nDelivered-To: " + verp + "\nTo: x@example.org\n\nuser unknown\n", false},
		"not in angle brackets":              {"Delivered-To: <" + verp + ">\nTo: x@example.org\n\nuser unknown\n", false},
		"not in other letters":               {"Delivered-To: " + strings.ToUpper(verp) + "\nTo: x@example.org\n\nuser unknown\n", false},
		"not that of another site":           {"To: " + other + "\n\nuser unknown\n", false},
		"a notice that is only late as well": {"To: " + verp + "\n\nAction: delayed\nconnection timed out\n", true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, sub := range []string{"cur", "new"} {
				if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(filepath.Join(dir, "new", "any name"), []byte(strings.ReplaceAll(tt.mail, "\n", "\r\n")), 0o600); err != nil {
				t.Fatal(err)
			}
			folder := map[bool]string{true: "CiviMail.processed", false: "CiviMail.ignored"}[tt.match]
			if n, err := s.FetchBounces(dir); err != nil || n != map[bool]int{true: 1}[tt.match] {
				t.Errorf("understood %d, %v", n, err)
			}
			if _, err := os.Stat(filepath.Join(dir, folder, "any name")); err != nil {
				t.Errorf("it is not in %s", folder)
			}
		})
	}
	if _, err := s.FetchBounces(t.TempDir()); err == nil {
		t.Error("a directory without cur and new is read")
	}
}

func TestActivitiesAreMadeAsOverAPIv4(t *testing.T) {
	s := open(t)
	ann := s.Introduce("Individual", "ann@example.net")
	v4 := func(call string, params map[string]any, want string) {
		t.Helper()
		entity, action, _ := strings.Cut(call, ".")
		text, err := json.Marshal(params)
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), "POST", s.URL()+"/civicrm/ajax/api4/"+entity+"/"+action, strings.NewReader(url.Values{"params": {string(text)}}.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "X-Requested-With": {"XMLHttpRequest"}, "X-Civi-Auth": {"Bearer key"}}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if answer, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(answer), want) {
			t.Errorf("%s: %s, %v; want %s", call, answer, err, want)
		}
	}
	values := map[string]any{"activity_type_id:name": "Inbound Email", "subject": "Hello", "details": "x mark y", "activity_date_time": "2026-11-23 10:00:00 +0000", "source_contact_id": ann}
	v4("Activity.create", map[string]any{"values": values}, `"id":1`)
	v4("Activity.get", map[string]any{"where": []any{[]any{"details", "LIKE", "%MARK%"}}}, `"count":1`)
	v4("Activity.get", map[string]any{"where": []any{[]any{"details", "LIKE", "%other%"}}}, `"count":0`)
	v4("Activity.create", map[string]any{"values": with(values, "activity_date_time", "yesterday")}, "error_message")
	v4("CaseActivity.create", map[string]any{"values": map[string]any{"case_id": 3, "activity_id": 1}}, `"id":1`)
	if _, text := v3(t, s, "Attachment.create", map[string]any{"entity_table": "civicrm_activity", "entity_id": 1, "name": "a", "mime_type": "text/plain", "content": "x"}); !strings.Contains(text, `"is_error":0`) {
		t.Error(text)
	}
	if all := s.Activities(); len(all) != 1 || all[0].Source != ann || all[0].Case != 3 || len(all[0].Attachments) != 1 {
		t.Errorf("activities are %+v", all)
	}
	s.Grant("access CiviCRM", "view all contacts")
	v4("Activity.create", map[string]any{"values": values}, "Authorization failed")
	v4("Contact.create", map[string]any{"values": map[string]any{"contact_type": "Individual"}}, "Authorization failed")
}
