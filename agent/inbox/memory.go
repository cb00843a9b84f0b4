package inbox

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sealpost/agent/ledger"
	"sealpost/internal/durable"
	"sealpost/internal/id"
)

// The records of the messages that lie in the inbox are a second memory of them, for a ledger that was lost or put back
// from an older copy: what has its record was placed, and is not placed again.

// maxRecord bounds what is read as a record: a folder that people can write to may hold anything.
const maxRecord = 64 << 10

// goneSuffix ends the name of temporary files on their way out.
const goneSuffix = ".gone"

// remembered returns the record of a message that the ledger does not know; found is false when there is none.
func (b *Inbox) remembered(sender id.Site, message id.Message, uid id.UID) (r Record, found bool, err error) {
	for _, name := range recordNames(message, uid) {
		r, err := readRecord(durable.Join(b.records(sender), name))
		if errors.Is(err, fs.ErrNotExist) {
			break // the next name is only taken when there is this one
		}
		if err != nil {
			return r, false, localError{err}
		}
		if r.UID == uid && r.Sender == sender && r.Message == message {
			return r, true, nil
		}
	}
	return r, false, nil
}

// recordNames are the names that a message's record can have: a message id is only a label.
func recordNames(message id.Message, uid id.UID) []string {
	return []string{string(message) + recordSuffix, string(message) + " " + string(uid) + recordSuffix}
}

// readRecord reads one record. What is none is returned empty: people may have put it there.
func readRecord(path string) (r Record, err error) {
	info, err := os.Lstat(path)
	if err != nil {
		return r, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxRecord {
		return r, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return r, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxRecord))
	if err == nil && json.Unmarshal(text, &r) != nil {
		r = Record{}
	}
	return r, err
}

// restore writes the row of a message that was placed before this ledger.
func restore(tx *ledger.Tx, p *placement) error {
	row := p.Received
	row.Path, row.Time = filepath.FromSlash(p.before.Path), p.before.Received
	if err := tx.Place(row); err != nil {
		return err
	}
	return tx.Placed(p.Sender, []id.UID{p.UID})
}

// bringRecords writes the records of what was placed before this ledger began, or in an attempt of which it does not know: its
// content does not lie beside its list any more.
func (b *Inbox) bringRecords() error {
	folders, err := os.ReadDir(b.temp())
	if err != nil {
		return ignoreMissing(err)
	}
	for _, folder := range folders {
		if !folder.IsDir() || strings.HasSuffix(folder.Name(), goneSuffix) {
			continue
		}
		if err := b.bringRecordsOf(filepath.Join(tempDir, folder.Name())); err != nil {
			return err
		}
	}
	return nil
}

func (b *Inbox) bringRecordsOf(dir string) error {
	records, err := b.readList(dir)
	if err != nil {
		return err
	}
	var list []*placement
	for name, r := range records {
		p := &placement{Received: ledger.Received{Sender: r.Sender, ID: r.Message, UID: r.UID, Path: filepath.FromSlash(r.Path), Temp: filepath.Join(dir, name)}}
		if exists(b.at(p.Temp)) {
			continue
		}
		if err := errors.Join(p.setRecord(r), b.makeFolders([]*placement{p}), b.writeRecord(p)); err != nil {
			return err
		}
		b.log.Info("recorded", "message", r.Message, "sender", r.Sender, "after", "an interruption")
		list = append(list, p)
	}
	return b.syncPlaces(list)
}

// discard removes a temporary folder. It takes another name first, durably: half removed it could hold a record without
// its content, which says that the content was placed.
func discard(dir string) error {
	gone := dir + goneSuffix
	if err := os.RemoveAll(gone); err != nil {
		return err
	}
	err := os.Rename(dir, gone)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = durable.SyncDir(filepath.Dir(dir))
	}
	if err != nil {
		return err
	}
	return os.RemoveAll(gone)
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
