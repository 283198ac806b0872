package bolt

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// Backup writes the store as it is at this moment as a tar archive, while it
// goes on working. What was acknowledged before the call is in it.
func (s *Store) Backup(ctx context.Context, w io.Writer) error {
	if err := s.broken(ctx); err != nil {
		return err
	}
	f, _, err := s.freeze()
	if err != nil {
		return err
	}
	defer f.close()
	out := archive{tar.NewWriter(w), s.now()}
	if err := out.header(indexName, f.v.tx.Size()); err != nil {
		return err
	}
	if _, err := f.v.tx.WriteTo(out.Writer); err != nil {
		return err
	}
	for _, g := range f.segs {
		if err := errors.Join(ctx.Err(), out.file(path.Join("log", filepath.Base(g.name)), g.file, g.end)); err != nil {
			return err
		}
	}
	err = f.all(bucketBody, func(key string, row []byte) error {
		b, err := decodeBody(row)
		if err != nil || b.segment != 0 {
			return err
		}
		name := bodyName(s.bodyDir, id64[uint64](key))
		file, err := s.fs.Open(name, os.O_RDONLY)
		if err != nil {
			return err
		}
		defer file.Close()
		return errors.Join(ctx.Err(), out.file(path.Join("body", filepath.Base(name)), file, b.octets()))
	})
	if err != nil {
		return err
	}
	return out.Close()
}

// An archive is what Backup writes.
type archive struct {
	*tar.Writer
	now time.Time
}

func (a archive) header(name string, size int64) error {
	return a.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: size, ModTime: a.now, Format: tar.FormatPAX})
}

func (a archive) file(name string, from io.ReaderAt, size int64) error {
	if err := a.header(name, size); err != nil {
		return err
	}
	_, err := io.Copy(a.Writer, io.NewSectionReader(from, 0, size))
	return err
}

// Restore writes what Backup wrote into a directory that is missing or empty,
// durably. Open then finds the store as it was.
func Restore(ctx context.Context, dir string, r io.Reader) error {
	if names, err := os.ReadDir(dir); err == nil && len(names) > 0 {
		return fmt.Errorf("bolt: %s is not empty: restore into a new directory", dir)
	}
	dirs := []string{dir, filepath.Join(dir, "log"), filepath.Join(dir, "body")}
	for _, d := range dirs {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return err
		}
	}
	if err := restoreFiles(ctx, dir, tar.NewReader(r)); err != nil {
		return err
	}
	var errs []error
	for _, d := range append(dirs, filepath.Dir(dir)) {
		errs = append(errs, disk{}.SyncDir(d))
	}
	return errors.Join(errs...)
}

func restoreFiles(ctx context.Context, dir string, in *tar.Reader) error {
	for index := false; ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) && index {
			return nil
		}
		if errors.Is(err, io.EOF) {
			return errors.New("bolt: this is no backup: it has no index")
		}
		if err := errors.Join(err, ctx.Err()); err != nil {
			return fmt.Errorf("bolt: reading the backup: %w", err)
		}
		if !restorable(h) {
			return fmt.Errorf("bolt: %q does not belong into a backup", h.Name)
		}
		index = index || h.Name == indexName
		if err := restoreFile(filepath.Join(dir, filepath.FromSlash(h.Name)), in); err != nil {
			return err
		}
	}
}

// restorable tells files of a store from anything else that an archive may
// hold: names that lead out of the directory among it.
func restorable(h *tar.Header) bool {
	if h.Typeflag != tar.TypeReg {
		return false
	}
	dir, name := path.Split(h.Name)
	switch dir {
	case "":
		return name == indexName
	case "log/":
		_, hex := bodyID(strings.TrimSuffix(name, segmentSuffix))
		return hex && strings.HasSuffix(name, segmentSuffix)
	case "body/":
		_, hex := bodyID(name)
		return hex
	}
	return false
}

func restoreFile(name string, from io.Reader) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	return errors.Join(err, f.Sync(), f.Close())
}
