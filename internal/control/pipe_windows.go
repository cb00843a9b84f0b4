package control

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/windows"

	"sealpost/internal/durable"
)

// On Windows the socket is a named pipe: every Windows has them, they have an access list, and their names are short. Names
// of pipes are open to everybody, so ours is drawn at random and stands in the state folder, where only those can read and
// write it who may administrate: nobody else can wait for our clients under that name.
const pipePrefix = `\\.\pipe\sealpost-`

// whoMayAsk says under whom a command must run that the daemon refuses to hear.
const whoMayAsk = `the user under whom it runs, or in a window that was opened with "Run as administrator"`

// pipeBusy is how long a client waits before it asks again for a pipe that is just being taken by another.
const pipeBusy = 5 * time.Millisecond

func place(stateDir string) (string, error) {
	var random [16]byte
	rand.Read(random[:]) // never fails: crypto/rand ends the process instead
	path := pipePrefix + hex.EncodeToString(random[:])
	return path, durable.WriteFile(filepath.Join(stateDir, pointerName), []byte(path+"\n"), 0o600)
}

// dial opens the pipe without letting its owner act in our name.
func dial(ctx context.Context, path string) (net.Conn, error) {
	if !strings.HasPrefix(path, pipePrefix) {
		return nil, &net.OpError{Op: "dial", Net: pipeNet, Err: fs.ErrNotExist}
	}
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	for {
		const flags = windows.FILE_FLAG_OVERLAPPED | windows.SECURITY_SQOS_PRESENT | windows.SECURITY_ANONYMOUS
		h, err := windows.CreateFile(name, windows.GENERIC_READ|windows.GENERIC_WRITE, 0, nil, windows.OPEN_EXISTING, flags, 0)
		switch {
		case err == nil:
			return newPipeConn(h, path), nil
		case !errors.Is(err, windows.ERROR_PIPE_BUSY):
			return nil, &net.OpError{Op: "dial", Net: pipeNet, Err: err}
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pipeBusy):
		}
	}
}

// nobodyListens tells a daemon that does not run from one that cannot be asked.
func nobodyListens(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// remove takes away what names the pipe; the pipe itself ends with its process.
func remove(stateDir, _ string) error {
	return gone(os.Remove(filepath.Join(stateDir, pointerName)))
}
