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
	"sealpost/internal/reason"
)

// pipePrefix begins the name of the pipe. On Windows the socket is a named pipe: every version has
// them, with an access list and a short name. Any account may make a pipe of any name, so ours is
// random. It is stored in the state folder, which only administrators can read and write: no other
// account can wait for our clients under that name.
const pipePrefix = `\\.\pipe\sealpost-`

// mayNotAsk is the error for a caller of another account, from the system or from the daemon.
var mayNotAsk = reason.Err("may-not-ask-windows")

// pipeBusy is a client's wait before it retries a pipe that another client is opening.
const pipeBusy = 5 * time.Millisecond

// pipeName matches the names of pipes that place makes.
var pipeName = regexp.MustCompile(`^` + regexp.QuoteMeta(pipePrefix) + `[0-9a-f]{32}$`)

func place(stateDir string) (string, error) {
	var random [16]byte
	rand.Read(random[:]) // never fails: crypto/rand ends the process instead
	path := pipePrefix + hex.EncodeToString(random[:])
	return path, durable.WriteFile(filepath.Join(stateDir, pointerName), []byte(path+"\n"), 0o600)
}

// connect returns a connection to the daemon of stateDir. Its pipe must belong to this account,
// SYSTEM, Administrators or the state folder's owner: no other account can make a pipe with such an
// owner.
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

// checkOwner returns an error for a pipe of another account.
func checkOwner(conn net.Conn, stateDir string) error {
	pipe := conn.(*pipeConn)
	raw, err := pipe.SyscallConn() // Fd would end its deadlines
	if err != nil {
		return err
	}
	var other string
	failed := raw.Control(func(h uintptr) {
		other, err = access.OtherOwner(windows.Handle(h), stateDir)
	})
	if err = errors.Join(failed, err); err == nil && other != "" {
		err = reason.Err("pipe-false", "path", string(pipe.path), "account", other)
	}
	return err
}

// mayAsk returns nil: the access list of the pipe admits only permitted callers.
func mayAsk(net.Conn) error { return nil }

// account returns nothing: a pipe's caller is one of those that its access list admits.
func account(net.Conn) string { return "" }

// readPointer returns the name of the pipe from the state folder. It follows no link.
func readPointer(stateDir string) (string, error) {
	pointer := filepath.Join(stateDir, pointerName)
	info, err := os.Lstat(pointer)
	if err != nil {
		return "", fmt.Errorf("find the control socket: %w", err)
	}
	if !info.Mode().IsRegular() {
		return "", distrust(pointer, pointerNoFile)
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
		return "", distrust(pointer, pointerTooLarge)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxPointer))
	if err != nil {
		return "", fmt.Errorf("find the control socket: %w", err)
	}
	path := strings.TrimSpace(string(text))
	if !pipeName.MatchString(path) {
		return "", distrust(pointer, pointerMalformed)
	}
	return path, nil
}

// clearStale removes the pointer of an ended daemon, or returns ErrRunning. It follows no link.
func clearStale(stateDir string) error {
	path, err := readPointer(stateDir)
	if err == nil && hasDaemon(path, func(conn net.Conn) error {
		return checkOwner(conn, stateDir)
	}) {
		return ErrRunning
	}
	pointer := filepath.Join(stateDir, pointerName)
	info, err := os.Lstat(pointer)
	if err == nil && info.IsDir() {
		err = notRemoved(pointer, pointerNoFile.AsError())
	} else if err = ignoreMissing(os.Remove(pointer)); err != nil {
		err = notRemoved(pointer, err)
	}
	return err
}

// dial opens the pipe without letting its owner impersonate us.
func dial(ctx context.Context, path string) (net.Conn, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	for {
		const flags = windows.FILE_FLAG_OVERLAPPED | windows.SECURITY_SQOS_PRESENT |
			windows.SECURITY_ANONYMOUS
		h, err := windows.CreateFile(name, windows.GENERIC_READ|windows.GENERIC_WRITE, 0, nil,
			windows.OPEN_EXISTING, flags, 0)
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

// isAbsent reports whether no daemon runs, unlike one that cannot be asked.
func isAbsent(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// remove removes the pointer to the pipe; the pipe itself ends with its process.
func remove(stateDir, _ string) error {
	return ignoreMissing(os.Remove(filepath.Join(stateDir, pointerName)))
}
