package control

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"golang.org/x/sys/windows"

	"sealpost/internal/access"
	"sealpost/internal/durable"
	"sealpost/internal/words"
)

// On Windows the socket is a named pipe: every Windows has them, they have an access list, and their names are short. Names
// of pipes are open to everybody, so ours is drawn at random and stands in the state folder, where only those can read and
// write it who may administrate: nobody else can wait for our clients under that name.
const pipePrefix = `\\.\pipe\sealpost-`

// whoMayAsk says under whom a command must run that the daemon refuses to hear.
const whoMayAsk = `the user under whom it runs, or in a window that was opened with "Run as administrator"`

// pipeBusy is how long a client waits before it asks again for a pipe that is just being taken by another.
const pipeBusy = 5 * time.Millisecond

// pipeName matches the name of a pipe that place draws.
var pipeName = regexp.MustCompile(`^` + regexp.QuoteMeta(pipePrefix) + `[0-9a-f]{32}$`)

func place(stateDir string) (string, error) {
	var random [16]byte
	rand.Read(random[:]) // never fails: crypto/rand ends the process instead
	path := pipePrefix + hex.EncodeToString(random[:])
	return path, durable.WriteFile(filepath.Join(stateDir, pointerName), []byte(path+"\n"), 0o600)
}

// connect returns a connection to the daemon of stateDir, whose pipe belongs to this account, SYSTEM, Administrators or the
// state folder's owner. No other account can give a pipe such an owner.
func connect(ctx context.Context, stateDir string) (net.Conn, error) {
	path, err := readPointer(stateDir)
	if err != nil {
		return nil, err
	}
	conn, err := dial(ctx, path)
	if err != nil {
		return nil, err
	}
	if err := checkOwner(conn, stateDir); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// checkOwner refuses a pipe that another account has made.
func checkOwner(conn net.Conn, stateDir string) error {
	pipe := conn.(*pipeConn)
	raw, err := pipe.SyscallConn() // Fd would end its deadlines
	if err != nil {
		return err
	}
	var other string
	failed := raw.Control(func(h uintptr) { other, err = access.OtherOwner(windows.Handle(h), stateDir) })
	if err = errors.Join(failed, err); err == nil && other != "" {
		err = words.FalsePipe(string(pipe.path), other)
	}
	return err
}

// mayAsk refuses nobody: the access list of the pipe has let in only those who may ask.
func mayAsk(net.Conn) error { return nil }

// readPointer returns the name of the pipe that stands in the state folder. It follows no link.
func readPointer(stateDir string) (string, error) {
	pointer := filepath.Join(stateDir, pointerName)
	info, err := os.Lstat(pointer)
	if err != nil {
		return "", fmt.Errorf("find the control socket: %w", err)
	}
	if !info.Mode().IsRegular() {
		return "", words.NotBelieved(pointer, words.PointerNoFile)
	}
	f, err := os.Open(pointer)
	if err != nil {
		return "", fmt.Errorf("find the control socket: %w", err)
	}
	defer f.Close()
	opened, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("find the control socket: %w", err)
	}
	if !os.SameFile(info, opened) || opened.Size() > maxPointer {
		return "", words.NotBelieved(pointer, words.PointerLarge)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxPointer))
	if err != nil {
		return "", fmt.Errorf("find the control socket: %w", err)
	}
	path := strings.TrimSpace(string(text))
	if !pipeName.MatchString(path) {
		return "", words.NotBelieved(pointer, words.PointerShape)
	}
	return path, nil
}

// clearStale removes what an ended daemon has left, or answers ErrRunning. It follows no link.
func clearStale(stateDir string) error {
	path, err := readPointer(stateDir)
	if err == nil && answers(path, func(conn net.Conn) error { return checkOwner(conn, stateDir) }) {
		return ErrRunning
	}
	pointer := filepath.Join(stateDir, pointerName)
	info, err := os.Lstat(pointer)
	if err == nil && info.IsDir() {
		err = words.NotRemoved(pointer, errors.New(words.PointerNoFile))
	} else if err = gone(os.Remove(pointer)); err != nil {
		err = words.NotRemoved(pointer, err)
	}
	return err
}

// dial opens the pipe without letting its owner act in our name.
func dial(ctx context.Context, path string) (net.Conn, error) {
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
