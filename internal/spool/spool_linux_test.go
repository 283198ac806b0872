package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"homing/internal/reply"
)

// newSpool makes a directory as the installation does.
func newSpool(t testing.TB) string {
	t.Helper()
	top, err := os.MkdirTemp("", "spool-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(top) })
	dir := filepath.Join(top, "spool")
	if err := errors.Join(os.Chmod(top, 0o755), os.Mkdir(dir, 0o700), os.Chmod(dir, DirMode)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A desk takes mail and writes down what it took.
type desk struct {
	mu      sync.Mutex
	answer  func() error // nil: yes
	taken   []string     // "uid from to text"
	tries   []time.Time
	refused []Refusal
}

func (d *desk) take(_ context.Context, m Mail) error {
	text, err := io.ReadAll(m.Message)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tries = append(d.tries, time.Now())
	if d.answer != nil {
		if err := d.answer(); err != nil {
			return err
		}
	}
	d.taken = append(d.taken, fmt.Sprintf("%d %s %s %q", m.UID, m.From, strings.Join(m.To, ","), text))
	return nil
}

// taker gives a Taker of a directory that hands to d.
func (d *desk) taker(dir string) *Taker {
	return NewTaker(Config{Dir: dir, Take: d.take, MaxOctets: func() int64 { return 1 << 20 }, Lifetime: func() time.Duration { return 5 * 24 * time.Hour },
		Log: slog.New(slog.DiscardHandler), Now: time.Now, Refused: func(_ context.Context, r Refusal) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.refused = append(d.refused, r)
		}})
}

// say changes the answer.
func (d *desk) say(answer func() error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answer = answer
}

// tried gives when mail was handed over, from a time on.
func (d *desk) tried(began time.Time) (after []time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, at := range d.tries {
		after = append(after, at.Sub(began))
	}
	return after
}

// reports gives how often mail was reported as refused.
func (d *desk) reports() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.refused)
}

// letter is an envelope for one recipient.
func letter(to string) Envelope {
	return Envelope{ID: NewID(), From: "news@example.org", To: []string{to}}
}

func drop(t testing.TB, dir string, e Envelope, text string) (path string) {
	t.Helper()
	if err := Drop(dir, e, []byte(text)); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, whole+e.ID)
}

func lookOnce(t testing.TB, k *Taker) {
	t.Helper()
	if _, err := k.look(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func names(t testing.TB, dir string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func TestMailIsTakenOnceWithItsOwner(t *testing.T) {
	dir, d := newSpool(t), &desk{}
	path := drop(t, dir, letter("ann@example.net"), "Subject: x\n\nHello\n")
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o640 {
		t.Errorf("the file has mode %v, %v, want 0640", info.Mode(), err)
	}
	k := d.taker(dir)
	lookOnce(t, k)
	lookOnce(t, k)
	want := fmt.Sprintf("%d news@example.org ann@example.net %q", os.Getuid(), "Subject: x\n\nHello\n")
	if len(d.taken) != 1 || d.taken[0] != want {
		t.Errorf("taken %q, want %q once", d.taken, want)
	}
	if left := names(t, dir); left != nil {
		t.Errorf("left over: %q", left)
	}
}

// TestOnlyMailThatItsOwnerLeftIsTaken has what local users may put there
// instead.
func TestOnlyMailThatItsOwnerLeftIsTaken(t *testing.T) {
	tests := []struct {
		name   string
		change func(path string) error
		want   string // in the reason
	}{
		{"a symbolic link to mail elsewhere", func(path string) error {
			return errors.Join(os.Rename(path, path+"-real"), os.Symlink(path+"-real", path))
		}, "symbolic link"},
		{"a file with another name", func(path string) error { return os.Link(path, path+"-too") }, "hard links"},
		{"a file that others may read", func(path string) error { return os.Chmod(path, 0o644) }, "others than its owner"},
		{"a file that its group may write", func(path string) error { return os.Chmod(path, 0o660) }, "others than its owner"},
		{"a set-user-ID file", func(path string) error { return os.Chmod(path, 0o640|fs.ModeSetuid) }, "others than its owner"},
		{"a FIFO", func(path string) error { return errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o640)) }, "no ordinary file"},
		{"a directory", func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o750)) }, "no ordinary file"},
		{"a file that was cut", func(path string) error { return os.Truncate(path, 150) }, "not whole"},
		{"a file that was cut in its first line", func(path string) error { return os.Truncate(path, 20) }, "not whole"},
		{"an empty file", func(path string) error { return os.Truncate(path, 0) }, "not whole"},
		{"a file with more behind it", func(path string) error { return edit(path, func(b []byte) []byte { return append(b, 'x') }) }, "not whole"},
		{"a file with another octet in it", func(path string) error {
			return edit(path, func(b []byte) []byte { return bytes.Replace(b, []byte("Hello"), []byte("Hallo"), 1) })
		}, "not whole"},
		{"a file of a later format", func(path string) error {
			return edit(path, func(b []byte) []byte { return bytes.Replace(b, []byte(`ool":1`), []byte(`ool":2`), 1) })
		}, "format 2"},
		{"a file with the name of another", func(path string) error { return os.Rename(path, filepath.Join(filepath.Dir(path), whole+NewID())) }, "name of another"},
		{"a file that is too large", func(path string) error { return os.Truncate(path, 3<<20) }, "message_out"},
		{"any file", func(path string) error { return os.WriteFile(path, []byte("root:x:0:0\n"), 0o640) }, "not whole"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir, d := newSpool(t), &desk{}
			path := drop(t, dir, letter("ann@example.net"), "Subject: x\n\nHello\n")
			if err := tt.change(path); err != nil {
				t.Fatal(err)
			}
			before := names(t, dir)
			k := d.taker(dir)
			lookOnce(t, k)
			files, _ := k.Files()
			if len(d.taken) != 0 || len(files) != 1 || files[0].State != Refused || !strings.Contains(files[0].Reason, tt.want) {
				t.Errorf("taken %q, lying %+v, want one refused with %q", d.taken, files, tt.want)
			}
			if len(d.refused) != 1 || d.refused[0].UID != os.Getuid() || d.refused[0].Files != 1 {
				t.Errorf("reported %+v, want one file of ours", d.refused)
			}
			if after := names(t, dir); !slices.Equal(before, after) {
				t.Errorf("it holds %q, before %q", after, before)
			}
		})
	}
}

func edit(path string, change func([]byte) []byte) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, change(b), 0o640)
}

func TestAFileThatIsBeingWrittenIsLeftAlone(t *testing.T) {
	dir, d := newSpool(t), &desk{}
	young, old := filepath.Join(dir, part+NewID()), filepath.Join(dir, part+NewID())
	for _, path := range []string{young, old, filepath.Join(dir, "notes.txt")} {
		if err := os.WriteFile(path, []byte(`{"homing_spool":1`), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(old, time.Time{}, time.Now().Add(-2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	k := d.taker(dir)
	lookOnce(t, k)
	want := []string{"notes.txt", filepath.Base(young)}
	if left := names(t, dir); !slices.Equal(left, want) {
		t.Errorf("it holds %q, want %q: a draft whose writer is gone is removed", left, want)
	}
	if files, _ := k.Files(); len(files) != 0 || len(d.taken) != 0 {
		t.Errorf("lying %+v, taken %q", files, d.taken)
	}
}

func TestWhatIsPutOffIsTriedAgainLessAndLessOftenAndThenRefused(t *testing.T) {
	dir := newSpool(t)
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		d := &desk{answer: func() error { return reply.Errorf(451, reply.Enhanced{4, 7, 1}, "not now") }}
		path := drop(t, dir, letter("ann@example.net"), "x\n")
		if err := os.Chtimes(path, began, began); err != nil { // the disk knows only the real time
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		k := d.taker(dir)
		done := make(chan error)
		go func() { done <- k.Run(ctx) }()
		<-time.After(4 * 24 * time.Hour)
		synctest.Wait()
		if files, _ := k.Files(); len(files) != 1 || files[0].State != Waiting || files[0].Reason != "451 4.7.1 not now" {
			t.Errorf("lying %+v", files)
		}
		tries := d.tried(began)
		gap := tries[len(tries)-1] - tries[len(tries)-2]
		if tries[0] != 0 || tries[1] != 30*time.Second || tries[2] != 90*time.Second || gap != lastPause {
			t.Errorf("tried after %v…, at last every %v", tries[:3], gap)
		}
		<-time.After(2 * 24 * time.Hour)
		synctest.Wait()
		files, _ := k.Files()
		count := len(d.tried(began))
		if len(files) != 1 || files[0].State != Refused || d.reports() == 0 {
			t.Errorf("after the lifetime: %+v, reported %d times", files, d.reports())
		}
		<-time.After(24 * time.Hour)
		synctest.Wait()
		if more := len(d.tried(began)) - count; more != 0 {
			t.Errorf("it was tried %d more times", more)
		}
		d.say(nil) // somebody has mended what was wrong
		k.Flush()
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if len(d.taken) != 1 {
			t.Errorf("after a flush taken %q, want it", d.taken)
		}
	})
}

func TestWhatIsRefusedLiesThereForAMonth(t *testing.T) {
	dir := newSpool(t)
	synctest.Test(t, func(t *testing.T) {
		d := &desk{answer: func() error { return reply.Errorf(554, reply.Enhanced{5, 6, 0}, "no From") }}
		path := drop(t, dir, letter("ann@example.net"), "x\n")
		if err := os.Chtimes(path, time.Now(), time.Now()); err != nil {
			t.Fatal(err)
		}
		k := d.taker(dir)
		for range 29 {
			lookOnce(t, k)
			<-time.After(24 * time.Hour)
		}
		if files, _ := k.Files(); len(files) != 1 || files[0].State != Refused || files[0].Reason != "554 5.6.0 no From" {
			t.Errorf("after 29 days: %+v", files)
		}
		if len(d.refused) != 29 {
			t.Errorf("it was reported %d times, want at each look", len(d.refused))
		}
		<-time.After(2 * 24 * time.Hour)
		lookOnce(t, k)
		if left := names(t, dir); left != nil {
			t.Errorf("after 31 days there is %q", left)
		}
	})
}

func TestManyWritersAndEachMailOnce(t *testing.T) {
	const writers, each = 8, 10
	dir, d := newSpool(t), &desk{}
	k := d.taker(dir)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- k.Run(ctx) }()
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range each {
				if err := Drop(dir, letter(fmt.Sprintf("%d.%d@example.net", w, i)), []byte("x\n")); err != nil {
					t.Error(err)
				}
				k.Flush()
			}
		})
	}
	all.Wait()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	lookOnce(t, d.taker(dir)) // the next life of the server
	slices.Sort(d.taken)
	if n := len(slices.Compact(slices.Clone(d.taken))); len(d.taken) != writers*each || n != writers*each {
		t.Errorf("%d taken, %d different ones, want %d", len(d.taken), n, writers*each)
	}
}

func TestWhoLeavesTooMuchWaitsForHimselfAlone(t *testing.T) {
	byUser := map[int][]string{1: {"a", "b", "c"}, 2: {"x"}}
	if got := byTurns(byUser); !slices.Contains(got[:2], "x") || len(got) != 4 {
		t.Errorf("by turns %q, want that of the second user among the first two", got)
	}
	dir := newSpool(t)
	d := &desk{answer: func() error { return reply.Errorf(554, reply.Enhanced{5, 6, 0}, "no") }}
	k := d.taker(dir)
	for i := range perUser {
		name := fmt.Sprintf("%s%d", whole, i)
		k.files[name] = &File{Name: name, UID: os.Getuid(), State: Refused, Spooled: time.Now()}
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	drop(t, dir, letter("ann@example.net"), "x\n")
	lookOnce(t, k)
	if files, _ := k.Files(); len(files) != perUser {
		t.Errorf("%d files are remembered, want %d", len(files), perUser)
	}
}

func TestADirectoryThatIsNotRight(t *testing.T) {
	tests := []struct {
		name       string
		change     func(dir string) error
		drop, take string // in the errors; "": none
	}{
		{"it is not there", os.Remove, "there is no spool", "there is no spool"},
		{"a file is there", func(dir string) error { return errors.Join(os.Remove(dir), os.WriteFile(dir, nil, 0o600)) }, "is no directory", "is no directory"},
		{"a link is there", func(dir string) error { return errors.Join(os.Rename(dir, dir+"2"), os.Symlink(dir+"2", dir)) }, "is no directory", "is no directory"},
		{"everybody may remove what is there", func(dir string) error { return os.Chmod(dir, 0o777) }, "remove the mail of others", "remove the mail of others"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir, d := newSpool(t), &desk{}
			if err := tt.change(dir); err != nil {
				t.Fatal(err)
			}
			err := Drop(dir, letter("ann@example.net"), []byte("x\n"))
			_, err2 := d.taker(dir).look(t.Context())
			for what, x := range map[string]struct {
				err  error
				want string
			}{"Drop": {err, tt.drop}, "look": {err2, tt.take}} {
				if (x.err == nil) != (x.want == "") || x.err != nil && !strings.Contains(x.err.Error(), x.want) {
					t.Errorf("%s: %v, want %q", what, x.err, x.want)
				}
			}
		})
	}
}

func TestTheSpoolIsMadeAtTheStart(t *testing.T) {
	dir, d := newSpool(t), &desk{}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	k := d.taker(dir)
	done := make(chan error)
	go func() { done <- k.Run(ctx) }()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode() != fs.ModeDir|DirMode {
		t.Errorf("it is %v, %v, want mode 3733", info, err)
	}
}

func TestTwoServersDoNotTakeFromOneSpool(t *testing.T) {
	dir, d := newSpool(t), &desk{}
	drop(t, dir, letter("ann@example.net"), "x\n")
	home, err := lock(dir)
	if err != nil || home == nil {
		t.Fatal(home, err)
	}
	k := d.taker(dir)
	if _, err := k.look(t.Context()); err == nil || !strings.Contains(err.Error(), "another server") || len(d.taken) != 0 {
		t.Errorf("beside another server: %v, taken %q", err, d.taken)
	}
	home.Close()
	lookOnce(t, k)
	if len(d.taken) != 1 {
		t.Errorf("after it: taken %q", d.taken)
	}
}

// FuzzDecode states what reading a file of anybody promises: it ends, and
// gives a message only where it is octet for octet one that was written so.
func FuzzDecode(f *testing.F) {
	e := letter("ann@example.net")
	first, err := encode(e, []byte("Hello\n"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append(first, "Hello\n"...))
	f.Add(append(first, "Hallo\n"...))
	f.Add([]byte("{}\n"))
	f.Add([]byte(`{"homing_spool":1,"octets":-1}`))
	f.Fuzz(func(t *testing.T, file []byte) {
		e, r, err := decode(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			return
		}
		message, err := io.ReadAll(r)
		if err != nil {
			return
		}
		if !bytes.HasSuffix(file, message) || !IsID(e.ID) || len(e.To) == 0 {
			t.Errorf("%q gives %+v and %q", file, e, message)
		}
		first, err := encode(e, message)
		if err != nil {
			t.Fatal(err)
		}
		again, r, err := decode(bytes.NewReader(append(first, message...)), int64(len(first)+len(message)))
		if err != nil || again.From != e.From || !slices.Equal(again.To, e.To) {
			t.Errorf("written again it gives %+v, %v", again, err)
		} else if text, err := io.ReadAll(r); err != nil || !bytes.Equal(text, message) {
			t.Errorf("written again it gives %q, %v", text, err)
		}
	})
}
