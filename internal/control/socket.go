package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	socketName  = "control.sock"
	pointerName = "control" // names the socket when it lies elsewhere
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

// clearStale removes what an ended daemon left at path, or says that the daemon lives.
func clearStale(stateDir, path string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn, err := dial(ctx, path)
	if err == nil {
		conn.Close() // it was only a question
		return ErrRunning
	}
	return remove(stateDir, path)
}

func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
