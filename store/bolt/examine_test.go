package bolt

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"homing/store"
)

// filesOf gives everything in a store's directory.
func filesOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		files[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// used gives a store that was killed: two segments, mail of several sizes, an
// outcome, and frames that its index does not know.
func used(t *testing.T) *place {
	t.Helper()
	p := newPlace(t)
	p.Open(t)
	ids := fill(t, p.s, 3)
	if err := p.s.Apply(t.Context(), cancelled(ids[0])); err != nil {
		t.Fatal(err)
	}
	p.Kill(t)
	p.Open(t)
	p.s.tending.Lock() // the flusher stays where it is
	for _, size := range []int{10, 20, 200_000} {
		if _, err := tryEnqueue(t, p.s, size); err != nil {
			t.Fatal(err)
		}
	}
	p.s.mu.Lock()
	p.s.active = newOverlay() // what the process knows goes with it, so that nothing is left to flush
	p.s.mu.Unlock()
	p.s.tending.Unlock()
	p.Kill(t)
	return p
}

func examine(t *testing.T, p *place) *Examination {
	t.Helper()
	before := filesOf(t, p.options.Dir)
	x, err := Examine(t.Context(), p.options.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(filesOf(t, p.options.Dir), before) {
		t.Error("Examine changed something")
	}
	return x
}

func TestExamineSaysWhatAStoreHolds(t *testing.T) {
	p := used(t)
	x := examine(t, p)
	got := fmt.Sprint(x.Segments, x.Frames, x.Messages, x.Recipients, x.Bodies, x.Loose, x.Faults, x.Starts)
	want := fmt.Sprint(2, 7, 6, map[store.State]int{store.Waiting: 5, store.Cancelled: 1}, 5, []string(nil), []error(nil), true)
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if x.Behind == 0 || x.Behind > 7 || x.LogOctets == 0 || x.IndexOctets == 0 {
		t.Errorf("behind by %d frames, log of %d octets, index of %d", x.Behind, x.LogOctets, x.IndexOctets)
	}
}

func TestExamineLeavesAStoreThatIsInUse(t *testing.T) {
	p := newPlace(t)
	p.Open(t)
	defer p.Close(t)
	if _, err := Examine(t.Context(), p.options.Dir); err == nil || !strings.Contains(err.Error(), "stop it") {
		t.Errorf("got %v", err)
	}
	if _, err := Examine(t.Context(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "no store") {
		t.Errorf("of an empty directory: %v", err)
	}
}

// spoil changes an octet of a file.
func spoil(t *testing.T, path string, at int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if at < 0 {
		at += len(b)
	}
	b[at] ^= 0xff
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func TestExamineNamesWhatIsDamaged(t *testing.T) {
	segment := func(p *place, n uint64) string { return segmentName(filepath.Join(p.options.Dir, "log"), n) }
	body := func(t *testing.T, p *place) string {
		names, err := filepath.Glob(filepath.Join(p.options.Dir, "body", "*"))
		if err != nil || len(names) != 1 {
			t.Fatalf("bodies %v, %v", names, err)
		}
		return names[0]
	}
	tests := []struct {
		name   string
		spoil  func(t *testing.T, p *place)
		want   string // part of a fault
		starts bool
	}{
		{"a frame in the middle of what the index does not know", func(t *testing.T, p *place) { spoil(t, segment(p, 2), segmentHeader+frameHeader+8) },
			"octets 64 to ", false},
		{"the header of a segment", func(t *testing.T, p *place) { spoil(t, segment(p, 2), 20) }, "its header does not match", false},
		{"a segment is missing", func(t *testing.T, p *place) { remove(t, segment(p, 1)) }, "is missing", false},
		{"a file of a body", func(t *testing.T, p *place) { spoil(t, body(t, p), 1000) }, "does not match its checksum", true},
		{"a file of a body is missing", func(t *testing.T, p *place) { remove(t, body(t, p)) }, "it is missing; it had", true},
		{"the index and the first segment are missing", func(t *testing.T, p *place) {
			remove(t, indexPath(p.options.Dir))
			remove(t, segment(p, 1))
		}, "the log begins with frame", false},
		{"the index is cut short", func(t *testing.T, p *place) { os.Truncate(indexPath(p.options.Dir), 3*pageOctets) }, "index.db", false},
		{"a file that does not belong there", func(t *testing.T, p *place) { os.WriteFile(segment(p, 1)+"~", nil, 0o600) }, "no file of the log", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := used(t)
			tt.spoil(t, p)
			x := examine(t, p)
			if !strings.Contains(fmt.Sprint(x.Faults), tt.want) {
				t.Errorf("faults %v, want %q", x.Faults, tt.want)
			}
			s, err := Open(t.Context(), p.options)
			if err == nil {
				s.kill()
			}
			if (err == nil) != tt.starts {
				t.Errorf("Open: %v, want %v", err, tt.starts)
			}
			if x.Starts != (err == nil) {
				t.Errorf("it says that the server starts: %v; and it gives %v", x.Starts, err)
			}
		})
	}
}

func TestExamineTellsWhatACrashLeftFromDamage(t *testing.T) {
	p := used(t)
	log := filepath.Join(p.options.Dir, "log")
	f, err := os.OpenFile(segmentName(log, 2), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("hmf\x01 half a frame"), p.s.log.cur.end); err != nil {
		t.Fatal(err)
	}
	f.Close()
	for path, n := range map[string]int{segmentName(log, 3): 4096, bodyName(filepath.Join(p.options.Dir, "body"), 1): 10} {
		if err := os.WriteFile(path, make([]byte, n), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	x := examine(t, p)
	if len(x.Faults) > 0 || !x.Starts || len(x.Loose) != 3 {
		t.Errorf("faults %v, loose %q, starts %v; want no faults and three loose ends", x.Faults, x.Loose, x.Starts)
	}
	p.Open(t)
	if err := p.s.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	p.Close(t)
	if x := examine(t, p); len(x.Loose) > 0 {
		t.Errorf("after a start: %q", x.Loose)
	}
}

func TestDamageIsErrDamagedWithItsPlace(t *testing.T) {
	err := damaged("/x/log/1.log", "octet %d", 7)
	var d *Damage
	if !errors.Is(err, ErrDamaged) || !errors.As(err, &d) || d.File != "/x/log/1.log" || d.What != "octet 7" {
		t.Errorf("got %#v", err)
	}
}
