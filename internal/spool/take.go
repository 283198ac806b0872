package spool

import (
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
	"time"

	"homing/internal/reply"
)

// Mail is a message on its way out of a spool.
type Mail struct {
	Envelope
	UID     int // whose it is
	Spooled time.Time
	Message io.Reader // ends with an error where the file is not whole
}

// Config is what a Taker is made of.
type Config struct {
	Dir string
	// Take answers for a message once it returns nil. Of its errors, a
	// permanent reply.Error is a refusal, all else is tried again.
	Take func(ctx context.Context, m Mail) error
	// Refused hears at each look of whose mail lies there refused.
	Refused func(ctx context.Context, r Refusal)

	MaxOctets func() int64         // of a message; more is refused
	Lifetime  func() time.Duration // how long mail is tried again
	Log       *slog.Logger
	Now       func() time.Time
	Metrics   *Metrics
}

// A Refusal is about the mail of one user that was refused and lies there.
type Refusal struct {
	UID    int
	Files  int
	Reason string // of one of them
}

// States of a file.
const (
	Waiting = "waiting" // it is tried again
	Refused = "refused" // it lies there until somebody mends what is wrong
)

// A File is mail in a spool.
type File struct {
	Name    string // in the directory
	UID     int
	From    string
	To      []string
	Octets  int64 // of the file
	Spooled time.Time
	State   string
	Reason  string    // the last answer; "": not tried yet
	Next    time.Time // when it is tried again; zero: at the next look, or not at all

	tries int
}

// How often the spool is looked at, and how long a file waits after it was put
// off: at first, and at most.
const (
	lookEvery  = 30 * time.Second
	firstPause = 30 * time.Second
	lastPause  = 30 * time.Minute
)

const (
	// perUser is how many files of one user are handled in one look, and how
	// many may lie there before no further ones are tried: whoever leaves more
	// waits for himself alone.
	perUser = 1000
	// draftAge is when a file that is being written was given up.
	draftAge = time.Hour
	// keptFor is how long what was refused lies there.
	keptFor = 30 * 24 * time.Hour
)

// A Taker takes mail out of a spool. Make one with NewTaker. Its methods may be
// called from many goroutines.
type Taker struct {
	c    Config
	poke chan struct{}

	mu    sync.Mutex
	files map[string]*File // by name: those that were tried
	fault string           // why nothing can be taken; "": it can
}

// NewTaker makes a Taker.
func NewTaker(c Config) *Taker {
	return &Taker{c: c, poke: make(chan struct{}, 1), files: map[string]*File{}}
}

// Run takes mail over, at once and whenever there is some, until ctx ends. A
// directory that is not there is made, where this user can.
func (t *Taker) Run(ctx context.Context) error {
	if err := os.Mkdir(t.c.Dir, 0o700); err == nil {
		if err := os.Chmod(t.c.Dir, DirMode); err != nil {
			t.c.Log.Warn("the spool that was made is no use", "err", err) // the first look says what to do
		}
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		more, err := t.look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		t.blame(err)
		if more {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-t.poke:
		}
	}
}

// Flush makes everything due, also what was refused, and has it tried soon.
func (t *Taker) Flush() {
	t.mu.Lock()
	t.files = map[string]*File{}
	t.mu.Unlock()
	select {
	case t.poke <- struct{}{}:
	default: // it is poked already
	}
}

// Files gives what lies in the spool and was tried, oldest first, and why
// nothing can be taken ("": it can).
func (t *Taker) Files() (all []File, fault string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range t.files {
		all = append(all, *f)
	}
	slices.SortFunc(all, func(a, b File) int {
		if c := a.Spooled.Compare(b.Spooled); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	return all, t.fault
}

// blame notes why nothing can be taken, and logs it once.
func (t *Taker) blame(err error) {
	fault := ""
	if err != nil {
		fault = err.Error()
	}
	t.mu.Lock()
	news := fault != t.fault
	t.fault = fault
	t.mu.Unlock()
	if news && fault != "" {
		t.c.Log.Warn("no mail can be taken from the spool", "err", fault)
	}
}

// look takes over what is due. more says that there was too much for once.
func (t *Taker) look(ctx context.Context) (more bool, err error) {
	home, err := t.enter()
	if err != nil {
		return false, err
	}
	defer home.Close() // ends the lock
	due, more, err := t.due(home)
	if err != nil {
		return false, fmt.Errorf("looking into the spool: %w", err)
	}
	taken := false
	for _, name := range due {
		if ctx.Err() != nil {
			return false, nil
		}
		taken = t.handle(ctx, name) || taken
	}
	t.report(ctx)
	return more && taken, nil
}

// enter locks the directory.
func (t *Taker) enter() (*os.File, error) {
	o, err := homeOf(t.c.Dir)
	if err != nil {
		return nil, err
	}
	info, err := os.Lstat(t.c.Dir)
	if err != nil {
		return nil, err
	}
	if me := os.Geteuid(); me != 0 && o.uid != me {
		return nil, fmt.Errorf("the spool %s belongs to another user than the one who runs the server: mend that with `%s`", t.c.Dir, MakeCommand(t.c.Dir))
	}
	home, err := lock(t.c.Dir)
	switch {
	case err != nil:
		return nil, fmt.Errorf("looking into the spool: %w", err)
	case home == nil:
		return nil, fmt.Errorf("another server takes the mail of the spool %s: give this one a spool_dir of its own", t.c.Dir)
	}
	if now, err := home.Stat(); err != nil || !os.SameFile(info, now) {
		return nil, errors.Join(errors.New("the spool was exchanged just now"), err, home.Close())
	}
	return home, nil
}

// due names the files to handle, those of different users by turns, forgets
// files that are gone, and removes drafts that were given up.
func (t *Taker) due(home *os.File) (names []string, more bool, err error) {
	byUser := map[int][]string{}
	there := map[string]bool{}
	lying := t.lying()
	for {
		some, err := home.Readdirnames(1000)
		for _, name := range some {
			uid, ok := t.wants(name)
			there[name] = true
			switch {
			case !ok:
			case lying[uid]+len(byUser[uid]) >= perUser && !t.tried(name):
				more = more || len(byUser[uid]) > 0
			default:
				byUser[uid] = append(byUser[uid], name)
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, false, err
		}
	}
	t.mu.Lock()
	for name := range t.files {
		if !there[name] {
			delete(t.files, name)
		}
	}
	t.mu.Unlock()
	return byTurns(byUser), more, nil
}

// lying counts the files that were tried and are still there, by user.
func (t *Taker) lying() map[int]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	count := map[int]int{}
	for _, f := range t.files {
		count[f.UID]++
	}
	return count
}

func (t *Taker) tried(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.files[name] != nil
}

// byTurns gives one of each user, then the next one of each.
func byTurns(byUser map[int][]string) (names []string) {
	for i := 0; len(byUser) > 0; i++ {
		for uid, list := range byUser {
			if i >= len(list) {
				delete(byUser, uid)
				continue
			}
			names = append(names, list[i])
		}
	}
	return names
}

// wants reports whether a file is to be handled now, and whose it is.
func (t *Taker) wants(name string) (uid int, ok bool) {
	if id, is := strings.CutPrefix(name, part); is && IsID(id) {
		t.tidy(name)
		return 0, false
	}
	if id, is := strings.CutPrefix(name, whole); !is || !IsID(id) {
		return 0, false
	}
	t.mu.Lock()
	f := t.files[name]
	wait := f != nil && (f.State == Refused && t.c.Now().Sub(f.Spooled) < keptFor || f.Next.After(t.c.Now()))
	t.mu.Unlock()
	if wait {
		return 0, false
	}
	info, err := os.Lstat(filepath.Join(t.c.Dir, name))
	if err != nil {
		return 0, false
	}
	o, err := ownedBy(info)
	return o.uid, err == nil
}

// tidy removes a draft whose writer must be gone.
func (t *Taker) tidy(name string) {
	path := filepath.Join(t.c.Dir, name)
	if info, err := os.Lstat(path); err != nil || t.c.Now().Sub(info.ModTime()) < draftAge {
		return
	}
	if err := os.Remove(path); err == nil {
		t.c.Log.Info("a draft in the spool whose writer is gone was removed", "file", name)
	}
}

// handle takes one file over, or notes why not. It reports whether the file is
// done with.
func (t *Taker) handle(ctx context.Context, name string) (done bool) {
	path := filepath.Join(t.c.Dir, name)
	f, err := t.take(ctx, path)
	switch {
	case err != nil && ctx.Err() != nil || errors.Is(err, fs.ErrNotExist):
		return false
	case err == nil:
		// Should this fail or not last, the mail is known by its ID.
		if err = os.Remove(path); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.c.Metrics.taken("accepted")
			t.c.Log.Info("mail was taken from the spool", "file", name, "uid", f.UID, "from", f.From, "recipients", len(f.To))
			return true
		}
		err = refuse(fmt.Sprintf("it was taken and cannot be removed: %v", err))
	}
	t.putOff(name, f, err)
	return false
}

// A refuse is why a file is no mail.
type refuse string

func (r refuse) Error() string { return string(r) }

// putOff notes that a file was not taken.
func (t *Taker) putOff(name string, f File, err error) {
	var unfit refuse
	f.Name, f.State, f.Reason = name, Waiting, err.Error()
	if r := (*reply.Error)(nil); errors.As(err, &r) {
		f.Reason = r.Reply.String()
	}
	age := t.c.Now().Sub(f.Spooled)
	if errors.As(err, &unfit) || reply.Of(err).Permanent() || age > t.c.Lifetime() {
		f.State = Refused
	}
	if f.State == Refused && age >= keptFor {
		t.c.Log.Warn("mail in the spool that was refused is old and was removed", "file", name, "uid", f.UID, "from", f.From, "err", f.Reason)
		if err := os.Remove(filepath.Join(t.c.Dir, name)); err == nil {
			return
		}
	}
	t.mu.Lock()
	if was := t.files[name]; was != nil {
		f.tries = was.tries
	}
	f.tries++
	if f.State == Waiting {
		f.Next = t.c.Now().Add(min(firstPause<<min(f.tries-1, 10), lastPause))
	}
	t.files[name] = &f
	t.mu.Unlock()
	t.c.Metrics.taken(map[string]string{Waiting: "deferred", Refused: "refused"}[f.State])
	t.c.Log.Warn("mail in the spool was not taken", "file", name, "uid", f.UID, "from", f.From, "state", f.State, "err", f.Reason)
}

// take hands one file over. Whatever else lies there under a name of ours is
// not followed, not waited for and not believed.
func (t *Taker) take(ctx context.Context, path string) (File, error) {
	var about File
	if info, err := os.Lstat(path); err == nil {
		about.Spooled = info.ModTime()
		if o, err := ownedBy(info); err == nil {
			about.UID = o.uid
		}
	}
	f, err := os.OpenFile(path, os.O_RDONLY|noFollow|noWait, 0)
	switch {
	case errors.Is(err, syscall.ELOOP):
		return about, refuse("it is a symbolic link and no mail: remove it")
	case errors.Is(err, syscall.ENXIO), errors.Is(err, syscall.ENODEV):
		return about, refuse("it is no ordinary file: remove it")
	case errors.Is(err, fs.ErrPermission):
		return about, refuse("the server may not read it: `" + MakeCommand(t.c.Dir) + "` mends the spool for mail to come")
	case err != nil:
		return about, err
	}
	defer f.Close()
	info, o, err := look(f)
	if err != nil {
		return about, err
	}
	about.UID, about.Octets, about.Spooled = o.uid, info.Size(), info.ModTime()
	if err := t.sound(info, o); err != nil {
		return about, err
	}
	e, message, err := decode(f, info.Size())
	if err != nil {
		return about, refuse(err.Error())
	}
	about.From, about.To = e.From, e.To
	if filepath.Base(path) != whole+e.ID {
		return about, refuse("it has the name of another one")
	}
	err = t.c.Take(ctx, Mail{Envelope: e, UID: o.uid, Spooled: about.Spooled, Message: message})
	if c, ok := message.(*checked); ok && c.torn {
		return about, refuse(errTorn.Error())
	}
	return about, err
}

// sound says why a file cannot be mail that its owner left here: then it would
// have been made here, for the server, by one name.
func (t *Taker) sound(info fs.FileInfo, o owned) error {
	home, err := homeOf(t.c.Dir)
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return refuse("it is no ordinary file: remove it")
	case o.links != 1:
		return refuse("it has other names (hard links), so that it may be mail of somebody else: remove it")
	case o.gid != home.gid:
		return refuse("it was not made in the spool, so that it may be mail of somebody else: remove it")
	case info.Mode()&strays != 0:
		return refuse(fmt.Sprintf("others than its owner may change or read it (mode %04o): remove it", info.Mode().Perm()))
	case info.Size() > t.c.MaxOctets()+maxHead:
		return refuse(fmt.Sprintf("it has %d octets, more than limits.message_out allows", info.Size()))
	}
	return nil
}

// report tells of whose mail was refused.
func (t *Taker) report(ctx context.Context) {
	sums := map[int]Refusal{}
	refused, waiting := 0, 0
	all, _ := t.Files()
	for _, f := range all {
		if f.State != Refused {
			waiting++
			continue
		}
		refused++
		r := sums[f.UID]
		sums[f.UID] = Refusal{UID: f.UID, Files: r.Files + 1, Reason: f.Reason}
	}
	t.c.Metrics.lie(waiting, refused)
	for _, r := range sums {
		t.c.Refused(ctx, r)
	}
}
