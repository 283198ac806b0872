package smtpd

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestIdlePeersAreSentAway(t *testing.T) {
	tests := []struct {
		name string
		o    Options
		say  string
		want time.Duration
	}{
		{"before EHLO", Options{}, "", time.Minute},
		{"before EHLO, with something to say", Options{}, "NOOP\r\nNOOP\r\n", time.Minute},
		{"after EHLO", Options{}, "EHLO a\r\n", 5 * time.Minute},
		{"in a transaction", Options{}, "EHLO a\r\nMAIL FROM:<>\r\n", 5 * time.Minute},
		{"in the middle of a line", Options{}, "EHLO a\r\nNOO", 5 * time.Minute},
		{"in the middle of AUTH", Options{Auth: true, AllowInsecureAuth: true}, "EHLO a\r\nAUTH LOGIN\r\n", 5 * time.Minute},
		{"at a message", Options{}, "EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<y@y.test>\r\nDATA\r\nhi\r\n", time.Minute},
		{"submission", Options{Kind: Submission}, "EHLO a\r\n", time.Hour},
		{"submission at a message", Options{Kind: Submission}, "EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<y@y.test>\r\nDATA\r\nhi\r\n", time.Hour},
		{"as configured", Options{HelloTimeout: time.Second}, "", time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			serving(t, tt.o, &accepting{}, func(s *bench) {
				start := time.Now()
				p := s.greeted()
				p.write(tt.say)
				last := ""
				for r := p.reply(); r != "EOF"; r = p.reply() {
					last = r
				}
				if got := time.Since(start); got != tt.want || code(last, true) != "421/4.4.2" {
					t.Errorf("sent away after %v with %q, want %v", got, last, tt.want)
				}
			})
		})
	}
}

// A command must come whole in its time: octets one by one do not prolong it.
func TestDribblingACommand(t *testing.T) {
	serving(t, Options{}, &accepting{}, func(s *bench) {
		p := s.greeted()
		p.do("EHLO a", "250")
		start := time.Now()
		var writer sync.WaitGroup
		defer writer.Wait()
		writer.Go(func() {
			for range 1000 {
				<-time.After(10 * time.Second)
				if _, err := p.c.Write([]byte("x")); err != nil {
					return
				}
			}
		})
		p.want("421/4.4.2 EOF")
		if got := time.Since(start); got != 5*time.Minute {
			t.Errorf("sent away after %v", got)
		}
	})
}

func TestMessagesMustComeFastEnough(t *testing.T) {
	tests := []struct {
		name   string
		octets int // each second
		want   string
	}{
		{"480 octets a second", 480, "421/4.4.2"},
		{"500 octets a second", 500, "250"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			serving(t, Options{}, &accepting{}, func(s *bench) {
				p := s.greeted()
				p.write("EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<y@y.test>\r\nDATA\r\n")
				p.want("250 250 250 354")
				line := strings.Repeat("x", tt.octets-2) + "\r\n"
				var writer sync.WaitGroup
				defer writer.Wait()
				writer.Go(func() {
					for range 3600 {
						<-time.After(time.Second)
						if _, err := p.c.Write([]byte(line)); err != nil {
							return
						}
					}
					_, _ = p.c.Write([]byte(".\r\n"))
				})
				p.want(tt.want)
				_ = p.c.Close()
			})
		})
	}
}

func TestOurOwnSlownessIsNotThePeersFault(t *testing.T) {
	b := &accepting{data: func(_ context.Context, c *Content) []error {
		<-time.After(time.Hour) // a disk that is busy
		_, err := io.Copy(io.Discard, c)
		return []error{err}
	}}
	serving(t, Options{}, b, func(s *bench) {
		p := s.greeted()
		p.write("EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<y@y.test>\r\nDATA\r\n" + message(100) + ".\r\n")
		p.want("250 250 250 354 250")
	})
}

func TestPeerThatDoesNotReadIsGivenUp(t *testing.T) {
	serving(t, Options{}, &accepting{}, func(s *bench) {
		p := s.dial(nil)
		start := time.Now()
		for {
			if _, err := p.c.Write([]byte("HELP\r\nHELP\r\nHELP\r\nHELP\r\n")); err != nil {
				break
			}
		}
		if got := time.Since(start); got < time.Minute || got > 10*time.Minute {
			t.Errorf("given up after %v", got)
		}
		_ = p.c.Close()
	})
}

func TestShutdown(t *testing.T) {
	const transaction = "EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<y@y.test>\r\n"
	tests := []struct {
		name string
		o    Options
		say  string
		want string
		last time.Duration // until the connection is closed
	}{
		{"after the greeting", Options{}, "", "421/4.3.2", 0},
		{"after EHLO", Options{}, "EHLO a\r\n", "250 421/4.3.2", 0},
		{"in a transaction", Options{}, transaction, "250 250 250 421/4.3.2", 0},
		{"in a line", Options{}, "EHLO a\r\nNOO", "250 421/4.3.2", 0},
		{"in AUTH", Options{Auth: true, AllowInsecureAuth: true}, "EHLO a\r\nAUTH PLAIN\r\n", "250 334 421/4.3.2", 0},
		{"in a message: after Grace", Options{Grace: 7 * time.Second}, transaction + "DATA\r\nhi", "250 250 250 354 421/4.3.2", 7 * time.Second},
		{"in a chunk: after Grace", Options{Grace: 7 * time.Second, Chunking: true}, transaction + "BDAT 10\r\nhi", "250 250 250 421/4.3.2", 7 * time.Second},
		{"between two chunks: after Grace", Options{Grace: 7 * time.Second, Chunking: true}, transaction + "BDAT 2\r\nhi", "250 250 250 250 421/4.3.2", 7 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			serving(t, tt.o, &accepting{}, func(s *bench) {
				p := s.greeted()
				p.write(tt.say)
				synctest.Wait()
				start := time.Now()
				s.stop()
				p.want(tt.want)
				if got := time.Since(start); got != tt.last {
					t.Errorf("said after %v, want %v", got, tt.last)
				}
				_ = p.c.Close() // or the server lingers for its last words
			})
		})
	}
}

func TestMessageUnderWayAtShutdownIsTaken(t *testing.T) {
	b := &accepting{}
	serving(t, Options{}, b, func(s *bench) {
		p := s.greeted()
		p.write("EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<y@y.test>\r\nDATA\r\nhi\r\n")
		p.want("250 250 250 354")
		s.stop()
		<-time.After(5 * time.Second)
		p.write(".\r\nNOOP\r\n")
		p.want("250/2.0.0 421/4.3.2 EOF")
		if _, err := s.l.Dial(s.t.Context(), nil); err == nil {
			t.Error("connections are still accepted")
		}
	})
	if len(b.messages) != 1 {
		t.Errorf("stored %d messages", len(b.messages))
	}
}

func TestShutdownCutsTheSession(t *testing.T) {
	var err error
	b := &accepting{data: func(ctx context.Context, c *Content) []error {
		_, _ = io.Copy(io.Discard, c)
		<-ctx.Done() // a store that never answers
		err = ctx.Err()
		return []error{err}
	}}
	serving(t, Options{Grace: 3 * time.Second}, b, func(s *bench) {
		p := s.greeted()
		p.write("EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<y@y.test>\r\nDATA\r\n.\r\n")
		p.want("250 250 250 354")
		start := time.Now()
		s.waitStopped()
		if got := time.Since(start); got != 3*time.Second {
			t.Errorf("Serve returned after %v", got)
		}
		p.want("421/4.3.2 EOF")
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("ctx of Data ends with %v", err)
	}
}

func TestShutdownOfAPeerThatDoesNotRead(t *testing.T) {
	serving(t, Options{Grace: 3 * time.Second}, &accepting{}, func(s *bench) {
		p := s.dial(nil)
		go func() {
			for {
				if _, err := p.c.Write([]byte("HELP\r\nHELP\r\nHELP\r\nHELP\r\n")); err != nil {
					return
				}
			}
		}()
		synctest.Wait()
		start := time.Now()
		s.waitStopped()
		if got := time.Since(start); got > 3*time.Second+partingTime+lingerTime {
			t.Errorf("Serve returned after %v", got)
		}
		_ = p.c.Close()
	})
}

func TestContextEndsWithTheConnection(t *testing.T) {
	ended := make(chan struct{})
	b := &accepting{data: func(ctx context.Context, c *Content) []error {
		_, err := io.Copy(io.Discard, c)
		<-ctx.Done()
		close(ended)
		return []error{err}
	}}
	serving(t, Options{}, b, func(s *bench) {
		p := s.greeted()
		p.write("EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<y@y.test>\r\nDATA\r\nhalf of a mes")
		p.want("250 250 250 354")
		_ = p.c.Close()
		<-ended
	})
}
