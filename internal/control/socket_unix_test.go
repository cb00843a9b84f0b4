//go:build unix

package control

import (
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSocketIsForThisUserOnly(t *testing.T) {
	dir := shortDir(t)
	daemon(t, dir)
	info, err := os.Stat(filepath.Join(dir, socketName))
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("permissions %o", got)
	}
}

func TestLongPathGetsAPrivateFolder(t *testing.T) {
	dir := longDir(t)
	stop := daemon(t, dir)
	path, err := readPointer(dir, os.Geteuid())
	if err != nil {
		t.Fatal(err)
	}
	if len(path) > longestPath {
		t.Errorf("socket path of %d bytes: %s", len(path), path)
	}
	info, err := os.Stat(filepath.Dir(path))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder of the socket: %v, %v", info.Mode(), err)
	}
	if err := Dial(dir).Call(t.Context(), "/greet", greeting{"x"}, nil); err != nil {
		t.Error(err)
	}
	if _, err := Listen(dir, http.NewServeMux()); !errors.Is(err, ErrRunning) {
		t.Errorf("second daemon: %v", err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	for _, left := range []string{path, filepath.Dir(path), filepath.Join(dir, pointerName)} {
		if _, err := os.Lstat(left); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("left behind: %s (%v)", left, err)
		}
	}
}

func TestLongPathAfterAKill(t *testing.T) {
	dir := longDir(t)
	server, err := Listen(dir, http.NewServeMux())
	if err != nil {
		t.Fatal(err)
	}
	server.listener.(*net.UnixListener).SetUnlinkOnClose(false) // as a killed process leaves it
	server.listener.Close()
	daemon(t, dir)
	if err := Dial(dir).Call(t.Context(), "/greet", greeting{"x"}, nil); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Dir(server.path)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old private folder stays: %v", err)
	}
}

func longDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), strings.Repeat("long-", 20))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// leaveSocket makes a socket file without a listener, as a killed daemon leaves it.
func leaveSocket(t *testing.T, dir string) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(dir, socketName))
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
}
