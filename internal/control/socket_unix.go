//go:build unix

package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"sealpost/internal/durable"
)

// longestPath is how many bytes of a socket's path we use: systems allow 104 to 108, with the final NUL.
const longestPath = 100

// whoMayAsk says under whom a command must run that the daemon refuses to hear.
const whoMayAsk = "the user under whom it runs"

// place decides where to listen. A path that is too long for a socket is replaced by one in a private folder, whose name
// is left in the state folder for the clients.
func place(stateDir string) (string, error) {
	path := filepath.Join(stateDir, socketName)
	if len(path) <= longestPath {
		return path, nil
	}
	folder, err := os.MkdirTemp(runtimeFolder(), "sealpost-") // 0700
	if err != nil {
		return "", fmt.Errorf("make a folder for the control socket: %w", err)
	}
	path = filepath.Join(folder, socketName)
	if err := durable.WriteFile(filepath.Join(stateDir, pointerName), []byte(path+"\n"), 0o600); err != nil {
		return "", errors.Join(err, os.Remove(folder))
	}
	return path, nil
}

// runtimeFolder is where the system wants sockets, if it says so and the path leaves room; else the folder for temporary files.
func runtimeFolder() string {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" && len(dir) <= longestPath/2 {
		return dir
	}
	return os.TempDir()
}

// listen opens a socket for this user only.
func listen(path string) (net.Listener, error) {
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func dial(ctx context.Context, path string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", path)
}

// nobodyListens tells a daemon that does not run from one that cannot be asked.
func nobodyListens(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

// remove takes away the socket, and the folder and pointer of one that lies elsewhere.
func remove(stateDir, path string) error {
	errs := []error{gone(os.Remove(path))}
	if filepath.Dir(path) != filepath.Clean(stateDir) {
		errs = append(errs, gone(os.Remove(filepath.Join(stateDir, pointerName))), gone(os.Remove(filepath.Dir(path))))
	}
	return errors.Join(errs...)
}
