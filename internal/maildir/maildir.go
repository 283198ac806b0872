// Package maildir lists, opens and removes the messages of a Maildir, while
// others put some in, read them and take them away.
package maildir

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A Dir is the path of a Maildir: the directory that holds cur, new and tmp.
type Dir string

// A Message is a file of a Maildir.
type Message struct {
	// Name is what the file is called without the flags that readers add: the
	// same for as long as it is there.
	Name     string
	Seen     bool  // a reader has moved it to cur
	Size     int64 // of the file, in octets
	Modified time.Time
	path     string
}

// Messages gives what is there, by name, which is nearly the order in which it
// came. What is no plain file, or begins with a dot, is none. A Maildir that is
// not there is an empty one.
func (d Dir) Messages() (all []Message, err error) {
	for _, sub := range []string{"new", "cur"} {
		found, err := d.in(sub)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	slices.SortStableFunc(all, func(a, b Message) int { return cmp.Compare(a.Name, b.Name) })
	// One that was moved while we looked is there twice.
	return slices.CompactFunc(all, func(a, b Message) bool { return a.Name == b.Name }), nil
}

func (d Dir) in(sub string) (all []Message, err error) {
	entries, err := os.ReadDir(filepath.Join(string(d), sub))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the Maildir: %w", err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // taken meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("reading the Maildir: %w", err)
		}
		name, _, _ := strings.Cut(e.Name(), ":")
		if name == "" || name[0] == '.' || !info.Mode().IsRegular() {
			continue
		}
		all = append(all, Message{name, sub == "cur", info.Size(), info.ModTime(), filepath.Join(string(d), sub, e.Name())})
	}
	return all, nil
}

// Open opens a message, wherever readers have moved it. fs.ErrNotExist: it was
// taken away.
func (d Dir) Open(m Message) (*os.File, error) {
	f, err := open(m.path)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	now, err := d.again([]Message{m})
	if err != nil {
		return nil, err
	}
	if len(now) == 0 {
		return nil, fs.ErrNotExist
	}
	return open(now[0].path)
}

// open opens a plain file, and no other: who may write to the directory is not
// to have us read elsewhere, or wait.
func open(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Remove removes messages, wherever readers have moved them, and gives those
// that were there. It goes on after an error. It is durable when it returns
// nil.
func (d Dir) Remove(messages ...Message) (removed []Message, err error) {
	var errs []error
	var moved []Message
	for _, m := range messages {
		switch err := os.Remove(m.path); {
		case err == nil:
			removed = append(removed, m)
		case errors.Is(err, fs.ErrNotExist):
			moved = append(moved, m)
		default:
			errs = append(errs, err)
		}
	}
	again, err := d.again(moved)
	errs = append(errs, err)
	for _, m := range again {
		switch err := os.Remove(m.path); {
		case err == nil:
			removed = append(removed, m)
		case !errors.Is(err, fs.ErrNotExist):
			errs = append(errs, err)
		}
	}
	if len(removed) > 0 {
		errs = append(errs, d.sync("new"), d.sync("cur"))
	}
	return removed, errors.Join(errs...)
}

// See moves messages to cur and marks them as seen, those that nobody has moved
// meanwhile.
func (d Dir) See(messages ...Message) error {
	var errs []error
	for _, m := range messages {
		if m.Seen {
			continue
		}
		err := os.Rename(m.path, filepath.Join(string(d), "cur", m.Name+":2,S"))
		if !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// again gives those of the messages that are still there, as they are called
// now.
func (d Dir) again(messages []Message) (found []Message, err error) {
	if len(messages) == 0 {
		return nil, nil
	}
	all, err := d.Messages()
	for _, m := range messages {
		i, there := slices.BinarySearchFunc(all, m.Name, func(x Message, name string) int { return cmp.Compare(x.Name, name) })
		if there {
			found = append(found, all[i])
		}
	}
	return found, err
}

func (d Dir) sync(sub string) error {
	f, err := os.Open(filepath.Join(string(d), sub))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
