//go:build unix

package control

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"

	"sealpost/internal/reason"
	"sealpost/internal/way"
)

// placedPrefix is the prefix of the private folders that place makes.
const placedPrefix = "sealpost-"

// placedSocket matches the path of a socket in such a folder.
var placedSocket = regexp.MustCompile(`^/(.*/)?` + placedPrefix + `[0-9]+/` +
	regexp.QuoteMeta(socketName) + `$`)

// pointerLinked is the reason to distrust a pointer with a second name.
var pointerLinked = reason.New("pointer-linked")

// wrongMode returns the reason to distrust a file to which other accounts may write.
func wrongMode(mode fs.FileMode) reason.Reason {
	return reason.New("wrong-mode", "mode", fmt.Sprintf("%04o", mode.Perm()))
}

// readPointer returns the path in the pointer file of stateDir, if that account or root wrote it.
// It returns both a path and an error if that path no longer exists. It follows no link.
func readPointer(stateDir string, daemon int) (string, error) {
	pointer := filepath.Join(stateDir, pointerName)
	fd, err := unix.Open(pointer, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ELOOP):
		return "", distrust(pointer, pointerNoFile)
	case err != nil:
		return "", fmt.Errorf("find the control socket: %w",
			&fs.PathError{Op: "open", Path: pointer, Err: err})
	}
	f := os.NewFile(uintptr(fd), pointer)
	defer f.Close()
	var info unix.Stat_t
	if err := unix.Fstat(fd, &info); err != nil {
		return "", fmt.Errorf("find the control socket: %w", err)
	}
	uid := int(info.Uid)
	switch {
	case info.Mode&unix.S_IFMT != unix.S_IFREG:
		return "", distrust(pointer, pointerNoFile)
	case uid != 0 && uid != daemon:
		return "", distrust(pointer, way.WrongOwner(uid))
	case info.Mode&0o022 != 0:
		return "", distrust(pointer, wrongMode(fs.FileMode(info.Mode&0o777)))
	case info.Nlink != 1:
		return "", distrust(pointer, pointerLinked)
	case info.Size > maxPointer:
		return "", distrust(pointer, pointerTooLarge)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxPointer))
	if err != nil {
		return "", fmt.Errorf("find the control socket: %w", err)
	}
	path := strings.TrimSpace(string(text))
	if !isPlaced(path, daemon) {
		return "", distrust(pointer, pointerMalformed)
	}
	if _, err := os.Lstat(path); err != nil {
		return path, err
	}
	return path, nil
}

// isPlaced reports whether path has the form of place's sockets. It is a socket, or no longer
// exists, in a private folder of the daemon's account or of root, and no other account can replace
// that folder.
func isPlaced(path string, daemon int) bool {
	if !placedSocket.MatchString(path) || filepath.Clean(path) != path {
		return false
	}
	folder, err := os.Lstat(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	if err != nil || !folder.IsDir() || folder.Mode()&0o077 != 0 || owner(folder) != 0 &&
		owner(folder) != daemon {
		return false
	}
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() != fs.ModeSocket {
		return false
	}
	faults, err := way.Above(filepath.Dir(path), daemon)
	return err == nil && len(faults) == 0
}

// removePlaced removes a socket that isPlaced, and its folder if it is then empty.
func removePlaced(path string) error {
	if err := unlink(path); err != nil {
		return err
	}
	err := ignoreMissing(unix.Rmdir(filepath.Dir(path)))
	if err != nil && !errors.Is(err, unix.ENOTEMPTY) {
		return fmt.Errorf("remove the folder of the control socket: %w", err)
	}
	return nil
}
