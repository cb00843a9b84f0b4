package inbox

import (
	"maps"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sealpost/internal/beneath"
)

// held opens a folder until the test ends.
func held(t testing.TB, path string) *beneath.Dir {
	t.Helper()
	d, err := beneath.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// unpack writes entries through a sink, in the format's order, and returns the result: for each
// path its content. A path with a final slash is a folder.
func unpack(t testing.TB, dir string, paths ...string) map[string]string {
	t.Helper()
	s := newSink(held(t, dir), form{access: Group.accessFor(beneath.Info{})})
	defer s.close()
	entries := map[string]bool{} // true: a folder
	for _, p := range paths {
		entries[strings.TrimSuffix(p, "/")] = strings.HasSuffix(p, "/")
		for up := path.Dir(strings.TrimSuffix(p, "/")); up != "."; up = path.Dir(up) {
			entries[up] = true
		}
	}
	for _, p := range slices.Sorted(maps.Keys(entries)) {
		if entries[p] {
			if err := s.Dir(0, p, time.Unix(1, 0)); err != nil {
				t.Fatalf("%+q: %v", p, err)
			}
			continue
		}
		f, err := s.File(0, p, false, time.Unix(1, 0), 0)
		if err != nil {
			t.Fatalf("%+q: %v", p, err)
		}
		if _, err := f.Write([]byte(p)); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.finish(); err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	err := filepath.WalkDir(filepath.Join(dir, "0"),
		func(at string, e os.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			text, err := os.ReadFile(at)
			rel, _ := filepath.Rel(filepath.Join(dir, "0"), at)
			found[filepath.ToSlash(rel)] = string(text)
			return err
		})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// twinsOfAllKinds maps names that many disks confuse to their expected places.
var twinsOfAllKinds = map[string]string{
	"run/DATA.csv":                      "DATA.csv", // the first, in the order of bytes
	"run/Data.csv":                      "%44ata.csv",
	"run/data.csv":                      "%64ata.csv",
	"run/Sub/a.txt":                     "Sub/a.txt",
	"run/sub/a.txt":                     "%73ub/%61.txt",
	"run/sub/A.txt":                     "%73ub/A.txt", // no twin of Sub/a.txt: in another folder
	"run/sub/b/deep.txt":                "%73ub/b/deep.txt",
	"run/sub-b/x":                       "sub-b/x", // sorted between sub and its entries
	"run/e\u0301t\u00e9.txt":            "e\u0301t\u00e9.txt",
	"run/\u00e9t\u00e9.txt":             "%C3%A9t%C3%A9.txt",
	"run/\u00c9T\u00c9.TXT":             "%C3%89%54%C3%89.%54%58%54",
	"run/\u03a3.dat":                    "\u03a3.dat",
	"run/\u03c2.dat":                    "%CF%82.dat",
	"run/\u03c3.dat":                    "%CF%83.dat",
	"run/kelvin":                        "kelvin",
	"run/\u212aelvin":                   "%E2%84%AAelvin",
	"run/CON":                           "%43ON",
	"run/Con":                           "%43%6Fn",
	"run/con":                           "%63on", // as on every system, and unique
	"run/\u00e4":                        "\u00e4",
	"run/\u00f6":                        "\u00f6",
	"run/\u6570\u636e":                  "\u6570\u636e",
	"run/" + strings.Repeat("X", 260):   "",
	"run/" + strings.Repeat("x", 260):   "",
	"run/" + strings.Repeat("X", 254):   strings.Repeat("X", 254),
	"run/" + strings.Repeat("x", 254):   "",
	"run/100%25":                        "100%2525",
	"run/a %":                           "%61 %",
	"run/A %":                           "A %",
	"run/%64ata.csv":                    "%2564ata.csv",
	"run/" + strings.Repeat("deep/", 9): "",
	"run/" + strings.Repeat("Deep/", 9): "",
}

// Of names that many disks confuse, each gets its own.
func TestTwins(t *testing.T) {
	checkTwins(t, t.TempDir())
}

// checkTwins unpacks the names above and checks the place and the content of each entry.
func checkTwins(t *testing.T, dir string) {
	t.Helper()
	got := unpack(t, dir, slices.Collect(maps.Keys(twinsOfAllKinds))...)
	files := 0
	for sent, want := range twinsOfAllKinds {
		if strings.HasSuffix(sent, "/") {
			continue
		}
		files++
		if want != "" && got[want] != sent {
			t.Errorf("%+q does not lie at %+q, where there is %+q", sent, want, got[want])
		}
	}
	for at, sent := range got {
		if _, known := twinsOfAllKinds[sent]; !known {
			t.Errorf("%+q holds %+q", at, sent)
		}
	}
	if len(got) != files {
		t.Errorf("%d files became %d", files, len(got))
	}
}

// No two names become one where case and accents do not count, and each decodes to its original.
func TestTwinsAreNeverTakenForEachOther(t *testing.T) {
	letters := rapid.SampledFrom([]string{"a", "A", "é", "e\u0301", "É", "E\u0301", "ß", "ss", "k",
		"K", "\u212a", "%", "4", "c", "con", "CON", "Con", ".", " ", "?", "\u0301", "İ", "i"})
	name := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(letters, 1, 4).Draw(t, "name"), "")
	}).
		Filter(func(s string) bool { return s != "." && s != ".." })
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfNDistinct(name, 2, 30, rapid.ID[string]).Draw(t, "names")
		slices.Sort(list)
		var s twins
		taken := map[string]string{}
		for _, name := range list {
			if _, err := s.add(0, "run/"+name); err != nil {
				t.Fatal(err)
			}
			at, err := s.tempName(0, "run/"+name)
			if err != nil {
				t.Fatal(err)
			}
			got := path.Base(filepath.ToSlash(at))
			if other, isTaken := taken[folded(got)]; isTaken {
				t.Fatalf("%+q and %+q become one: %+q", other, name, got)
			}
			taken[folded(got)] = name
			if decode(got) != name {
				t.Fatalf("%+q becomes %+q, which decodes to %+q", name, got, decode(got))
			}
			if why := onWindows(got) + onLinux(got); why != "" {
				t.Fatalf("%+q becomes %+q: %s", name, got, why)
			}
		}
	})
}

func TestSumsOfManyNamesTakeNoMemory(t *testing.T) {
	s := sums{root: held(t, t.TempDir())}
	defer s.close()
	var before, after runtime.MemStats
	const many = 100_000
	for _, isNew := range []bool{true, false} {
		for n := range many {
			if n == maxInMemory+1 && isNew {
				runtime.GC()
				runtime.ReadMemStats(&before)
			}
			got, err := s.add(sum("name", n, "x"))
			if err != nil || got != isNew {
				t.Fatalf("%d is new: %t, want %t (%v)", n, got, isNew, err)
			}
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 256<<10 {
		t.Errorf("it takes %d bytes more", grown)
	}
	for n := range many {
		if found, err := s.has(sum("name", many+n, "x")); err != nil || found {
			t.Fatalf("%d is there: %t, %v", many+n, found, err)
		}
	}
}

// A disk may confuse more names than the rule. Here the disk already has a name.
func TestDiskConfusesNames(t *testing.T) {
	root := held(t, t.TempDir())
	s := newSink(root, form{access: Group.accessFor(beneath.Info{})})
	defer s.close()
	add := func(path, want string) {
		t.Helper()
		name, err := s.make(0, path, func(in *beneath.Dir, name string) error {
			return in.Mkdir(name, 0o700)
		})
		if err != nil || filepath.ToSlash(name) != want {
			t.Errorf("%s is made as %q, want %q (%v)", path, name, want, err)
		}
	}
	add("run", "0")
	for _, name := range []string{"0/long~1", "0/both", "0/%62oth"} {
		if err := root.Mkdir(name, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	add("run/long~1", "0/%6Cong~1")
	add("run/long~1/x", "0/%6Cong~1/x")
	if _, err := s.make(0, "run/both", func(in *beneath.Dir, name string) error {
		return in.Mkdir(name, 0o700)
	}); err == nil {
		t.Error("it is made a third time")
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func holds(t testing.TB, path, text string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != text {
		t.Errorf("%s holds %q, %v; want %q", path, got, err, text)
	}
}
