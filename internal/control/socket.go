package control

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sealpost/internal/durable"
)

const (
	socketName  = "control.sock"
	pointerName = "control" // names the socket when it lies elsewhere
	longestPath = 100       // bytes of a socket's path: systems allow 104 to 108, with the final NUL
)

// socketPath returns where the daemon of stateDir listens.
func socketPath(stateDir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(stateDir, pointerName))
	if errors.Is(err, fs.ErrNotExist) {
		return filepath.Join(stateDir, socketName), nil
	}
	if err != nil {
		return "", fmt.Errorf("find the control socket: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

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

// clearStale removes what an ended daemon left at path, or says that the daemon lives.
func clearStale(stateDir, path string) error {
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		conn.Close() // it was only a question
		return ErrRunning
	}
	return remove(stateDir, path)
}

// remove takes away the socket, and the folder and pointer of one that lies elsewhere.
func remove(stateDir, path string) error {
	errs := []error{gone(os.Remove(path))}
	if filepath.Dir(path) != filepath.Clean(stateDir) {
		errs = append(errs, gone(os.Remove(filepath.Join(stateDir, pointerName))), gone(os.Remove(filepath.Dir(path))))
	}
	return errors.Join(errs...)
}

func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
