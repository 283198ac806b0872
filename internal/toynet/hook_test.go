package toynet

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

const hookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// signature signs as the specification says; its example is the first case of
// TestAHookTakesOnlyWhatIsGenuine.
func signature(secret, id, stamp, body string) string {
	key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + stamp + "." + body))
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// post sends a webhook.
func postHook(t *testing.T, url, id, stamp, signature, body string) (*http.Response, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(soon(t), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("webhook-id", id)
	r.Header.Set("webhook-timestamp", stamp)
	r.Header.Set("webhook-signature", signature)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	if err == nil {
		t.Cleanup(func() { resp.Body.Close() })
	}
	return resp, err
}

func TestAHookTakesOnlyWhatIsGenuine(t *testing.T) {
	const (
		id    = "msg_p5jXN8AQM9LWM0D4loKWxJek"
		stamp = "1614265330"
		body  = `{"test": 2432232314}`
		good  = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	)
	at := time.Unix(1614265330, 0)
	c := &clock{now: at}
	n := start(t, World{HookSecret: hookSecret, Now: c.Now})
	tests := []struct {
		name, stamp, signature, body string
		at                           time.Time
		want                         error
	}{
		{"the example of the specification", stamp, good, body, at, nil},
		{"one good signature of two", stamp, "v1,AAAA " + good, body, at, nil},
		{"almost five minutes old", stamp, good, body, at.Add(5 * time.Minute), nil},
		{"more than five minutes old", stamp, good, body, at.Add(5*time.Minute + 1), ErrStale},
		{"from the future", stamp, good, body, at.Add(-5*time.Minute - 1), ErrStale},
		{"without a time", "", good, body, at, ErrStale},
		{"another time than the signed one", "1614265331", good, body, at, ErrSignature},
		{"another body", stamp, good, `{"test": 2432232315}`, at, ErrSignature},
		{"another secret", stamp, signature("whsec_AAAA", id, stamp, body), body, at, ErrSignature},
		{"another version", stamp, "v2" + good[2:], body, at, ErrSignature},
		{"no signature", stamp, "", body, at, ErrSignature},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c.pass(tt.at.Sub(c.Now()))
			resp, err := postHook(t, n.Hook.URL(), id, tt.stamp, tt.signature, tt.body)
			if err != nil {
				t.Fatal(err)
			}
			call := n.Hook.Calls.All()[i]
			if !errors.Is(call.Err, tt.want) || call.Taken() != (tt.want == nil) || call.ID != id || string(call.Body) != tt.body {
				t.Errorf("call %+v, want error %v", call, tt.want)
			}
			want := http.StatusNoContent
			if tt.want != nil {
				want = http.StatusUnauthorized
			}
			if resp.StatusCode != want {
				t.Errorf("answered %d, want %d", resp.StatusCode, want)
			}
		})
	}
}

func TestAHookReadsTheEvent(t *testing.T) {
	n := start(t, World{HookSecret: hookSecret})
	body := `{"id":"01KAQ3V5Z8001","type":"bounced","time":"2026-11-23T10:00:00Z","recipient":"ann@example.net","sender":"civi+b.1.2.0a1b2c3d4e5f6a7b@bounce.example.org",
	 "sync":true,"class":"hard","reason":"user_unknown","code":550,"status":"5.1.1","hold":{"state":"held","until":null},"unknown":1}`
	stamp := strconv.FormatInt(time.Now().Unix(), 10)
	if _, err := postHook(t, n.Hook.URL(), "01KAQ3V5Z8001", stamp, signature(hookSecret, "01KAQ3V5Z8001", stamp, body), body); err != nil {
		t.Fatal(err)
	}
	e := n.Hook.Calls.All()[0].Event
	if e.ID != "01KAQ3V5Z8001" || e.Type != "bounced" || e.Recipient != "ann@example.net" || e.Code != 550 || e.Hold == nil || e.Hold.State != "held" || !*e.Sync {
		t.Errorf("event %+v, want what the webhook says", e)
	}
	if _, err := postHook(t, n.Hook.URL(), "x", stamp, signature(hookSecret, "x", stamp, "no json"), "no json"); err != nil {
		t.Fatal(err)
	}
	if c := n.Hook.Calls.All()[1]; c.Taken() || c.Status != http.StatusUnauthorized {
		t.Errorf("call %+v, want it refused because it is no JSON", c)
	}
}

func TestAHookFailsAsItIsTold(t *testing.T) {
	n := start(t, World{})
	stamp := strconv.FormatInt(time.Now().Unix(), 10)
	send := func() (*http.Response, error) { return postHook(t, n.Hook.URL(), "x", stamp, "", "{}") }
	tests := []struct {
		name   string
		answer HookAnswer
		status int
	}{
		{"an error", HookAnswer{Status: 500}, 500},
		{"a redirect", HookAnswer{Status: 302, Location: "http://127.0.0.1:1/"}, 302},
		{"gone", HookAnswer{Status: 410}, 410},
		{"good again", HookAnswer{}, 204},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n.Hook.Answer(tt.answer)
			resp, err := send()
			if err != nil || resp.StatusCode != tt.status || resp.Header.Get("Location") != tt.answer.Location {
				t.Errorf("answered %v, %v, want %d %q", resp, err, tt.status, tt.answer.Location)
			}
		})
	}
	t.Run("a body without end", func(t *testing.T) {
		n.Hook.Answer(HookAnswer{Status: 200, Endless: true})
		resp, err := send()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.CopyN(io.Discard, resp.Body, 10<<20); err != nil {
			t.Errorf("%d octets, then %v, want more than ten million", got, err)
		}
	})
	t.Run("no answer until it is told otherwise", func(t *testing.T) {
		n.Hook.Answer(HookAnswer{Hang: true})
		before := n.Hook.Calls.Len()
		failed := make(chan error, 1)
		go func() {
			_, err := send()
			failed <- err
		}()
		if err := n.Hook.Calls.Wait(soon(t), func(all []Call) bool { return len(all) > before }); err != nil {
			t.Fatal(err)
		}
		n.Hook.Answer(HookAnswer{})
		if err := <-failed; err == nil {
			t.Error("the request was answered, want it cut off")
		}
		if c := n.Hook.Calls.All()[before]; c.Status != 0 || c.Taken() {
			t.Errorf("call %+v, want no status", c)
		}
	})
}
