package envelope

import (
	"bytes"
	"fmt"
	"io"
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
				out := recoverAt(t, dir, bin)
				head := string(hashOf(readFile(t, filepath.Join(dir, "new", headPath))))
				if strings.Count(out, head) != 2 {
					t.Errorf("the computed and the signed head should both be %s:\n%s", head, out)
				}
				for i, m := range messages {
					compareExtracted(t, filepath.Join(dir, "new", "content", fmt.Sprint(i)), m)
				}
			})
		}
	}
	t.Run("segments", func(t *testing.T) { recoverSegments(t, bin) })
}

// recoverSegments gives the commands an envelope of more than 256 MiB, and opens it as well.
func recoverSegments(t *testing.T, bin string) {
	w := newWorld(t, SuiteHybrid)
	const size = segmentSize + 1<<20
	big := Entry{Path: "big.bin", Size: size, ModTime: time.Unix(1759924800, 0),
		Open: func() (io.ReadCloser, error) { return io.NopCloser(&endless{size}), nil }}
	dir := filepath.Join(w.dir, "CA-RC")
	w.site(t, "CA-RC")
	f, err := os.Create(filepath.Join(dir, "envelope"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	req := w.request(t, []Message{message(1, "big.bin", TypeFile, big)}, "CA-RC", "SF-RC")
	sealed, err := Seal(f, req, w.site(t, "FL-LAB").identity)
	if err != nil {
		t.Fatal(err)
	}
	if sealed.Size < segmentSize+1<<20 {
		t.Fatalf("an envelope of %d bytes", sealed.Size)
	}
	recoverAt(t, dir, bin)
	info, err := os.Stat(filepath.Join(dir, "new", "content", "0", "big.bin"))
	if err != nil || info.Size() != size {
		t.Errorf("%v, %v", info, err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	want := w.announce(req, nil)
	want.Size, want.CRC32C = sealed.Size, sealed.CRC32C
	opened, err := w.opener(t, "CA-RC").Open(f, want, discard{})
	if err != nil || opened.Messages[0].Digest != sealed.Digests[0] {
		t.Errorf("%+v, %v", opened, err)
	}
}

// recoverAt runs the document's commands in a folder and returns their output.
func recoverAt(t *testing.T, dir, bin string) string {
	t.Helper()
	var script strings.Builder
	for _, block := range shellBlock.FindAllSubmatch(
		readFile(t, "../docs/recover-without-sealpost.md"), -1) {
		script.Write(block[1])
	}
	if strings.Count(script.String(), "\n") < 5 {
		t.Fatalf("only these commands in the document:\n%s", script.String())
	}
	shell := exec.Command("sh", "-e", "-c", script.String())
	shell.Dir, shell.Env = dir, append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
	out, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
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
