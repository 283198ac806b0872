package maildir_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"homing/internal/maildir"
)

// filled makes a Maildir with files: "new/1.a", "cur/2.b:2,S".
func filled(t testing.TB, files ...string) maildir.Dir {
	t.Helper()
	dir := t.TempDir()
	for _, sub := range []string{"new", "cur", "tmp"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("message "+filepath.Base(name)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return maildir.Dir(dir)
}

func names(t testing.TB, d maildir.Dir) (all []string) {
	t.Helper()
	found, err := d.Messages()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range found {
		all = append(all, m.Name)
	}
	return all
}

func move(t testing.TB, d maildir.Dir, from, to string) {
	t.Helper()
	if err := os.Rename(filepath.Join(string(d), from), filepath.Join(string(d), to)); err != nil {
		t.Fatal(err)
	}
}

func TestMessagesAreThoseOfNewAndCurByName(t *testing.T) {
	d := filled(t, "new/3.c", "cur/1.a:2,S", "cur/2.b", "tmp/0.x", "new/.hidden", "new/4.d", "cur/4.d:2,")
	if err := os.Mkdir(filepath.Join(string(d), "new", "5.dir"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(string(d), "new", "6.link")); err != nil {
		t.Fatal(err)
	}
	if got, want := names(t, d), []string{"1.a", "2.b", "3.c", "4.d"}; !slices.Equal(got, want) {
		t.Errorf("messages %q, want %q", got, want)
	}
	all, err := d.Messages()
	if err != nil || !all[0].Seen || all[2].Seen || all[2].Size != int64(len("message 3.c")) || all[2].Modified.IsZero() {
		t.Errorf("messages %+v, %v", all, err)
	}
}

func TestAMaildirThatIsNotThereIsEmpty(t *testing.T) {
	all, err := maildir.Dir(filepath.Join(t.TempDir(), "nowhere")).Messages()
	if len(all) != 0 || err != nil {
		t.Errorf("%v, %v; want no messages", all, err)
	}
}

func TestAMessageIsOpenedAndRemovedWhereReadersHaveMovedIt(t *testing.T) {
	d := filled(t, "new/1.a", "new/2.b", "new/3.c")
	all, err := d.Messages()
	if err != nil {
		t.Fatal(err)
	}
	move(t, d, "new/1.a", "cur/1.a:2,S")
	f, err := d.Open(all[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if text, err := io.ReadAll(f); string(text) != "message 1.a" || err != nil {
		t.Errorf("read %q, %v", text, err)
	}
	removed, err := d.Remove(all[0], all[2])
	if err != nil || len(removed) != 2 {
		t.Errorf("removed %d, %v; want both", len(removed), err)
	}
	if got := names(t, d); !slices.Equal(got, []string{"2.b"}) {
		t.Errorf("left %q", got)
	}
}

func TestAMessageThatAnotherReaderTookIsNoError(t *testing.T) {
	d := filled(t, "new/1.a", "new/2.b")
	all, err := d.Messages()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(string(d), "new", "1.a")); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Open(all[0]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open says %v, want fs.ErrNotExist", err)
	}
	removed, err := d.Remove(all...)
	if err != nil || len(removed) != 1 || removed[0].Name != "2.b" {
		t.Errorf("removed %+v, %v; want 2.b alone", removed, err)
	}
}

// Who may write to the Maildir, as the user of a web server may, must not have
// us read what is not his.
func TestWhatBecameOfAFileMeanwhileIsNotFollowed(t *testing.T) {
	for name, become := range map[string]func(path string) error{
		"a link":      func(path string) error { return os.Symlink("/etc/passwd", path) },
		"a pipe":      func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a directory": func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		t.Run(name, func(t *testing.T) {
			d := filled(t, "new/1.a")
			all, err := d.Messages()
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(string(d), "new", "1.a")
			if err := errors.Join(os.Remove(path), become(path)); err != nil {
				t.Fatal(err)
			}
			if f, err := d.Open(all[0]); err == nil {
				t.Errorf("opened %s", f.Name())
			}
		})
	}
}

func TestSeenMessagesMoveToCurUnderTheirName(t *testing.T) {
	d := filled(t, "new/1.a", "new/2.b", "cur/3.c:2,R")
	all, err := d.Messages()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(string(d), "new", "2.b")); err != nil {
		t.Fatal(err)
	}
	if err := d.See(all...); err != nil {
		t.Errorf("See says %v", err)
	}
	found, err := os.ReadDir(filepath.Join(string(d), "cur"))
	if err != nil || len(found) != 2 || found[0].Name() != "1.a:2,S" || found[1].Name() != "3.c:2,R" {
		t.Errorf("cur has %v, %v", found, err)
	}
	if got := names(t, d); !slices.Equal(got, []string{"1.a", "3.c"}) {
		t.Errorf("messages %q", got)
	}
}

func ExampleDir_Messages() {
	d := maildir.Dir("testdata/example")
	all, err := d.Messages()
	if err != nil {
		fmt.Println(err)
	}
	for _, m := range all {
		fmt.Println(m.Name, m.Seen, m.Size)
	}
	// Output: 1.first false 6
}
