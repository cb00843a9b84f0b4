package envelope

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// theirHeader returns the header of Go's archive/tar for the member in FormatPAX.
func theirHeader(t rapid.TB, m member) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	h := &tar.Header{Name: m.path, Typeflag: tar.TypeReg, Mode: m.mode(), Size: m.size,
		ModTime: time.Unix(m.mtime, 0), Format: tar.FormatPAX}
	if m.dir {
		h.Typeflag = tar.TypeDir
	}
	if err := w.WriteHeader(h); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func anyMember(t *rapid.T) member {
	m := member{
		path:  anyPath(t, "path"),
		dir:   rapid.Bool().Draw(t, "dir"),
		mtime: rapid.Int64Range(0, maxOctal-1).Draw(t, "mtime"),
	}
	if !m.dir {
		m.exec = rapid.Bool().Draw(t, "exec")
		m.size = rapid.OneOf(rapid.Int64Range(0, 1<<20), rapid.Int64Range(maxOctal-2, maxOctal+2),
			rapid.Int64Range(0, 1<<62)).Draw(t, "size")
	}
	return m
}

// anyPath draws valid paths, many of them around the 100 bytes that a header's field holds.
func anyPath(t *rapid.T, label string) string {
	component := rapid.OneOf(
		rapid.StringMatching(`[a-zA-Z0-9_.\\ -]{1,20}`),
		rapid.StringMatching(`[a-z]{90,110}`),
		rapid.StringMatching(`[äöü😀é]{1,5}`),
		rapid.StringN(1, 60, 200),
	)
	parts := rapid.SliceOfN(component, 1, 5).Draw(t, label)
	path := strings.Join(parts, "/")
	if ValidPath(path) != nil {
		t.Skip("not a valid path")
	}
	return path
}

func TestHeaderIsThatOfArchiveTar(t *testing.T) {
	check := func(t rapid.TB, m member) {
		own := appendHeader(nil, m)
		if goTar := theirHeader(t, m); !bytes.Equal(own, goTar) {
			t.Fatalf("header of %+v:\n ours  %q\n theirs %q", m, own, goTar)
		}
	}
	edges := []string{
		strings.Repeat("a", 100), strings.Repeat("a", 101), strings.Repeat("a", 99) + "/b",
		strings.Repeat("a", 98) + "/b/c",
		strings.Repeat("é", 50), strings.Repeat("a", 99) + "/é", "é", strings.Repeat("a/", 60) +
			"b", strings.Repeat("a", 155) + "/" + strings.Repeat("b", 100),
		strings.Repeat("a", 156) + "/" + strings.Repeat("b", 99), strings.Repeat("a", 155) + "/" +
			strings.Repeat("b", 101), "a/" + strings.Repeat("b", 100),
		strings.Repeat("a", 154) + "/b/" + strings.Repeat("c", 99), strings.Repeat("a", 100) + "/b",
		strings.Repeat("x", MaxPath),
	}
	for _, path := range edges {
		check(t, member{path: path, size: 3})
		check(t, member{path: path, size: maxOctal, mtime: maxOctal - 1})
		check(t, member{path: path, dir: true})
	}
	rapid.Check(t, func(t *rapid.T) { check(t, anyMember(t)) })
}

func TestHeaderIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := anyMember(t)
		var r tarReader
		r.reset(bytes.NewReader(appendHeader(nil, m)), m.size)
		got, err := r.next()
		if err != nil {
			t.Fatal(err)
		}
		if got != m {
			t.Fatalf("got %+v, want %+v", got, m)
		}
	})
}

// Every changed byte of a header is noticed: a member has one spelling. Only PAX records, without a
// checksum, can be changed into another member's.
func TestHeaderHasOneSpelling(t *testing.T) {
	for _, m := range []member{
		{path: "content/0/data.csv", size: 5, mtime: 1759924800},
		{path: "content/0/" + strings.Repeat("é", 60), size: 5, exec: true},
		{path: "content/0/big", size: maxOctal},
		{path: "content/0/dir", dir: true},
		{path: "content/0/" + strings.Repeat("d/", 60) + "f"},
	} {
		whole := appendHeader(nil, m)
		for i := range whole {
			for _, flip := range []byte{0x01, 0x20, 0x80, whole[i]} {
				if flip == 0 {
					continue
				}
				broken := slices.Clone(whole)
				broken[i] ^= flip
				var r tarReader
				r.reset(io.MultiReader(bytes.NewReader(broken),
					bytes.NewReader(make([]byte, 8<<10))), 1<<50)
				got, err := r.next()
				if err != nil && !errors.Is(err, errArchive) {
					t.Fatalf("byte %d of the header of %+v: %v", i, m, err)
				}
				if err == nil && (got == m || i < blockSize || i >= len(whole)-blockSize) {
					t.Fatalf("byte %d of the header of %+v changed: got %+v", i, m, got)
				}
			}
		}
	}
}

func TestValidPath(t *testing.T) {
	good := []string{"a", "a/b", "a b/c'd\"e", ".hidden", "...", "a\\b", "C:", "é/😀", "a\nb",
		"a/.b", "-rf", strings.Repeat("x", MaxPath)}
	bad := []string{"", "/", "/a", "a/", "a//b", ".", "..", "./a", "a/.", "a/../b", "../a", "a\x00",
		"\xff", "a/\xc3", strings.Repeat("x", MaxPath+1)}
	for _, path := range good {
		if err := ValidPath(path); err != nil {
			t.Errorf("%q: %v", path, err)
		}
	}
	for _, path := range bad {
		if err := ValidPath(path); !errors.Is(err, ErrName) {
			t.Errorf("%q: got %v", path, err)
		}
	}
	for _, name := range append(bad, "a/b", strings.Repeat("x", MaxName+1)) {
		if err := ValidName(name); !errors.Is(err, ErrName) {
			t.Errorf("name %q: got %v", name, err)
		}
	}
	if err := ValidName(strings.Repeat("x", MaxName)); err != nil {
		t.Error(err)
	}
}

func TestEntryOrder(t *testing.T) {
	type entry struct {
		path string
		dir  bool
	}
	dir := func(p string) entry { return entry{p, true} }
	reg := func(p string) entry { return entry{p, false} }
	tests := []struct {
		name    string
		folder  bool
		entries []entry
		bad     int // index of the entry that is refused; -1: none
	}{
		{"a file", false, []entry{reg("d")}, -1},
		{"a file that is a folder", false, []entry{dir("d")}, 0},
		{"a file of another name", false, []entry{reg("e")}, 0},
		{"a second file", false, []entry{reg("d"), reg("e")}, 1},
		{"something in a file", false, []entry{reg("d"), reg("d/e")}, 1},
		{"an empty folder", true, []entry{dir("d")}, -1},
		{"a folder that is a file", true, []entry{reg("d")}, 0},
		{"the folder's entry is missing", true, []entry{reg("d/e")}, 0},
		{"nested", true, []entry{dir("d"), dir("d/a"), reg("d/a/x"), dir("d/b"), dir("d/b/c"),
			reg("d/b/c/y"), reg("d/z")}, -1},
		{"a file between a folder and what is in it", true,
			[]entry{dir("d"), dir("d/a"), reg("d/a-b"), reg("d/a/x")}, -1},
		{"folders whose names begin alike", true, []entry{dir("d"), dir("d/a"), dir("d/a b"),
			reg("d/a b/x"), dir("d/a-"), reg("d/a-/x"), reg("d/a/x")}, -1},
		{"twice", true, []entry{dir("d"), reg("d/a"), reg("d/a")}, 2},
		{"out of order", true, []entry{dir("d"), reg("d/b"), reg("d/a")}, 2},
		{"a parent is missing", true, []entry{dir("d"), reg("d/a/x")}, 1},
		{"a parent comes later", true, []entry{dir("d"), reg("d/a/x"), dir("d/a")}, 1},
		{"a parent is a file", true, []entry{dir("d"), reg("d/a"), reg("d/a/x")}, 2},
		{"a parent was left", true, []entry{dir("d"), dir("d/a"), reg("d/b"), reg("d/b/x")}, 3},
		{"outside the folder", true, []entry{dir("d"), reg("e")}, 1},
		{"a name that begins like the folder", true, []entry{dir("d"), reg("d-/x")}, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var o entryOrder
			o.reset("d", test.folder)
			for i, e := range test.entries {
				if err := o.add(e.path, e.dir); (err != nil) != (i == test.bad) {
					t.Fatalf("entry %d, %q: %v", i, e.path, err)
				} else if err != nil {
					return
				}
			}
		})
	}
}

// The order accepts every tree that is walked by the bytes of the paths.
func TestEntryOrderOfTrees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dirs := map[string]bool{"d": true}
		for _, parts := range rapid.SliceOf(rapid.SliceOfN(rapid.StringMatching(`[a\-0./]{1,2}`), 1,
			4)).Draw(t, "tree") {
			path := "d"
			for _, part := range parts {
				if path += "/" + part; ValidPath(path) == nil {
					dirs[path] = true
				}
			}
		}
		var paths []string
		for _, path := range slices.Sorted(maps.Keys(dirs)) {
			if path == "d" || slices.Contains(paths, path[:strings.LastIndexByte(path, '/')]) {
				paths = append(paths, path)
			}
		}
		var o entryOrder
		o.reset("d", true)
		for _, path := range paths {
			if err := o.add(path, true); err != nil {
				t.Fatalf("%q of %q: %v", path, paths, err)
			}
		}
		if len(o.open) > MaxPath {
			t.Fatal("it remembers too much")
		}
	})
}
