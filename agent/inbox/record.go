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

// recordSuffix ends the name of a message's record.
const recordSuffix = ".json"

// listFile lies beside the content of an envelope's messages until all of them are in their places, and holds their records:
// for each the name of its content, a string, and then the record itself, as JSON. A record is written to its place when its
// content lies in its own; what a crash leaves between is written from here.
const listFile = "records"

// Record is what a program at the site may want to know of a message that was placed: one JSON file each, in the inbox
// under .sealpost/<sender>/<message id>.json. It is written once. sealpost reads it only where its ledger does not know the
// message: see memory.go.
type Record struct {
	Message  id.Message    `json:"message_id"`
	UID      id.UID        `json:"uid"`
	Sender   id.Site       `json:"sender_id"`
	Sent     time.Time     `json:"sent_timestamp"`
	Content  RecordContent `json:"content"`
	Path     string        `json:"path"` // relative to the inbox, with slashes
	Received time.Time     `json:"received_time"`
	Signer   id.Hash       `json:"verified_signer"` // the fingerprint of the sender's identity key, pinned and verified
}

// RecordContent is what was sent.
type RecordContent struct {
	Name   string  `json:"name"`             // as the sender has it
	Type   string  `json:"type"`             // file or folder
	Size   int64   `json:"size"`             // bytes; of all files in a folder
	SHA256 id.Hash `json:"sha256,omitempty"` // of a file
	Digest id.Hash `json:"digest"`           // over the entries, as the sender signed it
}

// makeRecord makes the record of a message that is about to be placed.
func (p *placement) makeRecord() error {
	kind := envelope.TypeFolder
	if p.file {
		kind = envelope.TypeFile
	}
	return p.setRecord(Record{
		Message: p.ID, UID: p.UID, Sender: p.Sender, Sent: p.Sent, Received: p.Time, Signer: p.signer,
		Content: RecordContent{Name: p.Name, Type: kind, Size: p.Size, SHA256: p.sha256, Digest: p.Digest},
	})
}

// setRecord gives a message its record, for the place that it has now.
func (p *placement) setRecord(r Record) error {
	r.Path = filepath.ToSlash(p.Path)
	text, err := v2.Marshal(r, jsontext.WithIndent("  ")) // of thousands of small files, each of which has a record
	p.record, p.text = r, append(text, '\n')
	return err
}

// listed is what a list says of a message.
func (p *placement) listed() string { return fmt.Sprintf("%q\n%s", p.item, p.text) }

// writeLists puts the records of each envelope's messages beside their content, to be synced with it.
func (f *folders) writeLists(list []*placement) error {
	texts := map[string]*bytes.Buffer{}
	for _, p := range list {
		if texts[p.from] == nil {
			texts[p.from] = new(bytes.Buffer)
		}
		texts[p.from].WriteString(p.listed())
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

// correctRecord says in the list, durably, that the place has changed: what is said last counts.
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
	_, err = list.WriteString(p.listed())
	return errors.Join(err, list.Sync(), list.Close())
}

// readList returns the records that lie beside content, by the name of that; none when there is no list. What cannot be read
// any more is an addition that was cut short: the list itself is durable before anything is placed.
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
				b.log.Warn("a list of records ends in what is none", "folder", dir.Path(), "error", err)
			}
			return list, nil
		}
		list[name] = r
	}
}

// writeRecord writes the record of a message whose content is in its place. A message id is only a label: the record of another
// message with the same one stays, and so does whatever else is no record of this one, or of it and cut short.
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
		if err = f.writeNew(dir, name, p.text, f.access.records()); errors.Is(err, fs.ErrExist) && begins(dir, name, p.text) {
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

func (f *folders) writeNew(dir *beneath.Dir, name string, text []byte, a access) error {
	file, err := dir.Create(name, a.file)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, a.give(file, a.file, f.isListed), file.Close())
}

// begins tells whether a file holds what a crash may leave of a text that was not synced: all of it, its beginning, or
// nothing but zeros.
func begins(dir *beneath.Dir, name string, text []byte) bool {
	have, err := dir.ReadFile(name, int64(len(text))+1)
	return err == nil && (bytes.HasPrefix(text, have) || len(have) <= len(text) && len(bytes.Trim(have, "\x00")) == 0)
}
