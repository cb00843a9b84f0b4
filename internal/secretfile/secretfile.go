// Package secretfile keeps private keys and other secrets in files that only their owner can read.
//
// A file is private from the moment it exists. Read refuses a file that others can read, with the
// command that makes it private. A written file is durable before the call returns. On Unix private
// means mode 0600, on Windows an access list of its own with the owner, SYSTEM and Administrators.
// The package does not know its contents.
package secretfile

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"sealpost/internal/durable"
	"sealpost/internal/fault"
	"sealpost/internal/reason"
)

// ErrLoose is returned by Read for a file that others than its owner can read or change.
var ErrLoose = reason.Err("secret-loose")

// Create makes path with data. It returns fs.ErrExist, and changes nothing, if that name is taken.
// Of several callers at once exactly one succeeds.
func Create(path string, data []byte) error {
	return write(path, data, durable.RenameNoReplace)
}

// Write makes path with data, or replaces it in one step.
func Write(path string, data []byte) error {
	return write(path, data, durable.Replace)
}

// formerName ends the second name of a file that Exchange replaces.
const formerName = ".former"

// Exchange replaces path with data in one step, and overwrites the former content in its place. An
// SSD, a snapshot or a file system that never writes in place may keep it all the same.
func Exchange(path string, data []byte) error {
	if err := EndExchange(path); err != nil {
		return err
	}
	// a disk without second names cannot reach the former content any more
	os.Link(path, path+formerName) //nolint:errcheck // the same
	if err := Write(path, data); err != nil {
		return err
	}
	fault.Point("secret-exchanged")
	return EndExchange(path)
}

// EndExchange ends an Exchange of path that was interrupted by a crash.
func EndExchange(path string) error {
	former := path + formerName
	f, err := os.OpenFile(former, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("overwrite %s: %w", former, err)
	}
	info, err := f.Stat()
	present, failed := os.Lstat(path)
	// otherwise it was not replaced
	if err = errors.Join(err, failed); err == nil && !os.SameFile(info, present) {
		random := make([]byte, info.Size())
		rand.Read(random)
		if _, err = f.Write(random); err == nil {
			err = f.Sync()
		}
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Remove(former)
	}
	if err != nil {
		return fmt.Errorf("overwrite %s: %w", former, err)
	}
	return durable.SyncDir(filepath.Dir(path))
}

func write(path string, data []byte, rename func(old, new string) error) error {
	temp, err := writeTemp(path, data)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := rename(temp, path); err != nil {
		return fmt.Errorf("write %s: %w", path, errors.Join(err, os.Remove(temp)))
	}
	return durable.SyncDir(filepath.Dir(path))
}

// writeTemp makes a synced temporary file beside path; after an error none is left. A crash may
// leave one, as private as the others.
func writeTemp(path string, data []byte) (string, error) {
	var random [8]byte
	rand.Read(random[:]) // never fails: crypto/rand ends the process instead
	temp := filepath.Join(filepath.Dir(path), ".secret-"+hex.EncodeToString(random[:])+".tmp")
	f, err := createTight(temp)
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return "", errors.Join(err, os.Remove(temp))
	}
	return temp, nil
}

// Read returns the content of path, at most limit bytes, or ErrLoose if others can read it.
func Read(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, reason.Err("secret-no-file", "path", path)
	}
	if err := checkTight(f, info); err != nil {
		return nil, reason.Err("read-file", "path", path, "why", err)
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, reason.Err("secret-too-large", "path", path, "limit", limit)
	}
	return data, nil
}
