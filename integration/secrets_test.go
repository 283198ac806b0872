package integration

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"homing/internal/toynet"
)

// canaries are what must be found nowhere, by what they are.
var canaries = map[string]string{
	"the application's password":  "canary-password-5d1f",
	"a password that was guessed": "canary-guess-77ab",
	"the key of return addresses": strings.Repeat("ca9a4b5c6d7e8f90", 4),
	"the secret of the webhook":   "whsec_Y2FuYXJ5LXNlY3JldC1vZi10aGUtd2ViaG9vaw==",
	"the text of a mailing":       "canary-text-e902",
	"the text of a reply":         "canary-reply-41c8",
	"the smarthost's password":    "canary-smarthost-0b3e",
}

// traces gives a secret as it may be written somewhere.
func traces(secret string) []string {
	octets := []byte(secret)
	all := []string{secret, base64.StdEncoding.EncodeToString(octets), hex.EncodeToString(octets), plain("civicrm", secret), fmt.Sprint(octets)}
	if key, ok := strings.CutPrefix(secret, "whsec_"); ok {
		raw, err := base64.StdEncoding.DecodeString(key)
		if err == nil {
			all = append(all, key, string(raw), fmt.Sprint(raw))
		}
	}
	return all
}

// keepsSecrets fails t where a text has a trace of a canary.
func keepsSecrets(t *testing.T, where, text string) {
	t.Helper()
	if text == "" {
		t.Errorf("%s is empty: nothing was looked at", where)
	}
	for what, secret := range canaries {
		for _, trace := range traces(secret) {
			if strings.Contains(text, trace) {
				t.Errorf("%s has %s", where, what)
			}
		}
	}
}

func TestSecretsAreFoundNowhere(t *testing.T) {
	t.Parallel()
	files := certificate(t)
	files["password"] = canaries["the application's password"]
	files["verp.key"] = canaries["the key of return addresses"]
	files["spare-secret"] = canaries["the secret of the webhook"]
	files["smarthost-password"] = canaries["the smarthost's password"]
	s := settings{
		World:    toynet.Everyday(20 * time.Millisecond),
		Networks: `password_file = "password"`,
		Delivery: "retry = [\"200ms\"]\nlifetime = \"2s\"",
		App:      `sinks = ["hooks", "spare"]`,
		Tables: "[verp]\nkey_files = [\"verp.key\"]\n[tls]\ncert_file = \"cert.pem\"\nkey_file = \"key.pem\"\n" +
			"[[sink]]\nname = \"spare\"\ntype = \"webhook\"\nurl = \"http://127.0.0.1:9/\"\nsecret_file = \"spare-secret\"\nallow_private = true",
		Files: files,
	}
	st := newStage(t, s)
	var heard strings.Builder // what the server said in its dialogues
	w := dialSMTP(t, st.Submission)
	for _, line := range []string{"AUTH PLAIN " + plain("civicrm", canaries["a password that was guessed"]), "AUTH PLAIN " + plain(canaries["a password that was guessed"], "x"),
		"AUTH PLAIN " + canaries["a password that was guessed"], "AUTH " + canaries["a password that was guessed"], "AUTH PLAIN " + plain("civicrm", canaries["the application's password"]),
		"MAIL FROM:<news@elsewhere.test>", canaries["a password that was guessed"]} {
		heard.WriteString(w.ask(line) + "\n")
	}
	text := "Dear Ann,\r\n" + canaries["the text of a mailing"] + "\r\n"
	for _, domain := range []string{"accepts", "unknown", "later", "spam", "down", "nohost", "complains", "replies", "vacation"} {
		heard.WriteString(w.ask("MAIL FROM:<news@example.org>") + w.ask("RCPT TO:<ann@"+domain+".test>") + w.ask("DATA") + "\n")
		w.put("From: news@example.org\r\nTo: <ann@" + domain + ".test>\r\nSubject: News\r\nX-Secret: " + canaries["the text of a mailing"] + "\r\n\r\n" + text)
		heard.WriteString(w.ask(".") + "\n")
	}
	// Messages that are refused, too big or broken, have a text too.
	heard.WriteString(w.ask("MAIL FROM:<news@example.org>") + w.ask("RCPT TO:<ann@accepts.test>") + w.ask("DATA") + "\n")
	w.put("Subject: x\r\n\r\n" + text + "bare\rCR\r\n")
	heard.WriteString(w.ask(".") + "\n")
	back := st.Arrived("ann@accepts.test").From
	mx := dialSMTP(t, st.MX)
	mx.begin("ann@accepts.test", back)
	mx.put("From: ann@accepts.test\r\nSubject: Re: News\r\n\r\n" + canaries["the text of a reply"] + "\r\n")
	heard.WriteString(mx.ask(".") + "\n")
	if err := st.Net.Settled(within(t, 30*time.Second)); err != nil {
		t.Fatal(err)
	}
	until(t, 30*time.Second, "the end of all mail", func() bool { return len(st.Waiting()) == 0 })

	t.Run("in dialogues", func(t *testing.T) { keepsSecrets(t, "a reply", heard.String()) })
	t.Run("in metrics", func(t *testing.T) {
		_, text := st.get("/metrics")
		keepsSecrets(t, "/metrics", text)
	})
	t.Run("in what commands and the API say", func(t *testing.T) {
		for _, args := range [][]string{{"status"}, {"status", "--json"}, {"queue", "list", "--json", "--state", "waiting,delivered,bounced,expired"}, {"events"},
			{"trace", "ann@accepts.test"}, {"trace", "ann@accepts.test", "--json"}, {"hold", "list", "--all", "--json"}, {"hold", "show", "ann@unknown.test"}, {"config", "check"}} {
			keepsSecrets(t, "homing "+strings.Join(args, " "), st.Run(args...))
		}
	})
	t.Run("in webhooks", func(t *testing.T) {
		for _, c := range st.Net.Hook.Calls.All() {
			keepsSecrets(t, "event "+c.Event.Type, string(c.Body))
		}
	})
	t.Run("in the errors of a broken configuration", func(t *testing.T) {
		for name, broken := range map[string]settings{
			"hook-secret":             {Files: map[string]string{"hook-secret": canaries["the secret of the webhook"] + "!"}},
			"a key that is too short": {Files: map[string]string{"verp.key": canaries["the key of return addresses"][:16]}},
			"a smarthost without TLS": {Delivery: "[delivery.smarthost]\naddress = \"127.0.0.1:25\"\nusername = \"u\"\npassword_file = \"smarthost-password\"\ntls = \"maybe\""},
			"a hash that is none":     {Networks: fmt.Sprintf("password_hash = %q", canaries["the application's password"])},
			"a line that is none":     {App: canaries["the application's password"]},
		} {
			b := s
			for file, text := range broken.Files {
				st.Write(file, text)
			}
			if broken.Delivery != "" {
				b.Delivery = broken.Delivery
			}
			if broken.Networks != "" {
				b.Networks = broken.Networks
			}
			if broken.App != "" {
				b.App = broken.App
			}
			st.Reconfigure(b)
			stdout, stderr, code := st.Try("config", "check")
			if code == 0 {
				t.Errorf("%s: config check finds nothing", name)
			}
			keepsSecrets(t, "config check of "+name, stdout+stderr)
			st.hangUp("the configuration was not reloaded")
			for file := range broken.Files {
				st.Write(file, map[string]string{"hook-secret": "whsec_aG9taW5nIHRlc3RzIGhvbWluZyB0ZXN0cyBob21p", "verp.key": canaries["the key of return addresses"]}[file])
			}
		}
	})
	t.Run("in the log", func(t *testing.T) { keepsSecrets(t, "the log", st.Log()) })
}
