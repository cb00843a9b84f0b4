package beneath

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// held opens a new folder.
func held(t *testing.T) (*Dir, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "held")
	check(t, os.Mkdir(path, 0o777))
	d, err := Open(path)
	check(t, err)
	t.Cleanup(d.Close)
	return d, path
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t testing.TB, path, text string) {
	t.Helper()
	check(t, os.MkdirAll(filepath.Dir(path), 0o777))
	check(t, os.WriteFile(path, []byte(text), 0o666))
}

func expect(t testing.TB, path, text string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != text {
		t.Errorf("%s holds %q, %v; want %q", path, got, err, text)
	}
}

func TestNamesStayBelow(t *testing.T) {
	d, path := held(t)
	write(t, filepath.Join(path, "..", "outside"), "not ours")
	for _, name := range []string{"", ".", "..", "../outside", "a/../../outside", "/etc", "a//b",
		"a/./b", "a/", "a/..", "a\x00/../b"} {
		for op, do := range operations(d, name) {
			if err := do(); !errors.Is(err, ErrName) {
				t.Errorf("%s %q: %v", op, name, err)
			}
		}
	}
	expect(t, filepath.Join(path, "..", "outside"), "not ours")
}

// operations are all that take a name.
func operations(d *Dir, name string) map[string]func() error {
	return map[string]func() error{
		"Dir":             func() error { _, err := d.Dir(name); return err },
		"DirSameMount":    func() error { _, err := d.DirSameMount(name); return err },
		"Lstat":           func() error { _, err := d.Lstat(name); return err },
		"Open":            func() error { _, _, err := d.Open(name); return err },
		"ReadFile":        func() error { _, err := d.ReadFile(name, 10); return err },
		"Create":          func() error { _, err := d.Create(name, 0o666); return err },
		"Writer":          func() error { _, err := d.Writer(name); return err },
		"Append":          func() error { _, err := d.Append(name); return err },
		"Mkdir":           func() error { return d.Mkdir(name, 0o777) },
		"Remove":          func() error { return d.Remove(name) },
		"RemoveAll":       func() error { return d.RemoveAll(name) },
		"Rename":          func() error { return d.Rename(name, d, "x") },
		"RenameNoReplace": func() error { return d.RenameNoReplace(name, d, "x") },
		"Chtimes":         func() error { return d.Chtimes(name, time.Unix(1, 0)) },
		"Replace":         func() error { return d.Replace(name, nil, 0o666) },
		"WriteFile":       func() error { return d.WriteFile(name, nil, 0o666) },
		"SyncFile":        func() error { return d.SyncFile(name) },
	}
}

func TestWorkInAFolder(t *testing.T) {
	d, path := held(t)
	check(t, d.MkdirAll("a/b/c", 0o777))
	check(t, d.MkdirAll("a/b/c", 0o777)) // again
	f, err := d.Create("a/b/file", 0o666)
	check(t, err)
	_, err = f.WriteString("one")
	check(t, errors.Join(err, f.Close()))
	if _, err := d.Create("a/b/file", 0o666); !errors.Is(err, fs.ErrExist) {
		t.Errorf("made again: %v", err)
	}
	f, err = d.Append("a/b/file")
	check(t, err)
	_, err = f.WriteString(" two")
	check(t, errors.Join(err, f.Close()))
	f, info, err := d.Open("a/b/file")
	check(t, err)
	text, err := io.ReadAll(f)
	check(t, errors.Join(err, f.Close()))
	if string(text) != "one two" || info.Size != 7 || !info.IsRegular() || info.Name != "file" ||
		info.Links != 1 {
		t.Errorf("%q, %+v", text, info)
	}
	check(t, d.RenameNoReplace("a/b/file", d, "moved"))
	if second, err := d.Lstat("moved"); err != nil || second.ID != info.ID {
		t.Errorf("moved: %+v, %v", second, err)
	}
	check(t, d.WriteFile("other", []byte("other"), 0o640))
	if err := d.RenameNoReplace("moved", d, "other"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("renamed over another file: %v", err)
	}
	check(t, d.Rename("moved", d, "other"))
	expect(t, filepath.Join(path, "other"), "one two")
	when := time.Unix(1700000000, 0)
	check(t, d.Chtimes("other", when))
	if info, err := d.Lstat("other"); err != nil || !info.ModTime.Equal(when) {
		t.Errorf("%+v, %v", info, err)
	}
	write(t, filepath.Join(path, "a", "b", "deep", "er", "x"), "x")
	check(t, d.SyncTree("a"))
	check(t, d.SyncGroup([]string{"other", "a/b/deep/er/x"}, []string{".", "a/b"}))
	many := slices.Repeat([]string{"other"}, 2*fewSyncs)
	check(t, d.SyncGroup(many, nil))
	for name, err := range map[string]error{
		"a group of few": d.SyncGroup([]string{"absent"}, nil),
		"a folder":       d.SyncGroup(nil, []string{"absent"}),
		"a file":         d.SyncFile("absent"),
	} {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("sync %s that is not there: %v", name, err)
		}
	}
	if free, err := d.Free(); err != nil || free <= 0 {
		t.Errorf("free: %d, %v", free, err)
	}
}

func TestOpenOrMake(t *testing.T) {
	_, path := held(t)
	for range 2 {
		d, err := OpenOrMake(filepath.Join(path, "a", "b"), 0o777)
		check(t, err)
		d.Close()
	}
	write(t, filepath.Join(path, "file"), "x")
	if _, err := OpenOrMake(filepath.Join(path, "file", "b"), 0o777); err == nil {
		t.Error("a folder was made below a file")
	}
}

func TestRemoveAll(t *testing.T) {
	d, path := held(t)
	for i := range 3 * pageSize {
		write(t, filepath.Join(path, "tree", "wide", string(rune('a'+i%26))+
			time.Unix(int64(i), 0).Format("150405")), "")
	}
	write(t, filepath.Join(path, "tree", "deep", "er", "x"), "x")
	check(t, d.RemoveAll("tree"))
	check(t, d.RemoveAll("tree")) // nothing there
	if empty, err := d.IsEmpty(); err != nil || !empty {
		t.Errorf("empty: %v, %v", empty, err)
	}
}

func TestEachInPages(t *testing.T) {
	d, path := held(t)
	const files = 2*pageSize + 1
	for i := range files {
		write(t, filepath.Join(path, time.Unix(int64(i), 0).UTC().Format("150405")), "")
	}
	found := map[string]bool{}
	check(t, d.Each(func(page []fs.DirEntry) error {
		if len(page) > pageSize {
			t.Errorf("%d entries at once", len(page))
		}
		for _, e := range page {
			found[e.Name()] = true
		}
		return nil
	}))
	stop := errors.New("stop")
	if err := d.Each(func([]fs.DirEntry) error {
		return stop
	}); err != stop || len(found) != files {
		t.Errorf("%d found; %v", len(found), err)
	}
}

// Readers see the old content or the new one, whole, and nothing is left beside it.
func TestReplaceIsWhole(t *testing.T) {
	d, path := held(t)
	for _, text := range []string{"first", "", "second"} {
		check(t, d.Replace("note", []byte(text), 0o644))
		expect(t, filepath.Join(path, "note"), text)
	}
	check(t, os.Mkdir(filepath.Join(path, "taken"), 0o777))
	if err := d.WriteFile("taken", []byte("x"), 0o644); err == nil {
		t.Error("a folder was replaced by a file")
	}
	entries, err := os.ReadDir(path)
	if err != nil || len(entries) != 2 {
		t.Errorf("%v, %v", entries, err)
	}
}

func TestIsName(t *testing.T) {
	for name, want := range map[string]bool{"a": true, "a.b": true, "...": true, "": false,
		".": false, "..": false, "a/b": false, "/": false, "a/": false} {
		if IsName(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}

func FuzzNames(f *testing.F) {
	for _, name := range []string{"a", "../x", "a/../../x", "/x", "a//x", ".", "a\x00b", "a/b"} {
		f.Add(name)
	}
	outer := f.TempDir()
	check(f, os.WriteFile(filepath.Join(outer, "x"), []byte("outside"), 0o666))
	check(f, os.Mkdir(filepath.Join(outer, "held"), 0o777))
	d, err := Open(filepath.Join(outer, "held"))
	check(f, err)
	f.Fuzz(func(t *testing.T, name string) {
		for op, do := range operations(d, name) {
			if err := do(); err == nil && !filepath.IsLocal(name) {
				t.Errorf("%s %q", op, name)
			}
		}
		expect(t, filepath.Join(outer, "x"), "outside")
		check(t, os.RemoveAll(filepath.Join(outer, "held", "x")))
		check(t, d.RemoveAll("a"))
	})
}
