//go:build unix

package report

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// At a pipe nothing waits, and nothing that is no file is replaced.
func TestWhatIsNoFileKeepsItsName(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"pipe": func(path string) error { return unix.Mkfifo(path, 0o666) },
		"socket": func(path string) error {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
			if err == nil {
				l.SetUnlinkOnClose(false)
				err = l.Close()
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, err := os.MkdirTemp("", "st") // the path of a socket is short
			must(t, err)
			t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
			k := keepIn(t, dir)
			path := filepath.Join(k.dir, "STATUS.txt")
			must(t, make(path))
			before, err := os.Lstat(path)
			must(t, err)
			k.tell()
			after, err := os.Lstat(path)
			if err != nil || !os.SameFile(before, after) {
				t.Errorf("%s was replaced: %v", name, err)
			}
			if text, err := os.ReadFile(filepath.Join(k.dir,
				"STATUS (sealpost).txt")); err != nil || len(text) == 0 {
				t.Errorf("the status stands nowhere: %q, %v", text, err)
			}
			must(t, os.Remove(path))
			k.tell()
			k.expect("STATUS.txt")
		})
	}
}

// A link is replaced, wherever it leads, and its target stays. The same holds for a link with the
// name of an old temporary file.
func TestALinkIsNotFollowed(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	own := title("FL-LAB").String() + "\r\nold"
	for to, want := range map[string]string{"notes": "my notes", "ours": own, "empty": "",
		"nothing": ""} {
		t.Run(to, func(t *testing.T) {
			must(t, os.MkdirAll(outside, 0o755))
			for name, text := range map[string]string{"notes": "my notes", "ours": own,
				"empty": ""} {
				must(t, os.WriteFile(filepath.Join(outside, name), []byte(text), 0o644))
			}
			k := keepIn(t, t.TempDir())
			for _, name := range []string{"STATUS.txt", "STATUS (sealpost).txt",
				".sealpost-status.tmp"} {
				must(t, os.Symlink(filepath.Join(outside, to), filepath.Join(k.dir, name)))
			}
			k.tell()
			if info, err := os.Lstat(filepath.Join(k.dir, "STATUS.txt")); err != nil ||
				!info.Mode().IsRegular() {
				t.Errorf("STATUS.txt is %v, %v", info, err)
			}
			if to == "nothing" {
				if _, err := os.Lstat(filepath.Join(outside, to)); err == nil {
					t.Error("a file was made where the link leads")
				}
				return
			}
			expectText(t, filepath.Join(outside, to), want)
		})
	}
}

// A second link to another file is no way to write into that file.
func TestAHardLinkIsNotWrittenThrough(t *testing.T) {
	outside, k := filepath.Join(t.TempDir(), "outside"), keepIn(t, t.TempDir())
	text := title("FL-LAB").String() + "\r\nkeep me"
	must(t, os.WriteFile(outside, []byte(text), 0o644))
	must(t, os.Link(outside, filepath.Join(k.dir, "STATUS.txt")))
	k.tell()
	k.expect("STATUS.txt")
	expectText(t, outside, text)
}
