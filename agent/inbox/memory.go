package inbox

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"sealpost/agent/ledger"
	"sealpost/internal/beneath"
	"sealpost/internal/id"
)

// The records in the inbox are a second memory of its messages, for a ledger that was lost or
// restored from an older copy: a message with a record was placed, and is not placed again.

// maxRecord limits the bytes of a record to read: other accounts may write any file there.
const maxRecord = 64 << 10

// trashSuffix is the suffix of temporary folders during their removal.
const trashSuffix = ".gone"

// findRecord returns the record of a message that is not in the ledger, and whether there is one.
func (f *folders) findRecord(sender id.Site, message id.Message,
	uid id.UID) (r Record, found bool, err error) {
	dir := f.records[sender]
	if dir == nil {
		if dir, err = f.own.Dir(string(sender)); err != nil {
			return r, false, ignoreMissing(err)
		}
		f.records[sender] = dir
	}
	for _, name := range recordNames(message, uid) {
		r, err := readRecord(dir, name)
		if errors.Is(err, fs.ErrNotExist) {
			break // the next name is in use only if this one is
		}
		if err != nil {
			return r, false, err
		}
		if r.UID == uid && r.Sender == sender && r.Message == message {
			return r, true, nil
		}
	}
	return r, false, nil
}

// recordNames returns the possible names of a message's record: a message id is only a label.
func recordNames(message id.Message, uid id.UID) []string {
	return []string{string(message) + recordSuffix,
		string(message) + " " + string(uid) + recordSuffix}
}

// readRecord reads one record. For any other file it returns an empty one.
func readRecord(dir *beneath.Dir, name string) (r Record, err error) {
	f, info, err := dir.Open(name)
	if errors.Is(err, beneath.ErrLink) || errors.Is(err, beneath.ErrNotRegular) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	defer f.Close()
	if info.Size > maxRecord {
		return r, nil
	}
	text, err := io.ReadAll(io.LimitReader(f, maxRecord))
	if err == nil && json.Unmarshal(text, &r) != nil {
		r = Record{}
	}
	return r, err
}

// restoreRow writes the row of a message that was placed before this ledger began.
func restoreRow(tx *ledger.Tx, p *placement) error {
	row := p.Received
	row.Path, row.Time = filepath.FromSlash(p.earlier.Path), p.earlier.Received
	if err := tx.Place(row); err != nil {
		return err
	}
	return tx.Placed(p.Sender, []id.UID{p.UID})
}

// restoreRecords writes the missing records of messages that the ledger does not know as half
// placed. Such a message is in a list of records, and its content has left the folder of the list.
func (b *Inbox) restoreRecords(f *folders, temp *beneath.Dir, prefix string) error {
	return temp.Each(func(entries []fs.DirEntry) error {
		for _, e := range entries {
			if !e.IsDir() || strings.HasSuffix(e.Name(), trashSuffix) {
				continue
			}
			if err := b.restoreRecordsOf(f, temp, prefix, e.Name()); err != nil {
				return err
			}
		}
		return nil
	})
}

// restoreRecordsOf is restoreRecords for the list in the folder of one attempt.
func (b *Inbox) restoreRecordsOf(f *folders, temp *beneath.Dir, prefix, envelope string) error {
	dir, err := temp.Dir(envelope)
	if err != nil {
		return err
	}
	defer dir.Close()
	records, err := b.readList(dir)
	if err != nil {
		return err
	}
	var list []*placement
	for name, r := range records {
		if _, err := id.ParseSite(string(r.Sender)); err != nil || dir.Exists(name) {
			continue
		}
		p := &placement{Received: ledger.Received{Sender: r.Sender, ID: r.Message, UID: r.UID,
			Path: filepath.FromSlash(r.Path)}, from: prefix + envelope, item: name}
		if err := errors.Join(p.setRecord(r), f.writeRecord(p)); err != nil {
			return err
		}
		b.log.Info("recorded", "message", r.Message, "sender", r.Sender, "after", "a crash")
		list = append(list, p)
	}
	return f.syncPlaces(list)
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
