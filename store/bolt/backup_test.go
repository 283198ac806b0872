package bolt

import (
	"archive/tar"
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"homing/event"
)

func TestABackupOfABusyStoreIsTheStoreAtThatMoment(t *testing.T) {
	p, _ := rolling(t)
	ids := fill(t, p.s, 12)
	large, err := tryEnqueue(t, p.s, 300_000)
	if err != nil {
		t.Fatal(err)
	}
	cancel(t, p.s, ids[:6]...)
	want := rowsOf(t, p.s)
	// While the backup is written, everything in it goes, and more comes.
	w := &busyWriter{do: func() {
		cancel(t, p.s, append(ids[6:], large)...)
		fill(t, p.s, 12)
		p.tend(t)
	}}
	if err := p.s.Backup(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	q := newPlace(t)
	if err := Restore(t.Context(), q.options.Dir, &w.Buffer); err != nil {
		t.Fatal(err)
	}
	q.Open(t)
	defer q.Close(t)
	if diff := cmp.Diff(want, rowsOf(t, q.s), cmp.AllowUnexported(rowKey{})); diff != "" {
		t.Errorf("rows differ (-want +got):\n%s", diff)
	}
	for _, id := range []event.DeliveryID{ids[6], ids[11], large} {
		bodyText(t, q.s, id)
	}
	if err := q.s.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	if err := Restore(t.Context(), q.options.Dir, &w.Buffer); err == nil {
		t.Error("restored over a store")
	}
	p.tend(t)
	if err := p.s.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}

// A busyWriter does something at the first write.
type busyWriter struct {
	bytes.Buffer
	do func()
}

func (w *busyWriter) Write(p []byte) (int, error) {
	if do := w.do; do != nil {
		w.do = nil
		do()
	}
	return w.Buffer.Write(p)
}

func TestRestoreRefusesWhatIsNoBackup(t *testing.T) {
	for _, name := range []string{"../index.db", "/etc/passwd", "log/../../x.log", "lock", "body/x", "log/0000000000000001", "dir/", "body/../lock"} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		// But for its second file this is a backup.
		for _, n := range []string{indexName, name} {
			if err := w.WriteHeader(&tar.Header{Name: n, Mode: 0o600}); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := Restore(t.Context(), newPlace(t).options.Dir, &b); err == nil {
			t.Errorf("%q was restored", name)
		}
	}
	if err := Restore(t.Context(), newPlace(t).options.Dir, new(bytes.Buffer)); err == nil {
		t.Error("nothing was restored without an error")
	}
}
