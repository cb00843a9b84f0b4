package envelope

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
)

var shellBlock = regexp.MustCompile("(?s)```sh\n(.*?)```")

// stockAge builds the age command from its own module and returns the folder that it is in.
func stockAge(t *testing.T) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the commands are for a Unix shell")
	}
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "age"),
		"filippo.io/age/cmd/age").CombinedOutput(); err != nil {
		t.Fatalf("build age: %v\n%s", err, out)
	}
	return dir
}

// The commands of the recovery document restore the sealed files.
func TestRecoverWithoutSealpost(t *testing.T) {
	bin := stockAge(t)
	doc := readFile(t, "../docs/recover-without-sealpost.md")
	var script strings.Builder
	for _, block := range shellBlock.FindAllSubmatch(doc, -1) {
		script.Write(block[1])
	}
	if strings.Count(script.String(), "\n") < 5 {
		t.Fatalf("only these commands in the document:\n%s", script.String())
	}
	long := "set/" + strings.Repeat("long-", 40) + "name"
	odd := `it's "odd" \ 😀 <&>.csv`
	for name, messages := range map[string][]Message{
		"file":    {file(1, odd, "content")},
		"several": {file(1, "a", "aaa"), file(2, "-rf", ""), file(3, "a", "again")},
		"folder": {message(1, "set", TypeFolder, folder("set"),
			memory("set/a", strings.Repeat("x", 100<<10)), folder("set/empty"), folder(long),
			memory(long+"/é", "é"))},
	} {
		for _, suite := range []string{SuiteHybrid, SuiteX25519} {
			t.Run(suite+"/"+name, func(t *testing.T) {
				w := newWorld(t, suite)
				ciphertext, _, _ := w.seal(t, w.request(t, messages, "CA-RC", "SF-RC"))
				dir := filepath.Join(w.dir, "CA-RC") // where its recipient.key is
				writeFile(t, filepath.Join(dir, "envelope"), ciphertext)
				shell := exec.Command("sh", "-e", "-c", script.String())
				shell.Dir, shell.Env = dir, append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
				out, err := shell.CombinedOutput()
				if err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				head := string(hashOf(readFile(t, filepath.Join(dir, "new", headPath))))
				if strings.Count(string(out), head) != 2 {
					t.Errorf("the computed and the signed head should both be %s:\n%s", head, out)
				}
				for i, m := range messages {
					compareExtracted(t, filepath.Join(dir, "new", "content", fmt.Sprint(i)), m)
				}
			})
		}
	}
}

func compareExtracted(t *testing.T, dir string, m Message) {
	t.Helper()
	want, got := 0, 0
	for e := range m.Entries {
		want++
		info, err := os.Stat(filepath.Join(dir, e.Path))
		if err != nil {
			t.Fatal(err)
		}
		if info.IsDir() != e.Dir || !info.ModTime().Equal(e.ModTime.Truncate(time.Second)) {
			t.Errorf("%q: %v, %v", e.Path, info.Mode(), info.ModTime())
		}
		if !e.Dir {
			r, _ := e.Open()
			var content bytes.Buffer
			content.ReadFrom(r)
			if !bytes.Equal(readFile(t, filepath.Join(dir, e.Path)), content.Bytes()) {
				t.Errorf("%q differs", e.Path)
			}
		}
	}
	filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if path != dir {
			got++
		}
		return err
	})
	if got != want {
		t.Errorf("%d entries were extracted, want %d", got, want)
	}
}

// A file of more than 8 GiB needs a PAX size, which the system's tar must understand. The archive
// is a hole.
func TestSystemTarReadsHugeSizes(t *testing.T) {
	if _, err := exec.LookPath("tar"); err != nil || runtime.GOOS == "windows" {
		t.Skip("there is no tar")
	}
	path := filepath.Join(t.TempDir(), "m.tar")
	m := member{path: "content/0/huge.bin", size: maxOctal + 12345, mtime: 1759924800}
	writeFile(t, path, appendHeader(nil, m))
	size := int64(len(appendHeader(nil, m))) + m.size + padding(m.size) + endSize
	if err := os.Truncate(path, size); err != nil {
		t.Skip(err)
	}
	out, err := exec.Command("tar", "-tvf", path).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !strings.Contains(string(out), fmt.Sprint(m.size)) ||
		!strings.Contains(string(out), m.path) {
		t.Errorf("tar lists %s", out)
	}
}
