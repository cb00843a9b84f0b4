package secretfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"sealpost/internal/access"
)

// Enter does nothing. MkdirAll gave the folder an access list that its files inherit, Read checks
// that of each key, and Inspect finds changes.
func Enter(string, ...string) (Loose, error) { return Loose{}, nil }

// EnterAsAdmin is Enter.
func EnterAsAdmin(string) (Loose, error) { return Loose{}, nil }

// Inspect calls found with each access list in a folder of secrets that admits another account.
// Read checks keys.
func Inspect(dir string, found func(Flaw)) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil || !e.IsDir() && (!e.Type().IsRegular() || isKey(name)) {
			return err
		}
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		defer f.Close()
		who, err := access.Stranger(f)
		if err == nil && who != "" {
			found(Flaw{Name: filepath.ToSlash(name), Kind: Listed, Owner: who})
		}
		return err
	})
}
