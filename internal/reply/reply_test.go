package reply_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"homing/internal/reply"
)

func TestOfSaysWhatThePeerMaySee(t *testing.T) {
	refused := reply.Errorf(550, reply.Enhanced{5, 1, 1}, "no such mailbox")
	tests := []struct {
		name string
		err  error
		want reply.Reply
	}{
		{"no error is 250", nil, reply.Reply{Code: 250, Enhanced: reply.Enhanced{2, 0, 0}, Text: "OK"}},
		{"an Error is its reply", refused, refused.Reply},
		{"a wrapped Error is its reply", fmt.Errorf("at RCPT: %w", refused), refused.Reply},
		{"the private cause stays private", refused.With(io.ErrUnexpectedEOF), refused.Reply},
		{"a cancelled context is a shutdown", fmt.Errorf("reading: %w", context.Canceled),
			reply.Reply{Code: 421, Enhanced: reply.Enhanced{4, 3, 2}, Text: "shutting down"}},
		{"a passed deadline is temporary", context.DeadlineExceeded,
			reply.Reply{Code: 451, Enhanced: reply.Enhanced{4, 4, 1}, Text: "timed out"}},
		{"what nobody has classified is temporary and says nothing", errors.New("secret path /var/lib"),
			reply.Reply{Code: 451, Enhanced: reply.Enhanced{4, 3, 0}, Text: "local error, please try again"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, reply.Of(tt.err)); diff != "" {
				t.Errorf("Of(%v) (-want +got):\n%s", tt.err, diff)
			}
		})
	}
}

func TestAnErrorKeepsItsCauseForTheLog(t *testing.T) {
	err := reply.Errorf(451, reply.Enhanced{4, 3, 1}, "no room: %w", io.ErrShortWrite)
	if !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("errors.Is(%v, io.ErrShortWrite) = false, want true", err)
	}
	if got, want := err.Error(), "451 4.3.1 no room: short write: short write"; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
}

func TestEveryCodeIsOfOneKind(t *testing.T) {
	tests := []struct {
		name                                         string
		code                                         int
		positive, intermediate, temporary, permanent bool
	}{
		{"nothing was answered", 0, false, false, false, false},
		{"the first 2xx", 200, true, false, false, false},
		{"the last 2xx", 299, true, false, false, false},
		{"354", 354, false, true, false, false},
		{"the first 4xx", 400, false, false, true, false},
		{"the last 4xx", 499, false, false, true, false},
		{"the first 5xx", 500, false, false, false, true},
		{"the last 5xx", 599, false, false, false, true},
		{"a code that SMTP does not have", 600, false, false, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := reply.Reply{Code: tt.code}
			got := [4]bool{r.Positive(), r.Intermediate(), r.Temporary(), r.Permanent()}
			if want := [4]bool{tt.positive, tt.intermediate, tt.temporary, tt.permanent}; got != want {
				t.Errorf("positive, intermediate, temporary, permanent of %d = %v, want %v", tt.code, got, want)
			}
		})
	}
}

func TestAReplyIsOneLineInLogs(t *testing.T) {
	tests := []struct {
		name string
		give reply.Reply
		want string
	}{
		{"a code alone", reply.Reply{Code: 421}, "421"},
		{"without enhanced code", reply.Reply{Code: 550, Text: "no"}, "550 no"},
		{"several lines", reply.Reply{Code: 550, Enhanced: reply.Enhanced{5, 7, 1}, Text: "go\naway"}, "550 5.7.1 go away"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.give.String(); got != tt.want {
				t.Errorf("String() = %q, want %q", got, tt.want)
			}
		})
	}
}

func ExampleOf() {
	err := fmt.Errorf("looking up the tag: %w", reply.Errorf(550, reply.Enhanced{5, 1, 1}, "no such address"))
	fmt.Println(reply.Of(err))
	fmt.Println(reply.Of(errors.New("a bug")))
	// Output:
	// 550 5.1.1 no such address
	// 451 4.3.0 local error, please try again
}
