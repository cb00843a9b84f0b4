package secretfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"

	"sealpost/internal/access"
	"sealpost/internal/durable"
	"sealpost/internal/reason"
)

// createTight makes the file together with its access list, so that it never inherits one from its
// folder.
func createTight(path string) (*os.File, error) {
	attributes, err := access.Private()
	if err != nil {
		return nil, err
	}
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	h, err := windows.CreateFile(name, windows.GENERIC_WRITE, 0, attributes, windows.CREATE_NEW,
		windows.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		return nil, &os.PathError{Op: "create", Path: path, Err: err}
	}
	return os.NewFile(uintptr(h), path), nil
}

func checkTight(f *os.File, _ fs.FileInfo) error {
	who, err := access.Stranger(f)
	if err != nil || who == "" {
		return err
	}
	account, err := access.Account()
	if err != nil {
		return err
	}
	return reason.Err("secret-listed", "cause", ErrLoose, "account", who,
		"command", fmt.Sprintf(`icacls "%s" /inheritance:r /grant:r *%s:F *S-1-5-18:F`, f.Name(),
			account))
}

// MkdirAll makes dir and missing folders above it, private to their owner. Existing folders stay
// unchanged.
func MkdirAll(dir string) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(dir)
	if err := durable.MkdirAll(parent, 0o700); err != nil {
		return err
	}
	attributes, err := access.PrivateFolder()
	if err != nil {
		return err
	}
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return err
	}
	if err := windows.CreateDirectory(name, attributes); err != nil &&
		!(errors.Is(err, fs.ErrExist) && isDir(dir)) {
		return &os.PathError{Op: "make folder", Path: dir, Err: err}
	}
	return durable.SyncDir(parent)
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
