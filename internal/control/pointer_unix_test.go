//go:build unix

package control

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sealpost/internal/reason"
)

// A daemon neither removes nor dials the path in a pointer file, unless a daemon could have placed
// it.
func TestAPointerThatIsNotBelieved(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(t *testing.T, dir, pointer, secret string) error
	}{
		{"names a file", func(_ *testing.T, _, pointer, secret string) error {
			return os.WriteFile(pointer, []byte(secret+"\n"), 0o600)
		}},
		{"names a file in a folder of the right name",
			func(_ *testing.T, dir, pointer, _ string) error {
				folder := filepath.Join(dir, "sealpost-1")
				file := filepath.Join(folder, socketName)
				return errors.Join(os.Mkdir(folder, 0o700), os.WriteFile(file, []byte("x"), 0o600),
					os.WriteFile(pointer, []byte(file), 0o600))
			}},
		{"is a link", func(_ *testing.T, _, pointer, secret string) error {
			return os.Symlink(secret, pointer)
		}},
		{"is a link to nothing", func(_ *testing.T, _, pointer, secret string) error {
			return os.Symlink(secret+"-absent", pointer)
		}},
		{"is a second name of a file", func(_ *testing.T, _, pointer, secret string) error {
			return os.Link(secret, pointer)
		}},
		{"may be written by others", func(_ *testing.T, _, pointer, secret string) error {
			return errors.Join(os.WriteFile(pointer, []byte(secret), 0o600),
				os.Chmod(pointer, 0o622))
		}},
		{"is too long", func(_ *testing.T, _, pointer, secret string) error {
			return os.WriteFile(pointer, []byte(secret+strings.Repeat("\n", 1<<20)), 0o600)
		}},
		{"is empty", func(_ *testing.T, _, pointer, _ string) error {
			return os.WriteFile(pointer, nil, 0o600)
		}},
		{"is relative", func(_ *testing.T, _, pointer, _ string) error {
			return os.WriteFile(pointer, []byte("sealpost-1/control.sock"), 0o600)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			state, other := shortDir(t), shortDir(t)
			pointer, secret := filepath.Join(state, pointerName), filepath.Join(other, "secret")
			if err := errors.Join(os.WriteFile(secret, []byte("mine"), 0o600),
				c.make(t, other, pointer, secret)); err != nil {
				t.Fatal(err)
			}
			before := list(t, other)
			if err := Dial(state).Call(t.Context(), "/greet", greeting{"x"}, nil); err == nil ||
				errors.Is(err, ErrNotRunning) || !strings.Contains(err.Error(), pointer) {
				t.Errorf("a client says %v", err)
			}
			stop := daemon(t, state)
			if err := Dial(state).Call(t.Context(), "/greet", greeting{"x"}, nil); err != nil {
				t.Errorf("the daemon cannot be asked: %v", err)
			}
			if _, err := Listen(state, http.NewServeMux()); !errors.Is(err, ErrRunning) {
				t.Errorf("a second daemon: %v", err)
			}
			if _, err := os.Lstat(pointer); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the pointer stays: %v", err)
			}
			if err := stop(); err != nil {
				t.Error(err)
			}
			if after := list(t, other); after != before {
				t.Errorf("elsewhere was %s, and is %s", before, after)
			}
		})
	}
}

// A pointer with the right path is refused if another account wrote it, or if it is no plain file.
func TestARightPointerIsBelievedOnlyAsADaemonWritesIt(t *testing.T) {
	state, other := longDir(t), shortDir(t)
	daemon(t, state)
	text, err := os.ReadFile(filepath.Join(state, pointerName))
	if err != nil {
		t.Fatal(err)
	}
	pointer := filepath.Join(other, pointerName)
	for _, c := range []struct {
		name string
		make func() error
		says reason.Reason
	}{
		{"as it is", func() error { return nil }, reason.Reason{}},
		{"group may write", func() error {
			return os.Chmod(pointer, 0o620)
		}, wrongMode(0o620)},
		{"second name", func() error {
			return os.Link(pointer, filepath.Join(other, "second"))
		}, pointerLinked},
		{"too large", func() error {
			return os.WriteFile(pointer, append(text, strings.Repeat("\n", maxPointer)...), 0o600)
		}, pointerTooLarge},
		{"link", func() error {
			return errors.Join(os.Remove(pointer), os.Symlink(filepath.Join(state, pointerName),
				pointer))
		}, pointerNoFile},
	} {
		os.RemoveAll(pointer)
		if err := errors.Join(os.WriteFile(pointer, text, 0o600), c.make()); err != nil {
			t.Fatal(err)
		}
		_, err := readPointer(other, os.Geteuid())
		want := distrust(pointer, c.says)
		if c.says.IsZero() {
			want = nil
		}
		if !errors.Is(err, want) {
			t.Errorf("%s: it says %v, want %v", c.name, err, want)
		}
	}
}

// list returns the paths below a folder.
func list(t *testing.T, dir string) string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && path != dir {
			all = append(all, strings.TrimPrefix(path, dir))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, " ")
}

// A folder that has the pointer's name is nothing that a daemon may remove.
func TestAPointerThatIsAFolder(t *testing.T) {
	state := shortDir(t)
	kept := filepath.Join(state, pointerName, "kept")
	if err := os.MkdirAll(kept, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(state, http.NewServeMux()); err == nil ||
		!strings.Contains(err.Error(), filepath.Join(state, pointerName)) {
		t.Errorf("it says %v", err)
	}
	if _, err := os.Lstat(kept); err != nil {
		t.Error(err)
	}
}
