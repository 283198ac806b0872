package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// spareOctets is what stays free beside a message on the disk of the spool.
const spareOctets = 64 << 20

// Drop leaves a message in a spool for the server. It is durable when Drop
// returns nil, and the server answers for it from then on. The error says what
// is wrong with the directory and how that is mended; then nothing was left.
func Drop(dir string, e Envelope, message []byte) error {
	first, err := encode(e, message)
	if err != nil {
		return err
	}
	home, err := homeOf(dir)
	if err != nil {
		return err
	}
	if free, err := freeOctets(dir); err == nil && free < spareOctets+uint64(len(message)) {
		return fmt.Errorf("the disk of the spool %s is full: free some space", dir)
	}
	draft := filepath.Join(dir, part+e.ID)
	f, err := create(draft, home)
	if err != nil {
		return err
	}
	_, err = f.Write(first)
	if err == nil {
		_, err = f.Write(message)
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		err = fmt.Errorf("writing to the spool %s: %w", dir, err)
		return errors.Join(err, f.Close(), os.Remove(draft))
	}
	return errors.Join(publish(f, draft, filepath.Join(dir, whole+e.ID)), f.Close())
}

// Count says how much mail lies in a spool, to who may list it.
func Count(dir string) (n int, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if id, ok := strings.CutPrefix(e.Name(), whole); ok && IsID(id) {
			n++
		}
	}
	return n, err
}

// homeOf looks at the directory of a spool.
func homeOf(dir string) (owned, error) {
	info, err := os.Lstat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return owned{}, fmt.Errorf("there is no spool: `%s` makes it", MakeCommand(dir))
	case err != nil:
		return owned{}, fmt.Errorf("looking at the spool: %w", err)
	case !info.IsDir():
		return owned{}, fmt.Errorf("%s is no directory: move it away, and make the spool with `%s`", dir, MakeCommand(dir))
	case info.Mode().Perm()&0o022 != 0 && info.Mode()&fs.ModeSticky == 0:
		return owned{}, fmt.Errorf("in the spool %s everybody may remove the mail of others: mend that with `%s`", dir, MakeCommand(dir))
	}
	return ownedBy(info)
}

// create makes a file for the server and for nobody else.
func create(path string, home owned) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|noFollow, 0o600)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("this user may not write to the spool %s: mend that with `%s`", filepath.Dir(path), MakeCommand(filepath.Dir(path)))
	case err != nil:
		return nil, fmt.Errorf("writing to the spool: %w", err)
	}
	_, o, err := look(f)
	switch {
	case err != nil:
	case o.gid != home.gid:
		// With this group somebody else could read it, and not the server.
		err = fmt.Errorf("files in the spool %s do not get its group: mend that with `%s`", filepath.Dir(path), MakeCommand(filepath.Dir(path)))
	default:
		err = f.Chmod(mode)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(path))
	}
	return f, nil
}

// publish gives a file that is whole and durable its name. The directory cannot
// be opened to make the name durable, because nobody may list it: the file
// system is asked to instead.
func publish(f *os.File, draft, path string) error {
	if err := os.Rename(draft, path); err != nil {
		return errors.Join(fmt.Errorf("writing to the spool: %w", err), os.Remove(draft))
	}
	err := syncAround(f)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("writing to the spool: %w", err)
	if gone := os.Remove(path); errors.Is(gone, fs.ErrNotExist) {
		return nil // the server has it already
	} else if gone != nil {
		err = errors.Join(err, gone)
	}
	return err
}
