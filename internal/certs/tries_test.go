package certs

import (
	"context"
	"crypto"
	"crypto/tls"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/acme"
)

func TestAServerThatIsStartedAgainAndAgainAsksNoMoreOftenThanOneThatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, began := t.TempDir(), time.Now()
		var asked []string
		for time.Since(began) < 8*time.Hour {
			k := newKeeper(t, dir, host)
			k.began, k.fails[host] = began, errors.New("no")
			k.run(11 * time.Second) // not a part of any pause
			asked = append(asked, k.asked...)
			if got := k.Failing()[host]; got == nil || got.Error() != "no" {
				t.Fatalf("after %v failing is %v, want what was said last", time.Since(began), got)
			}
		}
		if got, want := strings.Join(asked, "\n"), strings.Join([]string{"0s: " + host, "15m0s: " + host, "45m0s: " + host, "1h45m0s: " + host, "3h45m0s: " + host, "7h45m0s: " + host}, "\n"); got != want {
			t.Errorf("asked\n%s\nwant\n%s", got, want)
		}
	})
}

func TestAProcessThatEndsInTheMiddleOfATryHasFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		k := newKeeper(t, dir, host)
		var left []byte // the file as a crash leaves it
		k.issue = func(context.Context, string, crypto.Signer) (*tls.Certificate, error) {
			left, _ = os.ReadFile(filepath.Join(dir, triesFile))
			return nil, errors.New("no")
		}
		k.run(time.Minute)
		if err := os.WriteFile(filepath.Join(dir, triesFile), left, 0o600); err != nil {
			t.Fatal(err)
		}
		k = newKeeper(t, dir, host)
		k.run(13 * time.Minute)
		k.wants()
		if got := k.Failing()[host]; got == nil || !strings.Contains(got.Error(), "ended while") {
			t.Errorf("failing is %v", got)
		}
		k.run(2 * time.Minute)
		if len(k.asked) != 1 || len(k.Failing()) > 0 {
			t.Errorf("asked %q, failing %v, want a certificate after a quarter of an hour", k.asked, k.Failing())
		}
	})
}

func TestAStopInTheMiddleOfATryLeavesNoTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		k := newKeeper(t, dir, host)
		k.issue = func(ctx context.Context, _ string, _ crypto.Signer) (*tls.Certificate, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		k.run(time.Minute)
		k = newKeeper(t, dir, host)
		k.run(time.Minute)
		k.wants("0s: " + host)
	})
}

// TestWhenTheNextProcessTriesAgain has one fail and another one start later.
func TestWhenTheNextProcessTriesAgain(t *testing.T) {
	tooMany := &acme.Error{StatusCode: 429, ProblemType: problemSpace + "rateLimited", Detail: "too many", Header: http.Header{"Retry-After": {"86400"}}}
	tests := []struct {
		name   string
		fails  error
		later  time.Duration // when the next one starts
		change func(k *ACMEConfig)
		reload bool
		want   string // since the next one started
	}{
		{"the same configuration", errors.New("no"), 5 * time.Minute, nil, false, "10m0s: " + host},
		{"long after", errors.New("no"), 5 * time.Hour, nil, false, "0s: " + host},
		{"another configuration", errors.New("no"), 5 * time.Minute, func(c *ACMEConfig) { c.Setup = "webroot" }, false, "0s: " + host},
		{"a reload", errors.New("no"), 5 * time.Minute, nil, true, "0s: " + host},
		{"the authority wants to be left alone", tooMany, 5 * time.Minute, nil, false, "23h55m0s: " + host},
		{"the same, with another configuration", tooMany, 5 * time.Minute, func(c *ACMEConfig) { c.Setup = "webroot" }, false, "23h55m0s: " + host},
		{"the same, and a reload", tooMany, 5 * time.Minute, nil, true, "23h55m0s: " + host},
		{"the clock was a year ahead", errors.New("no"), 0, func(c *ACMEConfig) { c.Now = clock(-365 * day) }, false, "15m0s: " + host},
		{"the clock was a year ahead, and the authority wants to be left alone", tooMany, 0, func(c *ACMEConfig) { c.Now = clock(-365 * day) }, false, "1d: " + host},
		{"the clock was a month behind", errors.New("no"), 0, func(c *ACMEConfig) { c.Now = clock(30 * day) }, false, "0s: " + host},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				k := newKeeper(t, dir, host)
				k.fails[host] = k.explain(host, "", tt.fails)
				k.run(time.Second)
				<-time.After(tt.later - time.Second)
				c := ACMEConfig{Names: []string{host}, Dir: dir}
				if tt.change != nil {
					tt.change(&c)
				}
				k = makeKeeper(t, c)
				if tt.reload {
					k.SetNames([]string{host})
				}
				k.run(25 * time.Hour)
				k.wants(tt.want)
			})
		})
	}
}

// TestAClockThatIsAheadDoesNotMakeEveryCertificateLookOld has one that says that
// less than a third of the life of each is left.
func TestAClockThatIsAheadDoesNotMakeEveryCertificateLookOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := ACMEConfig{Names: []string{host}, Dir: t.TempDir(), Now: clock(70 * day)}
		k := makeKeeper(t, c)
		began := k.began
		k.run(time.Hour)
		k.wants("0s: " + host)
		k = makeKeeper(t, c)
		k.began = began
		k.run(48 * time.Hour)
		k.wants("1d: "+host, "2d: "+host)
	})
}

// clock is one that is wrong.
func clock(ahead time.Duration) func() time.Time {
	return func() time.Time { return time.Now().Add(ahead) }
}

func TestNothingIsAskedForThatCouldNotBeKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "acme")
		k := newKeeper(t, dir, host)
		if err := os.Rename(dir, dir+".away"); err != nil {
			t.Fatal(err)
		}
		k.run(time.Hour)
		k.wants()
		if got := k.Failing()[host]; got == nil || !strings.Contains(got.Error(), "let the server write to "+dir) {
			t.Errorf("failing is %v", got)
		}
		if err := os.Rename(dir+".away", dir); err != nil {
			t.Fatal(err)
		}
		k.run(time.Hour)
		k.wants("1h45m0s: " + host)
	})
}

func TestWhatFailedBeforeAndCannotBeReadIsTriedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, text := range map[string]string{"nothing": "", "half": `{"names":{"mail`, "numbers that are none": `{"names":{"mail.example.org":{"tries":-9223372036854775808}}}`} {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, triesFile), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			k := newKeeper(t, dir, host)
			k.run(time.Minute)
			if len(k.asked) != 1 || k.Show(host) == k.Fallback.Show("") {
				t.Errorf("%s: asked %q", name, k.asked)
			}
		}
	})
}
