//go:build linux

package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/unicode/norm"
)

func (d *drop) GoString() string {
	return fmt.Sprintf("%s, %d bytes of %s, %v", d.name, d.size, d.mtime, d.parts)
}

func (p part) String() string { return fmt.Sprintf("%q", p.line()) }

// part is a file or folder in a folder that was dropped.
type part struct {
	path string // begins with the folder's name; slashes
	dir  bool
	drop // of a file: as if it were dropped alone; a folder has only a time
}

// line returns the line of an entry as FORMAT describes it.
func (p part) line() []byte {
	if p.dir {
		return fmt.Appendf(nil, "dir 0755 %d 0 - %s\x00", p.mtime.Unix(), p.path)
	}
	return p.drop.line(p.path)
}

func (d *drop) line(path string) []byte {
	mode := "0644"
	if d.exec {
		mode = "0755"
	}
	return fmt.Appendf(nil, "file %s %d %d %x %s\x00", mode, d.mtime.Unix(), d.size, d.sum, path)
}

// look reads a file or folder at a place as a drop of this name.
func look(place, name string) (*drop, error) {
	info, err := os.Lstat(place)
	if err != nil {
		return nil, err
	}
	d := &drop{name: name, mtime: info.ModTime().Truncate(time.Second)}
	if !info.IsDir() {
		d.size, d.exec = info.Size(), info.Mode().Perm()&0o111 != 0
		d.sum, err = hashFile(place)
		return d, err
	}
	d.folder = true
	err = filepath.WalkDir(place, func(at string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(place, at)
		p := part{path: path.Join(name, filepath.ToSlash(rel)), dir: e.IsDir()}
		if p.dir {
			one, err := e.Info()
			if err != nil {
				return err
			}
			p.mtime = one.ModTime().Truncate(time.Second)
		} else {
			file, err := look(at, e.Name())
			if err != nil {
				return err
			}
			p.drop = *file
			d.size += file.size
		}
		d.parts = append(d.parts, p)
		return nil
	})
	slices.SortFunc(d.parts, func(a, b part) int { return strings.Compare(a.path, b.path) })
	return d, err
}

// placed returns a drop as a recipient must have it. Its names are portable, and nothing is
// executable unless agent.toml says so.
func (d *drop) placed(at *site) *drop {
	config, err := os.ReadFile(at.config())
	must(at.t, err)
	keeps := bytes.Contains(config, []byte("\nexecutables = true\n"))
	out := *d
	out.name, out.exec = portable(d.name), d.exec && keeps
	out.parts = slices.Clone(d.parts)
	seen, twins := map[string]bool{}, map[string]bool{}
	for i, p := range out.parts { // in the order of the format
		same := filepath.Dir(p.path) + "/" + strings.ToLower(norm.NFC.String(filepath.Base(p.path)))
		twins[p.path], seen[same] = seen[same], true
		names := strings.Split(p.path, "/")
		for n := range names {
			if twins[strings.Join(strings.Split(p.path, "/")[:n+1], "/")] {
				names[n] = twin(names[n])
			} else {
				names[n] = portable(names[n])
			}
		}
		out.parts[i].path, out.parts[i].exec = strings.Join(names, "/"), p.exec && keeps
	}
	slices.SortFunc(out.parts, func(a, b part) int { return strings.Compare(a.path, b.path) })
	return &out
}

// files returns the number of files of a drop.
func (d *drop) files() (n int) {
	if !d.folder {
		return 1
	}
	for _, p := range d.parts {
		if !p.dir {
			n++
		}
	}
	return n
}

// DropFolder makes a folder beside the tray and renames it into the outbox. The content of each
// file is its own path, many times over.
func (s *site) DropFolder(name string, paths ...string) *drop {
	s.t.Helper()
	made := filepath.Join(s.w.dir, fmt.Sprintf("made-%d", len(s.w.drops)))
	must(s.t, os.MkdirAll(made, 0o755))
	for i, p := range paths {
		at := filepath.Join(made, filepath.FromSlash(p))
		must(s.t, os.MkdirAll(filepath.Dir(at), 0o755))
		if strings.HasSuffix(p, "/") {
			must(s.t, os.MkdirAll(at, 0o755))
			continue
		}
		mode := os.FileMode(0o644)
		if strings.HasSuffix(p, ".sh") {
			mode = 0o755
		}
		must(s.t, os.WriteFile(at, bytes.Repeat([]byte(s.name+" "+name+" "+p+"\n"), i*i*100), mode))
	}
	d, err := look(made, name)
	must(s.t, err)
	d.lab = s
	s.w.drops = append(s.w.drops, d)
	must(s.t, os.Rename(made, s.at("outbox", name)))
	return d
}

// A folder is one message. It has empty, executable and deep entries, and ones with odd names.
func TestFoldersArriveAsOneMessageEach(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ca, sf := w.Centre("CA-RC", "fl-lab.*"), w.Centre("SF-RC", "#")
	lab := w.NewLab("FL-LAB", ca, sf)
	edit(t, lab.config(), `folder_settle = "1m"`, `folder_settle = "1h"`)
	lab.Start()
	deep := strings.Repeat("deep/", 60) + "at the bottom.csv"
	// more than are made durable at the same time, with the third
	for _, name := range []string{"run 7", "run: eight?"} {
		lab.DropFolder(name, "a", "a-b/1", "a.txt", "ünicode", "analyse.sh", "empty/",
			"empty too/nothing/", "deep/.hidden", "names/what?.csv", "names/CON", deep)
	}
	lab.DropFolder("of one name each", "DATA.csv", "Data.csv", "data.csv", "Run/a", "run/a",
		"run/A", "run-b", "\u00e9t\u00e9", "e\u0301te\u0301")
	lab.DropFolder("nothing in it")
	lab.Drop("beside it.csv", smallFile)
	ca.Expect(lab, "beside it.csv")
	if n := ca.count("inbox"); n != 1 {
		t.Errorf("%d files arrived before the markers", n)
	}
	for _, name := range []string{"run 7", "run: eight?", "of one name each", "nothing in it"} {
		must(t, os.WriteFile(lab.at("outbox", name+".done"), nil, 0o644))
	}
	w.Audit()
}

// The auditor sees the problems of folders, too.
func TestTheAuditorSeesInFolders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	centre := w.Centre("CA-RC", "fl-lab.*")
	lab := w.NewLab("FL-LAB", centre)
	edit(t, lab.config(), `folder_settle = "1m"`, `folder_settle = "0s"`)
	lab.Start()
	lab.DropFolder("run 7", "a", "b.sh", "empty/")
	a := newAudit(w)
	a.await()
	a.records = a.readRecords()
	w.stop()
	for _, c := range []struct {
		name     string
		do, undo func() error
	}{
		{"nothing", func() error { return nil }, func() error { return nil }},
		{
			"an empty folder is gone", func() error {
				return os.Remove(centre.at("inbox", "FL-LAB", "run 7", "empty"))
			}, func() error {
				return os.Mkdir(centre.at("inbox", "FL-LAB", "run 7", "empty"), 0o755)
			}},
		{
			"another byte", func() error {
				return os.WriteFile(centre.at("inbox", "FL-LAB", "run 7", "a"), []byte("x"), 0o644)
			}, func() error {
				return os.WriteFile(centre.at("inbox", "FL-LAB", "run 7", "a"), nil, 0o644)
			}},
		{
			"it is executable", func() error {
				return os.Chmod(centre.at("inbox", "FL-LAB", "run 7", "b.sh"), 0o755)
			}, func() error {
				return os.Chmod(centre.at("inbox", "FL-LAB", "run 7", "b.sh"), 0o644)
			}},
		{"a file too many", func() error {
			return os.WriteFile(centre.at("inbox", "FL-LAB", "run 7", "x"), nil, 0o644)
		}, nil},
	} {
		must(t, c.do())
		second := newAudit(w)
		second.records = a.records
		second.check()
		if found := len(second.problems) > 0; found != (c.name != "nothing") {
			t.Errorf("%s: %v", c.name, second.problems)
		}
		if c.undo != nil {
			must(t, c.undo())
			old := lab.w.drops[0]
			for _, p := range old.parts {
				at := centre.at("inbox", "FL-LAB", filepath.FromSlash(p.path))
				must(t, os.Chtimes(at, p.mtime, p.mtime))
			}
		}
	}
}

// digest returns the digest of a message as FORMAT describes it: its entries, hashed.
func (d *drop) digest() []byte {
	var all []byte
	if !d.folder {
		all = d.line(d.name)
	}
	for _, p := range d.parts {
		all = append(all, p.line()...)
	}
	sum := sha256.Sum256(all)
	return sum[:]
}
