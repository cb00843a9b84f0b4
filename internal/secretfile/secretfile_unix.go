//go:build unix

package secretfile

import (
	"fmt"
	"io/fs"
	"os"

	"sealpost/internal/durable"
	"sealpost/internal/reason"
	"sealpost/internal/shell"
)

func createTight(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

func checkTight(f *os.File, info fs.FileInfo) error {
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return reason.Err("secret-mode", "cause", ErrLoose, "mode", fmt.Sprintf("%04o", mode),
			"command", shell.Join("chmod", "600", f.Name()))
	}
	return nil
}

// MkdirAll makes dir and missing folders above it, private to their owner. Existing folders stay
// unchanged.
func MkdirAll(dir string) error {
	return durable.MkdirAll(dir, 0o700)
}
