package ledger

import (
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"sealpost/internal/durable"
)

// A ledger of an earlier version cannot give single pages back to the disk. At the start, if old
// rows have left much free space in it, it is copied into a new file that can. A crash leaves the
// old file or the new one, and a failure the old one.

const (
	// incremental is SQLite's number for files that can give back single pages.
	incremental = 2
	// compactLeast is the least free space that is worth a copy.
	compactLeast = 16 << 20
)

// compactSuffix is the suffix of an unfinished copy.
const compactSuffix = ".compact"

// compacted replaces a ledger of an earlier version that is a quarter free by a compact copy. An
// error means that the ledger is as it was.
func compacted(path string) error {
	temp := path + compactSuffix
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	switch info, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return nil // it is new
	case err != nil || info.Size() < compactLeast:
		return err
	}
	made, err := copyCompact(path, temp)
	if made && err == nil {
		err = emptyLog(path)
	}
	if made && err == nil {
		if err = durable.Replace(temp, path); err == nil {
			return durable.SyncDir(filepath.Dir(path))
		}
	}
	if made {
		err = errors.Join(err, os.Remove(temp))
	}
	return err
}

// copyCompact makes a durable compact copy of a ledger, if that is worth it and the disk has room.
func copyCompact(path, temp string) (made bool, err error) {
	db, err := sql.Open("sqlite", fileURL(path)+"?_pragma=busy_timeout(10000)"+
		"&_pragma=auto_vacuum(INCREMENTAL)")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	var mode, pages, unused, size, version int64
	for query, into := range map[string]*int64{"auto_vacuum": &mode, "page_count": &pages,
		"freelist_count": &unused, "page_size": &size, "user_version": &version} {
		if err := db.QueryRow("PRAGMA " + query).Scan(into); err != nil {
			return false, err
		}
	}
	if mode != 0 || version > int64(len(steps)) || unused < pages/4 || unused*size < compactLeast {
		return false, nil
	}
	free, err := durable.Free(filepath.Dir(path))
	if err != nil || free < 2*(pages-unused)*size+compactLeast {
		return false, err
	}
	if err := makeTight(temp); err != nil {
		return false, err
	}
	_, err = db.Exec("VACUUM INTO ?", temp)
	if err == nil {
		err = durable.SyncFile(temp)
	}
	return true, err
}

// emptyLog moves all of the write-ahead log into the database, so that none is left beside it.
func emptyLog(path string) error {
	db, err := sql.Open("sqlite", fileURL(path)+"?_pragma=busy_timeout(10000)")
	if err != nil {
		return err
	}
	var isBusy, frames, done int64
	err = db.QueryRow("PRAGMA wal_checkpoint(TRUNCATE)").Scan(&isBusy, &frames, &done)
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	info, err := os.Stat(path + "-wal")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil && info.Size() > 0:
		return errors.New("the write-ahead log is in use")
	}
	return err
}
