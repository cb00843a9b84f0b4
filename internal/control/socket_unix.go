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

	"golang.org/x/sys/unix"

	"sealpost/internal/durable"
	"sealpost/internal/reason"
	"sealpost/internal/way"
)

// longestPath bounds the bytes of a socket's path: systems allow 104 to 108, with the final NUL.
const longestPath = 100

// mayNotAsk is the error for a caller of another account, from the system or from the daemon.
var mayNotAsk = reason.Err("may-not-ask")

// connect returns a connection to the daemon of stateDir. Its process belongs to root or to the
// state folder's owner, and only these two and the caller can have made the socket. A daemon that
// calls itself does not check the folders above: it lives, even if they have become loose.
func connect(ctx context.Context, stateDir string) (net.Conn, error) {
	info, err := os.Stat(stateDir)
	if err != nil {
		return nil, err
	}
	daemon := owner(info)
	path, err := readPointer(stateDir, daemon)
	if errors.Is(err, fs.ErrNotExist) && path == "" {
		path, err = filepath.Join(stateDir, socketName), nil
	}
	if err != nil {
		return nil, err
	}
	conn, err := dial(ctx, path)
	if err != nil {
		return nil, err
	}
	uid, pid, err := peer(conn)
	switch {
	case err != nil:
	case uid != 0 && uid != daemon:
		err = reason.Err("daemon-false", "path", path, "account", way.Account(uid),
			"daemon", way.Account(daemon))
	case pid != os.Getpid():
		err = checkSocket(path, daemon)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// checkSocket returns an error for a socket that an account other than root, the daemon's and the
// caller's could replace. It may run after the connection: an account that could have redirected it
// still could.
func checkSocket(path string, daemon int) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	switch uid := owner(info); {
	case info.Mode().Type() != fs.ModeSocket:
		return distrustSocket(path, reason.New("socket-no-socket"))
	case uid != 0 && uid != daemon && uid != os.Geteuid():
		return distrustSocket(path, way.WrongOwner(uid))
	case info.Mode()&0o022 != 0:
		return distrustSocket(path, wrongMode(info.Mode()))
	}
	faults, err := way.Above(path, daemon, os.Geteuid())
	if err == nil && len(faults) > 0 {
		err = way.Refuse(path, faults)
	}
	return err
}

func distrustSocket(path string, why reason.Reason) error {
	return reason.Err("socket-distrusted", "path", path, "why", why)
}

// mayAsk returns an error for a caller other than this account and root.
func mayAsk(conn net.Conn) error {
	uid, _, err := peer(conn)
	if err == nil && uid != 0 && uid != os.Geteuid() {
		err = fs.ErrPermission
	}
	return err
}

// account returns the account at the other end of a connection; "" if it is not known.
func account(conn net.Conn) string {
	uid, _, err := peer(conn)
	if err != nil {
		return ""
	}
	return way.Account(uid)
}

// clearStale removes the socket of an ended daemon or another account, or returns ErrRunning. It
// follows no link. Outside the state folder it removes only a socket in a folder made by place.
func clearStale(stateDir string) error {
	pointer, socket := filepath.Join(stateDir, pointerName), filepath.Join(stateDir, socketName)
	path, err := readPointer(stateDir, os.Geteuid())
	if err == nil {
		if hasDaemon(path, mayAsk) {
			return ErrRunning
		}
		if err := removePlaced(path); err != nil {
			return err
		}
	}
	if err := unlink(pointer); err != nil {
		return notRemoved(pointer, err)
	}
	if info, err := os.Lstat(socket); err == nil && info.Mode().Type() == fs.ModeSocket &&
		hasDaemon(socket, mayAsk) {
		return ErrRunning
	}
	if err := unlink(socket); err != nil {
		return notRemoved(socket, err)
	}
	return nil
}

// place returns the path of the new socket. A path that is too long for a socket is replaced by one
// in a private folder, and stored in the state folder for the clients.
func place(stateDir string) (string, error) {
	path := filepath.Join(stateDir, socketName)
	if len(path) <= longestPath {
		return path, nil
	}
	above, err := runtimeFolder()
	if err != nil {
		return "", err
	}
	folder, err := os.MkdirTemp(above, placedPrefix) // 0700
	if err != nil {
		return "", fmt.Errorf("make a folder for the control socket: %w", err)
	}
	path = filepath.Join(folder, socketName)
	if err := durable.WriteFile(filepath.Join(stateDir, pointerName), []byte(path+"\n"),
		0o600); err != nil {
		return "", errors.Join(err, os.Remove(folder))
	}
	return path, nil
}

// runtimeFolder returns the system's folder for sockets, if it is set and short enough, or that for
// temporary files. The folder of another account, as after su, is not used.
func runtimeFolder() (string, error) {
	candidates := []string{os.TempDir(), "/tmp"}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" && len(dir) <= longestPath/2 {
		candidates = append([]string{dir}, candidates...)
	}
	var refused error
	for _, dir := range candidates {
		faults, err := way.Into(dir, os.Geteuid())
		if err == nil && len(faults) == 0 {
			return dir, nil
		}
		if err == nil {
			err = reason.Err("no-runtime-folder", "why", way.Refuse(dir, faults))
		}
		if refused == nil {
			refused = err
		}
	}
	return "", refused
}

// listen opens a socket for this user only.
func listen(path string) (net.Listener, error) {
	tight := false
	before := func(_, _ string, c syscall.RawConn) error {
		// for the new file: Linux uses it
		return c.Control(func(fd uintptr) { tight = unix.Fchmod(int(fd), 0o600) == nil })
	}
	config := net.ListenConfig{Control: before}
	l, err := config.Listen(context.Background(), "unix", path)
	if err != nil || tight {
		return l, err
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

// isAbsent reports whether no daemon runs, unlike one that cannot be asked.
func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

// remove removes this daemon's socket, and the folder and pointer of one in another folder.
func remove(stateDir, path string) error {
	err := ignoreMissing(unlink(path))
	if filepath.Dir(path) != filepath.Clean(stateDir) {
		err = errors.Join(err, ignoreMissing(unlink(filepath.Join(stateDir, pointerName))),
			ignoreMissing(unix.Rmdir(filepath.Dir(path))))
	}
	return err
}

// unlink removes a file or a link, never a folder. A missing one is no error.
func unlink(path string) error {
	if err := ignoreMissing(unix.Unlink(path)); err != nil {
		return &fs.PathError{Op: "remove", Path: path, Err: err}
	}
	return nil
}

func owner(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }
