package smtpd

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"homing/internal/reply"
)

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func TestAUTH(t *testing.T) {
	tests := []struct {
		name  string
		lines string // separated by spaces; "_" is a space
		want  string
		login string
	}{
		{"PLAIN with an initial response", "AUTH_PLAIN_" + b64("\x00ann\x00secret"), "235/2.7.0", "ann:secret"},
		{"PLAIN without", "AUTH_plain " + b64("\x00ann\x00secret"), "334 235", "ann:secret"},
		{"PLAIN as oneself", "AUTH_PLAIN_" + b64("ann\x00ann\x00secret"), "235", "ann:secret"},
		{"PLAIN as somebody else", "AUTH_PLAIN_" + b64("bob\x00ann\x00secret"), "535/5.7.8", ""},
		{"PLAIN with too few parts", "AUTH_PLAIN_" + b64("ann\x00secret"), "535", ""},
		{"LOGIN", "AUTH_LOGIN " + b64("ann") + " " + b64("secret"), "334 334 235", "ann:secret"},
		{"LOGIN with an initial response", "AUTH_LOGIN_" + b64("ann") + " " + b64("secret"), "334 235", "ann:secret"},
		{"LOGIN with a password that is not ASCII", "AUTH_LOGIN " + b64("ann") + " " + b64("s\xc3\xa4\xff"), "334 334 535", "ann:s\xc3\xa4\xff"},
		{"wrong password", "AUTH_PLAIN_" + b64("\x00ann\x00wrong") + " AUTH_PLAIN_" + b64("\x00ann\x00secret"), "535/5.7.8 235", "ann:wrong ann:secret"},
		{"nobody", "AUTH_PLAIN_" + b64("\x00\x00secret"), "535", ""},
		{"empty initial response", "AUTH_PLAIN_=", "535", ""},
		{"a name with a line end", "AUTH_PLAIN_" + b64("\x00a\nb\x00secret"), "535", ""},
		{"cancelled", "AUTH_PLAIN * NOOP", "334 501/5.7.0 250", ""},
		{"cancelled at the password", "AUTH_LOGIN " + b64("ann") + " * NOOP", "334 334 501/5.7.0 250", ""},
		{"not base64", "AUTH_PLAIN_!!! AUTH_PLAIN !!!", "501/5.5.2 334 501/5.5.2", ""},
		{"mechanisms that are not offered", "AUTH_CRAM-MD5 AUTH_DIGEST-MD5_x AUTH_EXTERNAL_= AUTH", "504/5.5.4 504 504 504", ""},
		{"once is enough", "AUTH_PLAIN_" + b64("\x00ann\x00secret") + " AUTH_PLAIN_" + b64("\x00ann\x00secret"), "235 503/5.5.1", "ann:secret"},
		{"a response of 12,288 octets", "AUTH_LOGIN " + b64(strings.Repeat("n", 9213)) + "== AUTH_PLAIN", "334 501 334", ""},
		{"a response that is longer", "AUTH_LOGIN " + strings.Repeat("A", 12300) + " NOOP", "334 500/5.5.6 250", ""},
		{"a command in the middle is a response", "AUTH_PLAIN MAIL_FROM:<> NOOP", "334 501 250", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := &accepting{}
			serving(t, Options{Kind: Submission, Auth: true, AllowInsecureAuth: true}, b, func(s *bench) {
				p := s.greeted()
				p.do("EHLO a", "250")
				replies := strings.Fields(tt.want)
				for i, line := range strings.Fields(tt.lines) {
					p.do(strings.ReplaceAll(line, "_", " "), replies[i])
				}
			})
			if got := strings.Join(b.logins, " "); got != tt.login {
				t.Errorf("the session was asked for %q, want %q", got, tt.login)
			}
		})
	}
}

func TestAUTHChallenges(t *testing.T) {
	serving(t, Options{Auth: true, AllowInsecureAuth: true}, &accepting{}, func(s *bench) {
		p := s.greeted()
		p.do("EHLO a", "250")
		for _, step := range [][2]string{
			{"AUTH PLAIN", "334 "}, {"*", "501 5.7.0 authentication cancelled"},
			{"AUTH LOGIN", "334 VXNlcm5hbWU6"}, {b64("ann"), "334 UGFzc3dvcmQ6"},
		} {
			p.write(step[0] + "\r\n")
			if got := p.reply(); got != step[1] {
				t.Errorf("%q: got %q, want %q", step[0], got, step[1])
			}
		}
	})
}

func TestAUTHWithoutTLSIsRefusedBeforeThePasswordIsAsked(t *testing.T) {
	b := &accepting{}
	serving(t, Options{Auth: true, TLS: certificate(t)}, b, func(s *bench) {
		p := s.greeted()
		p.do("EHLO a", "250")
		p.do("AUTH PLAIN", "538/5.7.11")
		p.do("AUTH PLAIN "+b64("\x00ann\x00secret"), "538/5.7.11")
	})
	if len(b.logins) > 0 {
		t.Errorf("the session was asked for %q", b.logins)
	}
}

func TestTemporaryFailureOfAUTHDoesNotCount(t *testing.T) {
	b := &accepting{auth: func(string, string) error { return fmt.Errorf("no disk") }}
	l := &AuthLimiter{PerMinute: 1}
	serving(t, Options{Auth: true, AllowInsecureAuth: true, AuthLimiter: l}, b, func(s *bench) {
		p := s.dial(tcp("192.0.2.1"))
		p.want("220")
		p.do("EHLO a", "250")
		for range 5 {
			p.do("AUTH PLAIN "+b64("\x00ann\x00x"), "454/4.7.0")
		}
	})
}

func TestAuthLimiter(t *testing.T) {
	b := &accepting{auth: func(_, password string) error {
		if password == "secret" {
			return nil
		}
		return reply.Errorf(535, reply.Enhanced{5, 7, 8}, "no")
	}}
	l := &AuthLimiter{PerMinute: 3, PerDay: 5}
	serving(t, Options{Auth: true, AllowInsecureAuth: true, AuthLimiter: l}, b, func(s *bench) {
		try := func(from, password, want string) {
			t.Helper()
			p := s.dial(tcp(from))
			p.want("220")
			p.do("EHLO a", "250")
			p.do("AUTH PLAIN "+b64("\x00ann\x00"+password), want)
			_ = p.c.Close()
		}
		for range 3 {
			try("192.0.2.1", "guess", "535")
		}
		try("192.0.2.1", "secret", "421/4.7.0 EOF")
		try("192.0.2.2", "secret", "235")
		<-time.After(time.Minute)
		try("192.0.2.1", "secret", "235")
		try("192.0.2.1", "guess", "535")
		try("192.0.2.1", "guess", "535")
		<-time.After(time.Minute)
		try("192.0.2.1", "secret", "421/4.7.0 EOF") // five in a day
		<-time.After(24 * time.Hour)
		try("192.0.2.1", "secret", "235")
		for i := range 3 { // one customer has a /64
			try(fmt.Sprintf("2001:db8:0:1::%d", i), "guess", "535")
		}
		try("2001:db8:0:1:ffff::", "secret", "421/4.7.0 EOF")
		try("2001:db8:0:2::1", "secret", "235")
	})
}

func TestAuthLimiterForgetsInTime(t *testing.T) {
	now := time.Unix(1e9, 0)
	l := &AuthLimiter{PerMinute: 1, Now: func() time.Time { return now }}
	for i := range maxTracked + 10 {
		l.Failed(tcp(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)))
		now = now.Add(time.Millisecond)
	}
	if len(l.failed) > maxTracked {
		t.Errorf("%d addresses are remembered", len(l.failed))
	}
	if last := tcp("10.1.0.9"); !l.Blocked(last) {
		t.Error("the last address is not remembered")
	}
	now = now.Add(25 * time.Hour)
	l.Failed(tcp("192.0.2.1"))
	if len(l.failed) != 1 {
		t.Errorf("a day later %d addresses are remembered", len(l.failed))
	}
	var none *AuthLimiter
	if none.Failed(tcp("192.0.2.1")); none.Blocked(tcp("192.0.2.1")) {
		t.Error("no limiter blocks")
	}
}
