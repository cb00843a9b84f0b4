package badgerspool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"sealpost/internal/durable"
	"sealpost/internal/fault"
	"sealpost/internal/id"
	"sealpost/spool/badgerspool/disk"
)

// content keeps ciphertext that is too large for a pack in plain files, one per envelope. Its path
// is <root>/<xx>/<envelope id>; xx are the id's first two digits. A file is complete and durable
// before the commit that names it. Without such a commit it is an orphan.
type content struct {
	root    string
	staging string // files on their way
	disk    disk.Disk
}

func (c *content) folder(e id.Envelope) string { return filepath.Join(c.root, string(e[:2])) }
func (c *content) path(e id.Envelope) string   { return filepath.Join(c.folder(e), string(e)) }

// make creates the two upper folders.
func (c *content) make() error {
	if err := durable.MkdirAll(c.staging, 0o700); err != nil {
		return err
	}
	return durable.MkdirAll(c.root, 0o700)
}

// makeFolder creates the folder of an envelope, durably, if it is not there yet.
func (c *content) makeFolder(e id.Envelope) error {
	return c.disk("make folder", c.folder(e),
		func() error { return durable.MkdirAll(c.folder(e), 0o700) })
}

// write stores the content of an envelope from memory, durably. The caller holds the id's lock.
func (c *content) write(e id.Envelope, data []byte) error {
	temp := filepath.Join(c.staging, string(e)+".small")
	err := c.makeFolder(e)
	if err == nil {
		err = c.fill(temp, data)
	}
	if err == nil {
		err = c.disk("rename", temp, func() error { return os.Rename(temp, c.path(e)) })
	}
	if err != nil {
		os.Remove(temp) // else Open removes it
		return fmt.Errorf("store the content: %w", err)
	}
	return c.syncFolder(e)
}

// fill creates a file with the data and makes them durable.
func (c *content) fill(path string, data []byte) error {
	f, err := c.disk.Create(path)
	if err != nil {
		return err
	}
	if err = c.disk.WriteAt(f, data, 0); err == nil {
		err = c.disk.Sync(f)
	}
	return errors.Join(err, f.Close())
}

// link links a complete upload to the path of its envelope. The upload keeps its own name, so that
// a crash before the commit loses nothing. The caller holds the id's lock.
func (c *content) link(staged string, e id.Envelope) error {
	path := c.path(e)
	if err := c.makeFolder(e); err != nil {
		return fmt.Errorf("store the content: %w", err)
	}
	if err := c.disk.Unlink(path); err != nil {
		return fmt.Errorf("replace an orphan: %w", err)
	}
	if err := c.disk("link", path, func() error { return os.Link(staged, path) }); err != nil {
		return fmt.Errorf("store the content: %w", err)
	}
	return c.syncFolder(e)
}

// syncFolder makes the name of an envelope's file durable.
func (c *content) syncFolder(e id.Envelope) error {
	dir := c.folder(e)
	if err := c.disk.SyncDir(dir); err != nil {
		return fmt.Errorf("store the content: %w", err)
	}
	fault.Point("spool-content")
	return nil
}

// unlink removes the file of an envelope. An absent file is a success.
func (c *content) unlink(e id.Envelope) error {
	return c.disk.Unlink(c.path(e))
}
