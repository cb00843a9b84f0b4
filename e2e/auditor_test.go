//go:build linux

package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// An auditor that sees nothing proves nothing. After a story that went well, the test makes each
// problem that the auditor must see, one at a time.
func TestTheAuditorSees(t *testing.T) {
	t.Parallel()
	w, lab, centre := labAndCentre(t)
	d := lab.Drop("measurements.csv", smallFile)
	a := newAudit(w)
	a.await()
	a.records = a.readRecords()
	w.stop()
	look := func() []string {
		second := newAudit(w)
		second.records = a.records
		second.check()
		return second.problems
	}
	if p := look(); len(p) > 0 {
		t.Fatalf("before anything was done to it: %v", p)
	}
	arrived, source := centre.at("inbox", "FL-LAB", d.name),
		lab.at("delivered", todaysFirst(lab), d.name)
	atHub := filepath.Join(w.hub.dir, "state", "left behind")
	identity, err := os.ReadFile(lab.at("state", "identity.key"))
	must(t, err)
	write := func(path, text string) func() {
		return func() { must(t, os.WriteFile(path, []byte(text), 0o644)) }
	}
	for _, c := range []struct {
		name string
		do   func()
		want string
	}{
		{"a second copy", write(centre.at("inbox", "FL-LAB", "measurements (1).csv"), "x"),
			"nobody sent what lies in inbox"},
		{"a file that is gone", func() { must(t, os.Remove(arrived)) }, "is not in the inbox"},
		{"a changed byte", func() { spoil(t, arrived) }, "that are not those of"},
		{"a temporary file", write(centre.at("inbox", ".sealpost", "tmp", "x"), "x"),
			"temporary files are left"},
		{
			"a record that is wrong", func() {
				spoil(t, centre.at("inbox", ".sealpost", "FL-LAB", todaysFirst(lab)+".json"))
			}, "the record of"},
		{"a record too many", write(centre.at("inbox", ".sealpost", "FL-LAB", "x.json"), "{}"),
			"records lie beside"},
		{"a file in failed", write(lab.at("failed", "x"), "x"), "in failed"},
		{"a file in outbox", write(lab.at("outbox", "x"), "x"), "in outbox"},
		{"a source that changed", func() { spoil(t, source) },
			"does not lie unchanged in delivered"},
		{"the note of an upload", write(lab.at("state", "sealed", "x"), "x"), "uploads are noted"},
		{"a name", write(atHub, "log: measurements.csv"), `the name "measurements.csv"`},
		{"a name of a file", write(filepath.Join(w.hub.dir, "measurements.csv"), ""),
			"as the name of"},
		{"content", write(atHub, "--"+string(d.marks[1])+"--"), "content of"},
		{
			"content in base64", write(atHub, base64.StdEncoding.EncodeToString(
				append([]byte("0"), d.marks[0]...))), "content of"},
		{"content in base64, shifted", write(atHub,
			base64.URLEncoding.EncodeToString(append([]byte("01"), d.marks[0]...))), "content of"},
		{"a digest", write(atHub, hex.EncodeToString(d.sum[:])), "the SHA-256 of"},
		{"a digest in capitals", write(atHub, strings.ToUpper(hex.EncodeToString(d.digest()))),
			"the digest of"},
		{"a private key", write(atHub, string(identity)), "the identity key of FL-LAB"},
	} {
		before := snapshot(t, w.dir)
		c.do()
		if p := look(); !slices.ContainsFunc(p,
			func(s string) bool { return strings.Contains(s, c.want) }) {
			t.Errorf("%s: it says %q, and nothing about %q", c.name, p, c.want)
		}
		before.restore(t, w.dir)
	}
	if p := look(); len(p) > 0 {
		t.Errorf("after everything was mended: %v", p)
	}
	a.records = append(a.records, a.records[0])
	if p := look(); len(p) != 1 || !strings.Contains(p[0], "the hub has 2 records") {
		t.Errorf("a delivery recorded twice: it says %q", p)
	}
}

func todaysFirst(lab *site) string {
	entries, err := os.ReadDir(lab.at("delivered"))
	must(lab.t, err)
	return entries[0].Name()
}

// spoil changes one byte of a file and gives it back its time.
func spoil(t testing.TB, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	must(t, err)
	info, err := os.Stat(path)
	must(t, err)
	content[len(content)/2] ^= 1
	must(t, os.WriteFile(path, content, 0o644))
	must(t, os.Chtimes(path, time.Time{}, info.ModTime()))
}

// picture is the content of a folder.
type picture map[string]kept

type kept struct {
	content []byte
	mtime   time.Time
}

func snapshot(t testing.TB, dir string) picture {
	t.Helper()
	p := picture{}
	walk(t, dir, func(path string, info os.FileInfo) {
		content, err := os.ReadFile(path)
		must(t, err)
		p[path] = kept{content, info.ModTime()}
	})
	return p
}

func (p picture) restore(t testing.TB, dir string) {
	t.Helper()
	isEqual := map[string]bool{}
	walk(t, dir, func(path string, _ os.FileInfo) {
		content, err := os.ReadFile(path)
		must(t, err)
		if k, known := p[path]; !known {
			must(t, os.Remove(path))
		} else if isEqual[path] = bytes.Equal(k.content, content); !isEqual[path] {
			must(t, os.Remove(path))
		}
	})
	for path, k := range p {
		if !isEqual[path] {
			must(t, os.WriteFile(path, k.content, 0o600))
			must(t, os.Chtimes(path, time.Time{}, k.mtime))
		}
	}
}

func walk(t testing.TB, dir string, each func(path string, info os.FileInfo)) {
	t.Helper()
	must(t, filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			each(path, info)
		}
		return err
	}))
}

func TestThePortableNameRuleByExample(t *testing.T) {
	long := strings.Repeat("ä", 200)
	for name, want := range map[string]string{
		"data.csv": "data.csv", "a:b": "a%3Ab", "CON": "%43ON", "com1.txt": "%63om1.txt",
		"x.": "x%2E", "x ": "x%20", "100%25": "100%2525", "100%": "100%",
		"new\nline": "new%0Aline", ".hidden": "%2Ehidden", "-rf": "%2Drf",
		"\u202egpj": "%E2%80%AEgpj", "console": "console", "Desktop.ini": "%44esktop.ini",
		"x.lnk": "x%2Elnk", "x.pdf.URL": "x.pdf%2EURL", "a\u200bb": "a%E2%80%8Bb",
		"\u2764\ufe0f": "\u2764\ufe0f", "\U0001f469\u200d\U0001f52c": "\U0001f469\u200d\U0001f52c",
		"x\ufe0f": "x%EF%B8%8F",
	} {
		if got := portable(name); got != want {
			t.Errorf("%q becomes %q, want %q", name, got, want)
		}
	}
	if got := portable(long + ".csv"); len(got) > 255 || !strings.HasSuffix(got, ".csv") ||
		!strings.HasPrefix(got, "äää") {
		t.Errorf("a long name becomes %q", got)
	}
}

func walkAll(t testing.TB, dir string, each func(path string)) {
	t.Helper()
	must(t, filepath.Walk(dir, func(path string, _ os.FileInfo, err error) error {
		if err == nil {
			each(path)
		}
		return err
	}))
}
