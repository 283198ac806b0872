package bolt

import (
	"errors"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"

	"homing/store"
)

// fail makes the store refuse everything from now on but reading. The marker
// tells the next start. It need not be durable: only while the system runs on
// can its cache show what the disk does not have.
func (s *Store) fail(cause error) error {
	if s.failed.set(cause) {
		s.slog.Error("the disk failed: nothing is acknowledged until a restart", "err", cause)
		if err := os.WriteFile(filepath.Join(s.dir, suspectName), []byte(cause.Error()+"\n"), 0o600); err != nil {
			s.slog.Error("marker of the failed disk not written", "err", err)
		}
	}
	return errors.Join(store.ErrFailed, cause)
}

const suspectName = "suspect"

// distrust copies the index when the process before saw the disk fail: pages
// that bbolt takes for written may be in the system's cache alone, and would
// be missing after a loss of power.
func distrust(dir string) error {
	marker := filepath.Join(dir, suspectName)
	if _, err := os.Stat(marker); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	fresh := indexPath(dir) + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := copyIndex(indexPath(dir), fresh); err != nil {
		return errors.Join(err, os.Remove(fresh))
	}
	if err := os.Rename(fresh, indexPath(dir)); err != nil {
		return err
	}
	if err := (disk{}).SyncDir(dir); err != nil {
		return err
	}
	return os.Remove(marker)
}

func copyIndex(from, to string) error {
	src, err := openIndex(from, nil)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := bolt.Open(to, 0o600, nil)
	if err != nil {
		return err
	}
	const perTransaction = 16 << 20
	return errors.Join(bolt.Compact(dst, src, perTransaction), dst.Close())
}
