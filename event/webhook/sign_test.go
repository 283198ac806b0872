package webhook_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"homing/event"
	"homing/event/webhook"
)

func TestParseSecrets(t *testing.T) {
	long := strings.Repeat("x", 513)
	for _, tt := range []struct {
		name, text string
		want       int // secrets; 0: ErrSecret
	}{
		{"base64", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 1},
		{"base64 with padding and a line end", "whsec_MDEyMzQ1Njc4OWFiY2RlZg==\r\n", 1},
		{"base64 without padding", "whsec_MDEyMzQ1Njc4OWFiY2RlZg", 1},
		{"octets as they are", "sixteen octets!!", 1},
		{"two, for a change of secrets", "the second secret of two\n\n# the first, until March:\nthe first secret of two\n", 2},
		{"nothing", "", 0},
		{"only a comment", "# later\n", 0},
		{"too short", "fifteen octets!", 0},
		{"too short in base64", "whsec_c2hvcnQ=", 0},
		{"too long", long, 0},
		{"no base64", "whsec_not base64 at all, really", 0},
		{"one good, one bad", "a secret that is long enough\nshort", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := webhook.ParseSecrets(tt.text)
			if len(got) != tt.want || (err != nil) != (tt.want == 0) {
				t.Errorf("ParseSecrets = %d secrets, %v; want %d", len(got), err, tt.want)
			}
			if tt.want == 0 && !errors.Is(err, webhook.ErrSecret) {
				t.Errorf("error %v, want ErrSecret", err)
			}
			if err != nil && tt.text != "" && strings.Contains(err.Error(), strings.TrimSpace(tt.text)) {
				t.Errorf("the error shows the secret: %v", err)
			}
		})
	}
}

func TestASecretDoesNotPrint(t *testing.T) {
	got, err := webhook.ParseSecrets(rawSecret)
	if err != nil {
		t.Fatal(err)
	}
	if out := fmt.Sprintf("%v %+v %#v %s", got, got, got, got); strings.Contains(out, rawSecret) {
		t.Errorf("it prints: %s", out)
	}
}

// TestSignatureOfTheSpecification checks the worked example of the Standard
// Webhooks libraries.
func TestSignatureOfTheSpecification(t *testing.T) {
	got := webhook.Sign(secrets(t, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), "msg_p5jXN8AQM9LWM0D4loKWxJek",
		time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
}

func ExampleParseSecrets() {
	secrets, err := webhook.ParseSecrets("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n")
	if err != nil {
		fmt.Println(err)
		return
	}
	sink, err := webhook.New(webhook.Config{Name: "hooks", URL: "https://crm.example.org/hook", Secrets: secrets})
	fmt.Println(sink.Name(), sink.Kind(), sink.Wants(event.Event{Type: event.Delivered}), err)
	// Output: hooks webhook true <nil>
}

// FuzzParseSecrets states that whatever is read as a secret signs, that a
// receiver with the same octets verifies it, and that nothing panics.
func FuzzParseSecrets(f *testing.F) {
	f.Add("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	f.Add("the second secret of two\nthe first secret of two\n")
	f.Add("whsec_====")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := webhook.ParseSecrets(text)
		if (err == nil) != (len(got) > 0) {
			t.Fatalf("%d secrets and error %v", len(got), err)
		}
		signed := webhook.Sign(got, "id", time.Unix(1, 0), []byte("{}"))
		if n := len(strings.Fields(signed)); n != len(got) {
			t.Errorf("%d signatures for %d secrets", n, len(got))
		}
		line := strings.TrimSpace(text)
		if len(got) != 1 || strings.Contains(line, "\n") || strings.HasPrefix(line, "whsec_") {
			return
		}
		mac := hmac.New(sha256.New, []byte(line))
		mac.Write([]byte("id.1.{}"))
		if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); signed != want {
			t.Errorf("signature %s, want %s", signed, want)
		}
	})
}
