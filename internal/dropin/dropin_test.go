package dropin

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func ignore(int) {}

// left returns the names in a folder.
func left(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// drop copies into a folder.
func drop(ctx context.Context, source, to string, moved func(int)) (Copied, error) {
	into, err := Open(to, "")
	if err != nil {
		return Copied{}, err
	}
	defer into.Close()
	return into.Copy(ctx, source, moved)
}

var old = time.Unix(1_500_000_000, 0)

func TestACopyIsTheSameUnderItsName(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	content := strings.Repeat("x", 3*copySize+1)
	must(t, os.WriteFile(filepath.Join(from, "run.sh"), []byte(content), 0o755))
	must(t, os.Chtimes(filepath.Join(from, "run.sh"), old, old))
	size, err := Size(filepath.Join(from, "run.sh"))
	must(t, err)
	told := 0
	c, err := drop(t.Context(), filepath.Join(from, "run.sh"), to, func(n int) { told += n })
	must(t, err)
	got, err := os.ReadFile(filepath.Join(to, "run.sh"))
	must(t, err)
	info, err := os.Stat(c.Path)
	must(t, err)
	if string(got) != content || !info.ModTime().Equal(old) || info.Mode()&0o100 == 0 ||
		!c.IsAt(to, "run.sh") || c.Folder || size != int64(told) {
		t.Errorf("%d bytes of %s, mode %v, told of %d of %d", len(got), info.ModTime(), info.Mode(),
			told, size)
	}
}

func TestAFolderIsCopiedWhole(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	run := filepath.Join(from, "run 7")
	must(t, os.MkdirAll(filepath.Join(run, "deep", "er"), 0o755))
	must(t, os.WriteFile(filepath.Join(run, "deep", "data"), []byte("data"), 0o644))
	must(t, os.Chtimes(filepath.Join(run, "deep"), old, old))
	c, err := drop(t.Context(), run+string(filepath.Separator), to, ignore)
	must(t, err)
	got, err := os.ReadFile(filepath.Join(c.Path, "deep", "data"))
	if err != nil || string(got) != "data" {
		t.Errorf("got %q, %v", got, err)
	}
	info, err := os.Stat(filepath.Join(c.Path, "deep"))
	if err != nil || !info.ModTime().Equal(old) {
		t.Errorf("the folder is of %v, %v", info.ModTime(), err)
	}
	if _, err := os.Stat(filepath.Join(c.Path, "deep", "er")); err != nil {
		t.Error(err)
	}
	must(t, os.Rename(c.Path, filepath.Join(to, "moved")))
	if !c.Folder || !c.IsAt(to, "moved") || c.IsAt(to, "moved/deep") || c.IsAt(to, "run 7") {
		t.Errorf("it is not known again: %+v", c)
	}
}

func TestFailuresLeaveNothingBehind(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	data := filepath.Join(from, "data")
	must(t, os.WriteFile(data, make([]byte, 2*copySize), 0o644))
	must(t, os.Mkdir(filepath.Join(from, "folder"), 0o755))
	must(t, os.Symlink(data, filepath.Join(from, "folder", "link")))
	stopped, stop := context.WithCancel(t.Context())
	stop()
	grow := func(int) {
		f, err := os.OpenFile(data, os.O_APPEND|os.O_WRONLY, 0)
		must(t, err)
		_, err = f.Write([]byte("more"))
		must(t, errors.Join(err, f.Close()))
	}
	for _, c := range []struct {
		name, source string
		ctx          context.Context
		moved        func(int)
		want         string
	}{
		{"a link in a folder", filepath.Join(from, "folder"), t.Context(), ignore,
			"is a link: send the file itself"},
		{"not there", filepath.Join(from, "nothing"), t.Context(), ignore, "no such file"},
		{"interrupted", data, stopped, ignore, "context canceled"},
		{"growing", data, t.Context(), grow, "has changed while it was copied"},
	} {
		if _, err := drop(c.ctx, c.source, to, c.moved); err == nil ||
			!strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
		if names := left(t, to); len(names) > 0 {
			t.Errorf("%s: left behind: %v", c.name, names)
		}
	}
	if _, err := Size(filepath.Join(from, "folder")); err == nil {
		t.Error("a link has a size")
	}
}

func TestNothingIsReplaced(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	must(t, os.WriteFile(filepath.Join(from, "data"), []byte("new"), 0o644))
	must(t, os.WriteFile(filepath.Join(to, "data"), []byte("old"), 0o644))
	if _, err := drop(t.Context(), filepath.Join(from, "data"), to, ignore); !errors.Is(err,
		fs.ErrExist) {
		t.Errorf("got %v", err)
	}
	got, err := os.ReadFile(filepath.Join(to, "data"))
	if err != nil || string(got) != "old" || len(left(t, to)) != 1 {
		t.Errorf("it holds %q, %v, beside %v", got, err, left(t, to))
	}
}

// The folder of an address is made where it is missing, and is no other's.
func TestACopyIntoAFolderOfOutbox(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	must(t, os.WriteFile(filepath.Join(from, "data"), []byte("new"), 0o644))
	for _, name := range []string{"data", "again"} {
		into, err := Open(to, "@CA-RC")
		must(t, err)
		must(t, os.Rename(filepath.Join(from, left(t, from)[0]), filepath.Join(from, name)))
		c, err := into.Copy(t.Context(), filepath.Join(from, name), ignore)
		must(t, err)
		into.Close()
		if c.Path != filepath.Join(to, "@CA-RC", name) {
			t.Errorf("it lies at %s", c.Path)
		}
	}
	if names := left(t, to); len(names) != 1 {
		t.Errorf("there are %q", names)
	}
	must(t, os.WriteFile(filepath.Join(to, "@SF-RC"), nil, 0o644))
	if _, err := Open(to, "@SF-RC"); err == nil {
		t.Error("a file was taken for a folder")
	}
}

// The marker of a folder is made beside it, and never in the place of a file.
func TestAMarker(t *testing.T) {
	to := t.TempDir()
	into, err := Open(to, "")
	must(t, err)
	defer into.Close()
	must(t, into.Mark("run 7.done"))
	must(t, os.WriteFile(filepath.Join(to, "run 8.done"), []byte("data"), 0o644))
	must(t, into.Mark("run 8.done"))
	for name, want := range map[string]string{"run 7.done": "", "run 8.done": "data"} {
		if text, err := os.ReadFile(filepath.Join(to, name)); err != nil || string(text) != want {
			t.Errorf("%s holds %q, %v", name, text, err)
		}
	}
}
