package source

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"homing/internal/certs"
	"homing/internal/reply"
	"homing/server/smtpd"
)

func TestMailThatIsThereAndMailThatComesIsTakenAndMoved(t *testing.T) {
	m := NewMetrics(prometheus.NewRegistry())
	watching(t, func(w *world) {
		w.config.Metrics = m
		w.put("CiviMail", mailOf("one"))
		w.put("CiviMail", mailOf("two"), imap.FlagSeen)
		w.put("CiviMail", mailOf("deleted by somebody"), imap.FlagDeleted)
		w.put("INBOX", mailOf("elsewhere"))
	}, func(w *world) {
		w.wants("at the start", 1, 2, 0, 2)
		if got := w.taker.given[0]; got != mailOf("one") {
			t.Errorf("handed over %q", got)
		}
		w.put("CiviMail", mailOf("three"))
		w.wants("at once when it comes", 1, 3, 0, 3)
		if _, noted := w.taker.count(); noted != 0 {
			t.Errorf("%d names are remembered for nothing", noted)
		}
		s := w.source.Status()
		if s.Connected.IsZero() || s.Failure != nil || s.Last.IsZero() || s.Waiting != 0 || s.Polled {
			t.Errorf("status %+v", s)
		}
		if got := testutil.ToFloat64(m.watched.WithLabelValues("civi/CiviMail")); got != 1 {
			t.Errorf("watched is %v", got)
		}
	})
	if got := testutil.ToFloat64(m.mails.WithLabelValues("civi/CiviMail", "taken")); got != 3 {
		t.Errorf("%v mails were counted, want 3", got)
	}
	if got := testutil.ToFloat64(m.watched.WithLabelValues("civi/CiviMail")); got != 0 {
		t.Errorf("watched is %v after the end", got)
	}
	m.Vanish("civi/CiviMail")
	if got := testutil.CollectAndCount(m.watched); got != 0 {
		t.Errorf("a source that is gone has %d metrics", got)
	}
}

func TestWhatWillNeverBeTakenIsPutAside(t *testing.T) {
	watching(t, func(w *world) {
		w.taker.answer = func(text string) error {
			if strings.Contains(text, "bad") {
				return reply.Errorf(554, reply.Enhanced{5, 4, 6}, "in a loop")
			}
			return nil
		}
		w.put("CiviMail", mailOf("bad"))
		w.put("CiviMail", mailOf("good"))
		w.put("CiviMail", mailOf("large")+strings.Repeat("x", 20_000))
	}, func(w *world) {
		w.wants("at the start", 0, 1, 2, 2) // the large one was not even fetched
		w.after(3 * time.Hour)
		w.wants("hours later", 0, 1, 2, 2)
	})
}

func TestWhatCannotBeTakenNowStaysAndIsTriedAgain(t *testing.T) {
	var mended atomic.Bool
	watching(t, func(w *world) {
		w.taker.answer = func(text string) error {
			if !mended.Load() && strings.Contains(text, "odd") {
				return errors.New("the disk is full")
			}
			return nil
		}
		w.put("CiviMail", mailOf("odd"))
		w.put("CiviMail", mailOf("good"))
	}, func(w *world) {
		w.wants("at first", 1, 1, 0, 2)
		if s := w.source.Status(); s.Waiting != 1 || s.Failure == nil || s.Failure.Step != Taking || s.Connected.IsZero() {
			t.Errorf("status %+v", s)
		}
		w.after(73 * time.Second) // a minute, and up to a fifth more
		w.wants("a minute later", 1, 1, 0, 3)
		w.after(71 * time.Second)
		w.wants("not again within a minute", 1, 1, 0, 3)
		w.after(75 * time.Second)
		w.wants("but after two", 1, 1, 0, 4)
		w.after(24 * time.Hour)
		given, _ := w.taker.count()
		if given < 4+22 || given > 4+36 {
			t.Errorf("within a day it was handed over %d times, want about once an hour", given)
		}
		w.put("CiviMail", mailOf("more"))
		w.wants("others do not wait for it", 1, 2, 0, given+1)
		mended.Store(true)
		w.after(73 * time.Minute)
		w.wants("once it can be taken", 0, 3, 0, given+2)
		if s := w.source.Status(); s.Waiting != 0 || s.Failure != nil {
			t.Errorf("status %+v", s)
		}
	})
}

func TestWhereNothingCanBeTakenTheRestIsLeftAlone(t *testing.T) {
	watching(t, func(w *world) {
		w.taker.answer = func(string) error { return errors.New("the disk is full") }
		for i := range 20 {
			w.put("CiviMail", mailOf(fmt.Sprint(i)))
		}
	}, func(w *world) {
		w.wants("at first", 20, 0, 0, maxTroubles)
	})
}

func TestMailThatWasTakenBeforeACrashIsOnlyMoved(t *testing.T) {
	watching(t, func(w *world) {
		w.put("CiviMail", mailOf("taken"))
		w.put("CiviMail", mailOf("new"))
		data, err := w.user.Status("CiviMail", &imap.StatusOptions{UIDValidity: true})
		if err != nil {
			t.Fatal(err)
		}
		w.taker.names = map[string]bool{fmt.Sprintf("%d.1", data.UIDValidity): true, fmt.Sprintf("%d.77", data.UIDValidity): true, "99.1": true}
	}, func(w *world) {
		w.wants("after the crash", 0, 2, 0, 1)
		if got := w.taker.given[0]; got != mailOf("new") {
			t.Errorf("handed over %q", got)
		}
		if _, noted := w.taker.count(); noted != 0 {
			t.Errorf("%d names are remembered for nothing", noted)
		}
	})
}

func TestWhatCannotBeMovedIsTakenOnce(t *testing.T) {
	watching(t, func(w *world) { w.put("CiviMail", mailOf("one")) }, func(w *world) {
		if err := w.user.Delete("CiviMail.processed"); err != nil {
			t.Fatal(err)
		}
		w.put("CiviMail", mailOf("two"))
		w.wants("without the other folder", 1, -1, 0, 2)
		if w.failure() != Moving {
			t.Errorf("status %+v", w.source.Status())
		}
		w.cut() // the next session makes it
		w.after(80 * time.Second)
		w.wants("once there is one", 0, 1, 0, 2)
	})
}

func TestServersWithoutMOVE(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit []string
		left int // in the folder
	}{
		{"one that removes what it is told to", []string{" MOVE", " M0VE"}, 1},
		{"one that could only remove all that is marked as deleted", []string{" MOVE", " M0VE", "UIDPLUS", "U1DPLUS"}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			watching(t, func(w *world) {
				w.edit = tt.edit
				w.put("CiviMail", mailOf("of somebody who may want it back"), imap.FlagDeleted)
				w.put("CiviMail", mailOf("one"))
			}, func(w *world) {
				w.wants("at the start", tt.left, 1, 0, 1)
				w.after(5 * time.Hour)
				w.wants("hours later", tt.left, 1, 0, 1)
			})
		})
	}
}

func TestAServerThatCannotTellOfNewsIsAskedEveryMinute(t *testing.T) {
	watching(t, func(w *world) { w.edit = []string{" IDLE", " 1DLE"} }, func(w *world) {
		w.put("CiviMail", mailOf("one"))
		w.wants("at once", 1, 0, 0, 0)
		w.after(61 * time.Second)
		w.wants("a minute later", 0, 1, 0, 1)
		if !w.source.Status().Polled {
			t.Error("it does not say that it asks")
		}
	})
}

func TestIDLEIsRenewedBeforeServersHangUp(t *testing.T) {
	watching(t, nil, func(w *world) {
		w.after(11 * time.Second) // the first one is short
		before := w.wire.count("IDLE\r\n")
		w.after(24 * time.Minute)
		if got := w.wire.count("IDLE\r\n") - before; got != 0 {
			t.Errorf("renewed %d times within 24 minutes", got)
		}
		w.after(5 * time.Minute)
		if got := w.wire.count("IDLE\r\n") - before; got != 1 {
			t.Errorf("renewed %d times within 29 minutes, want once", got)
		}
		w.after(10 * time.Hour)
		if got := w.wire.count("IDLE\r\n") - before; got < 20 || got > 26 || w.dialled() != 1 {
			t.Errorf("renewed %d times over %d connections in ten hours", got, w.dialled())
		}
		w.put("CiviMail", mailOf("one"))
		w.wants("after ten hours", 0, 1, 0, 1)
	})
}

// Some servers tell in IDLE only of what comes while it lasts.
func TestMailThatComesJustBeforeIDLEIsFound(t *testing.T) {
	watching(t, func(w *world) {
		w.put("CiviMail", mailOf("one"))
		w.taker.answer = func(text string) error {
			if strings.Contains(text, "one") {
				w.put("CiviMail", mailOf("two"))
				w.mu.Lock()
				defer w.mu.Unlock()
				w.edit = []string{"EXISTS", "RECENT"} // the server does not say that it is there
			}
			return nil
		}
	}, func(w *world) {
		w.after(11 * time.Second)
		w.wants("seconds later", 0, 2, 0, 2)
	})
}

func TestAConnectionThatIsLostIsMadeAgain(t *testing.T) {
	watching(t, nil, func(w *world) {
		w.cut()
		w.after(7 * time.Second)
		if w.dialled() != 2 || w.failure() != "" {
			t.Errorf("%d connections, failing at %q", w.dialled(), w.failure())
		}
		w.lose(errNetwork)
		w.cut()
		w.after(time.Hour)
		tries := w.dialled()
		if w.failure() != Connecting || !w.source.Status().Connected.IsZero() {
			t.Errorf("status %+v", w.source.Status())
		}
		if tries < 10 || tries > 17 { // 5 s, 10 s, 20 s … and every quarter of an hour
			t.Errorf("%d tries within an hour", tries-2)
		}
		w.put("CiviMail", mailOf("meanwhile"))
		w.lose(nil)
		w.after(19 * time.Minute)
		w.wants("when the network is back", 0, 1, 0, 1)
		w.cut()
		w.after(7 * time.Second)
		if w.failure() != "" {
			t.Error("after it had worked it is not made again at once")
		}
	})
}

func TestAConnectionThatANATHasForgottenIsNoticed(t *testing.T) {
	watching(t, nil, func(w *world) {
		w.forget()
		w.put("CiviMail", mailOf("unheard"))
		w.wants("at first", 1, 0, 0, 0)
		w.after(29 * time.Minute)
		w.wants("when IDLE is renewed", 0, 1, 0, 1)
	})
}

func TestARefusedPasswordIsNotTriedAllTheTime(t *testing.T) {
	watching(t, func(w *world) { w.config.Password = "battery staple" }, func(w *world) {
		if w.failure() != LoggingIn {
			t.Errorf("status %+v", w.source.Status())
		}
		w.after(time.Hour)
		if got := w.dialled(); got < 4 || got > 9 {
			t.Errorf("%d tries within an hour", got)
		}
		w.stop()
		if text := w.logs.String(); strings.Contains(text, "battery") || strings.Contains(text, secret) || !strings.Contains(text, "step=login") {
			t.Errorf("the log:\n%s", text)
		}
	})
}

func TestAFolderThatIsNotThereIsSaid(t *testing.T) {
	watching(t, func(w *world) { w.config.Folder = "CiviMial" }, func(w *world) {
		if w.failure() != Opening || !strings.Contains(w.source.Status().Failure.Error(), "CiviMial") {
			t.Errorf("status %+v", w.source.Status())
		}
	})
}

// serverTLS is a certificate of nobody's authority but ours, for imap.test.
func serverTLS(t *testing.T) (server *tls.Config, roots *x509.CertPool) {
	t.Helper()
	own, err := certs.LoadOwn(filepath.Join(t.TempDir(), "own.pem"), "imap.test", time.Now(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	roots = x509.NewCertPool()
	roots.AddCert(own.Show("").Leaf)
	return certs.Config(own), roots
}

func TestTLS(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(w *world)
		fails  Step
	}{
		{"from the first octet", func(w *world) { w.config.Security, w.trusts = Implicit, true }, ""},
		{"after STARTTLS", func(w *world) { w.config.Security, w.trusts = StartTLS, true }, ""},
		{"from nobody whom the system trusts", func(w *world) { w.config.Security = Implicit }, Connecting},
		{"after STARTTLS from nobody whom the system trusts", func(w *world) { w.config.Security = StartTLS }, Connecting},
		{"for another name", func(w *world) {
			w.config.Security, w.trusts, w.config.Address = Implicit, true, "mail.test:993"
		}, Connecting},
	} {
		t.Run(tt.name, func(t *testing.T) {
			watching(t, func(w *world) {
				tt.change(w)
				w.put("CiviMail", mailOf("one"))
			}, func(w *world) {
				if got := w.failure(); got != tt.fails {
					t.Fatalf("it fails at %q, want %q: %v", got, tt.fails, w.source.Status().Failure)
				}
				if tt.fails == "" {
					w.wants("at the start", 0, 1, 0, 1)
				} else if w.wire.count(" LOGIN ")+w.wire.count("AUTHENTICATE ") > 0 {
					t.Error("the password was sent")
				}
			})
		})
	}
}

func TestNoPasswordGoesWhereSTARTTLSIsNotOffered(t *testing.T) {
	watching(t, nil, func(w *world) {
		before := w.wire.count("AUTHENTICATE ")
		c := w.config
		c.Security = StartTLS
		err := New(c).session(w.t.Context())
		var f *Failure
		if !errors.As(err, &f) || f.Step != Connecting || w.wire.count("AUTHENTICATE ") != before {
			t.Errorf("session says %v", err)
		}
	})
}

func TestALostConnectionIsNotTheEndOfAMail(t *testing.T) {
	r := &whole{r: strings.NewReader("half"), left: 8}
	c := smtpd.NewContent(r, 0)
	if _, err := c.WriteTo(new(strings.Builder)); err == nil || r.err == nil {
		t.Errorf("half of a mail is read as a whole: %v, %v", err, r.err)
	}
	r = &whole{r: strings.NewReader("whole"), left: 5}
	if _, err := smtpd.NewContent(r, 0).WriteTo(new(strings.Builder)); err != nil || r.err != nil {
		t.Errorf("a whole mail: %v, %v", err, r.err)
	}
}
