package inbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"time"

	v2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"sealpost/envelope"
	"sealpost/internal/beneath"
	"sealpost/internal/id"
)

// recordSuffix is the suffix of a record's name.
const recordSuffix = ".json"

// listFile holds the records of an envelope's messages, beside their content, until all are placed.
// For each message it has the name of its content, a string, and then the record, both as JSON. A
// record is written to its place after the content is moved; after a crash between the two it is
// written from here.
const listFile = "records"

// Record describes one placed message for programs at the site. It is a JSON file in the inbox,
// .sealpost/<sender>/<message id>.json, and written once. sealpost reads it only for a message that
// is not in its ledger: see memory.go.
type Record struct {
	Message  id.Message    `json:"message_id"`
	UID      id.UID        `json:"uid"`
	Sender   id.Site       `json:"sender_id"`
	Sent     time.Time     `json:"sent_timestamp"`
	Content  RecordContent `json:"content"`
	Path     string        `json:"path"` // relative to the inbox, with slashes
	Received time.Time     `json:"received_time"`
	// fingerprint of the sender's pinned identity key
	Signer id.Hash `json:"verified_signer"`
}

// RecordContent describes the content as sent.
type RecordContent struct {
	Name   string  `json:"name"`             // at the sender
	Type   string  `json:"type"`             // file or folder
	Size   int64   `json:"size"`             // bytes; of all files in a folder
	SHA256 id.Hash `json:"sha256,omitempty"` // of a file
	Digest id.Hash `json:"digest"`           // over the entries, as the sender signed it
}

// makeRecord sets the record of a message before it is placed.
func (p *placement) makeRecord() error {
	kind := envelope.TypeFolder
	if p.isFile {
		kind = envelope.TypeFile
	}
	return p.setRecord(Record{
		Message: p.ID, UID: p.UID, Sender: p.Sender, Sent: p.Sent, Received: p.Time,
		Signer: p.signer, Content: RecordContent{Name: p.Name, Type: kind, Size: p.Size,
			SHA256: p.sha256, Digest: p.Digest},
	})
}

// setRecord sets a message's record, with the present path.
func (p *placement) setRecord(r Record) error {
	r.Path = filepath.ToSlash(p.Path)
	// v2 is faster, for thousands of small files with a record each
	text, err := v2.Marshal(r, jsontext.WithIndent("  "))
	p.record, p.text = r, append(text, '\n')
	return err
}

// listEntry returns a message's entry in a list.
func (p *placement) listEntry() string { return fmt.Sprintf("%q\n%s", p.item, p.text) }

// writeLists writes the list of each envelope beside its content, to be synced with it.
func (f *folders) writeLists(list []*placement) error {
	texts := map[string]*bytes.Buffer{}
	for _, p := range list {
		if texts[p.from] == nil {
			texts[p.from] = new(bytes.Buffer)
		}
		texts[p.from].WriteString(p.listEntry())
	}
	for name, text := range texts {
		dir, err := f.envelope(name)
		if err == nil {
			err = f.writeNew(dir, listFile, text.Bytes(), access{file: 0o600})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// correctRecord appends a message's new path to its list, durably. The last entry of a message
// counts.
func (f *folders) correctRecord(p *placement) error {
	if p.text == nil {
		return nil
	}
	if err := p.setRecord(p.record); err != nil {
		return err
	}
	dir, err := f.envelope(p.from)
	if err != nil {
		return err
	}
	list, err := dir.Append(listFile)
	if err != nil {
		return err
	}
	_, err = list.WriteString(p.listEntry())
	return errors.Join(err, list.Sync(), list.Close())
}

// readList returns the records of a list by the name of their content, or none without a list. An
// unreadable end is an append that a crash cut short: the list itself is durable before anything is
// placed.
func (b *Inbox) readList(dir *beneath.Dir) (map[string]Record, error) {
	f, _, err := dir.Open(listFile)
	if err != nil {
		return nil, ignoreMissing(err)
	}
	defer f.Close()
	list := map[string]Record{}
	for in := json.NewDecoder(f); ; {
		var name string
		var r Record
		err := in.Decode(&name)
		if err == nil {
			err = in.Decode(&r)
		}
		if err != nil {
			if err != io.EOF {
				b.log.Warn("list of records cut short", "folder", dir.Path(), "error", err)
			}
			return list, nil
		}
		list[name] = r
	}
}

// writeRecord writes the record of a message after its content is in place. A message id is only a
// label: a file of that name stays, unless it is this record or a cut copy of it.
func (f *folders) writeRecord(p *placement) error {
	if p.text == nil {
		return nil
	}
	dir, err := f.recordsOf(p.Sender)
	if err != nil {
		return localError{err}
	}
	err = fs.ErrExist
	for _, name := range recordNames(p.ID, p.UID) {
		if err = f.writeNew(dir, name, p.text, f.access.records()); errors.Is(err, fs.ErrExist) &&
			isCutCopy(dir, name, p.text) {
			if err = dir.Remove(name); err == nil {
				err = f.writeNew(dir, name, p.text, f.access.records())
			}
		}
		if !errors.Is(err, fs.ErrExist) {
			p.recorded = name
			break
		}
	}
	if err != nil {
		return localError{err}
	}
	return nil
}

// writeNew writes a new file with its access. It does not sync it, and returns fs.ErrExist if the
// name is taken.
func (f *folders) writeNew(dir *beneath.Dir, name string, text []byte, a access) error {
	file, err := dir.Create(name, a.file)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, a.apply(file, a.file, f.hasList), file.Close())
}

// isCutCopy reports whether a file may be an unsynced text after a crash. Such a file has all of
// the text, its beginning, or only zeros.
func isCutCopy(dir *beneath.Dir, name string, text []byte) bool {
	have, err := dir.ReadFile(name, int64(len(text))+1)
	return err == nil && (bytes.HasPrefix(text, have) ||
		len(have) <= len(text) && len(bytes.Trim(have, "\x00")) == 0)
}
