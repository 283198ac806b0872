package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"homing/config"
)

// editConfig changes the configuration at path, which may be a symbolic link.
// edit gets the text and gives the new one. The file is replaced only when the
// old and the new text have no error, all at once, with its permissions and
// its owner; it is durable when editConfig returns nil. Two edits at the same
// time happen one after the other. What it gives is the new configuration,
// with its warnings.
func editConfig(path string, edit func(text []byte, cfg *config.Config) ([]byte, error)) (*config.Config, error) {
	cfg, err := edited(path, edit)
	return cfg, explainConfig(err)
}

func edited(path string, edit func(text []byte, cfg *config.Config) ([]byte, error)) (*config.Config, error) {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, fmt.Errorf("finding the configuration: %w", err)
	}
	dir, err := os.Open(filepath.Dir(target))
	if err != nil {
		return nil, fmt.Errorf("opening the directory of the configuration: %w", err)
	}
	defer dir.Close() // gives the lock back
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX); err != nil {
		return nil, fmt.Errorf("waiting for other changes of the configuration: %w", err)
	}

	text, err := os.ReadFile(target)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	base, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("finding the directory of the configuration: %w", err)
	}
	old, _ := config.Parse(text, base)
	if old == nil {
		return nil, fmt.Errorf("%s has errors already: run `homing config check`, correct them and try again", path)
	}
	if text, err = edit(bytes.Clone(text), old); err != nil {
		return nil, err
	}
	cfg, problems := config.Parse(text, base)
	if cfg == nil {
		return nil, unwanted(problems)
	}
	cfg.Warnings = problems
	if err := replaceFile(target, text); err != nil {
		return nil, fmt.Errorf("writing the configuration: %w", err)
	}
	return cfg, dir.Sync()
}

// unwanted is the error for a change that would not be a configuration. Its
// lines would be those of a text that nobody sees.
func unwanted(problems config.Problems) error {
	var errs []error
	for _, p := range problems {
		if !p.Warning {
			errs = append(errs, fmt.Errorf("%s: %s", p.Key, p.Message))
		}
	}
	return fmt.Errorf("nothing was changed: %w", errors.Join(errs...))
}

// replaceFile writes a file anew, with the permissions and the owner that it
// has. The name is durable once the directory is synced.
func replaceFile(path string, text []byte) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return writeFile(path, text, info)
}

// writeFile gives a path a new file, with the permissions and the owner of
// like, or mode 0600 when that is nil. Readers see the file before or the
// whole new one, also after a crash. The name is durable once the directory is
// synced.
func writeFile(path string, text []byte, like fs.FileInfo) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = tmp.Write(text)
	if like != nil {
		if s, ok := like.Sys().(*syscall.Stat_t); ok {
			err = errors.Join(err, tmp.Chown(int(s.Uid), int(s.Gid)))
		}
		err = errors.Join(err, tmp.Chmod(like.Mode().Perm()))
	}
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return nil
}
